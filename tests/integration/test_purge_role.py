# SPDX-License-Identifier: GPL-3.0-or-later
"""The role purge on this machine, and the command that it installs, on real trees."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import pytest

from tests.integration.commands import require
from tests.integration.conftest import CLONE, ansible
from tests.integration.test_purge import LATER, Cromwell, cromwell_server

FAKES = CLONE / "tests/integration/purge"
PATH = f"{FAKES}:/usr/local/bin:/usr/bin:/bin"
# The installed command runs with a clock a month ahead, so that what the test has made is old.
CLOCK = f"import time; real = time.time; time.time = lambda: real() + {LATER}\n"


def changed(output: str) -> list[str]:
    """Return the names of the tasks that changed something."""
    tasks = re.split(r"^TASK \[", output, flags=re.MULTILINE)[1:]
    found = [task for task in tasks if re.search(r"^changed: ", task, re.MULTILINE)]
    return [task.split("]")[0].rpartition(" | ")[2] for task in found]


class Site:
    """A user's home with a crontab and a systemd, an instance's directory, and a scratch."""

    stop_cromwell: Callable[[], None]

    def __init__(self, root: Path, cromwell: str) -> None:
        self.root = root
        self.home = root / "home"
        self.instance = root / "the jaws-dev/jtm"
        self.directory = self.instance / "purge"
        self.crontab = self.home / "crontab"
        self.units = self.home / ".config/systemd/user"
        self.asked = self.home / "systemctl.log"
        self.inputs = root / "scratch/the inputs"
        self.executions = root / "scratch/cromwell-executions"
        (root / "clock").mkdir()
        (root / "clock/sitecustomize.py").write_text(CLOCK)
        (root / "run/systemd").mkdir(parents=True)
        (root / "run/systemd/private").touch()
        for path in (self.home, self.instance / "logs", self.inputs, self.executions):
            path.mkdir(parents=True)
        self.options: dict[str, Any] = {
            "ansible_connection": "local",
            "ansible_python_interpreter": sys.executable,
            "__purge_runtime_directory": str(root / "run"),
            "purge_schedule": "cron",
            "purge_name": "jaws-dev-purge",
            "purge_directory": str(self.directory),
            "purge_log_directory": str(self.instance / "logs"),
            "purge_python": sys.executable,
            "purge_inputs": str(self.inputs),
            "purge_executions": str(self.executions),
            "purge_cromwell_url": cromwell,
        }

    def play(
        self, *words: str, fails: bool = False, inventory: str = "local,", **options: Any
    ) -> str:
        """Apply the role; options are for this call."""
        play = self.root / "play.yml"
        tasks = [{"ansible.builtin.import_role": {"name": "jgi.jaws.purge"}}]
        play.write_text(json.dumps([{"hosts": "all", "gather_facts": False, "tasks": tasks}]))
        extra = json.dumps({**self.options, **options})
        call = ("-i", inventory, "-e", extra, str(play), *words)
        done = ansible("playbook", *call, home=self.home, PATH=PATH)
        assert (done.returncode != 0) is fails, done.stdout
        assert "[WARNING]" not in done.stdout
        return done.stdout

    def run(self, command: str) -> subprocess.CompletedProcess[str]:
        """Run what was installed, as cron does, with a clock a month ahead."""
        environment = {"HOME": str(self.home), "PATH": "/usr/bin:/bin"}
        environment["PYTHONPATH"] = str(self.root / "clock")
        call = ["/bin/sh", "-c", command]
        return subprocess.run(call, env=environment, capture_output=True, text=True, check=False)

    def job(self) -> str:
        """Return the command of the crontab's only job."""
        name, line = self.crontab.read_text().splitlines()
        assert name == "#Ansible: jaws-dev-purge"
        minute, hour, day, month, weekday, command = line.split(" ", 5)
        assert (minute, hour, day, month, weekday) == ("0", "2", "*", "*", "sun")
        return command


