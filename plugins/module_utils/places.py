# Copyright: (c) 2026, The jgi.jaws engineers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Places that somebody else may have taken before us: paths, sockets, ports.

Facts from Supervisor 4.3.0, measured: on a filesystem without hard links, or beside somebody else's
socket in a sticky directory, a start prints "Unlinking stale socket" for ever.
"""

from __future__ import annotations

import os
import pwd
import socket
import stat
import tempfile
from contextlib import closing
from typing import TYPE_CHECKING, Collection
from urllib.parse import urlsplit

from ansible_collections.jgi.jaws.plugins.module_utils.errors import JawsError

if TYPE_CHECKING:  # supervisor relies on this
    from ansible_collections.jgi.jaws.plugins.module_utils.supervisor import Endpoint

SOCKET_BYTES = 99  # supervisord binds PATH.PID first; sun_path holds 108
LISTENING = "0A"  # TCP_LISTEN, in /proc/net/tcp
HERE = ("127.0.0.1", "localhost", "::1")
CONNECT_SECONDS = 5


def user_name(uid: int) -> str:
    """Return the user's name, or C(uid N) where it has none."""
    try:
        return pwd.getpwuid(uid).pw_name
    except KeyError:
        return f"uid {uid}"


def user_id(name: str | None) -> set[int]:
    """Return the user's uid, or nothing where no name is given or there is no such user."""
    if not name:
        return set()
    try:
        return {pwd.getpwnam(name).pw_uid}
    except KeyError:
        return {int(name)} if name.isdigit() else set()


def refuse_foreign(path: str, trusted: Collection[int] = ()) -> None:
    """Refuse a place that somebody else made before us, or a symbolic link.

    Its directory has to be ours; where everybody may write to that, the path itself too.

    :param trusted: uids whose places are as good as ours and root's.
    :raises JawsError: names the owner (somebody_elses).
    """
    ours = {0, os.geteuid(), *trusted}
    folder = os.path.dirname(path)
    try:
        around = os.stat(folder)
        if around.st_uid not in ours:
            raise _foreign(folder, "is there already", around.st_uid)
        found = os.lstat(path)
    except (FileNotFoundError, PermissionError):
        return  # whoever wants to use it says what is wrong
    if stat.S_ISLNK(found.st_mode):
        raise _foreign(path, "is a symbolic link", found.st_uid)
    if found.st_uid not in ours and around.st_mode & stat.S_IWOTH:
        raise _foreign(path, "is there already", found.st_uid)


def _foreign(path: str, what: str, uid: int) -> JawsError:
    return JawsError(
        f"{path} {what} and belongs to {user_name(uid)}. Nothing was read, run or written "
        "through it: have it removed, or choose another path.",
        reason="somebody_elses",
    )


def refuse_unusable_socket(path: str, trusted: Collection[int] = ()) -> None:
    """Refuse a socket path on which supervisord would fail, or loop for ever.

    :raises JawsError: too long (bad_option), no directory or no hard links there
        (unusable_directory), or somebody else's (somebody_elses).
    """
    refuse_long_socket(path)
    refuse_foreign(path, trusted)
    folder = os.path.dirname(path)
    try:
        with tempfile.NamedTemporaryFile(dir=folder) as probe:
            os.link(probe.name, probe.name + ".link")
            os.unlink(probe.name + ".link")
    except OSError as error:
        raise JawsError(
            f"supervisord cannot make its socket in {folder}: {error.strerror}. It needs a "
            "directory of its own on a node-local filesystem with hard links.",
            reason="unusable_directory",
        ) from error


def refuse_long_socket(path: str) -> None:
    """Refuse a path that supervisord cannot make a socket at.

    :raises JawsError: with both numbers (bad_option).
    """
    length = len(os.fsencode(path))
    if length > SOCKET_BYTES:
        raise JawsError(
            f"the socket path {path} has {length} bytes; supervisord can use at most "
            f"{SOCKET_BYTES}. Choose a shorter directory.",
            reason="bad_option",
        )


def refuse_foreign_listener(endpoint: Endpoint, trusted: Collection[int] = ()) -> None:
    """Refuse to send a key to where a stranger may listen.

    :raises JawsError: names the owner (somebody_elses).
    """
    path = endpoint.socket_path
    if path is not None:
        refuse_foreign(path, trusted)
        return
    strangers = listeners(endpoint) - {0, os.geteuid(), *trusted}
    if strangers:
        raise JawsError(
            f"{endpoint.address} is taken by a process of "
            f"{' and '.join(map(user_name, sorted(strangers)))}. The key was not sent to it: "
            "have it ended, or choose another port. If it is the instance's own user, name it "
            f"in [supervisord] user of {endpoint.source}.",
            reason="somebody_elses",
        )


def listeners(endpoint: Endpoint, proc: str = "/proc") -> set[int]:
    """Return the uids that listen at an endpoint of this machine, as the kernel sees them.

    The kernel tells a port's user to everybody, also where C(hidepid) hides the processes.
    """
    path = endpoint.socket_path
    if path is not None:
        try:
            return {os.stat(path).st_uid}
        except OSError:
            return set()
    host, port = _tcp(endpoint)
    found: set[int] = set()
    for name in ("tcp", "tcp6") if host in HERE else ():
        try:
            with open(f"{proc}/net/{name}", encoding="ascii") as stream:
                rows = [line.split() for line in stream][1:]
        except FileNotFoundError:  # no IPv6 here
            continue
        for row in rows:
            if row[3] == LISTENING and int(row[1].rpartition(":")[2], 16) == port:
                found.add(int(row[7]))
    return found


def is_taken(endpoint: Endpoint) -> bool:
    """Whether somebody accepts connections there; nothing is sent."""
    family = socket.AF_UNIX if endpoint.socket_path else socket.AF_INET
    with closing(socket.socket(family, socket.SOCK_STREAM)) as probe:
        probe.settimeout(CONNECT_SECONDS)
        try:
            probe.connect(endpoint.socket_path or _tcp(endpoint))
        except (FileNotFoundError, ConnectionRefusedError):
            return False
        except OSError:  # it hangs, or shuts us out: somebody is there
            return True
        return True


def _tcp(endpoint: Endpoint) -> tuple[str, int]:
    try:
        parts = urlsplit(endpoint.url)
        return parts.hostname or "", parts.port or 80
    except ValueError:  # whoever connects says so
        return "", 0
