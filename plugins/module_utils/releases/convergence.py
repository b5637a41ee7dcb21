# Copyright: (c) 2026, The jgi.jaws engineers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Make supervisord run what its supervisord.conf says.

Programs that have died are started. Programs that an operator has stopped stay stopped, with their
new definition.
"""

from __future__ import annotations

import os
from contextlib import suppress
from typing import Dict, Mapping, NamedTuple, Sequence

from ..files import read_text, write
from ..supervisor.client import Supervisor
from ..supervisor.controller import Controller
from ..supervisor.observation import Observation, observe, settings
from ..supervisor.planning import Plan, plan_updated
from ..supervisor.programs import ALIVE, Change, Program, Setting, names
from ..waiting import wait_until

Settings = Dict[str, Setting]

DEAD = ("FATAL", "EXITED", "BACKOFF")


class Applied(NamedTuple):
    """What was started, as programs, and all groups and programs that were touched."""

    started: list[str]
    touched: list[str]


def dead(programs: Sequence[Program], known: Mapping[str, Setting]) -> list[Program]:
    """Return the programs that have died, except one-shot programs that did their work."""
    return [program for program in programs if program.state in DEAD and not done(program, known)]


def done(program: Program, known: Mapping[str, Setting]) -> bool:
    """Whether this is a one-shot program that ended as it should."""
    setting = known.get(program.name)
    ended_well = setting is not None and program.exit_status in setting.exitcodes
    return setting is not None and setting.startsecs == 0 and ended_well


class Journal:
    """Notes which groups operators had stopped, from before the first change to after the last.

    If a run is killed half-way, supervisord cannot tell what the run stopped from what an operator
    stopped. The next run reads it here.

    :param path: the path of the note.
    :param stopped: the groups that are stopped now.
    """

    def __init__(self, path: str, stopped: Sequence[str]) -> None:
        self.path = path
        text = read_text(path)
        self.interrupted = text is not None
        self.idle = list(stopped) if text is None else text.splitlines()

    def begin(self) -> None:
        """Write the note."""
        text = "".join(group + "\n" for group in self.idle)
        write(self.path, text, 0o640)

    def end(self) -> None:
        """Remove the note."""
        with suppress(FileNotFoundError):
            os.unlink(self.path)


def apply(
    client: Supervisor, timeout: float, removing: bool, journal: str, exits: int | None = None
) -> Applied:
    """Apply what differs on disk, and start what has died or what a killed run has stopped.

    :param timeout: seconds for each step, in addition to the programs' own times.
    :param removing: whether to also remove programs that are gone from disk.
    :param journal: path of a file for the next run, in case this one is killed.
    :param exits: as in Controller, for a trial.
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
    """Return the plan for all groups except those that operators have stopped."""
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
    """Return what a killed run has stopped and this one does not redefine."""
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
    """Stop and remove the groups that are gone from disk, and return their names."""
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

    supervisord starts what is added in the next turn of its loop. That cannot be prevented, so they
    are stopped again at once.
    """
    if not groups:
        return
    add_again = Plan(remove=list(groups), add=list(groups))
    Controller(client, timeout, wait=False, known=known).execute(add_again)
    coming = {name for name, item in known.items() if item.group in groups and item.autostart}

    def have_been_stopped() -> bool:
        came = [p for p in observe(client).programs if p.name in coming and p.start_time]
        alive = [program.name for program in came if program.state in ALIVE]
        Controller(client, timeout, known=known).execute(Plan(stop=alive))
        coming.difference_update(names(came))
        return not coming

    if coming:
        wait_until(have_been_stopped, timeout)
