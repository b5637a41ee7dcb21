# Copyright: (c) 2026, The jgi.jaws engineers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The action plugin of release_report: it returns one table of all releases, or a comparison."""

from __future__ import annotations

import time
from typing import Any

from ansible.errors import AnsibleActionFail
from ansible.plugins.action import ActionBase

from ..plugin_utils.summary import comparison, history

Result = dict[str, Any]


class ActionModule(ActionBase):
    """Shows what the hosts of a play have registered."""

    _requires_connection = False
    _supports_check_mode = True

    def run(self, tmp: str | None = None, task_vars: Result | None = None) -> Result:
        """Return the lines."""
        result: Result = super().run(tmp, task_vars)
        given, width = self._task.args, (self._display.columns or 79) + 1
        if given.get("release"):
            lines = comparison(given["instances"], width)
        else:
            lines = history(given["instances"], given.get("packages") or "", time.time(), width)
        if not lines:
            raise AnsibleActionFail(
                "no instance has both of these releases. The playbook releases lists them."
            )
        return dict(result, changed=False, stdout_lines=lines, _ansible_verbose_always=True)
