# Copyright: (c) 2026, The jgi.jaws engineers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Layers: environments of the same kind, of which others are copies with some more wheels.

What one's own wheels need rarely changes, so it is installed once, in a layer. A copy is a tree of
hard links: its files are never written to, only replaced, by pip and by Python too.
"""

from __future__ import annotations

import os
import shutil
import zipfile
from email.parser import HeaderParser
from typing import Any, Iterable, Iterator, Mapping, Sequence

from . import installed
from .records import MARKER

NO_DEPS = {"--no-deps", "--no-dependencies"}
LONGEST_SHEBANG = 127  # of Linux before 5.1
SHELL = b"""#!/bin/sh
'''exec' %s "$0" "$@"
' '''"""


def requires_hashes(spec: Mapping[str, Any]) -> bool:
    """Whether pip requires a hash for everything that it installs for this environment."""
    hashed = any("--hash" in line for line in spec["requirements"])
    return hashed or "--require-hashes" in spec["pip_arguments"]


def requirements(spec: Mapping[str, Any], wheels: Sequence[str]) -> list[str]:
    """Return what an environment needs besides its own wheels, as lines of a requirements file.

    They are empty if only the index knows that: if a requirement names one
    of the wheels, or one of the wheels needs another with an extra.

    :param wheels: the paths of the wheels.
    """
    given = list(spec["requirements"])
    own = {installed.of_wheel(wheel).name for wheel in wheels}
    needed: list[str] = []
    if not requires_hashes(spec) and not NO_DEPS & set(spec["pip_arguments"]):
        needed = sorted({line for wheel in wheels for line in _dependencies(wheel)})
    among = [line for line in given + needed if _names(line) & own]
    if set(among).intersection(given) or any("[" in line.partition(";")[0] for line in among):
        return []
    return given + [line for line in needed if line not in among]


def _names(line: str) -> set[str]:
    return {one.name for one in installed.of_requirements([line])}


def _dependencies(wheel: str) -> Iterator[str]:
    with zipfile.ZipFile(wheel) as archive:
        for name in archive.namelist():
            if name.count("/") == 1 and name.endswith(".dist-info/METADATA"):
                metadata = HeaderParser().parsestr(archive.read(name).decode("utf-8", "replace"))
                yield from metadata.get_all("Requires-Dist", [])


def mentions(root: str) -> list[str]:
    """Return the relative paths of the text files that contain the environment's own path.

    Compiled bytecode does too, but Python corrects it when it loads it.
    """
    wanted = os.fsencode(root)
    found = []
    for path in _files(root):
        if not os.path.islink(path):
            with open(path, "rb") as stream:
                content = stream.read()
            if wanted in content and b"\0" not in content:
                found.append(os.path.relpath(path, root))
    return found


def _files(root: str) -> Iterator[str]:
    for folder, folders, names in os.walk(root):
        links = [name for name in folders if os.path.islink(os.path.join(folder, name))]
        folders[:] = [name for name in folders if name != "__pycache__"]
        yield from (os.path.join(folder, name) for name in links + names)


def copy(source: str, target: str, own: Iterable[str]) -> None:
    """Copy an environment to another path, at which a directory may exist already.

    :param own: what C(mentions) has found in it.
    :raises OSError: a file cannot be made, or exists.
    """
    changed = {os.path.join(source, path) for path in own}
    for folder, folders, names in os.walk(source):
        os.makedirs(target + folder[len(source) :], exist_ok=True)
        for path in (os.path.join(folder, name) for name in folders + names):
            there = target + path[len(source) :]
            if os.path.islink(path):
                os.symlink(os.readlink(path).replace(source, target), there)
            elif path in changed:
                _write_rehomed(path, there, os.fsencode(source), os.fsencode(target))
            elif not os.path.isdir(path) and path != os.path.join(source, MARKER):
                _link(path, there)


def _link(path: str, there: str) -> None:
    try:
        os.link(path, there)
    except FileExistsError:
        raise
    except OSError:  # another filesystem, or one without hard links
        shutil.copy2(path, there)


def _write_rehomed(path: str, there: str, source: bytes, target: bytes) -> None:
    with open(path, "rb") as stream, open(there, "wb") as copied:
        copied.write(rehomed(stream.read(), source, target))
    shutil.copymode(path, there)


def rehomed(content: bytes, source: bytes, target: bytes) -> bytes:
    """Return the content of a file of one environment for another one."""
    first, end, rest = content.replace(source, target).partition(b"\n")
    if first.startswith(b"#!") and len(first) > LONGEST_SHEBANG:
        first = SHELL % first[2:].strip()  # as pip writes it
    return first + end + rest
