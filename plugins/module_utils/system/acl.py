# Copyright: (c) 2026, The jgi.jaws engineers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The access control list of a directory: what further groups may do in it.

It is written in the kernel's own form (linux/posix_acl_xattr.h), because a target may have no
setfacl: a version, then the tag, the permissions and the id of each entry.
"""

from __future__ import annotations

import errno
import os
import struct
from contextlib import suppress
from typing import Mapping

from .files import ACL

USER_OBJ, GROUP_OBJ, GROUP, MASK, OTHER = 1, 4, 8, 16, 32
NO_ID = 0xFFFFFFFF
# The list of the directory itself, and the one that everything made in it inherits.
LISTS = (ACL, "system.posix_acl_default")

Groups = Mapping[int, int]  # permissions, 0 to 7, by the id of a group


def shown_mode(mode: int, groups: Groups) -> int:
    """Return the mode that a directory has with such a list: the group's part is the mask."""
    return mode | _mask(mode, groups) << 3 if groups else mode


def _mask(mode: int, groups: Groups) -> int:
    mask = mode >> 3 & 7
    for permissions in groups.values():
        mask |= permissions
    return mask


def packed(mode: int, groups: Groups) -> bytes:
    """Return a list in the kernel's form, for a directory of this mode."""
    entries = [
        (USER_OBJ, mode >> 6 & 7, NO_ID),
        (GROUP_OBJ, mode >> 3 & 7, NO_ID),
        *((GROUP, permissions, gid) for gid, permissions in sorted(groups.items())),
        (MASK, _mask(mode, groups), NO_ID),
        (OTHER, mode & 7, NO_ID),
    ]
    return struct.pack("<I", 2) + b"".join(struct.pack("<HHI", *entry) for entry in entries)


def is_granted(path: str, mode: int, groups: Groups) -> bool:
    """Whether a directory grants this and nothing else, also in what is made in it."""
    wanted = packed(mode, groups) if groups else b""
    return all(_read(path, name) == wanted for name in LISTS)


def grant(path: str, mode: int, groups: Groups) -> None:
    """Give a directory this list, or none if there are no groups.

    :raises OSError: its filesystem has no such lists, or it belongs to another user.
    """
    for name in LISTS:
        if groups:
            os.setxattr(path, name, packed(mode, groups))
        elif _read(path, name):
            os.removexattr(path, name)


def is_supported(path: str) -> bool:
    """Whether a path's filesystem has access control lists in the form of POSIX."""
    try:
        os.getxattr(path, LISTS[1])
    except OSError as error:
        return error.errno != errno.ENOTSUP
    return True


def _read(path: str, name: str) -> bytes:
    with suppress(OSError):
        return os.getxattr(path, name)
    return b""
