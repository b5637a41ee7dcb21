# Copyright: (c) 2026, The jgi.jaws engineers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The lock of one instance: one run at a time changes it, and no other user can block that.

It is a file that only those can open who may change the instance anyway. The directory of the pid
file is tried first, because it is on this node and all accounts of the instance can write to it.
"""

from __future__ import annotations

import hashlib
import os
import pwd
import socket
import stat
from contextlib import AbstractContextManager, suppress
from typing import Container

from ..system.files import refuse_unsafe
from ..system.locks import locked_file

TEMPORARY = "/tmp"  # for a directory of the account's own


def locked_instance(
    config: str, pid_file: str | None, trusted: Container[int], timeout: float
) -> AbstractContextManager[int]:
    """Keep other runs from changing an instance.

    :param trusted: the uids whose directories are used.
    :param timeout: seconds to wait for another holder.
    :raises JawsError: another run still holds it (locked), or there are no locks
        (cannot_lock).
    """
    return locked_file(lock_path(config, pid_file, trusted), timeout, shared=True)


def lock_path(config: str, pid_file: str | None, trusted: Container[int]) -> str:
    """Return the path of an instance's lock, a file that exists while a run is active.

    :raises JawsError: another user has taken the last possible path (foreign_owner).
    """
    digest = hashlib.sha256(os.fsencode(os.path.realpath(config))).hexdigest()[:16]
    for path in (pid_file, config):
        folder = os.path.dirname(path or "")
        if _is_closed(folder, trusted):
            return f"{folder}/.supervisord-{digest}.lock"
    return f"{_own_folder()}/.supervisord-{socket.gethostname()}-{digest}.lock"


def _is_closed(folder: str, trusted: Container[int]) -> bool:
    """Return whether only we and trusted accounts can make a file in a directory."""
    try:
        found = os.stat(folder)
    except OSError:
        return False
    is_open = found.st_mode & stat.S_IWOTH or found.st_uid not in trusted
    return not is_open and os.access(folder, os.W_OK | os.X_OK)


def _own_folder() -> str:
    """Return a directory of this account's own, for an instance without a suitable one.

    :raises JawsError: another user has taken it (foreign_owner).
    """
    with suppress(KeyError):
        home = pwd.getpwuid(os.geteuid()).pw_dir
        if _is_closed(home, {os.geteuid()}):
            return home
    own = f"{TEMPORARY}/.supervisord-{os.geteuid()}"
    with suppress(FileExistsError):
        os.mkdir(own, 0o700)
    refuse_unsafe(os.path.join(own, "lock"), {os.geteuid()})
    return own
