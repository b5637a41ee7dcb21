# Copyright: (c) 2026, The jgi.jaws engineers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Looks at every host of an inventory, without connecting to any."""

from __future__ import annotations

from typing import Any

import ansible.template
from ansible.errors import AnsibleError
from ansible.module_utils.common.arg_spec import ArgumentSpecValidator
from ansible.plugins.action import ActionBase

from ..plugin_utils import inventory

Result = dict[str, Any]

# Before ansible-core 2.19 every string was trusted as a template.
trust_as_template = getattr(ansible.template, "trust_as_template", str)
CONNECTION = ("ansible_host", "ansible_connection")
NO_INSTANCE = (
    "the inventory has no host in the group supervisord: is it the right one (-i), and are its "
    "groups named so?"
)


class ActionModule(ActionBase):
    """Fails with every finding at once."""

    _requires_connection = False
    _supports_check_mode = True

    def run(self, tmp: str | None = None, task_vars: Result | None = None) -> Result:
        """Return the number of instances, or fail with a sentence for each finding."""
        result: Result = super().run(tmp, task_vars)
        variables = task_vars or {}
        spec = inventory.read_spec()
        told: list[tuple[str, str]] = []
        claims: list[inventory.Claim] = []
        for host in variables["groups"]["all"]:
            found, claimed = self._look(host, variables["hostvars"].raw_get(host), spec)
            told += [(host, sentence) for sentence in found]
            claims += claimed
        instances = variables["groups"].get("supervisord", [])
        findings = inventory.by_cause(told) + inventory.conflicts(claims)
        findings += [] if instances else [NO_INSTANCE]
        message = f"{len(instances)} instances are valid."
        if findings:
            message = "The inventory is wrong; nothing was done:\n" + "\n".join(findings)
        return dict(result, changed=False, failed=bool(findings), msg=message, findings=findings)

    def _look(
        self, host: str, raw: Result, spec: inventory.Spec
    ) -> tuple[list[str], list[inventory.Claim]]:
        values, errors = self._values(raw, spec)
        findings = inventory.unknown_names(raw, spec)
        findings += inventory.missing_options(raw, spec)
        findings += inventory.without_value(errors, spec)
        # A wrong fact makes a wrong option of it.
        findings += _wrong_types(values, spec.facts) or _wrong_types(values, spec.options(raw))
        is_instance = "jaws_instance" in values and "supervisord_instance" in values
        claims = inventory.claims(host, values) if is_instance and not findings else []
        return findings, claims

    def _values(self, raw: Result, spec: inventory.Spec) -> tuple[Result, dict[str, str]]:
        """Return the values of what the host's roles use, and by name what keeps one from it."""
        options = spec.options(raw)
        defaults = {
            name: _trusted(option["default"])
            for name, option in options.items()
            if "default" in option
        }
        available = {**defaults, **raw}
        templar = self._templar.copy_with_new_env(available_variables=available)
        values, errors = {}, {}
        for name in available:
            if name in options or name in spec.facts or name in CONNECTION:
                try:
                    values[name] = templar.template(available[name])
                except AnsibleError as error:
                    errors[name] = _cause(error)
        # A fact that no role of the host uses may refer to what the host does not have.
        return values, {name: error for name, error in errors.items() if name in options}


def _trusted(value: Any) -> Any:
    """Return a role's default as a template; it is our own text."""
    return trust_as_template(value) if isinstance(value, str) else value


def _cause(error: BaseException) -> str:
    while error.__cause__ is not None:
        error = error.__cause__
    return str(error).splitlines()[0]


def _wrong_types(values: Result, options: inventory.Options) -> list[str]:
    """Return what Ansible's own validation says of the values that the options have."""
    wanted = {
        name: {key: part for key, part in option.items() if key not in ("required", "default")}
        for name, option in options.items()
        if name in values
    }
    given = {name: values[name] for name in wanted}
    return list(ArgumentSpecValidator(wanted).validate(given).error_messages)
