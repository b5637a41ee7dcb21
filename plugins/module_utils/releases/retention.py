# Copyright: (c) 2026, The jgi.jaws engineers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What old releases have left behind: which of it may be removed, and its removal.

Nothing is removed that a kept release uses, that is young (another run may be about to use it), or
that a process on this machine runs from.
"""

from __future__ import annotations

import os
import shutil
from contextlib import suppress
from typing import Collection, Iterable, Mapping, Sequence

from ..environments.records import read
from ..system.processes import PROC, search
from .store import Record

DAY = 86400.0
# The files in /proc/PID that may name a path. The last two are readable for our own processes only.
SEARCHED = ("cmdline", "environ", "maps")


def expired(
    records: Sequence[Record], wanted: Mapping[str, float], current: str, keep: int, limit: float
) -> list[Record]:
    """Return the records that may be removed: never the current one, and no young ones.

    :param wanted: by id: when the release was last prepared or switched to, in Unix seconds.
    :param keep: how many good ones to keep, those that were deployed last.
    :param limit: a release that was wanted after this time is young.
    """
    good = [record for record in records if record["status"] == "good"]
    good.sort(key=lambda record: record.get("deploy") or 0, reverse=True)
    kept = {current, *(record["id"] for record in good[:keep])}
    kept.update(release for release, when in wanted.items() if when >= limit)
    return [record for record in records if record["id"] not in kept]


def used_by(records: Iterable[Record]) -> set[str]:
    """Return the paths that releases use, with the layers of their environments."""
    used = {path for record in records for path in record["files"] + record["uses"]}
    return used.union(*((read(path) or {}).get("layers", []) for path in used))


def leftovers(folders: Iterable[str], used: Collection[str], limit: float) -> list[str]:
    """Return the paths in the directories that are not used and older than the limit.

    Symbolic links stay, because people use them.
    """
    found = []
    for folder in folders:
        with suppress(FileNotFoundError), os.scandir(folder) as entries:
            for entry in entries:
                is_old = entry.stat(follow_symlinks=False).st_mtime < limit
                if entry.path not in used and is_old and not entry.is_symlink():
                    found.append(entry.path)
    return sorted(found)


def running_from(paths: Sequence[str], proc: str = PROC) -> set[str]:
    """Return the paths that a process on this machine mentions: it may run from there."""
    wanted = {path: os.fsencode(path) for path in paths}
    found: set[str] = set()
    for _pid, contents in search(SEARCHED, proc):
        text = b"\0".join(contents)
        found.update(path for path, word in wanted.items() if word in text)
    return found


def remove(path: str) -> None:
    """Remove a file, or a directory with everything in it; it need not exist.

    :raises OSError: it cannot be removed.
    """
    if not os.path.isdir(path) or os.path.islink(path):
        with suppress(FileNotFoundError):
            os.unlink(path)
        return
    # It is renamed first, because a directory that is only half removed must not look complete.
    aside = os.path.join(os.path.dirname(path), f".{os.path.basename(path)}.removed")
    os.rename(path, aside)
    shutil.rmtree(aside)
