# SPDX-License-Identifier: GPL-3.0-or-later
"""The module supervisorctl_info against a real supervisord."""

from __future__ import annotations

import json
from collections.abc import Callable

import pytest

from tests.integration.conftest import KEY, Daemon, Result, wait_until

Info = Callable[..., Result]
SECTIONS = """\
[group:g]
programs=x,y
[program:x]
command=/bin/sleep 1000
startsecs=0
stdout_logfile={root}/x.log
redirect_stderr=true
[program:y]
command=/bin/sleep 1000
autostart=false
[program:bad]
command=/bin/sh -c 'exit 1'
startsecs=60
startretries=0
[program:once]
command=/bin/sh -c 'exit 3'
startsecs=0
autorestart=false
"""


@pytest.fixture
def info(daemon: Daemon, run_module: Callable[..., Result]) -> Info:
    def run(*name: str, **options: object) -> Result:
        given = {"config": str(daemon.conf), "name": list(name) or None, **options}
        result = run_module("supervisorctl_info", **given)
        assert KEY not in json.dumps(result)
        return result

    return run


def states(result: Result) -> dict[str, str]:
    return {one["name"]: one["state"] for one in result.get("programs", [])}


def test_a_stopped_or_failed_program_is_an_answer_and_not_an_error(
    daemon: Daemon, info: Info
) -> None:
    daemon.write(SECTIONS.format(root=daemon.root))
    daemon.start()
    wanted = {"g:x": "RUNNING", "g:y": "STOPPED", "bad": "FATAL", "once": "EXITED"}
    wait_until(lambda: states(info()) == wanted, "the states")
    result = info()
    assert result["changed"] is False
    found = {one["name"]: one for one in result["programs"]}
    assert found["g:x"]["pid"] > 1
    assert found["g:x"]["group"] == "g"
    assert found["g:x"]["log_file"] == f"{daemon.root}/x.log"
    assert found["g:x"]["error_log_file"] is None
    assert found["g:y"] == dict(found["g:y"], pid=None, start_time=None, exit_status=None)
    assert found["bad"] == dict(
        found["bad"],
        exit_status=None,
        spawn_error="Exited too quickly (process log may have details)",
    )
    assert (found["once"]["exit_status"], found["once"]["spawn_error"]) == (3, "Bad exit code 3")


def test_names_select_and_an_empty_list_selects_nothing(daemon: Daemon, info: Info) -> None:
    daemon.write(SECTIONS.format(root=daemon.root))
    daemon.start()
    assert set(states(info("g:", "once"))) == {"g:x", "g:y", "once"}
    assert set(states(info("y"))) == {"g:y"}
    assert set(states(info("all"))) == {"g:x", "g:y", "bad", "once"}
    assert info(name=[])["programs"] == []


def test_an_unknown_name_is_an_error(daemon: Daemon, info: Info) -> None:
    daemon.write(SECTIONS.format(root=daemon.root))
    daemon.start()
    result = info("typo")
    assert (result["failed"], result["reason"]) == (True, "unknown_program")


def test_no_answer_is_an_error_in_check_mode_too(daemon: Daemon, info: Info) -> None:
    daemon.write(SECTIONS.format(root=daemon.root))
    for check in (True, False):
        result = info(check=check)
        assert (result["failed"], result["reason"]) == (True, "down")


def test_a_supervisord_without_programs_has_an_empty_list(daemon: Daemon, info: Info) -> None:
    daemon.write("")
    daemon.start()
    assert info()["programs"] == []
