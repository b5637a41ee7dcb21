# Copyright: (c) 2026, The jgi.jaws engineers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Directories, small files and links of one owner, in places where others may write too."""

from __future__ import annotations

import hashlib
import os
import re
import stat
from contextlib import closing, suppress
from typing import Any, Callable, Dict, Iterator

from .errors import JawsError
from .system.acl import grant, is_granted, is_supported, shown_mode
from .system.files import (
    Candidate,
    file_mode,
    find_group,
    group_id,
    has_acl,
    make_directory,
    missing,
    parts,
    place_link,
    read_text,
    refuse_foreign_place,
    sha256,
    write,
)

Item = Dict[str, Any]

TOKEN = "@sha256@"  # in the path of a copy
DIGITS = 12
SILENCE = 60  # seconds within which a server must send something
KINDS = "content, secret_content, target, source, url and acl_groups"


def manage(params: dict[str, Any], check_mode: bool) -> dict[str, Any]:
    """Make what is missing or different; see the tree module for the options.

    :raises JawsError: a path has another owner (foreign_owner), or cannot be made.
    """
    items = [understood(item) for item in params["paths"]]
    for item in items:
        refuse_foreign_place(item["path"], is_link=bool(item["target"]))
        if item["acl_groups"]:
            _refuse_without_lists(item["path"])
    due = [item for item in items if not is_right(item)]
    for item in due:
        _refuse_other_source(item)
    if not check_mode:
        for item in due:
            _make(item)
    paths = [item["path"] for item in due]
    return dict(
        changed=bool(due),
        paths=paths,
        copies={_called(item): item["path"] for item in items if item["sha256"]},
        listing={item["path"]: _names(item["path"]) for item in items if item["list"]},
        diff=dict(before="", after="".join(path + "\n" for path in paths)),
    )


def understood(item: Item) -> Item:
    """Return the item with the mode, the groups and their permissions as numbers, and its digest.

    :raises JawsError: there is no such mode or group, it is more than one kind of thing, or what it
        is a copy of cannot be used.
    """
    _refuse_mixed(item)
    path, lists, digest = item["path"], item.get("acl_groups"), (item["sha256"] or "").lower()
    if item["source"] and not digest:
        digest = _digest_of_source(item["source"])
    texts = [item["content"], item.get("secret_content")]
    return dict(
        item,
        path=os.path.normpath(path.replace(TOKEN, digest[:DIGITS] or TOKEN)),
        is_named=TOKEN in path,
        is_known=bool(item["sha256"]),
        mode=file_mode(item["mode"]),
        group=group_id(item["group"]),
        content=next((text for text in texts if text is not None), None),
        sha256=digest,
        acl_groups=None if lists is None else _permissions(path, lists),
    )


def _refuse_mixed(item: Item) -> None:
    """Refuse what is more than one kind of thing, or a download that cannot be checked.

    :raises JawsError: says which options exclude each other (bad_option).
    """
    origins = [item["target"] or None, item["source"] or None, item["url"] or None]
    given = [item["content"], item.get("secret_content"), item.get("acl_groups"), *origins]
    if not os.path.isabs(item["path"]) or sum(one is not None for one in given) > 1:
        why = f"the path must be absolute, and {KINDS} exclude each other."
    elif item["url"] and not item["sha256"]:
        why = f"{item['url']} needs sha256."
    elif item["sha256"] and not (item["url"] or item["source"]):
        why = "sha256 needs a source or a url."
    else:
        return
    raise JawsError(f"{item['path']}: {why}", "bad_option")


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


def _refuse_other_source(item: Item) -> None:
    """Refuse a file to copy that is not the one that was meant.

    :raises JawsError: names both digests (unreadable_file).
    """
    if not (item["source"] and item["is_known"]):
        return
    found = _digest_of_source(item["source"])
    if found != item["sha256"]:
        raise JawsError(
            f"{item['source']} on this host has the SHA-256 {found}, not {item['sha256']}. Nothing "
            "was changed. Correct sha256, or replace the file.",
            "unreadable_file",
        )


