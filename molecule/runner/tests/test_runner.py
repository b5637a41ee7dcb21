# SPDX-License-Identifier: GPL-3.0-or-later
"""Two gitlab-runners of one account, kept by nohup and by the user's systemd."""

from __future__ import annotations

import json
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from testinfra.host import Host

from tests.integration.conftest import wait_until

Runner = Any  # the fixture's class, in conftest.py


def test_each_is_online_and_a_session_of_its_own(
    runner: Runner, login: Callable[..., Host]
) -> None:
    assert runner.gitlab.ask("state")["runners"][str(runner.number)]["status"] == "online"
    told = login("jaws").check_output("ps -o sid=,tty=,user= %s", str(runner.pid)).split()
    assert told == [str(runner.pid), "?", "jaws"]


def test_status_shows_each_as_a_row_of_the_table(runner: Runner) -> None:
    shown = runner.operator.play("status")
    assert shown.succeeded, shown.output
    rows = [line.split() for line in shown.output.splitlines()]
    assert [runner.host, "gitlab-runner", "RUNNING", str(runner.pid)] in [row[:4] for row in rows]


def test_status_notes_what_gitlab_says_of_one_that_is_not_online(runner: Runner) -> None:
    runner.gitlab.ask("down", down=True)
    try:
        shown = runner.operator.play("status")
    finally:
        runner.gitlab.ask("down", down=False)
    assert (
        f"{runner.host}: http://127.0.0.1:8929/ gave no answer to rely on: HTTP 503" in shown.said
    )


def test_one_that_is_down_is_named_by_status_and_started_by_recover(runner: Runner) -> None:
    runner.end()
    shown = runner.operator.play("status")
    assert not shown.succeeded
    assert f"not running: {runner.host} gitlab-runner" in shown.said
    played = runner.operator.play("recover")
    assert played.succeeded, played.output
    assert runner.pid


def test_recover_on_a_healthy_runner_changes_nothing_in_eight_tasks(runner: Runner) -> None:
    pid = runner.pid
    played = runner.operator.play("recover")
    assert (played.succeeded, played.changed[runner.host]) == (True, 0), played.output
    assert played.tasks[runner.host] - skipped(played, runner.host) <= 8
    assert runner.pid == pid


def skipped(played: Any, host: str) -> int:
    (line,) = [
        line for line in played.output.splitlines() if line.startswith(f"{host} ") and "ok=" in line
    ]
    return int(line.partition("skipped=")[2].split()[0])


def test_one_that_was_started_by_hand_is_recognised_and_not_doubled(runner: Runner) -> None:
    runner.end()
    pid = runner.by_hand()
    if runner.manager == "systemd_user":  # it ends first, so that one runs and not two
        runner.deploy()
        assert not runner.runs(pid)
        status = runner.systemctl("systemctl --user show gitlab-runner --property=MainPID --value")
        assert runner.pid == int(status)
        return
    played = runner.deploy()
    assert played.succeeded, played.output
    assert runner.pid == pid
    assert runner.deploy().changed[runner.host] == 0


def test_a_changed_configuration_is_read_again_by_the_same_process(runner: Runner) -> None:
    pid, loaded = runner.pid, runner.log.count("Configuration loaded")
    played = runner.deploy("--extra-vars=gitlab_runner_concurrent=2")
    assert (played.succeeded, played.changed[runner.host]) == (True, 2), played.output
    wait_until(lambda: runner.log.count("Configuration loaded") == loaded + 1, "a reload")
    assert runner.pid == pid


def test_a_changed_token_is_seen_and_the_new_runner_is_online(
    runner: Runner, tmp_path: Path
) -> None:
    pid, number = runner.pid, runner.number + 100
    token = f"glrt-another_token_of_{number}"
    runner.gitlab.ask("runners", id=number, token=token)
    given = tmp_path / "token.json"
    given.write_text(json.dumps({"gitlab_runner_token": token}))
    played = runner.deploy(f"--extra-vars=@{given}", "--diff")
    assert f"says that runner {number} is online" in played.said, played.output
    assert token not in played.output
    assert runner.pid == pid


