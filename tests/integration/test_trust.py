# SPDX-License-Identifier: GPL-3.0-or-later
"""Whose daemon it is: the table of docs/reliability.md with real accounts."""

from __future__ import annotations

import os
import pwd
import signal
import subprocess
import sys
from functools import partial
from pathlib import Path
from typing import NamedTuple

import pytest

from ansible_collections.jgi.jaws.plugins.module_utils.system.processes import all_processes
from tests.integration.conftest import HEAD, Daemon, Run, as_user, has_ended, wait_until
from tests.integration.ports import reserve_port
from tests.integration.test_supervisord import tcp
from tests.integration.test_supervisord_config import sections

BIN = Path(sys.executable).parent
AS_ROOT = os.geteuid() == 0
APP, OTHER = "daemon", "bin"  # accounts that every Linux has
PROGRAM = "[program:a]\ncommand=/bin/sleep 1000\nstartsecs=0\n"

# Another account may not import more from the Python of the tests.
SUPERVISORD = """\
#!{python}
import encodings.idna, os, sys
from supervisor.supervisord import main
import supervisor.http, supervisor.rpcinterface, supervisor.web, supervisor.xmlrpc
"""
# As under User= of systemd: it runs as another account before it reads anything.
AS_ANOTHER = """\
uid = int(sys.argv.pop(1))
os.setgroups([])
os.setgid(uid)
os.setuid(uid)
"""


class Row(NamedTuple):
    """Who asks whose daemon with whose configuration; C(says) is the text of that."""

    owner: str
    daemon: str
    caller: str
    accepted: bool
    says: str = ""
    trusted: tuple[str, ...] = ()
    mode: int = 0o644


TABLE = [
    Row("root", "root", "root", True),
    Row("root", APP, "root", True),  # systemd, User=app
    Row("root", APP, "root", True, mode=0o640),
    Row("root", APP, APP, True),
    Row("root", "root", APP, True),
    Row(APP, APP, "root", True),
    Row(APP, APP, APP, True),
    Row(APP, APP, OTHER, True),
    Row("root", APP, OTHER, False),
    Row("root", APP, OTHER, True, trusted=(APP,)),
    Row("root", APP, OTHER, True, trusted=(str(pwd.getpwnam(APP).pw_uid),)),
    Row("root", APP, OTHER, True, says="user"),
    Row("root", APP, OTHER, True, says="chown"),
    Row(OTHER, APP, OTHER, False),
    Row(OTHER, APP, OTHER, True, trusted=(APP,)),
    Row(APP, OTHER, APP, False),
]


def uid_of(name: str) -> int:
    return pwd.getpwnam(name).pw_uid


def supervisord(instance: Daemon, more: str = "") -> Path:
    """Write the executable of the test, and return its path."""
    path = instance.root / "bin/supervisord"
    path.parent.mkdir()
    path.write_text(SUPERVISORD.format(python=sys.executable) + more + "main()\n")
    path.chmod(0o755)
    return path


def start_as(instance: Daemon, name: str) -> int:
    """Start the daemon as an account, and return its pid."""
    program = supervisord(instance, AS_ANOTHER)
    command = [str(program), str(uid_of(name)), "-c", str(instance.conf)]
    subprocess.run(command, check=True, cwd="/")

    def found() -> list[int]:
        named = all_processes(having=("cmdline", os.fsencode(instance.conf)))
        return [process.pid for process in named if process.uid == uid_of(name)]

    return int(wait_until(found, "the daemon")[0])


def write(instance: Daemon, row: Row, head: str) -> None:
    """Write the configuration, and give it and what the daemon writes to their accounts."""
    folder = instance.root / "run"
    folder.mkdir()
    os.chown(folder, uid_of(row.daemon), -1)
    instance.root.chmod(0o755)
    head = head.replace("{root}", "{root}/run").replace("chmod=0700", "chmod=0777")
    if row.says == "chown":
        head = head.replace("chmod=0777", f"chmod=0777\nchown={row.daemon}")
    said = f"[supervisord]\nuser={row.daemon}\n" if row.says == "user" else ""
    instance.write(PROGRAM + said, head=head)
    instance.conf.chmod(row.mode)
    gid = pwd.getpwnam(row.daemon).pw_gid if row.mode == 0o640 else -1
    os.chown(instance.conf, uid_of(row.owner), gid)


# Only root can be several accounts. tests/unit/test_trust.py tests the decisions as any account.
@pytest.mark.parametrize("listens", ["socket", "port"] if AS_ROOT else [])
@pytest.mark.parametrize("row", TABLE, ids=lambda row: "-".join(map(str, row)))
def test_who_gets_the_key_is_as_in_the_table(
    instance: Daemon, run_module: Run, row: Row, listens: str
) -> None:
    write(instance, row, HEAD if listens == "socket" else tcp(reserve_port()))
    pid = start_as(instance, row.daemon)
    options = {"config": str(instance.conf), "trusted_users": list(row.trusted)}
    result = as_user(uid_of(row.caller), lambda: run_module("supervisorctl_info", **options))
    named = row.says != "chown" or listens == "socket"
    if row.accepted and named:
        assert [program["name"] for program in result["programs"]] == ["a"], result
    else:
        assert result["reason"] == "foreign_owner", result
        whose = {"socket": "belongs to", "port": "is taken by a process of"}
        assert f"{whose[listens]} {row.daemon}, and you are" in result["msg"]
        for words in (f"you are {row.caller}", f"Run this as {row.daemon}", "trusted_users"):
            assert words in result["msg"]
        assert "remove" not in result["msg"]
    assert not has_ended(pid)


