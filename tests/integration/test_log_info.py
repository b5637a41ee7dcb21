# SPDX-License-Identifier: GPL-3.0-or-later
"""The logs of programs, read from a real supervisord's files, and what they explain."""

from __future__ import annotations

import json
import os
import pty
import sys
import time
from codecs import getincrementaldecoder
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest

from tests.integration.conftest import (
    CLONE,
    Daemon,
    Result,
    Run,
    ansible,
    has_ended,
    surroundings,
    wait_until,
)

PROGRAMS = """
[program:talks]
environment=DB_PASSWORD=swordfish
command=sh -c 'echo 2020-11-30 12:00:01 first; echo 2020-11-30 12:00:03 third; exec sleep 1000'
startsecs=0
stdout_logfile={root}/talks.out
stderr_logfile={root}/talks.err
[program:chosen]
command=sh -c 'echo 2020-11-30 12:00:02 second; exec sleep 1000'
startsecs=0
redirect_stderr=true
[program:fails]
command=sh -c 'echo bad$0 >&2; exit 7' ly
startsecs=60
startretries=0
stdout_logfile=NONE
stderr_logfile={root}/fails.err
[program:never]
command=sleep 1000
autostart=false
[program:sent]
command=sleep 1000
stdout_logfile=/dev/null
stderr_logfile=syslog
"""


def logged(daemon: Daemon) -> str:
    return (daemon.root / "supervisord.log").read_text()


@pytest.fixture
def running(daemon: Daemon) -> Daemon:
    daemon.write(PROGRAMS.format(root=daemon.root))
    daemon.start()
    wait_until(lambda: "gave up: fails" in logged(daemon), "FATAL")
    wait_until(lambda: (daemon.root / "talks.out").read_text().count("\n") == 2, "its lines")
    (chosen,) = daemon.root.glob("chosen-stdout*")
    wait_until(lambda: "second" in chosen.read_text(), "the line of the other one")
    return daemon


def shown(result: Result, program: str) -> list[str]:
    return [entry["text"] for entry in result["entries"] if entry["program"] == program]


@pytest.mark.parametrize("up", [True, False])
def test_logs_are_read_whether_supervisord_runs_or_not(
    running: Daemon, run_module: Run, up: bool
) -> None:
    if not up:
        for log in running.root.glob("chosen-*"):  # supervisord removes it when it ends
            (running.root / log.name.replace("---test-", "---test-kept")).write_bytes(
                log.read_bytes()
            )
        running.stop()
    result = run_module("log_info", config=str(running.conf), python=sys.executable)
    assert [entry["text"] for entry in result["entries"] if entry["program"] != "fails"] == [
        "2020-11-30 12:00:01 first",
        "2020-11-30 12:00:02 second",
        "2020-11-30 12:00:03 third",
    ]
    states = {program["name"]: program["state"] for program in result["programs"]}
    assert states.pop("fails") == "FATAL"
    assert set(states.values()) == {"UNKNOWN"}
    assert result["unreadable"] == []


def test_supervisord_explains_what_it_gave_up(running: Daemon, run_module: Run) -> None:
    result = run_module("log_info", config=str(running.conf), python=sys.executable)
    said = [entry for entry in result["entries"] if entry["source"] == "supervisord"]
    assert {entry["program"] for entry in said} == {"fails"}
    assert "exited: fails (exit status 7; not expected)" in said[1]["text"]
    assert "gave up: fails entered FATAL state" in said[2]["text"]
    assert "badly" in shown(result, "fails")


def test_since_the_start_leaves_out_what_an_earlier_process_said(
    running: Daemon, run_module: Run
) -> None:
    with (running.root / "talks.out").open("a") as log:
        log.write(time.strftime("%Y-%m-%d %H:%M:%S now\n", time.localtime(time.time() + 60)))
    options: dict[str, Any] = {"config": str(running.conf), "python": sys.executable}
    result = run_module("log_info", since="start", **options)
    assert [text[20:] for text in shown(result, "talks")] == ["now"]
    result = run_module("log_info", since="2020-11-30 12:00:03", lines=2, **options)
    assert [text[20:] for text in shown(result, "talks")] == ["third", "now"]
    result = run_module("log_info", lines=1, **options)
    assert [text[20:] for text in shown(result, "talks")] == ["now"]
    for given in ({"since": "noon"}, {"lines": -5}, {"lines": 0}):
        wrong = run_module("log_info", **given, **options)
        assert (wrong["failed"], wrong["reason"]) == (True, "bad_option")


def test_a_log_that_is_a_link_is_read_where_it_leads_to(
    daemon: Daemon, run_module: Run, tmp_path: Path
) -> None:
    (daemon.root / "talks.out").symlink_to("second.link")
    (daemon.root / "second.link").symlink_to(tmp_path / "talks.log")
    (tmp_path / "talks.log").touch()
    daemon.write(PROGRAMS.format(root=daemon.root))
    daemon.start()
    wait_until(lambda: "third" in (tmp_path / "talks.log").read_text(), "its lines")
    result = run_module("log_info", config=str(daemon.conf), python=sys.executable)
    assert [text[20:] for text in shown(result, "talks")] == ["first", "third"]
    assert result["unreadable"] == []


