# SPDX-License-Identifier: GPL-3.0-or-later
"""The logs of a supervisord after another program has moved them away."""

from __future__ import annotations

import functools
import getpass
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from tests.integration.conftest import HEAD, Daemon, Result, Run, has_ended, wait_until

Reopen = Callable[..., Result]

# It writes something whenever a file asks for it.
CHATTY = """\
[program:{name}]
command=/bin/sh -c 'while :; do test -e ask && echo heard from $$; sleep 0.05; done'
directory={root}
startsecs=0
stdout_logfile={root}/logs/{name}.out
redirect_stderr=true
"""


@pytest.fixture
def reopen(daemon: Daemon, run_module: Run) -> Reopen:
    """Run the module on the daemon, whose logs are in a directory of their own."""
    (daemon.root / "logs").mkdir()
    head = HEAD.replace("{root}/supervisord.log", "{root}/logs/supervisord.log")
    daemon.write("".join(CHATTY.format(name=n, root=daemon.root) for n in "ab"), head)
    daemon.start()
    wait_until(lambda: len(children(daemon)) == 2, "the programs, whose logs come before them")

    def run(**options: Any) -> Result:
        return run_module("supervisord", config=str(daemon.conf), state="reopened", **options)

    return run


def children(daemon: Daemon) -> list[str]:
    return Path(f"/proc/{daemon.pids[0]}/task/{daemon.pids[0]}/children").read_text().split()


def logs(daemon: Daemon) -> list[str]:
    return sorted(path.name for path in (daemon.root / "logs").iterdir())


def rotate(daemon: Daemon) -> None:
    """Move all logs away, as logrotate does without copytruncate."""
    for path in list((daemon.root / "logs").iterdir()):
        path.rename(path.with_name(path.name + ".1"))


def test_logs_that_were_moved_away_are_opened_again_and_nothing_restarts(
    daemon: Daemon, reopen: Reopen
) -> None:
    before = children(daemon)
    rotate(daemon)
    result = reopen()
    assert (result["changed"], result["pid"], result["running"]) == (True, daemon.pids[0], True)
    assert children(daemon) == before
    (daemon.root / "ask").touch()
    for name in ("a.out", "b.out"):
        log = daemon.root / "logs" / name
        wait_until(lambda log=log: "heard from" in log.read_text(), f"words in {name}")
    assert "log reopen" in (daemon.root / "logs/supervisord.log.1").read_text()
    assert reopen()["changed"] is False


def test_one_log_that_was_removed_or_created_again_by_the_rotation_is_enough(
    daemon: Daemon, reopen: Reopen
) -> None:
    log = daemon.root / "logs/a.out"
    log.unlink()
    assert reopen()["changed"] is True
    log.rename(log.with_suffix(".1"))
    log.touch()  # logrotate's option create
    assert reopen()["changed"] is True
    (daemon.root / "ask").touch()
    wait_until(lambda: "heard from" in log.read_text(), "words in the new file")


def test_if_all_logs_are_in_place_or_nothing_runs_there_is_nothing_to_reopen(
    daemon: Daemon, reopen: Reopen
) -> None:
    assert reopen()["changed"] is False
    assert "log reopen" not in (daemon.root / "logs/supervisord.log").read_text()
    daemon.end()
    result = reopen()
    assert (result["changed"], result["running"], "failed" in result) == (False, False, False)


def test_a_path_that_is_not_a_file_cannot_have_been_moved(daemon: Daemon, run_module: Run) -> None:
    head = HEAD.replace("{root}/supervisord.log", "relative.log")
    device = CHATTY.replace("{root}/logs/{name}.out", "/dev/stdout") + "stdout_logfile_maxbytes=0\n"
    none = CHATTY.replace("{root}/logs/{name}.out", "NONE")
    daemon.write((device + none.replace("{name}", "b")).format(name="a", root=daemon.root), head)
    daemon.start()
    result = run_module("supervisord", config=str(daemon.conf), state="reopened")
    assert result["changed"] is False, result


def test_a_dry_run_says_whether_logs_were_moved_and_sends_nothing(
    daemon: Daemon, reopen: Reopen
) -> None:
    assert reopen(check=True)["changed"] is False
    rotate(daemon)
    assert reopen(check=True)["changed"] is True
    assert logs(daemon) == ["a.out.1", "b.out.1", "supervisord.log.1"]


def test_logs_whose_directory_is_gone_are_refused_and_supervisord_lives(
    daemon: Daemon, reopen: Reopen
) -> None:
    (daemon.root / "logs").rename(daemon.root / "archive")
    result = reopen()
    assert result["reason"] == "cannot_write"
    assert f"cannot write to {daemon.root}/logs/a.out" in result["msg"]
    assert not has_ended(daemon.pids[0])


def test_a_log_that_supervisord_may_not_write_to_is_refused_and_supervisord_lives(
    daemon: Daemon, run_module: Run
) -> None:
    user = "nobody" if os.geteuid() == 0 else getpass.getuser()
    daemon.root.chmod(0o777)
    head = HEAD.replace("[supervisord]", f"[supervisord]\nuser={user}")
    daemon.write(CHATTY.format(name="a", root=daemon.root), head)
    (daemon.root / "logs").mkdir()
    (daemon.root / "logs").chmod(0o777)
    daemon.start()
    log = daemon.root / "logs/a.out"
    wait_until(log.exists, "a log")
    log.rename(log.with_suffix(".1"))
    log.touch(mode=0o444)
    before = (os.geteuid(), os.getegid(), os.getgroups())
    reopen = functools.partial(run_module, "supervisord", config=str(daemon.conf), state="reopened")
    result = reopen()
    assert result["reason"] == "cannot_write", result
    assert f"runs as {user} and cannot write to {log}" in result["msg"]
    assert (os.geteuid(), os.getegid(), os.getgroups()) == before
    log.chmod(0o666)
    assert reopen()["changed"] is True
    assert not has_ended(daemon.pids[0])


def test_a_log_that_supervisord_lost_by_itself_is_refused_and_supervisord_lives(
    daemon: Daemon, run_module: Run
) -> None:
    # Its own rotation fails if the directory is missing, as it does if the disk is full.
    folder = daemon.root / "logs"
    folder.mkdir()
    sections = CHATTY.format(name="a", root=daemon.root) + "stdout_logfile_maxbytes=20\n"
    daemon.write(sections)
    daemon.start()
    wait_until(lambda: (folder / "a.out").exists(), "a log")
    folder.rename(daemon.root / "away")
    (daemon.root / "ask").touch()
    fds = Path(f"/proc/{daemon.pids[0]}/fd")

    def is_closed() -> bool:
        return not any("away" in os.readlink(path) for path in fds.iterdir())

    wait_until(is_closed, "a log that is closed")
    (daemon.root / "away").rename(folder)
    result = run_module("supervisord", config=str(daemon.conf), state="reopened")
    assert (result["failed"], result["reason"]) == (True, "failed")
    assert f"has closed one of {folder}/a.out" in result["msg"]
    assert not has_ended(daemon.pids[0])
    run_module("supervisorctl", config=str(daemon.conf), state="restarted", name=["a"])
    assert run_module("supervisord", config=str(daemon.conf), state="reopened")["changed"] is False
