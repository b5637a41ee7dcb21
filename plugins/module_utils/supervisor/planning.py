# Copyright: (c) 2026, The jgi.jaws engineers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What must be done with programs, derived from their states and what is wanted.

Pure functions; nothing here speaks to supervisord.
"""

from __future__ import annotations

import re
import signal as signals
from typing import Collection, Iterable, Mapping, NamedTuple, Sequence

from ..errors import JawsError
from .programs import ALIVE, Change, Program, Setting, is_down, names

LAST = (999, 999)  # Supervisor's default priority


class Plan(NamedTuple):
    """What to do, in this order. Names are namespecs; C(add) and C(remove) name groups.

    C(await_ended) are programs that are expected to end, among those that start or run already.
    """

    stop: list[str] = []
    remove: list[str] = []
    add: list[str] = []
    start: list[str] = []
    signal: list[str] = []
    await_running: list[str] = []
    await_stopped: list[str] = []
    await_ended: list[str] = []

    @property
    def changes(self) -> bool:
        """Whether anything must be changed; waiting for what is under way does not count."""
        return any((self.stop, self.remove, self.add, self.start, self.signal))

    @property
    def waits(self) -> bool:
        """Whether anything is under way that may be waited for."""
        return any((self.await_running, self.await_stopped, self.await_ended))


class Work(NamedTuple):
    """What a task does: its plans; after the first one that fails, the rest is skipped.

    C(others) comes before them. The task is not about these, so a failure there is a warning.
    """

    plans: list[Plan]
    others: Plan = Plan()

    @property
    def whole(self) -> Plan:
        """All of it as one plan, to predict the result."""
        fields = zip(self.others, *self.plans)
        return Plan(*([name for part in field for name in part] for field in fields))


def arriving(groups: Iterable[str], configured: Mapping[str, Setting]) -> list[Program]:
    """Return the programs that adding C(groups) brings: STARTING if they start automatically."""
    wanted = frozenset(groups)
    return [
        Program(name, setting.group, "STARTING" if setting.autostart else "STOPPED")
        for name, setting in configured.items()
        if setting.group in wanted
    ]


def plan_started(selected: Sequence[Program], ending: Collection[str] = ()) -> Plan:
    """Start what is down; wait for what is under way (STARTING, BACKOFF).

    :param ending: the names of programs that are expected to end: not done while they run.
    :raises JawsError: a program is UNKNOWN (lost_program).
    """
    _refuse_lost(selected)
    start = [program for program in selected if program.state not in ALIVE]
    pending = [
        program
        for program in selected
        if program.state in (ALIVE if program.name in ending else ("STARTING", "BACKOFF"))
    ]
    stopping = [program for program in start if program.state == "STOPPING"]
    return Plan(start=names(start), await_running=names(pending), await_stopped=names(stopping))


def until_ended(plan: Plan, ending: Collection[str], configured: Mapping[str, Setting]) -> Plan:
    """Return the plan that waits until these programs have ended, instead of until they run."""
    added = [program for program in arriving(plan.add, configured) if program.state == "STARTING"]
    awaited = plan.start + plan.await_running + names(added)
    return plan._replace(
        await_running=[name for name in plan.await_running if name not in ending],
        await_ended=[name for name in awaited if name in ending],
    )


def plan_stopped(selected: Sequence[Program]) -> Plan:
    """Stop what is alive, including BACKOFF between two starts; wait for what is STOPPING.

    :raises JawsError: a program is UNKNOWN (lost_program).
    """
    _refuse_lost(selected)
    stop = [program for program in selected if program.state in ALIVE]
    pending = [program for program in selected if program.state == "STOPPING"]
    return Plan(stop=names(stop), await_stopped=names(pending))


def _refuse_lost(programs: Sequence[Program]) -> None:
    """Refuse UNKNOWN: supervisord takes it for stopped, and would start a second copy."""
    lost = [
        f"{program.name} (pid {program.pid})" for program in programs if program.state == "UNKNOWN"
    ]
    if lost:
        raise JawsError(
            f"supervisord has lost control of {', '.join(lost)}: it could not signal it, and "
            "its state is UNKNOWN. Nothing was changed. The module supervisord with state=killed, "
            "run as that process's user or root, ends it with everything that supervisord runs; "
            "state=started then starts it again.",
            reason="lost_program",
            pids=[program.pid for program in programs if program.state == "UNKNOWN"],
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
    """Whether supervisord takes it for a signal: a name with or without SIG, or a number."""
    known = {name: value for name, value in vars(signals).items() if name.startswith("SIG")}
    try:
        return int(text) in known.values()
    except ValueError:
        name = text.strip().upper()
        return (name if name.startswith("SIG") else "SIG" + name) in known


def plan_updated(change: Change, programs: Sequence[Program]) -> Plan:
    """Apply what differs on disk: once, and nothing else.

    :raises JawsError: a program that must stop is UNKNOWN (lost_program).
    """
    leaving = frozenset(change.changed + change.removed)
    stop = plan_stopped([program for program in programs if program.group in leaving])
    return stop._replace(remove=change.changed + change.removed, add=change.added + change.changed)


def plan_restarted(
    selected: Sequence[Program], change: Change, programs: Sequence[Program]
) -> Plan:
    """Apply what differs on disk, then restart the selected programs that it did not restart.

    :param selected: some of the programs as they are after the update, see C(arriving).
    :raises JawsError: a program that must stop is UNKNOWN (lost_program).
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


