# Copyright: (c) 2026, The jgi.jaws engineers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What differs between two releases, and what a switch from one to the other does to programs.

Pure functions. Names that contain a digest are compared by what they name: a program whose
configuration has one other value differs in that value, not in the name of the file.
"""

from __future__ import annotations

import json
import os
import re
from collections import Counter
from typing import Any, Callable, Collection, Dict, Iterable, List, Mapping, NamedTuple, Sequence

from ..errors import SECRET_NAME, quoted
from ..supervisor.conf import definitions, differing, secret_files
from ..supervisor.programs import Change, Program

Record = Mapping[str, Any]
Entries = Dict[str, List[str]]

CHECK = "the health check of "
DIGEST = re.compile(r"-[0-9a-f]{12}(?=\.|$)")
# How a configuration's lines begin and end a part of it, in INI, TOML, HOCON and JSON.
HEADING = re.compile(r"\[+([^\[\]]+)\]+")
OPENING = re.compile(r'"?([\w.:-]*?)"?\s*[:=]?\s*[{\[(]')
CLOSING = re.compile(r"[}\])]+,?")
VALUE = re.compile(r'"?([^\s"=:][^"=:]*?)"?\s*[=:]\s*(.*)')
LEASH = re.compile(r" -I -S -c '.*\n'", re.DOTALL)  # code in a script that is the same in all


class Model(NamedTuple):
    """What a release consists of, by names without digests.

    C(texts) are its files and definitions; C(paths) are the paths of the files and directories that
    it uses; C(environments) are the names of its environments among them; C(reads) says which of
    all these each program uses.
    """

    texts: Mapping[str, str | None]
    paths: Mapping[str, str]
    environments: Collection[str]
    packages: Mapping[str, str]
    reads: Mapping[str, Collection[str | None]]


def model(record: Record | None, read: Callable[[str], str | None]) -> Model:
    """Return what a release consists of.

    :param read: returns the content of one of its files, or None if that is unknown.
    """
    if not record:
        return Model({}, {}, (), {}, {})
    hidden = secret_files(record["programs"])
    links = {target: os.path.basename(path) for path, target in record["links"].items()}
    files = [path for path in record["files"] if path not in hidden]
    names = {
        path: links.get(path) or DIGEST.sub("", os.path.basename(path))
        for path in [*files, *record["uses"]]
    }
    texts = {path: read(path) for path in files}
    sections = definitions(record["programs"])
    told = {f"[program:{name}]": text for name, text in sections.items()}
    told.update((CHECK + name, json.dumps(one, indent=1)) for name, one in record["health"].items())
    own = {names[path]: text for path, text in texts.items()}
    reads = {name: _reached(text, texts, names) for name, text in sections.items()}
    return Model(
        {name: _renamed(text, names) for name, text in {**told, **own}.items()},
        {name: path for path, name in names.items()},
        [names[path] for path in record["uses"] if path in links],
        _packages(record.get("packages") or []),
        {name: {f"[program:{name}]", *map(names.get, found)} for name, found in reads.items()},
    )


def _renamed(text: str | None, names: Mapping[str, str]) -> str | None:
    for path, name in names.items():
        text = text.replace(_mark(path), name) if text else text
    return text


def _mark(path: str) -> str:
    """Return what mentions a path, however its directory is quoted there."""
    name = os.path.basename(path)
    return name if DIGEST.search(name) else path


def _reached(text: str, files: Mapping[str, str | None], used: Collection[str]) -> set[str]:
    """Return the paths that a text names, and those that these files name."""
    found: set[str] = set()
    due: list[str | None] = [text]
    while due:
        known = due.pop() or ""
        new = {path for path in used if _mark(path) in known} - found
        found |= new
        due += [files.get(path) for path in new]
    return found


def _packages(told: Iterable[str]) -> dict[str, str]:
    """Return the versions by package; several environments may have different ones."""
    found: dict[str, str] = {}
    for given, _equals, version in sorted({one.partition("==") for one in told}):
        name = re.sub(r"[-_.]+", "-", given).lower()
        found[name] = f"{found[name]}, {version}" if name in found else version
    return found


def changes(old: Model, new: Model, is_whole: bool = True) -> list[dict[str, Any]]:
    """Return what differs, each as C(item), C(change), C(before), C(after) and C(programs).

    A difference that holds a secret has no C(before) and C(after). Nothing differs from nothing.

    :param is_whole: whether all packages of the new one are known; otherwise none is missing.
    """
    if not old.paths:
        return []
    known = {**old.reads, **new.reads}
    moved = [name for name in sorted(new.paths) if old.paths.get(name) != new.paths[name]]
    found = [part for name in sorted({*old.texts, *new.texts}) for part in _in_text(name, old, new)]
    found += [Part({name}, name) for name in moved if name not in {*new.texts, *new.environments}]
    environments = {name for name in moved if name in new.environments}
    packages = {**old.packages, **new.packages} if is_whole else new.packages
    versions = [(name, old.packages.get(name), new.packages.get(name)) for name in sorted(packages)]
    differing = [Part(environments, *each) for each in versions if each[1] != each[2]]
    rebuilt = [Part({name}, f"the environment {name}") for name in sorted(environments)]
    return [_change(part, known) for part in found + (differing or rebuilt)]


class Part(NamedTuple):
    """What differs: in what, where, and its value before and after."""

    within: Collection[str]
    item: str
    before: str | None = ""
    after: str | None = ""


def _change(part: Part, known: Mapping[str, Collection[str | None]]) -> dict[str, Any]:
    _within, item, before, after = part
    kind = "added" if before is None else "removed" if after is None else "changed"
    told = [text for text in (item, before, after) if text]
    if SECRET_NAME.search(item) or any(quoted(text) != text for text in told):
        before = after = None
    programs = sorted(name for name, used in known.items() if {*part.within} & {*used})
    return dict(item=quoted(item), change=kind, before=before, after=after, programs=programs)


def _in_text(name: str, old: Model, new: Model) -> list[Part]:
    """Return the differences in one text. Those of a whole program are not among them."""
    before, after = old.texts.get(name), new.texts.get(name)
    if name not in old.texts or name not in new.texts:
        text = before or after or ""
        is_own = name.startswith(("[program:", CHECK)) or text.startswith("#!")
        values = (None, "") if name in new.texts else ("", None)
        return [] if is_own else [Part({name}, name, *values)]
    if before is None or after is None:
        return [] if before == after else [Part({name}, name)]
    if _code(before) != _code(after):
        return [Part({name}, name)]  # it would help nobody here
    one, other = entries(before), entries(after)
    places = [place for place in {**one, **other} if one.get(place) != other.get(place)]
    return [
        Part({name}, f"{name} {place}".strip(), *_values(one.get(place), other.get(place)))
        for place in places
    ]


def _values(
    before: Sequence[str] | None, after: Sequence[str] | None
) -> tuple[str | None, str | None]:
    """Return what only the one and only the other has; all, if only the order differs."""
    old, new = Counter(before or []), Counter(after or [])
    gone, come = (list((old - new).elements()), list((new - old).elements()))
    if old == new:
        gone, come = list(before or []), list(after or [])
    return (
        None if before is None else " ".join(gone),
        None if after is None else " ".join(come),
    )


def entries(text: str) -> Entries:
    """Return the values in a configuration or a script, by where they are in it."""
    return _of_script(text) if text.startswith("#!") else _of_configuration(text)


def _of_script(text: str) -> Entries:
    found: Entries = {}
    for line in LEASH.sub("", text).splitlines():
        verb, _space, rest = line.partition(" ")
        name, _equals, value = rest.partition("=")
        if verb == "export" and value:
            found[name] = [value]
        elif verb == "exec":
            found["command"] = rest.split()
    return found


def _code(text: str) -> list[str]:
    """Return the lines of a script that are neither variables nor the command."""
    lines = LEASH.sub("", text).splitlines() if text.startswith("#!") else []
    return [line for line in lines if not line.startswith(("export ", "exec ", "#"))]


def _of_configuration(text: str) -> Entries:
    found: Entries = {}
    nested: list[str] = []
    heading = last = ""
    for line in text.splitlines():
        bare = line.strip()
        title, opened = HEADING.fullmatch(bare), OPENING.fullmatch(bare)
        value = VALUE.fullmatch(bare.rstrip(",") if nested else bare)
        place = [heading, ".".join(filter(None, nested))]
        if not bare or bare[0] in "#;":
            continue
        if title and not nested:
            heading = f"[{title[1]}]"
        elif opened:
            nested.append(opened[1])
        elif CLOSING.fullmatch(bare) and nested:
            nested.pop()
        elif line[0].isspace() and last and not nested:  # it continues the one before
            found[last][-1] += f" {bare}"
        else:
            key = value[1] if value else ""
            joined = ".".join(filter(None, [place[1], key]))
            last = f"{place[0]} {joined}".strip()
            found.setdefault(last, []).append(value[2] if value else bare.rstrip(","))
    return found


def actions(
    before: str, after: str, seen: Sequence[Program], dead: Collection[str], differs: Change
) -> list[dict[str, Any]]:
    """Return what a switch does to each program: C(program), C(action) and C(why).

    :param before: the programs' part of the supervisord.conf.
    :param after: that of the release.
    :param seen: what runs.
    :param dead: the groups that have died.
    :param differs: how supervisord differs from its configuration.
    """
    old, new = definitions(before), definitions(after)
    due = {*differing(before, after), *differs.groups}
    states: dict[str, set[str]] = {}
    for program in seen:
        states.setdefault(program.group, set()).add(program.state)

    def decided(name: str) -> tuple[str, str]:
        if name not in new:
            return "remove", ""
        if name not in old:
            return "start", "it is new"
        if states.get(name) == {"STOPPED"}:
            renewed = ", but it has the new definition" if name in due else ""
            return "leave", f"it was stopped on purpose{renewed}"
        if name in due:
            return "restart", ""
        if name in dead:
            return "start", f"it was {', '.join(sorted(states[name]))}"
        return "leave", "nothing that it uses has changed"

    names = sorted({*old, *new, *differs.removed})
    return [dict(zip(("program", "action", "why"), (name, *decided(name)))) for name in names]
