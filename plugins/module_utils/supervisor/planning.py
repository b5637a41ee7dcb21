# Copyright: (c) 2026, The jgi.jaws engineers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What has to be done with programs, worked out from their states and what is wanted.

Pure functions; nothing here speaks to supervisord.
"""

from __future__ import annotations

import signal as signals
from typing import Iterable, Mapping, NamedTuple, Sequence

from ..errors import JawsError
from .programs import ALIVE, Change, Program, Setting, names

LAST = (999, 999)  # Supervisor's default priority


class Plan(NamedTuple):
    """What is to be done, in this order. Names are namespecs, C(add) and C(remove) name groups."""

    stop: list[str] = []
    remove: list[str] = []
    add: list[str] = []
    start: list[str] = []
    signal: list[str] = []
    await_running: list[str] = []
    await_stopped: list[str] = []

    @property
    def changes(self) -> bool:
        """Whether anything is to be changed; waiting for what is under way is none."""
        return any((self.stop, self.remove, self.add, self.start, self.signal))


def arriving(groups: Iterable[str], configured: Mapping[str, Setting]) -> list[Program]:
    """Return the programs that adding C(groups) brings: STARTING where they start by themselves."""
    wanted = frozenset(groups)
    return [
        Program(name, setting.group, "STARTING" if setting.autostart else "STOPPED")
        for name, setting in configured.items()
        if setting.group in wanted
    ]


def plan_started(selected: Sequence[Program]) -> Plan:
    """Start what is down; wait for what is under way (STARTING, BACKOFF).

    :raises JawsError: a program is UNKNOWN (lost_program).
    """
    _refuse_lost(selected)
    start = [program for program in selected if program.state not in ALIVE]
    pending = [program for program in selected if program.state in ("STARTING", "BACKOFF")]
    stopping = [program for program in start if program.state == "STOPPING"]
    return Plan(start=names(start), await_running=names(pending), await_stopped=names(stopping))


def plan_stopped(selected: Sequence[Program]) -> Plan:
    """Stop what is alive, a BACKOFF between two starts included; wait for what is STOPPING.

    :raises JawsError: a program is UNKNOWN (lost_program).
    """
    _refuse_lost(selected)
    stop = [program for program in selected if program.state in ALIVE]
    pending = [program for program in selected if program.state == "STOPPING"]
    return Plan(stop=names(stop), await_stopped=names(pending))


def _refuse_lost(programs: Sequence[Program]) -> None:
    """Refuse UNKNOWN: supervisord takes it for stopped, and would start a second copy beside it."""
    lost = [
        f"{program.name} (pid {program.pid})" for program in programs if program.state == "UNKNOWN"
    ]
    if lost:
        raise JawsError(
            f"supervisord has lost control of {', '.join(lost)}: it could not signal it, and "
            "its state is UNKNOWN. End that process by hand, then restart supervisord.",
            reason="lost_program",
        )


def plan_signalled(selected: Sequence[Program], signal: str) -> Plan:
    """Signal what runs.

    :raises JawsError: there is no such signal (bad_option).
    """
    if not _is_signal(signal):
        raise JawsError(
            f"{signal} is not a signal: give a name or a number, for example USR1.", "bad_option"
        )
    return Plan(signal=[program.name for program in selected if program.state == "RUNNING"])


def _is_signal(text: str) -> bool:
    if text.strip().isdecimal():
        return int(text) in frozenset(signals.Signals)
    name = text.strip().upper()
    return hasattr(signals.Signals, name if name.startswith("SIG") else "SIG" + name)


def plan_updated(change: Change, programs: Sequence[Program]) -> Plan:
    """Apply what differs on disk: once, and nothing else.

    :raises JawsError: a program that has to stop is UNKNOWN (lost_program).
    """
    leaving = frozenset(change.changed + change.removed)
    stop = plan_stopped([program for program in programs if program.group in leaving])
    return stop._replace(remove=change.changed + change.removed, add=change.added + change.changed)


def plan_restarted(
    selected: Sequence[Program], change: Change, programs: Sequence[Program]
) -> Plan:
    """Apply what differs on disk, then restart the selected programs that it did not restart.

    :param selected: among the programs as they are after the update, see C(arriving).
    :raises JawsError: a program that has to stop is UNKNOWN (lost_program).
    """
    update = plan_updated(change, programs)
    rest = [program for program in selected if program.group not in update.add]
    idle = [
        program
        for program in selected
        if program.group in update.add and program.state == "STOPPED"
    ]
    restart = plan_stopped(rest)
    return update._replace(
        stop=update.stop + restart.stop,
        start=names(rest) + names(idle),
        await_stopped=update.await_stopped + restart.await_stopped,
    )


def plan_absent(selected: Sequence[Program], programs: Sequence[Program], stop_first: bool) -> Plan:
    """Remove the groups of the selected programs, which must be stopped unless C(stop_first).

    :raises JawsError: a program runs (still_running) or is UNKNOWN (lost_program), or a group has
        programs that are not selected (partial_group).
    """
    groups = frozenset(program.group for program in selected)
    members = [program for program in programs if program.group in groups]
    others = sorted(set(names(members)) - set(names(selected)))
    if others:
        raise JawsError(
            f"supervisord removes whole groups only: removing {', '.join(names(selected))} "
            f"would remove {', '.join(others)} too. Name the group, or change its "
            "configuration and use state=updated.",
            reason="partial_group",
        )
    stop = plan_stopped(members)
    if (stop.stop or stop.await_stopped) and not stop_first:
        raise JawsError(
            f"cannot remove {', '.join(stop.stop + stop.await_stopped)}: still running. Stop "
            "it first, or set stop_before_removing=true.",
            reason="still_running",
        )
    return stop._replace(remove=sorted(groups))


def phases(
    items: Iterable[str], priorities: Mapping[str, tuple[int, int]], reverse: bool = False
) -> list[list[str]]:
    """Return the names in batches of one priority: ascending to start, descending to stop."""
    by_priority: dict[tuple[int, int], list[str]] = {}
    for name in items:
        by_priority.setdefault(priorities.get(name, LAST), []).append(name)
    return [by_priority[priority] for priority in sorted(by_priority, reverse=reverse)]


def predict(
    programs: Sequence[Program], plan: Plan, configured: Mapping[str, Setting]
) -> dict[str, str]:
    """Return each program's state after the plan, where every program does what it should."""
    states = {
        program.name: program.state for program in programs if program.group not in plan.remove
    }
    states.update((name, "STOPPED") for name in plan.stop + plan.await_stopped if name in states)
    for program in arriving(plan.add, configured):
        states[program.name] = "RUNNING" if program.state == "STARTING" else "STOPPED"
    states.update((name, "RUNNING") for name in plan.start + plan.await_running)
    return states


def state_lines(states: Mapping[str, str]) -> str:
    """Return the states as the text that diff mode shows."""
    return "".join(f"{name} {state}\n" for name, state in sorted(states.items()))
