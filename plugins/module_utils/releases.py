# Copyright: (c) 2026, The jgi.jaws engineers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Releases of one instance: immutable files, a record of each, and one file that says which is current.

The supervisord.conf is the switch. Before it is replaced nothing has happened; after it, a second run or
the supervisor's next start heals.
"""

from __future__ import annotations

import errno
import fcntl
import hashlib
import json
import os
import time
from contextlib import contextmanager
from typing import Any, Dict, Iterator, List, NamedTuple, Optional

from ansible_collections.jgi.jaws.plugins.module_utils import conf
from ansible_collections.jgi.jaws.plugins.module_utils.conf import Candidate, Conf
from ansible_collections.jgi.jaws.plugins.module_utils.errors import JawsError

Record = Dict[str, Any]
LOCK_PAUSE = 0.2


class Change(NamedTuple):
    """What publishing or switching changed: one line each, for diffs and for people."""

    before: str
    after: str


class Store:
    """The releases below one directory, and the supervisord.conf that names the current one.

    :param directory: the instance's own directory; C(releases/) below it holds a record each.
    :param config: absolute path of the supervisord.conf.
    :param gid: group of what is written, or None for the directory's.
    """

    def __init__(self, directory: str, config: str, gid: Optional[int] = None) -> None:
        self.directory = directory
        self.records = os.path.join(directory, "releases")
        self.config = config
        self.gid = gid

    def conf(self) -> Conf:
        """Return the supervisord.conf.

        :raises JawsError: there is none, or it cannot be read.
        """
        text = conf.read_text(self.config)
        if text is None:
            raise JawsError(
                "%s is not there: configure the instance first (the role supervisord does)." % self.config,
                reason="unreadable_conf",
            )
        return conf.split(text)

    @property
    def exists(self) -> bool:
        """Whether the instance has been configured."""
        return os.path.exists(self.config)

    def find(self, release: Optional[str]) -> Optional[Record]:
        """Return one release's record, or None where there is none."""
        return next((record for record in self.all() if record["id"] == release), None)

    def all(self) -> List[Record]:
        """Return every release's record, the newest first."""
        try:
            names = sorted(os.listdir(self.records), reverse=True)
        except FileNotFoundError:
            return []
        return [self._read(os.path.join(self.records, name)) for name in names if name.endswith(".json")]

    def get(self, release: str) -> Record:
        """Return one release's record.

        :raises JawsError: there is no such release (unknown_release).
        """
        found = self.find(release)
        if found is None:
            known = ", ".join(record["id"] for record in self.all()) or "none"
            raise JawsError("there is no release %s here; there are: %s." % (release, known), "unknown_release")
        return found

    def save(self, record: Record) -> None:
        """Write a release's record."""
        path = os.path.join(self.records, record["id"] + ".json")
        with Candidate(path, json.dumps(record, indent=1) + "\n", 0o640, self.gid) as candidate:
            candidate.commit()

    def publish(self, path: str, content: str, mode: int) -> bool:
        """Write one immutable file, unless it is there with this very content; return whether it was written."""
        if self.is_published(path, content, mode):
            return False
        with Candidate(path, content, mode, self.gid) as candidate:
            candidate.commit()
        return True

    def is_published(self, path: str, content: str, mode: int) -> bool:
        """Whether the file is there with this very content and mode."""
        try:
            with open(path, encoding="utf-8", newline="") as stream:
                return os.fstat(stream.fileno()).st_mode & 0o7777 == mode and stream.read() == content
        except (FileNotFoundError, UnicodeDecodeError):
            return False
        except OSError as error:
            raise JawsError("cannot read %s: %s." % (path, error.strerror), "unreadable_file") from error

    def switch(self, programs: str, links: Dict[str, str]) -> None:
        """Make these programs the current ones: one rename; then the links that people and tools follow."""
        found = os.stat(self.config)
        text = self.conf().daemon + programs
        with Candidate(self.config, text, found.st_mode & 0o7777, found.st_gid) as candidate:
            candidate.commit()
        self.link(links)

    def link(self, links: Dict[str, str]) -> None:
        """Point each link at its target, in one step each."""
        for path, target in links.items():
            if not _points_at(path, target):
                aside = "%s.%d" % (path, os.getpid())
                os.symlink(target, aside)
                os.replace(aside, path)

    def linked(self, links: Dict[str, str]) -> bool:
        """Whether every link points at its target."""
        return all(_points_at(path, target) for path, target in links.items())

    @contextmanager
    def lock(self, timeout: float) -> Iterator[None]:
        """Hold the lock of activation; the kernel releases it when we die.

        :raises JawsError: somebody else holds it for longer than C(timeout) seconds (locked); names the holder.
        """
        path = os.path.join(self.records, "lock")
        with open(path, "a+", encoding="utf-8") as stream:
            self._acquire(stream, path, time.monotonic() + timeout)
            stream.truncate(0)
            stream.write(json.dumps({"pid": os.getpid(), "user": os.geteuid(), "since": int(time.time())}))
            stream.flush()
            yield

    def _acquire(self, stream: Any, path: str, deadline: float) -> None:
        while True:
            try:
                fcntl.flock(stream, fcntl.LOCK_EX | fcntl.LOCK_NB)
                return
            except OSError as error:
                if error.errno not in (errno.EWOULDBLOCK, errno.EACCES):
                    raise JawsError("%s cannot be locked here: %s." % (path, error.strerror), "no_locks") from error
            if time.monotonic() > deadline:
                stream.seek(0)
                raise JawsError(
                    "another deploy holds %s: %s. Wait for it, or end it, then run this again."
                    % (path, stream.read().strip() or "unknown"),
                    reason="locked",
                )
            time.sleep(LOCK_PAUSE)

    def _read(self, path: str) -> Record:
        text = conf.read_text(path) or ""
        try:
            record: Record = json.loads(text)
        except ValueError as error:
            raise JawsError("%s is not a release's record: %s. Remove it." % (path, error), "broken_record") from error
        return record


def _points_at(path: str, target: str) -> bool:
    try:
        return os.readlink(path) == target
    except OSError:
        return False


def marked(release: str, programs: str) -> str:
    """Return the programs' part of a supervisord.conf for a release."""
    return "%s; release: %s\n\n%s" % (conf.DIVIDER, release, programs)


def digest(programs: str) -> str:
    """Return the first 8 hexadecimal digits of the SHA-256 of what makes a release."""
    return hashlib.sha256(programs.encode()).hexdigest()[:8]


def new_id(programs: str) -> str:
    """Return the id of a new release: when, in UTC, and what."""
    return "%s-%s" % (time.strftime("%Y%m%dT%H%M%SZ", time.gmtime()), digest(programs))


def previous_good(records: List[Record], current: Optional[str]) -> Optional[str]:
    """Return the id of the newest good release that is older than the current one, or None."""
    older = [r for r in records if r["status"] == "good" and r["id"] != current]
    if current is not None:
        older = [r for r in older if r["id"] < current] or []
    return older[0]["id"] if older else None
