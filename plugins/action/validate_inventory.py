# Copyright: (c) 2026, The jgi.jaws engineers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The action plugin of validate_inventory: it checks every host, without connecting to any."""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

import ansible.template
from ansible.errors import AnsibleActionFail, AnsibleError
from ansible.module_utils.common.arg_spec import ArgumentSpecValidator
from ansible.plugins.action import ActionBase
from ansible.utils.vars import load_extra_vars

from ..plugin_utils import inventory
from ..plugin_utils.catalogue import mistakes
from ..plugin_utils.inventory import Finding, Spec, Statement
from ..plugin_utils.play import wrong_tags

Result = dict[str, Any]

# Before ansible-core 2.19, every string was trusted as a template.
trust_as_template = getattr(ansible.template, "trust_as_template", str)
CONNECTION = ("ansible_host", "ansible_connection")
OPTIONS = {
    "extra_vars": {"type": "list", "elements": "str", "default": []},
    "tags": {"type": "dict"},
}
CHANGES = ("services", "components", "configs")
NO_INSTANCE = (
    "the inventory has no host in the group supervisord. Check that it is the right inventory (-i) "
    "and that it has this group."
)


class Host:
    """The variables of one host, as the inventory states them and as its roles see them."""

    def __init__(self, raw: Result, spec: Spec, templar: Any) -> None:
        self.raw = raw
        self.spec = spec
        self.options = spec.options(raw)
        defaults = {
            name: _trusted(option["default"])
            for name, option in self.options.items()
            if "default" in option
        }
        available = {**defaults, **raw}
        self.templar = templar.copy_with_new_env(available_variables=available)
        self.values: Result = {}
        self.errors: dict[str, str] = {}
        for name in available:
            if name in self.options or name in spec.facts or name in CONNECTION:
                self._evaluate(name, available[name])

    def _evaluate(self, name: str, value: Any) -> None:
        try:
            self.values[name] = self.templar.template(value)
        except AnsibleError as error:
            self.errors[name] = _cause(error)

    def findings(self) -> list[Finding]:
        """Return what is wrong with single variables."""
        found = inventory.missing_options(self.raw, self.spec)
        found += inventory.without_value(self.errors, self.raw, self.spec)
        return found + inventory.placeholders(self.values) + self._wrong_types()

    def _wrong_types(self) -> list[Finding]:
        """Return what Ansible's own validation says about the facts and the other options."""
        facts = self._validated(self.values, self.spec.facts)
        wrong = {finding.variable for finding in facts}
        follows = self.spec.wiring.facts_behind
        others = [name for name in self.values if not wrong.intersection(follows(name, self.raw))]
        return facts + self._validated(others, self.options)

    def _validated(self, names: Iterable[str], options: inventory.Options) -> list[Finding]:
        found = []
        for name in names:
            if name in options:
                option, value = inventory.of_a_value(options[name]), self.values[name]
                checked = ArgumentSpecValidator({name: option}).validate({name: value})
                if checked.error_messages:
                    found.append(inventory.wrong_value(name, value, option))
        return found

    @property
    def is_instance(self) -> bool:
        """Whether this host uses the roles supervisord and jaws."""
        return "jaws_instance" in self.values and "supervisord_instance" in self.values

    def claims(self, host: str) -> list[inventory.Claim]:
        """Return what only one instance may have, by the names that the inventory uses."""
        written = self.spec.wiring.as_written
        return [
            claim._replace(variable=written(claim.variable, self.raw))
            for claim in inventory.claims(host, self.values)
        ]

    def wrong_changes(self, catalogues: Result, instances: list[str]) -> list[Finding]:
        """Return what is wrong with the changes to services, components and configurations."""
        if not any(self.values[f"jaws_{kind}"] for kind in CHANGES):
            return []
        known = self.templar.template(_trusted(catalogues))
        return inventory.wrong_changes(mistakes(known, self.values, instances), self.raw, self.spec)


