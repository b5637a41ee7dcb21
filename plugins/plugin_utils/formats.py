# Copyright: (c) 2026, The jgi.jaws engineers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Configuration files from dictionaries, so that every value arrives in the service exactly as given.

Each format is written, read back with the parser that the service uses, and compared. A value that would
not arrive is refused by its name; the value itself is never shown, since it may be a secret.
"""

from __future__ import annotations

import configparser
import json
from collections.abc import Mapping
from typing import Any

from ansible_collections.jgi.jaws.plugins.module_utils.errors import JawsError

HOCON_INCLUDE = 'include required(classpath("application"))\n'

Data = Mapping[str, Any]


def render(name: str, format_name: str, data: Data) -> str:
    """Return the text of the configuration file C(name).

    :param format_name: V(ini) for ConfigParser, V(ini_extended) for ConfigParser with ExtendedInterpolation,
        V(hocon) for Cromwell.
    :raises JawsError: an unknown format, or a value that the service would not read as given.
    """
    if format_name == "hocon":
        return _hocon(data)
    signs = {"ini": "%", "ini_extended": "$"}
    if format_name not in signs:
        raise JawsError(f"{name}: there is no format {format_name}; there are hocon, {', '.join(signs)}.")
    return _ini(name, data, signs[format_name])


def _hocon(data: Data) -> str:
    # JSON is HOCON, but after an include the root object must not have braces of its own.
    members = [f"{json.dumps(key)}: {json.dumps(value, indent=2, ensure_ascii=False)}" for key, value in data.items()]
    return HOCON_INCLUDE + ",\n".join(members) + "\n"


def _ini(name: str, data: Data, sign: str) -> str:
    wanted = {section: _texts(options) for section, options in data.items() if options is not None}
    parts = []
    for section, options in wanted.items():
        lines = [f"{key} = {_escape(value, sign)}\n" for key, value in options.items()]
        parts.append(f"[{section}]\n{''.join(lines)}")
    text = "\n".join(parts)
    _refuse_unfaithful(name, text, wanted, sign)
    return text


def _texts(options: Data) -> dict[str, str]:
    """Return the options as text; null drops one, so that a site can take a default away."""
    return {str(key): _text(value) for key, value in options.items() if value is not None}


def _text(value: Any) -> str:
    return str(value).lower() if isinstance(value, bool) else str(value)


def _escape(value: str, sign: str) -> str:
    return value.replace(sign, sign * 2).replace("\n", "\n\t")


def parser_for(sign: str) -> configparser.ConfigParser:
    """Return a parser as the services make it: interpolating C(%) or, extended, C($)."""
    if sign == "$":
        return configparser.ConfigParser(interpolation=configparser.ExtendedInterpolation())
    return configparser.ConfigParser()


def _refuse_unfaithful(name: str, text: str, wanted: dict[str, dict[str, str]], sign: str) -> None:
    parser = parser_for(sign)
    try:
        parser.read_string(text)
    except configparser.Error as error:
        message = f"{name}: a section or a key in it has a character that the service's parser cannot read"
        raise JawsError(f"{message} ({type(error).__name__}).") from None
    for section, options in wanted.items():
        for key, value in options.items():
            if parser.get(section, key, fallback=None) != value:
                raise JawsError(
                    f"{name}: [{section}] {key} would not arrive as given: the service's parser drops outer "
                    "blanks, blank lines, and lines that begin with # or ;. Change the value."
                )
