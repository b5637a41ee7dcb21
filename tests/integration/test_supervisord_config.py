# SPDX-License-Identifier: GPL-3.0-or-later
"""The supervisord_config module: the key, the file, and a running daemon that must not be lost."""

from __future__ import annotations

import grp
import json
import os
import pwd
import re
import signal
import socket
import stat
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from ansible_collections.jgi.jaws.plugins.module_utils.errors import JawsError
from ansible_collections.jgi.jaws.plugins.module_utils.supervisor import daemon
from ansible_collections.jgi.jaws.plugins.module_utils.supervisor.client import Supervisor
from ansible_collections.jgi.jaws.plugins.module_utils.supervisor.endpoint import (
    Endpoint,
    SupervisordConf,
)
from ansible_collections.jgi.jaws.plugins.module_utils.system import processes
from tests.integration.conftest import (
    KEY,
    Daemon,
    Result,
    Run,
    Spawn,
    bearing,
    has_ended,
    parents_among,
    wait_until,
)
from tests.integration.ports import reserve_port
from tests.integration.test_supervisord import give_to_nobody

SUPERVISORD = str(Path(sys.executable).parent / "supervisord")
PROGRAMS = """\
; Programs. Written by the release; see `releases`.
; release: 20260101T000000Z-abcdef01

[program:a]
command = /bin/sleep 1000 ; a comment, blanks around the sign
startsecs=0
environment=A="ü %% 'x'",
   B="2"
"""
OLD = """\
[inet_http_server]
port=0.0.0.0:{port}
username=jaws
password=shared-by-all-of-them-at-every-site
[supervisord]
logfile={root}/supervisord.log
pidfile={root}/pid
[program:jaws-site]
command=/bin/sleep 1000
startsecs=0
[group:jaws-dev]
programs=jaws-site
[rpcinterface:supervisor]
supervisor.rpcinterface_factory=supervisor.rpcinterface:make_main_rpcinterface
[supervisorctl]
serverurl=http://localhost:{port}
username=jaws
password=shared-by-all-of-them-at-every-site
"""


def sections(root: Path, listen: str | int = "s", **supervisord: Any) -> dict[str, Any]:
    """Return what a role would give: listen at a socket of this name, or at a port."""
    if isinstance(listen, int):
        server = {"inet_http_server": {"port": f"127.0.0.1:{listen}"}}
        url = f"http://127.0.0.1:{listen}"
    else:
        server = {"unix_http_server": {"file": f"{root}/{listen}", "chmod": "0700"}}
        url = f"unix://{root}/{listen}"
    return {
        **server,
        "supervisord": {
            "logfile": f"{root}/supervisord.log",
            "pidfile": f"{root}/pid",
            "childlogdir": str(root),
            "identifier": "test",
            **supervisord,
        },
        "rpcinterface:supervisor": {
            "supervisor.rpcinterface_factory": "supervisor.rpcinterface:make_main_rpcinterface"
        },
        "supervisorctl": {"serverurl": url, "prompt": "test"},
    }


@pytest.fixture
def options(instance: Daemon) -> Run:
    """Return the module's options for the instance, with changes."""

    def make(listen: str | int = "s", supervisord: Result | None = None, **changed: Any) -> Result:
        given = dict(
            config=str(instance.conf),
            python=sys.executable,
            sections=sections(instance.root, listen, **(supervisord or {})),
        )
        return dict(given, **changed)

    return make


@pytest.fixture
def configure(instance: Daemon, options: Run, run_module: Run) -> Run:
    """Run the module, and see that no key that the file had or has is in what it says."""

    def run(*listen: str | int, check: bool = False, diff: bool = True, **changed: Any) -> Result:
        before = keys(instance)
        result = run_module(
            "supervisord_config", check=check, diff=diff, **options(*listen, **changed)
        )
        shown = json.dumps(result)
        assert not [key for key in before | keys(instance) if key in shown]
        return result

    return run


def keys(instance: Daemon) -> set[str]:
    texts = [path.read_text(errors="replace") for path in instance.root.glob("*.conf*")]
    return {key for text in texts for key in re.findall(r"password *= *(\S+)", text)}


def key(instance: Daemon) -> str:
    return SupervisordConf(str(instance.conf)).parser.get("supervisorctl", "password")


