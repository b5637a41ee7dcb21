# SPDX-License-Identifier: GPL-3.0-or-later
"""The release module against a real supervisord: switch, verify, and go back."""

from __future__ import annotations

import hashlib
import json
import os
import signal
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from ansible_collections.jgi.jaws.plugins.module_utils import release as under_test
from ansible_collections.jgi.jaws.plugins.module_utils.releases import proof, verification
from ansible_collections.jgi.jaws.plugins.module_utils.supervisor.client import Supervisor
from ansible_collections.jgi.jaws.plugins.module_utils.supervisor.conf import BANNER, DIVIDER
from ansible_collections.jgi.jaws.plugins.module_utils.supervisor.endpoint import SupervisordConf
from ansible_collections.jgi.jaws.plugins.module_utils.supervisor.instance_lock import lock_path
from ansible_collections.jgi.jaws.plugins.module_utils.supervisor.observation import (
    Observation,
    observe,
)
from ansible_collections.jgi.jaws.plugins.module_utils.supervisor.programs import (
    NOTIFIER,
    Change,
    Program,
)
from ansible_collections.jgi.jaws.plugins.module_utils.system.locks import locked_file
from ansible_collections.jgi.jaws.plugins.plugin_utils.notifier import notifier
from tests.integration.conftest import HEAD, KEY, PATIENCE, Daemon, has_ended, wait_until
from tests.integration.ports import reserve_port

Result = dict[str, Any]
Spawn = Callable[..., "subprocess.Popen[str]"]

SLEEP = "exec sleep 1000\n"
CRASH = "echo about to fail\necho for this reason >&2\nexit 3\n"
# It runs long enough to be RUNNING, and to be seen so, then ends, again and again. The window of
# a release that it is to fail is longer.
CRASH_LATE = "sleep 3\necho lost the broker\nexit 4\n"
SECRET = "hunter2-%$-very-secret"


PLAN = ("programs", "files", "links", "health", "holds", "one_shot", "commands")


class Site:
    """One instance: what its programs do, and the module that releases them."""

    def __init__(self, daemon: Daemon, run_module: Callable[..., Result]) -> None:
        self.daemon = daemon
        self.run_module = run_module
        self.directory = daemon.root / 'it\'s 100% "odd"'
        (self.directory / "releases").mkdir(parents=True)
        self.common = {
            "config": str(daemon.conf),
            "directory": str(self.directory),
            "python": sys.executable,
        }
        self.limits = {"window": 1, "health_timeout": 60, "timeout": 120, "lock_timeout": 120}

    def inputs(self, scripts: dict[str, str], lines: str = "", **options: Any) -> Result:
        """Return the options of a release whose programs run these scripts."""
        files, sections = [], []
        retries = options.pop("startretries", 1)
        for name, script in scripts.items():
            digest = hashlib.sha256(script.encode()).hexdigest()[:12]
            path = f"{self.directory}/{name}-{digest}"
            files.append({"path": path, "content": f"#!/bin/sh\n{script}", "mode": "0750"})
            command = path.replace("%", "%%").replace("'", "'\\''")
            # Even if a busy machine lets it crash late, it has not been RUNNING.
            startsecs = 60 if script == CRASH else 1
            own = lines
            if name in options.get("one_shot", []):
                startsecs, own = 0, f"autorestart=false\npriority=1\n{lines}"
            sections.append(
                f"[program:{name}]\ncommand='{command}'\n"
                f"startsecs={startsecs}\nstartretries={retries}\n"
                f"redirect_stderr=true\nstdout_logfile={self.daemon.root}/{name}.log\n{own}"
            )
        plan = {"programs": "\n".join(sections), "files": files}
        plan.update({key: options.pop(key) for key in PLAN if key in options})
        return {**self.common, "plan": plan, **options}

    def prepare(self, scripts: dict[str, str], check: bool = False, **options: Any) -> Result:
        inputs = self.inputs(scripts, **options)
        return self.run_module("release", check, True, state="prepared", **inputs)

    def activate(self, release: str, check: bool = False, **more: Any) -> Result:
        options = {**self.common, **self.limits, "state": "active", **more}
        return self.run_module("release", check, True, id=release, **options)

    def deploy(self, scripts: dict[str, str], **options: Any) -> Result:
        prepared = self.prepare(scripts, **options)
        assert "failed" not in prepared, prepared["msg"]
        return self.activate(prepared["id"])

    def observe(self) -> Observation:
        with Supervisor(SupervisordConf(str(self.daemon.conf)).endpoint) as client:
            return observe(client, reread=True)

    def programs(self) -> dict[str, Program]:
        """Return what runs; fail if it is not what the file says."""
        seen = self.observe()
        assert seen.change == Change([], [], [])
        return {program.name: program for program in seen.programs}

    def states(self) -> dict[str, str]:
        return {name: program.state for name, program in self.programs().items()}

    def pids(self) -> dict[str, int | None]:
        return {name: program.pid for name, program in self.programs().items()}

    def stop(self, *names: str) -> None:
        result = self.run_module(
            "supervisorctl", name=names, state="stopped", config=str(self.daemon.conf)
        )
        assert result["changed"], result

    def releases(self, **more: Any) -> Result:
        options = {key: self.common[key] for key in ("config", "directory")}
        return self.run_module("release_info", **options, **more)

    def statuses(self) -> dict[str, str]:
        return {found["id"]: found["status"] for found in self.releases()["releases"]}

    def conf(self) -> str:
        return self.daemon.conf.read_text()


@pytest.fixture
def site(daemon: Daemon, run_module: Callable[..., Result]) -> Site:
    """An instance with a supervisord that does not run anything yet."""
    daemon.write("")
    daemon.start()
    return Site(daemon, run_module)


TWO = {"one": SLEEP, "two": SLEEP}


# ---- The good case


def test_a_release_is_prepared_without_touching_what_runs(site: Site) -> None:
    before = site.conf()
    first = site.prepare(TWO)
    assert first["changed"]
    assert (first["differs"], first["current"]) == (True, None)
    assert first["affected"] == ["one", "two"]
    assert site.conf() == before
    assert site.states() == {}
    files = [Path(path) for path in first["published"]]
    assert [path.stat().st_mode & 0o7777 for path in files] == [0o750, 0o750]
    second = site.prepare(TWO)
    assert (second["changed"], second["id"], second["published"]) == (False, first["id"], [])


def test_a_release_is_switched_to_and_a_second_run_changes_nothing(site: Site) -> None:
    first = site.deploy(TWO)
    assert (first["changed"], first["affected"]) == (True, ["one", "two"]), first
    assert {program["state"] for program in first["programs"]} == {"RUNNING"}
    assert first["diff"]["after"].count("[program:") == 2
    pids, conf = site.pids(), site.conf()
    prepared = site.prepare(TWO)
    assert (prepared["changed"], prepared["differs"], prepared["affected"]) == (False, False, [])
    second = site.activate(prepared["id"])
    assert (second["changed"], second["affected"]) == (False, [])
    assert (site.pids(), site.conf()) == (pids, conf)
    info = site.releases()
    assert info["current"] == first["id"]
    assert site.statuses() == {first["id"]: "good"}


def test_only_what_changed_restarts(site: Site) -> None:
    site.deploy(TWO)
    before = site.pids()
    result = site.deploy({"one": SLEEP, "two": f"# new\n{SLEEP}"})
    assert result["affected"] == ["two"], result
    after = site.pids()
    assert after["one"] == before["one"]
    assert after["two"] != before["two"]


