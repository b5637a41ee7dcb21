# Copyright: (c) 2026, The jgi.jaws engineers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What each program did before its supervisord is restarted, and that it does so again.

A supervisord that starts knows C(autostart) only: it starts what an operator had stopped, and not
what an operator had started. By the time that it answers, it has started all that it will.
"""

from __future__ import annotations

import json
import os
import re
from contextlib import suppress
from typing import Container, Dict, Mapping, Sequence

from ..errors import JawsError
from ..files import read_text, refuse_unsafe, write
from ..processes import Process, boot_id
from .client import Supervisor
from .controller import Controller
from .observation import observe, settings
from .planning import Plan
from .programs import ALIVE, Program, Setting, process_of
from .running import program_of

States = Dict[str, str]  # by namespec

UP = ("STARTING", "RUNNING")  # what is held to run again; BACKOFF had failed before
LEFT = "BACKOFF"  # what a dead daemon had run: started again, and not held to running
IDLE = ("STOPPED", "STOPPING")
LOG_BYTES = 262144
GONE = "it ran, and the configuration that is now in force has no such program"


class Note:
    """What the programs did before a restart, until they do it again: for the run that comes after
    one that was killed in between. supervisord cannot tell.

    :param pid_file: the daemon's, which it stands beside; None: nothing is noted.
    :param trusted: uids whose files are used; None: root's and our own. No other's note is read,
        and none is written beside another's files: only a kill would miss it.
    """

    def __init__(self, pid_file: str | None, trusted: Container[int] | None = None) -> None:
        self.path = f"{pid_file}.states" if pid_file else ""
        self.trusted = trusted

    def read(self) -> States:
        """Return what is noted; nothing of before the machine was booted."""
        with suppress(JawsError, ValueError, TypeError, AttributeError):
            refuse_unsafe(self.path, self.trusted)
            boot, states = json.loads(read_text(self.path) or "")
            return {str(name): str(was) for name, was in states.items() if boot == boot_id()}
        return {}

    def write(self, before: States) -> None:
        """Note what the programs do, before anything stops."""
        with suppress(JawsError):
            refuse_unsafe(self.path, self.trusted)
            write(self.path, json.dumps([boot_id(), before]), 0o640)

    def remove(self) -> None:
        """Forget it: the programs do what they did, or the task has said which do not."""
        with suppress(OSError):
            os.unlink(self.path)


def remembered(programs: Sequence[Program]) -> States:
    """Return the programs' states, as supervisord reports them."""
    return {program.name: program.state for program in programs}


def seen(
    left: Sequence[Process], names: Sequence[str], daemons: Sequence[Process], log: str | None
) -> States:
    """Return the states of programs where no daemon can be asked: the kernel shows what runs, and
    the daemon's log says last of a program that it was stopped.

    :param left: the processes that the daemon has started, or has left.
    :param names: of the programs that are defined.
    :param daemons: those that still run; without one, what has been stopped cannot be told.
    :param log: the path of their log.
    """
    # Its own children lead a group in its session; what they have detached leads a session.
    running = {program_of(one) for one in left if one.pid == one.pgid != one.session} - {""}
    if not daemons:
        return dict.fromkeys(sorted(running & {*names}), LEFT)
    stopped = _stopped(log, {daemon.pid for daemon in daemons})
    idle = {name for name in names if process_of(name) in stopped and name not in running}
    return {**dict.fromkeys(sorted(idle), "STOPPED"), **dict.fromkeys(sorted(running), "RUNNING")}


def _stopped(log: str | None, pids: set[int]) -> set[str]:
    """Return the names of the processes of which a daemon's log says last that they stopped.

    :param pids: of the daemon; what another one wrote before it counts for nothing.
    """
    try:
        with open(log or "", "rb") as stream:
            stream.seek(max(0, os.fstat(stream.fileno()).st_size - LOG_BYTES))
            text = stream.read().decode("utf-8", "replace")
    except OSError:
        return set()
    *_before, writer, text = ["", "", *re.split(r"supervisord started with pid (\d+)", text)]
    if writer and int(writer) not in pids:
        return set()
    told = re.findall(r" (spawned: |stopped: |exited: |gave up: )'?([^'\s]+)", text)
    last = {name: what for what, name in told}
    return {name for name, what in last.items() if what == "stopped: "}


def plan_restored(
    before: Mapping[str, str], now: Sequence[Program], known: Mapping[str, Setting]
) -> Plan:
    """Return what gives the programs their states back.

    What had ended by itself, and what is new, is supervisord's to start.
    """
    state = remembered(now)
    wanted = [name for name, was in before.items() if was in ALIVE and name in state]
    start = [name for name in wanted if name in known and not known[name].autostart]
    return Plan(
        stop=[name for name, was in before.items() if was in IDLE and state.get(name) in ALIVE],
        start=[name for name in start if state[name] not in ALIVE],
        await_running=[name for name in wanted if before[name] in UP and name not in start],
    )


def restore(client: Supervisor, before: Mapping[str, str], timeout: float) -> None:
    """Give the programs of a supervisord that has just been restarted their states back.

    :raises JawsError: names each that ran before and does not now (program_failed, timed_out).
    """
    if not before:
        return
    now, known = observe(client).programs, settings(client)
    gone = sorted(
        name for name, was in before.items() if was in ALIVE and name not in remembered(now)
    )
    told = [f"{name}: {GONE}." for name in gone]
    failed, reason = list(gone), "program_failed"
    try:
        Controller(client, timeout, known=known).execute(plan_restored(before, now, known))
    except JawsError as error:
        told.append(str(error))
        failed += _names(error)
        reason = error.reason
    if told:
        raise JawsError(
            f"supervisord at {client.endpoint.address} was restarted, and not everything is as "
            "before:\n" + "\n".join(told),
            reason,
            failed_programs=sorted(failed),
            changed=True,
        )


def _names(error: JawsError) -> list[str]:
    found = error.details.get("failed_programs")
    return [str(name) for name in found] if isinstance(found, list) else []
