# Copyright: (c) 2026, The jgi.jaws engineers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What can be wrong with an inventory, said before anything connects.

Pure functions on the control node.
"""

from __future__ import annotations

import difflib
import os
import re
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any, NamedTuple

import yaml

COLLECTION = Path(__file__).parents[2]
FACTS = ("site_", "deployment_", "vault_")
UNDEFINED = re.compile(r"'(\w+)' is undefined")
PORTS = {"jaws": ("jaws_auth_port", "jaws_rest_port"), "jtm": ("jaws_cromwell_port",)}

Options = dict[str, dict[str, Any]]


class Spec(NamedTuple):
    """What variables mean: the options of each role, and the facts that an inventory may state."""

    roles: dict[str, Options]
    facts: Options

    @property
    def known(self) -> Options:
        """Every option and fact."""
        return {
            name: option
            for part in (*self.roles.values(), self.facts)
            for name, option in part.items()
        }

    @property
    def prefixes(self) -> tuple[str, ...]:
        """The prefixes of names that belong to this collection."""
        return (*(f"{role}_" for role in self.roles), *FACTS)

    def options(self, names: Iterable[str]) -> Options:
        """Return the options of the roles that a host uses: it states what one of them requires."""
        stated = set(names)
        return {
            name: option
            for options in self.roles.values()
            if any(option.get("required") and name in stated for name, option in options.items())
            for name, option in options.items()
        }


class Claim(NamedTuple):
    """One thing that only one instance of a machine may have."""

    machine: str
    thing: str
    variable: str
    host: str


def read_spec(collection: Path = COLLECTION) -> Spec:
    """Return the specs of the collection's roles and of its inventories."""
    roles: dict[str, Options] = {}
    for path in sorted(collection.glob("roles/*/meta/argument_specs.yml")):
        options = roles.setdefault(path.parts[-3], {})
        for entry in _load(path)["argument_specs"].values():
            options.update(entry.get("options", {}))
    return Spec(roles, _load(collection / "playbooks/vars/inventory_spec.yml")["options"])


def _load(path: Path) -> dict[str, Any]:
    with path.open(encoding="utf-8") as stream:
        loaded: dict[str, Any] = yaml.safe_load(stream)
    return loaded


def unknown_names(names: Iterable[str], spec: Spec) -> list[str]:
    """Return a sentence for each name that looks like ours and is not."""
    told = []
    known = spec.known
    for name in sorted(names):
        if name.startswith(spec.prefixes) and name not in known:
            close = difflib.get_close_matches(name, sorted(known), 1)
            hint = f"; did you mean {close[0]}?" if close else "."
            told.append(f"{name} is not a variable of jgi.jaws{hint}")
    return told


def missing_options(names: Iterable[str], spec: Spec) -> list[str]:
    """Return a sentence for each option that a role requires and a host that uses it lacks."""
    stated = set(names)
    return [
        _missing(name, option)
        for name, option in spec.options(stated).items()
        if option.get("required") and name not in stated
    ]


def without_value(errors: Mapping[str, str], spec: Spec) -> list[str]:
    """Return a sentence for each cause why variables cannot be evaluated.

    :param errors: what Ansible says, by variable.
    """
    known = spec.known
    causes: dict[str, list[str]] = {}
    for name, error in errors.items():
        undefined = UNDEFINED.search(error)
        causes.setdefault(undefined.group(1) if undefined else error, []).append(name)
    return [
        _missing(cause, known[cause])
        if cause in known
        else f"{', '.join(names)}: no value: {errors[names[0]]}"
        for cause, names in causes.items()
    ]


def _missing(name: str, option: Mapping[str, Any]) -> str:
    return f"{name} is missing: {option['description']}"


def claims(host: str, values: Mapping[str, Any]) -> list[Claim]:
    """Return the paths, ports and databases that an instance has for itself.

    :param values: the values of the options of roles supervisord and jaws, and C(ansible_host) and
        C(ansible_connection).
    """
    instance, deployment = values["jaws_instance"], values["jaws_deployment"]
    root, run_dir = values["supervisord_root"], values["supervisord_run_dir"]
    paths = {
        "supervisord_instance": f"{root}/supervisord-{values['supervisord_instance']}.conf",
        "supervisord_run_dir": run_dir,
        "jaws_root": f"{values['jaws_root']}/{instance}",
    }
    tcp = ("supervisord_port",) if values["supervisord_listen"] == "tcp" else ()
    things = {name: os.path.normpath(path) for name, path in paths.items()}
    things.update((name, f"port {values[name]}") for name in (*PORTS.get(instance, ()), *tcp))
    machine = _machine(host, values)
    found = [Claim(machine, thing, name, host) for name, thing in things.items()]
    databases = f"the databases of {instance}, {deployment} at {values['jaws_site_id']},"
    return [*found, Claim(str(values["jaws_db_host"]), databases, "jaws_deployment", host)]


def _machine(host: str, values: Mapping[str, Any]) -> str:
    local = str(values.get("ansible_connection")) in ("local", "ansible.builtin.local")
    return str(values.get("ansible_host") or ("localhost" if local else host))


def conflicts(all_claims: Iterable[Claim]) -> list[str]:
    """Return a sentence for each thing that two instances have."""
    owners: dict[tuple[str, str], Claim] = {}
    told = []
    for claim in all_claims:
        first = owners.setdefault((claim.machine, claim.thing), claim)
        if first is not claim:
            told.append(
                f"{first.host} ({first.variable}) and {claim.host} ({claim.variable}) both have "
                f"{claim.thing} on {claim.machine}."
            )
    return told


def by_cause(findings: Iterable[tuple[str, str]]) -> list[str]:
    """Return a sentence for each cause, after the hosts that it concerns.

    :param findings: pairs of host and sentence.
    """
    hosts: dict[str, dict[str, None]] = {}
    for host, sentence in findings:
        hosts.setdefault(sentence, {})[host] = None
    return [f"{', '.join(names)}: {sentence}" for sentence, names in hosts.items()]
