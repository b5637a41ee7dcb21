# Copyright: (c) 2026, The jgi.jaws engineers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The action plugin of status_report: it prints one table, and fails if anything is not running."""

from __future__ import annotations

import time
from datetime import datetime
from typing import Any

from ansible.plugins.action import ActionBase

from ..plugin_utils.table import duration, format_table

Result = dict[str, Any]
COLUMNS = ("instance", "program", "state", "pid", "uptime", "release")
GOOD = "RUNNING"
OUTDATED = (
    "supervisord runs from an older installation; the playbook upgrade_supervisor restarts it"
)


class ActionModule(ActionBase):
    """Shows what the hosts of a play have registered."""

    _requires_connection = False
    _supports_check_mode = True

    def run(self, tmp: str | None = None, task_vars: Result | None = None) -> Result:
        """Print the table, and return its lines; fail unless every row is RUNNING."""
        result: Result = super().run(tmp, task_vars)
        rows: list[Result] = []
        notes: list[str] = []
        for instance in self._task.args["instances"]:
            found = _rows(instance)
            rows += found
            notes += [f"{instance['name']}: {row['note']}" for row in found if row.get("note")]
            if (instance.get("status") or {}).get("outdated"):
                notes.append(f"{instance['name']}: {OUTDATED}")
        lines = [*format_table(COLUMNS, rows).splitlines(), *notes]
        self._display.display("\n".join(lines))
        wrong = [
            f"{row['instance']} {row['program']}".strip()
            for row in rows
            if row["state"] != GOOD and not row.get("has_done")
        ]
        message = f"not running: {', '.join(wrong)}" if wrong else "everything is running"
        shown = {"not_running": wrong, "stdout_lines": lines}
        return dict(result, changed=False, failed=bool(wrong), msg=message, **shown)


def _rows(instance: Result) -> list[Result]:
    if "runner" in instance:
        return [_runner(instance["name"], **instance["runner"])]
    status, release = instance.get("status") or {}, instance.get("release")
    if "programs" not in status:
        state = "DOWN" if status.get("reason") == "down" else "UNKNOWN"
        return [dict(_blank(instance), state=state, note=status.get("msg", "not reached"))]
    rows = [
        {
            "instance": instance["name"],
            "program": program["name"],
            "state": program["state"],
            "pid": program["pid"],
            "uptime": duration(time.time() - program["start_time"] if program["pid"] else None),
            "release": release,
            "has_done": program["name"] in (status.get("done") or []),
        }
        for program in status["programs"]
    ]
    return rows or [
        dict(_blank(instance), state="EMPTY", note="supervisord has no programs: deploy first")
    ]


def _runner(name: str, process: Result, gitlab: Result) -> Result:
    """Return a runner's row; its note says why it does not run, or why it does not get jobs."""
    row: Result = {"instance": name, "program": "gitlab-runner", "state": "DOWN"}
    if not process.get("running"):
        return dict(row, note=process.get("msg") or _absent(process))
    since = datetime.fromisoformat(process["started_at"].replace("Z", "+00:00")).timestamp()
    online = gitlab.get("online") or (gitlab.get("valid") and gitlab.get("online") is None)
    return dict(
        row,
        state="STOPPING" if process["stopping"] else GOOD,
        pid=process["pid"],
        uptime=duration(time.time() - since),
        note=None if online else gitlab.get("saw") or gitlab.get("msg"),
    )


def _absent(process: Result) -> str:
    return "not running; the playbook recover starts it" if process else "not reached"


def _blank(instance: Result) -> Result:
    return {"instance": instance["name"], "program": "(supervisord)"}
