# Copyright: (c) 2026, The jgi.jaws engineers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Observe one supervisord, and act on a plan with few round trips, however many the programs."""

from __future__ import annotations

import os
import time
import xmlrpc.client
from typing import Any, Callable, Dict, List, NamedTuple, Optional, Sequence

from ansible_collections.jgi.jaws.plugins.module_utils.errors import JawsError
from ansible_collections.jgi.jaws.plugins.module_utils.programs import ALIVE, Change, Plan, Program, from_info, namespec, phases
from ansible_collections.jgi.jaws.plugins.module_utils.supervisor import ALREADY_ADDED, ALREADY_STARTED, CANT_REREAD, NOT_RUNNING, Supervisor

TAIL_BYTES = 4096
TAIL_LINES = 20
# Somebody else was faster: what was wanted is so.
IGNORED = {
    "supervisor.startProcess": ALREADY_STARTED,
    "supervisor.stopProcess": NOT_RUNNING,
    "supervisor.addProcessGroup": ALREADY_ADDED,
}


class Setting(NamedTuple):
    """What the configuration on disk says of one program, as far as waiting needs it. Seconds."""

    group: str
    autostart: bool
    priority: int
    startsecs: int
    startretries: int
    stopwaitsecs: int


class Observation(NamedTuple):
    """One look at a supervisord: its programs and, where asked for, what differs on disk."""

    programs: List[Program]
    change: Change


def observe(client: Supervisor, reread: bool = False) -> Observation:
    """Return the programs and, with C(reread), what on disk differs from them: one round trip.

    :raises JawsError: no answer, or a configuration on disk that supervisord cannot read.
    """
    calls = [("supervisor.getAllProcessInfo",)]
    if reread:
        calls.append(("supervisor.reloadConfig",))
    answers = client.batch(calls)
    infos = _checked(answers[0])
    change = Change(*_reread(client, answers[1])[0]) if reread else Change([], [], [])
    return Observation([from_info(info) for info in infos], change)


def _reread(client: Supervisor, answer: Any) -> Any:
    if isinstance(answer, xmlrpc.client.Fault) and answer.faultCode == CANT_REREAD:
        raise JawsError(
            "supervisord at %s cannot read its configuration: %s. Nothing was changed; "
            "correct the file and run this again." % (client.endpoint.url, answer.faultString),
            reason="broken_conf",
        )
    return _checked(answer)


def _checked(answer: Any) -> Any:
    if isinstance(answer, xmlrpc.client.Fault):
        raise JawsError("supervisord refuses: %s" % answer.faultString, reason="refused_by_supervisord")
    return answer


def settings(client: Supervisor) -> Dict[str, Setting]:
    """Return what the configuration that supervisord read last says, by namespec: one round trip."""
    found = {}
    for info in client.call("supervisor.getAllConfigInfo"):
        found[namespec(info["group"], info["name"])] = Setting(
            info["group"],
            info["autostart"],
            min(info["group_prio"], info["process_prio"]),
            info["startsecs"],
            info["startretries"],
            info["stopwaitsecs"],
        )
    return found


