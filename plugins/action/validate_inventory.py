# Copyright: (c) 2026, The jgi.jaws engineers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Looks at every instance of an inventory, without connecting to any."""

from __future__ import annotations

from typing import Any

from ansible.errors import AnsibleError
from ansible.module_utils.common.arg_spec import ArgumentSpecValidator
from ansible.plugins.action import ActionBase

try:
    from ansible.template import trust_as_template
except ImportError:  # before ansible-core 2.19 every string was trusted
    def trust_as_template(value: str) -> str:
        """Return the string as it is."""
        return value


from ansible_collections.jgi.jaws.plugins.plugin_utils import inventory

Result = dict[str, Any]


class ActionModule(ActionBase):
    """Fails with every finding at once."""

    _requires_connection = False
    _supports_check_mode = True

    def run(self, tmp: str | None = None, task_vars: Result | None = None) -> Result:
        """Return the number of hosts, or fail with a sentence for each finding."""
        result: Result = super().run(tmp, task_vars)
        variables = task_vars or {}
        spec = inventory.read_spec()
        hosts = variables["groups"].get(self._task.args.get("group", "supervisord"), [])
        findings, claims = [], []
        for host in hosts:
            told, claimed = self._look(host, variables["hostvars"].raw_get(host), spec)
            findings += told
            claims += claimed
        findings += inventory.conflicts(claims)
        message = f"{len(hosts)} instances are valid."
        if not hosts:
            findings = ["the inventory has no host in the group supervisord: is it the right one (-i)?"]
        if findings:
            message = "The inventory is wrong; nothing was done:\n" + "\n".join(findings)
        return dict(result, changed=False, failed=bool(findings), msg=message, findings=findings)

    def _look(self, host: str, raw: Result, spec: inventory.Spec) -> tuple[list[str], list[inventory.Claim]]:
        findings = inventory.unknown_names(host, raw, spec) + inventory.missing_facts(host, raw, spec)
        values, told = self._values(host, raw, spec)
        findings += [sentence for sentence in told if not self._is_known(sentence, findings)]
        findings += _wrong_types(host, values, spec)
        return findings, inventory.claims(host, values) if not findings else []

    def _values(self, host: str, raw: Result, spec: inventory.Spec) -> tuple[Result, list[str]]:
        """Return the values of all our variables, defaults included, and what cannot be evaluated."""
        # A host that has no option of a role does not use that role, nor its defaults.
        used = tuple(prefix for prefix in spec.prefixes if any(name.startswith(prefix) for name in raw))
        ours = {
            name: _trusted(option["default"])
            for name, option in spec.roles.items()
            if "default" in option and name.startswith(used)
        }
        available = {**ours, **raw}
        templar = self._templar.copy_with_new_env(available_variables=available)
        values: Result = {"ansible_host": None}
        findings = []
        for name in sorted(spec.known.union(["ansible_host", "ansible_connection"]).intersection(available)):
            try:
                values[name] = templar.template(available[name])
            except AnsibleError as error:
                findings.append(f"{host}: {name} has no value: {_cause(error)}")
        return values, findings

    @staticmethod
    def _is_known(sentence: str, findings: list[str]) -> bool:
        missing = [finding.split(" ")[1] for finding in findings if " is missing" in finding]
        return any(f"'{name}'" in sentence for name in missing)


def _trusted(value: Any) -> Any:
    """Return a role's default as a template; it is our own text."""
    return trust_as_template(value) if isinstance(value, str) else value


def _cause(error: BaseException) -> str:
    while error.__cause__ is not None:
        error = error.__cause__
    return str(error).splitlines()[0]


def _wrong_types(host: str, values: Result, spec: inventory.Spec) -> list[str]:
    """Return what Ansible's own validation says; required options are checked where a role is used."""
    options = {name: dict(option, required=False) for name, option in {**spec.roles, **spec.facts}.items()}
    for option in options.values():
        option.pop("default", None)
    given = {name: value for name, value in values.items() if name in options}
    checked = ArgumentSpecValidator(options).validate(given)
    return [f"{host}: {message}" for message in checked.error_messages]
