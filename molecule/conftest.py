# SPDX-License-Identifier: GPL-3.0-or-later
"""What the scenarios' tests share: hosts as accounts see them, and the people who run playbooks."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
import testinfra
from testinfra.host import Host

CLONE = Path(__file__).parents[1]
RECAP = re.compile(r"^(\S+) +: ok=(\d+) +changed=(\d+) .*? skipped=(\d+) ", re.MULTILINE)

Login = Callable[[str], Host]


class Played:
    """What a playbook has done."""

    def __init__(self, run: subprocess.CompletedProcess[str]) -> None:
        self.succeeded = run.returncode == 0
        self.output = run.stdout
        recap = RECAP.findall(run.stdout)
        self.changed = {host: int(changed) for host, _ok, changed, _skipped in recap}
        self.skipped = {host: int(skipped) for host, _ok, _changed, skipped in recap}
        # Skipped tasks count, because an operator waits for them too.
        self.tasks = {host: int(ok) + int(skipped) for host, ok, _changed, skipped in recap}

    @property
    def said(self) -> str:
        """The output in one line, because Ansible may break a message anywhere."""
        return " ".join(self.output.split())


class Person:
    """A person who runs playbooks on the control node, and how they connect."""

    def __init__(self, *arguments: str, **environment: str) -> None:
        self.arguments = arguments
        self.environment = environment

    def ansible(self, program: str, *arguments: str) -> Played:
        """Run C(ansible-playbook) (C(playbook)) or C(ansible) (C(adhoc))."""
        inventory = f"--inventory={os.environ['MOLECULE_SCENARIO_DIRECTORY']}/inventory"
        environment = {**os.environ, "CI": "", "GITLAB_CI": "", **self.environment}
        for name in ("ANSIBLE_FORCE_COLOR", "PY_COLORS"):
            environment.pop(name, None)
        return Played(
            subprocess.run(
                [sys.executable, "-m", "ansible", program, inventory, *self.arguments, *arguments],
                cwd=CLONE,
                env=environment,
                stdin=subprocess.DEVNULL,
                stdout=subprocess.PIPE,
                stderr=subprocess.STDOUT,
                text=True,
                check=False,
            )
        )

    def play(self, playbook: str, *arguments: str) -> Played:
        """Run a playbook; it may fail."""
        return self.ansible("playbook", f"playbooks/{playbook}.yml", *arguments)

    def changes(self, playbook: str, *arguments: str) -> dict[str, int]:
        """Run a playbook, which succeeds, and return how many tasks changed something, by host."""
        played = self.play(playbook, *arguments)
        assert played.succeeded, played.output
        return played.changed


@pytest.fixture(scope="session")
def operator() -> Person:
    """The operator, who types a password for -K."""
    password = CLONE / "molecule/bin/operator-password"
    return Person("--user=operator", f"--become-password-file={password}")


@pytest.fixture(scope="session")
def ci() -> Person:
    """A CI job: it runs as jaws and never switches to another user."""
    return Person("--extra-vars=ansible_user=jaws", CI="true")


@pytest.fixture(scope="session")
def login(pytestconfig: pytest.Config) -> Login:
    """Log in to the scenario's one host as an account: login("jaws_jtm").run("id")."""
    scenario = os.environ["MOLECULE_SCENARIO_NAME"]
    inventory = pytestconfig.getoption("ansible_inventory")

    def as_account(account: str) -> Host:
        return testinfra.get_host(
            f"ansible://{scenario}_{account}", ansible_inventory=str(inventory)
        )

    return as_account


@pytest.fixture(scope="session")
def machine(pytestconfig: pytest.Config) -> Host:
    """The scenario's one host, as root, only to look: the collection itself is never root."""
    inventory = pytestconfig.getoption("ansible_inventory")
    return testinfra.get_host(
        f"ansible://{os.environ['MOLECULE_SCENARIO_NAME']}", ansible_inventory=str(inventory)
    )


@pytest.fixture(scope="session")
def operator_password() -> str:
    """What the operator types; it is made for this run only."""
    text = Path(os.environ["MOLECULE_EPHEMERAL_DIRECTORY"], "operator_password").read_text()
    return text.strip()