class Controller:
    """Carries out a plan: in order of priority, all programs of one priority in parallel.

    C(timeout) is in seconds and comes on top of what the programs' own startsecs, startretries and
    stopwaitsecs allow.
    """

    def __init__(self, client: Supervisor, timeout: float, wait: bool = True) -> None:
        self.client = client
        self.timeout = timeout
        self.wait = wait
        self.settings: Dict[str, Setting] = {}

    def execute(self, plan: Plan, signal: str = "") -> None:
        """Carry out the plan; C(signal) is a name or number for the programs in C(plan.signal).

        :raises JawsError: a program failed (program_failed) or did not settle in time (timed_out).
        """
        self.settings = settings(self.client)
        self.stop(plan)
        self._send("supervisor.removeProcessGroup", plan.remove)
        self.add(plan.add)
        self._send("supervisor.signalProcess", plan.signal, signal)
        self.start(plan.start)
        if self.wait:
            self._await_running(plan.await_running)

    def stop(self, plan: Plan) -> None:
        """Stop, highest priority number first, each priority once the one before it is down."""
        must_wait = self.wait or bool(plan.remove or plan.start)
        for batch in self._phases(plan.stop, reverse=True):
            self._send("supervisor.stopProcess", batch, False)
            if must_wait:
                self._await_stopped(batch)
        if must_wait:
            self._await_stopped(plan.await_stopped)

    def start(self, names: Sequence[str]) -> None:
        """Start, lowest priority number first, each priority once the one before it runs."""
        for batch in self._phases(names):
            self._send("supervisor.startProcess", batch, False)
            if self.wait:
                self._await_running(batch)

    def add(self, groups: Sequence[str]) -> None:
        """Make groups active, lowest priority number first; supervisord starts those with autostart."""
        members: Dict[str, List[str]] = {group: [] for group in groups}
        order = {group: 999 for group in groups}
        for name, setting in self.settings.items():
            if setting.group in members:
                order[setting.group] = setting.priority
                if setting.autostart:
                    members[setting.group].append(name)
        for batch in phases(groups, order):
            self._send("supervisor.addProcessGroup", batch)
            if self.wait:
                self._await_running([name for group in batch for name in members[group]])

    def _phases(self, names: Sequence[str], reverse: bool = False) -> List[List[str]]:
        return phases(names, {name: setting.priority for name, setting in self.settings.items()}, reverse)

    def _send(self, method: str, names: Sequence[str], *params: Any) -> None:
        answers = self.client.batch([(method, name, *params) for name in names])
        failed = [
            "%s: %s" % (name, answer.faultString)
            for name, answer in zip(names, answers)
            if isinstance(answer, xmlrpc.client.Fault) and answer.faultCode != IGNORED.get(method)
        ]
        if failed:
            self._fail_named(method, names, failed)

    def _fail_named(self, method: str, names: Sequence[str], failed: List[str]) -> None:
        programs = {program.name: program for program in observe(self.client).programs}
        known = [programs[name] for name in names if name in programs]
        raise failure(method.split(".")[1], [p for p in known if p.state not in ALIVE] or known, failed)

    def _await_running(self, names: Sequence[str]) -> None:
        self._await(names, _is_final, "start", self._start_limit(names))

    def _await_stopped(self, names: Sequence[str]) -> None:
        self._await(names, _is_down, "stop", self._limit(names, "stopwaitsecs"))

    def _limit(self, names: Sequence[str], what: str) -> float:
        known = [getattr(self.settings[name], what) for name in names if name in self.settings]
        return float(max(known, default=0))

    def _start_limit(self, names: Sequence[str]) -> float:
        known = [self.settings[name] for name in names if name in self.settings]
        return float(max((_until_fatal(setting) for setting in known), default=0))

    def _await(
        self, names: Sequence[str], done: Callable[[Program], bool], verb: str, limit: float
    ) -> None:
        if not names:
            return
        seconds = self.timeout + limit
        programs = self._poll(set(names), done, time.monotonic() + seconds)
        pending = [program for program in programs if not done(program)]
        if pending:
            raise failure("%s within %g s" % (verb, seconds), pending, reason="timed_out")
        failed = [p for p in programs if verb == "start" and not _is_up(p)]
        if failed:
            raise failure(verb, failed)

    def _poll(self, names: set[str], done: Callable[[Program], bool], deadline: float) -> List[Program]:
        pause = 0.05
        while True:
            asked = time.monotonic()
            programs = [p for p in observe(self.client).programs if p.name in names]
            if all(done(program) for program in programs) or time.monotonic() > deadline:
                return programs
            # As long again as the answer took, so that a poller never takes the daemon's whole core.
            pause = min(max(pause * 1.2, time.monotonic() - asked), 0.5)
            time.sleep(pause)


def _until_fatal(setting: Setting) -> int:
    """Seconds until supervisord gives a program up: each spawn's startsecs, and 1, 2, 3… s between."""
    return (setting.startretries + 1) * setting.startsecs + sum(range(1, setting.startretries + 1))


def _is_final(program: Program) -> bool:
    # supervisord spawns the programs of a new group one turn of its loop after it has added the group.
    not_yet = program.state == "STOPPED" and program.start_time is None
    return program.state not in ("STARTING", "BACKOFF", "STOPPING") and not not_yet


def _is_down(program: Program) -> bool:
    return program.state not in ALIVE and program.state != "STOPPING"


def _is_up(program: Program) -> bool:
    # A one-shot program (startsecs=0) has done its work by the time that we look.
    return program.state == "RUNNING" or (program.state == "EXITED" and program.exit_status == 0)


def failure(
    verb: str, programs: Sequence[Program], answers: Sequence[str] = (), reason: str = "program_failed"
) -> JawsError:
    """Return the error that says of each program its state, exit status, cause and last log lines."""
    told = list(answers) + [describe(program) for program in programs]
    message = "did not %s: %s" % (verb, "\n".join(told))
    return JawsError(message, reason, failed_programs=[program.name for program in programs])


def describe(program: Program) -> str:
    """Return one program's state for people, with the last lines of its logs."""
    facts = [program.state]
    if program.exit_status is not None:
        facts.append("exit status %s" % program.exit_status)
    if program.spawn_error:
        facts.append(program.spawn_error)
    logs = [path for path in (program.log_file, program.error_log_file) if path]
    return "%s is %s%s" % (program.name, ", ".join(facts), "".join(_tail_text(path) for path in logs))


def _tail_text(path: str) -> str:
    lines = tail(path)
    if lines is None:
        return "\n  %s cannot be read by this user" % path
    return "\n  last lines of %s:\n%s" % (path, "".join("    %s\n" % line for line in lines) or "    (empty)\n")


def tail(path: str, max_lines: int = TAIL_LINES) -> Optional[List[str]]:
    """Return the last lines of a log, at most 4 KiB, or None where it cannot be read.

    From the file: a large log read through RPC blocks supervisord for everybody.
    """
    try:
        with open(path, "rb") as stream:
            stream.seek(max(0, os.fstat(stream.fileno()).st_size - TAIL_BYTES))
            return stream.read().decode("utf-8", "replace").splitlines()[-max_lines:]
    except OSError:
        return None
