# Copyright: (c) 2026, The jgi.jaws engineers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The action plugin of status_report: it returns one table, and fails if anything is not well."""

from __future__ import annotations

import os
import time

from ansible.errors import AnsibleActionFail

from ..module_utils.errors import JawsError
from ..module_utils.system.files import write
from ..plugin_utils.report import Report, Result
from ..plugin_utils.status import STOPPED, in_words, lines, mark, named, rows, wrong
from ..plugin_utils.status_file import content

OPTIONS = {
    "instances": {"type": "list", "elements": "dict", "required": True},
    "strict": {"type": "bool", "default": False},
    "file": {"type": "path"},
}


class ActionModule(Report):
    """Shows what runs, and says what does not."""

    def report(self) -> Result:
        """Return the lines of the table; fail if a program does not run or work that should."""
        given = self._validated(OPTIONS)
        found = rows(given["instances"])
        bad = wrong(found, given["strict"])
        failed = bool(bad["not_running"] or bad["unhealthy"])
        if given["file"]:
            self._write(given["file"], [{**row, "mark": mark(row, bad)} for row in found])
        return {
            "stdout_lines": lines(given["instances"], found, self.width),
            "failed": failed,
            # What waits is neither good nor failed: its exit status is that of an unreachable host.
            "unreachable": bool(bad["waiting"]) and not failed,
            "msg": in_words(bad, [named(row) for row in found if row["state"] == STOPPED]),
            **bad,
        }

    def _write(self, path: str, found: list[Result]) -> None:
        """Write the status file, at once: something may read it at any time."""
        try:
            text = content(path, found, time.time())
            if not self._task.check_mode:
                write(os.path.abspath(path), text, 0o644)
        except (JawsError, ValueError) as error:
            # Ansible would add the cause, which says the same.
            raise AnsibleActionFail(f"status file: {error}") from None
