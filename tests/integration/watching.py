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
        self._older = set(_processes())

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
        folders = set(_processes()) - self._older
        places = [folder / name for folder in folders for name in ("cmdline", "environ")]
        for folder in self._folders:
            places += self._open_to_others(folder)
        for path in places:
            with suppress(OSError):
                content = path.read_bytes()
                if any(secret in content for secret in secrets):
                    self.found.add(str(path))

    def _open_to_others(self, folder: Path) -> Iterator[Path]:
        with suppress(OSError):
            for entry in list(os.scandir(folder)):
                with suppress(OSError):
                    mode = entry.stat(follow_symlinks=False).st_mode
                    if stat.S_ISDIR(mode) and mode & 0o005 and entry.name not in self._spared:
                        yield from self._open_to_others(Path(entry.path))
                    elif stat.S_ISREG(mode) and mode & 0o004:
                        yield Path(entry.path)


def _processes() -> Iterator[Path]:
    return Path("/proc").glob("[0-9]*")
