# SPDX-License-Identifier: GPL-3.0-or-later
"""How long a playbook with one task takes that restarts, updates or lists programs.

Every value is one whole ansible-playbook run, connection local, pipelined. The floor is a task that
runs a script with plain XML-RPC and does only what is necessary.
"""

from __future__ import annotations

import argparse
import json
import os
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

ROOT = Path(__file__).parents[1]
BIN = Path(sys.executable).parent
PEER = ROOT / ".cache" / "bench" / "peer"
PEER_PACKAGE = "ansible==12.*"  # the community package that goes with ansible-core 2.19
OURS = "jgi.jaws"

CONF = """\
[unix_http_server]
file={root}/s
[supervisord]
logfile={root}/supervisord.log
pidfile={root}/pid
childlogdir={root}
identifier=bench
minfds={minfds}
[rpcinterface:supervisor]
supervisor.rpcinterface_factory=supervisor.rpcinterface:make_main_rpcinterface
[supervisorctl]
serverurl=unix://{root}/s
"""
PROGRAM = """\
[program:p{number}]
command=/bin/sleep 1000000
stopwaitsecs={stopwaitsecs}
redirect_stderr=true
stdout_logfile={root}/p{number}.log
"""

# What the floor runs: its arguments are a socket and an action.
RAW = """\
import http.client, socket, sys, time, xmlrpc.client
path, action = sys.argv[1:]
class Connection(http.client.HTTPConnection):
    def connect(self):
        self.sock = socket.socket(socket.AF_UNIX)
        self.sock.connect(path)
class Transport(xmlrpc.client.Transport):
    def make_connection(self, host):
        return Connection("localhost")
server = xmlrpc.client.ServerProxy("http://localhost", Transport())
supervisor = server.supervisor
if action == "look":
    supervisor.getAllProcessInfo()
elif action == "restart":
    supervisor.stopAllProcesses()
    supervisor.startAllProcesses()
elif action == "update":
    added, changed, removed = supervisor.reloadConfig()[0]
    supervisor.stopAllProcesses()
    for method in ("removeProcessGroup", "addProcessGroup"):
        calls = [{"methodName": "supervisor." + method, "params": [name]} for name in changed]
        server.system.multicall(calls)
    while any(info["statename"] != "RUNNING" for info in supervisor.getAllProcessInfo()):
        time.sleep(0.2)
"""

Task = dict[str, Any]


class World:
    """A supervisord with a number of programs, in one group if C(group) is set."""

    def __init__(self, root: Path, number: int, group: bool) -> None:
        self.root, self.number = root, number
        self.conf = root / "supervisord.conf"
        self.group = "[group:g]\nprograms=%s\n" % ",".join(f"p{n}" for n in range(number))
        self.group = self.group if group else ""
        self.names = [f"g:p{n}" if group else f"p{n}" for n in range(number)]
        self.stopwaitsecs = 10
        self.write()
        (root / "raw.py").write_text(RAW)

    def write(self) -> None:
        """Write a configuration in which every program differs from the previous one."""
        self.stopwaitsecs += 1
        head = CONF.format(root=self.root, minfds=max(1024, 4 * self.number))
        programs = [
            PROGRAM.format(root=self.root, number=number, stopwaitsecs=self.stopwaitsecs)
            for number in range(self.number)
        ]
        self.conf.write_text(head + self.group + "".join(programs))
        self.conf.chmod(0o600)

    def states(self) -> dict[str, int]:
        """Return how many programs are in which state."""
        command = [BIN / "supervisorctl", "-c", self.conf, "status"]
        done = subprocess.run(command, capture_output=True, text=True, check=False)
        found: dict[str, int] = {}
        for line in done.stdout.splitlines():
            state = line.split()[1]
            found[state] = found.get(state, 0) + 1
        return found

    def settle(self) -> None:
        """Wait until every program runs."""
        deadline = time.monotonic() + 300
        while self.states() != {"RUNNING": self.number}:
            if time.monotonic() > deadline:
                raise SystemExit(f"the programs of the bench do not run: {self.states()}")
            time.sleep(0.5)


