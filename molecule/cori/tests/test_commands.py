# SPDX-License-Identifier: GPL-3.0-or-later
"""The commands that operators are used to, word by word, as the user that each names."""

from __future__ import annotations

from collections.abc import Callable

import pytest
from testinfra.host import Host
from waiting import wait_until

Login = Callable[[str], Host]

SUPERVISORD = {
    "jaws": "/tmp/jaws-supervisord/bin/supervisord -c /tmp/jaws-supervisord/supervisord-jaws.conf",
    "jaws_jtm": "/tmp/jaws-supervisord/bin/supervisord"
    " -c /tmp/jaws-supervisord/supervisord-jtm.conf",
}
SUPERVISORCTL = {
    "jaws": "/tmp/jaws-supervisord/bin/supervisorctl"
    " -c /tmp/jaws-supervisord/supervisord-jaws.conf",
    "jaws_jtm": "/tmp/jaws-supervisord/bin/supervisorctl"
    " -c /tmp/jaws-supervisord/supervisord-jtm.conf",
}
PROGRAMS = {
    "jaws": {"jaws-central-auth", "jaws-central-rest", "jaws-site-daemon", "jaws-site-server"},
    "jaws_jtm": {"jaws-cromwell", "jaws-jtm"},
}

both = pytest.mark.parametrize("user", SUPERVISORD)


def running(login: Login, user: str) -> set[str]:
    """Return what is RUNNING according to `supervisorctl ... status`, as the user runs it."""
    lines = login(user).run(f"{SUPERVISORCTL[user]} status").stdout.splitlines()
    return {line.split()[0] for line in lines if line.split()[1:2] == ["RUNNING"]}


def await_programs(login: Login, user: str) -> None:
    """Wait until everything in the instance runs."""
    wait_until(lambda: running(login, user) == PROGRAMS[user], f"what {user} runs")


def shut_down(login: Login, user: str) -> None:
    """End the instance's supervisord; the command returns before it has stopped its programs."""
    account = login(user)
    account.check_output(f"{SUPERVISORCTL[user]} shutdown")
    daemon = f"pgrep -u {user} -f '^[^ ]+ -I -m supervisor.supervisord'"
    wait_until(lambda: account.run(daemon).failed, f"the end of {user}'s supervisord")


@both
def test_supervisord(login: Login, user: str) -> None:
    shut_down(login, user)
    account = login(user)
    assert account.run(f"{SUPERVISORCTL[user]} status").rc == 4
    account.check_output(SUPERVISORD[user])
    await_programs(login, user)
    # A person who starts it by hand has the environment of a login; its programs must not have it.
    assert account.check_output("echo $SSH_CONNECTION")
    environments = f"$(pgrep -u {user} -f ^/tmp/jaws- | sed 's#.*#/proc/&/environ#')"
    assert account.run(f"grep -l SUPERVISOR_ENABLED {environments}").succeeded
    assert account.run(f"grep -l SSH_CONNECTION {environments}").rc == 1


@both
def test_supervisorctl_status(login: Login, user: str) -> None:
    status = login(user).run(f"{SUPERVISORCTL[user]} status")
    assert status.rc == 0
    assert {line.split()[0] for line in status.stdout.splitlines()} == PROGRAMS[user]


@both
def test_supervisorctl_start_all(login: Login, user: str) -> None:
    account = login(user)
    account.check_output(f"{SUPERVISORCTL[user]} stop all")
    assert running(login, user) == set()
    started = account.check_output(f"{SUPERVISORCTL[user]} start all").splitlines()
    assert sorted(started) == sorted(f"{name}: started" for name in PROGRAMS[user])
    assert running(login, user) == PROGRAMS[user]


def test_jaws_starts_and_stops_what_jtm_runs(login: Login) -> None:
    jaws = login("jaws")
    jaws.check_output(f"{SUPERVISORCTL['jaws_jtm']} restart jaws-jtm")
    assert running(login, "jaws_jtm") == PROGRAMS["jaws_jtm"]
