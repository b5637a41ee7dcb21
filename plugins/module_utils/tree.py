# Copyright: (c) 2026, The jgi.jaws engineers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Directories, small files and links of one owner, in places that others may reach before us."""

from __future__ import annotations

import os
import stat
from typing import Any, Dict, List, Optional

from ansible_collections.jgi.jaws.plugins.module_utils.conf import Candidate, read_text
from ansible_collections.jgi.jaws.plugins.module_utils.daemon import user_name
from ansible_collections.jgi.jaws.plugins.module_utils.errors import JawsError
from ansible_collections.jgi.jaws.plugins.module_utils.supervisord_config import group_id

Item = Dict[str, Any]


def manage(params: Dict[str, Any], check_mode: bool) -> Dict[str, Any]:
    """Make what is missing or different; see the tree module for the options.

    :raises JawsError: a path is somebody else's (somebody_elses), or cannot be made.
    """
    items = params["paths"]
    for item in items:
        group_id(item["group"])
        refuse_somebody_elses(item["path"])
    due = [item for item in items if not is_right(item)]
    if not check_mode:
        for item in due:
            _make(item)
    paths = [item["path"] for item in due]
    return dict(changed=bool(due), paths=paths, diff=dict(before="", after="".join(path + "\n" for path in paths)))


def refuse_somebody_elses(path: str) -> None:
    """Refuse a path that exists and is not this user's own, nor reached through a stranger's link.

    :raises JawsError: names the owner.
    """
    owner = _owner(path)
    if owner is not None and owner != os.geteuid():
        raise JawsError(
            "%s is there already and belongs to %s, not to %s. Nothing was read, run or written there: "
            "remove it, or choose another path." % (path, user_name(owner), user_name(os.geteuid())),
            reason="somebody_elses",
        )


def _owner(path: str) -> Optional[int]:
    try:
        return os.lstat(path).st_uid
    except FileNotFoundError:
        return None


def is_right(item: Item) -> bool:
    """Whether the path is as the item wants it."""
    try:
        found = os.lstat(item["path"])
    except FileNotFoundError:
        return False
    if item["target"]:
        return stat.S_ISLNK(found.st_mode) and os.readlink(item["path"]) == item["target"]
    gid = group_id(item["group"])
    if found.st_mode & 0o7777 != int(item["mode"], 8) or gid not in (None, found.st_gid):
        return False
    if item["content"] is None:
        return stat.S_ISDIR(found.st_mode)
    return stat.S_ISREG(found.st_mode) and read_text(item["path"]) == item["content"]


def _make(item: Item) -> None:
    path = item["path"]
    try:
        if item["target"]:
            _link(path, item["target"])
        elif item["content"] is not None:
            with Candidate(path, item["content"], int(item["mode"], 8), group_id(item["group"])) as candidate:
                candidate.commit()
        else:
            _directory(path, int(item["mode"], 8), group_id(item["group"]))
    except OSError as error:
        raise JawsError("cannot make %s: %s." % (path, error.strerror), reason="cannot_write") from error


def _directory(path: str, mode: int, gid: Optional[int]) -> None:
    for missing in reversed(_missing(path)):
        # Closed until its group is right.
        os.mkdir(missing, 0o700 if missing == path else 0o711)
    if gid is not None and os.stat(path).st_gid != gid:
        os.chown(path, -1, gid)
    os.chmod(path, mode)


def _missing(path: str) -> List[str]:
    found = []
    while not os.path.lexists(path):
        found.append(path)
        path = os.path.dirname(path)
    return found


def _link(path: str, target: str) -> None:
    aside = "%s.%d" % (path, os.getpid())
    os.symlink(target, aside)
    os.replace(aside, path)
