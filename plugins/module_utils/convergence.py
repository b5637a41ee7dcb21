# Copyright: (c) 2026, The jgi.jaws engineers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Make supervisord run what its supervisord.conf says, and hold what was started to running.

What has died is started, what an operator has stopped stays stopped, with its new definition.
"""

from __future__ import annotations

import os
import time
from contextlib import suppress
from typing import Any, Dict, Mapping, NamedTuple, Sequence

from ansible_collections.jgi.jaws.plugins.module_utils import conf, health, processes
from ansible_collections.jgi.jaws.plugins.module_utils.control import (
    Controller,
    Observation,
    describe,
    observe,
    settings,
    with_exit_status,
)
from ansible_collections.jgi.jaws.plugins.module_utils.errors import JawsError
from ansible_collections.jgi.jaws.plugins.module_utils.programs import (
    ALIVE,
    Change,
    Plan,
    Program,
    Setting,
    names,
    plan_updated,
)
from ansible_collections.jgi.jaws.plugins.module_utils.supervisor import Supervisor

Settings = Dict[str, Setting]

DEAD = ("FATAL", "EXITED", "BACKOFF")
PAUSE = 0.1
WATCH_PAUSE = 0.25


class Applied(NamedTuple):
    """What was started, as programs, and all groups and programs that were touched."""

    started: list[str]
    touched: list[str]


def dead(programs: Sequence[Program], known: Mapping[str, Setting]) -> list[Program]:
    """Return the programs that have died; one that has done its work (startsecs=0) has not."""
    return [program for program in programs if program.state in DEAD and not done(program, known)]


def done(program: Program, known: Mapping[str, Setting]) -> bool:
    """Whether this is a one-shot program that ended as it should."""
    setting = known.get(program.name)
    ended_well = setting is not None and program.exit_status in setting.exitcodes
    return setting is not None and setting.startsecs == 0 and ended_well


class Journal:
    """Notes which groups people had stopped before anything was applied, until all is applied.

    Where a run was killed in between, supervisord shows what it had stopped as it shows what people
    have: the next run goes by the note.

    :param path: of the note.
    :param stopped: the groups that are stopped now.
    """

    def __init__(self, path: str, stopped: Sequence[str]) -> None:
        self.path = path
        text = conf.read_text(path)
        self.interrupted = text is not None
        self.idle = list(stopped) if text is None else text.splitlines()

    def begin(self) -> None:
        """Write the note."""
        text = "".join(group + "\n" for group in self.idle)
        with conf.Candidate(self.path, text, 0o640) as candidate:
            candidate.commit()

    def end(self) -> None:
        """Remove it."""
        with suppress(FileNotFoundError):
            os.unlink(self.path)


def apply(
    client: Supervisor, timeout: float, removing: bool, journal: str, exits: int | None = None
) -> Applied:
    """Apply what differs on disk and start what has died, or what a killed run has stopped.

    :param timeout: seconds for each step, on top of the programs' own times.
    :param removing: whether to remove what is gone from disk, too.
    :param journal: path of a file for the next run, should this one be killed.
    :param exits: as Controller's, for a trial.
    :raises JawsError: a program failed (program_failed) or did not settle (timed_out).
    """
    seen = observe(client, reread=True)
    known = settings(client)
    note = Journal(journal, _stopped_groups(seen.programs))
    idle = [group for group in seen.change.added + seen.change.changed if group in note.idle]
    plan = _plan(seen, known, note, removing)
    if plan.changes or idle:
        note.begin()
        _redefine(client, timeout, known, idle)
        Controller(client, timeout, known=known, exits=exits).execute(plan)
    note.end()
    started = [name for name, setting in known.items() if setting.group in plan.add]
    touched = {*started, *plan.start, *plan.remove, *idle}
    return Applied(started + plan.start, sorted(touched))


def _plan(seen: Observation, known: Settings, note: Journal, removing: bool) -> Plan:
    """Return what is to be done with all but the groups that people have stopped."""
    change = Change(
        [group for group in seen.change.added if group not in note.idle],
        [group for group in seen.change.changed if group not in note.idle],
        seen.change.removed if removing else [],
    )
    plan = plan_updated(change, seen.programs)
    fallen = [p for p in dead(seen.programs, known) if p.group not in seen.change.groups]
    waiting = [program.name for program in fallen if program.state == "BACKOFF"]
    fallen += _left_stopped(seen, note, known)
    return plan._replace(start=names(fallen), stop=plan.stop + waiting)


def _left_stopped(seen: Observation, note: Journal, known: Settings) -> list[Program]:
    """Return what a killed run has stopped and this one does not define anew."""
    return [
        program
        for program in seen.programs
        if note.interrupted
        and program.state == "STOPPED"
        and program.group not in note.idle + seen.change.groups
        and program.name in known
        and known[program.name].autostart
    ]


def drop(client: Supervisor, timeout: float) -> list[str]:
    """Stop and remove what is gone from disk, and return its groups."""
    seen = observe(client, reread=True)
    plan = plan_updated(Change([], [], seen.change.removed), seen.programs)
    if plan.changes:
        Controller(client, timeout).execute(plan)
    return plan.remove


def _stopped_groups(programs: Sequence[Program]) -> list[str]:
    up = {program.group for program in programs if program.state != "STOPPED"}
    return sorted({program.group for program in programs} - up)


def _redefine(client: Supervisor, timeout: float, known: Settings, groups: Sequence[str]) -> None:
    """Give stopped groups their new definition.

    supervisord starts what is added in the next turn of its loop, and cannot be told not to: so it
    is stopped again at once.
    """
    if not groups:
        return
    add_again = Plan(remove=list(groups), add=list(groups))
    Controller(client, timeout, wait=False, known=known).execute(add_again)
    coming = {name for name, item in known.items() if item.group in groups and item.autostart}
    deadline = time.monotonic() + timeout
    while coming and time.monotonic() < deadline:
        time.sleep(PAUSE)
        came = [p for p in observe(client).programs if p.name in coming and p.start_time]
        alive = [program.name for program in came if program.state in ALIVE]
        Controller(client, timeout, known=known).execute(Plan(stop=alive))
        coming.difference_update(names(came))


class Watch:
    """Holds programs to RUNNING with one process through a window, and to their health checks.

    :param limits: C(window) and C(health_timeout), seconds.
    """

    def __init__(self, client: Supervisor, limits: Mapping[str, Any]) -> None:
        self.client = client
        self._born: dict[str, int | None] = {}
        self.window = limits["window"]
        self.health_timeout = limits["health_timeout"]

    def hold(self, wanted: Sequence[str], checks: Mapping[str, health.Check]) -> None:
        """Return when the window is over and every check has succeeded once.

        :param wanted: the programs' names; what was never started or has done its work
            is not meant.
        :param checks: by name; only those of the programs count.
        :raises JawsError: a program ended or was started again (unstable), or does not answer
            (unhealthy).
        """
        started = time.monotonic()
        known = settings(self.client)
        candidates = [p for p in self._look() if p.name in wanted and p.start_time]
        first = {program.name: program for program in candidates if not done(program, known)}
        self._born = {name: _born(program) for name, program in first.items()}
        pending = {name: check for name, check in checks.items() if name in first}
        while True:
            self._refuse_moved(first)
            reasons = health.failing(pending)
            pending = {name: pending[name] for name in reasons}
            elapsed = time.monotonic() - started
            if pending and elapsed > self.health_timeout:
                raise self._unhealthy(reasons)
            if not pending and elapsed > self.window:
                return
            time.sleep(WATCH_PAUSE)

    def _look(self) -> list[Program]:
        return observe(self.client).programs

    def _refuse_moved(self, first: Mapping[str, Program]) -> None:
        found = self._look()
        now = {program.name: program for program in found}
        moved = [name for name in first if not self._is_same(first[name], now.get(name))]
        if moved:
            told = [self._fate(first[name], now.get(name), found) for name in moved]
            message = "\n".join([f"did not stay up for {self.window:g} s.", *told])
            raise JawsError(message, "unstable", failed_programs=moved)

    def _is_same(self, was: Program, now: Program | None) -> bool:
        if now is None or now.state != "RUNNING" or now.pid != was.pid:
            return False
        return _born(now) == self._born[was.name]

    def _fate(self, was: Program, now: Program | None, found: Sequence[Program]) -> str:
        if now is None:
            return f"{was.name} was removed meanwhile"
        # Of one that was started again, supervisord's log alone knows how it ended.
        asked = now if now.state == "EXITED" else now._replace(state="BACKOFF")
        ended = with_exit_status(self.client, [asked], found)[0]
        told = describe(now._replace(exit_status=ended.exit_status))
        return f"process {was.pid} ended: {told}"

    def _unhealthy(self, reasons: Mapping[str, str]) -> JawsError:
        logs = [describe(program) for program in self._look() if program.name in reasons]
        seen = "; ".join(f"{name}: {reason}" for name, reason in reasons.items())
        message = "\n".join([f"not healthy within {self.health_timeout:g} s: {seen}", *logs])
        return JawsError(message, "unhealthy", failed_programs=list(reasons))


def _born(program: Program) -> int | None:
    """Return when the kernel started the process, in ticks since the boot; None where it hides it.

    What supervisord says of it changes when the clock is set back.
    """
    process = processes.read_process(program.pid) if program.pid else None
    return process.start_ticks if process else None
