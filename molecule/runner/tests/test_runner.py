# SPDX-License-Identifier: GPL-3.0-or-later
"""Two gitlab-runners of one account, kept by nohup and by the user's systemd."""

from __future__ import annotations

import json
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import Any, NamedTuple

import pytest
from testinfra.host import Host
from waiting import wait_until

Runner = Any  # the class in conftest.py
Runners = Any


def test_each_is_online_and_a_session_of_its_own(runners: Runners) -> None:
    for runner in runners:
        told = runner.jaws.check_output("ps -o sid=,tty=,user= %s", str(runner.pid)).split()
        assert told == [str(runner.pid), "?", "jaws"]
        state = runner.gitlab.ask("state")["runners"][str(runner.number)]
        assert state["status"] == "online"


def rows(shown: Any) -> list[list[str]]:
    """Return the cells of a table of status, except the last ones, which may hold spaces."""
    return [line.split()[:6] for line in shown.output.splitlines()]


def row(runner: Runner) -> list[str]:
    """Return the row of a runner that runs.

    It has neither a health check nor restarts: GitLab is asked, and nothing starts it again.
    """
    return [runner.host, "gitlab-runner", "RUNNING", "-", "-", str(runner.pid)]


def test_status_shows_each_as_a_row_and_notes_what_gitlab_reports_if_it_is_not_online(
    runners: Runners,
) -> None:
    runners.gitlab.ask("down", down=True)
    try:
        shown = runners.operator.play("status")
    finally:
        runners.gitlab.ask("down", down=False)
    assert shown.succeeded, shown.output
    for runner in runners:
        assert row(runner) in rows(shown)
        told = f"{runner.host}: http://127.0.0.1:8929/ did not answer properly: HTTP 503"
        assert told in shown.said
    assert "outdated" not in shown.said  # because the runner runs as it was deployed


class Recovered(NamedTuple):
    """What was played while both were down, and which processes run since then."""

    status: Any
    recover: Any
    again: Any
    pids: list[int]


@pytest.fixture(scope="module")
def recovered(both: Runners) -> Recovered:
    for runner in both:
        runner.end()
    status, recover = both.operator.play("status"), both.operator.play("recover")
    assert recover.succeeded, recover.output
    pids = both.pids
    return Recovered(status, recover, both.operator.play("recover"), pids)


def test_what_is_down_is_named_by_status_and_started_by_recover_once(
    recovered: Recovered, runners: Runners
) -> None:
    again = recovered.again
    assert not recovered.status.succeeded
    assert again.succeeded, again.output
    for runner in runners:
        assert f"{runner.host} gitlab-runner" in recovered.status.said.partition("not running: ")[2]
        assert again.changed[runner.host] == 0, again.output
        assert again.tasks[runner.host] - again.skipped[runner.host] <= 8
        # It ends with the table of status.
        assert row(runner) in rows(again)
    assert "outdated" not in again.said
    assert runners.pids == recovered.pids


def has_reloaded(runner: Runner, before: int) -> bool:
    return bool(runner.log.count("Configuration loaded") > before)


def test_a_changed_configuration_and_token_are_read_again_by_the_same_process(
    recovered: Recovered, runners: Runners, tmp_path: Path
) -> None:
    loaded = [runner.log.count("Configuration loaded") for runner in runners]
    tokens = {runner.host: f"glrt-another_token_of_{runner.number}" for runner in runners}
    for runner in runners:
        runners.gitlab.ask("runners", id=runner.number + 100, token=tokens[runner.host])
    given = tmp_path / "token.json"
    of_host = "{{ another_token[inventory_hostname] }}"
    changed = {"gitlab_runner_token": of_host, "gitlab_runner_concurrent": 2}
    given.write_text(json.dumps({"another_token": tokens, **changed}))
    played = runners.deploy(f"--extra-vars=@{given}", "--diff")
    assert played.succeeded, played.output
    assert set(played.changed.values()) == {2}, played.output
    for runner, before in zip(runners, loaded, strict=True):
        assert f"reports runner {runner.number + 100} as online" in played.said, played.output
        assert tokens[runner.host] not in played.output
        wait_until(partial(has_reloaded, runner, before), "a reload")
        assert runner.log.count("Configuration loaded") == before + 1
    # Nor does a deploy replace what was only started.
    assert runners.pids == recovered.pids


def test_a_runner_that_was_started_by_hand_is_recognised_and_not_started_twice(
    runners: Runners,
) -> None:
    for runner in runners:
        runner.end()
    pids = {runner.manager: runner.by_hand() for runner in runners}
    played = runners.deploy()
    assert played.succeeded, played.output
    by_nohup, by_systemd = runners
    assert by_nohup.pid == pids["nohup"]
    # It ends first, so that one runs and not two.
    assert by_systemd.pid != pids["systemd_user"]
    shown = by_systemd.systemctl("systemctl --user show gitlab-runner --property=MainPID --value")
    assert by_systemd.pid == int(shown)
    assert not any(runners.deploy().changed.values())


SUPERVISORD = """\
[supervisord]
logfile={root}/log
pidfile={root}/pid
directory={root}
[program:a]
command=/bin/sleep 10000
"""


