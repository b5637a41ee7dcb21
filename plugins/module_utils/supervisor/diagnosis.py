# Copyright: (c) 2026, The jgi.jaws engineers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Why a program failed: its exit status, the last lines of its logs, and the error message."""

from __future__ import annotations

import re
import xmlrpc.client
from typing import Mapping, Sequence

from ..errors import JawsError, quoted
from ..files import tail
from .client import Supervisor
from .programs import Program, process_of

MOST_LOGS = 5  # if many programs fail together, the logs of the others say the same
DAEMON_LOG_BYTES = 65536
NEXT_STEPS = {
    "program_failed": "Correct the cause, then run this again.",
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


def _logged_exits(client: Supervisor) -> dict[str, int]:
    try:
        text = str(client.call("supervisor.readLog", -DAEMON_LOG_BYTES, 0))
    except (xmlrpc.client.Fault, JawsError):
        return {}  # It has no log, or the log is not text: then the status is unknown.
    found = re.findall(
        r"exited: (\S+) \((?:exit status (\d+)|terminated by [^;]*); not expected\)", text
    )
    return {name: int(status) if status else -1 for name, status in found}


def describe(program: Program, with_logs: bool = True) -> str:
    """Return a description of one program's state, with the last lines of its logs."""
    facts = [program.state]
    if program.exit_status is not None:
        facts.append(
            "ended by a signal"
            if program.exit_status == -1
            else f"exit status {program.exit_status}"
        )
    if program.spawn_error:
        facts.append(quoted(program.spawn_error))
    logs = [path for path in (program.log_file, program.error_log_file) if path and with_logs]
    lines = [f"{program.name} is {', '.join(facts)}"]
    return "\n".join(lines + [line for path in logs for line in _shown(path)])


def _shown(path: str) -> list[str]:
    lines = tail(path)
    if lines is None:
        return [f"  {path} cannot be read by this user"]
    return [f"  last lines of {path}:"] + ["    " + line for line in lines or ["(empty)"]]
