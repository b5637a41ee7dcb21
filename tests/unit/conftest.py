# SPDX-License-Identifier: GPL-3.0-or-later
"""A process to look at, a /proc to change, and Hypothesis without time limits."""

from __future__ import annotations

import os
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import HealthCheck, settings

settings.register_profile("project", deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.load_profile("project")

BOOT = "11111111-2222-3333-4444-555555555555"


class Proc:
    """A /proc of the test's own."""

    def __init__(self, root: Path) -> None:
        self.root = root
        self.boot(BOOT)
        (root / "uptime").write_text("1000.00 900.00\n")

    def __str__(self) -> str:
        return str(self.root)

    def boot(self, boot_id: str) -> None:
        path = self.root / "sys/kernel/random"
        path.mkdir(parents=True, exist_ok=True)
        (path / "boot_id").write_text(boot_id + "\n")

    def add(
        self,
        pid: int,
        start_ticks: int = 500,
        state: str = "S",
        ppid: int = 1,
        pgid: int | None = None,
        name: str = "sleep",
        cmdline: str = "sleep\x00100\0",
        uid: int | None = None,
        environ: str = "",
        flags: int = 0,
        memory: int = 4096,
    ) -> None:
        path = self.root / str(pid)
        path.mkdir(exist_ok=True)
        group = pid if pgid is None else pgid
        zeros = " ".join(["0"] * 12)
        ids = f"{ppid} {group} {group} 0 0 {flags}"
        stat = f"{pid} ({name}) {state} {ids} {zeros} {start_ticks} {memory} 0\n"
        (path / "stat").write_text(stat)
        owner = os.geteuid() if uid is None else uid
        (path / "status").write_text(f"Name:\t{name}\nUid:\t0\t{owner}\t0\t0\n")
        (path / "cmdline").write_text(cmdline)
        (path / "environ").write_text(environ)
        (path / "maps").write_text("")


@pytest.fixture
def proc(tmp_path: Path) -> Proc:
    return Proc(tmp_path)


@pytest.fixture
def sleeper() -> Iterator[subprocess.Popen[bytes]]:
    """A process of the test's own."""
    with subprocess.Popen(["sleep", "1000"], start_new_session=True) as child:
        yield child
        child.kill()
