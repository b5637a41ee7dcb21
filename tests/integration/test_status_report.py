# SPDX-License-Identifier: GPL-3.0-or-later
"""The table of programs, as Ansible prints it."""

from __future__ import annotations

import json
import time
from functools import partial
from importlib import import_module
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from ansible.errors import AnsibleActionFail

from ansible_collections.jgi.jaws.plugins.module_utils.gitlab_runner_info import (
    Answer,
    runner_state,
)
from ansible_collections.jgi.jaws.plugins.module_utils.supervisor.programs import NOTIFIER
from shown import blocks, is_in
from tests.integration.conftest import ansible

Result = dict[str, Any]


def program(name: str, state: str = "RUNNING", pid: int | None = 7) -> Result:
    return {"name": name, "state": state, "pid": pid, "start_time": int(time.time()) - 3700}


def result(module: str, **options: Any) -> tuple[int, Result]:
    """Return the result of an action plugin in this process, and the exit status that follows."""
    plugin = import_module(f"ansible_collections.jgi.jaws.plugins.action.{module}")
    given = json.loads(json.dumps(options))
    task = SimpleNamespace(args=given, async_val=0, check_mode=False)
    connection = SimpleNamespace(_shell=SimpleNamespace(tmpdir="/not/used"))
    action = plugin.ActionModule(task, connection, None, None, None, None)
    action._display = SimpleNamespace(columns=79)
    try:
        found: Result = action.run(None, {})
    except AnsibleActionFail as error:
        found = {"failed": True, "msg": str(error)}
    return 4 if found.get("unreachable") else 2 * found.get("failed", False), found


def result_of_ansible(home: Path, module: str, **options: Any) -> tuple[int, Result]:
    """Return the same of a run of Ansible. The plugin prints nothing itself."""
    call = ("-m", f"jgi.jaws.{module}", "-a", json.dumps(options))
    done = ansible(
        "adhoc", "localhost", "-i", "localhost,", *call, home=home,
        ANSIBLE_CALLBACK_RESULT_FORMAT="json",
    )  # fmt: skip
    printed, _sign, shown = done.stdout.partition(" => ")
    assert "INSTANCE" not in printed
    found: Result = json.loads(shown[: shown.rindex("}") + 1])
    return done.returncode, found


def report(
    *instances: Result, strict: bool = False, home: Path | None = None
) -> tuple[int, list[str], str]:
    """Return the exit status, the lines of the table, and the message.

    :param home: run Ansible with this home directory.
    """
    run = partial(result_of_ansible, home) if home else result
    code, found = run("status_report", instances=instances, strict=strict)
    return code, found["stdout_lines"], found["msg"]


def test_everything_that_runs_is_one_table_and_success(tmp_path: Path) -> None:
    programs = [program("jaws-jtm"), program("jaws-cromwell", pid=12345)]
    programs[0]["restarts"] = 2
    own = [program("rest"), program(NOTIFIER)]  # which is only shown if it does not run
    jaws: Result = {"name": "dev_jaws", "status": {"programs": own}, "release": "r1"}
    releases = {"title": "r2", "health": {"jaws-jtm": None}}
    jtm = {"name": "dev_jtm", "status": {"programs": programs}, "releases": releases}
    code, lines, message = report(jaws, jtm, home=tmp_path)
    assert (code, message) == (0, "everything is running")
    assert [line.split() for line in lines] == [
        ["INSTANCE", "PROGRAM", "STATE", "HEALTH", "RESTARTS", "PID", "UPTIME", "RELEASE"],
        ["dev_jaws", "rest", "RUNNING", "-", "-", "7", "1h01m", "r1"],
        ["dev_jtm", "jaws-jtm", "RUNNING", "ok", "2", "7", "1h01m", "r2"],
        ["dev_jtm", "jaws-cromwell", "RUNNING", "-", "-", "12345", "1h01m", "r2"],
    ]


def test_whatever_does_not_run_is_named_and_a_failure(tmp_path: Path) -> None:
    fallen = program("fallen", "FATAL", None)
    fallen.update(ended="exit status 7", last_line="no broker\x1b[2J")
    ended = dict(program("ended", "EXITED", None), exit_status=3)
    failed = {"failed": True, "msg": "supervisord is down: start it.", "reason": "down"}
    code, lines, message = report(
        {"name": "dev", "status": {"programs": [program("up"), fallen, ended]}, "release": "r1"},
        {"name": "mute", "status": {"programs": [program(NOTIFIER, "FATAL", None)]}},
        {"name": "empty", "status": {"programs": []}},
        {"name": "down", "status": failed},
        {"name": "unreached", "status": {}},
        home=tmp_path,
    )
    assert code == 2
    assert message == (
        f"not running: dev fallen, dev ended, mute {NOTIFIER}, empty (supervisord), "
        "down (supervisord), unreached (supervisord)"
    )
    assert lines[-5:] == [
        r"dev fallen: exit status 7; no broker\x1b[2J",
        "dev ended: exit status 3",
        "empty: supervisord has no programs: deploy first",
        "down: supervisord is down: start it.",
        "unreached: not reached",
    ]
    table = {tuple(line.split()[:3]) for line in lines}
    assert ("dev", "fallen", "FATAL") in table
    assert ("down", "(supervisord)", "DOWN") in table
    assert ("unreached", "(supervisord)", "UNKNOWN") in table


