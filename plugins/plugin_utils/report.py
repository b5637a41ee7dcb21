# Copyright: (c) 2026, The jgi.jaws engineers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What the actions that report have in common: they show what the hosts have registered."""

from __future__ import annotations

from abc import abstractmethod
from typing import Any

from ansible.errors import AnsibleActionFail
from ansible.module_utils.common.arg_spec import ArgumentSpecValidator
from ansible.plugins.action import ActionBase

Result = dict[str, Any]


class LocalAction(ActionBase):
    """An action that runs on the control node alone."""

    _requires_connection = False
    _supports_check_mode = True

    def _validated(self, options: Result) -> Result:
        """Return the task's arguments, each with its type and its default."""
        found = ArgumentSpecValidator(options).validate(self._task.args)
        if found.error_messages:
            raise AnsibleActionFail("; ".join(found.error_messages))
        given: Result = found.validated_parameters
        return given


class Report(LocalAction):
    """An action that returns lines, which are always shown."""

    def run(self, tmp: str | None = None, task_vars: Result | None = None) -> Result:
        """Return the lines."""
        result: Result = super().run(tmp, task_vars)
        return dict(result, changed=False, _ansible_verbose_always=True, **self.report())

    @abstractmethod
    def report(self) -> Result:
        """Return C(stdout_lines), and further results."""

    @property
    def width(self) -> int:
        """How many characters a line may have."""
        return (self._display.columns or 79) + 1
