# Copyright: (c) 2026, The jgi.jaws engineers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The lines of logs: the last ones of a file, and the times in them.

They are always read from the files, because supervisord answers nobody else while it sends a log.
"""

from __future__ import annotations

import os
import re
import time
from datetime import datetime, timedelta, timezone
from typing import NamedTuple, Sequence, Tuple

from ..errors import JawsError
from ..system.files import behind_links, end_of, is_of_the_system, tail

FEWEST_BYTES, LINE_BYTES, MOST_BYTES = 4096, 256, 1048576  # to read of a log
MOST_ROTATED = 10
WHERE = 60  # characters of a line in which its time is looked for
# As Python's logging, Supervisor, Java, gunicorn and JSON have it, and as web servers have it.
ISO = re.compile(
    r"(\d{4})-(\d\d)-(\d\d)[T ](\d\d):(\d\d):(\d\d)(?:[.,](\d{1,9}))?\s?(Z|[+-]\d\d:?\d\d)?"
)
WEB = re.compile(r"(\d\d)/([A-Z][a-z]{2})/(\d{4})[: ](\d\d):(\d\d):(\d\d)\s?([+-]\d{4})?")
MONTHS = ("Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec")
UNITS = {"s": 1, "m": 60, "h": 3600, "d": 86400}
DAY = 86400

# In a log: its inode, and an offset in bytes.
Position = Tuple[int, int]


class Line(NamedTuple):
    """A line of a log, and its time in Unix seconds: its own, or else that of the one before."""

    time: float
    text: str


def is_own_file(path: str) -> bool:
    """Whether a log is a file, and not C(syslog), a device or another process's output."""
    return os.path.isabs(path) and not is_of_the_system(behind_links(path)[0])


def position(path: str) -> Position | None:
    """Return where the whole lines of a log end; None if it is unreadable."""
    return end_of(path, MOST_BYTES)


def written(path: str, since: Position | None, until: Position) -> list[Line]:
    """Return the lines between two positions in a log, even if it was rotated in between."""
    inode, start = since or (0, 0)
    moved = []
    if inode != until[0] or start > until[1]:  # it was rotated; or emptied: then there is no other
        old = [f"{path}.{number}" for number in range(1, MOST_ROTATED)]
        moved = old[: 1 + next((n for n, name in enumerate(old) if _inode(name) == inode), -1)]
        start = start if moved else 0
    lines: list[str] = []
    for name in reversed(moved):
        lines += tail(name, start, MOST_BYTES, MOST_BYTES) or []
        start = 0
    lines += tail(path, start, MOST_BYTES, MOST_BYTES, until[1]) or []
    return timed(lines, time.time())


def _inode(path: str) -> int | None:
    try:
        return os.stat(path).st_ino
    except OSError:
        return None


def recent(path: str, count: int, until: Position | None = None) -> list[Line] | None:
    """Return the last lines of a log, even if it was just rotated; None if it is unreadable.

    :raises JawsError: less than one line is asked for (bad_option).
    """
    if count < 1:
        raise JawsError(f"lines must be at least 1, not {count}.", reason="bad_option")
    size = min(FEWEST_BYTES + count * LINE_BYTES, MOST_BYTES)
    lines = tail(path, max_lines=count, max_bytes=size, until=until and until[1])
    if lines is None:
        return None
    length, changed = _state(path)
    if len(lines) < count and length < size:
        before = tail(f"{path}.1", max_lines=count - len(lines), max_bytes=size)
        lines = (before or []) + lines
    return timed(lines, changed)


def _state(path: str) -> tuple[int, float]:
    """Return the size of a log and when it was last changed."""
    try:
        found = os.stat(path)
    except OSError:  # it was moved meanwhile
        return 0, time.time()
    return found.st_size, found.st_mtime


def timed(lines: Sequence[str], changed: float) -> list[Line]:
    """Return lines with their times. A log without any has the time of its last change."""
    times = [time_of(line) for line in lines]
    last = next((found for found in times if found is not None), changed)
    result = []
    for text, found in zip(lines, times):
        last = last if found is None else found
        result.append(Line(last, text))
    return result


def time_of(line: str) -> float | None:
    """Return the time that a line has near its beginning, or None."""
    text = line[:WHERE]
    iso, web = ISO.search(text), WEB.search(text)
    try:
        if iso:
            year, month, day, hour, minute, second = map(int, iso.groups()[:6])
            fraction = float(f"0.{iso[7] or 0}")
            return _seconds((year, month, day, hour, minute, second), iso[8]) + fraction
        if web and web[2] in MONTHS:
            day, year, *clock = (int(web[index]) for index in (1, 3, 4, 5, 6))
            return _seconds((year, MONTHS.index(web[2]) + 1, day, *clock), web[7])
    except (ValueError, OverflowError):  # there is no such day
        pass
    return None


def _seconds(moment: Sequence[int], zone: str | None) -> float:
    """Return the Unix seconds of a moment in a time zone, by default the host's own.

    :raises ValueError: there is no such moment.
    """
    year, month, day, hour, minute, second = moment
    found = datetime(year, month, day, hour, minute, second)
    if zone is None:
        return found.timestamp()
    digits = "".join(character for character in zone if character.isdigit()).ljust(4, "0")
    offset = timedelta(hours=int(digits[:2]), minutes=int(digits[2:]))
    return found.replace(tzinfo=timezone(-offset if zone[0] == "-" else offset)).timestamp()


def since(text: str, now: float) -> float:
    """Return the Unix seconds that C(10m), C(14:30) or C(2026-11-30 14:30) means on this host.

    :raises JawsError: it is none of these (bad_option).
    """
    text = text.strip()
    ago = re.fullmatch(r"(\d+)([smhd])", text)
    if ago:
        return now - int(ago[1]) * UNITS[ago[2]]
    today = time.strftime("%Y-%m-%d ", time.localtime(now))
    clock = re.fullmatch(r"\d\d?:\d\d(:\d\d)?", text)
    moment = time_of(_complete(today + text.rjust(5, "0") if clock else text))
    if moment is None:
        raise JawsError(
            f"since={text} is not a time. Give start (the last start of each program), 90s, 10m, "
            "2h or 1d (that long ago), 14:30, or 2026-11-30 14:30, by the clock of the host.",
            reason="bad_option",
        )
    return moment - DAY if clock and moment > now else moment


def _complete(text: str) -> str:
    """Return a time with what it leaves out: the seconds, or the whole clock time."""
    text = re.sub(r"^(\d{4}-\d\d-\d\d)$", r"\1 00:00", text)
    return re.sub(r"^(\S+[T ]\d\d:\d\d)(?!:\d\d)", r"\1:00", text)
