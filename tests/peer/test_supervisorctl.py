# SPDX-License-Identifier: GPL-3.0-or-later
"""The same tasks with community.general.supervisorctl and with ours, on two equal supervisords.

Each task must have the same result and leave the same states, except for the differences that
docs/migrating.md lists.
"""

from __future__ import annotations

import importlib.util
import io
import json
import os
import shutil
import subprocess
import tempfile
import time
from collections.abc import Iterator
from contextlib import redirect_stdout, suppress
from pathlib import Path
from types import ModuleType
from typing import Any, NamedTuple

import pytest

from ansible_collections.jgi.jaws.plugins.module_utils.errors import JawsError
from ansible_collections.jgi.jaws.plugins.module_utils.supervisor.client import Supervisor
from ansible_collections.jgi.jaws.plugins.module_utils.supervisor.endpoint import Endpoint
from ansible_collections.jgi.jaws.plugins.modules import supervisorctl
from module_arguments import module_arguments

PATIENCE = 300
CONF = """\
[unix_http_server]
file={root}/s
[supervisord]
pidfile={root}/pid
logfile={root}/supervisord.log
childlogdir={root}
[supervisorctl]
serverurl=unix://{root}/s
[rpcinterface:supervisor]
supervisor.rpcinterface_factory=supervisor.rpcinterface:make_main_rpcinterface
[program:web]
command=/bin/cat
startsecs=0
[program:manual]
command=/bin/cat
startsecs=0
autostart=false
[program:worker]
command=/bin/cat
startsecs=0
numprocs=2
process_name=%(program_name)s_%(process_num)02d
[program:broken]
command=/bin/false
autostart=false
startsecs=60
startretries=0
[program:once]
command=/bin/true
startsecs=0
autostart=false
autorestart=false
[program:a]
command=/bin/cat
startsecs=0
[program:b]
command=/bin/cat
startsecs=0
[group:pair]
programs=a,b
"""
NEW = "[program:new]\ncommand=/bin/cat\nstartsecs=0\n"
OTHER = "[program:other]\ncommand=/bin/cat\nautostart=false\n"
BUSY = ("STARTING", "STOPPING", "BACKOFF")


class Task(NamedTuple):
    """A task, and what is added to the configuration before it."""

    name: str
    state: str
    check: bool = False
    added: str = ""
    options: dict[str, Any] = {}


# In this order, each after the others.
SAME = [
    Task("web", "started"),
    Task("manual", "started"),
    Task("manual", "stopped", check=True),
    Task("manual", "stopped"),
    Task("manual", "stopped"),
    Task("manual", "restarted"),
    Task("manual", "restarted", check=True),
    Task("pair:", "stopped"),
    Task("pair:", "started"),
    Task("pair:", "restarted"),
    Task("pair:a", "stopped"),
    Task("pair:a", "started"),
    Task("worker:", "restarted"),
    Task("worker:worker_00", "stopped"),
    Task("worker:", "started"),
    Task("web", "signalled", options={"signal": "WINCH"}),
    Task("web", "signalled", options={"signal": "NOSUCH"}),
    Task("broken", "signalled", options={"signal": "WINCH"}),
    Task("broken", "started"),
    Task("broken", "restarted"),
    Task("once", "started"),
    Task("nosuch", "started"),
    Task("nosuch", "restarted"),
    Task("nosuch", "stopped"),
    Task("nosuch", "absent"),
    Task("nosuch", "present"),
    Task("web", "present"),
    Task("new", "started", added=NEW),
    Task("new", "present", check=True),
    Task("new", "present"),
    Task("new", "started"),
    Task("new", "absent"),
    Task("new", "stopped"),
    Task("new", "absent", check=True),
    Task("new", "absent"),
    Task("new", "present"),
    Task("new", "absent", options={"stop_before_removing": True}),
    Task("web", "restarted", added=OTHER),
    Task("all", "stopped"),
    Task("all", "stopped"),
]


