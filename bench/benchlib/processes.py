# SPDX-License-Identifier: GPL-3.0-or-later
"""Temporary directories whose processes end with them, and free ports."""

from __future__ import annotations

import os
import random
import shutil
import signal
import socket
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from ansible_collections.jgi.jaws.plugins.module_utils.system.processes import search

ENDING_SECONDS = 30
GIVEN_PORTS = Path("/proc/sys/net/ipv4/ip_local_port_range")


def free_port(host: str = "127.0.0.1") -> int:
    """Return a free port that the kernel does not assign to those who ask for any port."""
    lowest_given = int(GIVEN_PORTS.read_text().split()[0])
    while True:
        port = random.randrange(1024, lowest_given)
        with suppress(OSError), socket.create_server((host, port)):
            return port


@contextmanager
def workshop() -> Iterator[Path]:
    """Yield a new directory with a short path, for the sockets in it.

    Afterwards, even after Ctrl-C, the processes that have its path are ended, and it is removed.
    """
    root = Path(tempfile.mkdtemp(prefix="jb", dir="/tmp"))
    try:
        yield root
    finally:
        before = signal.signal(signal.SIGINT, signal.SIG_IGN)
        end_all(root)
        shutil.rmtree(root)
        signal.signal(signal.SIGINT, before)


def end_all(root: Path) -> None:
    """End every process that has the directory in its command line or environment, by its pid."""
    deadline = time.monotonic() + ENDING_SECONDS
    while found := bearing(root):
        if time.monotonic() > deadline:
            raise RuntimeError(f"these processes of {root} do not end: {sorted(found)}")
        for pid in found:
            with suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)
        time.sleep(0.05)


def bearing(root: Path) -> set[int]:
    wanted = os.fsencode(root) + b"/"
    found = search(["cmdline", "environ"])
    return {pid for pid, contents in found if wanted in b"\0".join(contents)} - {os.getpid()}
