# SPDX-License-Identifier: GPL-3.0-or-later
"""The role gitlab_runner, and gitlab_runner_info, against a small GitLab on loopback."""

from __future__ import annotations

import hashlib
import importlib.util
import itertools
import json
import os
import re
import shutil
import signal
import subprocess
import sys
import threading
import urllib.request
from pathlib import Path

import pytest

from ansible_collections.jgi.jaws.plugins.module_utils.system.processes import (
    all_processes,
    find_by_environment,
    is_same,
    read_process,
    send_signal,
)
from tests.integration.commands import require
from tests.integration.conftest import KEPT, PATIENCE, wait_until

if sys.version_info >= (3, 11):
    import tomllib
else:
    import tomli as tomllib

HERE = Path(__file__).resolve().parent
ROOT = HERE.parents[1]
FAKES = HERE / "gitlab"
TOKEN = "glrt-t0k3n_of.the-runner"
OTHER_TOKEN = "glrt-an0ther_token"
THIRD_TOKEN = "glrt-a-th1rd_token"
API_TOKEN = "glpat-may-read"
RUNNER = 7


class GitLab:
    """The fake API, served by a thread."""

    def __init__(self, files):
        spec = importlib.util.spec_from_file_location("api", FAKES / "fake_gitlab_api.py")
        api = importlib.util.module_from_spec(spec)
        spec.loader.exec_module(api)
        self.server = api.serve("127.0.0.1", 0, [(RUNNER, TOKEN)], API_TOKEN, str(files))
        self.url = f"http://127.0.0.1:{self.server.server_address[1]}"
        self.thread = threading.Thread(target=self.server.serve_forever, args=(0.05,))
        self.thread.start()

    def close(self):
        self.server.shutdown()
        self.thread.join()
        self.server.server_close()

    def ask(self, path, **body):
        request = urllib.request.Request(
            f"{self.url}/fake/{path}",
            data=json.dumps(body).encode() if body else None,
            headers={"Content-Type": "application/json"},
        )
        with urllib.request.urlopen(request, timeout=PATIENCE) as answer:
            return json.load(answer)

    def job(self, number):
        return self.ask("state")["jobs"][str(number)]


@pytest.fixture(autouse=True)
def outside_of_any_job(monkeypatch):
    for name in [name for name in os.environ if name.startswith("CI_")]:
        monkeypatch.delenv(name)
    monkeypatch.setenv("no_proxy", "127.0.0.1")


@pytest.fixture
def gitlab(tmp_path):
    (tmp_path / "files").mkdir()
    found = GitLab(tmp_path / "files")
    yield found
    found.close()


