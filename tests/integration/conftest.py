# SPDX-License-Identifier: GPL-3.0-or-later
"""Fixtures: a real supervisord in a temporary directory, and modules run as Ansible runs them."""

from __future__ import annotations

import io
import json
import os
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import redirect_stdout
from importlib import import_module
from pathlib import Path
from typing import Any

import pytest
from ansible.module_utils.testing import patch_module_args

MODULES = "ansible_collections.jgi.jaws.plugins.modules."
KEY = "a-key_0123456789"

HEAD = """\
[unix_http_server]
file={root}/s
chmod=0700
username=jaws
password={key}
[supervisord]
logfile={root}/supervisord.log
pidfile={root}/pid
childlogdir={root}
directory={root}
identifier=test
[rpcinterface:supervisor]
supervisor.rpcinterface_factory=supervisor.rpcinterface:make_main_rpcinterface
[supervisorctl]
serverurl=unix://{root}/s
username=jaws
password={key}
"""

Result = dict[str, Any]


def wait_until(condition: Callable[[], Any], what: str, seconds: float = 30) -> Any:
    """Return the condition's first true value; fail the test when there is none in time."""
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline:
        found = condition()
        if found:
            return found
        time.sleep(0.02)
    raise AssertionError(f"not within {seconds} s: {what}")


class Daemon:
    """One supervisord of the test's own, with the programs that the test writes."""

    def __init__(self, root: Path) -> None:
        self.root = root
        self.conf = root / "supervisord.conf"
        self.pids: list[int] = []

    def write(self, programs: str, head: str = HEAD, key: str = KEY) -> None:
        """Write the configuration."""
        self.conf.write_text(head.format(root=self.root, key=key) + programs)
        self.conf.chmod(0o600)

    def start(self) -> int:
        """Start it, wait until it answers, and return its pid."""
        command = [sys.executable, "-m", "supervisor.supervisord", "-c", str(self.conf)]
        subprocess.run(command, check=True, cwd=self.root, timeout=60)
        pid = int(wait_until(lambda: (self.root / "pid").read_text().strip(), "a pid file"))
        self.pids.append(pid)
        return pid

    def stop(self) -> None:
        """End it and what it runs, whatever state the test left it in."""
        for pid in self.pids:
            for sign in (signal.SIGCONT, signal.SIGTERM):
                try:
                    os.kill(pid, sign)
                except ProcessLookupError:
                    pass
            wait_until(lambda pid=pid: not Path(f"/proc/{pid}").exists(), f"the end of {pid}", 40)
        self.pids.clear()


@pytest.fixture
def short_tmp() -> Iterator[Path]:
    """A directory with a short path: a unix socket's has at most 99 bytes."""
    path = Path(tempfile.mkdtemp(prefix="jj", dir="/tmp"))
    yield path
    shutil.rmtree(path)


@pytest.fixture
def daemon(short_tmp: Path) -> Iterator[Daemon]:
    """A supervisord that the test configures and starts."""
    found = Daemon(short_tmp)
    yield found
    found.stop()


@pytest.fixture
def run_module() -> Callable[..., Result]:
    """Run a module in this process, with check mode and diff mode as keywords, and return its result."""

    def run(module_name: str, /, check: bool = False, diff: bool = False, **options: Any) -> Result:
        arguments = dict(options, _ansible_check_mode=check, _ansible_diff=diff)
        module = import_module(MODULES + module_name)
        output = io.StringIO()
        with patch_module_args(arguments), redirect_stdout(output), pytest.raises(SystemExit):
            module.main()
        result: Result = json.loads(output.getvalue().splitlines()[-1])
        return result

    return run
