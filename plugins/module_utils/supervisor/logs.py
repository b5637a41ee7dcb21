# Copyright: (c) 2026, The jgi.jaws engineers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The logs that a supervisord writes: whether they are still at their paths.

Facts from Supervisor 4.3.0: on SIGUSR2, it opens its own log and those of running programs again.
It ends, and leaves all programs behind, if it cannot open one, or if one is closed because its own
rotation of that log has failed.
"""

from __future__ import annotations

import os
import signal
import stat
from typing import Collection, Iterable, Iterator

from ..errors import JawsError
from ..system.files import acting_as, user_name
from ..system.processes import PROC, Process, read_process, send_signal
from ..system.waiting import wait_until
from .client import Supervisor
from .installation import config_of
from .log_lines import is_own_file
from .observation import observe


class Logs:
    """The logs of one live supervisord and of what it runs.

    :param main: the path of its own log; None if unknown.
    :raises JawsError: its process, or its open files, cannot be seen (not_permitted).
    """

    def __init__(self, client: Supervisor, pid: int, main: str | None) -> None:
        self.client = client
        self.main = main
        self.process = _visible(pid)

    def moved(self) -> list[str]:
        """Return the paths that are no longer the files that are written to."""
        opened = _open_files(self.process)
        return sorted(path for path in set(self._paths()) if _is_moved(path, opened))

    def reopen(self, timeout: float) -> None:
        """Make it open all logs again, and wait until it has.

        :raises JawsError: a log cannot be opened (cannot_write) or is closed (failed), so that
            supervisord would end; or it did not open all in C(timeout) seconds (timed_out).
        """
        self._refuse_unwritable()
        self._refuse_closed()
        send_signal(self.process, signal.SIGUSR2)
        # Each request makes supervisord's loop turn, in which it handles the signal.
        if not wait_until(lambda: not self.moved(), timeout):
            raise JawsError(
                f"supervisord ({self.process}) did not open {', '.join(self.moved())} again "
                f"within {timeout:g} s. See {self.main or 'its log'}, then run this again.",
                reason="timed_out",
            )

    def _paths(self) -> list[str]:
        """Return the path of each log; one that two programs write to is there twice."""
        with self.client as client:
            running = [program for program in observe(client).programs if program.pid]
        paths = [path for one in running for path in (one.log_file, one.error_log_file)]
        return [path for path in [self.main, *paths] if path and is_own_file(path)]

    def _refuse_unwritable(self) -> None:
        paths = set(self._paths())
        mine = os.stat(f"{PROC}/{self.process.pid}")
        with acting_as(mine.st_uid, mine.st_gid, _groups_of(self.process)):
            bad = sorted(path for path in paths if not _can_be_opened(path))
        if bad:
            raise JawsError(
                f"supervisord ({self.process}) runs as {user_name(self.process.uid)} and cannot "
                f"write to {', '.join(bad)}: it would end if it were told to open its logs again. "
                "Nothing was changed; see to the directory and the owner, then run this again.",
                reason="cannot_write",
            )

    def _refuse_closed(self) -> None:
        opened, paths = _open_files(self.process), self._paths()
        there = [identity for path in paths for identity in _identities([path])]
        moved = [path for path in paths if _is_moved(path, opened)]
        elsewhere = [identity for identity in opened if identity not in there]
        if len(elsewhere) < len(moved):
            raise JawsError(
                f"supervisord ({self.process}) has closed one of {', '.join(sorted(moved))}: it "
                "failed to rotate that log, for example because the disk was full. supervisord "
                "would end if it opened its logs again, so nothing was changed. Make room, restart "
                "the programs that write there, then run this again.",
            )


def _visible(pid: int) -> Process:
    found = read_process(pid)
    if found is None or config_of(found.cmdline) is None:
        raise JawsError(
            f"supervisord (pid {pid}) is not a process that {user_name(os.geteuid())} can see: "
            "it runs as another user, or in a container. Run this there, as its user.",
            reason="not_permitted",
        )
    return found


def _open_files(process: Process) -> list[tuple[int, int]]:
    """Return the regular files that it has open, except its standard output."""
    folder = f"{PROC}/{process.pid}/fd"
    try:
        numbers = [int(name) for name in os.listdir(folder)]
    except PermissionError as error:
        raise JawsError(
            f"{user_name(os.geteuid())} may not see which files {process} has open. Run this as "
            f"{user_name(process.uid)}.",
            reason="not_permitted",
        ) from error
    except FileNotFoundError:  # it has ended
        return []
    return list(_identities(f"{folder}/{number}" for number in numbers if number > 2))


def _identities(paths: Iterable[str]) -> Iterator[tuple[int, int]]:
    for path in paths:
        try:
            found = os.stat(path)
        except OSError:  # it was closed meanwhile
            continue
        if stat.S_ISREG(found.st_mode):
            yield (found.st_dev, found.st_ino)


def _is_moved(path: str, opened: Collection[tuple[int, int]]) -> bool:
    try:
        found = os.stat(path)
    except FileNotFoundError:
        return True
    return stat.S_ISREG(found.st_mode) and (found.st_dev, found.st_ino) not in opened


def _can_be_opened(path: str) -> bool:
    where = path if os.path.exists(path) else os.path.dirname(path)
    return os.access(where, os.W_OK, effective_ids=True)


def _groups_of(process: Process) -> list[int]:
    with open(f"{PROC}/{process.pid}/status", encoding="utf-8", errors="replace") as stream:
        return [
            int(group)
            for line in stream
            if line.startswith("Groups:")
            for group in line.split()[1:]
        ]