class Site:
    """A runner of the test's own, and plays that apply the role to it."""

    def __init__(self, root, gitlab):
        self.root = root
        self.gitlab = gitlab
        self.versions = itertools.count(1)
        self.runner = RUNNER
        self.directory = root / "the runner"
        self.config = self.directory / "config.toml"
        self.log = self.directory / "gitlab-runner.log"
        self.id = f"gitlab-runner {self.directory}"
        self.options = {
            "ansible_connection": "local",
            "ansible_python_interpreter": sys.executable,
            "gitlab_runner_directory": str(self.directory),
            "gitlab_runner_config_file": str(self.config),
            "gitlab_runner_url": gitlab.url,
            "gitlab_runner_token": TOKEN,
            "gitlab_runner_api_token": API_TOKEN,
            "gitlab_runner_name": 'a "test"\\runner',
            "gitlab_runner_check_interval": 1,
            **self.binary(),
        }

    def binary(self):
        """Offer a binary with the next version, and return the options that use it."""
        version = str(next(self.versions))
        text = (FAKES / "fake_gitlab_runner.py").read_text()
        # The path of the tests' own interpreter may contain a space, as this clone's may.
        text = text.replace("#!/usr/bin/env python3", f"#!{sys.base_prefix}/bin/python3")
        text = text.replace('"18.0.0-fake"', f'"{version}"')
        (self.root / f"files/gitlab-runner-{version}").write_text(text)
        return {
            "gitlab_runner_binary_url": f"{self.gitlab.url}/files/gitlab-runner-{version}",
            "gitlab_runner_binary_sha256": hashlib.sha256(text.encode()).hexdigest(),
        }

    def command(self, *words, entry="main", **options):
        """Return the words of an ansible-playbook call, with options of the role for this call."""
        play = self.root / "play.yml"
        role = {"name": "jgi.jaws.gitlab_runner", "tasks_from": entry}
        tasks = [{"name": "Apply", "ansible.builtin.import_role": role}]
        play.write_text(json.dumps([{"hosts": "local", "gather_facts": False, "tasks": tasks}]))
        given = self.root / "options.json"
        given.write_text(json.dumps({**self.options, **options}))
        where = ["-i", "local,", "-e", f"@{given}", str(play)]
        return [sys.executable, "-m", "ansible", "playbook", *where, *words]

    def environment(self, **more):
        return {
            **os.environ,
            **KEPT,
            "ANSIBLE_CONFIG": str(ROOT / "ansible.cfg"),
            "ANSIBLE_LOCAL_TEMP": str(self.root / "local_tmp"),
            "ANSIBLE_NOCOLOR": "1",
            **more,
        }

    def play(self, *words, fails=False, env=None, **options):
        done = subprocess.run(
            self.command(*words, **options),
            cwd=ROOT, env=self.environment(**env or {}), capture_output=True, text=True,
            timeout=PATIENCE, check=False,
        )  # fmt: skip
        assert (done.returncode != 0) is fails, done.stdout + done.stderr
        return done.stdout + done.stderr

    @property
    def runners(self):
        """The processes that are this runner, however they were started."""
        found = find_by_environment("JGI_JAWS_BACKGROUND", self.id)
        return [process for process in found if "run" in process.cmdline[:4]]

    @property
    def pid(self):
        (process,) = self.runners
        return process.pid

    def started(self):
        """Everything that was started here: by the role, by hand, and by jobs."""
        found = find_by_environment("JGI_JAWS_BACKGROUND", self.id)
        return found + find_by_environment("JGI_JAWS_TEST", str(self.root))

    def cleanup(self):
        for process in self.started():
            send_signal(process, signal.SIGKILL)
        wait_until(lambda: not self.started(), "the end of all that was started")


@pytest.fixture
def site(tmp_path, gitlab):
    found = Site(tmp_path, gitlab)
    yield found
    found.cleanup()


# These tests share a runner, one after the other; what one of them has deployed is what the next
# one finds.
INSTALLED = pytest.mark.parametrize("shared", ["@installed"], indirect=True)


@pytest.fixture(scope="module")
def shared(tmp_path_factory):
    root = tmp_path_factory.mktemp("shared")
    (root / "files").mkdir()
    found = Site(root, GitLab(root / "files"))
    yield found
    found.cleanup()
    found.gitlab.close()


@pytest.fixture
def installed(shared):
    """The shared runner; it runs."""
    if not shared.directory.exists():
        shared.play()
    return shared


def changed(output):
    """Return the names of the tasks that changed something."""
    tasks = re.split(r"^TASK \[", output, flags=re.MULTILINE)[1:]
    names = [(task.split("]")[0].rpartition(" | ")[2], task) for task in tasks]
    return [name for name, task in names if re.search(r"^changed: ", task, re.MULTILINE)]


# --- the role -----------------------------------------------------------------------------------


def waiting_job(site, gitlab):
    """Queue a job that runs until a file appears, wait until it runs, and return both."""
    file = site.root / "go on"
    script = f"while [ ! -e '{file}' ]; do sleep 0.05; done"
    number = gitlab.ask("jobs", script=script)["id"]
    wait_until(lambda: gitlab.job(number)["status"] == "running", "the job runs")
    return number, file


