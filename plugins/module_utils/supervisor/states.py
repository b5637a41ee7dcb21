# Copyright: (c) 2026, The jgi.jaws engineers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The states of programs before their supervisord is restarted, and how they are restored.

A supervisord that starts only knows C(autostart): it starts what an operator had stopped, but not
what an operator had started. When it answers, it has started everything that it will start.
"""

from __future__ import annotations

import json
import os
import re
from contextlib import suppress
from typing import Container, Dict, Mapping, Sequence

from ..errors import JawsError
from ..system.files import read_text, refuse_unsafe, write
from ..system.processes import Process, boot_id
from .client import Supervisor
from .controller import Controller
from .observation import observe, settings
from .planning import Plan
from .programs import ALIVE, NOTIFIER, Program, Setting, process_of
from .running import program_of

States = Dict[str, str]  # by namespec

UP = ("STARTING", "RUNNING")  # what must run again; BACKOFF had failed before
LEFT = "BACKOFF"  # what a dead daemon had run: started again, but it need not run
IDLE = ("STOPPED", "STOPPING")
LOG_BYTES = 262144
GONE = (
    "supervisord was restarted without %s, which ran before: the configuration has no such program "
    "any more. If it should run, restore its section, then run the module supervisorctl with "
    "state=present."
)


class Note:
    """A note of the programs' states before a restart, until they are restored: for the run after
    one that was killed in between. supervisord does not know them.

    :param pid_file: that of the daemon, next to which the note is; None for no note.
    :param trusted: uids whose files are used; None: root's and our own. No other's note is read,
        and none is written beside another's files: only a kill would miss it.
    """

    def __init__(self, pid_file: str | None, trusted: Container[int] | None = None) -> None:
        self.path = f"{pid_file}.states" if pid_file else ""
        self.trusted = trusted

    def read(self) -> States:
        """Return what was noted after the last boot."""
        with suppress(JawsError, ValueError, TypeError, AttributeError):
            refuse_unsafe(self.path, self.trusted)
            boot, states = json.loads(read_text(self.path) or "")
            return {str(name): str(was) for name, was in states.items() if boot == boot_id()}
        return {}

    def write(self, before: States) -> None:
        """Note the states of the programs, before anything stops."""
        with suppress(JawsError):
            refuse_unsafe(self.path, self.trusted)
            write(self.path, json.dumps([boot_id(), before]), 0o640)

    def remove(self) -> None:
        """Remove the note: the states are restored, or the task has reported which are not."""
        with suppress(OSError):
            os.unlink(self.path)


def remembered(programs: Sequence[Program]) -> States:
    """Return the programs' states, as supervisord reports them."""
    return {program.name: program.state for program in programs}


def seen(
    left: Sequence[Process], names: Sequence[str], daemons: Sequence[Process], log: str | None
) -> States:
    """Return the states of programs if no daemon can be asked: the kernel shows what runs, and
    the daemon's log shows which programs were stopped last.

    :param left: the processes that the daemon has started, or has left.
    :param names: the names of the programs that are defined.
    :param daemons: those that still run; without one, nobody knows what has been stopped.
    :param log: the path of their log.
    """
    # Its own children lead a group in its session; what they have detached leads its own session.
    running = {program_of(one) for one in left if one.pid == one.pgid != one.session} - {""}
    if not daemons:
        return dict.fromkeys(sorted(running & {*names}), LEFT)
    stopped = _stopped(log, {daemon.pid for daemon in daemons})
    idle = {name for name in names if process_of(name) in stopped and name not in running}
    return {**dict.fromkeys(sorted(idle), "STOPPED"), **dict.fromkeys(sorted(running), "RUNNING")}


def _stopped(log: str | None, pids: set[int]) -> set[str]:
    """Return the names of the processes whose last line in a daemon's log says that they stopped.

    :param pids: of the daemon; lines that another one wrote before it do not count.
    """
    try:
        with open(log or "", "rb") as stream:
            stream.seek(max(0, os.fstat(stream.fileno()).st_size - LOG_BYTES))
            text = stream.read().decode("utf-8", "replace")
    except OSError:
        return set()
    writer, text = ["", *re.split(r"supervisord started with pid (\d+)", text)][-2:]
    if writer and int(writer) not in pids:
        return set()
    told = re.findall(r" (spawned: |stopped: |exited: |gave up: )'?([^'\s]+)", text)
    last = {name: what for what, name in told}
    return {name for name, what in last.items() if what == "stopped: "}


def plan_restored(
    before: Mapping[str, str], now: Sequence[Program], known: Mapping[str, Setting]
) -> Plan:
    """Return the plan that restores the programs' states.

    Programs that had ended by themselves, and new ones, are left to supervisord.
    """
    state = remembered(now)
    wanted = [name for name, was in before.items() if was in ALIVE and name in state]
    start = [name for name in wanted if name in known and not known[name].autostart]
    return Plan(
        stop=[name for name, was in before.items() if was in IDLE and state.get(name) in ALIVE],
        start=[name for name in start if state[name] not in ALIVE],
        await_running=[name for name in wanted if before[name] in UP and name not in start],
    )


def restore(client: Supervisor, before: Mapping[str, str], timeout: float) -> list[str]:
    """Restore the programs' states after their supervisord was restarted.

    :returns: warnings of what ran, and is not defined any more.
    :raises JawsError: names what ran before but not now (program_failed, timed_out).
    """
    if not before:
        return []
    now, known = observe(client).programs, settings(client)
    there = {*remembered(now), NOTIFIER}
    gone = [name for name, was in before.items() if was in ALIVE and name not in there]
    try:
        Controller(client, timeout, known=known).execute(plan_restored(before, now, known))
    except JawsError as error:
        raise JawsError(
            f"supervisord at {client.endpoint.address} was restarted, and not everything is as "
            f"before:\n{error}",
            error.reason,
            failed_programs=sorted(_names(error)),
            changed=True,
        ) from error
    return [GONE % ", ".join(sorted(gone))] if gone else []


def _names(error: JawsError) -> list[str]:
    found = error.details.get("failed_programs")
    return [str(name) for name in found] if isinstance(found, list) else []
