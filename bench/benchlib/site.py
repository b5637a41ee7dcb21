# SPDX-License-Identifier: GPL-3.0-or-later
"""The local site in a directory and on ports of its own, and the stand-ins that it runs."""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

from benchlib.processes import free_port

ROOT = Path(__file__).parents[2]
INSTANCES = ("jaws", "jtm")
VERSION = re.compile(r"^version = .*$", re.MULTILINE)
CHANGED = re.compile(r"changed=[1-9]")


class StandIns:
    """A copy of the stand-ins' sources, to be changed, and what is built from it."""

    def __init__(self, root: Path) -> None:
        self.sources, self.dist = root / "examples", root / "dist"
        ignored = shutil.ignore_patterns("dist", "__pycache__")
        shutil.copytree(ROOT / "examples", self.sources, ignore=ignored)
        self.versions = 0
        self.build()

    def change(self, *components: str) -> None:
        """Change the code of components, and the version of those that have one."""
        self.versions += 1
        for name in components:
            code = self.sources / name / f"jaws_{name}/__init__.py"
            code.write_text(code.read_text() + f"# {self.versions}\n")
            about = self.sources / name / "setup.cfg"
            if about.exists():
                version = f"version = 0.2.{self.versions}"
                about.write_text(re.sub(r"^version = .*$", version, about.read_text(), flags=re.M))
        self.build()

    def build(self) -> None:
        command = [sys.executable, str(self.sources / "build.py"), "--output", str(self.dist)]
        subprocess.run(command, check=True, stdout=subprocess.DEVNULL)


def play(
    playbook: str | Path, *arguments: str, inventory: str | Path = "inventories/local", **more: str
) -> subprocess.CompletedProcess[str]:
    """Run a playbook with additional environment variables; return what it printed."""
    command = [sys.executable, "-m", "ansible", "playbook", str(playbook), "-i", str(inventory)]
    environment = {**os.environ, "ANSIBLE_CONFIG": str(ROOT / "ansible.cfg"), **more}
    return subprocess.run(
        [*command, *arguments],
        cwd=ROOT,
        env=environment,
        capture_output=True,
        text=True,
        check=False,
    )


def timed(
    playbook: str | Path, *arguments: str, inventory: str | Path = "inventories/local", **more: str
) -> float:
    """Return how many seconds a playbook takes; it must succeed and change nothing."""
    started = time.monotonic()
    done = play(playbook, *arguments, inventory=inventory, **more)
    seconds = time.monotonic() - started
    if done.returncode or CHANGED.search(done.stdout):
        raise RuntimeError("it failed or changed something:\n" + done.stdout + done.stderr)
    return seconds


class Site:
    """The local site."""

    def __init__(self, root: Path, stand_ins: StandIns) -> None:
        self.root = root / "site"
        ports = ("deployment_auth_port", "deployment_rest_port", "deployment_cromwell_port")
        self.variables: dict[str, Any] = {name: free_port() for name in ports}
        self.variables.update(
            site_root=str(self.root),
            jaws_wheels=str(stand_ins.dist),
            jaws_wheels_command=[],
            jaws_configs={},  # the cases change them, and one of them must change nothing
            jaws_artifacts={"cromwell.jar": {"path": str(stand_ins.dist / "cromwell.jar")}},
        )
        folder = self.root / "jaws-supervisord"
        self.confs = [folder / f"supervisord-{instance}.conf" for instance in INSTANCES]

    @property
    def ports(self) -> dict[str, int]:
        """The port of each service that listens on one."""
        return {
            f"jaws-{name}": self.variables[f"deployment_{fact}_port"]
            for name, fact in (
                ("central-auth", "auth"),
                ("central-rest", "rest"),
                ("cromwell", "cromwell"),
            )
        }

    def extra(self, **variables: Any) -> tuple[str, str]:
        """Return the arguments that make a playbook run for this site."""
        return ("-e", json.dumps({**self.variables, **variables}))

    def deploy(self, **variables: Any) -> subprocess.CompletedProcess[str]:
        return play("playbooks/deploy.yml", *self.extra(**variables))

    def set_up(self) -> None:
        """Deploy it for the first time."""
        done = self.deploy()
        if done.returncode:
            raise RuntimeError(done.stdout + done.stderr)
