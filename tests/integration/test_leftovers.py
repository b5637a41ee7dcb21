# SPDX-License-Identifier: GPL-3.0-or-later
"""What programs leave running is ended with a real supervisord; what is to outlive them is not."""

from __future__ import annotations

import os
import signal
import sys
from collections.abc import Sequence
from pathlib import Path

import pytest

from ansible_collections.jgi.jaws.plugins.module_utils.supervisor import running
from ansible_collections.jgi.jaws.plugins.plugin_utils import leash
from tests.integration.conftest import (
    Daemon,
    Run,
    bearing,
    has_ended,
    read,
    wait_until,
)

PROGRAM = """
[program:{name}]
command={command}
startsecs=0
stopasgroup=true
killasgroup=true
autorestart={autorestart}
"""
# The first process and its children: in its group, there without hearing SIGTERM, in a group or a
# session of its own, without a parent in a session whose leader has ended, or in a group of its own
# in the session of a job.
WORKER = """\
import os, signal, subprocess, sys
sleep = [sys.executable, "-c", "import time; time.sleep(3600)"]
def ignore():
    signal.signal(signal.SIGTERM, signal.SIG_IGN)
def detach():
    os.setsid()
    if os.fork():
        os._exit(0)
def lead():
    os.setsid()
    if os.fork():
        os.execv("/bin/sleep", ["sleep", "3600"])
    os.setpgrp()
how = {{"child": None, "deaf": ignore, "group": os.setpgrp, "job": os.setsid, "daemon": detach}}
how["step"] = lead
for mark in {children!r}:
    subprocess.Popen([*sleep, mark, "{root}"], preexec_fn=how[mark])
open("{root}/ready", "a").write("x")
signal.pause()
"""


class Worker:
    """A program with children, under a supervisord that runs."""

    def __init__(self, daemon: Daemon) -> None:
        self.daemon = daemon
        self.root = daemon.root
        self.program = ""

    def start(self, *children: str, autorestart: bool = False, through: Sequence[str] = ()) -> None:
        """Start it with these children, and wait until they are there."""
        script = self.root / "worker.py"
        script.write_text(WORKER.format(children=children, root=self.root))
        command = " ".join([*through, sys.executable, str(script)])
        self.program = PROGRAM.format(
            name="worker", command=command, autorestart=str(autorestart).lower()
        )
        self.daemon.write(self.program)
        self.daemon.start()
        self.await_ready(1)

    def await_ready(self, times: int) -> None:
        """Wait until the first process has been started so often, with all of its children."""
        ready = self.root / "ready"
        wait_until(lambda: ready.exists() and len(ready.read_text()) >= times, "the children")

    def pids(self, mark: str) -> list[int]:
        return bearing(f"{mark}\0{self.root}\0", ["cmdline"])

    def first(self) -> int:
        (pid,) = bearing(f"{self.root}/worker.py", ["cmdline"])
        return pid

    def kill(self) -> None:
        """Kill the first process alone, as the kernel does if memory is short."""
        kill(self.first())

    def kill_supervisord(self) -> None:
        """Kill the supervisord alone."""
        kill(self.daemon.pids[-1])
        (self.root / "pid").unlink()


def kill(pid: int) -> None:
    os.kill(pid, signal.SIGKILL)
    wait_until(lambda: has_ended(pid), "its end")


@pytest.fixture
def worker(instance: Daemon) -> Worker:
    return Worker(instance)


def options(worker: Worker, state: str) -> dict[str, object]:
    return dict(name="worker", state=state, config=str(worker.daemon.conf), end_leftovers=True)


@pytest.mark.fault(54)
@pytest.mark.parametrize("state", ["started", "restarted"])
def test_what_a_killed_program_has_left_ends_before_its_next_start(
    worker: Worker, run_module: Run, state: str
) -> None:
    worker.start("child")
    old = worker.pids("child")
    worker.kill()
    result = run_module("supervisorctl", **options(worker, state))
    assert result["changed"]
    worker.await_ready(2)
    assert len(worker.pids("child")) == 1
    assert worker.pids("child") != old
    (told,) = result["leftovers"]
    assert told.startswith("worker: ")
    assert told.endswith(f"(pid {old[0]})")
    sentence = "was ended. An earlier process of worker had ended without it."
    assert sentence in str(result["warnings"])


@pytest.mark.fault(54)
def test_a_program_that_supervisord_has_restarted_keeps_its_children_and_loses_the_old_ones(
    worker: Worker, run_module: Run
) -> None:
    worker.start("child", autorestart=True)
    old = worker.pids("child")
    worker.kill()
    worker.await_ready(2)
    first = worker.first()
    assert len(worker.pids("child")) == 2
    assert run_module("supervisorctl", check=True, **options(worker, "started"))["changed"]
    assert len(worker.pids("child")) == 2
    assert run_module("supervisorctl", **options(worker, "started"))["changed"]
    assert worker.first() == first
    assert len(worker.pids("child")) == 1
    assert worker.pids("child") != old
    again = run_module("supervisorctl", **options(worker, "started"))
    assert (again["changed"], again["leftovers"]) == (False, [])


