# Copyright: (c) 2026, The jgi.jaws engineers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What runs, as a file: as JSON, as the text that Prometheus reads, or as one page for people.

Pure functions on the control node.
"""

from __future__ import annotations

import json
import os
from collections.abc import Iterable, Iterator, Mapping, Sequence
from datetime import datetime, timezone
from itertools import groupby
from pathlib import Path
from typing import Any

from jinja2 import Environment, StrictUndefined

from .status import COLUMNS
from .table import duration
from .text import plain

Row = Mapping[str, Any]

WHERE = ("site", "deployment", "instance", "program")
KEYS = (
    *(*WHERE, *COLUMNS, "uptime_seconds", "release"),
    *("activated", "author", "ci_job", "frozen", "note"),
)
TEMPLATE = Path(__file__).with_name("status.html.j2")
UP = "jaws_program_up"
HEALTHY = "jaws_program_healthy"
METRICS = {
    UP: "Whether the program is RUNNING.",
    HEALTHY: "Whether its health check succeeds.",
    "jaws_program_restarts": "Restarts after it ended by itself, in the last hour.",
    "jaws_program_uptime_seconds": "How long its process has been running.",
}
ESCAPED = str.maketrans({"\\": r"\\", '"': r"\"", "\n": r"\n"})


def content(path: str, rows: Sequence[Row], now: float) -> str:
    """Return the content of a status file.

    :param path: its name, which says the format.
    :raises ValueError: the format is unknown.
    """
    suffix = os.path.splitext(path)[1]
    if suffix not in FORMATS:
        raise ValueError(
            f"{path} does not end in {' or '.join(FORMATS)}, which says in which format to write it"
        )
    # A file name that is not UTF-8 is a text that cannot be written.
    return str(FORMATS[suffix](rows, now)).encode("utf-8", "backslashreplace").decode()


def _json(rows: Iterable[Row], now: float) -> str:
    programs = [{key: row.get(key) for key in KEYS if key != "uptime"} for row in rows]
    return json.dumps({"time": int(now), "programs": programs}, indent=2) + "\n"


def _prometheus(rows: Sequence[Row], now: float) -> str:
    lines = list(_metric("jaws_status_time_seconds", "When this was written.", [({}, int(now))]))
    for name, meaning in METRICS.items():
        known = [(row, _value(name, row)) for row in rows]
        samples = [(_labels(row, WHERE), value) for row, value in known if value is not None]
        lines += _metric(name, meaning, samples)
    states = [(_labels(row, (*WHERE, "state", "release")), 1) for row in rows]
    lines += _metric("jaws_program_info", "The state of each program, and its release.", states)
    return "".join(f"{line}\n" for line in lines)


def _value(metric: str, row: Row) -> float | None:
    if metric == UP:
        return int(row["state"] == "RUNNING")
    if metric == HEALTHY:
        return int(row["health"] == "ok") if row.get("health") else None
    value: float | None = row.get(metric.replace("jaws_program_", ""))
    return value


def _labels(row: Row, names: Iterable[str]) -> dict[str, str]:
    return {name: str(row.get(name) or "") for name in names}


def _metric(
    name: str, meaning: str, samples: Iterable[tuple[Mapping[str, str], float]]
) -> Iterator[str]:
    yield f"# HELP {name} {meaning}"
    yield f"# TYPE {name} gauge"
    for labels, value in samples:
        inside = ",".join(f'{key}="{text.translate(ESCAPED)}"' for key, text in labels.items())
        yield f"{name}{{{inside}}} {value}" if inside else f"{name} {value}"


def _html(rows: Sequence[Row], now: float) -> str:
    """Return a page that needs nothing else, and shows every text as it is."""
    shown = [_shown(row, now) for row in rows]
    wrong = [row for row in shown if row["mark"] == "wrong"]
    ordered = sorted(shown, key=_rank)
    environment = Environment(autoescape=True, undefined=StrictUndefined, trim_blocks=True)
    return environment.from_string(TEMPLATE.read_text(encoding="utf-8")).render(
        summary=f"{len(wrong)} of {len(rows)} are not well" if wrong else "All is well",
        columns=COLUMNS,
        wrong=wrong,
        groups=[(place, list(own)) for place, own in groupby(ordered, _place)],
        written=datetime.fromtimestamp(now, timezone.utc).strftime("%Y-%m-%d %H:%M:%S UTC"),
    )


def _place(row: Row) -> tuple[str, ...]:
    return row["site"], row["deployment"], row["instance"]


def _rank(row: Row) -> tuple[bool | str, ...]:
    """Return what to order by: what belongs to no deployment, such as a runner, comes last."""
    return not row["site"], row["site"], not row["deployment"], row["deployment"]


def _shown(row: Row, now: float) -> dict[str, str]:
    """Return the texts of a row: on the page, no character may be in force."""
    activated = row.get("activated")
    age = duration(now - activated) if activated else None
    texts = {**{key: row.get(key) for key in (*KEYS, "mark")}, "age": age}
    return {key: "" if text is None else plain(str(text)) for key, text in texts.items()}


FORMATS = {".json": _json, ".prom": _prometheus, ".html": _html}
