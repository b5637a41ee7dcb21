# Copyright: (c) 2026, The jgi.jaws engineers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Make supervisord run what its supervisord.conf says.

Programs that have died are started. Programs that an operator has stopped stay stopped, with their
new definition. One-shot programs, which end by themselves, run when their definition is new, and
programs of a later priority wait for them.
"""

from __future__ import annotations

import os
import shlex
import stat
from contextlib import ExitStack, contextmanager, suppress
from typing import Collection, Dict, Iterable, Iterator, Mapping, NamedTuple, Sequence

from ..supervisor.client import Supervisor
from ..supervisor.conf import definitions
from ..supervisor.controller import Controller
from ..supervisor.diagnosis import mark
from ..supervisor.observation import Observation, observe_release, settings
from ..supervisor.planning import Plan, plan_updated, until_ended
from ..supervisor.programs import ALIVE, Change, Program, Setting, has_done, names
from ..system.files import read_text, write
from ..system.waiting import wait_until

Settings = Dict[str, Setting]

DEAD = ("FATAL", "EXITED", "BACKOFF")
EXECUTE = stat.S_IXUSR | stat.S_IXGRP | stat.S_IXOTH


class Wish(NamedTuple):
    """How to apply a release.

    :param one_shot: the names of its one-shot programs.
    :param runs: whether these run; not if an earlier release comes back, which has run them.
    :param files: by name: the file that a program runs, if it is one of the release's own.
    :param removing: whether to also remove programs that are gone from disk.
    :param exits: as in Controller, for a trial.
    """

    one_shot: Collection[str] = ()
    runs: bool = True
    files: Mapping[str, str] = {}
    removing: bool = False
    exits: int | None = None


def own_files(programs: str, published: Collection[str]) -> dict[str, str]:
    """Return by name the published file that each program of a configuration runs."""
    found = {}
    for name, text in definitions(programs).items():
        with suppress(StopIteration, ValueError, IndexError):
            line = next(one for one in text.splitlines() if one.startswith("command="))
            path = shlex.split(line[len("command=") :])[0].replace("%%", "%")
            if path in published:
                found[name] = path
    return found


class Applied(NamedTuple):
    """What was started, as programs, and all groups and programs that were touched."""

    started: list[str]
    touched: list[str]


def dead(programs: Sequence[Program], known: Mapping[str, Setting]) -> list[Program]:
    """Return the programs that have died, except one-shot programs that did their work."""
    return [program for program in programs if program.state in DEAD and not done(program, known)]


def done(program: Program, known: Mapping[str, Setting]) -> bool:
    """Whether this is a one-shot program that ended as it should."""
    return has_done(program, known.get(program.name))


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


def apply(client: Supervisor, timeout: float, journal: str, wish: Wish) -> Applied:
    """Apply what differs on disk, and start what has died or what a killed run has stopped.

    :param timeout: seconds for each step, in addition to the programs' own times.
    :param journal: path of a file for the next run, in case this one is killed.
    :raises JawsError: a program failed (program_failed) or did not settle (timed_out).
    """
    seen = observe_release(client, reread=True)
    mark(seen.programs)
    known = settings(client)
    note = Journal(journal, _stopped_groups(seen.programs, wish.one_shot))
    differs = seen.change.added + seen.change.changed
    idle = [group for group in differs if group in note.idle or _rests(group, wish)]
    plan = until_ended(_plan(seen, known, note, idle, wish), wish.one_shot, known)
    if plan.changes or idle:
        note.begin()
        _await_one_shots(client, timeout, seen, plan, wish)
        _redefine(client, timeout, known, idle, wish.files)
        Controller(client, timeout, known=known, exits=wish.exits).execute(plan)
    note.end()
    started = [name for name, setting in known.items() if setting.group in plan.add]
    touched = {*started, *plan.start, *plan.remove, *idle}
    return Applied(started + plan.start, sorted(touched))


def _rests(group: str, wish: Wish) -> bool:
    return group in wish.one_shot and not wish.runs


def _await_one_shots(
    client: Supervisor, timeout: float, seen: Observation, plan: Plan, wish: Wish
) -> None:
    """Wait for one-shot programs that a killed run has started, before anything else starts.

    :raises JawsError: as Controller.
    """
    leaving = {*plan.stop, *plan.await_stopped}
    running = [
        program.name
        for program in seen.programs
        if program.name in wish.one_shot and program.state in ALIVE and program.name not in leaving
    ]
    if running and wish.runs:
        Controller(client, timeout).execute(Plan(await_running=running, await_ended=running))


def _plan(
    seen: Observation, known: Settings, note: Journal, idle: Sequence[str], wish: Wish
) -> Plan:
    """Return the plan for all groups except those that stay stopped."""
    change = Change(
        [group for group in seen.change.added if group not in idle],
        [group for group in seen.change.changed if group not in idle],
        seen.change.removed if wish.removing else [],
    )
    plan = plan_updated(change, seen.programs)
    fallen = [p for p in dead(seen.programs, known) if p.group not in seen.change.groups]
    waiting = [program.name for program in fallen if program.state == "BACKOFF"]
    fallen = [p for p in fallen if p.group not in note.idle and not _rests(p.group, wish)]
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
    seen = observe_release(client, reread=True)
    plan = plan_updated(Change([], [], seen.change.removed), seen.programs)
    if plan.changes:
        Controller(client, timeout).execute(plan)
    return plan.remove


def _stopped_groups(programs: Sequence[Program], one_shot: Collection[str]) -> list[str]:
    """Return the groups that an operator has stopped. A one-shot program was not, if it is STOPPED:
    it has not run yet.
    """
    up = {program.group for program in programs if program.state != "STOPPED"}
    return sorted({program.group for program in programs} - up - {*one_shot})


def _redefine(
    client: Supervisor,
    timeout: float,
    known: Settings,
    groups: Sequence[str],
    files: Mapping[str, str],
) -> None:
    """Give stopped groups their new definition, without running them.

    supervisord starts what is added in the next turn of its loop, and that cannot be prevented. So
    their files cannot be executed meanwhile, and then they are stopped. A program that runs another
    file runs for a moment.
    """
    if not groups:
        return
    with closed(files[group] for group in groups if group in files):
        _add_stopped(client, timeout, known, groups)


@contextmanager
def closed(paths: Iterable[str]) -> Iterator[None]:
    """Make files that nobody can execute, for a while; another user's files are left alone."""
    with ExitStack() as stack:
        for path in paths:
            with suppress(PermissionError):
                mode = stat.S_IMODE(os.stat(path).st_mode)
                os.chmod(path, mode & ~EXECUTE)
                stack.callback(os.chmod, path, mode)
        yield


def _add_stopped(
    client: Supervisor, timeout: float, known: Settings, groups: Sequence[str]
) -> None:
    alive = [program for program in observe_release(client).programs if program.group in groups]
    stop = [program.name for program in alive if program.state in ALIVE]
    add_again = Plan(stop=stop, remove=list(groups), add=list(groups))
    Controller(client, timeout, wait=False, known=known).execute(add_again)
    coming = {name for name, item in known.items() if item.group in groups and item.autostart}

    def have_been_stopped() -> bool:
        came = [p for p in observe_release(client).programs if p.name in coming and p.start_time]
        alive = [program.name for program in came if program.state in ALIVE]
        Controller(client, timeout, known=known).execute(Plan(stop=alive))
        coming.difference_update(names(came))
        return not coming

    if coming:
        wait_until(have_been_stopped, timeout)
