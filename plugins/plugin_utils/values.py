# Copyright: (c) 2026, The jgi.jaws engineers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Which values an option or a fact may have, beyond what an argument specification can say.

Pure functions on the control node.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from typing import Any, NamedTuple

KINDS = {
    "str": "text",
    "int": "a whole number",
    "bool": "true or false",
    "list": "a list",
    "dict": "a mapping",
    "path": "a path",
}
# Paths on the control node, which may be relative.
HERE = re.compile(r"\w+_(wheels|launcher)")


class Form(NamedTuple):
    """What the values of some options have in common."""

    names: str
    kind: str
    fits: Callable[[Any], object]


def _matches(pattern: str) -> Callable[[Any], object]:
    return lambda value: re.fullmatch(pattern, str(value))


FORMS = (
    Form(r"\w+_port", "a port, from 1 to 65535", lambda value: 0 < int(value) < 65536),
    # Without quotes, YAML takes 0770 for the number 504.
    Form(
        r"\w+_mode",
        'octal digits in quotes, such as "2770"',
        lambda value: isinstance(value, str) and re.fullmatch("0?[0-7]{3,4}", value),
    ),
    Form(r"\w+_time", "a time such as 02:00", _matches(r"([01]?\d|2[0-3]):[0-5]\d")),
    # A colon may be part of an address, but not the only one.
    Form(
        r"\w+_host",
        "the name or the address of a host, without a port",
        _matches(r"[^\s/@:]+|[^\s/@:]*:[^\s/@]*:[^\s/@]*"),
    ),
    Form(
        r"((jaws_)?site_id|(\w+_)?instance(_name)?|deployment_name|jaws_deployment)",
        "letters, digits, dashes and underscores",
        _matches(r"[\w-]+"),
    ),
    # Without quotes, YAML takes yes for true and 0123 for 83.
    Form(
        r"vault_\w+",
        "text in quotes",
        lambda value: not isinstance(value, bool | int | float | list | dict),
    ),
)


def misfit(name: str, value: Any, option: Mapping[str, Any]) -> str:
    """Return what a value of the right type must be and is not; empty if it may be used.

    :param option: its specification.
    """
    kind = option.get("type", "str")
    if value in ("", None) or kind == "dict":
        return ""
    if kind == "list":
        return _misfit_in_list(name, value, option)
    # Without quotes, YAML takes NO and off for false.
    if kind == "str" and isinstance(value, bool | list | dict):
        return "text in quotes" if isinstance(value, bool) else "text"
    for form in FORMS:
        if re.fullmatch(form.names, name):
            return "" if form.fits(value) else form.kind
    if kind == "int":
        return "" if int(value) >= 0 else "a whole number that is not negative"
    if kind == "path" and not HERE.fullmatch(name):
        return "" if str(value).startswith(("/", "~")) else "an absolute path"
    return ""


def _misfit_in_list(name: str, value: Any, option: Mapping[str, Any]) -> str:
    # Ansible would make a list of one element of it: of a command with arguments, or of "[a]".
    if isinstance(value, str):
        return "a list" if re.search(r"\s|^\[", value.strip()) else ""
    one = {"type": option.get("elements")}
    found = [misfit(name, element, one) for element in value]
    return next((f"a list of which each is {kind}" for kind in found if kind), "")


def specified(option: Mapping[str, Any]) -> str:
    """Return what an option's specification says that its value must be."""
    if "choices" in option:
        return f"one of {', '.join(str(choice) or 'nothing' for choice in option['choices'])}"
    kind = option.get("type", "str")
    named = KINDS.get(kind, kind)
    return f"{named} of {option['elements']}" if "elements" in option else named