@pytest.mark.fault(44)
def test_what_is_removed_stops_after_the_others_are_healthy(site: Site, tmp_path: Path) -> None:
    site.deploy({"one": SLEEP, "leaves": f"echo $$ > {tmp_path}/pid\n{SLEEP}"})
    pid = int((tmp_path / "pid").read_text())
    check = {"command": ["sh", "-c", f"kill -0 {pid}"]}
    result = site.deploy({"one": f"# new\n{SLEEP}"}, health={"one": check})
    assert result["affected"] == ["leaves", "one"], result
    assert site.states() == {"one": "RUNNING"}
    assert has_ended(pid)


@pytest.mark.fault(33)
def test_a_program_that_ignores_sigterm_is_killed_with_its_children(
    site: Site, tmp_path: Path
) -> None:
    deaf = f"trap '' TERM\nsleep 1000 &\necho $! > {tmp_path}/pid\nwhile :; do sleep 1; done\n"
    lines = "stopwaitsecs=1\nstopasgroup=true\nkillasgroup=true\n"
    site.deploy({"one": deaf}, lines=lines)
    child = int((tmp_path / "pid").read_text())
    assert site.deploy({"one": SLEEP}, lines=lines)["affected"] == ["one"]
    assert has_ended(child)


def test_links_follow_the_release_and_go_back_with_it(site: Site) -> None:
    link = f"{site.directory}/current"
    site.deploy(TWO, links={link: "/v/1"})
    assert os.readlink(link) == "/v/1"
    assert site.deploy({"one": CRASH, "two": SLEEP}, links={link: "/v/2"})["failed"]
    assert os.readlink(link) == "/v/1"


# ---- The release fails


def assert_reverted(site: Site, result: Result, conf: str, pids: Any, failed: str) -> None:
    """Check that everything is as it was before a release that broke program C(failed)."""
    assert result["failed"], result
    assert result["failed_programs"] == [failed], result
    assert f"The instance was put back to {result['reverted_to']}" in result["msg"]
    assert site.conf() == conf
    assert site.statuses()[result["id"]] == "bad"
    after = site.pids()
    assert {name: after[name] for name in after if name != failed} == {
        name: pids[name] for name in pids if name != failed
    }
    if failed in pids:
        assert site.states()[failed] == "RUNNING"


@pytest.mark.fault(30)
def test_a_program_that_crashes_at_once_takes_everything_back(site: Site) -> None:
    good = site.deploy(TWO)
    pids, conf = site.pids(), site.conf()
    result = site.deploy({"one": SLEEP, "two": CRASH, "three": SLEEP})
    assert_reverted(site, result, conf, pids, "two")
    assert result["reverted_to"] == good["id"]
    assert result["reason"] == "program_failed"
    for part in ("two is FATAL, exit status 3", "about to fail", "for this reason"):
        assert part in result["msg"]
    bad = next(found for found in site.releases()["releases"] if found["id"] == result["id"])
    assert bad["why"].startswith("could not start two")


@pytest.mark.fault(30)
def test_startretries_are_not_used_up_before_everything_is_taken_back(site: Site) -> None:
    site.deploy(TWO, startretries=6)
    pids, conf = site.pids(), site.conf()
    result = site.deploy({"one": SLEEP, "two": CRASH}, startretries=6)
    assert_reverted(site, result, conf, pids, "two")
    assert "two is FATAL" not in result["msg"]
    assert "exit status 3" in result["msg"]


@pytest.mark.fault(31)
def test_a_program_that_dies_just_past_startsecs_takes_everything_back(site: Site) -> None:
    site.deploy(TWO)
    pids, conf = site.pids(), site.conf()
    site.limits["window"] = 5
    result = site.deploy({"one": SLEEP, "two": CRASH_LATE})
    assert_reverted(site, result, conf, pids, "two")
    assert result["reason"] == "unstable"
    for part in ("did not stay up for 5 s", "exit status 4", "lost the broker"):
        assert part in result["msg"]


@pytest.mark.fault(32)
@pytest.mark.parametrize("kind", ["http", "tcp"])
def test_a_program_that_never_answers_takes_everything_back(site: Site, kind: str) -> None:
    site.deploy(TWO)
    pids, conf = site.pids(), site.conf()
    address = "127.0.0.1:%d" % reserve_port()
    check = {"http": {"http": f"http://{address}/"}, "tcp": {"tcp": address}}[kind]
    site.limits["health_timeout"] = 2
    result = site.deploy({"one": SLEEP, "two": f"echo deaf\n{SLEEP}"}, health={"two": check})
    assert_reverted(site, result, conf, pids, "two")
    assert result["reason"] == "unhealthy"
    for part in ("not healthy within 2 s: two: ", "Connection refused", "two is RUNNING", "deaf"):
        assert part in result["msg"]


def test_a_program_that_answers_late_is_waited_for(site: Site, tmp_path: Path) -> None:
    check = {"command": ["test", "-e", f"{tmp_path}/ready"]}
    late = f"(sleep 2; touch {tmp_path}/ready) & {SLEEP}"
    prepared = site.prepare({"one": late}, health={"one": check})
    result = site.activate(prepared["id"])
    assert result["changed"], result


def test_a_first_release_that_does_not_hold_leaves_nothing_running(site: Site) -> None:
    before = site.conf()
    result = site.deploy({"one": SLEEP, "two": CRASH})
    assert (result["failed"], result["reverted_to"]) == (True, None)
    assert "The instance was put back to what it ran before" in result["msg"]
    assert (site.states(), site.conf()) == ({}, before)


def test_a_bad_release_is_tried_again_only_when_it_is_deployed_again(
    site: Site, tmp_path: Path
) -> None:
    script = f"test -e {tmp_path}/database || exit 1\n{SLEEP}"
    site.limits["window"] = 5
    bad = site.deploy({"one": script})
    assert site.statuses() == {bad["id"]: "bad"}
    (tmp_path / "database").touch()
    result = site.deploy({"one": script})
    assert (result["id"], result["changed"]) == (bad["id"], True)
    assert site.statuses() == {bad["id"]: "good"}


@pytest.mark.fault(49)
def test_a_program_that_dies_after_the_window_but_before_it_has_held_takes_everything_back(
    site: Site,
) -> None:
    site.deploy(TWO)
    pids, conf = site.pids(), site.conf()
    late = "sleep 4\necho wrong password\nexit 4\n"
    result = site.deploy({"one": SLEEP, "two": late}, holds={"two": 30, "one": 3})
    assert_reverted(site, result, conf, pids, "two")
    assert result["reason"] == "unstable"
    for part in ("did not stay up for 30 s", "exit status 4", "wrong password"):
        assert part in result["msg"]


# ---- One-shot programs


def migrate(log: Path, version: str, ending: str = "exit 0\n") -> str:
    return f"echo begin {version} >> {log}\nsleep 1\necho end {version} >> {log}\n{ending}"


def serve(log: Path, version: str) -> str:
    return f"echo serve {version} >> {log}\n{SLEEP}"


def test_what_has_a_later_priority_waits_for_a_one_shot_program(site: Site, tmp_path: Path) -> None:
    log = tmp_path / "log"
    scripts = {"migrate": migrate(log, "1"), "one": serve(log, "1")}
    result = site.deploy(scripts, one_shot=["migrate"])
    assert result["changed"], result
    assert log.read_text().split("\n") == ["begin 1", "end 1", "serve 1", ""]
    assert site.states() == {"migrate": "EXITED", "one": "RUNNING"}
    again = site.deploy(scripts, one_shot=["migrate"])
    assert again["changed"] is False, again
    assert site.activate("", state="verified")["held"]
    config = str(site.daemon.conf)
    assert site.run_module("supervisorctl_info", config=config)["done"] == ["migrate"]
    scripts = {"migrate": migrate(log, "2"), "one": serve(log, "2")}
    assert site.deploy(scripts, one_shot=["migrate"])["changed"]
    assert log.read_text().split("\n")[3:] == ["begin 2", "end 2", "serve 2", ""]