def test_what_cannot_be_read_is_named(running: Daemon, run_module: Run, tmp_path: Path) -> None:
    (running.root / "talks.err").unlink()
    (running.root / "talks.err").symlink_to(tmp_path)
    result = run_module("log_info", config=str(running.conf), python=sys.executable)
    assert result["unreadable"] == [str(running.root / "talks.err")]


def test_what_is_not_well_is_explained(running: Daemon, run_module: Run) -> None:
    result = run_module("supervisorctl_info", config=str(running.conf), explain=True)
    programs = {program["name"]: program for program in result["programs"]}
    failed, talks = programs["fails"], programs["talks"]
    assert (failed["ended"], failed["last_line"]) == ("exit status 7", "badly")
    assert (talks["restarts"], talks["ended"], talks["last_line"]) == (0, None, None)
    assert abs(result["now"] - time.time()) < 60
    assert (
        "restarts" not in run_module("supervisorctl_info", config=str(running.conf))["programs"][0]
    )


def test_a_program_that_falls_and_is_started_again_is_counted(
    daemon: Daemon, run_module: Run
) -> None:
    daemon.write("[program:falls]\ncommand=sh -c 'exit 3'\nstartsecs=0\nautorestart=true\n")
    daemon.start()
    wait_until(lambda: logged(daemon).count("spawned: 'falls'") > 2, "two restarts")
    (falls,) = run_module("supervisorctl_info", config=str(daemon.conf), explain=True)["programs"]
    assert falls["restarts"] >= 2


def test_what_follows_is_read_once_whatever_happens_to_the_file(
    running: Daemon, run_module: Run
) -> None:
    log, positions = running.root / "talks.out", {}

    def new() -> list[str]:
        nonlocal positions
        options: dict[str, Any] = {"config": str(running.conf), "python": sys.executable}
        result = run_module("log_info", after=positions, **options)
        positions = result["positions"]
        return shown(result, "talks")

    def write(text: str) -> None:
        with log.open("a") as stream:
            stream.write(text)

    write("half")
    assert len(new()) == 2
    assert new() == []
    write(" and half\ntwo\nbegun")
    assert new() == ["half and half", "two"]
    write(" and ended\nlast before\n")
    log.rename(f"{log}.1")
    write("first after\n")
    assert new() == ["begun and ended", "last before", "first after"]
    write("again\n")
    for number in (2, 1):
        Path(f"{log}.{number - 1}" if number > 1 else log).rename(f"{log}.{number}")
    write("now\n")
    assert new() == ["again", "now"]
    log.write_text("1\n")
    assert new() == ["1"]
    assert new() == []


@pytest.fixture
def followed(running: Daemon) -> Iterator[Callable[[], str]]:
    """What a run of log_follow in a terminal has shown; it is interrupted by Ctrl-C."""
    options = {"config": str(running.conf), "python": sys.executable, "programs": ["talks"]}
    command = ["localhost", "-i", "localhost,", "-c", "local"]
    command += ["-m", "jgi.jaws.log_follow", "-a", json.dumps(options)]
    child, terminal = pty.fork()
    if child == 0:
        os.chdir(CLONE)
        words = [sys.executable, "-m", "ansible", "adhoc", *command]
        os.execve(sys.executable, words, surroundings(running.root, TERM="dumb"))
    os.set_blocking(terminal, False)
    text, decoder = "", getincrementaldecoder("utf-8")()  # a read may end within a character

    def read() -> str:
        nonlocal text
        with suppress(BlockingIOError, OSError):
            text += decoder.decode(os.read(terminal, 65536))
        return text

    yield read
    os.write(terminal, b"\x03")
    wait_until(lambda: read() and has_ended(child), "the end")
    assert os.waitpid(child, 0)[1]
    assert "Traceback" not in read()
    os.close(terminal)


def test_lines_are_shown_as_they_are_written(running: Daemon, followed: Callable[[], str]) -> None:
    wait_until(lambda: "talks       | 2020-11-30 12:00:03 third" in followed(), "the last lines")
    with (running.root / "talks.out").open("a") as log:
        log.write("with swordfish \x1b[2J\n")
    wait_until(lambda: r"talks       | with ******** \x1b[2J" in followed(), "a new line")
    assert "second" not in followed()


def test_without_a_terminal_nothing_is_followed(running: Daemon) -> None:
    options = json.dumps({"config": str(running.conf), "python": sys.executable})
    call = ("localhost", "-i", "localhost,", "-c", "local")
    done = ansible("adhoc", *call, "-m", "jgi.jaws.log_follow", "-a", options, home=running.root)
    assert done.returncode != 0
    assert "follow=true needs a terminal" in done.stdout


def test_a_secret_in_a_log_is_not_shown(daemon: Daemon, run_module: Run) -> None:
    daemon.write(
        "[program:tells]\nenvironment=DB_PASSWORD=swordfish\nstartsecs=0\nautorestart=false\n"
        "command=sh -c 'echo connecting with $DB_PASSWORD; exit 1'\nredirect_stderr=true\n"
        f"stdout_logfile={daemon.root}/tells.out\n"
    )
    daemon.start()
    wait_until(lambda: "exited: tells" in logged(daemon), "its end")
    result = run_module("log_info", config=str(daemon.conf), python=sys.executable)
    assert shown(result, "tells") == ["connecting with ********"]
    (tells,) = run_module("supervisorctl_info", config=str(daemon.conf), explain=True)["programs"]
    assert tells["last_line"] == "connecting with ********"
