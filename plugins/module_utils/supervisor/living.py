# Copyright: (c) 2026, The jgi.jaws engineers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Whether a supervisord lives although nothing answers where it should, as the kernel sees it."""

from __future__ import annotations

import os

from ..errors import JawsError
from ..files import user_name
from ..processes import Process, all_processes
from .daemon import config_of


def refuse_living(config: str) -> None:
    """Refuse to believe that there is no supervisord if one with this configuration lives.

    :raises JawsError: with its pid (unreachable).
    """
    for process in _living(config) if config else []:
        raise JawsError(
            f"{process} of {user_name(process.uid)} runs with {config}, but does not answer: its "
            "socket or its configuration was removed while it ran. Have the module "
            "jgi.jaws.supervisord stop it, or end it, as that user; then run this again.",
            reason="unreachable",
        )


def _living(config: str) -> list[Process]:
    try:
        found = list(all_processes(having=("cmdline", b"supervisord")))
    except JawsError:  # no /proc: nobody can know
        return []
    return [process for process in found if _runs_with(process, os.path.realpath(config))]


def _runs_with(process: Process, config: str) -> bool:
    given = config_of(process.cmdline)
    if not given:
        return False
    try:
        folder = os.readlink(f"/proc/{process.pid}/cwd")
    except OSError:  # another user's, or it has ended
        folder = "/"
    return os.path.realpath(os.path.join(folder, given)) == config
