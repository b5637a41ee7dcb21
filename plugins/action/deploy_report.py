# Copyright: (c) 2026, The jgi.jaws engineers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The action plugin of deploy_report: it says what a deploy or a rollback has done."""

from __future__ import annotations

import os
import sys

from ansible import context

from ..plugin_utils.report import Report, Result
from ..plugin_utils.summary import summary, undoing


class ActionModule(Report):
    """Shows what was done, and how to undo it."""

    def report(self) -> Result:
        """Return the lines."""
        given = self._task.args
        prepared, switched = given.get("prepared") or {}, given["switched"]
        instances = {host: {**prepared.get(host, {}), **found} for host, found in switched.items()}
        before = [one["before"] for one in switched.values() if one.get("before")]
        to = "" if prepared else max(before, default="")
        undo = undoing(context.CLIARGS, os.getcwd(), sys.executable, to)
        return {"stdout_lines": summary(instances, self._task.check_mode, undo, self.width)}