def by_hand(site, *words):
    """Run nohup ./gitlab-runner WORDS & in the runner's directory."""
    out = site.directory / "nohup.out"
    shell = 'nohup ./gitlab-runner "$@" > nohup.out 2>&1 < /dev/null &'
    subprocess.run(
        ["sh", "-c", shell, "sh", *words],
        cwd=site.directory, check=True, start_new_session=True,
        env={**os.environ, "JGI_JAWS_TEST": str(site.root)},
    )  # fmt: skip
    wait_until(lambda: out.exists() and "Configuration loaded" in out.read_text(), "it")


@INSTALLED
def test_a_first_run_starts_the_runner_and_a_second_changes_nothing(shared, tmp_path):
    site, gitlab = shared, shared.gitlab
    first = site.play("-vvv", "--diff")
    assert "reports runner 7 as online" in first
    pid = site.pid
    assert read_process(pid).session == pid
    assert gitlab.ask("state")["runners"][str(RUNNER)]["contacts"] > 0
    assert site.config.stat().st_mode & 0o777 == 0o600
    config = tomllib.loads(site.config.read_text())
    assert config["runners"][0]["name"] == 'a "test"\\runner'
    assert config["runners"][0]["token"] == TOKEN
    requests = len([r for r in gitlab.ask("state")["requests"] if "/files/" in r])
    second = site.play("-vvv", "--diff")
    assert changed(second) == []
    assert site.pid == pid
    assert len([r for r in gitlab.ask("state")["requests"] if "/files/" in r]) == requests
    for secret in (TOKEN, API_TOKEN):
        assert secret not in first + second
        assert secret not in site.log.read_text()
    # The command finds its configuration in any directory, and only `run` is the runner.
    command = str(site.directory / "gitlab-runner")
    told = subprocess.run([command, "--version"], capture_output=True, text=True, check=True)
    assert told.stdout == "Version:      1\n"
    verified = subprocess.run(
        [command, "verify"], cwd=tmp_path, capture_output=True, text=True, check=True
    )
    assert "is valid" in verified.stdout
    assert site.pid == pid


@INSTALLED
def test_two_runners_on_one_host_do_not_interfere(installed, tmp_path):
    site, gitlab = installed, installed.gitlab
    (tmp_path / "second/files").mkdir(parents=True)
    other = Site(tmp_path / "second", gitlab)
    other.options["gitlab_runner_token"] = THIRD_TOKEN
    gitlab.ask("runners", id=9, token=THIRD_TOKEN)
    try:
        pid = site.pid
        assert "reports runner 9 as online" in other.play()
        assert (site.pid, other.pid != pid) == (pid, True)
        assert changed(site.play()) == []
    finally:
        other.cleanup()


@INSTALLED
@pytest.mark.fault(40)
def test_a_deploy_in_the_runners_own_job_leaves_the_runner_and_says_so(installed):
    site, gitlab, newer = installed, installed.gitlab, installed.binary()
    pid = site.pid
    words = " ".join(f"'{word}'" for word in site.command(**newer))
    script = f"cd '{ROOT}'; ANSIBLE_CONFIG='{ROOT}/ansible.cfg' no_proxy=127.0.0.1 {words} 2>&1"
    number = gitlab.ask("jobs", script=script)["id"]
    done = wait_until(
        lambda: (job := gitlab.job(number))["status"] in ("success", "failed") and job, "the job"
    )
    assert done["status"] == "success", done["trace"]
    wait_until(lambda: "PLAY RECAP" in gitlab.job(number)["trace"], "the job's output")
    told = " ".join(gitlab.job(number)["trace"].split())
    assert "this play runs inside it, so it was left running" in told
    assert site.pid == pid
    # A play that comes back by ssh is not a child of the runner, but has the job's variables.
    env = {"CI_RUNNER_ID": str(RUNNER), "CI_SERVER_URL": gitlab.url + "/"}
    output = " ".join(site.play(env=env, **newer).split())
    assert "this play runs inside it, so it was left running" in output
    assert site.pid == pid


