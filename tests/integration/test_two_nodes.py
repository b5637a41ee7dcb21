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

# Two nodes differ by their name in the kernel; what runs there sees the same files.
ON_NODE = """\
#!/bin/sh
exec unshare --uts {mapped} sh -c 'hostname "$(cat {root}/node)" && exec "$0" "$@"' "$@"
"""
# A supervisord that only notes what it is asked to start.
SUPERVISORD = '#!/bin/sh\necho "$2" >>"$HOME/started"\n'
# What the roles purge and gitlab_runner write for a node, with how they find out its name.
OTHERS = [
    {
        "ansible.builtin.setup": {"gather_subset": ["!all", "!min", "user", "platform"]},
        "register": "__purge_seen",
    },
    {
        "jgi.jaws.gitlab_runner_info": {"url": "http://127.0.0.1:1", "token": "t", "timeout": 1},
        "register": "__gitlab_runner_seen",
    },
    {
        "ansible.builtin.template": {"src": "{{ item.0 }}", "dest": "{{ item.1 }}", "mode": "0755"},
        "loop": [
            [f"{CLONE}/roles/gitlab_runner/templates/gitlab-runner.sh.j2", "{{ root }}/runner"],
            [f"{CLONE}/roles/purge/templates/purge.timer.j2", "{{ root }}/purge.timer"],
        ],
    },
]


class Home:
    """A home directory that two nodes share, in which the roles have written their files."""

    def __init__(self, root: Path) -> None:
        self.root = root
        self.script = root / "start.sh"
        self.units = root / ".config/systemd/user"
        self.on_node = root / "on-node"
        self.python = root / "python"
        mapped = "" if os.geteuid() == 0 else "--map-root-user"
        for path, text in {
            self.on_node: ON_NODE.format(root=root, mapped=mapped),
            self.python: f'#!/bin/sh\nexec {self.on_node} {sys.executable} "$@"\n',
            root / "bin/supervisord": SUPERVISORD,
            root / "bin/supervisorctl": "#!/bin/sh\nexit 2\n",
        }.items():
            path.parent.mkdir(exist_ok=True)
            path.write_text(text)
            path.chmod(0o755)

    def deploy(self, node: str, *others: dict[str, object]) -> str:
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
            "root": str(self.root),
        }
        play = self.root / "play.yml"
        tasks = [{"ansible.builtin.import_role": {"name": "jgi.jaws.boot"}}, *others]
        variables = [f"{CLONE}/roles/{role}/vars/main.yml" for role in ("gitlab_runner", "purge")]
        plays = [{"hosts": "local", "gather_facts": False, "vars_files": variables, "tasks": tasks}]
        play.write_text(json.dumps(plays))
        call = ("-i", "local,", "-e", json.dumps(options), str(play))
        done = ansible("playbook", *call, home=self.root, python=self.python)
        assert done.returncode == 0, done.stdout
        return done.stdout

    def run(self, node: str, *words: str | Path) -> subprocess.CompletedProcess[str]:
        """Run the script, or another program, on a node."""
        (self.root / "node").write_text(f"{node}\n")
        environment = {"HOME": str(self.root), "PATH": "/usr/local/bin:/usr/bin:/bin"}
        program = [] if words and isinstance(words[0], Path) else [self.script]
        call = [self.on_node, *program, *words]
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


@pytest.mark.fault(55)
def test_start_script_runner_and_timer_know_the_node_by_the_same_name(home: Home) -> None:
    options = {
        "gitlab_runner_directory": str(home.root),
        "gitlab_runner_manager": "nohup",
        "gitlab_runner_binary_path": "/bin/echo",
        "__gitlab_runner_revision": "1",
        "gitlab_runner_config_file": "config.toml",
        "purge_weekday": "sun",
        "purge_time": "03:00",
    }
    home.deploy("services1.lbl.gov", *({**task, "vars": options} for task in OTHERS))
    assert len(conditions(home.root / "purge.timer")) == 2
    for found in (
        conditions(home.root / "purge.timer"),
        conditions(home.units / "jawsdev.service"),
    ):
        assert found == ["ConditionHost=|services1", "ConditionHost=|services1.*"]
    runner = home.root / "runner"
    here = home.run("services1", runner, "run")
    assert (here.returncode, here.stdout) == (0, "run --config config.toml\n"), here
    elsewhere = home.run("services2", runner, "run")
    assert (elsewhere.returncode, elsewhere.stdout) == (1, "")
    assert "This runner runs on services1, and this is services2: nothing was started." in (
        elsewhere.stderr
    )


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
    home.deploy("services1")
    for unit in ("jawsdev.service", "jawsdev-stop.service"):
        found = conditions(home.units / unit)
        assert len(found) == 2
        for node, status in {"services1": 0, "services1.lbl.gov": 0, "services2": 1}.items():
            assert analyze(home, node, "condition", *found).returncode == status
        verified = analyze(home, "services1", "verify", str(home.units / unit))
        assert (verified.returncode, verified.stderr) == (0, "")


def analyze(home: Home, node: str, *words: str) -> subprocess.CompletedProcess[str]:
    """Ask systemd-analyze, as the user whose home directory it is."""
    runtime = f"XDG_RUNTIME_DIR={home.root}"
    return home.run(node, Path("/usr/bin/env"), runtime, "systemd-analyze", "--user", *words)


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
