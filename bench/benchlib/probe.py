# SPDX-License-Identifier: GPL-3.0-or-later
"""How long each service is down while a block of code runs.

A service with a port of its own is up while that port accepts connections, because this is what its
users see. A service without a port is up while its supervisord reports RUNNING, with one process;
one RPC reports all of them. So the seconds until RUNNING (startsecs) are downtime only for these.
"""

from __future__ import annotations

import socket
import threading
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from functools import partial
from pathlib import Path
from types import TracebackType
from typing import Any, NamedTuple

from ansible_collections.jgi.jaws.plugins.module_utils.errors import JawsError
from ansible_collections.jgi.jaws.plugins.module_utils.supervisor.client import Supervisor
from ansible_collections.jgi.jaws.plugins.module_utils.supervisor.endpoint import SupervisordConf

INTERVAL = 0.05
ANSWERS = 1


class Sample(NamedTuple):
    """What was seen at a time in seconds: 0 for down, otherwise the pid that was up."""

    at: float
    up: int


def gaps(samples: Sequence[Sample]) -> list[float]:
    """Return the seconds of each time that a service was not up, at most one interval too long.

    A change of the process means that it was down in between.
    """
    found: list[float] = []
    since, last = samples[0].at, samples[0].up
    for at, up in samples:
        if up:
            if up != last:
                found.append(at - since)
            since = at
        last = up
    return found if last else [*found, samples[-1].at - since]


def read_state(conf: Path) -> dict[str, dict[str, Any]]:
    """Return what supervisord reports about each of its programs."""
    with Supervisor(SupervisordConf(str(conf)).endpoint) as client:
        return {info["name"]: info for info in client.call("supervisor.getAllProcessInfo")}


def read_settings(conf: Path) -> dict[str, dict[str, Any]]:
    """Return the settings of each program."""
    with Supervisor(SupervisordConf(str(conf)).endpoint) as client:
        return {info["name"]: info for info in client.call("supervisor.getAllConfigInfo")}


def stop_seconds(conf: Path) -> dict[str, float]:
    """Stop each program by itself, start all again, and return how long each stop took."""
    found = {}
    with Supervisor(SupervisordConf(str(conf)).endpoint, timeout=120) as client:
        for info in client.call("supervisor.getAllProcessInfo"):
            started = time.monotonic()
            client.call("supervisor.stopProcess", f"{info['group']}:{info['name']}")
            found[info["name"]] = time.monotonic() - started
        client.call("supervisor.startAllProcesses")
    return found


def pid_if_running(info: Mapping[str, Any]) -> int:
    return int(info["pid"]) if info["statename"] == "RUNNING" else 0


class Probe:
    """Polls services while a block runs; C(samples) has what it saw, by service."""

    def __init__(self, confs: Iterable[Path], ports: Mapping[str, int]) -> None:
        self.samples: dict[str, list[Sample]] = {}
        self._ports = ports
        self._over = threading.Event()
        polls = [partial(self._connect, name, port) for name, port in ports.items()]
        polls += [partial(self._ask, conf) for conf in confs]
        self._threads = [threading.Thread(target=self._loop, args=(poll,)) for poll in polls]

    def __enter__(self) -> Probe:
        for thread in self._threads:
            thread.start()
        return self

    def __exit__(
        self, _kind: type | None, _error: BaseException | None, _trace: TracebackType | None
    ) -> None:
        self._over.set()
        for thread in self._threads:
            thread.join()

    def _loop(self, poll: Callable[[], None]) -> None:
        due = time.monotonic()
        while not self._over.wait(max(0.0, due - time.monotonic())):
            poll()
            # If it is late, it does not catch up: that would increase the load even more.
            due = max(due + INTERVAL, time.monotonic())

    def _add(self, name: str, at: float, up: int) -> None:
        self.samples.setdefault(name, []).append(Sample(at, up))

    def _connect(self, name: str, port: int) -> None:
        at = time.monotonic()
        try:
            socket.create_connection(("127.0.0.1", port), timeout=1).close()
        except OSError:
            self._add(name, at, 0)
        else:
            self._add(name, at, ANSWERS)

    def _ask(self, conf: Path) -> None:
        at = time.monotonic()
        try:
            state = read_state(conf)
        except JawsError:
            # A supervisord that is too busy to answer says nothing about its services.
            return
        for name, info in state.items():
            if name not in self._ports:
                self._add(name, at, pid_if_running(info))

    def gaps(self) -> dict[str, list[float]]:
        return {name: gaps(samples) for name, samples in self.samples.items()}

    def down_at_the_end(self) -> list[str]:
        return sorted(name for name, samples in self.samples.items() if not samples[-1].up)