@INSTALLED
@pytest.mark.fault(40)
def test_a_changed_binary_is_started_when_the_running_job_has_ended(installed):
    site, gitlab = installed, installed.gitlab
    old = read_process(site.pid)
    number, file = waiting_job(site, gitlab)
    newer = site.binary()
    output = site.play(fails=True, gitlab_runner_drain_timeout=1, **newer)
    assert "still runs 1 s after SIGQUIT" in output
    assert (gitlab.job(number)["status"], is_same(old)) == ("running", True)
    with subprocess.Popen(
        site.command(**newer), cwd=ROOT, env=site.environment(),
        stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True,
    ) as play:  # fmt: skip
        wait_until(lambda: site.log.read_text().count("SIGQUIT received") == 2, "it drains on")
        assert gitlab.job(number)["status"] == "running"
        file.touch()
        output = play.communicate(timeout=PATIENCE)[0]
    assert play.returncode == 0, output
    assert "reports runner 7 as online" in output
    assert gitlab.job(number)["status"] == "success"
    assert not is_same(old)
    assert newer["gitlab_runner_binary_sha256"][:16] in str(site.runners[0])
    site.options.update(newer)


@INSTALLED
@pytest.mark.fault(39)
def test_a_supervisord_that_a_job_started_outlives_the_runner(installed, daemon):
    site, gitlab = installed, installed.gitlab
    daemon.write("[program:a]\ncommand=/bin/sleep 1000\n")
    start = f"'{sys.executable}' -m supervisor.supervisord -c '{daemon.conf}'"
    number = gitlab.ask("jobs", script=start)["id"]
    wait_until(lambda: gitlab.job(number)["status"] == "success", "the job")
    pid_file = daemon.root / "pid"
    pid = int(wait_until(lambda: pid_file.exists() and pid_file.read_text().strip(), "its pid"))
    daemon.pids.append(pid)
    supervisord, runner = read_process(pid), site.pid
    site.options.update(site.binary())
    site.play()
    assert site.pid != runner
    assert is_same(supervisord)


@INSTALLED
def test_after_a_boot_the_runner_is_started_and_nothing_is_replaced(installed):
    site = installed
    send_signal(site.runners[0], signal.SIGTERM)
    wait_until(lambda: not site.runners, "the end of the first")
    newer = site.binary()
    output = site.play(entry="start", **newer)
    assert changed(output) == ["Start, reload or replace the runner"]
    assert newer["gitlab_runner_binary_sha256"][:16] not in str(site.runners[0])
    pid = site.pid
    again = site.play(entry="start", **newer)
    assert (changed(again), site.pid) == ([], pid)
    assert len(re.findall("^ok: ", again, re.MULTILINE)) <= 8
    # The next deploy does not replace what was only started.
    assert (changed(site.play()), site.pid) == ([], pid)


@INSTALLED
def test_a_runner_started_by_hand_after_a_deploy_is_recognised_and_not_started_twice(installed):
    site = installed
    send_signal(site.runners[0], signal.SIGTERM)
    wait_until(lambda: not site.runners, "the end of the first")
    by_hand(site, "run")
    pid = site.pid
    assert changed(site.play()) == ["Start, reload or replace the runner"]  # its pid file
    assert site.pid == pid
    site.options.update(site.binary())
    site.play()
    assert site.pid != pid


@INSTALLED
def test_a_changed_token_is_read_again_by_the_same_process(installed):
    site, gitlab = installed, installed.gitlab
    loaded = site.log.read_text().count("Configuration loaded")
    pid = site.pid
    gitlab.ask("runners", id=8, token=OTHER_TOKEN)
    site.options["gitlab_runner_token"], site.runner = OTHER_TOKEN, 8
    output = site.play("--diff")
    assert changed(output) == ["Write the configuration", "Start, reload or replace the runner"]
    assert "reports runner 8 as online" in output
    assert OTHER_TOKEN not in output
    assert site.pid == pid
    assert site.log.read_text().count("Configuration loaded") == loaded + 1


ADDED = """
[session_server]
  session_timeout = 1800

[[runners]]
  name = "of another project"
  url = "https://gitlab.example.org"
  token = "glrt-of-another-project"
  executor = "shell"
"""
ROTATED = "glrt-r0tated_by.the-runner"