@contextmanager
def supervisord_of_a_job(runner: Runner) -> Iterator[Callable[[], str]]:
    """Start a supervisord in a job, as JAWS does; yield a look at its children."""
    jaws, root = runner.jaws, f"/tmp/supervisord-{runner.number}"
    conf = SUPERVISORD.format(root=root)
    jaws.check_output(
        "rm -rf %s && mkdir %s && cat >%s/conf <<'END'\n" + conf + "\nEND", root, root, root
    )
    number = runner.job(f"/opt/supervisor/bin/supervisord -c {root}/conf")
    wait_until(lambda: runner.gitlab.job(number)["status"] == "success", "the job")
    wait_until(lambda: jaws.file(f"{root}/pid").exists, "its pid file")
    pid = jaws.file(f"{root}/pid").content_string.strip()
    try:
        wait_until(lambda: jaws.run("pgrep -P %s", pid).stdout, "its program")
        yield lambda: jaws.run("pgrep -P %s", pid).stdout
    finally:
        jaws.run("kill %s", pid)
        wait_until(lambda: jaws.run("kill -0 %s", pid).failed, "the end of supervisord")
        jaws.check_output("rm -r %s", root)


@contextmanager
def upgrade(runners: Runners) -> Iterator[list[Any]]:
    """Deploy the other version meanwhile; the list has the result afterwards."""
    played: list[Any] = []
    deploy = threading.Thread(target=lambda: played.append(runners.deploy(other=True)))
    deploy.start()
    try:
        yield played
    finally:
        deploy.join()


@pytest.mark.fault(39)
@pytest.mark.fault(40)
def test_an_upgrade_waits_for_the_running_jobs_and_spares_what_jobs_have_started(
    runners: Runners,
) -> None:
    by_nohup, by_systemd = runners
    old = runners.pids
    with supervisord_of_a_job(by_nohup) as first, supervisord_of_a_job(by_systemd) as second:
        children = [first(), second()]
        jobs = [runner.waiting_job() for runner in runners]
        with upgrade(runners) as played:
            try:
                for runner, pid, (number, go_on) in zip(runners, old, jobs, strict=True):
                    draining = f"pid={pid} .*SIGQUIT received"
                    wait_until(lambda r=runner, d=draining: r.has_logged(d), "it drains")
                    assert runner.gitlab.job(number)["status"] == "running"
                    assert runner.runs(pid)
                    go_on()
            finally:
                for _number, go_on in jobs:
                    go_on()
        assert played[0].succeeded, played[0].output
        assert [runners.gitlab.job(n)["status"] for n, _go_on in jobs] == ["success"] * 2
        assert not set(old) & set(runners.pids)
        by_systemd.systemctl("systemctl --user restart gitlab-runner")
        assert [first(), second()] == children


@pytest.mark.fault(40)
def test_an_upgrade_names_its_time_limit_and_interrupts_no_job(runners: Runners) -> None:
    old = dict(zip(runners, runners.pids, strict=True))
    jobs = {runner: runner.waiting_job() for runner in runners}
    try:
        played = runners.deploy("--extra-vars=gitlab_runner_drain_timeout=1", other=True)
        assert not played.succeeded
        assert played.said.count("still runs 1 s after SIGQUIT") >= 2, played.output
        shown = runners.operator.play("status").output.splitlines()
        states = {line.split()[0]: line.split()[2] for line in shown if " gitlab-runner " in line}
        for runner, (number, _go_on) in jobs.items():
            assert runner.gitlab.job(number)["status"] == "running"
            assert runner.runs(old[runner])
            assert states[runner.host] == "STOPPING"
    finally:
        for _number, go_on in jobs.values():
            go_on()
    for runner, (number, _go_on) in jobs.items():
        wait_until(lambda n=number: runners.gitlab.job(n)["status"] == "success", "the job's end")
        wait_until(lambda r=runner: not r.runs(old[r]), "the old runner ends after its job")


@pytest.mark.parametrize("which", [0, 1], ids=["nohup", "systemd_user"])
def test_a_deploy_in_its_own_job_leaves_it_running_and_says_so(
    runners: Runners, which: int
) -> None:
    runner = runners.each[which]
    pid = runner.pid
    job = {"CI_RUNNER_ID": str(runner.number), "CI_SERVER_URL": "http://127.0.0.1:8929"}
    inside = type(runners.operator)(*runners.operator.arguments, **job)
    played = runners.deploy(f"--limit={runner.host}", other=True, who=inside)
    assert played.succeeded, played.output
    assert "this play runs inside it, so it was left running" in played.said
    assert runner.pid == pid


def test_absent_lingering_is_explained_and_nothing_is_touched(
    runners: Runners, machine: Host
) -> None:
    lingers, pids = "/var/lib/systemd/linger/jaws", runners.pids
    machine.check_output("rm %s", lingers)
    try:
        played = runners.deploy("--limit=runner_systemd_user", other=True)
    finally:
        machine.check_output("touch %s", lingers)
    assert not played.succeeded
    assert (
        "jaws does not linger: its services would end at logout and not start at boot."
        in played.said
    )
    assert "loginctl enable-linger jaws" in played.said
    assert "Nothing was changed." in played.said
    assert runners.pids == pids
