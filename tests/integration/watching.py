# SPDX-License-Identifier: GPL-3.0-or-later
"""Look for secrets where they must not be, repeatedly while something else runs."""

from __future__ import annotations

import os
import stat
import threading
from collections.abc import Callable, Iterable, Iterator
from contextlib import suppress
from pathlib import Path

# Seconds between two looks; no process of a play ends so soon.
PAUSE = 0.05


class Watch(threading.Thread):
    """Looks at the arguments and environment of every process that is started from now on, and at
    files that others may read.

    :param secrets: returns the secrets that exist so far.
    :param folders: directories in which files are checked.
    :param spared: names of directories that hold only what was downloaded.
    """

    def __init__(
        self,
        secrets: Callable[[], Iterable[str]],
        folders: Iterable[Path],
        spared: Iterable[str] = (),
    ) -> None:
        super().__init__()
        self.found: set[str] = set()
        self.rounds = 0
        self._secrets = secrets
        self._folders = list(folders)
        self._spared = frozenset(spared)
        self._stopped = threading.Event()
        self._older = _processes()
        self._read: dict[str, tuple[int, ...]] = {}

    def __enter__(self) -> Watch:
        self.start()
        return self

    def __exit__(self, *_details: object) -> None:
        self._stopped.set()
        self.join()

    def run(self) -> None:
        while not self._stopped.wait(PAUSE):
            self.look()
            self.rounds += 1

    def look(self) -> None:
        """Look once."""
        secrets = [secret.encode() for secret in self._secrets()]
        known = hash(frozenset(secrets))
        new = _processes() - self._older
        places = [f"/proc/{pid}/{name}" for pid in new for name in ("cmdline", "environ")]
        for folder in self._folders:
            for entry in self._open_to_others(folder):
                found = entry.stat()
                state = (found.st_ino, found.st_mtime_ns, found.st_size, known)
                if self._read.get(entry.path) != state:  # it has changed, or there are more secrets
                    self._read[entry.path] = state
                    places.append(entry.path)
        for path in places:
            with suppress(OSError):
                content = Path(path).read_bytes()
                if any(secret in content for secret in secrets):
                    self.found.add(path)

    def _open_to_others(self, folder: str | Path) -> Iterator[os.DirEntry[str]]:
        with suppress(OSError):
            for entry in list(os.scandir(folder)):
                with suppress(OSError):
                    mode = entry.stat(follow_symlinks=False).st_mode
                    if stat.S_ISDIR(mode) and mode & 0o005 and entry.name not in self._spared:
                        yield from self._open_to_others(entry.path)
                    elif stat.S_ISREG(mode) and mode & 0o004:
                        yield entry


def _processes() -> set[str]:
    return {name for name in os.listdir("/proc") if name.isdigit()}
