# Copyright: (c) 2026, The jgi.jaws engineers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Locks with a time limit, which the kernel frees when their last holder dies.

If the time is over, the error names the holder.
"""

from __future__ import annotations

import errno
import fcntl
import os
import socket
import stat
import time
from contextlib import contextmanager, suppress
from typing import Iterator

from ..errors import JawsError
from .files import user_name
from .waiting import wait_until

BUSY = (errno.EWOULDBLOCK, errno.EACCES)


@contextmanager
def locked_file(path: str, timeout: float = 600, shared: bool = False) -> Iterator[int]:
    """Hold a lock on a file made for it, and yield its descriptor; the file is removed at the end.

    For shared filesystems: NFS locks only files that are open for writing, so not directories, and
    the file names a holder on another node. A child that inherits the descriptor holds the lock
    too, even after we have died.

    :param timeout: seconds to wait for another holder.
    :param shared: whether the accounts that can write in its directory hold the same lock.
    :raises JawsError: as C(acquire).
    """
    handle = open_locked(path, time.monotonic() + timeout, shared)
    try:
        with suppress(OSError):  # on a full disk nobody learns who holds it
            os.ftruncate(handle, 0)
            os.write(handle, _ourselves().encode())
        yield handle
    finally:
        os.unlink(path)
        os.close(handle)


def open_locked(path: str, deadline: float, shared: bool = False) -> int:
    """Return the descriptor of a locked file that is still at its path; make it if missing.

    :param deadline: as for C(acquire).
    :param shared: as for C(locked_file).
    :raises JawsError: as C(acquire).
    """
    while True:
        try:
            handle = os.open(path, os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW | os.O_CLOEXEC, 0o600)
            if shared:
                _share(handle, os.path.dirname(path))
        except OSError as error:
            raise _unusable(path, error) from error
        try:
            acquire(handle, path, deadline)
            if _is_at(handle, path):
                return handle
        except BaseException as error:
            if isinstance(error, JawsError) and error.reason == "cannot_lock":
                os.unlink(path)  # useless without locks
            os.close(handle)
            raise
        os.close(handle)  # the holder before us has removed it


def _share(handle: int, folder: str) -> None:
    """Let those users open the file who can make one next to it, and no others."""
    around = os.stat(folder)
    with suppress(PermissionError):  # another account made it, and has done this
        if around.st_mode & stat.S_IWGRP:
            os.fchown(handle, -1, around.st_gid)
            os.fchmod(handle, 0o660)
        if os.geteuid() == 0:
            os.fchown(handle, around.st_uid, -1)


def acquire(handle: int, path: str, deadline: float) -> None:
    """Lock an open file; closing it frees the lock, and so does our death.

    :param path: its path, for messages.
    :param deadline: until when to wait for another holder, on the monotonic clock.
    :raises JawsError: another run still holds it (locked), or there are no locks (cannot_lock).
    """
    seconds = max(0, deadline - time.monotonic())
    if not wait_until(lambda: _try_lock(handle, path), seconds):
        raise JawsError(
            f"another run holds the lock on {path} and did not end within {seconds:.3g} s: "
            f"{_holder(handle)}. Wait for it or end it, then run this again.",
            reason="locked",
        )


def _try_lock(handle: int, path: str) -> bool:
    try:
        fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
        return True
    except OSError as error:
        if error.errno not in BUSY:
            raise _unusable(path, error) from error
        return False


def _is_at(handle: int, path: str) -> bool:
    try:
        return os.path.samestat(os.fstat(handle), os.lstat(path))
    except FileNotFoundError:
        return False


def _ourselves() -> str:
    since = time.strftime("%Y-%m-%d %H:%M:%S UTC", time.gmtime())
    user = user_name(os.geteuid())
    return f"pid {os.getpid()} of {user} on {socket.gethostname()}, since {since}"


def _holder(handle: int, proc: str = "/proc") -> str:
    """Return who holds the lock, according to the file or the kernel."""
    content = os.pread(handle, 500, 0).decode("utf-8", "replace")
    if content.startswith("pid "):
        return content
    inode = str(os.fstat(handle).st_ino)
    with open(f"{proc}/locks", encoding="ascii") as stream:
        rows = [line.split() for line in stream]
    pids = [row[4] for row in rows if row[1] == "FLOCK" and row[5].endswith(":" + inode)]
    try:
        user = user_name(os.stat(f"{proc}/{pids[0]}").st_uid)
        return f"pid {pids[0]} of {user}"
    except (IndexError, FileNotFoundError):
        return "it has just started or just ended"


def _unusable(path: str, error: OSError) -> JawsError:
    return JawsError(
        f"cannot lock {path}: {error.strerror}. It must belong to this user, and be on a "
        "filesystem that supports locks (flock), such as a node-local one.",
        reason="cannot_lock",
    )
