# Copyright: (c) 2026, The jgi.jaws engineers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Start a command in a session of its own, with a log that is rotated before each start."""

from __future__ import annotations

import os
import shutil
import signal as signals
from typing import NoReturn

from ..errors import JawsError, quoted
from ..system.files import tail
from ..system.waiting import wait_until
from .pid_file import refuse_unusable
from .wish import OF_PID, Wish, full_environment


def spawn(wish: Wish, log: int) -> int:
    """Start the command in a session and process group of its own, and return its pid.

    Its input is /dev/null.

    :param log: a file descriptor for both its outputs.
    :raises JawsError: it cannot be started (cannot_start).
    """
    environment = full_environment(wish)
    program = _program(wish, environment["PATH"])
    reader, writer = os.pipe()  # exec closes it; if nothing was written, the command was executed
    # subprocess cannot put the child's pid into the child's own environment.
    pid = os.fork()
    if not pid:
        _become(wish, program, environment, log, writer)
    os.close(writer)
    with open(reader, encoding="utf-8") as file:
        problem = file.read()
    if problem:
        os.waitpid(pid, 0)
        raise JawsError(
            f"Cannot start {wish.id}: {quoted(problem)}. Check that {program} exists, is executable"
            f" and built for this machine, and that {wish.chdir} is accessible.",
            "cannot_start",
        )
    return pid


def _program(wish: Wish, path: str) -> str:
    """Return the file to execute; it is looked up in PATH if its name has no slash."""
    name = wish.argv[0]
    found = name if "/" in name else shutil.which(name, path=path)
    if not found:
        raise JawsError(
            f"Cannot start {wish.id}: there is no {name} in {path}. Use its full path.",
            "cannot_start",
        )
    return found


def _become(
    wish: Wish, program: str, environment: dict[str, str], log: int, writer: int
) -> NoReturn:
    """In the child: become the command, which inherits nothing from the play."""
    try:
        os.setsid()
        os.umask(wish.umask)
        os.chdir(wish.chdir)
        null = os.open(os.devnull, os.O_RDONLY)
        for number, descriptor in enumerate((null, log, log)):
            os.dup2(descriptor, number)
        for name in os.listdir("/proc/self/fd"):
            if int(name) > 2 and os.path.exists(f"/proc/self/fd/{name}"):
                os.set_inheritable(int(name), False)
        _reset_signals()
        os.execve(program, wish.argv, {**environment, OF_PID: str(os.getpid())})
    except OSError as error:
        os.write(writer, str(error).encode())
    finally:
        os._exit(127)


def _reset_signals() -> None:
    # A background job of a shell ignores some of these, and exec keeps what is ignored.
    heard = {signals.SIGHUP, signals.SIGINT, signals.SIGQUIT, signals.SIGTERM, signals.SIGPIPE}
    for number in heard:
        signals.signal(number, signals.SIG_DFL)
    signals.pthread_sigmask(signals.SIG_SETMASK, [])


def ended_within(pid: int, seconds: float) -> int | None:
    """Return its wait(2) status if it ends within that many seconds, None if it still runs."""
    ended: list[int] = []

    def has_ended() -> bool:
        found, status = os.waitpid(pid, os.WNOHANG)
        ended.extend([status] if found else [])
        return bool(found)

    wait_until(has_ended, seconds)
    return ended[0] if ended else None


def ended_at_once(wish: Wish, status: int, offset: int) -> JawsError:
    """Return the error about a command that did not stay up.

    :param status: its wait(2) status.
    :param offset: where its part of the log begins, in bytes.
    """
    how = f"with exit status {os.WEXITSTATUS(status)}"
    if os.WIFSIGNALED(status):
        how = f"by {signals.Signals(os.WTERMSIG(status)).name}"
    lines = tail(wish.log, offset) or ["(nothing)"]
    message = f"{wish.id} ended at once, {how}. Its log {wish.log} ends with:"
    return JawsError("\n".join([message, *lines]), "ended_at_once")


def rotate(path: str, max_bytes: int, backups: int) -> None:
    """Move a log of max_bytes or more to PATH.1, PATH.1 to PATH.2, and so on; 0 means never."""
    refuse_unusable(path)
    if not max_bytes or not os.path.exists(path) or os.path.getsize(path) < max_bytes:
        return
    names = [path] + [f"{path}.{number}" for number in range(1, backups + 1)]
    for newer, older in reversed(list(zip(names, names[1:]))):
        if os.path.lexists(newer):
            os.replace(newer, older)
    if not backups:
        os.remove(path)


def open_log(path: str) -> int:
    """Return a descriptor that appends to the log.

    :raises JawsError: it cannot be written (cannot_start), or is not ours (foreign_owner).
    """
    refuse_unusable(path)
    flags = os.O_WRONLY | os.O_APPEND | os.O_CREAT | os.O_NOFOLLOW | os.O_CLOEXEC
    try:
        return os.open(path, flags, 0o640)
    except OSError as error:
        raise JawsError(
            f"Cannot write the log {path}: {error.strerror}. Its directory must exist, and this "
            "user must be allowed to write there.",
            "cannot_start",
        ) from error
