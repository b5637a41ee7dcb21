# Copyright: (c) 2026, The jgi.jaws engineers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The action plugin of log_report: it returns the lines of all instances, ordered by time."""

from __future__ import annotations

from ..plugin_utils.logs import interleaved
from ..plugin_utils.report import Report, Result


class ActionModule(Report):
    """Shows the lines."""

    def report(self) -> Result:
        """Return the lines."""
        given = self._task.args
        return {"stdout_lines": interleaved(given["instances"], given.get("programs"))}
