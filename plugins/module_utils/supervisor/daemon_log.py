# Copyright: (c) 2026, The jgi.jaws engineers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What a supervisord has written in its own log about its programs.

Facts from Supervisor 4.3.0, C(process.py): a message has the process's name, but not its group; a
process that was stopped by request is C(stopped), not C(exited); what keeps one from being started
is in a message without a name, C(spawnerr).
"""

from __future__ import annotations

import re
from typing import Iterable, NamedTuple, Sequence

from .log_lines import Line, recent
from .programs import Program, process_of

MOST_LINES = 3000
EVENT = re.compile(
    r"[-0-9]{10} [:0-9]{8},\d+ [A-Z]+ (spawned|success|exited|stopped|gave up|spawnerr): "
    r"(?:'?(.+?)'?(?: with pid \d+| \((.*)\)| entered (?:FATAL|RUNNING) .*)|(.*))$"
)


class Event(NamedTuple):
    """One message, its kind, such as C(exited), and what it adds; a C(spawnerr) has no name."""

    line: Line
    kind: str
    name: str
    detail: str


def read(path: str | None) -> list[Event] | None:
    """Return what a log says about programs, oldest first; None if it cannot be read."""
    lines = recent(path, MOST_LINES) if path else None
    return None if lines is None else events(lines)


def events(lines: Iterable[Line]) -> list[Event]:
    """Return the events in the lines of a log."""
    found = ((line, EVENT.match(line.text)) for line in lines)
    return [
        Event(line, match[1], match[2] or "", match[3] or match[4] or "")
        for line, match in found
        if match
    ]


def restarts(known: Iterable[Event], name: str, since: float) -> int:
    """Return how often a program has ended by itself and was started again since then."""
    count, fallen = 0, False
    for event in known:
        if event.name == name:
            count += event.kind == "spawned" and fallen and event.line.time >= since
            fallen = event.kind == "exited"
    return count


def last_end(known: Iterable[Event], name: str) -> str | None:
    """Return how a program ended last, such as C(exit status 1); None if that is unknown."""
    ends = [event.detail for event in known if event.name == name and event.kind == "exited"]
    return ends[-1].partition(";")[0] if ends else None


def last_start(known: Iterable[Event], name: str) -> float:
    """Return when a program was last started; 0 if that is unknown."""
    starts = [event.line.time for event in known if (event.kind, event.name) == ("spawned", name)]
    return starts[-1] if starts else 0.0


def down_times(known: Iterable[Event], since: float) -> dict[str, float]:
    """Return for how many seconds programs were not RUNNING, of those that are again since then."""
    ended: dict[str, float] = {}
    found = {}
    for event in known:
        if event.kind in ("stopped", "exited") and event.line.time >= since:
            ended.setdefault(event.name, event.line.time)
        elif event.kind == "success" and event.name in ended:
            found[event.name] = round(event.line.time - ended[event.name], 1)
    return found


def is_fatal(known: Iterable[Event], name: str) -> bool:
    """Whether supervisord has given up on a program."""
    kinds = [event.kind for event in known if event.name == name]
    return kinds[-1:] == ["gave up"]


def about(known: Iterable[Event], name: str) -> list[Line]:
    """Return what was said about a program, and about starts that failed."""
    return [one.line for one in known if one.name in (name, "") and one.kind != "success"]


def last_line(program: Program, known: Sequence[Event]) -> str | None:
    """Return the last line of what a program has printed, errors first.

    A process that is starting has not failed yet: what the one before it said comes first.
    """
    start = last_start(known, process_of(program.name)) if program.state == "STARTING" else 0.0
    for path in (program.error_log_file, program.log_file):
        lines = [line for line in (recent(path, 20) if path else None) or [] if line.text.strip()]
        earlier = [line for line in lines if line.time <= start]
        if lines:
            return (earlier or lines)[-1].text.strip()
    return None
