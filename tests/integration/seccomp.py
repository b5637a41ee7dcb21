# SPDX-License-Identifier: GPL-3.0-or-later
"""Filesystems that lack something: the kernel answers one system call with an error.

This is a seccomp filter of the process, which all of its children inherit and which needs no root.
So a module finds no locks, no hard links, or no permission to change a group.
"""

from __future__ import annotations

import ctypes
import errno
import os
import struct

# The numbers of system calls on x86_64 and on aarch64, which lacks the older ones.
NUMBERS = {
    "x86_64": {
        "chown": 92, "fchown": 93, "fchownat": 260, "flock": 73, "lchown": 94, "link": 86,
        "linkat": 265,
    },
    "aarch64": {"fchown": 55, "fchownat": 54, "flock": 32, "linkat": 37},
}  # fmt: skip
CHGRP = ("chown", "fchown", "fchownat", "lchown")
LINK = ("link", "linkat")
PR_SET_NO_NEW_PRIVS, PR_SET_SECCOMP, MODE_FILTER = 38, 22, 2
LOAD, EQUAL, RETURN = 0x20, 0x15, 0x06  # opcodes of BPF, the language of filters
ALLOW, ERRNO = 0x7FFF0000, 0x00050000


def refuse(calls: tuple[str, ...], error: int) -> None:
    """Make the kernel answer these calls of this process with an error number from now on."""
    known = NUMBERS[os.uname().machine]
    numbers = [known[call] for call in calls if call in known]
    program = struct.pack("HBBI", LOAD, 0, 0, 0)
    for done, number in enumerate(numbers):
        program += struct.pack("HBBI", EQUAL, len(numbers) - done, 0, number)
    program += struct.pack("HBBI", RETURN, 0, 0, ALLOW)
    program += struct.pack("HBBI", RETURN, 0, 0, ERRNO | error)
    _install(program)


def _install(program: bytes) -> None:
    libc = ctypes.CDLL(None, use_errno=True)
    lines = ctypes.create_string_buffer(program, len(program))
    whole = struct.pack("HxxxxxxQ", len(program) // 8, ctypes.addressof(lines))
    arguments = (
        (PR_SET_NO_NEW_PRIVS, ctypes.c_ulong(1), 0, 0, 0),
        (PR_SET_SECCOMP, ctypes.c_ulong(MODE_FILTER), whole, 0, 0),
    )
    for call in arguments:
        if libc.prctl(*call) != 0:
            raise OSError(ctypes.get_errno(), os.strerror(ctypes.get_errno()))


def hook(calls: tuple[str, ...], error: int) -> str:
    """Return the code that a spawned module runs first, to get this filter."""
    return (
        f"sys.path.insert(0, {os.path.dirname(__file__)!r})\n"
        f"import seccomp\nseccomp.refuse({calls!r}, {error})\n"
    )


NO_LOCKS = hook(("flock",), errno.ENOLCK)
NO_HARD_LINKS = hook(LINK, errno.EPERM)
NO_CHGRP = hook(CHGRP, errno.EPERM)
