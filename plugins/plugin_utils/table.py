# Copyright: (c) 2026, The jgi.jaws engineers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Tables for people."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from itertools import pairwise
from typing import Any

Row = Mapping[str, Any]


def format_table(columns: Sequence[str], rows: Sequence[Row]) -> str:
    """Return the rows below a heading, each column as wide as its widest cell."""
    lines = [[column.upper() for column in columns]]
    lines += [[_cell(row.get(column)) for column in columns] for row in rows]
    widths = [max(len(line[index]) for line in lines) for index in range(len(columns))]
    return "\n".join(
        "  ".join(cell.ljust(width) for cell, width in zip(line, widths, strict=True)).rstrip()
        for line in lines
    )


def fitting(
    columns: Sequence[str], rows: Sequence[Row], width: int, dispensable: Sequence[str]
) -> list[str]:
    """Return the columns without as many of the dispensable ones, in their order, as do not fit."""
    left = list(columns)
    for column in dispensable:
        if max(map(len, format_table(left, rows).splitlines())) > width:
            left.remove(column)
    return left


def wrong_lines(lines: Sequence[str], result: Row) -> list[str]:
    """Return the lines about what a result names as wrong, by its first two words."""
    wrong = {name for key in ("not_running", "unhealthy") for name in result.get(key, ())}
    return [line for line in lines if " ".join(line.split()[:2]).rstrip(":") in wrong]


def _cell(value: Any) -> str:
    return "-" if value in (None, "") else str(value)


def duration(seconds: float | None) -> str | None:
    """Return a duration as V(3d04h), V(4h05m), V(5m06s) or V(6s); None if there is none."""
    if seconds is None:
        return None
    units = (("d", 86400), ("h", 3600), ("m", 60), ("s", 1))
    left = max(0, int(seconds))
    for (name, size), (next_name, next_size) in pairwise(units):
        if left >= size:
            return f"{left // size}{name}{left % size // next_size:02d}{next_name}"
    return f"{left}s"
