# Copyright: (c) 2026, The jgi.jaws engineers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Programs under supervisord as data: what they are, which are meant, what is to be done.

Pure functions; nothing here speaks to supervisord. Facts from Supervisor 4.3.0's C(states.py).
"""

from __future__ import annotations

from typing import Any, Dict, Iterable, List, NamedTuple, Optional, Sequence, Tuple

from ansible_collections.jgi.jaws.plugins.module_utils.errors import JawsError

ALIVE = frozenset(("STARTING", "RUNNING", "BACKOFF"))  # stopProcess accepts these


class Program(NamedTuple):
    """One process as supervisord sees it. Times are Unix seconds of supervisord's clock."""

    name: str
    group: str
    state: str
    pid: Optional[int]
    start_time: Optional[int]
    exit_status: Optional[int]
    spawn_error: Optional[str]
    log_file: Optional[str]
    error_log_file: Optional[str]

    def as_dict(self) -> Dict[str, Any]:
        """Return it as modules return it."""
        return self._asdict()


def from_info(info: Dict[str, Any]) -> Program:
    """Return the Program of one C(getAllProcessInfo) struct."""
    state = info["statename"]
    ended = state in ("EXITED", "FATAL", "BACKOFF", "UNKNOWN")
    return Program(
        name=namespec(info["group"], info["name"]),
        group=info["group"],
        state=state,
        pid=info["pid"] or None,
        start_time=info["start"] or None,
        exit_status=info["exitstatus"] if ended else None,
        spawn_error=info["spawnerr"] or None,
        log_file=info["stdout_logfile"] or None,
        error_log_file=info["stderr_logfile"] or None,
    )


def namespec(group: str, name: str) -> str:
    """Return the name that supervisorctl shows: C(name), or C(group:name) where they differ."""
    return name if group == name else "%s:%s" % (group, name)


def matches(program: Program, name: str) -> bool:
    """Tell whether C(name) means the program: C(all), a group (C(g), C(g:), C(g:*)) or a program."""
    return name in ("all", program.name, program.group, program.group + ":", program.group + ":*")


def select(programs: Iterable[Program], wanted: Sequence[str]) -> Tuple[List[Program], List[str]]:
    """Return the programs that C(wanted) means, and the names among them that mean none.

    A program inside a group may be named without its group, where no other group has one of that name.

    :raises JawsError: a name is ambiguous.
    """
    chosen: Dict[str, Program] = {}
    unknown = []
    programs = list(programs)
    for name in wanted:
        found = [program for program in programs if matches(program, name)] or _inside(programs, name)
        if not found and name != "all":
            unknown.append(name)
        chosen.update((program.name, program) for program in found)
    return list(chosen.values()), unknown


def _inside(programs: Sequence[Program], name: str) -> List[Program]:
    found = [program for program in programs if program.name == "%s:%s" % (program.group, name)]
    if len(found) > 1:
        raise JawsError(
            "%s is ambiguous: it is any of %s. Write it with its group." % (name, ", ".join(names(found))),
            reason="ambiguous_program",
        )
    return found


class Change(NamedTuple):
    """Which groups on disk differ from what runs, as C(reread) says."""

    added: List[str]
    changed: List[str]
    removed: List[str]

    @property
    def groups(self) -> List[str]:
        """All groups that differ."""
        return self.added + self.changed + self.removed

    def only(self, names: Sequence[str]) -> "Change":
        """Return the part that concerns the groups in C(names); C(all) means every one."""
        if "all" in names:
            return self
        wanted = set(name.split(":")[0] for name in names)
        return Change(*([group for group in part if group in wanted] for part in self))


class Plan(NamedTuple):
    """What is to be done, in this order. Names are namespecs, C(add) and C(remove) name groups."""

    stop: List[str] = []
    remove: List[str] = []
    add: List[str] = []
    start: List[str] = []
    signal: List[str] = []
    await_running: List[str] = []
    await_stopped: List[str] = []

    @property
    def changes(self) -> bool:
        """Whether anything is to be changed; waiting for what is under way is none."""
        return any((self.stop, self.remove, self.add, self.start, self.signal))


