# Copyright: (c) 2026, The jgi.jaws engineers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Directories, small files and links of one owner, in places where others may write too."""

from __future__ import annotations

import os
import re
import stat
from typing import Any, Dict

from .acl import grant, is_granted, is_supported, shown_mode
from .errors import JawsError
from .files import (
    copy,
    file_mode,
    find_group,
    group_id,
    has_acl,
    make_directory,
    missing,
    place_link,
    read_text,
    refuse_foreign_place,
    sha256,
    write,
)

Item = Dict[str, Any]

TOKEN = "@sha256@"  # in the path of a copy
DIGITS = 12
KINDS = "content, secret_content, target, source, sha256 and acl_groups"


def manage(params: dict[str, Any], check_mode: bool) -> dict[str, Any]:
    """Make what is missing or different; see the tree module for the options.

    :raises JawsError: a path has another owner (foreign_owner), or cannot be made.
    """
    items = [understood(item) for item in params["paths"]]
    for item in items:
        refuse_foreign_place(item["path"], is_link=bool(item["target"]))
        if item["acl_groups"]:
            _refuse_without_lists(item["path"])
    wrong = [item for item in items if not is_right(item)]
    due = [item for item in wrong if not is_awaited(item)]
    if not check_mode:
        for item in due:
            _make(item)
    paths = [item["path"] for item in due]
    return dict(
        changed=bool(due),
        paths=paths,
        copies={item["source"] or item["sha256"]: item["path"] for item in items if item["sha256"]},
        lacking=[item["path"] for item in wrong if is_awaited(item)],
        listing={item["path"]: _names(item["path"]) for item in items if item["list"]},
        diff=dict(before="", after="".join(path + "\n" for path in paths)),
    )


def understood(item: Item) -> Item:
    """Return the item with the mode, the groups and their permissions as numbers, and its digest.

    :raises JawsError: there is no such mode or group, it is more than one kind of thing, or what it
        is a copy of cannot be used.
    """
    texts = [item["content"], item.get("secret_content")]
    lists = item.get("acl_groups")
    kinds = [*texts, item["target"] or None, item["source"] or None, lists]
    given = [kind for kind in kinds if kind is not None]
    path, digest = item["path"], item["sha256"]
    if not os.path.isabs(path) or len(given) > 1 or (digest and given):
        raise JawsError(
            f"{path}: the path must be absolute, and {KINDS} exclude each other.", "bad_option"
        )
    if item["source"]:
        digest = _digest_of_source(item["source"])
    return dict(
        item,
        path=os.path.normpath(path.replace(TOKEN, digest[:DIGITS] if digest else TOKEN)),
        mode=file_mode(item["mode"]),
        group=group_id(item["group"]),
        content=next((text for text in texts if text is not None), None),
        sha256=digest,
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
    there = os.path.dirname(missing(path)[-1]) if not os.path.lexists(path) else path
    if not is_supported(there):
        raise JawsError(
            f"{path}: the filesystem of {there} has no POSIX access control lists, so acl_groups"
            " cannot be set. Leave acl_groups out, and give access by group and mode; or ask for"
            " the lists to be enabled.",
            reason="cannot_write",
        )


def _digest_of_source(path: str) -> str:
    """Return the digest of a file to copy.

    :raises JawsError: says why it cannot be used (unreadable_file).
    """
    try:
        found = os.stat(path)
        why = "" if stat.S_ISREG(found.st_mode) else "is not a regular file"
        why = why or ("" if found.st_size else "is empty")
        digest = "" if why else sha256(path)
    except OSError as error:
        missing = isinstance(error, FileNotFoundError)
        why = "does not exist" if missing else f"cannot be read ({error.strerror})"
    if why:
        raise JawsError(
            f"{path} {why} on this host. Nothing was changed. Correct its path.", "unreadable_file"
        )
    return digest


def is_awaited(item: Item) -> bool:
    """Whether the item is a file that something else makes."""
    return bool(item["sha256"]) and not item["source"]


def is_file(item: Item) -> bool:
    """Whether the item is neither a directory nor a link."""
    return item["content"] is not None or bool(item["sha256"])


def is_right(item: Item) -> bool:
    """Whether the path is as the item wants it."""
    path = item["path"]
    try:
        if item["target"]:
            return bool(os.readlink(path) == item["target"])
        found = os.lstat(path) if is_file(item) else os.stat(path)
    except OSError:
        return False
    lists = item["acl_groups"]
    mode = shown_mode(item["mode"], lists or {})
    if stat.S_IMODE(found.st_mode) != mode or item["group"] not in (None, found.st_gid):
        return False
    if not is_file(item):
        granted = lists is None or is_granted(path, item["mode"], lists)
        return stat.S_ISDIR(found.st_mode) and granted
    plain = stat.S_ISREG(found.st_mode) and not has_acl(path)
    if item["sha256"]:
        return plain and sha256(path) == item["sha256"].lower()
    return plain and read_text(path) == item["content"]


def _make(item: Item) -> None:
    path = item["path"]
    try:
        if item["target"]:
            place_link(path, item["target"])
        elif item["source"]:
            copy(item["source"], path, item["mode"], item["group"])
        elif item["content"] is not None:
            write(path, item["content"], item["mode"], item["group"])
        else:
            make_directory(path, item["mode"], item["group"])
            if item["acl_groups"] is not None:
                grant(path, item["mode"], item["acl_groups"])
    except OSError as error:
        raise JawsError(
            f"cannot make {path}: {error.strerror} ({error.filename or path}).",
            reason="cannot_write",
        ) from error
    if not is_right(item):
        raise JawsError(_why_wrong(item), "cannot_write")


def _why_wrong(item: Item) -> str:
    path = item["path"]
    if item["source"] and sha256(path) != item["sha256"]:
        return f"{item['source']} has changed while it was copied to {path}. Run this again."
    group = "" if item["group"] is None else f" or gid {item['group']}"
    return (
        f"{path} was made, but its filesystem did not apply the mode {item['mode']:04o}{group}. "
        "Choose a path on another filesystem, or ask for its rules to be changed."
    )


def _names(path: str) -> list[str]:
    """Return the names in a directory; none if it does not exist, as in check mode."""
    return sorted(os.listdir(path)) if os.path.isdir(path) else []
