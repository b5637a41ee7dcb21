# SPDX-License-Identifier: GPL-3.0-or-later
"""Counts what an Ansible run does, on both sides: a line in the file that COUNTED names for each.

Python's own audit events say it, so nothing of Ansible or of the collection is changed.
"""

from __future__ import annotations

import os
import sys
from typing import Any

PLAN = b"jgi.jaws.release_plan'"  # in the code that Jinja makes of a template


def watch(path: str) -> None:
    """Add a line to a file for each template, each request to supervisord and each process."""
    file = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)

    def hear(event: str, arguments: tuple[Any, ...]) -> None:
        for what in seen(event, arguments):
            os.write(file, f"{what}\n".encode())

    sys.addaudithook(hear)


def seen(event: str, arguments: tuple[Any, ...]) -> list[str]:
    """Return what an event is about."""
    if event == "compile" and arguments[1] == "<template>":
        return ["template", *(["plan"] if PLAN in bytes(arguments[0]) else [])]
    if event == "http.client.send" and bytes(arguments[1]).startswith(b"POST "):
        return ["request"]
    # On the control node, a process is a task.
    return ["process"] if event == "subprocess.Popen" and "ansible.cli" not in sys.modules else []
