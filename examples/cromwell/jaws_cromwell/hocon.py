# SPDX-License-Identifier: GPL-3.0-or-later
"""The subset of HOCON that the collection writes: an include, then the members of an object."""

from __future__ import annotations

import json
from typing import Any, Dict, List, Tuple

from .standin import StandInError

INCLUDE = 'include required(classpath("application"))'


def parse(text: str, path: str) -> Dict[str, Any]:
    """Return the settings of a cromwell.conf; raise StandInError, naming `path` and the line.

    After an include HOCON takes no brace at the top level (com.typesafe:config 1.3.1 and 1.4.1
    both refuse it), so the members of the JSON object follow without its outer braces.
    """
    first, _newline, rest = text.partition("\n")
    if first.strip() != INCLUDE:
        raise StandInError(f"{path}: line 1 is not: {INCLUDE}")
    if rest.lstrip().startswith("{"):
        raise StandInError(
            f"{path}: an object in braces after an include is not HOCON, and the real Cromwell"
            " refuses it too: leave out the outer { and }"
        )
    try:
        # The brace replaces the include, so that the line numbers in errors are right.
        settings = json.loads(
            "{\n" + rest.rstrip() + "}", object_pairs_hook=_unique, parse_constant=_no_constant
        )
    except json.JSONDecodeError as error:
        raise StandInError(f"{path}: line {error.lineno} is not JSON: {error.msg}") from None
    except ValueError as error:
        raise StandInError(f"{path}: {error}") from None
    return dict(settings)


def _unique(pairs: List[Tuple[str, Any]]) -> Dict[str, Any]:
    # Real HOCON would merge them, but writing a key twice is probably a mistake.
    members = dict(pairs)
    if len(members) < len(pairs):
        keys = [key for key, _value in pairs]
        raise ValueError(f"{max(keys, key=keys.count)} is given twice")
    return members


def _no_constant(name: str) -> None:
    raise ValueError(f"{name} is not JSON")
