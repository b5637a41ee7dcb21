# Copyright: (c) 2026, The jgi.jaws engineers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What old releases have left: which of it may go, and its removal.

Nothing goes that a kept release uses, that is young (another run may be about to use it), or that a
process on this machine runs from.
"""

from __future__ import annotations

import os
import shutil
from contextlib import suppress
from typing import Collection, Iterable, Mapping, Sequence

from ..processes import PROC, search
from .store import Record

DAY = 86400.0
# What of a process may name a file: /proc hides the last two of other users' processes.
TOLD_BY = ("cmdline", "environ", "maps")


def expired(
    records: Sequence[Record], wanted: Mapping[str, float], current: str, keep: int, limit: float
) -> list[Record]:
    """Return the records that may go, which are never the current one's nor a young one's.

    :param wanted: when each was last prepared or switched to, by id; Unix seconds.
    :param keep: how many good ones to keep, those that were deployed last.
    :param limit: what was wanted since then is young.
    """
    good = [record for record in records if record["status"] == "good"]
    good.sort(key=lambda record: record.get("deploy") or 0, reverse=True)
    kept = {current, *(record["id"] for record in good[:keep])}
    kept.update(release for release, when in wanted.items() if when >= limit)
    return [record for record in records if record["id"] not in kept]


def used_by(records: Iterable[Record]) -> set[str]:
    """Return the paths that releases use."""
    return {path for record in records for path in record["files"] + record["uses"]}


def leftovers(folders: Iterable[str], used: Collection[str], limit: float) -> list[str]:
    """Return what lies in the directories that nothing uses, and that has been there for longer.

    Symbolic links are names for people, and stay.
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
    """Return those of the paths that a process of this machine names: it may run from there."""
    wanted = {path: os.fsencode(path) for path in paths}
    found: set[str] = set()
    for _pid, contents in search(TOLD_BY, proc):
        told = b"\0".join(contents)
        found.update(path for path, word in wanted.items() if word in told)
    return found


def remove(path: str) -> None:
    """Remove a file, or a directory with all that is in it; one that has gone is fine.

    :raises OSError: it cannot be removed.
    """
    if not os.path.isdir(path) or os.path.islink(path):
        with suppress(FileNotFoundError):
            os.unlink(path)
        return
    # Under another name first: what is half removed must not look whole.
    aside = os.path.join(os.path.dirname(path), f".{os.path.basename(path)}.removed")
    os.rename(path, aside)
    shutil.rmtree(aside)
