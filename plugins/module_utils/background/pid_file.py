# Copyright: (c) 2026, The jgi.jaws engineers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The pid file of a background command, which is also the lock on it."""

from __future__ import annotations

import json
import os
import stat
import time
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from typing import Iterator

from ..errors import JawsError
from ..system.files import refuse_foreign
from ..system.locks import open_locked


@dataclass(frozen=True)
class PidRecord:
    """What the pid file says about the process; definition and revision may be unknown (None)."""

    pid: int
    start_ticks: int
    boot_id: str
    id: str
    command: list[str]
    started_at: str
    definition: str | None
    revision: str | None
    reload_files: dict[str, str] | None
    reloaded_at: str | None = None
    stopping: str | None = None

    def text(self) -> str:
        """Return the record as it is written into the file."""
        return json.dumps(asdict(self), indent=1) + "\n"


def parse_record(text: str) -> PidRecord | None:
    """Return the record in a pid file, or None if the text is empty, torn or something else."""
    try:
        record = PidRecord(**json.loads(text))
        return record if all(isinstance(n, int) for n in (record.pid, record.start_ticks)) else None
    except (ValueError, TypeError):
        return None


class PidFile:
    """The file, open and locked. Its text is rewritten in place; a torn text counts as missing."""

    def __init__(self, fd: int) -> None:
        self._fd = fd

    @staticmethod
    def peek(path: str) -> str:
        """Return its text without creating or locking it; empty if it does not exist."""
        own_directory(os.path.dirname(path), create=False)
        if not refuse_unusable(path):
            return ""
        with open(path, encoding="utf-8", errors="replace") as file:
            return file.read()

    @classmethod
    @contextmanager
    def locked(cls, path: str, timeout: float) -> Iterator[PidFile]:
        """Hold the lock.

        :param timeout: seconds to wait for another holder.
        :raises JawsError: names the other holder (locked).
        """
        own_directory(os.path.dirname(path))
        refuse_unusable(path)
        fd = open_locked(path, time.monotonic() + timeout)
        try:
            yield cls(fd)
        finally:
            if not os.fstat(fd).st_size:
                os.unlink(path)  # nothing runs, so no pid file is left behind
            os.close(fd)

    def read(self) -> str:
        """Return its text."""
        size = os.fstat(self._fd).st_size
        return os.pread(self._fd, size, 0).decode(errors="replace")

    def write(self, text: str) -> None:
        """Replace its text; an empty text removes the file when the lock is released."""
        os.ftruncate(self._fd, 0)
        os.pwrite(self._fd, text.encode(), 0)
        os.fsync(self._fd)


def refuse_unusable(path: str, directory: bool = False) -> bool:
    """Return whether a path exists; refuse one that is not ours or has another type.

    :param directory: whether it should be a directory, not a regular file.
    :raises JawsError: it has another owner (foreign_owner) or type (wrong_file_type).
    """
    refuse_foreign(path, [os.geteuid()])
    try:
        mode = os.lstat(path).st_mode
    except FileNotFoundError:
        return False
    if directory and stat.S_ISLNK(mode):  # a link of our own
        return refuse_unusable(os.path.realpath(path), directory)
    if not (stat.S_ISDIR if directory else stat.S_ISREG)(mode):
        kind = "directory" if directory else "regular file"
        raise JawsError(
            f"{path} is not a {kind}. Remove it, or choose another path.", "wrong_file_type"
        )
    return True


def own_directory(path: str, create: bool = True) -> None:
    """Check that only we may write to the directory; make it with mode 0700 if missing."""
    if not refuse_unusable(path, directory=True):
        if create:
            os.makedirs(path, mode=0o700, exist_ok=True)
            refuse_unusable(path, directory=True)
        return
    if stat.S_IMODE(os.stat(path).st_mode) & 0o022:
        raise JawsError(
            f"Others may write to {path}, so they could replace the pid file. "
            f"Run chmod go-w {path}, or choose another directory.",
            "unusable_directory",
        )
