# Copyright: (c) 2026, The jgi.jaws engineers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""TOML, as far as a config.toml is read and written again with values that stay as they are.

Python has a parser of its own from 3.11 on, and never one that writes.
"""

from __future__ import annotations

import datetime
import json
import re
from typing import Any, Dict, Iterator, List, Mapping, Sequence, Union

from .errors import JawsError

NAME = r"""(?:[A-Za-z0-9_-]+|"(?:[^"\\\n]|\\.)*"|'[^'\n]*')"""
NAMES = rf"{NAME}(?:[ \t]*\.[ \t]*{NAME})*"
EMPTY = re.compile(r"\s+|#[^\n]*")
HEADER = re.compile(rf"(\[\[?)[ \t]*({NAMES})[ \t]*\]\]?[ \t]*(?:#[^\n]*)?(?=\n|\Z)")
ASSIGNMENT = re.compile(rf"({NAMES})[ \t]*=[ \t]*")
# A string, a comment, a bracket, the end of the line, or anything else.
PIECE = re.compile(
    r'"""(?:[^\\]|\\.)*?"""|' + r"'''.*?'''|"
    r'"(?:[^"\\\n]|\\.)*"|' + r"'[^'\n]*'|#[^\n]*|[\[\]{}\n]|[^\"'#\[\]{}\n]+",
    re.DOTALL,
)


class Raw(str):
    """A value as it is written."""

    __slots__ = ()

    @property
    def text(self) -> str:
        """The text that it means, or itself if it is not a text on a single line."""
        if self[:1] == "'" and self[:3] != "'''":
            return self[1:-1]
        try:
            found = json.loads(self)
        except ValueError:
            return str(self)
        return found if isinstance(found, str) else str(self)


Table = Dict[str, Any]  # of Raw, Table and a list of Table
Node = Union[Raw, Table, List[Table]]


def parse(text: str, path: str) -> Table:
    """Return the tables of a file.

    :param path: the file, for messages.
    :raises JawsError: names the line that cannot be understood (unreadable_file).
    """
    root: Table = {}
    table, position = root, _next(text, 0)
    while position < len(text):
        header, pair = HEADER.match(text, position), ASSIGNMENT.match(text, position)
        try:
            if header:
                table, end = _opened(root, _names(header[2]), header[1] == "[["), header.end()
            else:
                end = _assign(table, text, pair)
        except (TypeError, AttributeError) as error:  # a value cannot be a table too
            line = text.count("\n", 0, position) + 1
            raise JawsError(
                f"{path}: line {line} cannot be understood. Nothing was changed; correct it, or "
                "move the file away.",
                reason="unreadable_file",
            ) from error
        position = _next(text, end)
    return root


def _next(text: str, position: int) -> int:
    """Return where something follows that is neither empty nor a comment."""
    while match := EMPTY.match(text, position):
        position = match.end()
    return position


def _assign(table: Table, text: str, pair: re.Match[str] | None) -> int:
    """Set a value in a table, and return where it ends.

    :raises TypeError: there is no value.
    """
    end = _end_of_value(text, pair.end()) if pair else -1
    if not pair or end <= pair.end():
        raise TypeError
    *above, last = _names(pair[1])
    _opened(table, above, False)[last] = Raw(text[pair.end() : end].strip())
    return end


def _names(dotted: str) -> list[str]:
    return [Raw(name).text for name in re.findall(NAME, dotted)]


def _opened(table: Table, names: Sequence[str], is_array: bool) -> Table:
    """Return the table of this name below C(table); a new one of an array of tables."""
    for number, name in enumerate(names):
        if is_array and number == len(names) - 1:
            table.setdefault(name, []).append({})
        found = table.setdefault(name, {})
        table = found[-1] if isinstance(found, list) else found
    return table


def _end_of_value(text: str, start: int) -> int:
    """Return where a value ends, or -1 if it does not."""
    depth, end = 0, start
    for piece in PIECE.finditer(text, start):
        if piece.start() != end:
            return -1
        if piece[0][0] in "\n#" and not depth:
            return end
        depth += (piece[0] in "[{") - (piece[0] in "]}")
        end = piece.end()
    return end if end == len(text) and not depth else -1


