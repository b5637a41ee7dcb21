# Copyright: (c) 2026, The jgi.jaws engineers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Decisions about all instances of a play: did the switch succeed, and which programs are named.

Pure functions on the control node. They take what the hosts have registered, by host. If a host is
missing there, it failed earlier or became unreachable.
"""

from __future__ import annotations

import multiprocessing
from collections.abc import Collection, Iterable, Mapping, Sequence
from typing import Any

from ansible.executor.process.worker import WorkerProcess
from ansible.module_utils.parsing.convert_bool import boolean

from ..module_utils.supervisor.programs import is_quiet
from .spelling import misspelt

Result = Mapping[str, Any]

ALL = "all"
STOPPED = "STOPPED"


def by_host(hostvars: Mapping[str, Result], name: str, hosts: Iterable[str]) -> dict[str, Any]:
    """Return a variable of several hosts, by host; a host that does not have it is left out."""
    found = {host: _looked_up(hostvars, host, name) for host in hosts}
    return {host: values[0] for host, values in found.items() if values}


_in_this_task: dict[str, tuple[Result, dict[str, Any]]] = {}


def _looked_up(hostvars: Mapping[str, Result], host: str, name: str) -> list[Any]:
    """Return the value of a host's variable in a list, which is empty if it has none.

    Each task has a process of its own, in which the variables of other hosts stay as they are; to
    look them up takes long, and a task that runs on all hosts would do it for all of them.
    """
    is_task = isinstance(multiprocessing.current_process(), WorkerProcess)
    known = _in_this_task if is_task else {}
    if host not in known:
        known[host] = hostvars[host], {}
    variables, values = known[host]
    if name not in values and name in variables:
        values[name] = variables[name]
    return [values[name]] if name in values else []


def switch(
    releases: Mapping[str, Result],
    results: Mapping[str, Result],
    hosts: Iterable[str] | None = None,
    host: str = "",
    reverted: Mapping[str, Result] | None = None,
) -> dict[str, Any]:
    """Return which hosts switch, the number of the deploy, and on which hosts the switch failed.

    If it failed on one of them, all must switch back.

    :param releases: by host: what was registered before the switch. The number of the deploy is
        the largest C(deploy) in it.
    :param results: what the switch returned, by host, of every host that is still reachable.
    :param hosts: the hosts that switch; by default all in C(releases).
    :param host: a host that switches in any case: the one that asks.
    :param reverted: what going back returned, by host.
    """
    named = list(releases if hosts is None else hosts)
    switching = list(dict.fromkeys([*named, host] if host else named))
    numbers = [int(releases[one]["deploy"]) for one in switching if one in releases]
    unheld = [one for one in switching if not has_held(results.get(one))]
    problem = _unprepared([one for one in switching if one not in releases])
    fates = [_fate(one, releases, results, reverted or {}) for one in switching]
    failed = f"The switch failed on {', '.join(unheld)}, for the reason above."
    return {
        "hosts": switching,
        "deploy": max(numbers, default=None),
        "unheld": unheld,
        "problem": problem,
        "summary": problem or "\n".join([failed, *fates]),
    }


def _unprepared(hosts: Sequence[str]) -> str:
    if not hosts:
        return ""
    return (
        f"There is nothing to switch to: no release was prepared in this run on {', '.join(hosts)}."
        " Nothing was changed. Run the playbook from its start, without --tags, --skip-tags and "
        "--start-at-task."
    )


def _fate(
    host: str,
    releases: Mapping[str, Result],
    results: Mapping[str, Result],
    reverted: Mapping[str, Result],
) -> str:
    """Return what an instance runs after a switch that failed on one of them."""
    result, back = results.get(host) or {}, reverted.get(host) or {}
    if not back or boolean(back.get("unreachable", False)):
        return (
            f"{host} could not be reached any more: it may run the old or the new release. As soon "
            "as it can be reached, run the playbook again: it brings all instances to one state."
        )
    if boolean(back.get("failed", False)) or not boolean(result.get("put_back", True)):
        return f"{host} could not be put back, for the reason above. Run the playbook again."
    known = [found.get("reverted_to") for found in (result, back)]
    release = next(filter(None, known), releases.get(host, {}).get("current"))
    return f"{host} runs {release or 'nothing'}, as before."


def has_held(result: Result | None) -> bool:
    """Return whether the switch of a host succeeded. Without a clear result, it did not."""
    if not result:
        return False
    lost = [boolean(result.get(key, False)) for key in ("unreachable", "skipped")]
    return not any(lost) and not boolean(result.get("failed", True))


def chosen_programs(
    instances: Mapping[str, Result], wanted: str | Sequence[str], keep_stopped: bool = False
) -> dict[str, Any]:
    """Return by instance the programs that the names match, and a problem with the names, if any.

    :param instances: by host: what M(jgi.jaws.supervisorctl_info) returned.
    :param wanted: names, as a list or separated by commas, or C(all).
    :param keep_stopped: C(all) does not include programs that are C(STOPPED). It never includes
        one-shot programs that have done their work.
    """
    states = {host: _states(found) for host, found in instances.items()}
    known = sorted({name for found in states.values() for name in found})
    named = _listed(wanted)
    left_out = [STOPPED] if keep_stopped else []
    chosen = {
        host: _meant(named, found, left_out, instances[host].get("done", []))
        for host, found in states.items()
    }
    return {"programs": chosen, "problem": _problem(named, known)}


def _states(instance: Result) -> dict[str, str]:
    known = {program["name"]: program["state"] for program in instance["programs"]}
    return {name: state for name, state in known.items() if not is_quiet(name, state)}


def _listed(wanted: str | Sequence[str]) -> list[str]:
    parts = [wanted] if isinstance(wanted, str) else wanted
    names = [name.strip() for part in parts for name in str(part).split(",")]
    return [name for name in names if name]


def _meant(
    named: Sequence[str],
    own: Mapping[str, str],
    left_out: Collection[str],
    done: Collection[str],
) -> list[str]:
    due = [name for name, state in own.items() if state not in left_out and name not in done]
    every = due if ALL in named else []
    return [*every, *(name for name in named if name in own and name not in every)]


def _problem(named: Sequence[str], known: Collection[str]) -> str:
    there_are = f"there are {', '.join(known)}"
    if not named:
        return f"-e programs is empty. Name programs (NAME,NAME), or leave it out; {there_are}"
    unknown = [name for name in named if name not in known and name != ALL]
    return f"no instance has {', '.join(unknown)}; {there_are}" if unknown else ""


SPECIAL = ("all", "always", "never", "tagged", "untagged")


def wrong_tags(
    run: Sequence[str], skip: Sequence[str], steps: Mapping[str, Sequence[str]]
) -> list[str]:
    """Return why a playbook cannot do what C(--tags) and C(--skip-tags) ask for.

    A tag that the playbook does not have skips nothing, as molecule's, unless it is a typing error.

    :param steps: by each tag that the playbook has: the tags of what it needs in the same run.
    """
    skip = [tag for tag in skip if tag in (*steps, *SPECIAL) or misspelt(tag, list(steps))]
    if list(run) == ["all"] and not skip:
        return []
    named = [f"--tags {tag}" for tag in run if tag != "all"]
    asked = ", ".join([*named, *(f"--skip-tags {tag}" for tag in skip)])
    have = f"it has {', '.join(steps)}" if steps else "it has none"
    unknown = [tag for tag in [*run, *skip] if tag not in steps and tag not in SPECIAL]
    if unknown:
        return [f"this playbook has no tag {', '.join(unknown)}; {have}. Leave out {asked}."]
    chosen = [tag for tag in steps if _is_chosen(tag, run, skip)]
    if not chosen:
        return [f"with {asked}, this playbook would do nothing; {have}. Leave it out."]
    return [
        f"{tag} needs {' and '.join(missing)} in the same run. Leave out {asked}."
        for tag in chosen
        if (missing := [need for need in steps[tag] if need not in chosen])
    ]


def _is_chosen(tag: str, run: Sequence[str], skip: Sequence[str]) -> bool:
    is_run = tag in run or "all" in run or "tagged" in run
    return is_run and not {tag, "all", "tagged"}.intersection(skip)
