# Copyright: (c) 2026, The jgi.jaws engineers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Directories, small files and links of one owner, in places where others may write too."""

from __future__ import annotations

import os
import re
import stat
from contextlib import suppress
from typing import Any, Dict

from .acl import grant, is_granted, is_supported, shown_mode
from .errors import JawsError
from .files import (
    file_mode,
    find_group,
    group_id,
    has_acl,
    ours,
    place_link,
    read_text,
    refuse_foreign,
    umask,
    write,
)

Item = Dict[str, Any]


def manage(params: dict[str, Any], check_mode: bool) -> dict[str, Any]:
    """Make what is missing or different; see the tree module for the options.

    :raises JawsError: a path has another owner (foreign_owner), or cannot be made.
    """
    items = [understood(item) for item in params["paths"]]
    for item in items:
        refuse_foreign_item(item)
        if item["acl_groups"]:
            _refuse_without_lists(item["path"])
    due = [item for item in items if not is_right(item)]
    if not check_mode:
        for item in due:
            _make(item)
    paths = [item["path"] for item in due]
    return dict(
        changed=bool(due),
        paths=paths,
        diff=dict(before="", after="".join(path + "\n" for path in paths)),
    )


def understood(item: Item) -> Item:
    """Return the item with the mode, the groups and their permissions as numbers.

    :raises JawsError: there is no such mode or group, or it is more than one kind of thing.
    """
    path = item["path"]
    lists = item.get("acl_groups")
    kinds = [item["content"], item.get("secret_content"), item["target"] or None, lists]
    given = [kind for kind in kinds if kind is not None]
    if not os.path.isabs(path) or len(given) > 1:
        raise JawsError(
            f"{path}: the path must be absolute, and content, target and acl_groups exclude each"
            " other.",
            "bad_option",
        )
    return dict(
        item,
        path=os.path.normpath(path),
        mode=file_mode(item["mode"]),
        group=group_id(item["group"]),
        content=given[0] if given and not item["target"] and lists is None else None,
        acl_groups=None if lists is None else _permissions(path, lists),
    )


def _permissions(path: str, lists: dict[str, str]) -> dict[int, int]:
    """Return what groups may do, both as numbers.

    :raises JawsError: there is no such group, or it is not written as in rwx (bad_option).
    """
    for group, letters in lists.items():
        if not re.match(r"(?=.)r?w?x?\Z", str(letters)):
            raise JawsError(
                f"{path}: acl_groups: {group}: {letters}: write what the group may do, as rx.",
                "bad_option",
            )
    return {
        find_group(group): sum(4 >> "rwx".index(letter) for letter in letters)
        for group, letters in lists.items()
    }


def _refuse_without_lists(path: str) -> None:
    """Refuse a directory whose filesystem, or that of its nearest parent, has no lists.

    :raises JawsError: names both ways out (cannot_write).
    """
    there = os.path.dirname(_missing(path)[-1]) if not os.path.lexists(path) else path
    if not is_supported(there):
        raise JawsError(
            f"{path}: the filesystem of {there} has no POSIX access control lists, so acl_groups"
            " cannot be set. Leave acl_groups out, and give access by group and mode; or ask for"
            " the lists to be enabled.",
            reason="cannot_write",
        )


def refuse_foreign_item(item: Item) -> None:
    """Refuse a path of a foreign owner, and a path below a directory that others can replace.

    A directory may be our own link to a directory of our own.

    :raises JawsError: names the owner (foreign_owner).
    """
    path = item["path"]
    paths = [path] if item["target"] or not os.path.islink(path) else [path, os.path.realpath(path)]
    while path != "/":
        path = os.path.dirname(path)
        if os.path.lexists(path) and os.stat(os.path.dirname(path)).st_mode & stat.S_IWOTH:
            paths.append(path)
    for path in paths:
        refuse_foreign(path, ours())


def is_right(item: Item) -> bool:
    """Whether the path is as the item wants it."""
    path = item["path"]
    try:
        if item["target"]:
            return bool(os.readlink(path) == item["target"])
        found = os.lstat(path) if item["content"] is not None else os.stat(path)
    except OSError:
        return False
    lists = item["acl_groups"]
    mode = shown_mode(item["mode"], lists or {})
    if stat.S_IMODE(found.st_mode) != mode or item["group"] not in (None, found.st_gid):
        return False
    if item["content"] is None:
        granted = lists is None or is_granted(path, item["mode"], lists)
        return stat.S_ISDIR(found.st_mode) and granted
    plain = stat.S_ISREG(found.st_mode) and not has_acl(path)
    return plain and read_text(path) == item["content"]


def _make(item: Item) -> None:
    path = item["path"]
    try:
        if item["target"]:
            place_link(path, item["target"])
        elif item["content"] is not None:
            write(path, item["content"], item["mode"], item["group"])
        else:
            _directory(item)
    except OSError as error:
        raise JawsError(
            f"cannot make {path}: {error.strerror} ({error.filename or path}).",
            reason="cannot_write",
        ) from error
    if not is_right(item):
        group = "" if item["group"] is None else f" or gid {item['group']}"
        raise JawsError(
            f"{path} was made, but its filesystem did not apply the mode {item['mode']:04o}{group}."
            " Choose a path on another filesystem, or ask for its rules to be changed.",
            reason="cannot_write",
        )


def _directory(item: Item) -> None:
    path = item["path"]
    for missing in reversed(_missing(path)):
        # Closed until its group is right. The missing directories above it get their final mode at
        # once, because the run after a killed one would not look at them again.
        with suppress(FileExistsError), umask(0):
            os.mkdir(missing, 0o700 if missing == path else 0o711)
    # Another instance on the same machine, or another user, may have been faster.
    refuse_foreign_item(item)
    if not os.path.isdir(path):
        raise NotADirectoryError(0, "something that is not a directory is in its place", path)
    if item["group"] not in (None, os.stat(path).st_gid):
        os.chown(path, -1, item["group"])
    os.chmod(path, item["mode"])
    if item["acl_groups"] is not None:
        grant(path, item["mode"], item["acl_groups"])


def _missing(path: str) -> list[str]:
    found = []
    while not os.path.lexists(path):
        found.append(path)
        path = os.path.dirname(path)
    return found
