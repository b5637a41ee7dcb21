# SPDX-License-Identifier: GPL-3.0-or-later
"""Tasks written for community.general.supervisorctl have the same results here."""

from __future__ import annotations

import os
import signal
from collections.abc import Callable
from typing import Any, NamedTuple

import pytest

from ansible_collections.jgi.jaws.plugins.module_utils.supervisor.client import Supervisor
from ansible_collections.jgi.jaws.plugins.module_utils.supervisor.endpoint import Endpoint
from tests.integration.conftest import Daemon, Result, Run, has_ended, wait_until
from tests.integration.ports import reserve_port

Ctl = Callable[..., Result]


class Credentials(NamedTuple):
    """How a supervisord is accessed; without a name, it is open to everyone."""

    username: str
    password: str

    def lines(self) -> str:
        return f"username={self.username}\npassword={self.password}\n" if self.username else ""


OPEN = Credentials("", "")
FOREIGN = Credentials("prüfer", "schlüssel-ß")

TWINS = """\
[unix_http_server]
file={root}/s
{credentials}
[inet_http_server]
port=127.0.0.1:{port}
{credentials}
[supervisord]
pidfile={root}/pid
logfile={root}/supervisord.log
[supervisorctl]
serverurl=unix://{root}/s
[rpcinterface:supervisor]
supervisor.rpcinterface_factory=supervisor.rpcinterface:make_main_rpcinterface
[program:one]
command=/bin/cat
autostart=false
autorestart=false
stdout_logfile={root}/one.log
redirect_stderr=yes
[program:two]
command=/bin/cat
autostart=false
autorestart=false
[group:twins]
programs=one,two
"""