def _called(item: Item) -> str:
    return str(item["name"] or item["source"] or item["url"])


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
        return plain and _is_whole(item, found.st_size)
    return plain and read_text(path) == item["content"]


def _is_whole(item: Item, size: int) -> bool:
    """Whether a copy is complete. One whose name has its digest was put there after it was checked.

    So it is not read again, however large it is.
    """
    if not item["is_named"]:
        return bool(sha256(item["path"]) == item["sha256"])
    expected = size
    with suppress(OSError):  # a source that is gone was copied before
        expected = os.path.getsize(item["source"]) if item["source"] else size
    return size == expected > 0


def _make(item: Item) -> None:
    path = item["path"]
    try:
        if item["target"]:
            place_link(path, item["target"])
        elif item["source"]:
            with open(item["source"], "rb") as stream:
                _fetch(item, parts(stream))
        elif item["url"]:
            _fetch(item, _downloaded(item["url"]))
        elif item["content"] is not None:
            write(path, item["content"], item["mode"], item["group"])
        else:
            make_directory(path, item["mode"], item["group"])
            if item["acl_groups"] is not None:
                grant(path, item["mode"], item["acl_groups"])
    except OSError as error:
        raise JawsError(
            f"cannot make {path}: {error.strerror} ({error.filename or path}). Correct that, then "
            "run this again.",
            reason="cannot_write",
        ) from error
    if not is_right(item):
        raise JawsError(_why_wrong(item), "cannot_write")


def _fetch(item: Item, content: Iterator[bytes]) -> None:
    """Put a copy in its place, in one step, if it is what was meant.

    :raises JawsError: it is not, or it cannot be written (cannot_write).
    """
    total = hashlib.sha256()
    noted = _noted(content, total.update)
    with Candidate(item["path"], noted, item["mode"], item["group"]) as candidate:
        if total.hexdigest() != item["sha256"]:
            raise JawsError(
                f"what came from {item['source'] or item['url']} has the checksum (SHA-256) "
                f"{total.hexdigest()}, not {item['sha256']}, and was not used. What runs now is "
                "untouched. If the file is right, correct sha256; then run this again.",
                "unreadable_file",
            )
        candidate.commit()


def _noted(content: Iterator[bytes], note: Callable[[bytes], None]) -> Iterator[bytes]:
    for part in content:
        note(part)
        yield part


def _downloaded(url: str) -> Iterator[bytes]:
    """Yield what an address has.

    :raises JawsError: says what went wrong (unreadable_file).
    """
    # Not above, because the imports take longer than all that this module does otherwise.
    from http.client import HTTPException

    from ansible.module_utils.urls import ConnectionError as UrlsError
    from ansible.module_utils.urls import open_url

    try:
        with closing(open_url(url, timeout=SILENCE, decompress=False)) as stream:
            yield from parts(stream)
    except (OSError, HTTPException, UrlsError, ValueError) as error:
        with suppress(AttributeError):  # an HTTPError is also a response
            error.close()  # type: ignore[union-attr]
        raise JawsError(
            f"{url} cannot be downloaded: {error}. What runs now is untouched. Correct the url, or "
            "repeat this when the server answers.",
            "unreadable_file",
        ) from error


def _why_wrong(item: Item) -> str:
    path = item["path"]
    group = "" if item["group"] is None else f" or gid {item['group']}"
    return (
        f"{path} was made, but its filesystem did not apply the mode {item['mode']:04o}{group}. "
        "Choose a path on another filesystem, or ask for its rules to be changed."
    )


def _names(path: str) -> list[str]:
    """Return the names in a directory; none if it does not exist, as in check mode."""
    return sorted(os.listdir(path)) if os.path.isdir(path) else []