def test_what_is_unhealthy_is_named_with_its_reason_and_a_failure() -> None:
    programs = [program("deaf"), program("up"), program("off", "STOPPED", None)]
    health = {"deaf": "what it needs is away: RabbitMQ\x1b[2J", "up": None, "off": "outdated"}
    dev = {"name": "dev", "status": {"programs": programs}, "releases": {"health": health}}
    code, lines, message = report(dev)
    assert (code != 0, message) == (True, "unhealthy: dev deaf")
    assert [line.split()[2:4] for line in lines[1:4]] == [
        ["RUNNING", "unhealthy"],
        ["RUNNING", "ok"],
        ["STOPPED", "-"],
    ]
    assert lines[4:] == [
        r"dev deaf: what it needs is away: RabbitMQ\x1b[2J",
        "dev off: stopped on purpose",
    ]
    programs.append(program("fallen", "FATAL", None))
    _code, _lines, message = report(dev)
    assert message == "not running: dev fallen; unhealthy: dev deaf"


def test_what_was_stopped_on_purpose_does_not_fail_unless_that_is_asked_for() -> None:
    stopped = program("stopped", "STOPPED", None)
    never = dict(program("never", "STOPPED", None), start_time=None)
    dev = {"name": "dev", "status": {"programs": [program("up"), stopped, never]}}
    code, lines, message = report(dev)
    assert code == 0
    assert message == (
        "everything is running, except what was stopped on purpose: dev stopped, dev never"
    )
    assert lines[-2:] == [
        "dev stopped: stopped on purpose",
        "dev never: does not start by itself (autostart=false)",
    ]
    code, _lines, message = report(dev, strict=True)
    assert code != 0
    assert message == "not running: dev stopped, dev never"


def test_a_one_shot_program_that_has_done_its_work_does_not_fail() -> None:
    once = dict(program("once", "EXITED", None), exit_status=0)
    dev = {"name": "dev", "status": {"programs": [once], "done": ["once"]}}
    code, lines, message = report(dev, strict=True)
    assert (code, message) == (0, "everything is running")
    assert lines[-1] == "dev once: has done its work"


def test_the_table_fits_80_columns_and_what_is_left_out_is_below() -> None:
    programs = [program("jaws-site-central-rpc", pid=1234567), program("jaws-central-auth")]
    status = {"programs": programs, "outdated": True}
    release = "20261122T130141Z-95a2e45f"
    local = {"name": "local_dev_jaws", "status": status, "release": release}
    code, lines, _message = report(local)
    assert code == 0
    assert max(map(len, lines[:3])) <= 80
    assert lines[0].split() == ["INSTANCE", "PROGRAM", "STATE", "HEALTH", "RESTARTS", "UPTIME"]
    assert lines[3].startswith("local_dev_jaws: supervisord runs from an older installation")
    assert lines[4] == f"local_dev_jaws: release {release}"


def test_the_advice_at_the_end_of_a_long_message_about_a_supervisord_is_shown() -> None:
    told = f"{'it rejected the key. ' * 15}Run rotate_key."
    failed = {"failed": True, "msg": told, "reason": "wrong_key"}
    talkative = dict(program("talkative", "FATAL", None), last_line="word " * 200)
    dev = {"name": "dev", "status": {"programs": [talkative]}}
    _code, lines, _message = report({"name": "jtm", "status": failed}, dev)
    assert f"jtm: {told}" in lines
    [line] = [line for line in lines if line.startswith("dev talkative: ")]
    assert len(line) <= 3 * 80


def test_uptimes_are_by_the_clock_of_the_host() -> None:
    late = {"programs": [dict(program("up"), start_time=1000)], "now": 1060}
    _code, lines, _message = report({"name": "dev", "status": late})
    assert lines[1].split()[6] == "1m00s"


def runs() -> Result:
    started = time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(time.time() - 3700))
    return {"running": True, "pid": 42, "started_at": started, "stopping": None}


def runner(name: str, process: Result, **gitlab: Any) -> Result:
    return {"name": name, "runner": {"process": process, "gitlab": gitlab}}


