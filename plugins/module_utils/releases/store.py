# Copyright: (c) 2026, The jgi.jaws engineers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Releases of one instance: immutable files, a record of each, and the name of the current one.

The current release is the one in the supervisord.conf. Until that file is replaced, nothing has
changed; after that, a second run or the supervisor's next start completes an interrupted switch.
"""

from __future__ import annotations

import hashlib
import json
import os
import time
from contextlib import suppress
from types import MappingProxyType
from typing import Any, Dict, Iterable, Mapping, NamedTuple

from ..errors import JawsError, keep_secret
from ..supervisor import conf
from ..supervisor.conf import ConfText
from ..system.files import (
    file_mode,
    group_id,
    has_acl,
    keep_secrets_of,
    place_link,
    read_text,
    sweep,
    sweep_folder,
    sweep_link,
    write,
)
from .differences import changes, model

Record = Dict[str, Any]
Links = Mapping[str, str]


class PlannedFile(NamedTuple):
    """A file that a release needs."""

    path: str
    content: str
    mode: int


def planned(options: Iterable[Mapping[str, str]]) -> list[PlannedFile]:
    """Return the files that a module's option describes.

    :raises JawsError: a mode is not an octal number (bad_option).
    """
    return [PlannedFile(one["path"], one["content"], file_mode(one["mode"])) for one in options]


class Store:
    """The releases below one directory, and the supervisord.conf that names the current one.

    :param directory: the instance's own directory; C(releases/) below it holds the records.
    :param config: absolute path of the supervisord.conf.
    :param group: group of what is written, or None for the directory's.
    :raises JawsError: there is no such group (bad_option), or we are not in it (not_a_member).
    """

    def __init__(self, directory: str, config: str, group: str | None = None) -> None:
        self.records = os.path.join(directory, "releases")
        self.journal = os.path.join(self.records, "unfinished")
        self.proof = os.path.join(directory, "prove.pyz")
        self.config = config
        self.gid = group_id(group)

    @property
    def exists(self) -> bool:
        """Whether the instance has been configured."""
        return os.path.exists(self.config)

    @property
    def frozen(self) -> str | None:
        """Who has frozen the instance, when and why; None if it is not frozen."""
        text = read_text(os.path.join(os.path.dirname(self.records), "frozen"))
        return None if text is None else text.strip()

    def conf(self) -> ConfText:
        """Return the supervisord.conf.

        :raises JawsError: there is none, or it cannot be read (unreadable_conf).
        """
        text = read_text(self.config)
        if text is None:
            raise JawsError(
                f"{self.config} does not exist: configure the instance first (the role "
                "supervisord does that).",
                reason="unreadable_conf",
            )
        return conf.split(text)

    def ids(self) -> list[str]:
        """Return every release's id, newest first."""
        try:
            names = os.listdir(self.records)
        except FileNotFoundError:
            return []
        return sorted((name[:-5] for name in names if name.endswith(".json")), reverse=True)

    def all(self) -> list[Record]:
        """Return every release's record, newest first.

        :raises JawsError: one cannot be read (broken_record).
        """
        return [_read_record(self.path(release)) for release in self.ids()]

    def find(self, release: str | None) -> Record | None:
        """Return one release's record, or None if there is none."""
        return _read_record(self.path(release)) if release in self.ids() else None

    def get(self, release: str) -> Record:
        """Return one release's record.

        :raises JawsError: there is no such release (unknown_release).
        """
        found = self.find(release)
        if found is None:
            known = ", ".join(self.ids()) or "none"
            raise JawsError(
                f"there is no release {release} here; there are: {known}.", reason="unknown_release"
            )
        keep_secrets(found)
        return found

    def path(self, release: str) -> str:
        """Return the path of a release's record."""
        return os.path.join(self.records, release + ".json")

    def save(self, record: Record) -> None:
        """Write a release's record."""
        self.publish(self.path(record["id"]), json.dumps(record, indent=1) + "\n", 0o640)

    def correct(self, record: Record) -> None:
        """Write a release's record without noting that the release is wanted."""
        before = os.stat(self.path(record["id"]))
        self.save(record)
        os.utime(self.path(record["id"]), ns=(before.st_atime_ns, before.st_mtime_ns))

    def sweep(self, folders: Iterable[str] = ()) -> None:
        """Remove the temporary files that a killed run has left, here and in C(folders)."""
        sweep(self.config)
        for folder in {self.records, *folders}:
            sweep_folder(folder)

    def touch(self, release: str) -> None:
        """Note that a release is wanted now, so that another run does not prune what it uses."""
        os.utime(self.path(release))

    def times(self) -> dict[str, float]:
        """Return by id when each release was last wanted, in Unix seconds."""
        return {release: os.stat(self.path(release)).st_mtime for release in self.ids()}

    def publish(self, path: str, content: str, mode: int) -> None:
        """Write one file in one step, so that others can never read more than its mode allows."""
        write(path, content, mode, self.gid)

    def is_published(self, path: str, content: str, mode: int) -> bool:
        """Whether the file exists with exactly this content, mode and group.

        :raises JawsError: it cannot be read (unreadable_file).
        """
        try:
            with open(path, encoding="utf-8", newline="") as stream:
                found = os.fstat(stream.fileno())
                is_ours = self.gid in (None, found.st_gid) and found.st_mode & 0o7777 == mode
                is_ours = is_ours and not has_acl(stream.fileno())
                return is_ours and stream.read() == content
        except (FileNotFoundError, UnicodeDecodeError):
            return False
        except OSError as error:
            raise JawsError(
                f"cannot read {path}: {error.strerror}. Move it away, then run this again.",
                reason="unreadable_file",
            ) from error

    def switch(self, programs: str) -> None:
        """Make these programs the current ones, with one rename."""
        found = os.stat(self.config)
        text = self.conf().daemon + programs
        write(self.config, text, found.st_mode & 0o7777, found.st_gid)

    def link(self, links: Links) -> bool:
        """Point each link at its target, in one step each; return whether any had to change.

        :raises JawsError: one cannot be made (cannot_write).
        """
        due = {path: target for path, target in links.items() if not points_at(path, target)}
        for path, target in links.items():
            try:
                sweep_link(path)
                if path in due:
                    place_link(path, target)
            except OSError as error:
                raise JawsError(
                    f"cannot make the link {path}: {error.strerror}. Correct that, then run "
                    "this again.",
                    reason="cannot_write",
                ) from error
        return bool(due)

    def linked(self, links: Links) -> bool:
        """Whether every link points at its target."""
        return all(points_at(path, target) for path, target in links.items())


