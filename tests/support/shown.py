# SPDX-License-Identifier: GPL-3.0-or-later
"""The outputs that the guides show, and what finds them in a run with other numbers and paths."""

from __future__ import annotations

import re
from pathlib import Path
from typing import NamedTuple

ROOT = Path(__file__).resolve().parents[2]
BLOCK = re.compile(r"<!-- seen in (@\w+) -->\n+```console\n\$ ([^\n]*)\n(.*?)```", re.DOTALL)
# The directory of the site in the guides.
SITE = "/srv/jaws"
# What differs between two runs: durations, identifiers, and numbers such as pids.
VARYING = re.compile(r"(?:\d+[dhms])+\b|\b(?=[a-f]*\d)[\da-f]{8,}\b|\d{8}T\d{6}Z|\d+")
# A service that ends again and again is in one of these states.
ENDING = "(?:STARTING|BACKOFF|EXITED|FATAL)"
STATES = {"STARTING": ENDING, "BACKOFF,": f"{ENDING},"}


class Shown(NamedTuple):
    """A command, its output in a guide, and the group of tests in which it is run."""

    group: str
    command: str
    output: str


def blocks() -> list[Shown]:
    """Return the outputs that README.md and docs/*.md show."""
    guides = [ROOT / "README.md", *sorted((ROOT / "docs").glob("*.md"))]
    return [Shown(*found) for path in guides for found in BLOCK.findall(path.read_text())]


def pattern(output: str, site: str) -> re.Pattern[str]:
    """Return what finds the output in that of a run, wherever its lines are wrapped."""
    parts = [r"\s+".join(map(_word, part.split())) for part in output.split("...")]
    return re.compile(r"[\s\S]*?".join(parts).replace(re.escape(SITE), re.escape(site)))


def _word(text: str) -> str:
    fixed = map(re.escape, VARYING.split(text))
    return STATES.get(text, r"[\da-fhmsTZ]+".join(fixed))