class Twin:
    """A supervisord of the test's own, and one of the two modules."""

    def __init__(self, module: ModuleType) -> None:
        self.module = module
        self.root = Path(tempfile.mkdtemp(prefix="p", dir="/tmp"))
        self.conf = self.root / "supervisord.conf"
        self.conf.write_text(CONF.format(root=self.root))
        subprocess.run([command("supervisord"), "-c", self.conf], check=True)
        self.states()

    def do(self, task: Task) -> dict[str, Any]:
        """Return the result of the task."""
        with self.conf.open("a") as stream:
            stream.write(task.added)
        output, where = io.StringIO(), {"config": str(self.conf)}
        options = {"name": task.name, "state": task.state, **where, **task.options}
        options |= {"supervisorctl_path": command("supervisorctl")}
        arguments = module_arguments({**options, "_ansible_check_mode": task.check})
        with arguments, redirect_stdout(output), pytest.raises(SystemExit):
            self.module.main()
        result: dict[str, Any] = json.loads(output.getvalue().splitlines()[-1])
        return result

    def call(self, method: str) -> Any:
        with Supervisor(Endpoint(f"unix://{self.root}/s", None, None, "the test")) as client:
            return client.call(f"supervisor.{method}")

    def states(self) -> dict[str, str]:
        """Return the state of each program when none is changing."""
        end = time.monotonic() + PATIENCE
        found: dict[str, str] = {}
        while time.monotonic() < end:
            with suppress(JawsError):  # it has just been started
                known = self.call("getAllProcessInfo")
                found = {f"{one['group']}:{one['name']}": one["statename"] for one in known}
                # The one that ends by itself may not have done so yet.
                if found["once:once"] != "RUNNING" and not set(found.values()) & set(BUSY):
                    return found
            time.sleep(0.05)
        raise AssertionError(f"not settled after {PATIENCE} s: {found}")

    def end(self) -> None:
        pid = int((self.root / "pid").read_text())
        self.call("shutdown")
        end = time.monotonic() + PATIENCE
        with suppress(ProcessLookupError):
            while time.monotonic() < end:
                os.kill(pid, 0)
                time.sleep(0.05)
        shutil.rmtree(self.root)


class Pair(NamedTuple):
    """The peer and our module, each with a supervisord."""

    peer: Twin
    ours: Twin

    def outcomes(self, task: Task) -> list[tuple[Any, ...]]:
        """Return of both: the verdict, the names of what it changed, and the states after it."""
        results = [(twin, twin.do(task)) for twin in self]
        return [
            (_verdict(result), result.get("affected") or [], twin.states())
            for twin, result in results
        ]


def _verdict(result: dict[str, Any]) -> str:
    if result.get("failed"):
        return "failed"
    return "changed" if result["changed"] else "ok"


def command(name: str) -> str:
    found = shutil.which(name)
    assert found, f"{name} is not in PATH"
    return found


@pytest.fixture(scope="session")
def peer() -> ModuleType:
    spec = importlib.util.spec_from_file_location("peer", os.environ["PEER"])
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.fixture
def pair(peer: ModuleType) -> Iterator[Pair]:
    twins = Pair(Twin(peer), Twin(supervisorctl))
    yield twins
    for twin in twins:
        twin.end()


def test_the_same_tasks_have_the_same_results_and_leave_the_same_states(pair: Pair) -> None:
    for number, task in enumerate(SAME):
        peers, ours = pair.outcomes(task)
        assert (number, task, peers[0], peers[2]) == (number, task, ours[0], ours[2])
        # Ours also names what it has added or removed, or would act on.
        assert set(peers[1]) <= set(ours[1])


def test_a_program_with_several_processes_has_a_name(pair: Pair) -> None:
    peers, ours = pair.outcomes(Task("worker", "restarted"))
    assert (peers[0], ours[0]) == ("failed", "changed")
    assert ours[1] == ["worker:worker_00", "worker:worker_01"]


def test_what_cannot_start_keeps_nothing_else_from_starting(pair: Pair) -> None:
    for twin in pair:
        twin.call("stopAllProcesses")
    peers, ours = pair.outcomes(Task("all", "started"))
    assert (peers[0], ours[0]) == ("failed", "failed")
    assert [name for name, state in ours[2].items() if state == "STOPPED"] == []
    assert [name for name, state in peers[2].items() if state == "STOPPED"] != []