@pytest.fixture
def site(tmp_path: Path) -> Iterator[Site]:
    Cromwell.answer = {"results": [{"id": "running"}], "totalResultsCount": 1}
    with ExitStack() as server:
        found = Site(tmp_path.resolve(), server.enter_context(cromwell_server()))
        found.stop_cromwell = server.close
        yield found


def test_what_cron_calls_purges_what_is_old_and_nothing_else_and_an_operator_sees_it_before(
    site: Site,
) -> None:
    site.play()
    wanted = site.root / "wanted"
    wanted.mkdir()
    (wanted / "file").write_text("x")
    for tree in (site.inputs / "user/old", site.executions / "wf/old"):
        tree.mkdir(parents=True)
        (tree / "file").write_text("x")
        (tree / "link").symlink_to(wanted)
        (tree.with_name("link")).symlink_to(wanted)
        (tree.with_name("young")).mkdir()
        os.utime(tree.with_name("young"), (time.time() + LATER,) * 2)
    (site.executions / "wf/running").mkdir()
    done = site.run(f"'{site.directory}/purge' --dry-run")
    assert f"{site.inputs}: would remove 2 trees" in done.stdout  # one is a link
    assert (site.inputs / "user/old").exists()
    done = site.run(site.job())
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")
    assert os.listdir(site.inputs / "user") == ["young"]
    assert sorted(os.listdir(site.executions / "wf")) == ["running", "young"]
    assert (wanted / "file").exists()
    log = (site.instance / "logs/purge.log").read_text()
    assert f"{site.executions}/wf/old: removed" in log
    assert f"{site.executions}/wf/running: kept: Cromwell runs it" in log
    # What is left alone is reported to cron.
    (site.executions / "wf/old").mkdir()
    site.stop_cromwell()
    done = site.run(site.job())
    assert done.returncode == 1
    url = site.options["purge_cromwell_url"]
    assert f"{site.executions}: left alone: cannot ask Cromwell at {url}" in done.stderr
    assert done.stderr.strip() in (site.instance / "logs/purge.log").read_text()
    assert (site.executions / "wf/old").exists()


def test_it_is_off_unless_it_is_wanted(site: Site) -> None:
    assert changed(site.play(purge_schedule="")) == []
    assert not site.crontab.exists()
    assert os.listdir(site.instance) == ["logs"]


def test_a_second_run_changes_nothing_and_switching_off_removes_everything(site: Site) -> None:
    site.crontab.write_text("0 1 * * * theirs\n")
    predicted = changed(site.play("--check"))
    assert "Update the crontab" in predicted
    assert site.crontab.read_text() == "0 1 * * * theirs\n"
    site.play()
    assert "jaws-dev-purge" in site.crontab.read_text()
    assert changed(site.play()) == []
    command = site.crontab.read_text().splitlines()[-1].split(" ", 5)[5]
    site.play(purge_schedule="")
    assert site.crontab.read_text() == "0 1 * * * theirs\n"
    assert os.listdir(site.instance) == ["logs"]
    assert changed(site.play(purge_schedule="")) == []
    # A crontab that was not reached, for example on another node of the same filesystem.
    assert site.run(command).returncode == 0