@contextmanager
def world(number: int, group: bool) -> Iterator[World]:
    """Yield a running supervisord; then end it at once, with what it runs."""
    root = Path(tempfile.mkdtemp(prefix="jb", dir="/tmp"))
    found = World(root, number, group)
    daemon = subprocess.Popen(
        [BIN / "supervisord", "-n", "-c", found.conf], stdout=subprocess.DEVNULL, cwd=root
    )
    try:
        found.settle()
        yield found
    finally:
        children = Path(f"/proc/{daemon.pid}/task/{daemon.pid}/children").read_text().split()
        daemon.kill()
        daemon.wait()
        for child in children:
            os.kill(int(child), signal.SIGKILL)
        shutil.rmtree(root)


def play(world: World, task: Task, bin_dir: Path = BIN, **variables: str) -> str:
    """Run a playbook of one task and return what it printed; it must succeed."""
    playbook = world.root / "play.json"
    playbook.write_text(
        json.dumps([{"hosts": "localhost", "gather_facts": False, "tasks": [task]}])
    )
    settings = {"ansible_python_interpreter": sys.executable, **variables}
    command = [bin_dir / "ansible-playbook", "-i", "localhost,", "-c", "local"]
    command += ["-e", json.dumps(settings), playbook]
    environment = {
        "PATH": f"{BIN}:{os.environ['PATH']}",
        "HOME": str(world.root),
        "LC_ALL": "C.UTF-8",
        "ANSIBLE_PIPELINING": "true",
        "ANSIBLE_COLLECTIONS_PATH": str(ROOT / ".collections"),
    }
    done = subprocess.run(
        command, env=environment, cwd=world.root, capture_output=True, text=True, check=False
    )
    if done.returncode != 0:
        raise SystemExit(f"{task} failed:\n{done.stdout}{done.stderr}")
    return done.stdout


def timed(world: World, task: Task, changes: bool, bin_dir: Path = BIN) -> float:
    """Return the seconds of one run, which must report a change, or must not."""
    started = time.monotonic()
    output = play(world, task, bin_dir)
    seconds = time.monotonic() - started
    if changes is not ("changed=1 " in output):
        raise SystemExit(f"{task}: it reported a change by mistake, or missed one")
    return round(seconds, 3)


# --- the contenders ---------------------------------------------------------------------------


def raw(world: World, action: str) -> Task:
    argv = [sys.executable, str(world.root / "raw.py"), f"{world.root}/s", action]
    return {"ansible.builtin.command": {"argv": argv}}


def ours(world: World, state: str) -> Task:
    if state == "look":
        return {"jgi.jaws.supervisorctl_info": {"config": str(world.conf)}}
    options = {"config": str(world.conf), "state": state}
    return {"jgi.jaws.supervisorctl": dict(options, name=["all"])}


def by_command(world: World, *words: str) -> Task:
    argv = [str(BIN / "supervisorctl"), "-c", str(world.conf), *words]
    return {"ansible.builtin.command": {"argv": argv}}


def theirs(world: World, state: str, name: str, **more: Any) -> Task:
    options = {"config": str(world.conf), "supervisorctl_path": str(BIN / "supervisorctl")}
    module = "community.general.supervisorctl"
    return {module: dict(options, name=name, state=state), **more}


# --- the measurements -------------------------------------------------------------------------


def measure(options: argparse.Namespace) -> Iterator[dict[str, Any]]:
    """Yield the samples of every size, and of the memory with 200 programs."""
    if options.peer:
        install_peer()
    else:
        print("community.general.supervisorctl is not measured: that needs --peer", flush=True)
    for number in options.sizes:
        small = number < 1000
        with world(number, group=small) as found:
            yield from restart_and_no_op(found, options) if small else large(found, options)
            if number == 200:
                yield from memory(found)


def install_peer() -> None:
    if not (PEER / "bin" / "ansible-playbook").exists():
        print(f"installing {PEER_PACKAGE} into {PEER}", flush=True)
        subprocess.run([sys.executable, "-m", "venv", PEER], check=True)
        pip = [PEER / "bin" / "python", "-m", "pip", "install", "--quiet", PEER_PACKAGE]
        subprocess.run(pip, check=True)


