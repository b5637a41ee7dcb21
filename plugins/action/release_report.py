# Copyright: (c) 2026, The jgi.jaws engineers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The action plugin of release_report: it returns one table of all releases, or a comparison."""

from __future__ import annotations

import time

from ansible.errors import AnsibleActionFail

from ..plugin_utils.report import Report, Result
from ..plugin_utils.summary import comparison, history


class ActionModule(Report):
    """Shows the releases."""

    def report(self) -> Result:
        """Return the lines."""
        given = self._task.args
        if given.get("release"):
            lines = comparison(given["instances"], self.width)
        else:
            packages = given.get("packages") or ""
            lines = history(given["instances"], packages, time.time(), self.width)
        if not lines:
            raise AnsibleActionFail(
                "no instance has both of these releases. The playbook releases lists them."
            )
        return {"stdout_lines": lines}