def files(instance: Daemon) -> dict[str, tuple[bytes, int]]:
    shown = {path.name: path for path in instance.root.iterdir() if "conf" in path.name}
    return {name: (path.read_bytes(), path.stat().st_mtime_ns) for name, path in shown.items()}


def pid_by(endpoint: Endpoint) -> Any:
    """Return the pid of the daemon that answers there, or the reason why none does."""
    with Supervisor(endpoint, 60) as client:
        try:
            return client.call("supervisor.getPID")
        except JawsError as error:
            return error.reason


def start(instance: Daemon) -> Any:
    """Start the daemon as the module does, from a separate process, and return its pid."""
    code = (
        "import sys; from ansible_collections.jgi.jaws.plugins.module_utils.supervisor.daemon "
        "import Daemon; daemon = Daemon(*sys.argv[1:]); daemon.start()"
    )
    command = [sys.executable, "-c", code, str(instance.conf), SUPERVISORD]
    paths = os.pathsep.join(sys.path)
    subprocess.run(command, check=True, env=dict(os.environ, PYTHONPATH=paths))
    return pid(instance)


def pid(instance: Daemon) -> Any:
    return pid_by(SupervisordConf(str(instance.conf)).endpoint)


def daemons(instance: Daemon) -> list[int]:
    return parents_among(bearing(str(instance.conf), ["cmdline"]))


def programs(instance: Daemon) -> list[int]:
    """Return what the daemon runs; a child that it has just forked still has its command line."""
    found = [Path(f"/proc/{pid}/task/{pid}/children").read_text() for pid in daemons(instance)]
    return [pid for pid in map(int, " ".join(found).split()) if pid not in daemons(instance)]


@pytest.fixture
def running(instance: Daemon, configure: Run) -> int:
    """A daemon that runs with what the module wrote, and one program; its pid."""
    configure()
    instance.conf.write_text(instance.conf.read_text() + PROGRAMS)
    found = instance.start()
    until_one_runs(instance)
    return found


def until_one_runs(instance: Daemon) -> Any:
    return wait_until(lambda: programs(instance), "a program")


# --- the key and the file ---------------------------------------------------------------------


def test_a_key_is_generated_and_kept(instance: Daemon, configure: Run) -> None:
    first = configure()
    assert (first["changed"], first["new_key"], first["reloaded"]) == (True, True, False)
    made = key(instance)
    assert re.fullmatch(r"[A-Za-z0-9_-]{43}", made), "256 bits in the letters of base64"
    parser = SupervisordConf(str(instance.conf)).parser
    assert parser.get("unix_http_server", "password") == made
    before = files(instance)
    second = configure()
    assert (second["changed"], second["new_key"]) == (False, False)
    assert files(instance) == before


def test_who_asks_learns_whether_the_daemon_runs(instance: Daemon, configure: Run) -> None:
    assert configure(ask=True, check=True)["daemon"]["pid"] is None
    assert configure(ask=True)["daemon"]["pid"] is None
    first = instance.start()
    result = configure(ask=True)
    assert (result["changed"], result["daemon"]["pid"]) == (False, first)
    result = configure(ask=True, supervisord={"minfds": 900})
    assert (result["reloaded"], result["daemon"]["pid"]) == (True, first)
    assert "daemon" not in configure(supervisord={"minfds": 900})
    (instance.root / "s").unlink()
    instance.start()
    twice = configure(ask=True, supervisord={"minfds": 900})
    assert twice["reason"] == "runs_twice", twice