@pytest.mark.parametrize("listens", ["socket", "port"] if AS_ROOT else [])
def test_root_stops_and_reloads_what_runs_as_another_user_and_does_not_make_it_roots(
    instance: Daemon, run_module: Run, listens: str
) -> None:
    row = Row("root", APP, "root", True)
    write(instance, row, HEAD if listens == "socket" else tcp(reserve_port()))
    pid = start_as(instance, APP)
    options = {"config": str(instance.conf), "supervisord_path": str(BIN / "supervisord")}
    assert run_module("supervisord", **options)["changed"] is False
    result = run_module("supervisord", state="reloaded", **options)
    assert (result.get("pid"), result.get("user")) == (pid, APP), result
    result = run_module("supervisord", state="restarted", **options)
    assert result["reason"] == "foreign_owner", result
    for words in (f"runs as {APP} (pid {pid})", "you are root", f"run this as {APP}"):
        assert words in result["msg"]
    assert not has_ended(pid)
    result = run_module("supervisord", state="stopped", **options)
    assert result.get("changed"), result
    assert has_ended(pid)


class Named:
    """Root's configuration of a supervisord that becomes another user."""

    def __init__(self, instance: Daemon, run_module: Run, listens: str) -> None:
        row = Row("root", APP, "root", True, says="user", mode=0o640)
        write(instance, row, HEAD if listens == "socket" else tcp(reserve_port()))
        self.conf = instance.conf
        self.socket = instance.root / "run/s"
        self.run = partial(run_module, config=str(self.conf))
        self.manage = partial(self.run, "supervisord", supervisord_path=str(supervisord(instance)))

    def become(self, state: str = "started") -> tuple[bool, int]:
        """Bring it to a state in which it runs; return whether that changed anything, and its pid.

        It then runs as that user.
        """
        result = self.manage(state=state)
        assert (result.get("running"), result.get("user")) == (True, APP), result
        return bool(result["changed"]), int(result["pid"])


@pytest.fixture(params=["socket", "port"] if AS_ROOT else [])
def named(request: pytest.FixtureRequest, instance: Daemon, run_module: Run) -> Named:
    return Named(instance, run_module, request.param)


def test_root_starts_restarts_and_stops_what_becomes_another_user(named: Named) -> None:
    changed, pid = named.become()
    assert changed
    assert named.become() == (False, pid)
    assert named.become("reloaded") == (True, pid)
    restarted = named.become("restarted")[1]
    assert restarted != pid
    os.kill(restarted, signal.SIGKILL)
    pid = named.become()[1]
    if named.socket.exists():
        named.socket.unlink()
        pid = named.become()[1]
    result = named.manage(state="stopped")
    assert result.get("changed"), result
    assert has_ended(pid)
    result = named.manage(user=OTHER)
    assert result["reason"] == "may_not_start", result


def test_root_configures_what_becomes_another_user(named: Named) -> None:
    pid = named.become()[1]
    result = named.run("supervisorctl", name="a", state="restarted")
    assert result.get("changed"), result
    given = sections(named.socket.parent, minfds=1000)
    given["supervisord"]["user"] = APP
    written = {"python": sys.executable, "sections": given, "group": APP}
    for again in (False, True):
        result = named.run("supervisord_config", rotate_key=again, **written)
        assert result.get("reloaded"), result
        assert named.become() == (False, pid)


def test_a_file_that_the_user_whom_it_names_cannot_read_is_not_reloaded(named: Named) -> None:
    pid = named.become()[1]
    named.conf.chmod(0o600)
    result = named.manage(state="reloaded")
    assert f"runs as {APP}, who could not read the file" in result["msg"], result
    assert not has_ended(pid)


@pytest.mark.parametrize("group", [APP] if AS_ROOT else [])
def test_root_configures_what_runs_as_another_user_who_can_read_the_file_afterwards(
    instance: Daemon, run_module: Run, group: str
) -> None:
    write(instance, Row("root", APP, "root", True), HEAD)
    pid = start_as(instance, APP)
    given = sections(instance.root / "run", minfds=1000)
    options = {"config": str(instance.conf), "python": sys.executable, "sections": given}
    before = instance.conf.read_text()
    result = run_module("supervisord_config", **options)
    assert f"runs as {APP}, who could not read the file" in result["msg"], result
    assert instance.conf.read_text() == before
    result = run_module("supervisord_config", group=group, **options)
    assert result.get("reloaded"), result
    assert run_module("supervisord", config=str(instance.conf))["pid"] == pid


STATES = ["started", "restarted"] if AS_ROOT else []


@pytest.mark.parametrize("state", STATES)
@pytest.mark.parametrize("caller", ["root", OTHER])
def test_another_user_is_advised_to_run_the_task_as_the_owner(
    instance: Daemon, run_module: Run, caller: str, state: str
) -> None:
    write(instance, Row(APP, APP, caller, False), HEAD)
    options = {"config": str(instance.conf), "supervisord_path": str(BIN / "supervisord")}
    result = as_user(uid_of(caller), lambda: run_module("supervisord", state=state, **options))
    assert result["reason"] == "foreign_owner", result
    for words in (f"belongs to {APP}", f"you are {caller}", f"Run this as {APP}", "trusted_users"):
        assert words in result["msg"]
    assert "remove" not in result["msg"]


@pytest.mark.parametrize("state", STATES)
def test_an_account_that_the_caller_trusts_may_write_the_configuration(
    instance: Daemon, run_module: Run, state: str
) -> None:
    write(instance, Row(APP, "root", "root", True), HEAD)
    options = {"config": str(instance.conf), "supervisord_path": str(BIN / "supervisord")}
    result = run_module("supervisord", state=state, trusted_users=[APP], **options)
    assert (result.get("running"), result.get("user")) == (True, "root"), result
