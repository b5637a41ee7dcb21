# SPDX-License-Identifier: GPL-3.0-or-later
"""Kill a module with -9 at each of its steps, one run after the other, and check what is left.

The modules have no code for this: an audit hook of the interpreter counts the steps with effects
outside. It is called before the step, so a run that dies at step 5 has done four steps.
"""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from typing import Any, NamedTuple

from tests.integration.conftest import MODULES, PATIENCE

MOST_STEPS = 200

# Forks a child for each request, because importing the modules takes longer than running them.
SERVER = """
import http.client, json, os, re, signal, subprocess, sys, tempfile
from importlib import import_module
from module_arguments import module_arguments

TOUCHING = {
    "fcntl.flock", "os.chmod", "os.chown", "os.kill", "os.killpg", "os.link", "os.mkdir",
    "os.remove", "os.rename", "os.rmdir", "os.symlink", "os.truncate", "subprocess.Popen",
}
WRITING = os.O_WRONLY | os.O_RDWR | os.O_CREAT
CHANGING = re.compile(rb"supervisor[.]((?!get|reloadConfig)[a-zA-Z]+)")  # of the RPCs

def watch(number, steps):
    asked = ""

    def step(what, *details):
        steps.append(" ".join([what, *map(str, details)]))
        if len(steps) == number:
            os.write(1, json.dumps(steps).encode())
            os.kill(os.getpid(), signal.SIGKILL)

    def audited(event, details):
        nonlocal asked
        if event in TOUCHING:
            step(event, *details[:2])
        elif event == "open" and (details[2] or 0) & WRITING and isinstance(details[0], str):
            if details[0] != os.devnull:
                step(event, details[0])
        elif event == "http.client.send" and isinstance(details[1], bytes):
            asked = b" ".join(CHANGING.findall(details[1])).decode()
            if asked:
                step(event, asked)

    def after(holder, name, what):
        real = getattr(holder, name)

        def call(self, *arguments, **options):
            answer = real(self, *arguments, **options)
            told = what()
            if told:
                step(told)
            return answer

        setattr(holder, name, call)

    # The two deeds that go on without us: what was asked for, and what was started.
    after(http.client.HTTPConnection, "request", lambda: asked and "under way: " + asked)
    after(subprocess.Popen, "__init__", lambda: "the command runs")
    sys.addaudithook(audited)

def child(number, module, options, output):
    os.dup2(output, 1)
    sys.stdout = open(1, "w", closefd=False)
    steps = []
    watch(number, steps)
    with module_arguments(options):
        try:
            module.main()
        finally:
            print(json.dumps(steps))

sys.dont_write_bytecode = True
for line in sys.stdin:
    number, name, options = json.loads(line)
    module = import_module(name)
    with tempfile.TemporaryFile() as output:
        pid = os.fork()
        if not pid:
            child(number, module, options, output.fileno())
        status = os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])
        output.seek(0)
        print(json.dumps([status, output.read().decode()]), flush=True)
"""


class End(NamedTuple):
    """How a run ended: its result, or None if it died at its last step."""

    steps: list[str]
    result: dict[str, Any] | None

    @property
    def step(self) -> str | None:
        """The step that it died at."""
        return self.steps[-1] if self.result is None else None


class Killer:
    """Runs modules, one run after the other, in children that die at a chosen step."""

    def __init__(self) -> None:
        self._server = subprocess.Popen(
            [sys.executable, "-c", SERVER],
            env=dict(os.environ, PYTHONPATH=os.pathsep.join(sys.path)),
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )

    def __enter__(self) -> Killer:
        return self

    def __exit__(self, *_details: object) -> None:
        self._server.communicate(timeout=PATIENCE)

    def run(self, number: int, module: str, /, **options: Any) -> End:
        """Run a module, C(check_mode) and C(diff) as Ansible names them, and kill it at a step.

        :param number: the step to die at, from 1 on; 0 for none.
        """
        assert self._server.stdin is not None
        assert self._server.stdout is not None
        request = json.dumps([number, MODULES + module, options])
        self._server.stdin.write(request + "\n")
        self._server.stdin.flush()
        status, output = json.loads(self._server.stdout.readline())
        *before, steps = output.splitlines()
        if status == -signal.SIGKILL:
            return End(json.loads(steps), None)
        return End(json.loads(steps), json.loads(before[-1]))

    def ends(self, module: str, options: Callable[[int], dict[str, Any]]) -> Iterator[End]:
        """Yield the end of one run for each step; the last run is not killed.

        :param options: returns the options of the run that dies at that step.
        """
        for number in range(1, MOST_STEPS):
            end = self.run(number, module, **options(number))
            yield end
            if end.result is not None:
                return
        raise AssertionError(f"{module} is still not through after {MOST_STEPS} steps")
