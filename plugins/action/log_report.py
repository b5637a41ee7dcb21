# Copyright: (c) 2026, The jgi.jaws engineers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The action plugin of log_report: it returns the lines of all instances, ordered by time."""

from __future__ import annotations

from typing import Any

from ansible.plugins.action import ActionBase

from ..plugin_utils.logs import interleaved

Result = dict[str, Any]


class ActionModule(ActionBase):
    """Shows what the hosts of a play have registered."""

    _requires_connection = False
    _supports_check_mode = True

    def run(self, tmp: str | None = None, task_vars: Result | None = None) -> Result:
        """Return the lines."""
        result: Result = super().run(tmp, task_vars)
        lines = interleaved(self._task.args["instances"], self._task.args.get("programs"))
        return dict(result, changed=False, stdout_lines=lines, _ansible_verbose_always=True)
