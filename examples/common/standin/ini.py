# SPDX-License-Identifier: GPL-3.0-or-later
"""Configuration files in INI form, read as the real services read them."""

from __future__ import annotations

import configparser
from typing import Callable, Dict, List, Mapping, Optional, TypeVar

from . import StandInError

T = TypeVar("T")
# What a file must contain: section, key, and the function that converts the value.
Wanted = Mapping[str, Mapping[str, Callable[[str], object]]]


def flag(text: str) -> bool:
    """Return what ConfigParser.getboolean would; raise ValueError for anything else."""
    try:
        return configparser.ConfigParser.BOOLEAN_STATES[text.lower()]
    except KeyError:
        raise ValueError(text) from None


def port(text: str) -> int:
    """Return a TCP port; raise ValueError if it is not one."""
    number = int(text)
    if not 1 <= number <= 65535:
        raise ValueError(text)
    return number


_EXPECTED: Dict[object, str] = {
    int: "a whole number",
    float: "a number",
    flag: "true or false",
    port: "a port from 1 to 65535",
}


# Read without interpolation, by JTM.
_RAW = ("JTM_RPC_SERVER",)


class Ini:
    """One parsed file. Errors name file, section and key, and never show a value."""

    def __init__(self, path: str, interpolation: configparser.Interpolation) -> None:
        """Read `path`; raise StandInError if it is missing, unreadable or not an INI file."""
        self.path = path
        self._parser = configparser.ConfigParser(interpolation=interpolation)
        self._sign = "%" if isinstance(interpolation, configparser.BasicInterpolation) else "$"
        try:
            with open(path, encoding="utf-8") as stream:
                self._parser.read_file(stream)
        except OSError as error:
            raise StandInError(f"{path} cannot be read: {error.strerror}") from None
        except UnicodeDecodeError as error:
            raise StandInError(f"{path} is not UTF-8 at byte {error.start}") from None
        except configparser.Error as error:
            raise StandInError(f"{path} is not an INI file: {_syntax(error)}") from None

    def has(self, section: str) -> bool:
        """Return whether the file has this section."""
        return self._parser.has_section(section)

    def sections(self) -> List[str]:
        """Return the names of the file's sections."""
        return self._parser.sections()

    def keys(self, section: str) -> List[str]:
        """Return the keys that the section itself has, without those of [DEFAULT]."""
        return [key for key in self._parser[section] if key not in self._parser.defaults()]

    def value(
        self, section: str, key: str, kind: Callable[[str], T], default: Optional[T] = None
    ) -> T:
        """Return one converted value, or the default; raise StandInError if there is neither."""
        if not self.has(section) or key not in self._parser[section]:
            if default is not None:
                return default
            raise StandInError(f"{self.path}: section [{section}] has no key {key}")
        text = self._text(section, key)
        try:
            return kind(text)
        except ValueError:
            expected = _EXPECTED[kind]
            raise StandInError(f"{self.path}: [{section}] {key} must be {expected}") from None

    def require(self, wanted: Wanted) -> None:
        """Raise StandInError for the first missing section or key, or value that does not fit."""
        for section, keys in wanted.items():
            if not self.has(section):
                raise StandInError(f"{self.path}: section [{section}] is missing")
            for key, kind in keys.items():
                self.value(section, key, kind)

    def allow(self, optional: Wanted) -> None:
        """Raise StandInError for a value that does not fit; a missing one has a default."""
        for section, keys in optional.items():
            for key, kind in keys.items():
                if self.has(section) and key in self._parser[section]:
                    self.value(section, key, kind)

    def _text(self, section: str, key: str) -> str:
        try:
            return self._parser.get(section, key, raw=section in _RAW)
        except configparser.InterpolationError as error:
            # The parser's own text shows the value, which may be a password.
            raise StandInError(
                f"{self.path}: [{error.section}] {error.option} cannot be interpolated:"
                f" write a literal {self._sign} as {self._sign}{self._sign}"
            ) from None


def _syntax(error: configparser.Error) -> str:
    """Say what is wrong and where, without the offending line: it may hold a password."""
    if isinstance(error, configparser.DuplicateOptionError):
        return f"[{error.section}] {error.option} is given twice (line {error.lineno})"
    if isinstance(error, configparser.DuplicateSectionError):
        return f"section [{error.section}] is given twice (line {error.lineno})"
    line = getattr(error, "lineno", None)
    if line is None and isinstance(error, configparser.ParsingError):
        line = error.errors[0][0]
    return f"line {line} is neither a section nor 'key = value'"