def test_a_timer_that_systemd_can_read_replaces_the_crontab_and_leaves_nothing_behind(
    site: Site,
) -> None:
    require("systemd-analyze")
    site.play()
    site.play(purge_schedule="systemd_user")
    assert site.crontab.read_text() == ""
    assert (site.home / "active").exists()
    assert f"{site.root}/run: --user daemon-reload" in site.asked.read_text()
    timer = site.units / "timers.target.wants/jaws-dev-purge.timer"
    assert {"OnCalendar=Sun *-*-* 02:00:00", "Persistent=true"} < set(timer.read_text().split("\n"))
    for unit in ("service", "timer"):
        verify = ["systemd-analyze", "--user", "verify", site.units / f"jaws-dev-purge.{unit}"]
        runtime = {**os.environ, "HOME": str(site.home), "XDG_RUNTIME_DIR": str(site.root)}
        told = subprocess.run(verify, env=runtime, capture_output=True, text=True, check=False)
        assert (told.returncode, told.stderr) == (0, "")
    (site.inputs / "user/old").mkdir(parents=True)
    command = re.search("^ExecStart=(.*)$", service(site), re.MULTILINE)
    assert command
    assert site.run(command[1]).returncode == 0
    assert os.listdir(site.inputs / "user") == []
    asked = len(site.asked.read_text().splitlines())
    assert changed(site.play(purge_schedule="systemd_user")) == []
    assert "daemon-reload" not in "".join(site.asked.read_text().splitlines()[asked:])
    site.play(purge_schedule="")
    assert not (site.home / "active").exists()
    assert [path for path in site.units.rglob("*") if not path.is_dir()] == []
    assert os.listdir(site.instance) == ["logs"]


def service(site: Site) -> str:
    return (site.units / "jaws-dev-purge.service").read_text()


def test_a_timer_that_nothing_would_start_is_refused(site: Site) -> None:
    (site.root / "run/systemd/private").unlink()
    output = " ".join(site.play(fails=True, purge_schedule="systemd_user").split())
    assert "loginctl enable-linger" in output
    assert not site.units.exists()


def test_a_job_of_another_user_is_left_to_an_operator_without_a_failure(site: Site) -> None:
    theirs = {"purge_user": "somebody-else"}
    said = "jaws-dev-purge is a job of somebody-else, and this play may not become that user"
    output = " ".join(site.play(**theirs).split())
    assert said in output
    assert "playbooks/deploy.yml --tags purge --limit local -K" in output
    assert not site.crontab.exists()
    # The operator's run installs it; afterwards there is no message.
    site.play()
    assert said not in site.play(**theirs)
    assert said in " ".join(site.play(**theirs, purge_time="03:00").split())
    # Off means off, even if the job cannot be removed.
    command = site.job()
    assert "does nothing any more" in " ".join(site.play(**theirs, purge_schedule="").split())
    (site.inputs / "user/old").mkdir(parents=True)
    assert site.run(command).returncode == 0
    assert (site.inputs / "user/old").exists()
    site.play(purge_schedule="")
    assert site.crontab.read_text() == ""
    assert not site.directory.exists()


WRONG = {
    "time": ("purge_time", "2:00", "purge_time must be HH:MM"),
    "days": ("purge_days", 0, "purge_days must be at least 1"),
    "url": ("purge_cromwell_url", "", "purge_executions needs purge_cromwell_url"),
    "percent": ("purge_directory", "/a/b%c", "purge_directory must be an absolute path without"),
    "slash": ("purge_directory", "/a/b\\c", "purge_directory must be an absolute path without"),
    "name": ("purge_name", "a b", "purge_name must consist of letters"),
}


def test_an_option_that_cannot_work_is_refused(site: Site) -> None:
    hosts = {name: {option: value} for name, (option, value, _words) in WRONG.items()}
    hosts = {name: {**site.options, **given} for name, given in hosts.items()}
    site.options.clear()
    inventory = site.root / "hosts.yml"
    inventory.write_text(json.dumps({"all": {"hosts": hosts}}))
    output = site.play(fails=True, inventory=str(inventory))
    told = re.findall(r"^more of: FAILED on ([\w, ]+): .*\n  (.*)$", output, re.M)
    said = {name: message for names, message in told for name in names.split(", ")}
    for name, (_option, _value, words) in WRONG.items():
        assert said[name].startswith(words)
    assert not site.directory.exists()
    assert not site.crontab.exists()


