# Copyright: (c) 2026, The jgi.jaws engineers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Decisions about all instances of a play: did the switch succeed, and which programs are named.

Pure functions on the control node. They take what the hosts have registered, by host. If a host is
missing there, it failed earlier or became unreachable.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping, Sequence
from typing import Any

from ansible.module_utils.parsing.convert_bool import boolean

Result = Mapping[str, Any]

ALL = "all"
STOPPED = "STOPPED"


def by_host(hostvars: Mapping[str, Result], name: str, hosts: Iterable[str]) -> dict[str, Any]:
    """Return a variable of several hosts, by host; a host that does not have it is left out."""
    variables = {host: hostvars[host] for host in hosts}
    return {host: known[name] for host, known in variables.items() if name in known}


def switch(
    releases: Mapping[str, Result],
    results: Mapping[str, Result],
    hosts: Iterable[str] | None = None,
) -> dict[str, Any]:
    """Return which hosts switch, the number of the deploy, and on which hosts the switch failed.

    If it failed on one of them, all must switch back.

    :param releases: by host: what was registered before the switch. The number of the deploy is
        the largest C(deploy) in it.
    :param results: what the switch returned, by host, of every host that is still reachable.
    :param hosts: the hosts that switch; by default all in C(releases).
    """
    switching = list(releases if hosts is None else hosts)
    numbers = [int(releases[host]["deploy"]) for host in switching]
    return {
        "hosts": switching,
        "deploy": max(numbers, default=None),
        "unheld": [host for host in switching if not has_held(results.get(host))],
    }


def has_held(result: Result | None) -> bool:
    """Return whether the switch of a host succeeded. Without a clear result, it did not."""
    if not result:
        return False
    lost = [boolean(result.get(key, False)) for key in ("unreachable", "skipped")]
    return not any(lost) and not boolean(result.get("failed", True))


def chosen_programs(
    instances: Mapping[str, Result], wanted: str | Sequence[str], keep_stopped: bool = False
) -> dict[str, Any]:
    """Return by instance the programs that the names match, and a problem with the names, if any.

    :param instances: by host: what M(jgi.jaws.supervisorctl_info) returned.
    :param wanted: names, as a list or separated by commas, or C(all).
    :param keep_stopped: C(all) does not include programs that are C(STOPPED).
    """
    states = {host: _states(found) for host, found in instances.items()}
    known = sorted({name for found in states.values() for name in found})
    named = _listed(wanted)
    left_out = [STOPPED] if keep_stopped else []
    chosen = {host: _meant(named, found, left_out) for host, found in states.items()}
    return {"programs": chosen, "problem": _problem(named, known)}


def _states(instance: Result) -> dict[str, str]:
    return {program["name"]: program["state"] for program in instance["programs"]}


def _listed(wanted: str | Sequence[str]) -> list[str]:
    parts = [wanted] if isinstance(wanted, str) else wanted
    names = [name.strip() for part in parts for name in str(part).split(",")]
    return [name for name in names if name]


def _meant(named: Sequence[str], own: Mapping[str, str], left_out: Collection[str]) -> list[str]:
    every = [name for name, state in own.items() if state not in left_out] if ALL in named else []
    return [*every, *(name for name in named if name in own and name not in every)]


def _problem(named: Sequence[str], known: Collection[str]) -> str:
    there_are = f"there are {', '.join(known)}"
    if not named:
        return f"-e programs is empty. Name programs (NAME,NAME), or leave it out; {there_are}"
    unknown = [name for name in named if name not in known and name != ALL]
    return f"no instance has {', '.join(unknown)}; {there_are}" if unknown else ""
