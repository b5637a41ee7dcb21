# Copyright: (c) 2026, The jgi.jaws engineers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Which name was probably meant by an unknown name.

Pure functions on the control node.
"""

from __future__ import annotations

import difflib
from collections.abc import Collection

LONG_WORD = 4  # In a shorter word, one character makes another word: jtm and htm, db and dc.


def misspelt(name: str, known: Collection[str]) -> str:
    """Return the known name that C(name) is probably a typing error for, or an empty string.

    Names that were chosen on purpose must not count, even if they are similar. So only one
    character may differ, or one in each of two long words.
    """
    typed = name.lower()
    near = [other for other in known if _one_edit(typed, other) or _same_words(typed, other)]
    return resembling(typed, near)


def resembling(name: str, known: Collection[str]) -> str:
    """Return the known name that is most similar to C(name), or an empty string."""
    return next(iter(difflib.get_close_matches(name, known, 1)), "")


def there_is_no(kind: str, name: str, known: Collection[str], advice: str = "") -> str:
    """Return the sentence about an unknown name, with the known name that was probably meant.

    :param advice: what to do if the name is not a typing error.
    """
    near = resembling(name, sorted(known))
    others = f"there are {', '.join(sorted(known))}. {advice}".rstrip()
    return f"there is no {kind} {name}; {f'did you mean {near}?' if near else others}"


def _same_words(name: str, other: str) -> bool:
    if name.count("_") != other.count("_"):
        return False
    words = zip(name.split("_"), other.split("_"), strict=True)
    differing = [(typed, meant) for typed, meant in words if typed != meant]
    return len(differing) <= 2 and all(
        len(meant) >= LONG_WORD and _one_edit(typed, meant) for typed, meant in differing
    )


def _one_edit(name: str, other: str) -> bool:
    """Whether at most one character was left out, added or changed, or two neighbours swapped."""
    if abs(len(name) - len(other)) > 1:
        return False
    start = _shared(name, other)
    name, other = name[start:], other[start:]
    end = _shared(name[::-1], other[::-1])
    name, other = name[: len(name) - end], other[: len(other) - end]
    swapped = len(name) == 2 and name == other[::-1]
    return swapped or max(len(name), len(other)) <= 1


def _shared(one: str, other: str) -> int:
    """Return the length of the longest common beginning of two texts."""
    pairs = enumerate(zip(one, other, strict=False))
    return next((index for index, (a, b) in pairs if a != b), min(len(one), len(other)))
