# Copyright: (c) 2026, The jgi.jaws engineers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Which facts of an inventory become which options of roles, according to playbooks/group_vars.

Pure functions on the control node.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any, NamedTuple

from ansible.module_utils.common.yaml import yaml_load

FACTS = ("site_", "deployment_", "instance_", "vault_")
WORD = re.compile(r"[A-Za-z_]\w*")
# An option that is a fact under another name.
RENAME = re.compile(r"\{\{ (\w+)(?: \| default\((?P<default>([^()]|\([^()]*\))+)\))? \}\}")

Variables = Mapping[str, Any]


class Wiring(NamedTuple):
    """The variables that the playbooks set for each group of hosts."""

    groups: Mapping[str, Variables]

    @property
    def names(self) -> set[str]:
        """Every variable that the playbooks set."""
        return {name for variables in self.groups.values() for name in variables}

    def templates(self, name: str) -> list[Any]:
        """Return the values that the playbooks set a variable to, in any group."""
        return [variables[name] for variables in self.groups.values() if name in variables]

    def is_in_force(self, name: str, raw: Variables) -> bool:
        """Whether a host's variable comes from the playbooks, before templates are rendered."""
        return any(is_same(raw.get(name), template) for template in self.templates(name))

    def facts_behind(self, name: str, raw: Variables) -> list[str]:
        """Return the facts that a host's variable is derived from, directly or through others."""
        found: dict[str, None] = {}
        for word in WORD.findall(str(raw.get(name, ""))):
            if word.startswith(FACTS):
                found[word] = None
            elif word in self.names and word != name:
                found.update(dict.fromkeys(self.facts_behind(word, raw)))
        return list(found)

    def renames(self) -> dict[str, str]:
        """Return by fact the option that has its value, for those that match one to one."""
        matches = {
            match: name
            for variables in self.groups.values()
            for name, template in variables.items()
            if (match := renamed(template))
        }
        pairs = {(match[1], name) for match, name in matches.items()}
        facts = [fact for fact, _name in pairs]
        names = [name for _fact, name in pairs]
        # A fact that is the default of another one has more than one meaning.
        defaults = {word for match in matches for word in WORD.findall(match["default"] or "")}
        return {
            fact: name
            for fact, name in sorted(pairs)
            if facts.count(fact) == 1 and names.count(name) == 1 and fact not in defaults
        }

    def as_written(self, name: str, raw: Variables) -> str:
        """Return the name by which the inventory states an option: its fact, if it has one."""
        match = None if name.startswith(FACTS) else renamed(raw.get(name))
        return match[1] if match else name


def renamed(template: Any) -> re.Match[str] | None:
    """Return the match if a template only gives a fact another name."""
    match = RENAME.fullmatch(template) if isinstance(template, str) else None
    return match if match and match[1].startswith(FACTS) else None


def is_same(one: Any, other: Any) -> bool:
    """Whether two values are the same, without decrypting either."""
    readable = all(isinstance(value, str | int | float | list | dict) for value in (one, other))
    return one is other or (readable and bool(one == other))


def read_wiring(collection: Path) -> Wiring:
    """Return the wiring of the collection's playbooks."""
    paths = sorted((collection / "playbooks/group_vars").glob("*.yml"))
    return Wiring({path.stem: yaml_load(path.read_text("utf-8")) for path in paths})