def restart_and_no_op(world: World, options: argparse.Namespace) -> Iterator[dict[str, Any]]:
    row = f"{world.number} programs"
    # The only no-op of supervisorctl would be start, which fails if the program runs: so status.
    no_op: dict[str, Callable[[], float]] = {
        "floor": lambda: timed(world, raw(world, "look"), True),
        OURS: lambda: timed(world, ours(world, "started"), False),
        "command": lambda: timed(world, by_command(world, "status"), True),
    }
    restart: dict[str, Callable[[], float]] = {
        "floor": lambda: timed(world, raw(world, "restart"), True),
        OURS: lambda: timed(world, ours(world, "restarted"), True),
        "command": lambda: timed(world, by_command(world, "restart", "all"), True),
    }
    yield from interleaved("no-op", row, world, no_op, options.repeat)
    yield from interleaved("restart", row, world, restart, options.repeat)
    if options.peer:
        group, loop = {"name": "g:"}, {"name": "{{ item }}", "loop": world.names}
        for title, state, changes in (("no-op", "started", False), ("restart", "restarted", True)):
            for column, how in (("peer, group", group), ("peer, loop", loop)):
                task = theirs(world, state, **how)  # type: ignore[arg-type]
                run = {column: lambda t=task, c=changes: timed(world, t, c, PEER / "bin")}
                yield from interleaved(title, row, world, run, 1)


def large(world: World, options: argparse.Namespace) -> Iterator[dict[str, Any]]:
    row = f"{world.number} programs"

    def update(task: Task) -> float:
        world.write()
        return timed(world, task, True)

    contenders: dict[str, dict[str, Callable[[], float]]] = {
        "status": {
            "floor": lambda: timed(world, raw(world, "look"), True),
            OURS: lambda: timed(world, ours(world, "look"), False),
        },
        "no-op": {
            "floor": lambda: timed(world, raw(world, "look"), True),
            OURS: lambda: timed(world, ours(world, "started"), False),
        },
        "restart": {
            "floor": lambda: timed(world, raw(world, "restart"), True),
            OURS: lambda: timed(world, ours(world, "restarted"), True),
        },
        "update": {
            "floor": lambda: update(raw(world, "update")),
            OURS: lambda: update(ours(world, "updated")),
        },
    }
    for title, runs in contenders.items():
        yield from interleaved(title, row, world, runs, min(options.repeat, 3))


def interleaved(
    title: str, row: str, world: World, runs: dict[str, Callable[[], float]], repeat: int
) -> Iterator[dict[str, Any]]:
    """Yield one sample for each contender; they take turns, so that noise affects all of them."""
    values: dict[str, list[float]] = {column: [] for column in runs}
    for _ in range(repeat):
        for column, run in runs.items():
            world.settle()
            values[column].append(run())
            print(f"{title}, {row}, {column}: {values[column][-1]:.2f} s", flush=True)
    for column, found in values.items():
        yield {"table": title, "row": row, "column": column, "unit": "s", "values": found}


# An interpreter that records the peak memory of what it runs: the module, as Ansible sends it.
NOTING = """\
#!{python}
import resource, subprocess, sys
done = subprocess.run(["{python}", *sys.argv[1:]])
with open("{path}", "a") as stream:
    print(resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss, file=stream)
sys.exit(done.returncode)
"""


def memory(world: World) -> Iterator[dict[str, Any]]:
    """Yield the peak memory in MiB of a module's process (ru_maxrss is in KiB on Linux)."""
    noted, interpreter = world.root / "maxrss", world.root / "python"
    interpreter.write_text(NOTING.format(python=sys.executable, path=noted))
    interpreter.chmod(0o755)
    tasks = {
        "ansible.builtin.command": by_command(world, "version"),
        "supervisorctl_info": ours(world, "look"),
        "supervisorctl, restarted": ours(world, "restarted"),
    }
    for column, task in tasks.items():
        noted.write_text("")
        play(world, task, ansible_python_interpreter=str(interpreter))
        peak = max(int(line) for line in noted.read_text().split()) / 1024
        row = f"{world.number} programs"
        yield {"table": "memory", "row": row, "column": column, "unit": "MiB", "values": [peak]}
