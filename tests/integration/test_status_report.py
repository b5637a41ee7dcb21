# SPDX-License-Identifier: GPL-3.0-or-later
"""The table of programs, as Ansible prints it."""

from __future__ import annotations

import json
import time
from pathlib import Path
from typing import Any

from tests.integration.conftest import ansible

Result = dict[str, Any]


def program(name: str, state: str = "RUNNING", pid: int | None = 7) -> Result:
    return {"name": name, "state": state, "pid": pid, "start_time": int(time.time()) - 3700}


def report(home: Path, *instances: Result) -> tuple[int, str]:
    """Return the exit status and the output of the action plugin."""
    call = ("-m", "jgi.jaws.status_report", "-a", json.dumps({"instances": instances}))
    done = ansible("adhoc", "localhost", "-i", "localhost,", *call, home=home)
    return done.returncode, done.stdout


def result(home: Path, module: str, **options: Any) -> tuple[list[str], Result]:
    """Return the lines that an action plugin prints, and its result."""
    call = ("-m", f"jgi.jaws.{module}", "-a", json.dumps(options))
    done = ansible(
        "adhoc", "localhost", "-i", "localhost,", *call, home=home,
        ANSIBLE_CALLBACK_RESULT_FORMAT="json",
    )  # fmt: skip
    printed, _sign, shown = done.stdout.partition(" => ")
    found: Result = json.loads(shown[: shown.rindex("}") + 1])
    return printed.splitlines(), found


def test_everything_that_runs_is_one_table_and_success(tmp_path: Path) -> None:
    programs = [program("jaws-jtm"), program("jaws-cromwell", pid=12345)]
    jaws: Result = {"name": "dev_jaws", "status": {"programs": [program("rest")]}, "release": "r1"}
    jtm = {"name": "dev_jtm", "status": {"programs": programs}, "release": None}
    code, output = report(tmp_path, jaws, jtm)
    assert code == 0, output
    lines = output.splitlines()
    start = next(number for number, line in enumerate(lines) if line.startswith("INSTANCE"))
    assert [line.split() for line in lines[start : start + 4]] == [
        ["INSTANCE", "PROGRAM", "STATE", "PID", "UPTIME", "RELEASE"],
        ["dev_jaws", "rest", "RUNNING", "7", "1h01m", "r1"],
        ["dev_jtm", "jaws-jtm", "RUNNING", "7", "1h01m", "-"],
        ["dev_jtm", "jaws-cromwell", "RUNNING", "12345", "1h01m", "-"],
    ]


def test_whatever_does_not_run_is_named_and_a_failure(tmp_path: Path) -> None:
    never = dict(program("never", "STOPPED", None), start_time=None)
    fallen = program("fallen", "FATAL", None)
    failed = {"failed": True, "msg": "supervisord is down: start it.", "reason": "down"}
    down = {"name": "down", "status": failed}
    code, output = report(
        tmp_path,
        {"name": "dev", "status": {"programs": [program("up"), fallen, never]}, "release": "r1"},
        {"name": "empty", "status": {"programs": []}},
        down,
        {"name": "unreached", "status": {}},
    )
    assert code != 0
    assert "not running: dev fallen, dev never, empty (supervisord), down (supervisord)," in output
    assert "down: supervisord is down: start it." in output
    assert "empty: supervisord has no programs: deploy first" in output
    assert "unreached: not reached" in output
    table = {tuple(line.split()[:3]) for line in output.splitlines()}
    assert ("dev", "fallen", "FATAL") in table
    assert ("dev", "never", "STOPPED") in table
    assert ("down", "(supervisord)", "DOWN") in table
    assert ("unreached", "(supervisord)", "UNKNOWN") in table


def runs() -> Result:
    started = time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(time.time() - 3700))
    return {"running": True, "pid": 42, "started_at": started, "stopping": None}


def runner(name: str, process: Result, **gitlab: Any) -> Result:
    return {"name": name, "runner": {"process": process, "gitlab": gitlab}}


def test_a_gitlab_runner_is_a_row_and_gitlabs_report_on_an_offline_one_is_a_note(
    tmp_path: Path,
) -> None:
    code, output = report(
        tmp_path,
        {"name": "dev", "status": {"programs": [program("rest")]}, "release": "r1"},
        runner("one", runs(), online=True, valid=True, saw="it is online"),
        runner("two", runs(), online=None, valid=True, saw="it knows the token"),
        runner("three", runs(), online=False, valid=True, saw="it was never in contact"),
    )
    assert code == 0, output
    rows = [line.split() for line in output.splitlines()]
    for name in ("one", "two", "three"):
        assert [name, "gitlab-runner", "RUNNING", "42", "1h01m", "-"] in rows
    assert "three: it was never in contact" in output
    assert not [line for line in output.splitlines() if line.startswith(("one: ", "two: "))]


def test_a_gitlab_runner_that_does_not_run_is_named_and_a_failure(tmp_path: Path) -> None:
    twice = {"failed": True, "msg": "gitlab-runner runs 2 times"}
    code, output = report(
        tmp_path,
        runner("down", {"running": False}),
        runner("ending", dict(runs(), stopping="SIGQUIT at noon"), online=True),
        runner("unreached", {}),
        runner("twice", twice),
    )
    assert code != 0
    names = ("down", "ending", "unreached", "twice")
    told = "not running: " + ", ".join(f"{name} gitlab-runner" for name in names)
    assert told in " ".join(output.split())  # Ansible may break the line
    assert "down: not running; the playbook recover starts it" in output
    assert "unreached: not reached" in output
    assert "twice: gitlab-runner runs 2 times" in output
    assert ["ending", "gitlab-runner", "STOPPING"] in [
        line.split()[:3] for line in output.splitlines()
    ]


def test_what_is_printed_is_in_the_result_too(tmp_path: Path) -> None:
    up = {"name": "up", "status": {"programs": [program("rest")]}, "release": "r1"}
    down = {"name": "down", "status": {"msg": "it is down", "reason": "down"}}
    printed, found = result(tmp_path, "status_report", instances=[up, down])
    assert found["not_running"] == ["down (supervisord)"]
    assert [line.split()[:1] for line in found["stdout_lines"]] == [
        ["INSTANCE"],
        ["up"],
        ["down"],
        ["down:"],
    ]
    assert set(found["stdout_lines"]) <= set(printed)


def test_the_table_of_releases_is_in_the_result_too(tmp_path: Path) -> None:
    record = {"id": "r1", "status": "good", "activated": None, "author": "me", "ci_job": None}
    instance = {"current": "r1", "releases": [{**record, "packages": ["a-1"], "why": None}]}
    printed, found = result(tmp_path, "release_report", instances={"dev": instance})
    assert [line.split()[:4] for line in found["stdout_lines"]] == [
        ["INSTANCE", "RELEASE", "STATUS", "ACTIVATED"],
        ["dev", "r1", "good,", "current"],
    ]
    assert set(found["stdout_lines"]) <= set(printed)
