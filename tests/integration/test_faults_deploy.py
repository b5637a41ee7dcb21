# SPDX-License-Identifier: GPL-3.0-or-later
"""Whole deploys by ansible-playbook, with faults set up around them."""

from __future__ import annotations

import json
import re
import subprocess
import sys
import tempfile
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml

from tests.integration.commands import require
from tests.integration.conftest import ansible, bearing, read, wait_until
from tests.integration.test_deploy import Deployment, changes
from tests.integration.watching import Watch

TOKEN = "glcbt-a-token-of-the-job"  # what a CI job has in its environment
Run = subprocess.CompletedProcess[str]


def read_if_there(path: Path) -> str:
    """Return the text of a file that may be removed or renamed at any time."""
    try:
        return path.read_text()
    except FileNotFoundError:
        return ""


class Watched(Deployment):
    """The local site, deployed by a CI job, while its secrets are watched."""

    def __init__(self, root: Path, python: str) -> None:
        super().__init__(root, python)
        self.watch = Watch(self.known, [root], spared=["venvs", "layers", "dist"])

    def known(self) -> list[str]:
        """Return the secrets that exist so far."""
        files = map(read_if_there, (self.site / "secrets").glob("*"))
        found = [words[0] for words in map(str.split, files) if words]
        confs = (self.site / "jaws-supervisord").glob("*supervisord-*.conf*")
        for text in map(read_if_there, confs):
            found += re.findall(r"^password=(\S{20,})$", text, re.MULTILINE)
        return found

    def play(self, playbook: str, *arguments: str, **variables: Any) -> Run:
        extra = json.dumps({**self.variables, **variables})
        call = (f"playbooks/{playbook}.yml", "-i", "inventories/local", "-e", extra, *arguments)
        done = ansible("playbook", *call, home=self.home, CI_JOB_TOKEN=TOKEN)
        self.outputs.append(done.stdout)
        return done

    def changed_config(self, value: str) -> dict[str, Any]:
        """Return variables that change three services of one instance."""
        return {"jaws_configs": {"jaws-central.conf": {"JAWS": {"docs_url": value}}}}

    def snapshot(self) -> dict[str, Any]:
        """Return what is on disk, except what services write and the control node's secrets."""
        spared = {"log", "logs", "scratch", "secrets", "__pycache__"}
        paths = [path for path in self.site.rglob("*") if not spared & set(path.parts)]
        found = {str(path): path.lstat() for path in paths if path.suffix != ".log"}
        return {name: (one.st_mtime_ns, one.st_size, one.st_mode) for name, one in found.items()}


@pytest.fixture(scope="module")
def deployment(quick_python: str) -> Iterator[Watched]:
    """The site, deployed and then deployed with another configuration, while it is watched."""
    found = Watched(Path(tempfile.mkdtemp(prefix="jf", dir="/tmp")), quick_python)
    with found.watch:
        assert changes(found.deploy("-vvv", "--diff"))
        assert changes(found.deploy("-vvv", "--diff", **found.changed_config("elsewhere")))
    found.variables.update(found.changed_config("elsewhere"))
    yield found
    found.end()


@pytest.fixture
def unharmed(deployment: Watched) -> Iterator[Watched]:
    """Check at the end that services, files and links are unchanged."""
    before = deployment.pids(), deployment.snapshot()
    yield deployment
    assert deployment.pids() == before[0]
    after = deployment.snapshot()
    moved = [name for name in before[1] if after.get(name) != before[1][name]]
    assert [name for name in moved if name.endswith((".conf", ".sh")) or "current" in name] == []


# ---- Secrets


@pytest.mark.fault(37)
def test_no_secret_shows_at_any_instant_of_a_deploy(deployment: Watched) -> None:
    secrets = deployment.secrets()
    assert len(deployment.known()) >= len(set(secrets))
    assert deployment.watch.rounds > 20
    assert deployment.watch.found == set()
    for output in deployment.outputs:
        assert not [secret for secret in secrets if secret in output]


@pytest.mark.fault(37)
def test_the_watch_finds_a_secret_in_arguments_an_environment_and_a_file(tmp_path: Path) -> None:
    """This shows that the test above can fail."""
    tmp_path.chmod(0o755)
    secret = "hush-hush-0123456789"
    watch = Watch(lambda: [secret], [tmp_path])
    (tmp_path / "closed").write_text(secret)
    (tmp_path / "closed").chmod(0o640)
    code = "import sys; sys.stdin.read()"
    for arguments, environment in (([secret], {}), ([], {"KEY": secret})):
        command = [sys.executable, "-c", code, *arguments]
        with subprocess.Popen(command, stdin=subprocess.PIPE, env=environment) as process:
            # One that has only just been executed shows neither yet.
            wait_until(lambda: watch.look() or watch.found, "the process shows the secret")
            process.communicate()
        assert {Path(path).parts[2] for path in watch.found} == {str(process.pid)}
        watch.found.clear()
    (tmp_path / "open").write_text(secret)
    (tmp_path / "open").chmod(0o644)
    watch.look()
    assert watch.found == {str(tmp_path / "open")}


