# SPDX-License-Identifier: GPL-3.0-or-later
"""The event listener that calls a command when programs become FATAL, in a real supervisord."""

from __future__ import annotations

import json
import os
import signal
import sys
from pathlib import Path
from typing import Any

import pytest

from ansible_collections.jgi.jaws.plugins.module_utils.supervisor.client import Supervisor
from ansible_collections.jgi.jaws.plugins.module_utils.supervisor.endpoint import SupervisordConf
from ansible_collections.jgi.jaws.plugins.module_utils.supervisor.observation import observe
from ansible_collections.jgi.jaws.plugins.module_utils.supervisor.programs import NOTIFIER
from ansible_collections.jgi.jaws.plugins.plugin_utils.notifier import notifier
from tests.integration.conftest import Daemon, Result, Run, bearing, wait_until
from tests.integration.test_supervisord_config import sections

SECRET = "s3cret of the release"
PROGRAM = """
[program:{name}]
command={code}
autostart={autostart}
startsecs={startsecs}
startretries=0
stdout_logfile={root}/{name}.out
redirect_stderr=true
"""


class Site:
    """A supervisord with a notifier, a program that lives and three that fail."""

    def __init__(self, daemon: Daemon, run_module: Run) -> None:
        self.daemon = daemon
        self.root = daemon.root
        self.told = self.root / "told"
        self.run = run_module
        self.command = ["/bin/sh", "-c", f"cat >>{self.told}; echo >>{self.told}; echo printed"]
        (self.root / "secrets").write_text(json.dumps([SECRET]))
        fails = f"sh -c 'echo with {SECRET}; exit 7'"
        codes = {"lives": "sleep 1000", "one": fails, "two": fails, "three": fails}
        # What ends at once becomes FATAL, however slow the machine is.
        lasting = {"autostart": True, "startsecs": 1}, {"autostart": False, "startsecs": 60}
        parts = [
            PROGRAM.format(name=name, code=code, root=self.root, **lasting[code == fails])
            for name, code in codes.items()
        ]
        head = "; Programs. Written by the release; see `releases`.\n; release: r1\n"
        self.programs = f"{head}; secrets: {self.root}/secrets\n{''.join(parts)}"

    def configure(self, command: list[str] | None = None, **changed: Any) -> Result:
        """Make the files and the sections, as the role does; return the second one's result."""
        found = self.try_to_configure(command, **changed)
        assert not found.get("failed"), found
        return found

    def try_to_configure(self, command: list[str] | None = None, **changed: Any) -> Result:
        instance = {
            "name": "i", "directory": str(self.root), "config": str(self.daemon.conf),
            "group": "", "log_dir": str(self.root), "python": sys.executable,
            "about": {"instances": ["host"], "deployment": "dev"},
        }  # fmt: skip
        wanted = notifier(self.command if command is None else command, instance)
        for path in wanted["paths"]:
            if path["path"].endswith(".json"):
                task = {**json.loads(path["content"]), "settle": 4, "limit": 10}
                path["content"] = json.dumps(task)
        made = self.run("tree", paths=wanted["paths"])
        assert not made.get("failed"), made
        given = {**sections(self.root), **wanted["sections"], **changed.pop("more", {})}
        return self.run(
            "supervisord_config",
            config=str(self.daemon.conf),
            python=sys.executable,
            sections=given,
            **changed,
        )

    def pids(self) -> dict[str, int | None]:
        with Supervisor(SupervisordConf(str(self.daemon.conf)).endpoint) as client:
            return {program.name: program.pid for program in observe(client).programs}

    def fail(self, *names: str) -> None:
        """Start programs that become FATAL."""
        options = {"config": str(self.daemon.conf), "name": list(names), "state": "started"}
        found = self.run("supervisorctl", **options)
        assert found["reason"] == "program_failed", found

    def notices(self, count: int) -> list[Result]:
        def read() -> list[Result]:
            text = self.told.read_text() if self.told.exists() else ""
            found = [json.loads(line) for line in text.splitlines()]
            return found if len(found) >= count else []

        found: list[Result] = wait_until(read, f"{count} notices")
        assert len(found) == count
        return found

    @property
    def log(self) -> str:
        return (self.root / f"{NOTIFIER}.log").read_text()