def names(programs: Iterable[Program]) -> List[str]:
    """Return the programs' names."""
    return [program.name for program in programs]


def plan_started(selected: Sequence[Program]) -> Plan:
    """Start what is down; wait for what is under way (STARTING, BACKOFF)."""
    start = [program for program in selected if program.state not in ALIVE]
    pending = [program for program in selected if program.state in ("STARTING", "BACKOFF")]
    stopping = [program for program in start if program.state == "STOPPING"]
    return Plan(start=names(start), await_running=names(pending), await_stopped=names(stopping))


def plan_stopped(selected: Sequence[Program]) -> Plan:
    """Stop what is alive, a BACKOFF between two starts included; wait for what is STOPPING."""
    stop = [program for program in selected if program.state in ALIVE]
    pending = [program for program in selected if program.state == "STOPPING"]
    return Plan(stop=names(stop), await_stopped=names(pending))


def plan_signalled(selected: Sequence[Program]) -> Plan:
    """Signal what runs."""
    return Plan(signal=[program.name for program in selected if program.state == "RUNNING"])


def plan_updated(change: Change, programs: Sequence[Program]) -> Plan:
    """Apply what differs on disk: once, and nothing else."""
    leaving = set(change.changed + change.removed)
    members = [program for program in programs if program.group in leaving]
    return Plan(
        stop=[program.name for program in members if program.state in ALIVE],
        remove=change.changed + change.removed,
        add=change.added + change.changed,
        await_stopped=[program.name for program in members if program.state == "STOPPING"],
    )


def plan_restarted(selected: Sequence[Program], change: Change, programs: Sequence[Program]) -> Plan:
    """Apply what differs on disk, then restart the selected programs that it did not restart."""
    update = plan_updated(change, programs)
    rest = [program for program in selected if program.group not in update.remove]
    restart = plan_stopped(rest)
    return update._replace(
        stop=update.stop + restart.stop,
        start=names(rest),
        await_stopped=update.await_stopped + restart.await_stopped,
    )


def plan_present(wanted: Sequence[str], change: Change) -> Plan:
    """Add the groups that are on disk and not yet active."""
    return Plan(add=change.only(wanted).added)


def plan_absent(selected: Sequence[Program], stop_first: bool) -> Plan:
    """Remove the groups of the selected programs, which must be stopped unless C(stop_first).

    :raises JawsError: a program runs (still_running).
    """
    alive = [program for program in selected if program.state in ALIVE or program.state == "STOPPING"]
    if alive and not stop_first:
        raise JawsError(
            "cannot remove %s: still running. Stop it first, or set stop_before_removing=true."
            % ", ".join(names(alive)),
            reason="still_running",
        )
    stop = plan_stopped(selected)
    groups = sorted(set(program.group for program in selected))
    return stop._replace(remove=groups)


def phases(items: Iterable[str], priorities: Dict[str, int], reverse: bool = False) -> List[List[str]]:
    """Return the names in batches of one priority: ascending to start, descending to stop."""
    by_priority: Dict[int, List[str]] = {}
    for name in items:
        by_priority.setdefault(priorities.get(name, 999), []).append(name)
    return [by_priority[priority] for priority in sorted(by_priority, reverse=reverse)]


def predict(programs: Sequence[Program], plan: Plan, configured: Dict[str, bool]) -> Dict[str, str]:
    """Return each program's state after the plan; C(configured) is autostart by namespec on disk."""
    states = {program.name: program.state for program in programs}
    groups = {program.name: program.group for program in programs}
    states.update((name, "STOPPED") for name in plan.stop + plan.await_stopped)
    for name, group in groups.items():
        if group in plan.remove:
            del states[name]
    for name, autostart in configured.items():
        if name.split(":")[0] in plan.add:
            states[name] = "RUNNING" if autostart else "STOPPED"
    states.update((name, "RUNNING") for name in plan.start + plan.await_running)
    return states


def state_lines(states: Dict[str, str]) -> str:
    """Return the states as the text that diff mode shows."""
    return "".join("%s %s\n" % item for item in sorted(states.items()))