@pytest.mark.fault(54)
def test_a_stop_leaves_nothing_of_a_program_that_was_killed(
    worker: Worker, run_module: Run
) -> None:
    worker.start("child")
    worker.kill()
    assert run_module("supervisorctl", **options(worker, "stopped"))["changed"]
    assert worker.pids("child") == []
    assert not run_module("supervisorctl", **options(worker, "stopped"))["changed"]


@pytest.mark.fault(54)
def test_a_restart_leaves_nothing_that_does_not_end_with_its_program(
    worker: Worker, run_module: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(running, "STOPWAITSECS", 0.5)
    worker.start("deaf")
    (old,) = worker.pids("deaf")
    result = run_module("supervisorctl", **options(worker, "restarted"))
    assert str(old) in result["leftovers"][0]
    worker.await_ready(2)
    (new,) = worker.pids("deaf")
    assert new != old


@pytest.mark.fault(54)
def test_what_leads_a_group_or_a_session_of_its_own_outlives_its_program(
    worker: Worker, run_module: Run
) -> None:
    own = ("group", "job", "daemon")
    worker.start("child", *own)
    spared = [pid for mark in own for pid in worker.pids(mark)]
    assert len(spared) == 3
    worker.kill()
    run_module("supervisorctl", **options(worker, "restarted"))
    worker.await_ready(2)
    assert set(spared) < {pid for mark in own for pid in worker.pids(mark)}
    assert len(worker.pids("child")) == 1


def test_without_the_option_a_program_is_managed_as_by_supervisorctl(
    worker: Worker, run_module: Run
) -> None:
    worker.start("child")
    old = worker.pids("child")
    worker.kill()
    run_module("supervisorctl", **{**options(worker, "started"), "end_leftovers": False})
    worker.await_ready(2)
    assert set(old) < set(worker.pids("child"))


def test_what_another_program_has_left_is_not_touched(worker: Worker, run_module: Run) -> None:
    worker.start("child")
    worker.kill()
    other = PROGRAM.format(name="other", command="/bin/cat", autorestart="false")
    worker.daemon.write(worker.program + other)
    config = str(worker.daemon.conf)
    run_module("supervisorctl", state="updated", config=config)
    run_module("supervisorctl", **{**options(worker, "restarted"), "name": "other"})
    assert len(worker.pids("child")) == 1


@pytest.mark.fault(54)
def test_supervisord_itself_starts_a_service_without_what_is_left(
    worker: Worker,
) -> None:
    through = [sys.executable, "-I", "-S", str(Path(leash.__file__)), str(int(signal.SIGTERM))]
    worker.start("child", "job", autorestart=True, through=through)
    old, jobs = worker.pids("child"), worker.pids("job")
    worker.kill()  # and supervisord starts it again by itself
    worker.await_ready(2)
    assert all(map(has_ended, old))
    assert len(worker.pids("child")) == 1
    assert set(jobs) < set(worker.pids("job"))


OWN = ("job", "daemon", "step")  # in sessions of their own


@pytest.mark.fault(54)
@pytest.mark.parametrize(
    ("ended", "left"),
    [
        ("the first process", ("child", "deaf")),
        ("supervisord", ("child", "deaf", "group", "first")),
        ("supervisord, and another one runs", ("child", "deaf", "group", "first")),
    ],
)
def test_the_shims_and_the_modules_know_the_same_leftovers(
    worker: Worker, monkeypatch: pytest.MonkeyPatch, ended: str, left: Sequence[str]
) -> None:
    worker.start("child", "deaf", "group", *OWN)
    (child,) = worker.pids("child")
    pids = {mark: worker.pids(mark) for mark in left} | {"first": [worker.first()]}
    entries = read(Path(f"/proc/{child}/environ")).split("\0")
    if ended == "the first process":
        worker.kill()
    else:
        worker.kill_supervisord()
    if "another" in ended:
        worker.daemon.start()
        worker.await_ready(2)
    for entry in entries:
        if entry.startswith(leash.MARKS):
            monkeypatch.setenv(*entry.split("=", 1))
    if ended != "supervisord":  # which has started the shim
        session = worker.daemon.pids[-1]
        monkeypatch.setattr(os, "getsid", lambda _pid: session)
    expected = {pid for mark in left for pid in pids[mark]}
    assert set(leash.leftovers()) == expected
    instance = running.Instance(str(worker.daemon.conf), f"unix://{worker.root}/s")
    assert {process.pid for process in instance.leftovers()} == expected


@pytest.mark.fault(17)
def test_a_start_after_a_kill_spares_what_has_a_session_of_its_own_and_names_it(
    worker: Worker, run_module: Run
) -> None:
    worker.start("child", "deaf", "group", *OWN)
    old = {mark: worker.pids(mark) for mark in ("child", "deaf", "group", *OWN)}
    worker.kill_supervisord()
    supervisord = str(Path(sys.executable).parent / "supervisord")
    options = {"config": str(worker.daemon.conf), "supervisord_path": supervisord}
    result = run_module("supervisord", **options)
    worker.await_ready(2)
    for mark, pids in old.items():
        assert all(map(has_ended, pids)) is (mark not in OWN), mark
    told = str(result["warnings"])
    assert "session of its own" in told
    assert all(f"pid {pid} (" in told for mark in OWN for pid in old[mark])
    assert "session of its own" not in str(run_module("supervisord", **options).get("warnings"))
    run_module("supervisord", state="killed", **options)
    assert all(has_ended(pid) for mark in OWN for pid in old[mark])
