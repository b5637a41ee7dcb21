# Copyright: (c) 2026, The jgi.jaws engineers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The action plugin of log_follow: it asks log_info again and again, and shows what is new."""

from __future__ import annotations

import os
import time
from typing import Any

from ansible.errors import AnsibleActionFail
from ansible.plugins.action import ActionBase

from ..plugin_utils.logs import lines_of

Result = dict[str, Any]
PAUSE_SECONDS = 1.0


class ActionModule(ActionBase):
    """Shows the lines of one host; the other hosts of the play do so at the same time."""

    _supports_check_mode = True

    def run(self, tmp: str | None = None, task_vars: Result | None = None) -> Result:
        """Show lines until the run is interrupted; return only if the logs cannot be read."""
        super().run(tmp, task_vars)
        variables = task_vars or {}
        hosts = variables.get("ansible_play_hosts") or [variables.get("inventory_hostname")]
        _refuse(len(hosts), int(variables.get("ansible_forks") or len(hosts)))
        options = {**self._task.args, "after": {}}
        programs = options.pop("programs", None)
        name = variables["inventory_hostname"] if len(hosts) > 1 else ""
        while True:
            found: Result = self._execute_module("jgi.jaws.log_info", options, task_vars=task_vars)
            if found.get("failed"):
                return found
            for line in lines_of(name, found, programs):
                self._display.display(line)
            options = {**options, "since": "", "after": found["positions"]}
            time.sleep(PAUSE_SECONDS)


def _refuse(hosts: int, forks: int) -> None:
    """Refuse what would never end, or would never begin on some hosts."""
    if not _in_terminal():
        raise AnsibleActionFail(
            "follow=true needs a terminal, because only Ctrl-C ends it. Leave it out, or run this "
            "in a terminal."
        )
    if hosts > forks:
        raise AnsibleActionFail(
            f"the logs of {hosts} instances are to be followed at the same time, but Ansible acts "
            f"on {forks} at once. Add --forks {hosts}, or choose fewer instances by --limit."
        )


def _in_terminal() -> bool:
    """Whether Ansible writes to a terminal; a worker of it, which we are, may not have its own."""
    try:
        handle = os.open(f"/proc/{os.getppid()}/fd/1", os.O_WRONLY | os.O_NOCTTY)
    except OSError:
        return False
    try:
        return os.isatty(handle)
    finally:
        os.close(handle)