class ActionModule(ActionBase):
    """Reports all findings at once."""

    _requires_connection = False
    _supports_check_mode = True

    def run(self, tmp: str | None = None, task_vars: Result | None = None) -> Result:
        """Return the number of instances, or fail with a sentence for each finding."""
        result: Result = super().run(tmp, task_vars)
        variables = task_vars or {}
        options = ArgumentSpecValidator(OPTIONS).validate(self._task.args)
        if options.error_messages:
            raise AnsibleActionFail("; ".join(options.error_messages))
        spec = inventory.read_spec()
        own = options.validated_parameters["extra_vars"]
        sentences = _wrong_tags(variables, options.validated_parameters["tags"])
        sentences += inventory.wrong_extra_variables(load_extra_vars(self._loader), own, spec)
        # First, because Ansible caches a file as it is first read; here its templates are trusted.
        raws = {host: variables["hostvars"].raw_get(host) for host in variables["groups"]["all"]}
        statements = list(self._statements(variables))
        vain = inventory.overridden(statements, raws, spec)
        sentences += [inventory.without_effect(statement, raws, spec.wiring) for statement in vain]
        places = {host: raw.get("inventory_dir", "") for host, raw in raws.items()}
        sentences += inventory.shared_by_inventories(places, variables["groups"], statements)
        sentences += inventory.ambiguous_hosts(variables["groups"], spec.wiring)
        raws = {host: inventory.effective(raw, vain) for host, raw in raws.items()}
        hosts = {name: Host(raw, spec, self._templar) for name, raw in raws.items()}
        found, claims = _look(hosts, spec)
        sentences += inventory.located(found, statements, raws) + inventory.conflicts(claims)
        return {**result, **_outcome(sentences, variables), **_warnings(hosts, spec)}

    def _statements(self, variables: Result) -> Iterator[Statement]:
        """Yield what the inventory states: hosts before groups, small groups before large ones."""
        members = variables["groups"]
        hosts = {host: frozenset([host]) for host in members["all"]}
        groups = {name: frozenset(members[name]) for name in sorted(members, key=_size(members))}
        # There is no other way to the variables within a file of hosts.
        known = variables["hostvars"]._inventory
        sources = list(filter(os.path.exists, variables["ansible_inventory_sources"]))
        where = ", ".join(map(_short, sources))
        for kind, entities, inline in (
            ("host", hosts, known.hosts),
            ("group", groups, known.groups),
        ):
            for entity, meant in entities.items():
                stated = [*self._files(kind, entity, sources)]
                stated.append((f"{where} ({kind} {entity})", inline[entity].vars))
                for place, content in stated:
                    for name, value in content.items():
                        yield Statement(name, value, place, meant)

    def _files(self, kind: str, entity: str, sources: list[str]) -> Iterator[tuple[str, Result]]:
        """Yield the variable files of a host or group, highest precedence first."""
        for source in reversed(sources):
            directory = source if os.path.isdir(source) else os.path.dirname(source)
            folder = os.path.join(directory, f"{kind}_vars")
            for path in reversed(self._loader.find_vars_files(folder, entity)):
                # Not a copy: the values must be the very objects that Ansible has loaded.
                yield _short(path), self._loader.load_from_file(path, unsafe=True) or {}


def _wrong_tags(variables: Result, steps: dict[str, list[str]] | None) -> list[str]:
    """Return why the playbook cannot do what C(--tags) and C(--skip-tags) ask for."""
    run, skip = (variables.get(f"ansible_{name}_tags") for name in ("run", "skip"))
    return [] if steps is None else wrong_tags(run or ["all"], skip or [], steps)


def _look(
    hosts: dict[str, Host], spec: Spec
) -> tuple[list[tuple[str, Finding]], list[inventory.Claim]]:
    """Return the findings by host, and what only one instance may have."""
    spelt = inventory.misspelt_names({name for host in hosts.values() for name in host.raw}, spec)
    found = {name: host.findings() for name, host in hosts.items()}
    sound = {name: host for name, host in hosts.items() if host.is_instance and not found[name]}
    instances = [host.values["jaws_instance"] for host in sound.values()]
    catalogues = inventory.read_catalogues()
    for name, host in hosts.items():
        found[name][:0] = [finding for finding in spelt if finding.variable in host.raw]
    for name, host in sound.items():
        found[name] += host.wrong_changes(catalogues, instances)
    claims = [claim for name, host in sound.items() for claim in host.claims(name)]
    return [(name, finding) for name in hosts for finding in found[name]], claims


def _outcome(sentences: list[str], variables: Result) -> Result:
    instances = variables["groups"].get("supervisord", [])
    findings = sentences + ([] if instances else [NO_INSTANCE])
    message = f"{len(instances)} instances are valid."
    if findings:
        message = "The inventory is wrong; nothing was done:\n" + "\n".join(findings)
    return dict(changed=False, failed=bool(findings), msg=message, findings=findings)


def _warnings(hosts: dict[str, Host], spec: Spec) -> Result:
    """Return at most one warning, about unknown names on the hosts that use our roles."""
    ours = {name for host in hosts.values() if host.options for name in host.raw}
    others = inventory.other_names(ours, spec)
    return {"warnings": [f"jgi.jaws has no variable {', '.join(others)}."]} if others else {}


def _size(groups: dict[str, list[str]]) -> Any:
    return lambda name: len(groups[name])


def _short(path: str) -> str:
    """Return the path as it would be typed in the current directory."""
    here = Path.cwd()
    return str(Path(path).relative_to(here)) if Path(path).is_relative_to(here) else path


def _trusted(value: Any) -> Any:
    """Return a role's default or variable as a template; it is our own text."""
    if isinstance(value, dict):
        return {key: _trusted(item) for key, item in value.items()}
    if isinstance(value, list):
        return [_trusted(item) for item in value]
    return trust_as_template(value) if isinstance(value, str) else value


def _cause(error: BaseException) -> str:
    while error.__cause__ is not None:
        error = error.__cause__
    return str(error).splitlines()[0]
