# Copyright: (c) 2026, The jgi.jaws engineers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What a supervisord needs to call a command when a program becomes FATAL.

Pure functions on the control node, except that they read this collection.
"""

from __future__ import annotations

import hashlib
import json
import os
import shlex
from collections.abc import Mapping, Sequence
from typing import Any

from ..module_utils.own_code import program
from ..module_utils.supervisor.programs import NOTIFIER

SETTLE_SECONDS = 5  # after an outage, several programs fail: one call for all of them
COMMAND_SECONDS = 30
MAIN = "from module_utils.supervisor.notifier import main\n\nmain()\n"


def notifier(command: Sequence[str], daemon: Mapping[str, Any]) -> dict[str, Any]:
    """Return the paths to make (C(paths)) and the sections of supervisord.conf (C(sections)).

    :param command: to call; without one, there is nothing to make.
    :param daemon: C(name), C(config), C(group), C(log_dir), C(python) and C(about), what to
        report in addition; C(directory), of all instances.
    """
    if not command:
        return {"paths": [], "sections": {}}
    folder = f"{daemon['directory']}/notify"
    texts = program(MAIN, "supervisor.notifier")
    version = hashlib.sha256(json.dumps(texts).encode()).hexdigest()[:12]
    task = {
        "command": list(command),
        "limit": COMMAND_SECONDS,
        "settle": SETTLE_SECONDS,
        "config": daemon["config"],
        "about": daemon["about"],
    }
    data = {
        "path": f"{folder}/{daemon['name']}.json",
        "content": json.dumps(task, indent=2) + "\n",
        **({"mode": "0640", "group": daemon["group"]} if daemon["group"] else {"mode": "0600"}),
    }
    folders = sorted({os.path.dirname(f"{folder}/{name}") for name in texts})
    paths = [
        *({"path": path, "mode": "0755"} for path in folders),
        *(
            {"path": f"{folder}/{name}", "mode": "0644", "content": text}
            for name, text in texts.items()
        ),
        data,
    ]
    run = [daemon["python"], "-I", "-B", folder, data["path"], version]
    return {"paths": paths, "sections": {f"eventlistener:{NOTIFIER}": _section(run, daemon)}}


def _section(run: Sequence[str], daemon: Mapping[str, Any]) -> dict[str, Any]:
    """Return the section. Its version makes the listener start again when its code has changed."""
    return {
        "command": shlex.join(run),
        "events": "PROCESS_STATE_FATAL",
        "buffer_size": 1000,
        "stdout_logfile": "NONE",  # it speaks to supervisord there
        "stderr_logfile": f"{daemon['log_dir']}/{NOTIFIER}.log",
        "stderr_logfile_maxbytes": "1MB",
        "stderr_logfile_backups": 1,
    }