@pytest.mark.fault(50)
def test_a_one_shot_program_that_fails_takes_everything_back_and_the_old_one_does_not_run_again(
    site: Site, tmp_path: Path
) -> None:
    log = tmp_path / "log"
    scripts = {"migrate": migrate(log, "1"), "one": serve(log, "1")}
    good = site.deploy(scripts, one_shot=["migrate"])
    bad = {"migrate": migrate(log, "2", "echo no such table\nexit 3\n"), "one": serve(log, "2")}
    result = site.deploy(bad, one_shot=["migrate"])
    assert (result["failed"], result["reverted_to"]) == (True, good["id"]), result
    for part in ("migrate is EXITED, exit status 3", "no such table"):
        assert part in result["msg"]
    told = log.read_text().split()
    assert (told.count("begin"), told.count("serve")) == (2, 2)
    assert told[-2:] == ["serve", "1"]
    assert site.states() == {"migrate": "STOPPED", "one": "RUNNING"}
    # It was not an operator who stopped it, so the next deploy runs it.
    scripts = {"migrate": migrate(log, "3"), "one": serve(log, "3")}
    assert site.deploy(scripts, one_shot=["migrate"])["changed"]
    assert log.read_text().split("\n")[-4:] == ["begin 3", "end 3", "serve 3", ""]


def test_a_rollback_does_not_run_a_one_shot_program(site: Site, tmp_path: Path) -> None:
    log = tmp_path / "log"
    releases = [
        site.deploy(
            {"migrate": migrate(log, version), "one": serve(log, version)}, one_shot=["migrate"]
        )
        for version in "12"
    ]
    assert site.activate(releases[0]["id"], state="rolled_back")["changed"]
    assert log.read_text().split("\n")[-2:] == ["serve 1", ""]
    assert log.read_text().count("begin") == 2


def test_a_one_shot_program_that_a_killed_run_has_started_is_waited_for(
    site: Site, spawn_module: Spawn, tmp_path: Path
) -> None:
    log, gate = tmp_path / "log", tmp_path / "gate"
    os.mkfifo(gate)
    script = f"echo begin >> {log}\nread x < {gate}\necho end >> {log}\nexit 0\n"
    site.deploy({"one": SLEEP})
    scripts = {"migrate": script, "one": serve(log, "2")}
    prepared = site.prepare(scripts, one_shot=["migrate"])
    step = "supervisor.controller:Controller._await_running"
    kill_at(site, spawn_module, prepared["id"], step)
    wait_until(log.exists, "the one-shot program")
    with subprocess.Popen(["/bin/sh", "-c", f"sleep 1; echo go > {gate}"]):
        result = site.activate(prepared["id"])
    assert result["changed"], result
    assert log.read_text().split("\n") == ["begin", "end", "serve 2", ""]


# ---- Commands that cannot run


def command(word: str, **more: Any) -> Result:
    known = {"setup": "", "login": False, "directory": "", "files": [], "environment": ""}
    return {"word": word, "trial": [], **known, **more}


@pytest.mark.fault(46)
def test_a_command_that_is_not_there_when_it_runs_is_named_before_anything_stops(
    site: Site, tmp_path: Path
) -> None:
    (tmp_path / "empty.jar").touch()
    (tmp_path / "plain").write_text("no program")
    site.deploy(TWO)
    pids, conf, known = site.pids(), site.conf(), site.statuses()
    wrong = {
        "nowhere": (command("/no/such/java"), "/no/such/java: No such file or directory"),
        "folder": (command(str(tmp_path)), f"{tmp_path} is not a regular file"),
        "plain": (command(f"{tmp_path}/plain"), f"{tmp_path}/plain is not executable"),
        "path": (
            command("my-java", setup=f"export PATH={tmp_path}:/usr/bin"),
            f"there is no my-java in its PATH, {tmp_path}:/usr/bin",
        ),
        "module": (
            command("sh", setup="echo no such module >&2; exit 1"),
            "its environment cannot be set up: \n  no such module",
        ),
        "jar": (command("sh", files=[f"{tmp_path}/empty.jar"]), f"{tmp_path}/empty.jar is empty"),
        "lost": (
            command("sh", files=[f"{tmp_path}/lost.jar"]),
            f"{tmp_path}/lost.jar: No such file or directory",
        ),
    }
    scripts = {**TWO, **dict.fromkeys(wrong, SLEEP)}
    commands = {name: given for name, (given, _told) in wrong.items()}
    result = site.prepare(scripts, commands={**commands, "one": command("/not/changed")})
    assert refused(site, result, "missing_command", conf, pids)
    for name, (_given, told) in wrong.items():
        assert f"{name}: {told}" in result["msg"]
    assert "Nothing was changed" in result["msg"]
    assert "/not/changed" not in result["msg"]
    assert site.statuses() == known
    fine = {name: command("sh", files=[f"{tmp_path}/plain"]) for name in wrong}
    assert site.prepare(scripts, commands=fine)["changed"]


@pytest.mark.fault(47)
def test_new_code_that_does_not_start_is_named_before_anything_stops(
    site: Site, tmp_path: Path
) -> None:
    tried = tmp_path / "tried"
    service = tmp_path / "service"
    service.write_text(f"#!{sys.executable}\nopen('{tried}', 'a').write('x')\nimport lost_code\n")
    service.chmod(0o755)
    known = command(str(service), environment=str(tmp_path), trial=["--help"])
    site.deploy(TWO)
    pids, conf = site.pids(), site.conf()
    scripts = {"one": f"# new\n{SLEEP}", "two": f"# new\n{SLEEP}"}
    options: Result = {"commands": {"one": known, "two": known}, "uses": [str(tmp_path)]}
    result = site.prepare(scripts, **options)
    assert refused(site, result, "missing_command", conf, pids)
    assert f"one: {service} --help ended with 1: " in result["msg"]
    assert "ModuleNotFoundError: No module named 'lost_code'" in result["msg"]
    assert tried.read_text() == "x"
    service.write_text(service.read_text().replace("import lost_code", ""))
    assert site.deploy(scripts, **options)["changed"]
    # Code that runs already is not tried.
    assert site.deploy({"one": f"# newer\n{SLEEP}"}, **options)["changed"]
    assert tried.read_text() == "xx"


@pytest.mark.fault(46)
def test_a_rollback_to_a_command_that_is_gone_stops_nothing(site: Site, tmp_path: Path) -> None:
    java = tmp_path / "java"
    java.touch(0o755)
    known = {"one": command(str(java))}
    old = site.deploy({"one": f"# old\n{SLEEP}"}, commands=known)
    site.deploy({"one": SLEEP}, commands=known)
    pids, conf = site.pids(), site.conf()
    java.unlink()
    result = site.activate(old["id"], state="rolled_back")
    assert refused(site, result, "missing_command", conf, pids)
    assert f"one: {java}: No such file or directory" in result["msg"]


# ---- Going back


def test_a_rollback_keeps_a_release_s_place_among_the_deploys(site: Site) -> None:
    first, second = site.deploy(TWO), site.deploy(NEW)
    before = {found["id"]: found["deploy"] for found in site.releases()["releases"]}
    assert before[first["id"]] < before[second["id"]]
    result = site.activate(first["id"], state="rolled_back")
    assert (result["changed"], result["affected"]) == (True, ["two"]), result
    info = site.releases()
    assert info["current"] == first["id"]
    assert {found["id"]: found["deploy"] for found in info["releases"]} == before
    assert set(site.statuses().values()) == {"good"}
    assert site.activate(first["id"], state="rolled_back")["changed"] is False