class Twins(NamedTuple):
    """A supervisord with two programs in a group, at a socket and at a port."""

    daemon: Daemon
    port: int
    credentials: Credentials

    def options(self) -> dict[str, str]:
        """The credentials as options of a task."""
        return self.credentials._asdict() if self.credentials.username else {}

    @property
    def socket(self) -> str:
        return f"unix://{self.daemon.root}/s"

    @property
    def http(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    def ask(self, method: str, *arguments: Any) -> Any:
        """Ask supervisord itself."""
        name, password = self.credentials if self.credentials.username else (None, None)
        with Supervisor(Endpoint(self.socket, name, password, "the test")) as client:
            return client.call(f"supervisor.{method}", *arguments)

    def state(self, name: str) -> str:
        return str(self.ask("getProcessInfo", name)["statename"])


@pytest.fixture(params=[OPEN, FOREIGN], ids=["open", "with a name and a key beyond ASCII"])
def twins(daemon: Daemon, request: pytest.FixtureRequest) -> Twins:
    port = reserve_port()
    text = TWINS.format(root=daemon.root, port=port, credentials=request.param.lines())
    daemon.conf.write_text(text)
    daemon.start()
    return Twins(daemon, port, request.param)


@pytest.fixture
def ctl(run_module: Run) -> Ctl:
    def run(state: str, name: str, **options: Any) -> Result:
        return run_module("supervisorctl", state=state, name=name, **options)

    return run


def test_a_program_of_a_group_is_started_once_and_does_its_work(twins: Twins, ctl: Ctl) -> None:
    config = str(twins.daemon.conf)
    for where in ({"config": config}, {"server_url": twins.http}):
        first = ctl("started", "twins:one", **where, **twins.options())
        assert first["changed"] is (where == {"config": config}), first
        assert "failed" not in first
    assert (twins.state("twins:one"), twins.state("twins:two")) == ("RUNNING", "STOPPED")
    twins.ask("sendProcessStdin", "twins:one", "words\n")
    log = twins.daemon.root / "one.log"
    wait_until(lambda: "words" in log.read_text(), "what the program was told")


def test_a_program_of_a_group_is_stopped_once(twins: Twins, ctl: Ctl) -> None:
    twins.ask("startProcess", "twins:one")
    for expected in (True, False):
        result = ctl("stopped", "twins:one", server_url=twins.socket, **twins.options())
        assert result["changed"] is expected, result
    assert twins.state("twins:one") == "STOPPED"


def test_wrong_credentials_address_file_and_name_fail_and_start_nothing(
    twins: Twins, ctl: Ctl
) -> None:
    wrong = {"username": "nobody", "password": "nothing"}
    free = f"http://127.0.0.1:{reserve_port()}"
    config = str(twins.daemon.conf)
    attempts = [
        ("wrong_key", "twins:one", {"server_url": twins.http, **wrong}),
        ("down", "twins:one", {"server_url": free}),
        ("unreadable_conf", "twins:one", {"config": config + ".none"}),
        ("unknown_program", "invalid", {"config": config, **twins.options()}),
    ]
    for reason, name, options in attempts if twins.credentials.username else attempts[1:]:
        result = ctl("started", name, **options)
        assert (result["failed"], result["reason"]) == (True, reason)
    assert twins.state("twins:one") == "STOPPED"


# --- what is removed --------------------------------------------------------------------------

GROUPS = """\
[program:web]
command=/bin/sleep 1000
startsecs=0
[program:worker]
command=/bin/sleep 1000
startsecs=0
[group:new]
programs=web,worker
[program:np]
command=/bin/sleep 1000
startsecs=0
numprocs=2
process_name=%(program_name)s_%(process_num)02d
[program:alone]
command=/bin/sleep 1000
startsecs=0
"""


@pytest.fixture
def served(daemon: Daemon, run_module: Run) -> Ctl:
    """Run the module for a supervisord with groups, optionally with another configuration."""
    daemon.write(GROUPS)
    daemon.start()

    def run(state: str, *name: str, **options: Any) -> Result:
        given = {"config": str(daemon.conf), "name": list(name), "state": state, **options}
        return run_module("supervisorctl", **given)

    wait_until(lambda: len(pids(run("started", "all"))) == 5, "the programs")
    return run


def pids(result: Result) -> dict[str, int]:
    return {one["name"]: one["pid"] for one in result["programs"] if one["pid"]}


def states(result: Result) -> dict[str, str]:
    return {one["name"]: one["state"] for one in result["programs"]}


@pytest.mark.parametrize("name", ["web", "new", "np", "np_00", "w*", "none"])
def test_absent_changes_nothing_for_a_name_that_is_only_part_of_one(served: Ctl, name: str) -> None:
    before = pids(served("started", "all"))
    result = served("absent", name, stop_before_removing=True)
    assert (result["changed"], result["affected"]) == (False, [])
    assert pids(result) == before
    is_close = name in ("web", "new", "np", "np_00")
    assert ("write it with its colon" in str(result.get("warnings"))) is is_close


def test_absent_removes_a_group_by_its_colon_and_a_program_by_its_name(served: Ctl) -> None:
    assert served("absent", "np:")["reason"] == "still_running"
    for name, left in (("np:", 3), ("new:*", 1), ("alone", 0)):
        result = served("absent", name, stop_before_removing=True)
        assert (result["changed"], len(result["programs"])) == (True, left)
        assert served("absent", name)["changed"] is False


# --- no supervisord ---------------------------------------------------------------------------


def killed(daemon: Daemon) -> None:
    daemon.end()


def unconfigured(daemon: Daemon) -> None:
    daemon.end()
    daemon.conf.unlink()


def without_directory(daemon: Daemon) -> None:
    daemon.end()
    daemon.conf.unlink()
    for path in list(daemon.root.iterdir()):
        path.unlink()


@pytest.mark.parametrize("ended", [killed, unconfigured, without_directory])
@pytest.mark.parametrize("check", [False, True])
def test_without_a_supervisord_programs_are_absent_and_a_warning_says_why(
    daemon: Daemon, served: Ctl, ended: Callable[[Daemon], None], check: bool
) -> None:
    ended(daemon)
    result = served("absent", "np:", stop_before_removing=True, check=check)
    assert (result["changed"], "failed" in result, result["programs"]) == (False, False, [])
    assert "no program is active" in str(result["warnings"])
    assert served("stopped", "np:")["reason"] in ("down", "unreadable_conf")


def test_absent_names_what_a_killed_supervisord_left_running(daemon: Daemon, served: Ctl) -> None:
    left = list(pids(served("started", "all")).values())
    os.kill(daemon.pids[0], signal.SIGKILL)
    wait_until(lambda: has_ended(daemon.pids[0]), "the end of supervisord")
    try:
        result = served("absent", "np:", stop_before_removing=True)
        assert (result["changed"], "failed" in result) == (False, False)
        assert all(f"pid {pid} " in str(result["warnings"]) for pid in left)
    finally:
        for pid in left:
            os.kill(pid, signal.SIGKILL)


def test_an_unknown_state_is_not_absent(daemon: Daemon, served: Ctl) -> None:
    wrong = served("absent", "np:", server_url=f"unix://{daemon.root}/s", password="no-such-key")
    assert wrong["reason"] == "wrong_key"
    os.kill(daemon.pids[0], signal.SIGSTOP)
    other = served("absent", "np:", config=str(daemon.root))
    assert (other["failed"], other["reason"]) == (True, "unreadable_conf")
    os.kill(daemon.pids[0], signal.SIGCONT)


@pytest.mark.parametrize("lost", ["s", "supervisord.conf"])
def test_what_a_supervisord_out_of_reach_runs_is_not_absent(
    daemon: Daemon, served: Ctl, lost: str
) -> None:
    (daemon.root / lost).unlink()
    result = served("absent", "np:", stop_before_removing=True)
    assert (result["failed"], result["reason"]) == (True, "unreachable")
    assert f"pid {daemon.pids[0]}" in result["msg"]
    assert not has_ended(daemon.pids[0])


# --- before a play has written anything -------------------------------------------------------


def test_a_dry_run_predicts_that_a_section_which_is_not_on_disk_yet_will_be_added(
    served: Ctl,
) -> None:
    for state in ("present", "updated"):
        result = served(state, "later", "alone", check=True)
        assert (result["changed"], result["affected"]) == (True, ["later"])
        assert "later is not in the configuration" in str(result["warnings"])
        assert served(state, "later")["reason"] == "unknown_program"
        assert served(state, "alone", check=True)["changed"] is False


@pytest.mark.parametrize("ended", [killed, unconfigured, without_directory])
def test_a_dry_run_predicts_what_a_supervisord_will_run_that_does_not_run_yet(
    daemon: Daemon, served: Ctl, ended: Callable[[Daemon], None]
) -> None:
    ended(daemon)
    for state in ("present", "updated"):
        result = served(state, "later", check=True)
        assert (result["changed"], result["affected"]) == (True, ["later"])
        assert served(state, "later")["reason"] in ("down", "unreadable_conf")
    assert served("updated", name=None, check=True)["changed"] is True
    assert served("started", "later", check=True)["reason"] in ("down", "unreadable_conf")


# --- a restart is about what it names ---------------------------------------------------------

# It ends before startsecs, however slow the machine is.
BROKEN = "[program:broken]\ncommand=/bin/false\nstartsecs=60\n{more}"


@pytest.mark.parametrize("more", ["", "startretries=100\n", "autorestart=true\n"])
def test_a_new_section_that_cannot_start_does_not_fail_the_restart_of_another(
    daemon: Daemon, served: Ctl, more: str
) -> None:
    before = pids(served("started", "all"))
    daemon.write(GROUPS + BROKEN.format(more=more))
    result = served("restarted", "alone")
    assert (result["changed"], "failed" in result) == (True, False), result
    after = pids(result)
    assert after["alone"] != before["alone"]
    assert {**before, "alone": 0} == {**after, "alone": 0}
    assert states(result)["broken"] in ("BACKOFF", "STARTING", "FATAL")
    assert "broken is BACKOFF" in str(result["warnings"])


def test_a_restart_of_what_cannot_start_fails(daemon: Daemon, served: Ctl) -> None:
    daemon.write(GROUPS + BROKEN.format(more="startretries=0\n"))
    for names in (["broken"], ["all"], ["alone", "brok*"]):
        result = served("restarted", *names)
        assert (result["failed"], result["failed_programs"]) == (True, ["broken"])


# --- one outcome, always the same -------------------------------------------------------------

SHORT = """\
[program:{name}]
command=/bin/sh -c '{command}'
startsecs=0
autostart=false
autorestart={autorestart}
"""


@pytest.mark.parametrize("command", ["exit 1", "exit 127", "sleep 0.02; exit 1", "kill -9 $$"])
def test_a_program_without_startsecs_that_ends_at_once_has_always_started(
    daemon: Daemon, served: Ctl, command: str
) -> None:
    # Programs that supervisord starts over and over cost much, so there are only a few.
    endings = {f"p{number}": "false" for number in range(12)}
    endings.update(u1="unexpected", u2="unexpected")
    sections = [
        SHORT.format(name=name, command=command, autorestart=autorestart)
        for name, autorestart in endings.items()
    ]
    daemon.write(GROUPS + "".join(sections))
    for state in ("restarted", "started"):
        result = served(state, *endings)
        assert "failed" not in result, result
        assert state == "started" or set(result["affected"]) == set(endings)