def text_of(table: Table, name: str) -> str:
    """Return the text of a value, empty if there is none."""
    value = table.get(name)
    return value.text if isinstance(value, Raw) else ""


def dump(table: Table) -> str:
    """Return the text of a table: first its own values, then the tables in it."""
    return "".join(f"{line}\n" for line in _lines(table, []))


def _lines(table: Table, path: Sequence[str]) -> Iterator[str]:
    indent = "  " * len(path)
    for name, value in table.items():
        if isinstance(value, Raw):
            yield f"{indent}{_key(name)} = {value}"
    for name, value in table.items():
        where = [*path, _key(name)]
        if isinstance(value, dict):
            yield f"{indent}[{'.'.join(where)}]"
            yield from _lines(value, where)
        for item in value if isinstance(value, list) else []:
            yield f"{indent}[[{'.'.join(where)}]]"
            yield from _lines(item, where)


def _key(name: str) -> str:
    return name if re.fullmatch(r"[A-Za-z0-9_-]+", name) else _quoted(name)


def _quoted(text: str) -> str:
    # As in JSON, except that DEL must be escaped, and characters beyond 16 bits must not be.
    return json.dumps(text, ensure_ascii=False).replace("\x7f", "\\u007f")


def from_data(data: Any) -> Any:
    """Return data as it is written in TOML; keys without a value are left out."""
    if isinstance(data, Mapping):
        given = {str(key): value for key, value in data.items() if value is not None}
        return {key: from_data(value) for key, value in given.items()}
    if isinstance(data, (list, tuple)):
        if data and all(isinstance(item, Mapping) for item in data):
            return [from_data(item) for item in data]
        return Raw("[" + ", ".join(_inline(from_data(item)) for item in data) + "]")
    if isinstance(data, bool):
        return Raw(str(data).lower())
    if isinstance(data, (int, float)):
        return Raw(str(data))
    if isinstance(data, (datetime.date, datetime.datetime)):
        return Raw(data.isoformat())
    return Raw(_quoted(str(data)))


def _inline(value: Node) -> str:
    if isinstance(value, dict):
        pairs = ", ".join(f"{_key(name)} = {_inline(item)}" for name, item in value.items())
        return "{" + pairs + "}"
    return str(value)


def merged(stated: Table, found: Table, path: str = "") -> Table:
    """Return C(found) with C(stated) merged into it, table by table.

    A value that means the same stays as it is written.

    :raises JawsError: a table is stated where the other has an inline table (unreadable_file).
    """
    result = dict(found)
    for name, value in stated.items():
        known = found.get(name)
        if isinstance(value, dict) and isinstance(known, dict):
            result[name] = merged(value, known, f"{path}{name}.")
        elif isinstance(value, dict) and isinstance(known, Raw):
            raise JawsError(
                f"{path}{name} is an inline table, and more of it is to be set. Nothing was "
                f"changed; write it as a table, [{path}{name}].",
                reason="unreadable_file",
            )
        elif not (isinstance(known, Raw) and isinstance(value, Raw) and known.text == value.text):
            result[name] = value
    return result


def only_in(found: Table, stated: Table, path: str = "") -> list[str]:
    """Return the names of what only the first of two tables has, with dots."""
    names = []
    for name, value in found.items():
        if name not in stated:
            names.append(path + name)
        elif isinstance(value, dict) and isinstance(stated[name], dict):
            names += only_in(value, stated[name], f"{path}{name}.")
    return names


def names(table: Table) -> list[list[str]]:
    """Return the names of all values in a table, each with those of the tables around it."""
    found = []
    for name, value in table.items():
        inside = names(value) if isinstance(value, dict) else [[]]
        found += [[name, *rest] for rest in inside]
    return found


def without(table: Table, gone: Sequence[Sequence[str]]) -> Table:
    """Return a table without some of its values, and without the tables that have lost all."""
    left: Table = {}
    for name, value in table.items():
        rest = [path[1:] for path in gone if path[:1] == [name]]
        if isinstance(value, dict) and rest:
            value = without(value, rest)
            rest = [] if value else [[]]
        if [] not in rest:
            left[name] = value
    return left
