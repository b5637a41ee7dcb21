# Copyright: (c) 2026, The jgi.jaws engineers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What runs, as rows: one for each program, for a table, for a message and for a file.

Pure functions on the control node. They take what the hosts of a play have registered.
"""

from __future__ import annotations

import time
from collections.abc import Iterator
from datetime import datetime
from typing import Any

from ..module_utils.supervisor.programs import is_quiet
from .summary import OUTDATED
from .table import duration, fitting, format_table
from .text import cut, plain

Result = dict[str, Any]

# The columns of a program, in the table and in every status file, with their headings on the page.
COLUMNS = {
    "state": "State",
    "health": "Health",
    "restarts": "Restarts",
    "pid": "Process",
    "uptime": "Uptime",
}
DISPENSABLE = ("release", "pid")  # in this order, if the table is too wide
# How many rows of the terminal a note may have: the last line of a log may be very long, but what
# is said about a supervisord ends with what to do.
LOG_ROWS, ADVICE_ROWS = 3, 6
GOOD = "RUNNING"
STOPPED = "STOPPED"
WAITING = "WAITING"  # in the queue of Slurm
DONE = "DONE"  # a one-shot program that has done its work
WELL = (GOOD, DONE, STOPPED)
OK, UNHEALTHY = "ok", "unhealthy"
NAMED = {UNHEALTHY: "unhealthy", WAITING: "waiting"}  # states with a list of their own


def rows(instances: list[Result]) -> list[Result]:
    """Return a row for each program, and for each instance whose programs are not known."""
    return [{**row, **_place(instance)} for instance in instances for row in _rows(instance)]


def wrong(found: list[Result], strict: bool) -> dict[str, list[str]]:
    """Return what is not running, what is unhealthy, and what waits.

    :param strict: whether what was stopped on purpose is not running either.
    """
    fine = (GOOD, DONE) if strict else WELL
    bad = {"not_running": [named(row) for row in found if _judged(row) not in (*fine, *NAMED)]}
    for state, key in NAMED.items():
        bad[key] = [named(row) for row in found if _judged(row) == state]
    return bad


def lines(instances: list[Result], found: list[Result], width: int) -> list[str]:
    """Return the table, then why rows are not well, then what the table had no room for."""
    every = ("instance", "program", *COLUMNS, "release")
    columns = fitting(every, found, width, DISPENSABLE)
    notes = [cut(plain(note), most * width) for note, most in _notes(instances, found)]
    releases = [] if "release" in columns else _releases(instances)
    return [*format_table(columns, found).splitlines(), *notes, *releases]


def _judged(row: Result) -> str:
    if row.get("health") == UNHEALTHY:
        return UNHEALTHY
    return DONE if row.get("has_done") else str(row["state"])


def mark(row: Result, bad: dict[str, list[str]]) -> str:
    """Return how a row is marked in a status file: well, stopped or wrong."""
    if any(named(row) in names for names in bad.values()):
        return "wrong"
    return "stopped" if row["state"] == STOPPED else "well"


def named(row: Result) -> str:
    """Return what messages call a row."""
    return f"{row['instance']} {row['program']}"


def in_words(bad: dict[str, list[str]], stopped: list[str]) -> str:
    """Return what is wrong as a message; C(stopped) names what was stopped on purpose."""
    if any(bad.values()):
        found = [(kind.replace("_", " "), names) for kind, names in bad.items() if names]
        return "; ".join(f"{kind}: {', '.join(names)}" for kind, names in found)
    if not stopped:
        return "everything is running"
    return f"everything is running, except what was stopped on purpose: {', '.join(stopped)}"


def _notes(instances: list[Result], found: list[Result]) -> Iterator[tuple[str, int]]:
    """Yield why rows are not well, the worst first, with the rows that each may have."""
    ordered = sorted(found, key=lambda row: (_judged(row) in WELL, _judged(row) == UNHEALTHY))
    for row in ordered:
        if row.get("note"):
            most = LOG_ROWS if row.get("is_service") else ADVICE_ROWS
            yield f"{_where(row)}: {row['note']}", most
    for instance in instances:
        if why := _releases_of(instance).get("frozen"):
            yield f"{instance['name']}: frozen by {why}", LOG_ROWS
    for told in _jobs(instances):
        yield told, LOG_ROWS
    for instance in instances:
        if (instance.get("status") or {}).get("outdated"):
            yield f"{instance['name']}: {OUTDATED}", LOG_ROWS


def _jobs(instances: list[Result]) -> list[str]:
    """Return what Slurm says about each job, once for all of its instances."""
    found: dict[str, list[str]] = {}
    for instance in instances:
        said = (instance.get("job") or {}).get("said")
        found.setdefault(said or "", []).append(instance["name"])
    return [f"{', '.join(names)}: {said}" for said, names in found.items() if said]


def _where(row: Result) -> str:
    return named(row) if row.get("is_service") else str(row["instance"])


def _releases(instances: list[Result]) -> list[str]:
    known = [(instance["name"], _release(instance)) for instance in instances]
    return [f"{name}: release {release}" for name, release in known if release]


def _release(instance: Result) -> Any:
    return instance.get("release") or _releases_of(instance).get("title")


def _place(instance: Result) -> Result:
    """Return where a row belongs, and what was deployed there last."""
    releases = _releases_of(instance)
    known = releases.get("releases") or []
    current: Result = next((one for one in known if one["id"] == releases.get("current")), {})
    deploy = {key: current.get(key) for key in ("activated", "author", "ci_job")}
    place = {key: instance.get(key) for key in ("site", "deployment")}
    return {**place, **deploy, "release": _release(instance), "frozen": releases.get("frozen")}


def _releases_of(instance: Result) -> Result:
    found: Result = instance.get("releases") or {}
    return found


def _rows(instance: Result) -> list[Result]:
    waits = (instance.get("job") or {}).get("state") == "PENDING"
    if "runner" in instance:
        row = _runner(instance["name"], **instance["runner"])
        return [dict(row, state=WAITING, note=None) if waits and row["state"] == "DOWN" else row]
    status = instance.get("status") or {}
    if "programs" not in status:
        state = "DOWN" if status.get("reason") == "down" else "UNKNOWN"
        if waits:
            unproven = _releases_of(instance).get("state") == "unproven"
            note = f"{_release(instance)}, waits for the job" if unproven else None
            return [dict(_blank(instance), state=WAITING, note=note)]
        return [dict(_blank(instance), state=state, note=status.get("msg", "not reached"))]
    now = status.get("now", time.time())
    done = status.get("done") or []
    rows = [
        _service(instance, program, now, program["name"] in done)
        for program in status["programs"]
        if not is_quiet(program["name"], program["state"])
    ]
    return rows or [
        dict(_blank(instance), state="EMPTY", note="supervisord has no programs: deploy first")
    ]


def _service(instance: Result, program: Result, now: float, has_done: bool) -> Result:
    uptime = now - program["start_time"] if program["pid"] else None
    health, why = _health(instance, program)
    return {
        "instance": instance["name"],
        "program": program["name"],
        "state": program["state"],
        "health": health,
        "restarts": program.get("restarts"),
        "pid": program["pid"],
        "uptime": duration(uptime),
        "uptime_seconds": uptime,
        "note": "has done its work" if has_done else why or _reason(program),
        "has_done": has_done,
        "is_service": True,
    }


def _health(instance: Result, program: Result) -> tuple[str | None, str | None]:
    """Return whether a program does its work, and why not; None if that was not checked."""
    checked = _releases_of(instance).get("health") or {}
    if program["state"] != GOOD or program["name"] not in checked:
        return None, None
    why = checked[program["name"]]
    return (UNHEALTHY if why else OK), why


def _reason(program: Result) -> str | None:
    """Return why a program does not run: how it ended, and the last line of its log."""
    if program["state"] == GOOD:
        return None
    if program["state"] == STOPPED:
        never = not program.get("start_time")
        return "does not start by itself (autostart=false)" if never else "stopped on purpose"
    status = program.get("exit_status")
    ended = program.get("ended") or (f"exit status {status}" if status is not None else None)
    facts = [ended or program.get("spawn_error"), program.get("last_line")]
    return "; ".join(fact for fact in facts if fact) or None


def _runner(name: str, process: Result, gitlab: Result) -> Result:
    """Return a runner's row; its note says why it does not run, or why it does not get jobs."""
    row: Result = {"instance": name, "program": "gitlab-runner", "state": "DOWN"}
    if not process.get("running"):
        return dict(row, note=process.get("msg") or _absent(process))
    since = datetime.fromisoformat(process["started_at"].replace("Z", "+00:00")).timestamp()
    online = gitlab.get("online") or (gitlab.get("valid") and gitlab.get("online") is None)
    uptime = time.time() - since
    return dict(
        row,
        state="STOPPING" if process["stopping"] else GOOD,
        pid=process["pid"],
        uptime=duration(uptime),
        uptime_seconds=int(uptime),
        note=None if online else gitlab.get("saw") or gitlab.get("msg"),
    )


def _absent(process: Result) -> str:
    return "not running; the playbook recover starts it" if process else "not reached"


def _blank(instance: Result) -> Result:
    return {"instance": instance["name"], "program": "(supervisord)"}
