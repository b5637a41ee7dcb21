# Copyright: (c) 2026, The jgi.jaws engineers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Configuration files from dictionaries, so that every value arrives in the service as given.

Each file is written, read back as the service reads it, and compared. If a value would not arrive,
the error names its key but never shows the value, because it may be a secret.
"""

from __future__ import annotations

import configparser
import io
import json
import re
from collections.abc import Mapping, Sequence
from typing import Any

from ..module_utils.errors import JawsError

HOCON_INCLUDE = 'include required(classpath("application"))\n'
# As Python and JSON both write it.
NUMBER = re.compile(r"-?(0|[1-9][0-9]*)(\.[0-9]+)?(e[+-][0-9]+)?")
# Dates are not among them: before ansible-core 2.19, a template cannot return one.
SCALARS = (Sequence, int, float, type(None))
# The sign of interpolation; doubled, it means itself.
SIGNS = {"ini": "%", "ini_environment": "%", "ini_extended": "$"}
# JTM reads this one without interpolation, although it interpolates the others of its file.
RAW_SECTIONS = {"ini_extended": ("JTM_RPC_SERVER",)}
# os.path.expandvars has no escape, but does not look again at what it has inserted. So a variable
# stands for each dollar sign that it would take for the beginning of a name.
DOLLAR = {"DOLLAR": "$"}
BEGINNING = re.compile(r"\$(?=[\w{])", re.ASCII)
REFERENCE = re.compile(r"\$(\w+|\{[^}]*\})", re.ASCII)

Data = Mapping[str, Any]


def render(name: str, format_name: str, data: Data) -> str:
    """Return the text of the configuration file C(name).

    :param format_name: V(ini) for ConfigParser, V(ini_environment) for ConfigParser and then
        os.path.expandvars, V(ini_extended) for ConfigParser with ExtendedInterpolation, V(hocon)
        for Cromwell.
    :raises JawsError: an unknown format, or a value that the service would not read as given.
    """
    if format_name == "hocon":
        text = _hocon(name, data)
    elif format_name in SIGNS:
        text = _ini(name, data, format_name)
    else:
        known = ", ".join(["hocon", *SIGNS])
        raise JawsError(f"{name}: unknown format {format_name}. The formats are {known}.")
    return text


def _hocon(name: str, data: Data) -> str:
    # JSON is HOCON, but after an include the root object must not have braces of its own.
    try:
        members = [f"{json.dumps(str(key))}: {_json(value)}" for key, value in data.items()]
    except (TypeError, ValueError):
        raise JawsError(
            f"{name}: every value must be text, a finite number, true, false, a list or a mapping."
        ) from None
    return HOCON_INCLUDE + ",\n".join(members) + "\n"


def _json(value: Any) -> str:
    # In ASCII: nothing depends on the encoding that Java assumes.
    return json.dumps(_spelled(value), indent=2, allow_nan=False)


def _spelled(value: Any) -> Any:
    """Return the value with each text that spells a number as that number.

    Before ansible-core 2.19, templates turn numbers into text. HOCON reads both alike, but the
    file, and so the digest in its name, must not depend on the version of Ansible.
    """
    if isinstance(value, Mapping):
        return {key: _spelled(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [_spelled(item) for item in value]
    # Before ansible-core 2.19, an encrypted value is not a str, but behaves like one.
    return _number_of(str(value)) if isinstance(value, Sequence) else value


def _number_of(text: str) -> Any:
    """Return the number, or the text if the number would be written differently, such as 1.50."""
    number = json.loads(text) if NUMBER.fullmatch(text) else text
    return number if json.dumps(number) == text else text


def environment_for(format_name: str) -> dict[str, str]:
    """Return the variables that a service needs to read a configuration as it was given."""
    return dict(DOLLAR) if format_name == "ini_environment" else {}


def _ini(name: str, data: Data, form: str) -> str:
    wanted = {
        str(section): _texts(name, str(section), options)
        for section, options in data.items()
        if options is not None
    }
    for section, options in wanted.items():
        for key, value in options.items():
            _refuse_unfaithful(name, section, key, value, form)
    text = "\n".join(_section(*item, form) for item in wanted.items())
    found = _parsed(text, form)
    if found is None or not {*wanted} <= {*found.sections(), found.default_section}:
        raise JawsError(
            f"{name}: the service's parser cannot read it: two sections or keys differ only in "
            "upper and lower case, or the name of a section has a character that is not allowed."
        )
    return text


def _texts(name: str, section: str, options: Any) -> dict[str, str]:
    """Return a section's options as text; null drops one, so a site can remove a default."""
    if not isinstance(options, Mapping):
        raise JawsError(f"{name}: [{section}] must be a mapping from keys to values.")
    for key, value in options.items():
        if isinstance(value, list | tuple) or not isinstance(value, SCALARS):
            raise JawsError(
                f"{name}: [{section}] {key} must be text, a number, true or false. Put a date in "
                "quotes."
            )
    return {str(key): _text(value) for key, value in options.items() if value is not None}


def _text(value: Any) -> str:
    return str(value).lower() if isinstance(value, bool) else str(value)


def _section(section: str, options: Mapping[str, str], form: str) -> str:
    lines = [f"{key} = {_escape(section, value, form)}\n" for key, value in options.items()]
    return f"[{section}]\n{''.join(lines)}"


def _escape(section: str, value: str, form: str) -> str:
    if form == "ini_environment":
        value = BEGINNING.sub("${DOLLAR}", value)
    if section not in RAW_SECTIONS.get(form, ()):
        value = value.replace(SIGNS[form], SIGNS[form] * 2)
    return value.replace("\n", "\n\t")


class _Expanding(configparser.BasicInterpolation):
    """Replaces variables too, but knows only the one that is always set."""

    def before_get(self, *arguments: Any) -> str:
        value = super().before_get(*arguments)
        return REFERENCE.sub(lambda found: DOLLAR.get(found[1].strip("{}"), ""), value)


INTERPOLATIONS: dict[str, type[configparser.Interpolation]] = {
    "ini": configparser.BasicInterpolation,
    "ini_environment": _Expanding,
    "ini_extended": configparser.ExtendedInterpolation,
}


def _parsed(text: str, form: str) -> configparser.ConfigParser | None:
    """Return what the service reads, or None if it cannot read it."""
    parser = configparser.ConfigParser(interpolation=INTERPOLATIONS[form]())
    try:
        text.encode()
        # Services read files, where \r ends a line too.
        parser.read_file(io.StringIO(text, newline=None))
    except (configparser.Error, UnicodeEncodeError):
        return None
    return parser


def _refuse_unfaithful(name: str, section: str, key: str, value: str, form: str) -> None:
    found = _parsed(_section(section, {key: value}, form), form)
    is_raw = section in RAW_SECTIONS.get(form, ())
    if found is None or found.get(section, key, fallback=None, raw=is_raw) != value:
        raise JawsError(
            f"{name}: [{section}] {key} would not arrive as given: the service's parser drops "
            "leading and trailing spaces and lines that begin with # or ;, ends a line at a "
            "carriage return, and splits a key at = or :. Change it."
        )
