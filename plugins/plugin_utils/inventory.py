# Copyright: (c) 2026, The jgi.jaws engineers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What can be wrong with an inventory, said before anything connects. Pure functions on the control node."""

from __future__ import annotations

import difflib
import os
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any, NamedTuple

import yaml

COLLECTION = Path(__file__).parents[2]
Options = dict[str, dict[str, Any]]


class Spec(NamedTuple):
    """What variables mean: the options of roles, and the facts that an inventory may state."""

    roles: Options
    facts: Options

    @property
    def known(self) -> set[str]:
        """Every known name."""
        return set(self.roles) | set(self.facts)

    @property
    def prefixes(self) -> tuple[str, ...]:
        """The prefixes of names that belong to this collection."""
        return ("jaws_", "supervisord_", "gitlab_runner_", "boot_", "site_", "deployment_", "vault_")


class Claim(NamedTuple):
    """One thing that only one instance of a machine may have."""

    machine: str
    thing: str
    variable: str
    host: str


def read_spec(collection: Path = COLLECTION) -> Spec:
    """Return the specs of the collection's roles and of its inventories."""
    roles: Options = {}
    for path in sorted(collection.glob("roles/*/meta/argument_specs.yml")):
        for entry in _load(path)["argument_specs"].values():
            roles.update(entry.get("options", {}))
    facts: Options = _load(collection / "playbooks" / "vars" / "inventory_spec.yml")["options"]
    return Spec(roles, facts)


def _load(path: Path) -> dict[str, Any]:
    with path.open(encoding="utf-8") as stream:
        loaded: dict[str, Any] = yaml.safe_load(stream)
    return loaded


def unknown_names(host: str, names: Iterable[str], spec: Spec) -> list[str]:
    """Return a sentence for each name that looks like ours and is not."""
    told = []
    for name in sorted(names):
        if name.startswith(spec.prefixes) and name not in spec.known:
            close = difflib.get_close_matches(name, sorted(spec.known), 1)
            hint = f"; did you mean {close[0]}?" if close else "."
            told.append(f"{host}: {name} is not a variable of jgi.jaws{hint}")
    return told


def missing_facts(host: str, names: Iterable[str], spec: Spec) -> list[str]:
    """Return a sentence for each fact that an inventory has to state and does not."""
    present = set(names)
    return [
        f"{host}: {name} is missing: {option['description']}"
        for name, option in spec.facts.items()
        if option.get("required") and name not in present
    ]


def claims(host: str, values: Mapping[str, Any]) -> list[Claim]:
    """Return the paths and ports that an instance has for itself on its machine."""
    machine = str(values.get("ansible_host") or ("localhost" if _is_local(values) else host))
    found = [
        Claim(machine, _path(values, "supervisord_root", f"supervisord-{values['supervisord_instance']}.conf"), "supervisord_instance", host),
        Claim(machine, _path(values, "supervisord_run_dir"), "supervisord_run_dir", host),
        Claim(machine, _path(values, "jaws_root", values["jaws_instance"]), "jaws_root", host),
    ]
    found += [Claim(machine, f"port {values[name]}", name, host) for name in _ports(values)]
    return found


def _is_local(values: Mapping[str, Any]) -> bool:
    return values.get("ansible_connection") in ("local", "ansible.builtin.local")


def _path(values: Mapping[str, Any], name: str, *parts: str) -> str:
    return os.path.normpath(os.path.join(str(values[name]), *parts))


def _ports(values: Mapping[str, Any]) -> list[str]:
    ports = {"jaws": ["jaws_auth_port", "jaws_rest_port"], "jtm": ["jaws_cromwell_port"]}
    tcp = ["supervisord_port"] if values.get("supervisord_listen") == "tcp" else []
    return ports.get(str(values["jaws_instance"]), []) + tcp


def conflicts(all_claims: Iterable[Claim]) -> list[str]:
    """Return a sentence for each path or port that two instances of one machine have."""
    owners: dict[tuple[str, str], Claim] = {}
    told = []
    for claim in all_claims:
        first = owners.setdefault((claim.machine, claim.thing), claim)
        if first.host != claim.host or first.variable != claim.variable:
            told.append(
                f"{first.host} ({first.variable}) and {claim.host} ({claim.variable}) both have "
                f"{claim.thing} on {claim.machine}."
            )
    return told
