# Copyright: (c) 2026, The jgi.jaws engineers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The action plugin of release_report: it returns one table of all releases."""

from __future__ import annotations

import re
import time
from typing import Any

from ansible.plugins.action import ActionBase

from ..plugin_utils.table import duration, format_table

Result = dict[str, Any]
COLUMNS = ("instance", "release", "status", "activated", "author", "ci job", "packages")


class ActionModule(ActionBase):
    """Shows what the hosts of a play have registered."""

    _requires_connection = False
    _supports_check_mode = True

    def run(self, tmp: str | None = None, task_vars: Result | None = None) -> Result:
        """Return the lines of the table."""
        result: Result = super().run(tmp, task_vars)
        shown = re.compile(self._task.args.get("packages") or "")
        rows = [
            _row(name, instance["current"], record, shown)
            for name, instance in self._task.args["instances"].items()
            for record in instance["releases"]
        ]
        table = format_table(COLUMNS, rows)
        lines = table.splitlines()
        return dict(result, changed=False, stdout_lines=lines, _ansible_verbose_always=True)


def _row(instance: str, current: str | None, record: Result, shown: re.Pattern[str]) -> Result:
    since = record["activated"]
    age = duration(time.time() - since if since else None)
    is_current = record["id"] == current
    packages = [package for package in record["packages"] or [] if shown.search(package)]
    return {
        "instance": instance,
        "release": record["id"],
        "status": f"{record['status']}, current" if is_current else record["status"],
        "activated": age and f"{age} ago",
        "author": record["author"],
        "ci job": record["ci_job"],
        "packages": " ".join(packages) if record["status"] != "bad" else record["why"],
    }