def test_a_gitlab_runner_is_a_row_and_gitlabs_report_on_an_offline_one_is_a_note() -> None:
    code, lines, _message = report(
        {"name": "dev", "status": {"programs": [program("rest")]}, "release": "r1"},
        runner("one", runs(), online=True, valid=True, saw="it is online"),
        runner("two", runs(), online=None, valid=True, saw="it knows the token"),
        runner("three", runs(), online=False, valid=True, saw="it was never in contact"),
    )
    assert code == 0, lines
    rows = [line.split() for line in lines]
    for name in ("one", "two", "three"):
        assert [name, "gitlab-runner", "RUNNING", "-", "-", "42", "1h01m", "-"] in rows
    assert lines[5:] == ["three: it was never in contact"]


def test_a_grey_runner_is_shown_as_in_the_guide() -> None:
    answer = Answer(200, {"status": "offline", "contacted_at": "2026-11-30T02:14:07.000Z"})
    told = runner_state({"url": "https://code.jgi.doe.gov", "since": ""}, 7, answer)
    _code, lines, _message = report(runner("cori_runner", runs(), valid=True, **told))
    [block] = [block for block in blocks() if block.group == "@table"]
    assert is_in(block.output, "\n".join(lines), ""), lines


def test_a_gitlab_runner_that_does_not_run_is_named_and_a_failure() -> None:
    twice = {"failed": True, "msg": "gitlab-runner runs 2 times"}
    code, lines, message = report(
        runner("down", {"running": False}),
        runner("ending", dict(runs(), stopping="SIGQUIT at noon"), online=True),
        runner("unreached", {}),
        runner("twice", twice),
    )
    assert code != 0
    names = ("down", "ending", "unreached", "twice")
    assert message == "not running: " + ", ".join(f"{name} gitlab-runner" for name in names)
    assert "down: not running; the playbook recover starts it" in lines
    assert "unreached: not reached" in lines
    assert "twice: gitlab-runner runs 2 times" in lines
    assert ["ending", "gitlab-runner", "STOPPING"] in [line.split()[:3] for line in lines]


def test_the_table_of_releases_is_the_result(tmp_path: Path) -> None:
    record = {"id": "r1", "state": "current", "deploy": 7, "created": 1, "author": "me"}
    more = {"activated": None, "packages": ["a-1"], "why": None}
    instance = {"current": "r1", "releases": [{**record, **more}]}
    _code, found = result_of_ansible(tmp_path, "release_report", instances={"dev": instance})
    heading, row, origin, packages = found["stdout_lines"]
    assert heading.split() == ["INSTANCE", "RELEASE", "STATE", "DEPLOY"]
    assert row.split() == ["dev", "r1", "current", "7"]
    assert origin.endswith(" ago by me")
    assert packages == "  a-1"


@pytest.mark.parametrize("suffix", ["json", "prom", "html"])
def test_what_runs_is_written_to_a_file_for_other_programs(tmp_path: Path, suffix: str) -> None:
    path = tmp_path / f"status.{suffix}"
    path.write_text("old")
    dev = {"name": "dev", "site": "CORI", "status": {"programs": [program("rest")]}}
    run = partial(result_of_ansible, tmp_path) if suffix == "json" else result
    code, found = run("status_report", instances=[dev], file=str(path))
    assert code == 0, found
    assert "CORI" in path.read_text()
    assert "rest" in path.read_text()
    assert path.stat().st_mode & 0o777 == 0o644
    assert list(tmp_path.glob(".status*")) == []


def test_a_status_file_that_cannot_be_written_is_named(tmp_path: Path) -> None:
    for path in (tmp_path / "status.txt", tmp_path / "missing/status.json"):
        code, found = result("status_report", instances=[], file=str(path))
        assert code != 0
        assert found["msg"].count("status file: ") == 1
        assert found["msg"].count(str(path.parent)) == 1


def test_a_supervisord_whose_job_waits_is_neither_good_nor_failed(tmp_path: Path) -> None:
    job = {"state": "PENDING", "said": "job 42 waits: Resources"}
    unproven = {"title": "r2 (unproven)", "state": "unproven"}
    waits = {"name": "dev_jtm", "status": {"reason": "down"}, "job": job, "releases": unproven}
    code, lines, message = report(waits, home=tmp_path)
    assert (code, message) == (4, "waiting: dev_jtm (supervisord)")
    assert lines[1].split()[:3] == ["dev_jtm", "(supervisord)", "WAITING"]
    assert lines[2:4] == [
        "dev_jtm: r2 (unproven), waits for the job",
        "dev_jtm: job 42 waits: Resources",
    ]
    # A gitlab-runner in a job of its own, too.
    code, lines, message = report(dict(runner("one", {"running": False}), job=job))
    assert (code, message) == (4, "waiting: one gitlab-runner")
    assert lines[1].split()[:3] == ["one", "gitlab-runner", "WAITING"]
    assert lines[2] == "one: job 42 waits: Resources"