def plan_absent(
    selected: Sequence[Program],
    programs: Sequence[Program],
    stop_first: bool,
    wanted: Sequence[str] = (),
) -> Plan:
    """Remove the groups of the selected programs, which must be stopped unless C(stop_first).

    :param wanted: the names; that of a program may also be its group's if its others are down.
    :raises JawsError: a program runs (still_running) or is UNKNOWN (lost_program), or a group has
        programs that are not selected (partial_group).
    """
    groups = frozenset(program.group for program in selected)
    members = [program for program in programs if program.group in groups]
    chosen = frozenset(names(selected))
    others = [
        program.name
        for program in members
        if program.name not in chosen and not (program.group in wanted and is_down(program))
    ]
    if others:
        raise _partial(names(selected), others)
    stop = plan_stopped(members)
    if (stop.stop or stop.await_stopped) and not stop_first:
        raise JawsError(
            f"cannot remove {', '.join(stop.stop + stop.await_stopped)}: still running. Stop "
            "it first, or set stop_before_removing=true.",
            reason="still_running",
        )
    return stop._replace(remove=sorted(groups))


def _partial(selected: Sequence[str], others: Sequence[str]) -> JawsError:
    return JawsError(
        f"supervisord only removes whole groups: removing {', '.join(selected)} would remove "
        f"{', '.join(sorted(others))} too. Name the group with its colon, or change its "
        "configuration and use state=updated.",
        reason="partial_group",
    )


def batches(
    selected: Sequence[Program],
    change: Change,
    configured: Mapping[str, Setting],
    size: int,
) -> list[list[Program]]:
    """Return the programs in batches of at most C(size), to restart one batch after the other.

    Those of low priority come first. A group that differs on disk stays together, because
    supervisord only replaces whole groups.

    :raises JawsError: more programs of a group run than fit into a batch (partial_group).
    """
    units: dict[str, list[Program]] = {}
    for program in sorted(selected, key=lambda one: _priority(one, configured)):
        key = f"{program.group}:" if program.group in change.groups else program.name
        units.setdefault(key, []).append(program)
    found: list[list[Program]] = []
    for key, unit in units.items():
        if len(unit) > size and key.rstrip(":") in change.changed:
            raise _too_large(key.rstrip(":"), len(unit), size)
        if not found or len(found[-1]) + len(unit) > size:
            found.append([])
        found[-1] += unit
    return found


def _too_large(group: str, number: int, size: int) -> JawsError:
    return JawsError(
        f"{group} differs on disk, and supervisord only replaces a group as a whole: its {number} "
        f"programs cannot restart {size} at a time. Nothing was changed; raise serial, or apply it "
        f"first with state=updated and name={group}.",
        reason="partial_group",
    )


def batch_size(serial: str, number: int) -> int:
    """Return how many programs restart at a time.

    :param serial: a number, or a percentage of C(number), rounded down; at least one.
    :raises JawsError: it is neither (bad_option).
    """
    found = re.fullmatch(r"\s*([0-9]+)\s*(%?)\s*", serial)
    count, is_share = (int(found.group(1)), bool(found.group(2))) if found else (0, False)
    if count < 1 or (is_share and count > 100):
        raise JawsError(
            f"serial must be a number of programs from 1 on, or 1% to 100%, not {serial}.",
            reason="bad_option",
        )
    return max(1, number * count // 100) if is_share else count


def _priority(program: Program, configured: Mapping[str, Setting]) -> tuple[int, int]:
    setting = configured.get(program.name)
    return setting.priority if setting else LAST


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
    """Return each program's state after the plan, if every program does what it should."""
    states = {
        program.name: program.state for program in programs if program.group not in plan.remove
    }
    states.update((name, "STOPPED") for name in plan.stop + plan.await_stopped if name in states)
    for program in arriving(plan.add, configured):
        states[program.name] = "RUNNING" if program.state == "STARTING" else "STOPPED"
    states.update((name, "RUNNING") for name in plan.start + plan.await_running)
    states.update((name, "EXITED") for name in plan.await_ended)
    return states


def state_lines(states: Mapping[str, str]) -> str:
    """Return the states as the text that diff mode shows."""
    return "".join(f"{name} {state}\n" for name, state in sorted(states.items()))