def test_who_asks_learns_that_another_user_than_the_files_runs_the_daemon(
    instance: Daemon, configure: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    me = {"user": pwd.getpwuid(os.geteuid()).pw_name}
    configure(supervisord=me)
    instance.start()
    monkeypatch.setattr(daemon.Daemon, "_user_of", lambda *_: "somebody")
    assert configure(supervisord=me)["changed"] is False
    asked = configure(ask=True, supervisord=me)
    assert asked["reason"] == "foreign_owner", asked
    assert "runs as somebody" in asked["msg"]


def test_two_instances_have_two_keys(
    instance: Daemon, configure: Run, run_module: Run, options: Run
) -> None:
    configure()
    other = instance.root / "other.conf"
    run_module("supervisord_config", **options(config=str(other)))
    assert SupervisordConf(str(other)).parser.get("supervisorctl", "password") != key(instance)


def test_a_diff_shows_what_changes_but_the_key(instance: Daemon, configure: Run) -> None:
    configure()
    result = configure(supervisord={"minfds": 2000})
    assert "minfds=2000" in result["diff"]["after"]
    assert "minfds=2000" not in result["diff"]["before"]
    assert "password= (not shown)" in result["diff"]["after"]
    assert result["diff"]["before_header"] == str(instance.conf)


@pytest.mark.fault(37)
@pytest.mark.parametrize("mode", ["0640", "0600"])
def test_the_file_is_closed_to_strangers(instance: Daemon, configure: Run, mode: str) -> None:
    umask = os.umask(0)
    try:
        configure(mode=mode)
    finally:
        os.umask(umask)
    assert stat.S_IMODE(instance.conf.stat().st_mode) == int(mode, 8)
    instance.conf.chmod(0o666)
    made = key(instance)
    result = configure(mode=mode)
    assert (result["changed"], result["new_key"], result["reloaded"]) == (True, False, False)
    assert stat.S_IMODE(instance.conf.stat().st_mode) == int(mode, 8)
    assert key(instance) == made


def test_the_file_is_the_groups(instance: Daemon, configure: Run) -> None:
    group = grp.getgrgid(1 if os.geteuid() == 0 else [os.getegid(), *os.getgroups()][-1])
    configure(group=group.gr_name)
    assert instance.conf.stat().st_gid == group.gr_gid
    assert configure(group=group.gr_name)["changed"] is False
    assert configure(group="no-such-group")["reason"] == "bad_option"


@pytest.mark.parametrize("mode", ["0644", "0660", "0750", "4640", "rw", "0o640", ""])
def test_a_mode_that_lets_others_in_is_refused(instance: Daemon, configure: Run, mode: str) -> None:
    assert configure(mode=mode)["reason"] == "bad_option"
    assert not instance.conf.exists()


@pytest.mark.parametrize("newline", ["\n", "\r\n"])
def test_programs_are_left_byte_for_byte(instance: Daemon, configure: Run, newline: str) -> None:
    configure()
    theirs = (
        PROGRAMS.replace("\n", newline).replace(f"releases`.{newline}", "releases`.\n").encode()
    )
    instance.conf.write_bytes(instance.conf.read_bytes() + theirs)
    assert configure()["changed"] is False
    assert configure(supervisord={"minfds": 2000})["changed"] is True
    assert instance.conf.read_bytes().endswith(b"\n" + theirs)


@pytest.mark.fault(28)
@pytest.mark.fault(29)
def test_what_supervisor_refuses_is_not_written(instance: Daemon, configure: Run) -> None:
    configure()
    before = files(instance)
    for wrong in ({"loglevel": "shout"}, {"logfile": "/nowhere/log"}, {"umask": "rwx"}):
        result = configure(supervisord=wrong)
        assert result["reason"] == "broken_conf", result
    assert configure(supervisord={"logfle": "/tmp/l"})["reason"] == "bad_option"
    assert files(instance) == before


def test_a_program_without_a_command_is_the_releases_business(
    instance: Daemon, configure: Run
) -> None:
    configure()
    instance.conf.write_text(instance.conf.read_text() + "[program:a]\ncommand=/nowhere/a\n")
    assert configure(supervisord={"minfds": 2000})["changed"] is True


@pytest.mark.fault(42)
def test_a_dry_run_predicts_and_writes_nothing(instance: Daemon, configure: Run) -> None:
    assert configure(check=True)["changed"] is True
    assert files(instance) == {}
    configure()
    before = files(instance)
    assert configure(check=True)["changed"] is False
    assert configure(check=True, rotate_key=True)["changed"] is True
    predicted = configure(check=True, supervisord={"minfds": 2000})
    assert files(instance) == before
    assert predicted["diff"] == configure(supervisord={"minfds": 2000})["diff"]


def test_a_dry_run_asks_the_daemon_nothing(configure: Run, running: int) -> None:
    os.kill(running, signal.SIGSTOP)
    assert configure(check=True, rotate_key=True)["changed"] is True


@pytest.mark.fault(21)
def test_a_link_in_its_place_is_refused(instance: Daemon, configure: Run) -> None:
    target = instance.root / "precious"
    target.write_text("precious")
    instance.conf.symlink_to(target)
    result = configure()
    assert result["reason"] == "foreign_owner", result
    assert target.read_text() == "precious"


@pytest.mark.parametrize(
    "content", [f"password={KEY}\n", f"[supervisord]\n{KEY}\n", "[supervisord\n", "\udce9"]
)
def test_a_broken_file_is_never_quoted(instance: Daemon, configure: Run, content: str) -> None:
    instance.conf.write_bytes(content.encode("utf-8", "surrogateescape"))
    result = configure()
    assert KEY not in json.dumps(result)
    if result.get("failed"):
        assert str(instance.conf) in result["msg"]
    else:
        assert KEY not in instance.conf.read_text()


def names(instance: Daemon) -> set[str]:
    """Return the programs that the daemon knows."""
    with Supervisor(SupervisordConf(str(instance.conf)).endpoint) as client:
        return {info["name"] for info in client.call("supervisor.getAllProcessInfo")}


INCLUDED = "[program:b]\ncommand=/bin/sleep 1000\nstartsecs=0\n"


def test_included_files_stay_included_when_a_file_is_taken_over(
    instance: Daemon, configure: Run
) -> None:
    (instance.root / "more").mkdir()
    (instance.root / "more/b.ini").write_text(INCLUDED)
    instance.write(PROGRAMS + "[include]\nfiles = more/*.ini\n   none.ini")
    started = instance.start()
    result = configure()
    assert (result["changed"], result["reloaded"]) == (True, True), result
    assert pid(instance) == started
    assert names(instance) == {"a", "b"}
    assert configure()["changed"] is False
    given = sections(instance.root)
    for include, known in (({"files": "none.ini"}, {"a"}), ({"files": "more/b.ini"}, {"a", "b"})):
        assert configure(sections={**given, "include": include})["changed"]
        assert configure(sections={**given, "include": include})["changed"] is False
        os.kill(started, signal.SIGHUP)
        wait_until(lambda known=known: by_now(instance) == known, "the programs")
    assert configure(sections={**given, "include": {}})["changed"]
    assert "[include]" not in instance.conf.read_text()


def by_now(instance: Daemon) -> set[str]:
    try:
        return names(instance)
    except JawsError:  # it is reading its file again
        return set()


def test_an_included_file_with_a_key_of_its_own_is_refused(
    instance: Daemon, configure: Run
) -> None:
    (instance.root / "b.ini").write_text("[unix_http_server]\nusername=x\npassword=other\n")
    instance.write("[include]\nfiles=b.ini\n")
    before = instance.conf.read_text()
    result = configure()
    assert result["reason"] == "broken_conf", result
    assert "[unix_http_server]" in result["msg"]
    assert instance.conf.read_text() == before


def test_every_kind_of_section_may_be_given_and_a_daemon_in_the_foreground_configured(
    instance: Daemon, configure: Run
) -> None:
    given = {
        **sections(instance.root, nodaemon=True),
        "eventlistener:mail": {"command": "/bin/cat", "events": "TICK_3600"},
        "program:n": {
            "command": "/bin/sleep %(ENV_SECONDS)s",
            "environment": "SECONDS=1000",
            "numprocs": 2,
            "process_name": "%(program_name)s_%(process_num)02d",
        },
        "fcgi-program:f": {"command": "/bin/sleep 1000", "socket": f"unix://{instance.root}/f"},
        "group:g": {"programs": "n"},
        "ctlplugin:x": {"supervisor.ctl_factory": "a:b"},
    }
    assert not configure(sections=given).get("failed")
    instance.conf.write_text(instance.conf.read_text() + PROGRAMS.partition("\n\n")[2])
    assert configure(sections=given)["changed"] is False
    started = start(instance)
    assert names(instance) == {"mail", "n_00", "n_01", "f", "a"}
    # What reread finds does not cause a reload.
    given["program:n"]["startsecs"] = 0
    result = configure(sections=given)
    assert (result["changed"], result["reloaded"]) == (True, False), result
    result = configure(sections=given, supervisord=None, rotate_key=True)
    assert result["reloaded"], result
    assert pid(instance) == started
    assert names(instance) == {"mail", "n_00", "n_01", "f", "a"}


def test_a_program_that_is_given_replaces_one_of_its_name(instance: Daemon, configure: Run) -> None:
    instance.write("[program:a]\ncommand=/bin/old\n[program:b]\ncommand=/bin/b\n")
    given = {**sections(instance.root), "program:a": {"command": "/bin/new"}}
    configure(sections=given)
    text = instance.conf.read_text()
    assert text.count("[program:a]") == 1
    assert ("/bin/old" in text, "/bin/new" in text, "/bin/b" in text) == (False, True, True)
    assert configure(sections=given)["changed"] is False


# --- a running daemon -------------------------------------------------------------------------


def test_what_changes_for_the_daemon_reloads_it(
    instance: Daemon, configure: Run, running: int
) -> None:
    before = programs(instance)
    log = instance.root / "other.log"
    result = configure(supervisord={"logfile": str(log)})
    assert (result["changed"], result["reloaded"], result["new_key"]) == (True, True, False), result
    assert pid(instance) == running
    assert log.exists()
    wait_until(lambda: programs(instance) not in ([], before), "the new program")
    assert not list(instance.root.glob("*.previous"))


def test_what_changes_for_people_alone_reloads_nothing(
    instance: Daemon, configure: Run, running: int, options: Run
) -> None:
    before = programs(instance)
    changed = options()["sections"]
    changed["supervisorctl"]["prompt"] = "other"
    result = configure(sections=changed)
    assert (result["changed"], result["reloaded"]) == (True, False), result
    instance.conf.write_text("; by hand\n" + instance.conf.read_text())
    assert (pid(instance), programs(instance)) == (running, before)


@pytest.mark.parametrize(
    ("old", "new"), [("s", "other"), ("s", "port"), ("port", "s"), ("port", "another port")]
)
def test_an_address_changes_under_a_running_daemon(
    instance: Daemon, configure: Run, old: str, new: str
) -> None:
    first, second = (reserve_port() if "port" in name else name for name in (old, new))
    configure(first)
    instance.conf.write_text(instance.conf.read_text() + PROGRAMS)
    started = instance.start()
    before = until_one_runs(instance)
    endpoint = SupervisordConf(str(instance.conf)).endpoint
    result = configure(second)
    assert (result["changed"], result["reloaded"]) == (True, True), result
    assert pid(instance) == started
    assert pid_by(endpoint) == "down"
    wait_until(lambda: programs(instance) not in ([], before), "the new program")
    assert (len(programs(instance)), daemons(instance)) == (1, [started])
    assert configure(second)["changed"] is False


def test_a_rotated_key_is_in_force_and_the_old_one_refused(
    instance: Daemon, configure: Run, running: int
) -> None:
    old = SupervisordConf(str(instance.conf)).endpoint
    result = configure(rotate_key=True)
    assert (result["new_key"], result["reloaded"]) == (True, True), result
    assert SupervisordConf(str(instance.conf)).endpoint.password != old.password
    assert pid(instance) == running
    assert pid_by(old) == "wrong_key"
    assert configure()["changed"] is False


def test_a_key_is_rotated_while_the_daemon_is_down(instance: Daemon, configure: Run) -> None:
    configure()
    old = key(instance)
    result = configure(rotate_key=True)
    assert (result["changed"], result["reloaded"]) == (True, False)
    assert key(instance) != old
    assert not list(instance.root.glob("*.previous"))


def test_a_conf_of_the_old_scripts_is_taken_over(instance: Daemon, configure: Run) -> None:
    port = reserve_port()
    instance.write("", head=OLD.replace("{port}", str(port)))
    instance.conf.chmod(0o644)
    started = instance.start()
    until_one_runs(instance)
    result = configure()
    assert (result["new_key"], result["reloaded"]) == (True, True), result
    assert pid(instance) == started
    assert (
        pid_by(
            Endpoint(
                f"http://127.0.0.1:{port}", "jaws", "shared-by-all-of-them-at-every-site", "test"
            )
        )
        == "down"
    )
    assert stat.S_IMODE(instance.conf.stat().st_mode) == 0o640
    assert "shared-by-all" not in instance.conf.read_text()
    with Supervisor(SupervisordConf(str(instance.conf)).endpoint) as client:
        (info,) = client.call("supervisor.getAllProcessInfo")
    assert (info["group"], info["name"]) == ("jaws-dev", "jaws-site")
    assert configure()["changed"] is False


# --- what could go wrong before anything is written -------------------------------------------


@pytest.fixture
def unharmed(instance: Daemon, running: int) -> Iterator[int]:
    """See at the end that the files, the daemon and its program are what they were."""
    before = files(instance), programs(instance)
    yield running
    os.kill(running, signal.SIGCONT)
    assert (files(instance), programs(instance)) == before
    assert not has_ended(running)


@pytest.mark.fault(18)
def test_nothing_is_written_for_a_frozen_daemon(configure: Run, unharmed: int) -> None:
    os.kill(unharmed, signal.SIGSTOP)
    result = configure(rotate_key=True, timeout=1)
    assert result["reason"] == "frozen", result
    assert f"kill -CONT {unharmed}" in result["msg"]


@pytest.mark.fault(11)
def test_nothing_is_written_for_a_hidden_daemon_that_runs_with_an_unknown_key(
    instance: Daemon, configure: Run, running: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    instance.conf.write_text(instance.conf.read_text().replace(key(instance), "x" * 43))
    before = files(instance)
    monkeypatch.setattr(processes, "all_processes", lambda *_, **_options: iter(()))
    result = configure(rotate_key=True)
    assert result["reason"] == "wrong_key", result
    assert files(instance) == before
    assert not has_ended(running)


def test_a_port_that_is_taken_after_a_kill_is_named(
    instance: Daemon, configure: Run, running: int, spawn_module: Spawn, options: Run
) -> None:
    port = reserve_port()
    assert killed(spawn_module, MOMENTS - 1, False, options(port))
    with socket.create_server(("127.0.0.1", port)):
        result = configure(port, timeout=1)
    assert result["reason"] == "address_taken", result
    assert not configure(port).get("failed")
    assert pid(instance) == running


@pytest.mark.fault(22)
def test_a_port_that_is_taken_is_refused(configure: Run, unharmed: int) -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:
        port = server.getsockname()[1]
        result = configure(port)
        assert result["reason"] == "address_taken", result
        assert str(port) in result["msg"]
        server.settimeout(60)
        with server.accept()[0] as connection:
            assert connection.recv(100) == b"", "the key was sent"
    assert unharmed


def test_a_socket_that_another_daemon_listens_at_is_refused(
    instance: Daemon, configure: Run, unharmed: int
) -> None:
    with socket.socket(socket.AF_UNIX) as server:
        server.bind(str(instance.root / "other"))
        server.listen()
        assert configure("other")["reason"] == "address_taken"
    (instance.root / "other").unlink()
    assert unharmed


@pytest.mark.fault(27)
@pytest.mark.parametrize("listen", ["x" * 100, "none/s"])
def test_an_address_that_would_not_do_is_refused(
    configure: Run, unharmed: int, listen: str
) -> None:
    assert configure(listen)["reason"] in ("bad_option", "unusable_directory")
    assert unharmed


@pytest.mark.fault(21)
def test_a_log_through_somebodys_link_is_refused(
    instance: Daemon, configure: Run, unharmed: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    (instance.root / "l").symlink_to("/etc/passwd")
    give_to_nobody(monkeypatch, instance.root / "l")
    result = configure(supervisord={"logfile": str(instance.root / "l")})
    assert result["reason"] == "foreign_owner", result
    assert unharmed


def test_a_user_that_the_daemon_cannot_become_is_refused(configure: Run, unharmed: int) -> None:
    result = configure(supervisord={"user": "root" if os.geteuid() else "daemon"})
    assert result["reason"] == "foreign_owner", result
    assert unharmed


# --- killed half-way --------------------------------------------------------------------------

# Kills itself with -9 at one moment: before or after the call NUMBER of those that matter.
KILLER = """
import os, signal
from ansible_collections.jgi.jaws.plugins.module_utils.supervisor.client import Supervisor
calls = 0
def at(holder, name, matters=lambda *_: True):
    real = getattr(holder, name)
    def call(*arguments, **options):
        global calls
        if not matters(*arguments):
            return real(*arguments, **options)
        calls += 1
        if calls == NUMBER and not AFTER:
            os.kill(os.getpid(), signal.SIGKILL)
        answer = real(*arguments, **options)
        if calls == NUMBER and AFTER:
            os.kill(os.getpid(), signal.SIGKILL)
        return answer
    setattr(holder, name, call)
at(os, "fsync")
at(os, "replace")
at(os, "unlink", lambda path, *_: path.endswith(".previous"))
at(Supervisor, "call", lambda _self, method, *_: method.endswith("restart"))
"""
MOMENTS = 8  # that exist: see the test that counts them


def killed(spawn_module: Spawn, number: int, after: bool, options: Result) -> bool:
    hook = KILLER.replace("NUMBER", str(number)).replace("AFTER", str(after))
    process = spawn_module("supervisord_config", hook=hook, **options)
    output = process.communicate()[0]
    assert process.returncode in (0, -signal.SIGKILL), output
    return process.returncode == -signal.SIGKILL


def one_of_two_keys_works(instance: Daemon) -> list[int | str]:
    paths = [path for path in (instance.conf, Path(f"{instance.conf}.previous")) if path.exists()]
    return [pid_by(SupervisordConf(str(path)).endpoint) for path in paths]


@pytest.mark.fault(3)
@pytest.mark.parametrize("after", [False, True])
@pytest.mark.parametrize("listen", ["s", "other"])
def test_killed_anywhere_a_rerun_finishes(
    instance: Daemon,
    configure: Run,
    running: int,
    spawn_module: Spawn,
    options: Run,
    after: bool,
    listen: str,
) -> None:
    """With a new key at the same address, and with a new address besides."""
    for number in range(1, MOMENTS + 1):
        target = listen if number % 2 else "s"
        old = key(instance)
        assert killed(spawn_module, number, after, options(target, rotate_key=True))
        wait_until(lambda: running in one_of_two_keys_works(instance), "a way in")
        assert not configure(target).get("failed")
        assert pid(instance) == running, f"killed at {number}"
        if key(instance) != old:
            assert (
                pid_by(SupervisordConf(str(instance.conf)).endpoint._replace(password=old))
                == "wrong_key"
            )
        assert configure(target)["changed"] is False
        assert [name for name in os.listdir(instance.root) if "conf" in name] == [
            instance.conf.name
        ]
        assert daemons(instance) == [running]
    assert len(until_one_runs(instance)) == 1


def test_killed_again_and_again_there_is_still_a_way_in(
    instance: Daemon, configure: Run, running: int, spawn_module: Spawn, options: Run
) -> None:
    moments = [MOMENTS - 1, 4, 4]  # before the reload; the later runs have no old file to keep
    for number in moments:
        assert killed(spawn_module, number, False, options(rotate_key=True))
        assert running in one_of_two_keys_works(instance)
    assert configure()["reloaded"] is True
    assert pid(instance) == running


def test_every_moment_is_one_of_those(
    instance: Daemon, running: int, spawn_module: Spawn, options: Run
) -> None:
    assert killed(spawn_module, MOMENTS, True, options(rotate_key=True))
    assert not killed(spawn_module, MOMENTS + 1, False, options(rotate_key=True))
    assert pid(instance) == running


def test_a_first_run_that_is_killed_leaves_no_litter(
    instance: Daemon, configure: Run, spawn_module: Spawn, options: Run
) -> None:
    for number in (1, 2, 3):
        killed(spawn_module, number, False, options())
        configure(check=True)
    assert not configure().get("failed")
    assert list(files(instance)) == [instance.conf.name]


def test_an_interrupted_run_is_seen_by_a_dry_run(
    instance: Daemon, configure: Run, running: int, spawn_module: Spawn, options: Run
) -> None:
    assert killed(spawn_module, MOMENTS - 1, False, options(rotate_key=True))
    assert configure(check=True)["changed"] is True
    assert configure()["reloaded"] is True
    assert pid(instance) == running


@pytest.mark.fault(13)
def test_of_two_that_rotate_at_once_the_files_key_is_in_force(
    instance: Daemon, configure: Run, running: int, spawn_module: Spawn, options: Run
) -> None:
    runs = [spawn_module("supervisord_config", **options(rotate_key=True)) for _number in range(2)]
    outputs = [run.communicate()[0] for run in runs]
    assert [run.returncode for run in runs] == [0, 0], outputs
    assert pid(instance) == running
    assert configure()["changed"] is False


@pytest.mark.fault(37)
def test_a_key_is_in_no_environment_and_no_command_line(
    instance: Daemon, configure: Run, running: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    seen = []
    real: Any = subprocess.Popen.__init__

    def watched(self: Any, command: Any, *rest: Any, **kwargs: Any) -> None:
        seen.append(json.dumps([list(map(str, command)), dict(kwargs.get("env") or os.environ)]))
        real(self, command, *rest, **kwargs)

    monkeypatch.setattr(subprocess.Popen, "__init__", watched)
    old = key(instance)
    configure(rotate_key=True)
    assert seen
    assert not [text for text in seen if old in text or key(instance) in text]
    for secret in (old, key(instance)):
        assert not bearing(secret)
    assert running
