# Copyright: (c) 2026, The jgi.jaws engineers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Programs under supervisord as data: what they are, which are meant, what is to be done.

Pure functions; nothing here speaks to supervisord. Facts from Supervisor 4.3.0: C(states.py), and
C(process.py) for what an exit status means in which state.
"""

from __future__ import annotations

import signal as signals
from typing import Any, Iterable, Mapping, NamedTuple, Sequence

from ansible_collections.jgi.jaws.plugins.module_utils.errors import JawsError

ALIVE = frozenset(("STARTING", "RUNNING", "BACKOFF"))  # stopProcess accepts these
LAST = (999, 999)  # Supervisor's default priority


class Program(NamedTuple):
    """One process as supervisord sees it. Times are Unix seconds of supervisord's clock."""

    name: str
    group: str
    state: str
    pid: int | None = None
    start_time: int | None = None
    exit_status: int | None = None
    spawn_error: str | None = None
    log_file: str | None = None
    error_log_file: str | None = None

    def as_dict(self) -> dict[str, Any]:
        """Return it as modules return it."""
        return self._asdict()


class Setting(NamedTuple):
    """What the configuration that supervisord has read says of one program. Seconds.

    C(priority) is the group's, then the program's own within the group.
    """

    group: str
    autostart: bool
    priority: tuple[int, int]
    startsecs: int
    startretries: int
    stopwaitsecs: int
    exitcodes: Sequence[int] = (0,)


def from_info(info: Mapping[str, Any]) -> Program:
    """Return the Program of one C(getProcessInfo) struct."""
    state = info["statename"]
    return Program(
        name=namespec(info["group"], info["name"]),
        group=info["group"],
        state=state,
        pid=info["pid"] or None,
        start_time=info["start"] or None,
        # In every other state supervisord has forgotten it and says 0.
        exit_status=info["exitstatus"] if state == "EXITED" else None,
        spawn_error=info["spawnerr"] or None,
        log_file=info["stdout_logfile"] or None,
        error_log_file=info["stderr_logfile"] or None,
    )


def namespec(group: str, name: str) -> str:
    """Return the name that supervisorctl shows: C(name), or C(group:name) where they differ."""
    return name if group == name else f"{group}:{name}"


def group_of(name: str) -> str:
    """Return the group in a namespec; neither part of one may hold a colon itself."""
    return name.split(":")[0]


def process_of(name: str) -> str:
    """Return the process's own name in a namespec."""
    return name.split(":")[-1]


def select(programs: Iterable[Program], wanted: Sequence[str]) -> tuple[list[Program], list[str]]:
    """Return the programs that C(wanted) means, and the names among them that mean none.

    A name is C(all), a program as supervisorctl shows it, a group (C(g), C(g:), C(g:*)), or a
    program of one group only, without its group: the first of these that fits.

    :raises JawsError: a name is ambiguous.
    """
    programs = list(programs)
    exact = {program.name: [program] for program in programs}
    groups = _by(programs, [program.group for program in programs])
    inside = _by(programs, [process_of(program.name) for program in programs])
    chosen: dict[str, Program] = {}
    unknown = []
    for name in wanted:
        if name == "all":
            found = programs
        elif name.endswith((":", ":*")):
            found = groups.get(name[: name.rindex(":")], [])
        else:
            found = exact.get(name) or groups.get(name) or _only_one(name, inside.get(name, []))
        if not found and name != "all":
            unknown.append(name)
        chosen.update((program.name, program) for program in found)
    return list(chosen.values()), unknown


def _by(programs: Sequence[Program], keys: Sequence[str]) -> dict[str, list[Program]]:
    found: dict[str, list[Program]] = {}
    for key, program in zip(keys, programs):
        found.setdefault(key, []).append(program)
    return found


def _only_one(name: str, found: list[Program]) -> list[Program]:
    if len(found) > 1:
        raise JawsError(
            f"{name} is ambiguous: it is any of {', '.join(names(found))}. Write it with its "
            "group.",
            reason="ambiguous_program",
        )
    return found


class Change(NamedTuple):
    """Which groups on disk differ from what runs, as C(reread) says."""

    added: list[str]
    changed: list[str]
    removed: list[str]

    @property
    def groups(self) -> list[str]:
        """All groups that differ."""
        return self.added + self.changed + self.removed

    def only(self, groups: Iterable[str]) -> Change:
        """Return the part that concerns C(groups)."""
        wanted = frozenset(groups)
        return Change(*([group for group in part if group in wanted] for part in self))


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


def names(programs: Iterable[Program]) -> list[str]:
    """Return the programs' names."""
    return [program.name for program in programs]


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