@INSTALLED
@pytest.mark.fault(52)
def test_what_only_the_runner_and_people_wrote_into_its_configuration_is_kept(installed):
    site = installed
    site.config.write_text(site.config.read_text() + ADDED)
    output = site.play("--diff")
    assert "has other runners too: of another project. They are kept" in " ".join(output.split())
    assert changed(output) == ["Start, reload or replace the runner"]  # it reads the file again
    settings = {"request_concurrency": 2, "custom_build_dir": {"enabled": True}}
    site.options["gitlab_runner_settings"] = settings
    site.options["gitlab_runner_global_settings"] = {"listen_address": "127.0.0.1:0"}
    site.play()
    found = tomllib.loads(text := site.config.read_text())
    assert found["session_server"] == {"session_timeout": 1800}
    assert found["listen_address"] == "127.0.0.1:0"
    assert found["runners"][1] == tomllib.loads(ADDED)["runners"][0]
    assert {name: found["runners"][0][name] for name in settings} == settings
    assert changed(site.play()) == []
    site.config.write_text("what is this\n")
    assert "config.toml: line 1 cannot be understood" in site.play(fails=True)
    site.config.write_text(text)


@INSTALLED
@pytest.mark.fault(52)
def test_a_token_that_the_runner_has_rotated_is_kept_and_the_vault_is_behind(installed):
    site, gitlab = installed, installed.gitlab
    old = site.options["gitlab_runner_token"]
    gitlab.ask("runners", id=site.runner, token=ROTATED)  # GitLab no longer accepts the old one
    site.config.write_text(site.config.read_text().replace(old, ROTATED))
    send_signal(site.runners[0], signal.SIGTERM)
    wait_until(lambda: not site.runners, "the end of the first")
    for entry in ("start", "main"):
        output = site.play("-vvv", "--diff", entry=entry)
        told = " ".join(output.split())
        assert f"reports runner {site.runner} as online" in told
        assert "the runner has rotated it. It is kept. Put it into the vault." in told
        assert ROTATED not in output
    assert tomllib.loads(site.config.read_text())["runners"][0]["token"] == ROTATED
    gitlab.ask("runners", id=site.runner, token=THIRD_TOKEN)  # neither is accepted any more
    assert "has no runner with this token." in " ".join(site.play(fails=True).split())


@pytest.mark.fault(42)
def test_check_mode_on_a_bare_host_predicts_and_writes_nothing(site):
    output = site.play("--check", "--diff")
    assert "Start, reload or replace the runner" in changed(output)
    assert not site.directory.exists()
    assert site.runners == []


def test_a_runner_from_before_the_first_deploy_is_replaced_when_its_job_has_ended(site, gitlab):
    site.directory.mkdir()
    shutil.copy(site.root / "files/gitlab-runner-1", site.directory / "gitlab-runner")
    (site.directory / "gitlab-runner").chmod(0o755)
    runner = f'[[runners]]\nname = "x"\nurl = "{gitlab.url}"\ntoken = "{TOKEN}"\n'
    site.config.write_text("check_interval = 1\n" + runner)
    by_hand(site, "run", "-c", str(site.config))
    wanted = ("./gitlab-runner", "run", "-c", str(site.config))
    (old,) = [process for process in all_processes() if process.cmdline[1:] == wanted]
    number, file = waiting_job(site, gitlab)
    file.touch()
    site.play()
    assert not is_same(old)
    assert len(site.runners) == 1
    wait_until(lambda: gitlab.job(number)["status"] == "success", "the job's end is told")


# What the commands of Slurm do for one job, which runs on this machine.
SLURM = {
    "sbatch": """for job; do :; done
        SLURM_JOB_ID=7 SLURMD_NODENAME=node1 setsid "$job" >>{root}/job.log 2>&1 &
        echo $! >{root}/job.pid; echo 7""",
    "squeue": """kill -0 "$(cat {root}/job.pid)" && echo '7|RUNNING|node1|1:00:00|None'
        exit 0""",
    "scancel": 'kill -TERM "$(cat {root}/job.pid)"',
    "scrontab": "case $1 in -l) cat {root}/scrontab;; *) cat >{root}/scrontab;; esac",
    "sinfo": "echo node1",
    "scontrol": "echo No reservations in the system",
}


