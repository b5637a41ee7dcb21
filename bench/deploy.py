# SPDX-License-Identifier: GPL-3.0-or-later
"""How long a deploy takes that changes nothing, against as many tasks that do nothing.

The floor is a play on the same two hosts with as many tasks of ansible.builtin.ping as the deploy
has tasks that reach a host; the row says how many that are.
"""

from __future__ import annotations

import argparse
import json
import os
import re
import shutil
import socket
import subprocess
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

ROOT = Path(__file__).parents[1]
# One line for each module that reaches a host, as Ansible reports it at -vvv.
REACHES = re.compile(r"^<(\S+)> EXEC .*python", re.MULTILINE)
PLAY = """\
- hosts: supervisord
  gather_facts: false
  tasks:
"""
TASK = "    - ansible.builtin.ping:\n"


class Site:
    """The local site in a directory and on ports of its own."""

    def __init__(self, root: Path) -> None:
        self.root = root
        build = [sys.executable, ROOT / "examples/build.py", "--output", root / "dist"]
        subprocess.run(build, check=True, stdout=subprocess.DEVNULL)
        ports = ("deployment_auth_port", "deployment_rest_port", "deployment_cromwell_port")
        self.variables: dict[str, Any] = {name: free_port() for name in ports}
        self.variables.update(
            site_root=str(root / "site"),
            jaws_wheels=str(root / "dist"),
            jaws_wheels_command=[],
            jaws_cromwell_jar=str(root / "dist/cromwell.jar"),
        )

    def play(self, playbook: str | Path, *arguments: str) -> str:
        """Run a playbook on the site, and return what it printed."""
        command = [sys.executable, "-m", "ansible", "playbook", str(playbook)]
        command += ["-i", "inventories/local", "-e", json.dumps(self.variables), *arguments]
        environment = dict(os.environ, ANSIBLE_CONFIG=str(ROOT / "ansible.cfg"))
        done = subprocess.run(
            command, cwd=ROOT, env=environment, capture_output=True, text=True, check=False
        )
        if done.returncode:
            raise RuntimeError(done.stdout + done.stderr)
        return done.stdout

    def timed(self, playbook: str | Path) -> float:
        """Return how many seconds a playbook takes; it may change nothing."""
        started = time.monotonic()
        printed = self.play(playbook)
        seconds = time.monotonic() - started
        if re.search(r"changed=[1-9]", printed):
            raise RuntimeError("it changed something:\n" + printed)
        return seconds


def free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port: int = listener.getsockname()[1]
    return port


@contextmanager
def deployed() -> Iterator[Site]:
    """Deploy the local site for a while."""
    root = Path(tempfile.mkdtemp(prefix="jb", dir="/tmp"))
    site = Site(root)
    try:
        site.play("playbooks/deploy.yml")
        yield site
    finally:
        site.play("playbooks/remove.yml")
        shutil.rmtree(root)


def measure(options: argparse.Namespace) -> Iterator[dict[str, Any]]:
    """Yield a deploy that changes nothing beside as many tasks that do nothing."""
    with deployed() as site:
        reached = Counter(REACHES.findall(site.play("playbooks/deploy.yml", "-vvv")))
        no_ops = site.root / "no-ops.yml"
        no_ops.write_text(PLAY + TASK * max(reached.values()))
        values: dict[str, list[float]] = {"floor": [], "deploy": []}
        for _turn in range(options.repeat):
            values["floor"].append(site.timed(no_ops))
            values["deploy"].append(site.timed("playbooks/deploy.yml"))
        row = ", ".join(f"{host} {number} tasks" for host, number in sorted(reached.items()))
        for column, seconds in values.items():
            yield dict(table="deploy, no change", row=row, column=column, unit="s", values=seconds)