@pytest.mark.fault(38)
def test_no_service_inherits_what_the_job_has_in_its_environment(deployment: Watched) -> None:
    pids = [int(pid.rstrip(",")) for pid in deployment.pids().values()]
    daemons = bearing(f"{deployment.site}/jaws-supervisord/supervisord-", ["cmdline"])
    assert len(daemons) >= 2
    for pid in [*pids, *daemons]:
        assert TOKEN not in read(Path(f"/proc/{pid}/environ")), pid


# ---- What stops a deploy before anything is switched


@pytest.mark.fault(34)
def test_a_host_that_cannot_be_reached_stops_the_deploy_before_any_switch(
    unharmed: Watched, tmp_path: Path
) -> None:
    require("ssh")
    host = {"ansible_connection": "ssh", "ansible_host": "127.0.0.1", "ansible_port": 1}
    groups = ("jaws", "dev")
    inventory = {group: {"hosts": {"far_dev_jaws": host}} for group in groups}
    (tmp_path / "far.yml").write_text(yaml.safe_dump(inventory))
    far = ("-i", str(tmp_path / "far.yml"), "--skip-tags", "inventory")
    run = unharmed.deploy(*far, **unharmed.changed_config("somewhere else"))
    assert run.returncode != 0
    assert re.search(r"far_dev_jaws.*UNREACHABLE|UNREACHABLE.*far_dev_jaws", run.stdout, re.S)
    assert "Connection refused" in run.stdout
    assert "somewhere else" not in read_configs(unharmed)


def read_configs(deployment: Watched) -> str:
    links = [path for path in deployment.site.rglob("jaws-central.conf") if path.is_symlink()]
    assert links
    return "".join(path.read_text() for path in links)


@pytest.mark.fault(8)
def test_a_jar_that_cannot_be_downloaded_leaves_the_old_one(unharmed: Watched) -> None:
    jar = {"url": "http://127.0.0.1:1/cromwell.jar", "sha256": "0" * 64}
    run = unharmed.deploy(jaws_artifacts={"cromwell.jar": jar})
    assert run.returncode != 0
    assert "Connection refused" in run.stdout, run.stdout
    assert not [found for found in unharmed.site.rglob("*.jar") if "0" * 12 in str(found)]


# ---- Check mode


@pytest.mark.fault(42)
def test_check_mode_writes_nothing_and_stops_nothing(deployment: Watched) -> None:
    """Of two instances, one is healthy, and one broken."""
    conf = deployment.conf("jtm")
    whole = conf.read_bytes()
    (name,) = re.findall(r"^command=(\S+/jaws-jtm-\w+)$", whole.decode(), re.MULTILINE)
    shim = Path(name)
    content, mode = shim.read_bytes(), shim.stat().st_mode
    conf.write_bytes(whole.replace(b"startsecs=", b"startsecs=soon"))
    shim.write_text("#!/bin/sh\nexit 1\n")
    before = deployment.snapshot(), bearing(str(deployment.site), ["environ"])
    try:
        run = deployment.deploy("--check", "--diff", **deployment.changed_config("predicted"))
        after = deployment.snapshot(), bearing(str(deployment.site), ["environ"])
    finally:
        conf.write_bytes(whole)
        shim.write_bytes(content)
        shim.chmod(mode)
    both = before[0].items() ^ after[0].items()
    assert sorted({name for name, _found in both}) == []
    assert after[1] == before[1]
    assert all(changed > 0 for changed in changes(run).values()), run.stdout
    assert not [secret for secret in deployment.secrets() if secret in run.stdout]


# ---- Two deployers


@pytest.mark.fault(13)
def test_ci_and_an_operator_who_deploy_at_once_both_succeed(deployment: Watched) -> None:
    wanted = [deployment.changed_config(f"number {number}") for number in range(2)]
    runs: list[Run] = []
    threads = [
        threading.Thread(target=lambda given=given: runs.append(deployment.deploy(**given)))
        for given in wanted
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert [changes(run)["local_dev_jaws"] > 0 for run in runs] == [True, True]
    assert deployment.pids()
    assert re.findall("number .", read_configs(deployment))