def test_a_rollback_to_a_release_that_no_longer_holds_is_undone(site: Site, tmp_path: Path) -> None:
    flag = tmp_path / "broken"
    old = site.deploy({"one": f"test -e {flag} && exit 5\n{SLEEP}", "two": SLEEP})
    site.deploy(TWO)
    flag.touch()
    conf, pids = site.conf(), site.pids()
    site.limits["window"] = 5
    result = site.activate(old["id"], state="rolled_back")
    assert_reverted(site, result, conf, pids, "one")


@pytest.mark.parametrize("state", ["bad", "prepared"])
def test_a_rollback_to_a_release_that_never_succeeded_is_refused(site: Site, state: str) -> None:
    site.deploy(TWO)
    other = site.deploy({"one": CRASH}) if state == "bad" else site.prepare(NEW)
    pids, conf = site.pids(), site.conf()
    result = site.activate(other["id"], state="rolled_back")
    assert refused(site, result, "bad_release", conf, pids)
    why = "is marked bad: could not start one" if state == "bad" else "never ran"
    assert f"release {other['id']} {why}" in result["msg"]


def test_a_deploy_that_failed_elsewhere_is_undone_and_its_release_not_marked_bad(
    site: Site,
) -> None:
    good = site.deploy(TWO)
    pids, conf = site.pids(), site.conf()
    prepared = site.prepare(NEW)
    number = prepared["deploy"]
    assert site.activate(prepared["id"], deploy=number)["affected"] == ["two"]
    result = site.activate(prepared["id"], state="reverted", deploy=number)
    assert (result["changed"], result["reverted_to"]) == (True, good["id"]), result
    assert (site.conf(), site.pids()["one"]) == (conf, pids["one"])
    assert site.statuses() == {good["id"]: "good", prepared["id"]: "prepared"}
    again = site.activate(prepared["id"], state="reverted", deploy=number)
    assert (again["changed"], site.conf()) == (False, conf)


def test_only_the_deploy_that_switched_is_taken_back(site: Site) -> None:
    site.deploy(TWO)
    prepared = site.prepare(NEW)
    site.activate(prepared["id"], deploy=prepared["deploy"])
    conf = site.conf()
    later = prepared["deploy"] + 7
    assert site.activate(prepared["id"], deploy=later)["changed"] is False
    result = site.activate(prepared["id"], state="reverted", deploy=later)
    assert (result["changed"], site.conf()) == (False, conf)


def test_a_deploy_that_finished_a_killed_one_is_taken_back_too(
    site: Site, spawn_module: Spawn
) -> None:
    good = site.deploy(TWO)
    prepared = site.prepare(NEW)
    kill_at(site, spawn_module, prepared["id"], "releases.watch:Watch.hold")
    number = site.prepare(NEW)["deploy"] + 7
    assert site.activate(prepared["id"], deploy=number)["held"]
    result = site.activate(prepared["id"], state="reverted", deploy=number)
    assert (result["changed"], result["reverted_to"]) == (True, good["id"]), result


