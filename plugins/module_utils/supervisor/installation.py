# Copyright: (c) 2026, The jgi.jaws engineers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Whether a running supervisord was started from the current installation."""

from __future__ import annotations

import os

from ..processes import PROC, read_process


def is_of_another_installation(pid: int, python: str, proc: str = PROC) -> bool | None:
    """Return whether a process was started by the Python of another virtual environment.

    None if that is unknown: the kernel hides the process, or its command line names a link, which
    may have been changed since then.
    """
    process = read_process(pid, proc)
    command = process.cmdline[0] if process and process.cmdline else ""
    started_from = os.path.dirname(os.path.dirname(command))
    if not os.path.isabs(started_from) or os.path.islink(started_from):
        return None
    installed = os.path.realpath(os.path.dirname(os.path.dirname(python)))
    return os.path.realpath(started_from) != installed