def test_two_instances_of_one_account_each_get_their_job(tmp_path: Path) -> None:
    facts = {"site_root": str(tmp_path / "site"), "site_purge_schedule": "cron"}
    facts["site_purge_weekday"] = "fri"
    call = ("-i", "inventories/local", "-e", json.dumps(facts))
    done = ansible(
        "playbook", "playbooks/deploy.yml", *call, "--tags", "purge", home=tmp_path, PATH=PATH
    )
    assert done.returncode == 0, done.stdout
    lines = (tmp_path / "crontab").read_text().splitlines()
    names = ["#Ansible: jaws-dev-jaws-purge", "#Ansible: jaws-dev-jtm-purge"]
    assert sorted(line for line in lines if line.startswith("#")) == names
    assert len([line for line in lines if line.startswith("0 2 * * fri ")]) == 2
    done = ansible(
        "playbook", "playbooks/remove.yml", *call, "-e", "really=dev", home=tmp_path, PATH=PATH
    )
    assert done.returncode == 0, done.stdout
    assert (tmp_path / "crontab").read_text() == ""


@pytest.mark.fault(58)
def test_runs_that_write_one_crontab_at_once_lose_no_job(tmp_path: Path) -> None:
    script = CLONE / "roles/purge/files/crontab.py"
    jobs = {f"job{number}": f"5 * * * * run {number}" for number in range(6)}
    environment = {"HOME": str(tmp_path), "PATH": PATH}
    runs = [
        subprocess.Popen([sys.executable, script, *job], env=environment, stdout=subprocess.PIPE)
        for job in jobs.items()
    ]
    assert [run.communicate()[0] for run in runs] == [b"changed\n"] * len(jobs)
    lines = (tmp_path / "crontab").read_text().splitlines()
    assert dict(zip(lines[0::2], lines[1::2], strict=True)) == {
        f"#Ansible: {name}": line for name, line in jobs.items()
    }


SHOWN = """
- hosts: supervisord
  gather_facts: false
  roles: [jgi.jaws.jaws]
  post_tasks:
    - name: Show
      ansible.builtin.copy:
        dest: "{{ playbook_dir }}/{{ inventory_hostname }}.json"
        content: "{{ shown | to_json }}"
        mode: "0600"
      vars:
        shown:
          purge: "{{ purge_inputs or purge_executions }}"
          confs: "{{ __jaws_configs }}"
          works_in: "{{ (__jaws_services['jaws-cromwell'] | default({})).directory | default('') }}"
      tags: shown
"""


@pytest.mark.parametrize("origin", ["cori", "lrc"])
def test_what_is_purged_is_what_the_services_use(origin: str, tmp_path: Path) -> None:
    (tmp_path / "group_vars").symlink_to(CLONE / "playbooks/group_vars")
    (tmp_path / "play.yml").write_text(SHOWN)
    where = CLONE / "inventories" / origin
    call = ("-i", str(where), "-e", f"@{where}/group_vars/all/vault.yml.example")
    here = {"ansible_connection": "local", "ansible_python_interpreter": sys.executable}
    local = ("-e", json.dumps({**here, "ansible_become": False}), "--tags", "shown")
    done = ansible("playbook", str(tmp_path / "play.yml"), *call, *local, home=tmp_path)
    assert done.returncode == 0, done.stdout
    found = {path.stem: json.loads(path.read_text()) for path in tmp_path.glob("*.json")}
    assert len(found) == {"cori": 2, "lrc": 4}[origin]
    for host, said in found.items():
        if host.endswith("_jtm"):
            cromwell = said["confs"]["cromwell.conf"]["data"]
            root = cromwell["backend"]["providers"]["JTM"]["config"]["dockerRoot"]
            assert said["purge"] == root == f"{said['works_in']}/cromwell-executions"
        else:
            site = said["confs"]["jaws-site.conf"]["data"]["SITE"]
            inputs = {"cori": "staging_subdirectory", "lrc": "uploads_dir"}[origin]
            assert said["purge"].lstrip("/") == site[inputs].lstrip("/")
    assert len({said["purge"] for said in found.values()}) == len(found)
