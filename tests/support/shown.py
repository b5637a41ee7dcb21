# SPDX-License-Identifier: GPL-3.0-or-later
"""The outputs that the guides show, and whether a run with other numbers has printed them."""

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
STATES = {"STARTING": "(?:STARTING|BACKOFF|EXITED|FATAL)"}


class Shown(NamedTuple):
    """A command, its output in a guide, and the group of tests in which it is run."""

    group: str
    command: str
    output: str


def blocks() -> list[Shown]:
    """Return the outputs that README.md and docs/*.md show."""
    guides = [ROOT / "README.md", *sorted((ROOT / "docs").glob("*.md"))]
    return [Shown(*found) for path in guides for found in BLOCK.findall(path.read_text())]


def is_in(output: str, printed: str, site: str) -> bool:
    """Return whether a run at a site has printed the output, wherever its lines are wrapped."""
    at = 0
    for part in output.split("..."):
        wanted = r"\s+".join(map(_word, part.split())).replace(re.escape(SITE), re.escape(site))
        found = re.compile(wanted).search(printed, at)
        if not found:
            return False
        at = found.end()
    return True


def _word(text: str) -> str:
    fixed = map(re.escape, VARYING.split(text))
    return STATES.get(text, r"[\da-fhmsTZ]+".join(fixed))
