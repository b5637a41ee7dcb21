# Copyright: (c) 2026, The jgi.jaws engineers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Why a program failed: its exit status, the last lines of its logs, and the error message."""

from __future__ import annotations

import os
import re
import time
import xmlrpc.client
from typing import Iterable, Mapping, Sequence

from ..errors import JawsError, quoted
from ..system.files import TAIL_LINES, tail
from .client import Supervisor
from .log_lines import is_own_file, timed
from .programs import Program, process_of

SEE_LOG = " (process log may have details)"  # which is shown here
LAST_LINES = "  last lines of "
LEAST_LINES = 3
NUMBER = re.compile(r"\d+")
_sizes: dict[str, int] = {}
MOST_LOGS = 5  # if many programs fail together, the logs of the others say the same
DAEMON_LOG_BYTES = 65536
NEXT_STEPS = {
    "program_failed": "Correct the cause, then run this again.",
    "stopped_by_others": "Somebody stopped or restarted it meanwhile, through supervisord. Run "
    "this again when nobody else acts on it.",
    "timed_out": "Find out why it takes so long, or raise timeout; then run this again.",
}


def failure(
    verb: str, causes: Mapping[str, str], reason: str = "program_failed", where: str = ""
) -> JawsError:
    """Return the error that says what could not be done to which programs.

    :param causes: what is known about each program, by name.
    """
    place = f" (supervisord at {where})" if where else ""
    lines = [f"could not {verb} {', '.join(causes)}{place}.", *causes.values()]
    message = "\n".join([*lines, NEXT_STEPS.get(reason, "")])
    return JawsError(message, reason, failed_programs=list(causes))


def with_exit_status(
    client: Supervisor, programs: Sequence[Program], everything: Sequence[Program]
) -> list[Program]:
    """Return C(programs) with the exit status of those that ended before startsecs.

    supervisord only writes it to its log, without the group. So it is known only if C(everything)
    has no program of that name in another group.
    """
    logged = (
        _logged_exits(client)
        if any(program.state in ("BACKOFF", "FATAL") for program in programs)
        else {}
    )
    inside = [process_of(program.name) for program in everything]

    def completed(program: Program) -> Program:
        name = process_of(program.name)
        known = name in logged and program.state in ("BACKOFF", "FATAL") and inside.count(name) == 1
        return program._replace(exit_status=logged[name]) if known else program

    return [completed(program) for program in programs]


def ended_by_request(client: Supervisor) -> set[str]:
    """Return the names, without groups, of what supervisord was last asked to end."""
    last = {name: what for what, name in re.findall(r" (stopped|exited): (\S+) \(", _log(client))}
    return {name for name, what in last.items() if what == "stopped"}


def _log(client: Supervisor) -> str:
    try:
        return str(client.call("supervisor.readLog", -DAEMON_LOG_BYTES, 0))
    except (xmlrpc.client.Fault, JawsError):
        return ""  # it has no log, or the log is not text: then nothing is known


def _logged_exits(client: Supervisor) -> dict[str, int]:
    found = re.findall(
        r"exited: (\S+) \((?:exit status (\d+)|terminated by [^;]*); not expected\)", _log(client)
    )
    return {name: int(status) if status else -1 for name, status in found}


def mark(programs: Iterable[Program]) -> None:
    """Note how long the logs are, so that only what is written from now on is shown."""
    _sizes.update((path, _size(path)) for program in programs for path in _logs(program))


def described(programs: Sequence[Program]) -> dict[str, str]:
    """Return a description of each program by name; logs that say the same are shown once."""
    known: dict[tuple[str, ...], str] = {}
    found = {}
    for number, program in enumerate(programs):
        state, *log = describe(program, TAIL_LINES // len(programs)).splitlines()
        said = tuple(NUMBER.sub("0", line) for line in log if not line.startswith(LAST_LINES))
        if number >= MOST_LOGS or not log:
            log = []
        elif known.setdefault(said, program.name) != program.name:
            log = [f"  its log says the same as that of {known[said]}"]
        found[program.name] = "\n".join([state, *log])
    return found


def describe(program: Program, most_lines: int = TAIL_LINES) -> str:
    """Return a description of one program's state, with the last lines of its logs."""
    facts = [program.state]
    if program.exit_status is not None:
        facts.append(
            "ended by a signal"
            if program.exit_status == -1
            else f"exit status {program.exit_status}"
        )
    if program.spawn_error:
        facts.append(quoted(program.spawn_error).replace(SEE_LOG, ""))
    # If it is being started again, it has said before why it ended.
    start = 0 if program.state == "STARTING" else program.start_time or 0
    lines = [f"{program.name} is {', '.join(facts)}"]
    lines += [line for path in _logs(program) for line in _shown(path, start, most_lines)]
    return "\n".join(lines)


def _logs(program: Program) -> list[str]:
    return [path for path in (program.log_file, program.error_log_file) if path]


def _shown(path: str, start: float, most: int) -> list[str]:
    before = _sizes.get(path, 0)
    lines = tail(path, since=before if before <= _size(path) else 0)
    if lines is None:
        whose = "by this user" if is_own_file(path) else "here: it is not a file"
        return [f"  {path} cannot be read {whose}"]
    own = [line.text for line in timed(lines, time.time()) if line.time >= start] or lines
    own = _last_half(own)[-max(most, LEAST_LINES) :]
    return [f"{LAST_LINES}{path}:"] + ["    " + line for line in own or ["(empty)"]]


def _last_half(lines: list[str]) -> list[str]:
    """Return lines without their first half if it says the same: a program failed twice."""
    half = len(lines) // 2
    bare = [NUMBER.sub("0", line) for line in lines]
    return lines[half:] if bare[:half] == bare[half:] else lines


def _size(path: str) -> int:
    """Return the size of a log; 0 if there is none."""
    try:
        return os.stat(path).st_size
    except OSError:
        return 0