class InAJob(Site):
    """A runner that a Slurm job keeps running."""

    def __init__(self, root, gitlab):
        super().__init__(root, gitlab)
        (root / "bin").mkdir()
        (root / "scrontab").touch()
        for name, code in SLURM.items():
            path = root / "bin" / name
            path.write_text("#!/bin/sh\n" + code.format(root=f"'{root}'"))
            path.chmod(0o755)
        argv = [f"{self.directory}/gitlab-runner", "run"]
        command = {"name": "runner", "argv": argv, "stop_signal": "QUIT", "stop_seconds": 60}
        self.log = root / "job.log"
        self.options.update(
            gitlab_runner_manager="slurm",
            gitlab_runner_launcher=str(ROOT / "playbooks/tasks/job.yml"),
            slurm_host="local",
            slurm_name="jaws-runner",
            slurm_directory=str(root / "job"),
            slurm_python=f"{sys.base_prefix}/bin/python3",
            slurm_commands=[command],
        )

    def environment(self, **more):
        return super().environment(**{"PATH": f"{self.root}/bin:{os.environ['PATH']}", **more})

    def words(self, command):
        job = self.root / "job"
        return [self.options["slurm_python"], job / "job.py", command, job / "job.json"]

    def job(self, command):
        return subprocess.run(
            self.words(command), env=self.environment(), check=True, capture_output=True,
            text=True, timeout=PATIENCE,
        ).stdout  # fmt: skip


@pytest.fixture
def in_a_job(tmp_path, gitlab):
    found = InAJob(tmp_path, gitlab)
    yield found
    if (tmp_path / "job.pid").exists() and "RUNNING" in found.job("state"):
        found.job("stop")
    found.cleanup()


@pytest.mark.fault(69)
def test_a_job_of_slurm_keeps_a_runner_and_ends_when_the_runners_own_jobs_have(in_a_job, gitlab):
    site = in_a_job
    started = changed(site.play(gitlab_runner_environment={"A_PROXY": "a 's3cret'"}))
    # A signal to reload could end a runner that has only just started.
    assert not any("read a changed configuration" in name for name in started)
    pid = site.pid
    assert "JGI_JAWS_JOB=jaws-runner" in Path(f"/proc/{pid}/environ").read_text().split("\0")
    assert "A_PROXY=a 's3cret'" in Path(f"/proc/{pid}/environ").read_text().split("\0")
    assert "a 's3cret'" not in site.log.read_text()
    assert changed(site.play(gitlab_runner_environment={"A_PROXY": "a 's3cret'"})) == []
    by_hand = [str(site.directory / "gitlab-runner"), "run"]
    refused = subprocess.run(by_hand, check=False, capture_output=True, text=True)
    assert (refused.returncode, site.pid) == (1, pid)
    assert "runs in a Slurm job" in refused.stderr
    # A play in its own job leaves the runner; another one lets it end, and the job starts it again.
    own = {"CI_RUNNER_ID": str(RUNNER), "CI_SERVER_URL": gitlab.url}
    newer = site.binary()
    output = site.play(env=own, **newer)
    assert "this play runs inside it, so it was left running" in " ".join(output.split())
    assert site.pid == pid
    output = site.play(**newer, gitlab_runner_concurrent=2)
    assert not any("read a changed configuration" in name for name in changed(output))
    assert site.pid != pid
    assert "reports runner 7 as online" in output
    pid = site.pid
    reloaded = changed(site.play(**newer, gitlab_runner_concurrent=3))
    assert any("read a changed configuration" in name for name in reloaded)
    assert site.pid == pid
    number, file = waiting_job(site, gitlab)
    with subprocess.Popen(site.words("stop"), env=site.environment()) as stop:
        wait_until(lambda: site.log.read_text().count("SIGQUIT received") == 2, "it drains")
        assert gitlab.job(number)["status"] == "running"
        file.touch()
        assert stop.wait(PATIENCE) == 0
    assert gitlab.job(number)["status"] == "success"
    assert site.runners == []


