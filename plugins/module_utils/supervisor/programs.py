# Copyright: (c) 2026, The jgi.jaws engineers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Programs under supervisord as data: their states and settings, and what a name matches.

Pure functions; nothing here speaks to supervisord. Facts from Supervisor 4.3.0: C(states.py), and
C(process.py) for what an exit status means in which state.
"""

from __future__ import annotations

from fnmatch import fnmatchcase
from typing import Any, Callable, Iterable, Mapping, NamedTuple, Sequence

from ..errors import JawsError

ALIVE = frozenset(("STARTING", "RUNNING", "BACKOFF"))  # stopProcess accepts these
WILDCARDS = frozenset("*?[")
# The event listener that calls a command when a program becomes FATAL (notifier.py). It belongs to
# the daemon, not to a release.
NOTIFIER = "jgi-jaws-notify"


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
    """The settings of one program in the configuration that supervisord has read, in seconds.

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


def is_quiet(name: str, state: str) -> bool:
    """Whether this is the notifier, and runs: people see it only if it does not."""
    return name == NOTIFIER and state in ("STARTING", "RUNNING")


def is_down(program: Program) -> bool:
    """Whether its process has ended, for any reason."""
    return program.state not in ALIVE and program.state != "STOPPING"


def namespec(group: str, name: str) -> str:
    """Return the name that supervisorctl shows: C(name), or C(group:name) if they differ."""
    return name if group == name else f"{group}:{name}"


def has_done(program: Program, setting: Setting | None) -> bool:
    """Whether this is a one-shot program that ended as it should."""
    if setting is None or setting.startsecs != 0:
        return False
    return program.state == "EXITED" and program.exit_status in setting.exitcodes


def group_of(name: str) -> str:
    """Return the group in a namespec; the name of a group has no colon."""
    return name.partition(":")[0]


def process_of(name: str) -> str:
    """Return the process's own name in a namespec; an expansion may bring a colon into it."""
    return name.partition(":")[2] or name


class Names:
    """What names match among some programs."""

    def __init__(self, programs: Iterable[Program]) -> None:
        self.programs = list(programs)
        self._exact = {program.name: [program] for program in self.programs}
        self._groups = self._by(group_of)
        self._inside = self._by(process_of)

    def _by(self, key: Callable[[str], str]) -> dict[str, list[Program]]:
        found: dict[str, list[Program]] = {}
        for program in self.programs:
            found.setdefault(key(program.name), []).append(program)
        return found

    def meant(self, name: str) -> list[Program]:
        """Return the programs that a name matches; none if it is unknown.

        :raises JawsError: it is ambiguous.
        """
        found = self._named(name) or self._groups.get(name)
        found = found or _only_one(name, self._inside.get(name, []))
        return found or self._fitting(name, _fits)

    def written(self, name: str) -> list[Program]:
        """Return the programs that a complete name matches: a group has its colon, a member its
        group.
        """
        return self._named(name) or self._fitting(name, _fits_as_written)

    def _named(self, name: str) -> list[Program]:
        if name == "all":
            return self.programs
        group, colon, process = name.partition(":")
        is_whole = colon and process in ("", "*")
        return self._exact.get(name) or (self._groups.get(group, []) if is_whole else [])

    def _fitting(self, pattern: str, test: Callable[[Program, str], bool]) -> list[Program]:
        if not WILDCARDS.intersection(pattern):
            return []
        return [program for program in self.programs if test(program, pattern)]


def _fits_as_written(program: Program, pattern: str) -> bool:
    group, colon, process = pattern.partition(":")
    if not colon:
        return program.name == program.group and fnmatchcase(program.name, pattern)
    inside = fnmatchcase(process_of(program.name), process or "*")
    return inside and fnmatchcase(program.group, group)


def _fits(program: Program, pattern: str) -> bool:
    if ":" in pattern:
        return _fits_as_written(program, pattern)
    return any(
        fnmatchcase(name, pattern)
        for name in (program.name, program.group, process_of(program.name))
    )


def select(programs: Iterable[Program], wanted: Sequence[str]) -> tuple[list[Program], list[str]]:
    """Return the programs that C(wanted) matches, and the names that match none.

    A name is C(all), a program as supervisorctl shows it, a group (C(g), C(g:), C(g:*)), or a
    program of only one group, without its group: the first of these that matches. A pattern means
    everything that the names which match it mean.

    :raises JawsError: a name is ambiguous.
    """
    return _chosen(wanted, Names(programs).meant)


def select_written(
    programs: Iterable[Program], wanted: Sequence[str]
) -> tuple[list[Program], list[str]]:
    """Return the same as C(select), but a group needs its colon, and a member its group.

    This is as in community.general.supervisorctl, and nothing is removed that was not named.
    """
    return _chosen(wanted, Names(programs).written)


def _chosen(
    wanted: Sequence[str], meaning: Callable[[str], list[Program]]
) -> tuple[list[Program], list[str]]:
    chosen: dict[str, Program] = {}
    unknown = []
    for name in wanted:
        found = meaning(name)
        if not found and name != "all":
            unknown.append(name)
        chosen.update((program.name, program) for program in found)
    return list(chosen.values()), unknown


def select_known(programs: Sequence[Program], wanted: Sequence[str]) -> list[Program]:
    """Return the programs that C(wanted) matches.

    :raises JawsError: a name matches no program (unknown_program), or several (ambiguous_program).
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


def _only_one(name: str, found: list[Program]) -> list[Program]:
    if len(found) > 1:
        raise JawsError(
            f"{name} is ambiguous: it matches {', '.join(names(found))}. Write it with its group.",
            reason="ambiguous_program",
        )
    return found


class Change(NamedTuple):
    """Which groups on disk differ from what runs, according to C(reread)."""

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

    def without(self, groups: Iterable[str]) -> Change:
        """Return the part that does not concern C(groups)."""
        spared = frozenset(groups)
        return self.only(group for group in self.groups if group not in spared)


def names(programs: Iterable[Program]) -> list[str]:
    """Return the programs' names."""
    return [program.name for program in programs]
