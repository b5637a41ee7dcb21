# Copyright: (c) 2026, The jgi.jaws engineers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
name: notify
type: notification
short_description: Call a command when a deploy or a rollback fails
version_added: 1.0.0
author: The jgi.jaws engineers (@JGI-Bioinformatics)
description:
  - If a playbook fails that has called M(jgi.jaws.validate_inventory) with
    O(jgi.jaws.validate_inventory#module:notify), this calls the inventory's C(site_notify_command)
    on the control node, once, whatever has failed, even if a host could not be reached.
  - The command gets a JSON object on its standard input, and has 30 seconds. Its output is not
    shown. If it fails, there is a warning.
requirements:
  - to be enabled by C(callbacks_enabled) in the section C([defaults]) of C(ansible.cfg)
seealso:
  - plugin: jgi.jaws.progress
    plugin_type: callback
"""

import json
import subprocess
from collections.abc import Sequence
from typing import Any

from ansible.plugins.callback import CallbackBase

from ..module_utils.supervisor.notifier import finish, start
from ..plugin_utils.failures import Failure, Failures, Paper, action_of
from ..plugin_utils.notifier import COMMAND_SECONDS

PAPER = Paper(columns=100, lines=60, wraps=False)


class CallbackModule(CallbackBase):
    """Keeps what fails, and calls the command in the end."""

    CALLBACK_VERSION = 2.0
    CALLBACK_TYPE = "notification"
    CALLBACK_NAME = "jgi.jaws.notify"
    CALLBACK_NEEDS_ENABLED = True

    def __init__(self) -> None:
        super().__init__()
        self._failures = Failures()
        self._task: dict[str, Any] = {}

    def v2_playbook_on_play_start(self, play: Any) -> None:
        self._failures.begin_play(play)

    def v2_runner_on_ok(self, result: Any) -> None:
        if action_of(result._task).startswith("jgi.jaws."):
            self._task = result._result.get("notify") or self._task

    def v2_runner_on_failed(self, result: Any, ignore_errors: bool = False) -> None:
        self.v2_runner_on_ok(result)
        if not ignore_errors:
            self._failures.keep("FAILED", result)

    def v2_runner_on_unreachable(self, result: Any) -> None:
        if not result._task_fields.get("ignore_unreachable"):
            self._failures.keep("UNREACHABLE", result)

    def v2_playbook_on_stats(self, stats: Any) -> None:
        ending = self._failures.divided(stats)[0]
        command = self._task.get("command")
        if not (ending and command):
            return
        try:
            process = start(command, subprocess.DEVNULL)
            status, told = finish(process, json.dumps(self._notice(ending)), COMMAND_SECONDS)
        except OSError as error:
            status, told = 1, f"cannot be run: {error}"
        if status != 0:
            self._display.warning(f"The command that reports failures (site_notify_command) {told}")

    def _notice(self, ending: Sequence[Failure]) -> dict[str, Any]:
        hosts = list(dict.fromkeys(failure.host for failure in ending))
        deployments = {str(self._task["deployments"].get(host, "")) for host in hosts}
        results = [result._result for failure, result in self._failures.kept if failure in ending]
        programs = [name for found in results for name in found.get("failed_programs", [])]
        return {
            "event": self._task["event"],
            "instances": hosts,
            "deployment": ", ".join(sorted(deployments)),
            "release": next((found["id"] for found in results if "id" in found), None),
            "programs": list(dict.fromkeys(programs)),
            "message": "\n".join(self._failures.screen(ending, PAPER).lines),
        }