@pytest.fixture
def dead_inside(site: Site, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Deploy two programs; a check fails for a process whose pid is in this file."""
    monkeypatch.setattr(verification, "SETTLED_SECONDS", 0)
    dead = tmp_path / "dead"
    dead.touch()
    check = {"command": ["sh", "-c", f"! grep -qx $PROGRAM_PID {dead} || {{ echo dead; exit 3; }}"]}
    result = site.deploy(TWO, health={"one": check, "two": check})
    assert (result["changed"], result.get("warnings")) == (True, None)
    return dead


@pytest.mark.fault(61)
def test_what_is_running_and_unhealthy_is_restarted_once_and_reported(
    site: Site, dead_inside: Path
) -> None:
    before = site.pids()
    dead_inside.write_text(f"{before['one']}\n")
    predicted = site.activate("", check=True, state="verified", restart_unhealthy=True)
    assert (predicted["affected"], site.pids()) == (["one"], before)
    result = site.activate("", state="verified", restart_unhealthy=True)
    assert (result["changed"], result["affected"]) == (True, ["one"])
    (warning,) = result["warnings"]
    told = "one was RUNNING, but unhealthy: sh ended with 3: dead. It was restarted."
    assert told in str(warning)
    after = site.pids()
    assert (after["one"] != before["one"], after["two"]) == (True, before["two"])
    assert not site.activate("", state="verified", restart_unhealthy=True)["changed"]
    assert site.pids() == after


@pytest.mark.fault(61)
def test_what_stays_unhealthy_is_restarted_once_and_all_of_it_is_named(
    site: Site, dead_inside: Path
) -> None:
    before = site.pids()
    dead_inside.write_text("".join(f"{pid}\n" for pid in range(1, 99999)))
    options = {"health_timeout": 1, "restart_unhealthy": True}
    result = site.activate("", state="verified", programs=["one"], **options)
    assert (result["failed"], result["reason"], result["changed"]) == (True, "unhealthy", True)
    assert result["failed_programs"] == ["one"]
    assert "Restarted because they were unhealthy: one." in result["msg"]
    assert site.pids()["two"] == before["two"]
    result = site.activate("", state="verified", health_timeout=1)
    assert result["failed_programs"] == ["one", "two"]


@pytest.mark.fault(62)
def test_what_is_unhealthy_because_something_else_is_away_is_not_restarted(
    site: Site, dead_inside: Path
) -> None:
    check = {"one": {"command": ["sh", "-c", f"test ! -e {dead_inside}.db || exit 75"]}}
    site.deploy(TWO, health=check)
    before = site.pids()
    Path(f"{dead_inside}.db").touch()
    result = site.activate("", state="verified", health_timeout=1, restart_unhealthy=True)
    assert (result["reason"], result["failed_programs"]) == ("unhealthy", ["one"])
    assert "one: what it needs is away" in result["msg"]
    assert site.pids() == before


@pytest.mark.fault(61)
def test_a_deploy_that_changes_nothing_warns_of_what_is_unhealthy_and_leaves_it_alone(
    site: Site, dead_inside: Path
) -> None:
    before = site.pids()
    dead_inside.write_text(f"{before['two']}\n")
    result = site.deploy(TWO, health=current_health(site))
    assert not result["changed"]
    (warning,) = result["warnings"]
    assert "two is RUNNING, but unhealthy: sh ended with 3: dead." in str(warning)
    assert site.pids() == before


def test_the_health_of_what_runs_is_returned_if_that_is_asked_for(
    site: Site, dead_inside: Path
) -> None:
    dead_inside.write_text(f"{site.pids()['two']}\n")
    assert site.releases()["health"] == {}
    assert site.releases(health=True)["health"] == {"one": None, "two": "sh ended with 3: dead"}
    assert site.releases()["frozen"] is None
    (site.directory / "frozen").write_text("jane since noon: why\n")
    assert site.releases()["frozen"] == "jane since noon: why"
    site.stop("two")
    assert site.releases(health=True)["health"] == {"one": None}
    site.daemon.stop()
    found = site.releases(health=True)
    assert (found["health"], found["current"]) == ({}, found["releases"][0]["id"])


def current_health(site: Site) -> Result:
    (record,) = (json.loads(path.read_text()) for path in site.directory.glob("releases/*.json"))
    found: Result = record["health"]
    return found


def test_what_runs_is_verified_without_a_change(site: Site, tmp_path: Path) -> None:
    check = {"one": {"command": ["test", "-e", f"{tmp_path}/ready"]}}
    (tmp_path / "ready").touch()
    good = site.deploy(TWO, health=check)
    pids = site.pids()
    result = site.activate("", state="verified")
    assert (result["changed"], result["id"]) == (False, good["id"]), result
    (tmp_path / "ready").unlink()
    result = site.activate("", state="verified", health_timeout=1)
    assert (result["reason"], result["failed_programs"]) == ("unhealthy", ["one"])
    assert site.pids() == pids


# ---- What old releases leave


def age(*paths: Path | str) -> None:
    for path in paths:
        os.utime(path, (0, 0))


def test_old_releases_go_with_what_only_they_used_except_what_runs(
    site: Site, tmp_path: Path
) -> None:
    pool = tmp_path / "pool"
    pool.mkdir()
    used = {name: pool / name for name in ("first", "second", "running", "young")}
    for path in used.values():
        path.mkdir()
        (path / "file").touch()
    one = site.deploy({"one": f"# 1\n{SLEEP}"}, uses=[str(used["first"])])
    two = site.deploy({"one": f"# 2\n{SLEEP}"}, uses=[str(used["second"])])
    records = site.directory / "releases"
    age(*used.values(), *records.iterdir())
    os.utime(used["young"])
    with subprocess.Popen(["/bin/sh", "-c", "read x", str(used["running"] / "bin")], stdin=-1) as p:
        three = site.prepare({"one": f"# 3\n{SLEEP}"})
        result = site.activate(three["id"], keep=2, prune=[str(pool)])
        p.communicate()
    assert sorted(result["pruned"]) == [str(records / f"{one['id']}.json"), str(used["first"])]
    assert sorted(path.name for path in pool.iterdir()) == ["running", "second", "young"]
    assert set(site.statuses()) == {two["id"], three["id"]}


# ---- What an operator has done


def test_what_an_operator_has_stopped_stays_stopped(site: Site) -> None:
    site.deploy(TWO)
    site.stop("two")
    result = site.deploy(TWO)
    assert (result["changed"], site.states()["two"]) == (False, "STOPPED")


def test_what_is_stopped_gets_its_new_definition_and_stays_stopped(site: Site) -> None:
    site.deploy(TWO)
    site.stop("two")
    result = site.deploy({"one": SLEEP, "two": f"# new\n{SLEEP}"})
    assert (result["changed"], result["affected"]) == (True, ["two"]), result
    assert site.states() == {"one": "RUNNING", "two": "STOPPED"}


@pytest.mark.fault(48)
@pytest.mark.parametrize("command", ["own file", "another file"])
def test_what_is_stopped_does_not_run_even_for_a_moment(
    site: Site, tmp_path: Path, command: str
) -> None:
    site.deploy(TWO)
    site.stop("two")
    marker, log = tmp_path / "ran", site.daemon.root / "supervisord.log"
    spawned = log.read_text().count("spawned: 'two'")
    new = f"echo ran >> {marker}\n{SLEEP}"
    if command == "own file":
        result = site.deploy({"one": SLEEP, "two": new})
    else:  # this one cannot be prevented from starting, but is stopped at once
        (tmp_path / "two").write_text(f"#!/bin/sh\n{SLEEP}")
        (tmp_path / "two").chmod(0o755)
        options = "startsecs=1\nstartretries=1\nredirect_stderr=true\n"
        text = f"[program:two]\ncommand={tmp_path}/two\n{options}"
        result = site.deploy({}, programs=text)
    assert result["affected"][-1] == "two", result
    assert (site.states()["two"], marker.exists()) == ("STOPPED", False)
    assert log.read_text().count("spawned: 'two'") == spawned + (command == "another file")
    shim = [path for path in site.directory.glob("two-*") if not os.access(path, os.X_OK)]
    assert shim == []
    site.run_module("supervisorctl", name="two", state="started", config=str(site.daemon.conf))
    if command == "own file":
        wait_until(marker.exists, "what it does")
    assert marker.exists() == (command == "own file")


def test_a_release_is_not_judged_by_stopped_programs(site: Site) -> None:
    site.deploy(TWO)
    site.stop("two")
    result = site.deploy({"one": SLEEP, "two": CRASH})
    assert result["changed"], result
    assert site.states() == {"one": "RUNNING", "two": "STOPPED"}


def test_what_has_died_is_started_by_the_next_deploy(site: Site, tmp_path: Path) -> None:
    flag = tmp_path / "broken"
    site.deploy({"one": SLEEP, "two": f"test -e {flag} && exit 1\n{SLEEP}"})
    flag.touch()
    os.kill(site.pids()["two"] or 0, signal.SIGKILL)
    wait_until(lambda: site.states()["two"] == "FATAL", "FATAL")
    pids = site.pids()
    flag.unlink()
    result = site.deploy({"one": SLEEP, "two": f"test -e {flag} && exit 1\n{SLEEP}"})
    assert (result["changed"], result["affected"]) == (True, ["two"]), result
    assert site.states()["two"] == "RUNNING"
    assert site.pids()["one"] == pids["one"]


def test_a_program_that_died_and_dies_again_is_reported_and_nothing_is_undone(
    site: Site, tmp_path: Path
) -> None:
    flag = tmp_path / "broken"
    scripts = {"one": SLEEP, "two": f"test -e {flag} && exit 5\n{SLEEP}"}
    site.deploy(TWO)
    good = site.deploy(scripts)
    flag.touch()
    os.kill(site.pids()["two"] or 0, signal.SIGKILL)
    wait_until(lambda: site.states()["two"] == "FATAL", "FATAL")
    conf, pid = site.conf(), site.pids()["one"]
    site.limits["window"] = 5
    result = site.deploy(scripts)
    assert (result["failed"], result["failed_programs"]) == (True, ["two"])
    assert "exit status 5" in result["msg"]
    assert "put back" not in result["msg"]
    assert site.conf() == conf
    assert site.pids()["one"] == pid
    assert site.statuses()[good["id"]] == "good"


@pytest.mark.fault(43)
def test_a_conf_and_a_shim_that_were_changed_by_hand_are_repaired(site: Site) -> None:
    good = site.deploy(TWO)
    conf, shim = site.conf(), next(site.directory.glob("one-*"))
    content = shim.read_text()
    site.daemon.conf.write_text(conf.replace("startretries=1", "startretries=9"))
    shim.write_text("#!/bin/sh\necho by hand\n")
    shim.chmod(0o777)
    prepared = site.prepare(TWO)
    assert (prepared["changed"], prepared["id"]) == (True, good["id"])
    assert prepared["published"] == [str(shim)]
    assert prepared["affected"] == ["one", "two"]
    assert (shim.read_text(), shim.stat().st_mode & 0o7777) == (content, 0o750)
    assert site.activate(good["id"])["changed"]
    assert site.conf() == conf
    assert site.states() == {"one": "RUNNING", "two": "RUNNING"}


@pytest.mark.fault(43)
def test_a_conf_that_was_broken_by_hand_is_repaired(site: Site) -> None:
    good = site.deploy(TWO)
    conf, pids = site.conf(), site.pids()
    site.daemon.conf.write_text(conf.replace("startsecs=1", "startsecs=soon"))
    assert site.deploy(TWO)["changed"]
    assert (site.conf(), site.pids()) == (conf, pids)
    assert site.activate(good["id"])["changed"] is False


# ---- What is refused before anything is switched


def refused(site: Site, result: Result, reason: str, conf: str, pids: Any) -> bool:
    """Return whether nothing has happened, and the reason was reported."""
    assert result["failed"], result
    assert result["reason"] == reason, result
    return site.conf() == conf and site.pids() == pids


@pytest.mark.fault(29)
@pytest.mark.parametrize("lines", ["startsecs=soon\n", "command=/no/such/command\n", "no option\n"])
def test_a_candidate_that_supervisor_refuses_is_never_committed(site: Site, lines: str) -> None:
    site.deploy(TWO)
    pids, conf, known = site.pids(), site.conf(), site.statuses()
    programs = f"[program:one]\ncommand=/bin/sleep 9\n{lines}".replace(
        "command=/bin/sleep 9\ncommand", "command"
    )
    result = site.prepare({}, programs=programs)
    assert refused(site, result, "broken_conf", conf, pids)
    assert site.statuses() == known


def test_a_release_that_lost_a_file_is_not_switched_to(site: Site) -> None:
    site.deploy(TWO)
    pids, conf = site.pids(), site.conf()
    prepared = site.prepare({"one": f"# new\n{SLEEP}"})
    Path(prepared["published"][0]).unlink()
    assert refused(site, site.activate(prepared["id"]), "incomplete_release", conf, pids)


def test_a_health_check_for_no_program_is_refused(site: Site) -> None:
    result = site.prepare(TWO, health={"tow": {"tcp": "127.0.0.1:1"}})
    assert refused(site, result, "bad_option", site.conf(), {})
    assert "there are health checks for tow, but the release has no such program" in result["msg"]


@pytest.mark.fault(45)
def test_an_unknown_release_is_named(site: Site) -> None:
    assert refused(site, site.activate("20260101T000000Z-0"), "unknown_release", site.conf(), {})


@pytest.mark.fault(11)
def test_a_wrong_key_switches_nothing(site: Site) -> None:
    good = site.deploy(TWO)
    pids, conf = site.pids(), site.conf()
    prepared = site.prepare({"one": f"# new\n{SLEEP}"})
    site.daemon.conf.write_text(conf.replace(KEY, "another-key_0123456789"))
    result = site.activate(prepared["id"])
    assert site.conf() == conf.replace(KEY, "another-key_0123456789")
    site.daemon.conf.write_text(conf)
    assert refused(site, result, "wrong_key", conf, pids)
    assert site.statuses() == {prepared["id"]: "prepared", good["id"]: "good"}


def test_a_supervisord_that_is_down_switches_nothing(site: Site) -> None:
    prepared = site.prepare(TWO)
    conf = site.conf()
    site.daemon.end()
    result = site.activate(prepared["id"])
    assert (result["reason"], site.conf()) == ("down", conf)
    assert site.statuses() == {prepared["id"]: "prepared"}


def test_a_program_that_supervisord_has_lost_is_named_and_not_started_twice(
    site: Site, monkeypatch: pytest.MonkeyPatch
) -> None:
    prepared = site.prepare(TWO)
    conf = site.conf()
    lost = Observation([Program("one", "one", "UNKNOWN", 7)], Change([], [], []))
    monkeypatch.setattr(under_test, "observe_release", lambda *_args, **_options: lost)
    result = site.activate(prepared["id"])
    assert (result["reason"], site.conf()) == ("lost_program", conf)


def test_an_instance_that_is_not_configured_is_named(site: Site) -> None:
    site.daemon.conf.rename(site.daemon.root / "away")
    result = site.prepare(TWO)
    (site.daemon.root / "away").rename(site.daemon.conf)
    assert (result["failed"], result["reason"]) == (True, "unreadable_conf")
    assert "configure the instance first" in result["msg"]


# ---- One at a time


HOLDER = """\
import fcntl, os, sys
handle = os.open(sys.argv[1], os.O_RDWR | os.O_CREAT)
fcntl.flock(handle, fcntl.LOCK_EX)
print("held", flush=True)
sys.stdin.read()
"""


def lock_of(site: Site) -> str:
    daemon = site.daemon
    return lock_path(str(daemon.conf), f"{daemon.root}/pid", [os.geteuid()])


@pytest.mark.fault(14)
def test_a_lock_is_waited_for_and_its_holder_named_and_a_dead_one_s_is_free(site: Site) -> None:
    prepared = site.prepare(TWO)
    conf = site.conf()
    with subprocess.Popen(
        [sys.executable, "-c", HOLDER, lock_of(site)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
    ) as holder:
        assert holder.stdout is not None
        holder.stdout.readline()
        result = site.activate(prepared["id"], lock_timeout=0)
        assert refused(site, result, "locked", conf, {})
        assert f"pid {holder.pid}" in result["msg"]
        holder.kill()
    assert site.activate(prepared["id"], lock_timeout=0)["changed"]


@pytest.mark.fault(13)
@pytest.mark.parametrize("deployers", [2, 4])
def test_deployers_at_once_activate_one_after_the_other(
    site: Site, spawn_module: Spawn, tmp_path: Path, deployers: int
) -> None:
    scripts = [f"echo {number} > {tmp_path}/served\n{SLEEP}" for number in range(deployers)]
    ids = [site.prepare({"one": script})["id"] for script in scripts]
    options = {**site.common, **site.limits, "lock_timeout": 120}
    with locked_file(lock_of(site), 10):  # all of them wait
        runs = [spawn_module("release", state="active", id=release, **options) for release in ids]
    results = [json.loads(run.communicate(timeout=PATIENCE)[0]) for run in runs]
    assert [result.get("changed") for result in results] == [True] * deployers, results
    assert int((tmp_path / "served").read_text()) == ids.index(site.releases()["current"])
    assert site.states() == {"one": "RUNNING"}
    assert set(site.statuses().values()) == {"good"}


# ---- Killed


KILL = """
import os, signal
from importlib import import_module
module = import_module("ansible_collections.jgi.jaws.plugins.module_utils.{module}")
real = module.{name}
def killed(*args, **options):
    {before}
    os.kill(os.getpid(), signal.SIGKILL)
module.{name} = killed
"""


def kill_at(site: Site, spawn: Spawn, release: str, step: str, after: bool = False) -> None:
    """Activate a release and be killed at a step, before or after the step was done."""
    module, _colon, name = step.partition(":")
    before = "real(*args, **options)" if after else "pass"
    hook = KILL.format(module=module, name=name, before=before)
    options = {**site.common, **site.limits, "state": "active", "id": release}
    run = spawn("release", hook, **options)
    assert run.communicate(timeout=PATIENCE)[0] == ""
    assert run.returncode == -signal.SIGKILL


def litter(site: Site) -> list[str]:
    found = [*site.daemon.root.glob("*.new"), *site.daemon.root.glob(".*")]
    return [path.name for path in found]


NEW = {"one": SLEEP, "two": f"# new\n{SLEEP}"}


@pytest.mark.fault(2)
@pytest.mark.fault(3)
@pytest.mark.parametrize("after", [False, True])
def test_killed_around_the_commit_the_old_release_serves_and_a_rerun_converges(
    site: Site, spawn_module: Spawn, after: bool
) -> None:
    site.deploy(TWO)
    conf, pids = site.conf(), {p.name: p.pid for p in site.observe().programs}
    prepared = site.prepare(NEW)
    kill_at(site, spawn_module, prepared["id"], "releases.store:Store.switch", after)
    assert (site.conf() == conf) is not after
    assert {p.name: p.pid for p in site.observe().programs} == pids
    result = site.activate(site.prepare(NEW)["id"])
    assert (result["changed"], result["affected"]) == (True, ["two"]), result
    assert site.pids()["one"] == pids["one"]
    assert litter(site) == []


@pytest.mark.fault(3)
@pytest.mark.parametrize("known", [True, False])
def test_a_release_is_unproven_until_an_interrupted_deploy_was_completed(
    site: Site, spawn_module: Spawn, known: bool
) -> None:
    site.deploy(TWO)
    site.deploy(NEW)
    before = max(found["deploy"] for found in site.releases()["releases"])
    prepared = site.prepare(TWO if known else {"one": SLEEP, "two": f"# newer\n{SLEEP}"})
    kill_at(site, spawn_module, prepared["id"], "releases.watch:Watch.hold")
    info = site.releases()
    assert (info["current"], info["state"]) == (prepared["id"], "unproven")
    assert site.statuses()[prepared["id"]] == "unproven"
    assert info["unproven_deploy"] > before
    assert site.activate(prepared["id"])["held"]
    assert (site.releases()["state"], site.releases()["unproven_deploy"]) == ("good", None)


@pytest.mark.fault(3)
def test_killed_after_the_commit_the_next_start_of_supervisord_serves_the_new_release(
    site: Site, spawn_module: Spawn
) -> None:
    site.deploy(TWO)
    prepared = site.prepare(NEW)
    kill_at(site, spawn_module, prepared["id"], "releases.store:Store.switch", after=True)
    site.daemon.end()
    site.daemon.start()
    wait_until(lambda: set(site.states().values()) == {"RUNNING"}, "RUNNING")
    result = site.activate(prepared["id"])
    assert (result["changed"], result["affected"]) == (False, []), result
    assert site.statuses()[prepared["id"]] == "good"


# ---- Nothing runs


def postpone(site: Site, scripts: dict[str, str]) -> Result:
    prepared = site.prepare(scripts)
    return site.activate(prepared["id"], postpone=True)


def start_and_prove(*sites: Site) -> subprocess.CompletedProcess[str]:
    """Do what a Slurm job does: start the supervisords, and run what the deploys have left."""
    for site in sites:
        site.daemon.start()
    return prove(*sites)


def prove(*sites: Site) -> subprocess.CompletedProcess[str]:
    programs = [str(site.directory / "prove.pyz") for site in sites]
    # Without Ansible and this collection.
    command = [sys.executable, "-I", "-S", programs[0], *programs]
    return subprocess.run(command, check=False, capture_output=True, text=True, timeout=PATIENCE)


@pytest.mark.fault(68)
def test_a_release_that_is_deployed_while_nothing_runs_is_proven_by_the_next_start(
    site: Site,
) -> None:
    good = site.deploy(TWO)
    site.daemon.end()
    assert site.activate(site.prepare(NEW)["id"])["reason"] == "down"
    result = postpone(site, NEW)
    assert (result["postponed"], result["changed"], result["before"]) == (True, True, good["id"])
    assert (site.releases()["current"], site.releases()["state"]) == (result["id"], "unproven")
    assert not postpone(site, NEW)["changed"]
    program = site.directory / "prove.pyz"
    waits = subprocess.run([sys.executable, program, program], check=False, capture_output=True)
    assert (waits.returncode, site.releases()["state"]) == (1, "unproven")
    proven = start_and_prove(site)
    assert (proven.returncode, proven.stderr) == (0, "")
    assert f"release {result['id']} holds" in proven.stdout
    assert site.statuses() == {result["id"]: "good", good["id"]: "good"}
    assert site.states() == {"one": "RUNNING", "two": "RUNNING"}
    assert not program.exists()
    # While it runs, a deploy needs no proof afterwards.
    assert "postponed" not in postpone(site, TWO)


def with_notifier(site: Site) -> Path:
    """Give the instance a notifier, which writes to the path."""
    root, told = site.daemon.root, site.daemon.root / "told"
    instance = {
        "name": "i", "directory": str(root), "config": str(site.daemon.conf), "group": "",
        "log_dir": str(root), "python": sys.executable, "about": {"instances": ["dev_jtm"]},
    }  # fmt: skip
    wanted = notifier(["/bin/sh", "-c", f"cat >>{told}"], instance)
    made = site.run_module("tree", paths=wanted["paths"])
    assert not made.get("failed"), made
    ((section, options),) = wanted["sections"].items()
    lines = [f"[{section}]", *(f"{key}={value}" for key, value in options.items())]
    site.daemon.write("\n".join([*lines, DIVIDER, ""]), head=f"{BANNER}\n{HEAD}")
    return told


@pytest.mark.fault(68)
def test_if_the_first_start_shows_that_a_release_fails_all_instances_of_the_job_go_back(
    site: Site, short_tmp: Path, run_module: Callable[..., Result]
) -> None:
    (short_tmp / "other").mkdir()
    other = Site(Daemon(short_tmp / "other"), run_module)
    other.daemon.write("")
    told = with_notifier(site)
    try:
        good = site.deploy(TWO)
        site.daemon.end()
        site.limits["window"] = 5
        bad = postpone(site, {"one": SLEEP, "two": CRASH_LATE})
        first = postpone(other, TWO)
        proven = start_and_prove(other, site)
        assert proven.returncode == 0
        assert proven.stderr.endswith(" the command ended with status 0\n")
        assert f"The instance was put back to {good['id']}" in proven.stdout
        report = json.loads(told.read_text())
        assert {key: report[key] for key in ("event", "instances", "release", "programs")} == {
            "event": "deploy_failed", "instances": ["dev_jtm"], "release": bad["id"],
            "programs": ["two"],
        }  # fmt: skip
        assert "lost the broker" in report["message"]
        assert site.statuses() == {bad["id"]: "bad", good["id"]: "good"}
        assert site.states() == {NOTIFIER: "RUNNING", "one": "RUNNING", "two": "RUNNING"}
        # The other one held, but had nothing before.
        assert other.statuses() == {first["id"]: "prepared"}
        assert other.releases()["current"] is None
        assert other.states() == {}
    finally:
        other.daemon.end()


def test_a_proof_that_waited_for_another_deploy_leaves_its_release_alone(site: Site) -> None:
    site.deploy(TWO)
    site.daemon.end()
    postpone(site, NEW)
    site.daemon.start()
    prepared = site.prepare({"one": SLEEP, "two": f"# not now\n{SLEEP}"})
    patience = {**site.limits, "lock_timeout": 1}
    with locked_file(f"{site.directory}/prove.pyz.lock"):  # as a proof on another node does
        site.limits, patient = patience, site.limits
        assert site.activate(prepared["id"])["reason"] == "locked"
        site.limits = patient
    options = proof._due(str(site.directory / "prove.pyz"))
    assert options is not None
    newer = site.deploy({"one": SLEEP, "two": f"# newer\n{SLEEP}"})
    assert under_test.manage(options, False).get("held") is None
    assert site.releases()["current"] == newer["id"]
    assert prove(site).returncode == 0
    assert site.releases()["current"] == newer["id"]


@pytest.mark.fault(68)
@pytest.mark.parametrize("state", ["reverted", "rolled_back"])
def test_what_is_taken_back_while_nothing_runs_never_starts(site: Site, state: str) -> None:
    good = site.deploy(TWO)
    site.daemon.end()
    waiting = postpone(site, NEW)
    release = {"reverted": waiting, "rolled_back": good}[state]["id"]
    number = site.releases()["unproven_deploy"]
    options = {**site.common, **site.limits, "state": state, "id": release, "postpone": True}
    undone = site.run_module("release", deploy=number, **options)
    assert undone["changed"], undone
    assert site.releases()["current"] == good["id"]
    assert start_and_prove(site).returncode == 0
    assert site.statuses() == {waiting["id"]: "prepared", good["id"]: "good"}
    assert site.programs().keys() == TWO.keys()
    assert not (site.directory / "prove.pyz").exists()


@pytest.mark.fault(4)
def test_killed_between_stop_and_add_a_rerun_heals(site: Site, spawn_module: Spawn) -> None:
    site.deploy(TWO)
    prepared = site.prepare(NEW)
    kill_at(site, spawn_module, prepared["id"], "supervisor.controller:Controller._add")
    assert [program.name for program in site.observe().programs] == ["one"]
    assert site.activate(prepared["id"])["affected"] == ["two"]
    assert site.states() == {"one": "RUNNING", "two": "RUNNING"}


@pytest.mark.fault(5)
def test_killed_before_it_was_verified_a_rerun_takes_a_bad_release_back(
    site: Site, spawn_module: Spawn
) -> None:
    good = site.deploy(TWO)
    conf = site.conf()
    prepared = site.prepare({"one": SLEEP, "two": CRASH_LATE})
    kill_at(site, spawn_module, prepared["id"], "releases.watch:Watch.hold")
    site.limits["window"] = 5
    result = site.activate(prepared["id"])
    assert (result["failed"], result["reverted_to"]) == (True, good["id"]), result
    assert site.conf() == conf
    assert site.states() == {"one": "RUNNING", "two": "RUNNING"}


@pytest.mark.fault(5)
@pytest.mark.parametrize("again", ["the bad one", "another one"])
def test_killed_while_it_took_a_release_back_a_rerun_converges(
    site: Site, spawn_module: Spawn, again: str
) -> None:
    good = site.deploy(TWO)
    conf = site.conf()
    scripts = {"one": SLEEP, "two": CRASH}
    prepared = site.prepare(scripts)
    kill_at(site, spawn_module, prepared["id"], "release:Switch.goal")
    assert site.statuses()[prepared["id"]] == "bad"
    if again == "another one":
        scripts = {"one": CRASH, "two": SLEEP}
    result = site.deploy(scripts)
    assert (result["failed"], result["reverted_to"]) == (True, good["id"]), result
    assert site.conf() == conf
    assert site.states() == {"one": "RUNNING", "two": "RUNNING"}


# ---- Check mode


@pytest.mark.fault(42)
def test_check_mode_on_a_bare_host_predicts_and_writes_nothing(
    daemon: Daemon, run_module: Callable[..., Result]
) -> None:
    site = Site(daemon, run_module)
    before = sorted(daemon.root.rglob("*"))
    prepared = site.prepare(TWO, check=True)
    assert (prepared["changed"], prepared["affected"]) == (True, ["one", "two"]), prepared
    assert site.activate(prepared["id"], check=True)["changed"]
    assert sorted(daemon.root.rglob("*")) == before


@pytest.mark.fault(42)
def test_check_mode_predicts_exactly_and_touches_nothing(site: Site) -> None:
    good = site.deploy(TWO)
    for scripts, changes in ((TWO, False), (NEW, True)):
        before = {path: path.lstat().st_mtime_ns for path in site.daemon.root.rglob("*")}
        pids = site.pids()
        prepared = site.prepare(scripts, check=True)
        assert prepared["changed"] is changes, prepared
        assert prepared["affected"] == (["two"] if changes else [])
        assert site.activate(prepared["id"], check=True)["changed"] is changes
        assert site.pids() == pids
        del before[site.daemon.root / "supervisord.log"]
        assert {path: path.lstat().st_mtime_ns for path in before} == before
    site.prepare(NEW)
    result = site.activate(site.prepare(NEW)["id"], check=True)
    assert (result["changed"], result["affected"]) == (True, ["two"]), result
    assert "# new" not in str(result)
    assert site.releases()["current"] == good["id"]


@pytest.mark.fault(42)
def test_check_mode_predicts_the_start_of_what_has_died(site: Site, tmp_path: Path) -> None:
    flag = tmp_path / "broken"
    scripts = {"one": f"test -e {flag} && exit 1\n{SLEEP}"}
    good = site.deploy(scripts)
    flag.touch()
    os.kill(site.pids()["one"] or 0, signal.SIGKILL)
    wait_until(lambda: site.states()["one"] == "FATAL", "FATAL")
    result = site.activate(good["id"], check=True)
    assert (result["changed"], result["affected"]) == (True, ["one"])
    assert site.states() == {"one": "FATAL"}


# ---- Secrets and modes


@pytest.mark.fault(37)
def test_a_secret_is_in_its_file_only(site: Site) -> None:
    file = {"path": f"{site.directory}/site.conf", "content": f"password = {SECRET}\n"}
    results = []
    for scripts in (TWO, {"one": CRASH}):
        inputs = site.inputs(scripts)
        inputs["plan"]["files"].append(file)
        results.append(site.run_module("release", False, True, state="prepared", **inputs))
        results.append(site.activate(results[-1]["id"]))
    results.append(site.releases())
    assert [result.get("failed", False) for result in results] == [False, False, False, True, False]
    assert SECRET not in json.dumps(results)
    assert KEY not in json.dumps(results)
    holders = [p for p in site.daemon.root.rglob("*") if p.is_file() and SECRET in p.read_text()]
    assert holders == [site.directory / "site.conf"]
    assert holders[0].stat().st_mode & 0o7777 == 0o640
    records = site.directory.glob("releases/*.json")
    assert {path.stat().st_mode & 0o7777 for path in records} == {0o640}
    assert site.daemon.conf.stat().st_mode & 0o7777 == 0o600
    assert HEAD.format(root=site.daemon.root, key=KEY) in site.conf()


# ---- Meanwhile on the host


@pytest.mark.fault(59)
@pytest.mark.parametrize("state", ["stopped", "restarted"])
def test_what_people_do_while_a_release_is_watched_is_not_its_fault(
    site: Site, spawn_module: Spawn, tmp_path: Path, state: str
) -> None:
    watched = tmp_path / "watched"
    old = site.deploy(TWO)["id"]
    check = {"two": {"command": ["touch", str(watched)]}}
    new = site.prepare({"one": SLEEP, "two": f"# new\n{SLEEP}"}, health=check)["id"]
    limits = {**site.limits, "window": 60}
    run = spawn_module("release", state="active", id=new, **site.common, **limits)
    wait_until(watched.exists, "the watch")
    config = str(site.daemon.conf)
    assert site.run_module("supervisorctl", name="two", state=state, config=config)["changed"]
    result = json.loads(run.communicate()[0].splitlines()[-1])
    assert result["reason"] == "stopped_by_others"
    assert "could not be watched: somebody stopped or restarted two meanwhile" in result["msg"]
    assert f"The instance was put back to {old}." in result["msg"]
    assert site.statuses()[new] == "prepared"
    two = "STOPPED" if state == "stopped" else "RUNNING"
    assert site.states() == {"one": "RUNNING", "two": two}


CHILD = "sleep 1000 &\necho $! >>{}\nexec sleep 1001\n"


@pytest.mark.fault(54)
def test_a_deploy_ends_what_a_killed_program_has_left_and_says_so(
    site: Site, tmp_path: Path
) -> None:
    note = tmp_path / "children"
    release = site.deploy({"one": CHILD.format(note)})["id"]
    first = site.pids()["one"]
    assert first
    os.kill(first, signal.SIGKILL)
    wait_until(lambda: len(note.read_text().split()) == 2, "the next start")
    wait_until(lambda: site.states()["one"] == "RUNNING", "RUNNING")
    old, new = map(int, note.read_text().split())
    assert site.activate(release, check=True)["changed"]
    assert not has_ended(old)
    result = site.activate(release)
    assert result["changed"]
    assert result["leftovers"] == [f"one: sleep 1000 (pid {old})"]
    assert f"sleep 1000 (pid {old}) was ended" in str(result["warnings"])
    assert has_ended(old)
    assert not has_ended(new)
    assert not site.activate(release)["changed"]
