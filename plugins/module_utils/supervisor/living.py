# Copyright: (c) 2026, The jgi.jaws engineers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What lives of a supervisord although nothing answers where it should, as the kernel sees it."""

from __future__ import annotations

import os
from contextlib import suppress

from ..errors import JawsError
from ..files import user_name
from ..processes import Process, all_processes, find_by_environment
from .installation import config_of


def look_for_rest(config: str, url: str) -> str:
    """Return a sentence about what a killed supervisord has left running, or nothing.

    :param url: where it was to listen; empty where nobody knows.
    :raises JawsError: a supervisord with this configuration lives (unreachable).
    """
    for process in _living(config):
        raise JawsError(
            f"{process} of {user_name(process.uid)} runs with {config}, but does not answer: its "
            "socket or its configuration was removed while it ran. Let the module "
            "jgi.jaws.supervisord stop it, or end it, as that user; then run this again.",
            reason="unreachable",
        )
    left = _orphans(url)
    if not left:
        return ""
    return (
        f" But a supervisord that was killed has left {', '.join(map(str, left))} running: the "
        "module jgi.jaws.supervisord with state=stopped ends that."
    )


def _living(config: str) -> list[Process]:
    found: list[Process] = []
    with suppress(JawsError):  # there is no /proc, so nobody can know
        found = list(all_processes(having=("cmdline", b"supervisord")))
    return [process for process in found if _runs_with(process, os.path.realpath(config))]


def _runs_with(process: Process, config: str) -> bool:
    given = config_of(process.cmdline)
    if not given:
        return False
    try:
        folder = os.readlink(f"/proc/{process.pid}/cwd")
    except OSError:  # it belongs to another user, or has ended
        folder = "/"
    return os.path.realpath(os.path.join(folder, given)) == config


def _orphans(url: str) -> list[Process]:
    with suppress(JawsError):
        return find_by_environment("SUPERVISOR_SERVER_URL", url) if url else []
    return []
