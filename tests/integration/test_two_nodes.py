# SPDX-License-Identifier: GPL-3.0-or-later
"""Nodes with one home directory: a deployment is started on its own, whatever its domain."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from tests.integration.commands import require
from tests.integration.conftest import CLONE, ansible

UNAME = '#!/bin/sh\ncat "$HOME/node"\n'
# A supervisord that only notes what it is asked to start.
SUPERVISORD = '#!/bin/sh\necho "$2" >>"$HOME/started"\n'


class Home:
    """A home directory, in which the role boot has written its files."""

    def __init__(self, root: Path) -> None:
        self.root = root
        self.script = root / "start.sh"
        self.units = root / ".config/systemd/user"
        bin_ = root / "fakes"
        bin_.mkdir()
        for path, text in {
            bin_ / "uname": UNAME,
            root / "bin/supervisord": SUPERVISORD,
            root / "bin/supervisorctl": "#!/bin/sh\nexit 2\n",
        }.items():
            path.parent.mkdir(exist_ok=True)
            path.write_text(text)
            path.chmod(0o755)
        self.path = f"{bin_}:/usr/local/bin:/usr/bin:/bin"

    def deploy(self, node: str) -> str:
        """Apply the role on a node, and return the play's output."""
        (self.root / "node").write_text(f"{node}\n")
        instance = {
            "name": "jtm",
            "run_dir": f"{self.root}/run/jtm",
            "directory": f"{self.root}/jtm",
        }
        options = {
            "ansible_connection": "local",
            "ansible_python_interpreter": sys.executable,
            "boot_script": str(self.script),
            "boot_supervisord_root": str(self.root),
            "boot_instances": [instance],
            "boot_unit": "jawsdev",
        }
        play = self.root / "play.yml"
        tasks = [{"ansible.builtin.import_role": {"name": "jgi.jaws.boot"}}]
        play.write_text(json.dumps([{"hosts": "local", "gather_facts": False, "tasks": tasks}]))
        call = ("-i", "local,", "-e", json.dumps(options), str(play))
        done = ansible("playbook", *call, home=self.root, PATH=self.path)
        assert done.returncode == 0, done.stdout
        return done.stdout

    def run(self, node: str, *words: str) -> subprocess.CompletedProcess[str]:
        """Run the script on a node."""
        (self.root / "node").write_text(f"{node}\n")
        environment = {"HOME": str(self.root), "PATH": self.path}
        call = [self.script, *words]
        return subprocess.run(call, env=environment, capture_output=True, text=True, check=False)

    def started(self) -> int:
        """Return how often a supervisord was started."""
        path = self.root / "started"
        return len(path.read_text().splitlines()) if path.exists() else 0


@pytest.fixture
def home(tmp_path: Path) -> Home:
    return Home(tmp_path)


@pytest.mark.fault(55)
def test_the_start_script_starts_on_its_own_node_only(home: Home) -> None:
    home.deploy("services1")
    assert home.run("services1").returncode == 0
    assert home.started() == 1
    elsewhere = home.run("services2.lbl.gov")
    assert elsewhere.returncode == 1
    assert (
        "This deployment runs on services1, and this is services2.lbl.gov: nothing was started or "
        "stopped here. If services1 was renamed, deploy again."
    ) in elsewhere.stderr
    assert home.run("services2", "stop").returncode == 1
    assert home.started() == 1


@pytest.mark.fault(56)
def test_a_node_that_gains_or_loses_its_domain_is_the_same_one(home: Home) -> None:
    home.deploy("services1.lbl.gov")
    assert home.run("services1").returncode == 0
    assert "changed=0" in home.deploy("services1")
    assert home.run("services1.other.domain").returncode == 0
    assert home.started() == 2
    assert home.run("services10").returncode == 1


@pytest.mark.fault(56)
def test_a_renamed_node_is_the_deployments_own_after_the_next_deploy(home: Home) -> None:
    home.deploy("services1")
    assert home.run("renamed").returncode == 1
    home.deploy("renamed")
    assert home.run("renamed").returncode == 0
    assert "ConditionHost=|renamed\n" in (home.units / "jawsdev.service").read_text()


def conditions(unit: Path) -> list[str]:
    return [line for line in unit.read_text().splitlines() if line.startswith("ConditionHost")]


@pytest.mark.fault(55)
def test_systemd_skips_the_units_on_another_node(home: Home) -> None:
    require("systemd-analyze")
    here = os.uname().nodename.split(".")[0]
    for node, status in {here: 0, f"{here}.lbl.gov": 0, f"not-{here}": 1}.items():
        home.deploy(node)
        for unit in ("jawsdev.service", "jawsdev-stop.service"):
            found = conditions(home.units / unit)
            assert len(found) == 2
            assert analyze(home, "condition", *found).returncode == status
            verified = analyze(home, "verify", str(home.units / unit))
            assert (verified.returncode, verified.stderr) == (0, "")


def analyze(home: Home, *words: str) -> subprocess.CompletedProcess[str]:
    """Ask systemd-analyze, as the user whose home directory it is."""
    runtime = {**os.environ, "HOME": str(home.root), "XDG_RUNTIME_DIR": str(home.root)}
    call = ["systemd-analyze", "--user", *words]
    return subprocess.run(call, env=runtime, capture_output=True, text=True, check=False)


UNITS = [
    *CLONE.glob("roles/*/templates/*.service.j2"),
    *CLONE.glob("roles/*/templates/*.timer.j2"),
]


@pytest.mark.fault(55)
@pytest.mark.parametrize("unit", UNITS, ids=lambda path: path.stem)
def test_every_unit_names_its_node_with_and_without_a_domain(unit: Path) -> None:
    found = conditions(unit)
    assert len(found) == 2
    assert found[1] == f"{found[0]}.*"
