# Copyright: (c) 2026, The jgi.jaws engineers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A lock that the kernel frees when its last holder dies, that is waited for, and names its holder.

On a file, since NFS locks only what is open for writing, which a directory cannot be.
"""

from __future__ import annotations

import errno
import fcntl
import os
import socket
import time
from contextlib import contextmanager
from typing import Iterator

from ansible_collections.jgi.jaws.plugins.module_utils.errors import JawsError
from ansible_collections.jgi.jaws.plugins.module_utils.places import user_name

PAUSE = 0.1
BUSY = (errno.EWOULDBLOCK, errno.EACCES)


@contextmanager
def locked(path: str, timeout: float = 600) -> Iterator[int]:
    """Hold an exclusive lock, and yield its file descriptor; the file goes with the lock.

    A child that is given the descriptor holds the lock too, and goes on holding it when we die.

    :param timeout: seconds to wait for another holder.
    :raises JawsError: another holds it for longer (locked), or there are no locks (no_locks).
    """
    handle = _acquire(path, timeout)
    try:
        os.ftruncate(handle, 0)
        os.write(handle, _ourselves().encode())
        yield handle
    finally:
        os.unlink(path)
        os.close(handle)


def _acquire(path: str, timeout: float) -> int:
    deadline = time.monotonic() + timeout
    while True:
        handle = _open(path)
        try:
            if _lock(handle, path) and _is_at(handle, path):
                return handle
            if time.monotonic() > deadline:
                raise _busy(path, os.pread(handle, 500, 0), timeout)
        except BaseException:
            os.close(handle)
            raise
        os.close(handle)
        time.sleep(PAUSE)


def _open(path: str) -> int:
    try:
        return os.open(path, os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW, 0o600)
    except OSError as error:
        raise _unusable(path, error) from error


def _lock(handle: int, path: str) -> bool:
    try:
        fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError as error:
        if error.errno in BUSY:
            return False
        os.unlink(path)  # of no use to anybody
        raise _unusable(path, error) from error
    return True


def _is_at(handle: int, path: str) -> bool:
    # The holder before us may have removed the file that we opened.
    try:
        return os.path.samestat(os.fstat(handle), os.stat(path))
    except FileNotFoundError:
        return False


def _ourselves() -> str:
    since = time.strftime("%Y-%m-%d %H:%M:%S UTC", time.gmtime())
    user = user_name(os.geteuid())
    return "pid %d of %s on %s, since %s" % (os.getpid(), user, socket.gethostname(), since)


def _busy(path: str, holder: bytes, timeout: float) -> JawsError:
    return JawsError(
        "another run holds %s and has not ended within %g s: %s. Wait for it or end it, then run "
        "this again." % (path, timeout, holder.decode("utf-8", "replace") or "it has just begun"),
        reason="locked",
    )


def _unusable(path: str, error: OSError) -> JawsError:
    return JawsError(
        "cannot lock %s: %s. It has to be on a filesystem with locks (flock), in a directory of "
        "this user's own." % (path, error.strerror),
        reason="no_locks",
    )
