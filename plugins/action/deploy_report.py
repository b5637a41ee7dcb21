# Copyright: (c) 2026, The jgi.jaws engineers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The action plugin of deploy_report: it says what a deploy or a rollback has done."""

from __future__ import annotations

import os
from typing import Any

from ansible import context
from ansible.plugins.action import ActionBase

from ..plugin_utils.summary import summary, undoing

Result = dict[str, Any]


class ActionModule(ActionBase):
    """Shows what the hosts of a play have registered."""

    _requires_connection = False
    _supports_check_mode = True

    def run(self, tmp: str | None = None, task_vars: Result | None = None) -> Result:
        """Return the lines."""
        result: Result = super().run(tmp, task_vars)
        given = self._task.args
        prepared, switched = given.get("prepared") or {}, given["switched"]
        instances = {host: {**prepared.get(host, {}), **found} for host, found in switched.items()}
        before = [one["before"] for one in switched.values() if one.get("before")]
        to = "" if prepared else max(before, default="")
        undo = undoing(context.CLIARGS, os.getcwd(), to)
        width = (self._display.columns or 79) + 1
        lines = summary(instances, self._task.check_mode, undo, width)
        return dict(result, changed=False, stdout_lines=lines, _ansible_verbose_always=True)
