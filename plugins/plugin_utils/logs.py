# Copyright: (c) 2026, The jgi.jaws engineers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The lines of the logs of several instances, ordered by time.

Pure functions on the control node.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from typing import Any, NamedTuple

from .text import plain

Result = Mapping[str, Any]
SUPERVISORD = "supervisord"
NOTHING = "there are no lines; give more of them with -e lines=NUMBER, or an earlier -e since="


class Entry(NamedTuple):
    """One line of a log."""

    time: float
    instance: str
    source: str
    text: str


def interleaved(
    instances: Mapping[str, Result], programs: Mapping[str, Collection[str]] | None = None
) -> list[str]:
    """Return the lines of all instances by time, each with its program, and what cannot be read.

    :param instances: by name: what M(jgi.jaws.log_info) returned.
    :param programs: by name: the programs to show; None for all.
    """
    entries = [
        Entry(float(found["time"]), name, found["source"], found["text"])
        for name, instance in instances.items()
        for found in instance["entries"]
        if programs is None or found["program"] in programs.get(name, ())
    ]
    labels = _labels(entries)
    width = max(map(len, labels.values()), default=0)
    ordered = sorted(entries, key=lambda entry: entry.time)
    lines = [
        f"{labels[entry.instance, entry.source]:{width}} | {plain(entry.text)}" for entry in ordered
    ]
    return (lines or [NOTHING]) + [
        f"{name}: {path} does not exist or cannot be read by this user"
        for name, instance in instances.items()
        for path in instance["unreadable"]
    ]


def lines_of(instance: str, found: Result, programs: Collection[str] | None = None) -> list[str]:
    """Return the lines of one instance, each with its program, and its name if there is one."""
    names = [program["name"] for program in found["programs"]]
    width = max(map(len, [SUPERVISORD, *names]))
    before = f"{instance} " if instance else ""
    return [
        f"{before}{entry['source']:{width}} | {plain(entry['text'])}"
        for entry in found["entries"]
        if programs is None or entry["program"] in programs
    ]


def _labels(entries: Collection[Entry]) -> dict[tuple[str, str], str]:
    """Return how each source is shown: by its name, with its instance if several have that name."""
    sources = {(entry.instance, entry.source) for entry in entries}
    names = [source for _instance, source in sources]
    return {
        (instance, source): source if names.count(source) == 1 else f"{instance} {source}"
        for instance, source in sources
    }