def test_a_token_that_gitlab_does_not_know_changes_nothing(site):
    output = site.play(fails=True, gitlab_runner_token="glrt-unknown1")
    told = " ".join(output.split())
    assert "has no runner with this token." in told
    assert "Nothing was changed." in told
    assert "glrt-unknown1" not in output
    assert not site.directory.exists()


def test_a_registration_token_is_refused_by_name(site):
    output = site.play(fails=True, gitlab_runner_token="GR1348941aaaaaaaaaaaa")
    assert "not a registration token" in output
    assert not site.directory.exists()


def on_the_host(site):
    """The options for a binary on the host instead of a download."""
    path = site.root / "files/gitlab-runner-1"
    path.chmod(0o755)
    without = {"gitlab_runner_binary_url": "", "gitlab_runner_binary_sha256": ""}
    return path, {"gitlab_runner_binary_path": str(path), **without}


def test_while_gitlab_is_down_the_runner_is_started_and_the_play_says_what_it_saw(site, gitlab):
    gitlab.ask("down", down=True)
    output = site.play(fails=True, gitlab_runner_online_timeout=1, **on_the_host(site)[1])
    assert "HTTP 503" in output
    assert site.pid


@pytest.mark.fault(8)
def test_a_download_with_another_digest_is_refused_and_the_old_binary_stays(site):
    site.directory.mkdir()
    (site.directory / "gitlab-runner").write_text("old")
    output = site.play(fails=True, gitlab_runner_binary_sha256="0" * 64)
    assert "checksum" in output
    assert (site.directory / "gitlab-runner").read_text() == "old"
    assert [path.name for path in site.directory.iterdir()] == ["gitlab-runner"]


def test_a_binary_on_the_host_is_used_where_it_is_and_its_change_is_seen(site):
    path, where = on_the_host(site)
    site.play(**where)
    pid = site.pid
    text = path.read_text()
    path.unlink()
    path.write_text(text + "# another\n")
    path.chmod(0o755)
    site.play(**where)
    assert site.pid != pid
    path.chmod(0o644)
    assert "is not executable" in site.play(fails=True, **where)


UNIT = """
- hosts: local
  gather_facts: false
  vars_files: [{role}/defaults/main.yml, {role}/vars/main.yml]
  tasks:
    - name: Render
      ansible.builtin.template:
        src: {role}/templates/gitlab-runner.service.j2
        dest: "{dest}"
        mode: "0600"
"""


def test_the_unit_drains_by_sigquit_and_systemd_can_read_it(site, tmp_path):
    site.directory.mkdir()
    shutil.copy("/bin/true", site.directory / "gitlab-runner")
    unit = tmp_path / "gitlab-runner.service"
    play = tmp_path / "unit.yml"
    play.write_text(UNIT.format(role=ROOT / "roles/gitlab_runner", dest=unit))
    given = tmp_path / "unit.json"
    proxy = {"https_proxy": 'http://p:1/%20"x"\\'}
    seen = {"__gitlab_runner_seen": {"node": "here"}}
    given.write_text(json.dumps({**site.options, **seen, "gitlab_runner_environment": proxy}))
    command = ["-i", "local,", "-e", f"@{given}", str(play)]
    subprocess.run(
        [sys.executable, "-m", "ansible", "playbook", *command],
        cwd=ROOT, env=site.environment(), check=True, timeout=PATIENCE, stdout=subprocess.DEVNULL,
    )  # fmt: skip
    lines = unit.read_text().splitlines()
    for line in (
        "KillSignal=SIGQUIT", "KillMode=process", "TimeoutStopSec=1800", "Restart=always",
        "WantedBy=default.target", f'ExecStart="{site.directory}/gitlab-runner" run',
        r'Environment="https_proxy=http://p:1/%%20\"x\"\\"',
    ):  # fmt: skip
        assert line in lines, unit.read_text()
    require("systemd-analyze")
    verify = ["systemd-analyze", "--user", "verify", str(unit)]
    told = subprocess.run(
        verify, env={**os.environ, "XDG_RUNTIME_DIR": str(tmp_path)},
        capture_output=True, text=True, timeout=PATIENCE, check=False,
    )  # fmt: skip
    assert (told.returncode, told.stderr) == (0, "")


