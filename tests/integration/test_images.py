# SPDX-License-Identifier: GPL-3.0-or-later
"""Programs in an image, run by a stand-in for Apptainer: none runs twice, nothing is left."""

from __future__ import annotations

import os
import signal
import sys
from pathlib import Path

import pytest

from ansible_collections.jgi.jaws.plugins.plugin_utils.catalogue import check_service
from ansible_collections.jgi.jaws.plugins.plugin_utils.release_plan import Context, plan_release
from tests.integration.conftest import CLONE, Daemon, Run, bearing, has_ended, wait_until

APPTAINER = CLONE / "tests/integration/apptainer/apptainer"
IMAGE = """\
import subprocess, sys, time
subprocess.Popen([sys.executable, "-c", "import time; time.sleep(3600)", "child", "{root}"])
open("{root}/ready", "a").write("x")
time.sleep(3600)
"""
ISOLATIONS = pytest.mark.parametrize("isolation", [[], ["--cleanenv"], ["--pid"], ["--containall"]])


class Manager:
    """A program in an image, with a child, under a supervisord that runs."""

    def __init__(self, daemon: Daemon, isolation: list[str]) -> None:
        self.daemon, self.root = daemon, daemon.root
        self.image = self.root / f"{self.root.name}.sif"
        self.image.write_text(IMAGE.format(root=self.root))
        command = [APPTAINER, "run", *isolation, "@pool.sif@"]
        service = check_service("pool", {"instance": "x", "command": [*map(str, command)]})
        context = Context(str(self.root), {}, {"pool.sif": str(self.image)}, sys.executable)
        planned = plan_release({"pool": service}, {}, context)
        for folder in ("shims", "logs"):
            (self.root / folder).mkdir()
        for file in planned["files"]:
            Path(file["path"]).write_text(file["content"])
            Path(file["path"]).chmod(0o700)
        daemon.write(planned["programs"])
        daemon.start()
        self.await_ready(1)

    def await_ready(self, times: int) -> None:
        """Wait until the program has been started so often, with its child."""
        ready = self.root / "ready"
        wait_until(lambda: ready.exists() and len(ready.read_text()) >= times, "the program")

    def pids(self) -> dict[str, list[int]]:
        """Return the processes of the program by what they are."""
        marks = {
            "parent": f"Apptainer runtime parent: {self.image.name}",
            "program": f"\0{self.image}\0",
            "child": f"\0child\0{self.root}\0",
        }
        return {what: bearing(mark, ["cmdline"]) for what, mark in marks.items()}

    def all(self) -> list[int]:
        return sorted({pid for pids in self.pids().values() for pid in pids})


@pytest.fixture
def manager(instance: Daemon, isolation: list[str]) -> Manager:
    return Manager(instance, isolation)


@pytest.mark.fault(17)
@ISOLATIONS
def test_what_a_killed_supervisord_has_left_in_an_image_ends_before_the_next_start(
    manager: Manager, run_module: Run
) -> None:
    old = manager.all()
    os.kill(manager.daemon.pids[-1], signal.SIGKILL)
    wait_until(lambda: has_ended(manager.daemon.pids[-1]), "its end")
    assert manager.all() == old  # it is not told
    supervisord = str(Path(sys.executable).parent / "supervisord")
    config = str(manager.daemon.conf)
    options = {"config": config, "supervisord_path": supervisord}
    run_module("supervisord", state="stopped", **options)
    assert manager.all() == []
    run_module("supervisord", **options)
    manager.await_ready(2)
    assert {what: len(pids) for what, pids in manager.pids().items() if what != "parent"} == {
        "program": 1,
        "child": 1,
    }
    run_module("supervisorctl", name="pool", state="stopped", config=config)
    wait_until(lambda: manager.all() == [], "the end of all of it")


@pytest.mark.fault(54)
@ISOLATIONS
def test_a_killed_runtime_parent_leaves_nothing_beside_the_next_one(manager: Manager) -> None:
    old = manager.all()
    os.kill(min(manager.pids()["parent"]), signal.SIGKILL)
    manager.await_ready(2)  # supervisord starts it again by itself
    assert all(map(has_ended, old))
    assert len(manager.pids()["child"]) == 1