def keep_secrets(record: Record, planned_texts: Mapping[str, str] = MappingProxyType({})) -> None:
    """Note the secrets of a release, which must not be shown where something is quoted.

    :param planned_texts: the contents of files that may not be published yet, by path.
    """
    for path in conf.secret_files(record["programs"]):
        if path in planned_texts:
            keep_secret(*json.loads(planned_texts[path]))
        else:
            keep_secrets_of(path)


def compared(
    old: Record | None,
    new: Record | None,
    planned_texts: Mapping[str, str] = MappingProxyType({}),
    is_whole: bool = True,
) -> list[dict[str, Any]]:
    """Return what differs between two releases, without their secrets.

    :param planned_texts: as in C(keep_secrets).
    :param is_whole: as in C(changes).
    """

    def read(path: str) -> str | None:
        with suppress(JawsError):
            return planned_texts.get(path) or read_text(path)
        return None

    for record in filter(None, (old, new)):
        keep_secrets(record, planned_texts)
    return changes(model(old, read), model(new, read), is_whole)


def points_at(path: str, target: str) -> bool:
    """Whether a path is a symbolic link to the target."""
    try:
        return os.readlink(path) == target
    except OSError:
        return False


def _read_record(path: str) -> Record:
    try:
        record: Record = json.loads(read_text(path) or "")
    except ValueError as error:
        raise JawsError(
            f"{path} is not the record of a release: {error}. Remove it, then run this again.",
            reason="broken_record",
        ) from error
    if "venvs" in record:  # the name in 0.1.0
        record["uses"] = record.pop("venvs")
    return record


def new_id(inputs: Any, now: float | None = None) -> str:
    """Return the id of a new release: the time in UTC, and 8 digits of its content's SHA-256."""
    text = json.dumps(inputs, sort_keys=True)
    what = hashlib.sha256(text.encode()).hexdigest()[:8]
    return f"{time.strftime('%Y%m%dT%H%M%SZ', time.gmtime(now))}-{what}"
