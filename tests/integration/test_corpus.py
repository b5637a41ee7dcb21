# SPDX-License-Identifier: GPL-3.0-or-later
"""Configurations as they are found in the field: the modules and supervisorctl agree on each.

Each directory in corpus/ is one configuration, written again after public ones; its first line says
where such a one is found. One supervisord runs it, started as its users start it. Whatever
supervisorctl reports, the modules report; where a command of supervisorctl leads, the module's
state leads too.
"""

from __future__ import annotations

import getpass
import grp
import os
import shutil
import subprocess
import sys
from collections.abc import Iterator
from functools import partial
from pathlib import Path

import pytest

from tests.integration.client import supervisorctl
from tests.integration.conftest import Result, Run, end_all, has_ended, wait_until
from tests.integration.ports import reserve_port

CORPUS = Path(__file__).parent / "corpus"
SUPERVISORD = Path(sys.executable).with_name("supervisord")
SETTLED = {"RUNNING", "STOPPED", "EXITED", "FATAL"}
ENDING = "migrate"  # a program that ends by itself, and is RUNNING only until then
ADDED = "[program:added_later]\ncommand=/bin/sleep 1000\n"

States = dict[str, str]


class Site:
    """One configuration of the corpus in a directory of its own, and the two ways to operate it."""

    def __init__(self, name: str, root: Path, run_module: Run) -> None:
        self.root = root
        self.run_module = run_module
        shutil.copytree(CORPUS / name, root, dirs_exist_ok=True)
        self.conf = root / "supervisord.conf"
        words = {
            "@ROOT@": str(root),
            "@PORT@": str(reserve_port()),
            "@PYTHON@": sys.executable,
            "@UID@": str(os.geteuid()),
            "@USER@": getpass.getuser(),
            "@GROUP@": grp.getgrgid(os.getegid()).gr_name,
        }
        for path in (*root.rglob("*.conf"), *root.rglob("*.ini")):
            text = path.read_text()
            for word, value in words.items():
                text = text.replace(word, value)
            path.write_text(text)

    def start_by_hand(self) -> None:
        """Start it as its users do, in the foreground if it stays there."""
        command = [SUPERVISORD, "-c", self.conf]
        process = subprocess.Popen(
            command,
            cwd=self.root,
            start_new_session=True,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )
        self.process = process
        if "nodaemon=true" not in self.conf.read_text():
            assert process.wait() == 0

    def supervisorctl(self, command: str) -> str:
        """Have Supervisor's own client carry out a command, and return what it prints."""
        return supervisorctl(self.conf, command)

    def states(self) -> States:
        """Return what supervisorctl's table says."""
        lines = [line.split() for line in self.supervisorctl("status").splitlines()]
        return {words[0]: words[1] for words in lines if len(words) > 1 and words[1].isupper()}

    def settled(self) -> States:
        """Wait until no program is on its way from one state to another."""

        def look() -> States | None:
            found = self.states()
            is_settled = set(found.values()) <= SETTLED and found.get(ENDING) != "RUNNING"
            return found if found and is_settled else None

        found: States = wait_until(look, "programs in a settled state")
        return found

    def module(self, module: str, /, **options: object) -> Result:
        """Run one of our modules on the configuration."""
        result = self.run_module(module, config=str(self.conf), **options)
        assert not result.get("failed"), result["msg"]
        return result

    def daemon(self, state: str) -> Result:
        """Bring the supervisord to a state, with what a login of its user has."""
        environment = {"HOME": str(self.root), "PATH": "/usr/bin:/bin"}
        path = str(SUPERVISORD)
        return self.module(
            "supervisord", state=state, supervisord_path=path, environment=environment
        )

    def reported(self) -> States:
        """Return what supervisorctl_info says."""
        programs = self.module("supervisorctl_info")["programs"]
        return {program["name"]: program["state"] for program in programs}

    def add(self) -> str:
        """Add a program to the file, and return what the file contained before."""
        text = self.conf.read_text()
        before, include, after = text.partition("[include]")
        self.conf.write_text(f"{before.rstrip()}\n{ADDED}{include}{after}")
        return text


def names() -> list[str]:
    return sorted(path.parent.name for path in CORPUS.glob("*/supervisord.conf"))


@pytest.fixture
def site(
    request: pytest.FixtureRequest,
    short_tmp: Path,
    run_module: Run,
    monkeypatch: pytest.MonkeyPatch,
) -> Iterator[Site]:
    found = Site(request.param, short_tmp, run_module)
    # A login of a user whose home directory this is. Supervisor's client prints no byte otherwise.
    monkeypatch.chdir(short_tmp)
    monkeypatch.setenv("HOME", str(short_tmp))
    monkeypatch.setenv("PATH", "/usr/bin:/bin")
    yield found
    end_all(found.root)
    found.process.wait()


def test_the_corpus_has_at_least_forty_configurations_and_each_says_where_it_is_found() -> None:
    assert len(names()) >= 40
    for path in CORPUS.glob("*/supervisord.conf"):
        assert path.read_text().startswith("; "), path


@pytest.mark.parametrize("site", names(), indirect=True)
def test_the_modules_and_supervisorctl_agree_on_a_configuration_from_the_field(site: Site) -> None:
    site.start_by_hand()
    wait_until(site.states, "an answer")
    first = site.settled()
    assert site.reported() == first
    started = site.daemon("started")
    assert not started["changed"]

    site.supervisorctl("restart all")
    by_supervisorctl = site.settled()
    site.module("supervisorctl", name="all", state="restarted")
    assert site.settled() == site.reported() == by_supervisorctl

    text = site.add()
    lines = site.supervisorctl("reread").splitlines()
    due = sorted(name for name, _colon, what in (line.partition(": ") for line in lines) if what)
    assert "added_later" in due
    assert site.module("supervisorctl", state="updated")["affected"] == due
    assert site.settled() == {**by_supervisorctl, "added_later": "RUNNING"}
    site.conf.write_text(text)
    assert "added_later" in site.supervisorctl("update")
    assert not site.module("supervisorctl", state="updated")["changed"]

    restarted = site.daemon("restarted")
    assert restarted["pid"] != started["pid"]
    assert site.settled() == by_supervisorctl

    site.module("supervisorctl", name="all", state="stopped")
    assert "RUNNING" not in site.settled().values()
    site.supervisorctl("start all")
    assert site.settled() == by_supervisorctl

    pids = [program["pid"] for program in site.module("supervisorctl_info")["programs"]]
    site.daemon("stopped")
    for pid in filter(None, [started["pid"], restarted["pid"], *pids]):
        wait_until(partial(has_ended, pid), f"the end of {pid}")