@pytest.mark.fault(40)
def test_an_upgrade_waits_for_the_running_job(runner: Runner) -> None:
    old = runner.pid
    number, go_on = runner.waiting_job()
    drained = runner.log.count("SIGQUIT received")
    played: list[Any] = []
    deploy = threading.Thread(target=lambda: played.append(runner.deploy(other=True)))
    deploy.start()
    try:
        wait_until(lambda: runner.log.count("SIGQUIT received") > drained, "it drains", 120)
        assert runner.gitlab.job(number)["status"] == "running"
        assert runner.runs(old)
    finally:
        go_on()
        deploy.join()
    assert played[0].succeeded, played[0].output
    assert runner.gitlab.job(number)["status"] == "success"
    assert not runner.runs(old)
    assert runner.pid


@pytest.mark.fault(40)
def test_an_upgrade_names_its_deadline_and_cuts_no_job(runner: Runner) -> None:
    old = runner.pid
    number, go_on = runner.waiting_job()
    try:
        played = runner.deploy("--extra-vars=gitlab_runner_drain_timeout=1", other=True)
        assert not played.succeeded
        assert "still runs 1 s after SIGQUIT" in played.said, played.output
        assert (runner.gitlab.job(number)["status"], runner.runs(old)) == ("running", True)
        assert "STOPPING" in runner.operator.play("status").said
    finally:
        go_on()
    wait_until(lambda: runner.gitlab.job(number)["status"] == "success", "the job ends well")
    wait_until(lambda: not runner.runs(old), "the old runner ends after its job")


def test_a_deploy_in_its_own_job_leaves_it_running_and_says_so(runner: Runner) -> None:
    pid = runner.pid
    job = {"CI_RUNNER_ID": str(runner.number), "CI_SERVER_URL": "http://127.0.0.1:8929"}
    inside = type(runner.operator)(*runner.operator.arguments, **job)
    played = runner.deploy(other=True, who=inside)
    assert played.succeeded, played.output
    assert "this play runs inside it: it was left running" in played.said
    assert runner.pid == pid


SUPERVISORD = """\
[supervisord]
logfile={root}/log
pidfile={root}/pid
directory={root}
[program:a]
command=/bin/sleep 10000
"""


@pytest.mark.fault(39)
def test_a_supervisord_that_a_job_started_outlives_the_runner(
    runner: Runner, login: Callable[..., Host]
) -> None:
    jaws, root = login("jaws"), f"/tmp/supervisord-{runner.number}"
    conf = SUPERVISORD.format(root=root)
    jaws.check_output("mkdir %s && cat >%s/conf <<'END'\n" + conf + "\nEND", root, root)
    number = runner.job(f"/opt/supervisor/bin/supervisord -c {root}/conf")
    wait_until(lambda: runner.gitlab.job(number)["status"] == "success", "the job")
    wait_until(lambda: jaws.file(f"{root}/pid").exists, "its pid file")
    pid = jaws.file(f"{root}/pid").content_string.strip()
    child = jaws.check_output("pgrep -P %s", pid)
    try:
        old = runner.pid
        assert runner.deploy(other=True).succeeded
        if runner.manager == "systemd_user":
            runner.systemctl("systemctl --user restart gitlab-runner")
        assert not runner.runs(old)
        assert jaws.check_output("pgrep -P %s", pid) == child
    finally:
        jaws.check_output("kill %s", pid)
        wait_until(lambda: jaws.run("kill -0 %s", pid).failed, "the end of supervisord")
        jaws.check_output("rm -r %s", root)


def test_absent_lingering_is_explained_and_nothing_is_touched(machine: Host, operator: Any) -> None:
    lingers = "/var/lib/systemd/linger/jaws"
    machine.check_output("rm %s", lingers)
    try:
        played = operator.play("gitlab_runner", "--limit=runner_systemd_user")
    finally:
        machine.check_output("touch %s", lingers)
    assert not played.succeeded
    assert (
        "jaws does not linger: its services would end at logout and not start at boot."
        in played.said
    )
    assert "loginctl enable-linger jaws" in played.said
    assert "Nothing was changed." in played.said