@pytest.fixture
def site(instance: Daemon, run_module: Run) -> Site:
    """It runs, and the notifier too."""
    found = Site(instance, run_module)
    found.configure()
    instance.conf.write_text(instance.conf.read_text() + found.programs)
    instance.start()
    wait_until(lambda: found.pids().get(NOTIFIER) and found.pids()["lives"], "the programs")
    return found


def test_programs_that_fail_together_are_one_call_with_their_masked_logs(site: Site) -> None:
    site.fail("one", "two")
    (told,) = site.notices(1)
    about = {"instances": ["host"], "deployment": "dev", "release": "r1"}
    assert {key: told[key] for key in about} == about
    assert (told["event"], sorted(told["programs"])) == ("program_fatal", ["one", "two"])
    assert "one is FATAL, exit status 7" in told["message"]
    assert "with ********" in told["message"]
    assert SECRET not in site.told.read_text()
    wait_until(lambda: "the command ended with status 0" in site.log, "the log")
    assert "printed" in site.log
    words = Path(f"/proc/{site.pids()[NOTIFIER]}/cmdline").read_bytes()
    environment = Path(f"/proc/{site.pids()[NOTIFIER]}/environ").read_bytes()
    key = SupervisordConf(str(site.daemon.conf)).parser.get("supervisorctl", "password")
    assert key.encode() not in words + environment
    site.fail("three")
    assert site.notices(2)[1]["programs"] == ["three"]


def test_a_command_that_hangs_or_is_not_there_stops_neither_supervisord_nor_the_next_call(
    site: Site,
) -> None:
    pids = site.pids()
    hangs = f"sleep 999 & echo $! >{site.root}/child; wait"
    assert not site.configure(["/bin/sh", "-c", hangs])["changed"]
    site.fail("one")
    wait_until((site.root / "child").exists, "the command")
    site.fail("two")  # supervisord goes on
    wait_until(lambda: "did not end within 10 s, and was killed" in site.log, "the end of it")
    assert not bearing("sleep\0999", ["cmdline"])
    site.configure(["/no/such/command"])
    site.fail("three")
    wait_until(lambda: "the command was not called" in site.log, "the log")
    site.configure()
    site.fail("one")
    assert site.notices(1)[0]["programs"] == ["one"]
    assert site.pids() == {**pids, **dict.fromkeys(("one", "two", "three"), None)}


def test_only_the_notifier_restarts_when_it_changes_and_it_outlives_a_reload(site: Site) -> None:
    pids = site.pids()
    other = {f"eventlistener:{NOTIFIER}": {"command": "sleep 9", "events": "PROCESS_STATE_FATAL"}}
    assert site.configure(more=other)["changed"]
    assert site.configure()["changed"]
    assert not site.configure()["changed"]
    now = site.pids()
    assert now.pop(NOTIFIER) not in (pids.pop(NOTIFIER), None)
    assert now == pids
    os.kill(site.pids()[NOTIFIER] or 0, signal.SIGKILL)
    assert site.configure(rotate_key=True)["reloaded"]
    wait_until(lambda: site.pids().get(NOTIFIER), "the notifier")
    site.fail("one")
    site.notices(1)
    lives = site.pids()["lives"]
    assert site.configure([])["changed"]
    assert NOTIFIER not in site.daemon.conf.read_text()
    assert (NOTIFIER in site.pids(), site.pids()["lives"]) == (False, lives)


def test_a_notifier_that_does_not_run_fails_no_release_and_can_be_seen(
    site: Site, run_module: Run
) -> None:
    section = {"command": "/bin/false", "events": "PROCESS_STATE_FATAL", "startretries": 0}
    broken = site.try_to_configure(more={f"eventlistener:{NOTIFIER}": section})
    assert (broken["reason"], broken["failed_programs"]) == ("program_failed", [NOTIFIER])
    options = {"config": str(site.daemon.conf), "python": sys.executable}
    asked = run_module("supervisorctl_info", config=options["config"])
    assert {one["name"]: one["state"] for one in asked["programs"]}[NOTIFIER] == "FATAL"
    directory = site.root / "release"
    directory.mkdir()
    held = run_module("release", state="verified", directory=str(directory), window=0, **options)
    assert held["held"], held
    assert site.configure()["changed"]
    wait_until(lambda: site.pids()[NOTIFIER], "the notifier")
