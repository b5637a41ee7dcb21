# Copyright: (c) 2026, The jgi.jaws engineers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The core of the log_info module: the last lines of the programs' logs, whether they run or not.

Nothing is asked of supervisord, which may be down, or busy with what the logs would explain.
"""

from __future__ import annotations

import glob
import os
import time
from typing import Any, Iterator, Mapping, Sequence

from .supervisor import daemon_log
from .supervisor.endpoint import SupervisordConf
from .supervisor.log_lines import (
    Line,
    Position,
    is_own_file,
    position,
    recent,
    since,
    written,
)
from .supervisor.parser import AUTO, Configuration, ConfiguredProgram, resolve
from .supervisor.programs import namespec

START = "start"
START_TOLERANCE = 1.0  # many logs have whole seconds
SUPERVISORD = "supervisord"


class Reader:
    """Reads the logs of one configuration.

    :param count: how many lines of each log.
    :param moment: C(start), a time, or nothing.
    :param after: by path: where an earlier reader has ended, if only what follows is wanted;
        empty for a first reader that others follow.
    :raises JawsError: the time is none (bad_option).
    """

    def __init__(
        self,
        configuration: Configuration,
        count: int,
        moment: str,
        after: Mapping[str, Position] | None,
    ) -> None:
        self.configuration = configuration
        self.count = count
        self.from_start = moment == START
        self.earliest = since(moment, time.time()) if moment and not self.from_start else 0.0
        self.after = after
        self.positions: dict[str, Position] = {}
        self.unreadable: list[str] = []
        said = self._lines(configuration.logfile, daemon_log.MOST_LINES)
        self.events = daemon_log.events(said)

    def entries(self, program: ConfiguredProgram) -> Iterator[tuple[str, Line]]:
        """Yield a program's lines, and those of supervisord about it if it has given up."""
        known = self.events
        first = self.earliest
        if self.from_start:
            first = daemon_log.last_start(known, program.name) - START_TOLERANCE
        for path in paths(program, self.configuration):
            yield from self._chosen(program, self._lines(path, self.count), first)
        if self.after or daemon_log.is_fatal(known, program.name):
            said = daemon_log.about(known, program.name)[-self.count :]
            yield from ((SUPERVISORD, line) for line in said if line.time >= self.earliest)

    def _lines(self, path: str, count: int) -> list[Line]:
        """Return the last lines of a log, or those after the earlier reader."""
        end = position(path)
        # A last line that may grow would be returned again, once it is whole.
        lines = recent(path, count, None if self.after is None else end)
        if end is None or lines is None:
            self.unreadable.append(path)
            return []
        self.positions[path] = end
        return written(path, self.after.get(path), end) if self.after else lines

    def _chosen(
        self, program: ConfiguredProgram, lines: Sequence[Line], first: float
    ) -> Iterator[tuple[str, Line]]:
        name = namespec(program.group, program.name)
        return ((name, line) for line in lines if line.time >= first and line.text.strip())


def inform(params: dict[str, Any], _check_mode: bool) -> dict[str, Any]:
    """Return the lines, ordered by time, and the programs that there are.

    :raises JawsError: Supervisor cannot read the configuration, or an option makes no sense
        (bad_option).
    """
    SupervisordConf(params["config"])  # This notes the secrets that must not be shown.
    configuration = resolve(params["config"], params["python"])
    reader = Reader(configuration, params["lines"], params["since"], params["after"])
    programs: list[dict[str, Any]] = []
    entries: list[dict[str, Any]] = []
    for program in configuration.programs:
        name = namespec(program.group, program.name)
        fatal = daemon_log.is_fatal(reader.events, program.name)
        programs.append(dict(name=name, state="FATAL" if fatal else "UNKNOWN"))
        entries += [
            dict(program=name, source=source, time=line.time, text=line.text)
            for source, line in reader.entries(program)
        ]
    entries.sort(key=lambda entry: entry["time"])
    unreadable = sorted(set(reader.unreadable))
    found = dict(programs=programs, entries=entries, unreadable=unreadable)
    return dict(found, changed=False, positions=reader.positions)


def paths(program: ConfiguredProgram, configuration: Configuration) -> list[str]:
    """Return the files that a program's output goes to, each once."""
    found = []
    for channel, path in zip(("stdout", "stderr"), program.logs):
        if path == AUTO:
            found += _automatic(program.name, channel, configuration)
        elif path and is_own_file(path):
            found.append(path)
    return list(dict.fromkeys(found))


def _automatic(name: str, channel: str, configuration: Configuration) -> list[str]:
    """Return the newest of the files that supervisord has chosen for a program."""
    beginning = f"{name}-{channel}---{configuration.identifier}-"
    pattern = os.path.join(glob.escape(configuration.childlogdir), glob.escape(beginning) + "*.log")
    return sorted(glob.glob(pattern), key=os.path.getmtime)[-1:]
