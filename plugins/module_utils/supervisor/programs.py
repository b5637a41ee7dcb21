# Copyright: (c) 2026, The jgi.jaws engineers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Programs under supervisord as data: what they are, and which of them a name means.

Pure functions; nothing here speaks to supervisord. Facts from Supervisor 4.3.0: C(states.py), and
C(process.py) for what an exit status means in which state.
"""

from __future__ import annotations

from typing import Any, Iterable, Mapping, NamedTuple, Sequence

from ..errors import JawsError

ALIVE = frozenset(("STARTING", "RUNNING", "BACKOFF"))  # stopProcess accepts these


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


def select_known(programs: Sequence[Program], wanted: Sequence[str]) -> list[Program]:
    """Return the programs that C(wanted) means.

    :raises JawsError: a name means no program (unknown_program), or several (ambiguous_program).
    """
    selected, unknown = select(programs, wanted)
    if unknown:
        known = ", ".join(names(programs)) or "none"
        raise JawsError(
            f"no such process or group: {', '.join(unknown)}. There are: {known}. Correct the "
            "name, or apply the configuration that has it with state=updated.",
            reason="unknown_program",
        )
    return selected


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


def names(programs: Iterable[Program]) -> list[str]:
    """Return the programs' names."""
    return [program.name for program in programs]
