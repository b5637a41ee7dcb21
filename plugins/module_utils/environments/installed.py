# Copyright: (c) 2026, The jgi.jaws engineers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What was asked for, and what is installed in an environment."""

from __future__ import annotations

import glob
import json
import os
import re
import zipfile
from collections import Counter
from importlib.metadata import distributions
from typing import Dict, Iterable, Iterator, NamedTuple, Sequence
from urllib.parse import unquote

# Run by the environment's Python with the names of modules: prints where it looks for packages, and
# what could not be imported. What it imports may print, leave threads behind, or want to exit.
PROBE = """
import importlib, json, os, sys, sysconfig
names, faults = sys.argv[1:], {}
sys.argv[1:] = []
for name in names:
    try:
        importlib.import_module(name)
    except BaseException as error:
        faults[name] = "%s: %s" % (type(error).__name__, error)
print()
print(json.dumps([[sysconfig.get_path("purelib"), sysconfig.get_path("platlib")], faults]))
sys.stdout.flush()
os._exit(0)
"""
NAMED = re.compile(
    r"([A-Za-z0-9](?:[\w.-]*[A-Za-z0-9])?)\s*(?:\[[^\]]*\]\s*)?(?=$|[@=<>!~(;]|--)"
    r"(?:\(?\s*===?\s*([\w.+!-]+)(?![\w.+!*-]))?"
)
ARCHIVE = re.compile(r"\.(zip|tar(\.\w+)?|tgz|tbz|txz)$")
IGNORED = re.compile(r"^Ignoring ([\w.-]+): markers ", re.MULTILINE)
WITHOUT_NAME = ""
TOOLS = {"pip", "setuptools", "wheel"}
MODULE = re.compile(r"(?:[^/]+\.data/(?:purelib|platlib)/)?([^\W\d]\w*)(/.*|\.[^/]*)")

Versions = Dict[str, str]


class Asked(NamedTuple):
    """A distribution that was asked for; an empty version means any, an empty name is unknown."""

    name: str
    version: str = ""
    conditional: bool = False  # it has a marker, which may not hold


def normal(name: str) -> str:
    """Return the normal spelling of a distribution's name."""
    return re.sub(r"[-_.]+", "-", name).lower()


def same_version(one: str, other: str) -> bool:
    """Whether two spellings mean the same version; a local version counts if both have one."""
    first, second = one.split("+", 1), other.split("+", 1)
    if len(first) == len(second) == 2 and normal(first[1]) != normal(second[1]):
        return False
    return _plain(first[0]) == _plain(second[0])


def _plain(version: str) -> str:
    text = re.sub(r"[-_.]*([a-z]+)[-_.]*", r"\1", version.lower().lstrip("v"))
    text = re.sub(r"(?<=\d)(c|pre|preview)(?=\d|$)", "rc", text)
    text = text.replace("alpha", "a").replace("beta", "b")
    text = re.sub(r"(?<=[a-z])$", "0", text)  # 1.0a is 1.0a0
    text = re.sub(r"\d+", lambda digits: str(int(digits[0])), text)
    return re.sub(r"(\.0)+(?=$|[a-z])", "", text)


def of_wheel(name: str) -> Asked:
    """Return what the file name of a wheel says."""
    parts = unquote(os.path.basename(name)).split("-")
    return Asked(normal(parts[0]), parts[1] if len(parts) > 1 else "")


def of_requirements(lines: Iterable[str]) -> list[Asked]:
    """Return what lines of a requirements file ask for; options ask for nothing."""
    text = "\n".join(lines).replace("\\\n", " ")
    bare = (re.sub(r"(^|\s)#.*", "", line).strip() for line in text.splitlines())
    return [_of_requirement(line) for line in bare if line and not line.startswith("-")]


def _of_requirement(line: str) -> Asked:
    first = re.split(r"[#?;\s]", line)[0]
    named = NAMED.match(line)
    if first.endswith(".whl"):
        return of_wheel(first)
    if named and not ARCHIVE.search(named[1]):
        return Asked(normal(named[1]), named[2] or "", ";" in line)
    egg = re.search(r"[#&]egg=([\w.-]+)", line)
    return Asked(normal(egg[1]) if egg else WITHOUT_NAME)


def passed_over(told: str) -> Counter[str]:
    """Return how many lines of each name pip has ignored because of their markers."""
    return Counter(normal(name) for name in IGNORED.findall(told))


def missing(asked: Sequence[Asked], ignored: Counter[str], found: Versions) -> Iterator[str]:
    """Yield a sentence for each distribution that was asked for and is not installed."""
    for name in sorted({one.name for one in asked}):
        versions = [one.version for one in asked if one.name == name]
        if len(versions) <= ignored[name]:
            continue
        if name == WITHOUT_NAME:
            if not found.keys() - TOOLS:
                yield "nothing is installed in it"
        elif name not in found:
            yield f"{name} is not installed in it"
        elif all(versions) and not any(same_version(one, found[name]) for one in versions):
            yield f"{name} {found[name]} is installed in it, not {' or '.join(versions)}"


def packages(paths: Iterable[str]) -> list[str]:
    """Return what is installed in these directories, as pip writes requirements."""
    known = {
        str(one.metadata["Name"]): one.version
        for one in distributions(path=sorted({os.path.realpath(path) for path in paths}))
        if "Name" in one.metadata and "Version" in one.metadata
    }
    return [f"{name}=={known[name]}" for name in sorted(known, key=str.lower)]


def versions(known: Iterable[str]) -> Versions:
    """Return the versions by normal name of what C(packages) returns."""
    pairs = (package.split("==", 1) for package in known)
    return {normal(pair[0]): pair[-1] for pair in pairs}


def modules(wheel: str) -> list[str]:
    """Return the names of the modules and packages at the top of a wheel."""
    with zipfile.ZipFile(wheel) as archive:
        found = [MODULE.fullmatch(name) for name in archive.namelist()]
    code = (one for one in found if one and re.search(r"\.(py|so)$", one[2]))
    return sorted({one[1] for one in code if not one[1].startswith("__")})


def builds(packages: Iterable[str], path: str, wheels: Iterable[dict[str, str]]) -> list[str]:
    """Return the packages, each with what distinguishes it from others of its version.

    That is the beginning of the wheel's digest, or of the commit or the hash of what a URL gave.

    :param path: of the environment.
    :param wheels: each with its C(name) and its C(digest).
    """
    known = dict(_origins(path))
    known.update((of_wheel(wheel["name"]).name, wheel["digest"][:8]) for wheel in wheels)
    found = ((package, known.get(normal(package.partition("==")[0]))) for package in packages)
    return [f"{package} ({origin})" if origin else package for package, origin in found]


def _origins(path: str) -> Iterator[tuple[str, str]]:
    """Yield the name, and the beginning of the commit or hash, of each distribution from a URL."""
    pattern = os.path.join(glob.escape(path), "lib*", "*", "site-packages", "*", "direct_url.json")
    for file in glob.glob(pattern):
        with open(file, encoding="utf-8") as stream:
            told = json.load(stream)
        name = os.path.basename(os.path.dirname(file)).split("-")[0]
        archive = told.get("archive_info", {})
        content = archive.get("hashes", {}).get("sha256", archive.get("hash", "").partition("=")[2])
        yield normal(name), str(told.get("vcs_info", {}).get("commit_id") or content)[:8]
