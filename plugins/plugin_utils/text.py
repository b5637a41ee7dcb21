# Copyright: (c) 2026, The jgi.jaws engineers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Texts on a terminal: how wide they are, and nothing in them that would control it.

Pure functions on the control node.
"""

from __future__ import annotations

import re
import unicodedata

# What moves the cursor, changes colours, or reorders what follows.
CONTROL = re.compile("[\x00-\x1f\x7f-\x9f\u2028-\u202e\u2066-\u2069]")
ELLIPSIS = "..."


def plain(text: str) -> str:
    """Return a text with its control characters shown instead of in force."""
    return CONTROL.sub(lambda found: repr(found[0])[1:-1], text.expandtabs())


def width_of(text: str) -> int:
    """Return how many columns of a terminal a text takes."""
    wide = sum(unicodedata.east_asian_width(character) in "WF" for character in text)
    return len(text) + wide - sum(map(bool, map(unicodedata.combining, text)))


def cut(text: str, width: int) -> str:
    """Return a text, or as much of its beginning as fits into C(width)."""
    if width_of(text) <= width:
        return text
    while text and width_of(text) + len(ELLIPSIS) > width:
        text = text[:-1]
    return text + ELLIPSIS[: max(width, 0)]