# --- the module ---------------------------------------------------------------------------------


@pytest.fixture
def info(run_module, gitlab):
    def run(**options):
        return run_module("gitlab_runner_info", **{"url": gitlab.url, "token": TOKEN, **options})

    return run


def contact(gitlab):
    request = urllib.request.Request(
        f"{gitlab.url}/api/v4/jobs/request",
        data=json.dumps({"token": TOKEN}).encode(),
        headers={"Content-Type": "application/json"},
    )
    urllib.request.urlopen(request, timeout=PATIENCE).close()


def test_a_known_token_is_valid_and_online_is_unknown_without_an_access_token(info):
    result = info()
    assert (result["changed"], result["valid"], result["runner_id"]) == (False, True, RUNNER)
    assert result["online"] is None
    assert result["config_file"].endswith("/config.toml")


def test_an_unknown_token_is_an_answer_and_is_not_shown(info):
    result = info(token="glrt-wrong-one")
    assert (result["valid"], result["runner_id"]) == (False, None)
    assert "has no runner" in result["saw"]
    assert "glrt-wrong-one" not in json.dumps(result)


def test_an_unknown_token_is_not_waited_for(info):
    result = info(token="glrt-wrong-one", wait_for="valid", timeout=10_000)
    assert (result["failed"], result["reason"]) == (True, "timed_out")


def test_a_silent_gitlab_is_an_answer_with_what_was_seen(info, gitlab):
    gitlab.ask("down", down=True)
    result = info()
    assert result["valid"] is None
    assert "HTTP 503" in result["saw"]
    result = info(url="http://127.0.0.1:1")
    assert result["valid"] is None
    assert "refused" in result["saw"]


def test_in_a_closed_network_http_may_be_allowed(info):
    result = info(url="http://no-such-host.invalid", allow_http=True)
    assert result["valid"] is None


def test_online_is_waited_for_and_the_last_contact_is_reported(info, gitlab):
    result = info(api_token=API_TOKEN, wait_for="online", timeout=0)
    assert result["reason"] == "timed_out"
    assert "never_contacted" in result["msg"]
    contact(gitlab)
    result = info(api_token=API_TOKEN, wait_for="online", timeout=0)
    assert (result["online"], result["contacted_at"][-1]) == (True, "Z")


def test_a_contact_before_the_start_does_not_count_as_online(info, gitlab):
    contact(gitlab)
    assert info(api_token=API_TOKEN, since="2001-01-01T00:00:00Z")["online"] is True
    later = info(api_token=API_TOKEN, since="2100-01-01T00:00:00Z")
    assert later["online"] is False
    assert "2100-01-01" in later["saw"]


def test_an_access_token_that_may_not_read_the_runner_is_reported(info):
    result = info(api_token="glpat-other", wait_for="online", timeout=0)
    assert "HTTP 401" in result["msg"]
    assert "glpat-other" not in json.dumps(result["msg"])


@pytest.mark.parametrize(
    ("options", "named"),
    [
        ({"url": "http://gitlab.example.org"}, "https"),
        ({"url": "https://user:word@gitlab.example.org"}, "https"),
        ({"url": "gitlab.example.org"}, "https"),
        ({"url": "ftp://gitlab.example.org", "allow_http": True}, "https"),
        ({"token": "glrt-a b"}, "token contains a space"),
        ({"token": "glrt-a\nb"}, "token contains a space"),
        ({"wait_for": "online"}, "needs api_token"),
    ],
)
def test_an_option_that_would_send_a_token_to_the_wrong_place_is_refused(
    info, gitlab, options, named
):
    result = info(**options)
    assert (result["failed"], result["reason"]) == (True, "bad_option")
    assert named in result["msg"]
    assert [r for r in gitlab.ask("state")["requests"] if "/api/" in r] == []
