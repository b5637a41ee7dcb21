# Copyright: (c) 2026, The jgi.jaws engineers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The directories of environments: which is complete and as it was built, and which to use."""

from __future__ import annotations

import glob
import hashlib
import itertools
import json
import os
from typing import Any, Iterable, Iterator

from . import installed
from .records import MARKER, read


class Environment:
    """A directory that holds an environment, in any state."""

    def __init__(self, path: str) -> None:
        self.path = path
        self._marker = os.path.join(path, MARKER)

    @property
    def record(self) -> dict[str, Any] | None:
        """What was recorded when it was complete; None if it never was."""
        return read(self.path)

    @property
    def intact(self) -> bool:
        """Whether it is complete, its files are as they were then, and its Python is there."""
        record = self.record
        python = os.path.join(self.path, "bin/python")
        if os.path.islink(python) and not os.path.exists(python):
            return False  # an update of the system has removed what it leads to
        return record is not None and record.get("files") == self._fingerprint()

    def lacks(self, names: Iterable[str]) -> list[str]:
        """Return which distributions are missing in its record: 0.2.0 did not check that."""
        packages = (self.record or {}).get("packages")
        known = installed.versions(packages or [])
        return [name for name in names if packages is not None and name not in known]

    def complete(self, **record: Any) -> None:
        """Record that it is complete, in one step."""
        with open(self._marker + ".new", "w", encoding="utf-8") as stream:
            json.dump(dict(record, files=self._fingerprint()), stream)
        os.rename(self._marker + ".new", self._marker)

    def _fingerprint(self) -> str:
        """Return a digest of the files' names, modes, sizes and times, without their content."""
        return hashlib.sha256(json.dumps(sorted(self._files())).encode()).hexdigest()

    def _files(self) -> Iterator[list[Any]]:
        for folder, folders, names in os.walk(self.path):
            folders[:] = [name for name in folders if name != "__pycache__"]
            for name in names:
                path = os.path.join(folder, name)
                if not path.startswith(self._marker):
                    found = os.lstat(path)
                    yield [path, found.st_mode, found.st_size, int(found.st_mtime)]


def place(directory: str, name: str, wanted: Iterable[str] = ()) -> tuple[Environment, list[str]]:
    """Return the environment to use, and the paths of earlier ones that cannot be used.

    An environment that was changed by hand is left alone; the next one is built next to it. So is
    one that lacks a distribution that is wanted.
    """
    base = os.path.join(directory, name)
    # Not the lock of one that another run builds.
    later = [
        path for path in glob.glob(glob.escape(base) + ".*") if path[len(base) + 1 :].isdigit()
    ]
    known = [base, *sorted(later)]
    for path in known:
        if Environment(path).intact and not Environment(path).lacks(wanted):
            return Environment(path), []
    unusable = [path for path in known if Environment(path).record is not None]
    numbered = (f"{base}.{number}" for number in itertools.count(1))
    free = (path for path in itertools.chain([base], numbered) if path not in unusable)
    return Environment(next(free)), unusable
