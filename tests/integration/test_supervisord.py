# SPDX-License-Identifier: GPL-3.0-or-later
"""The supervisord module against real daemons: alive, dead, frozen, lost, of another user."""

from __future__ import annotations

import fcntl
import getpass
import json
import os
import signal
import socket
import stat
import subprocess
import sys
from collections.abc import Callable
from contextlib import ExitStack, closing, suppress
from pathlib import Path
from typing import Any

import pytest

from ansible_collections.jgi.jaws.plugins.module_utils.supervisor import daemon, endpoint
from ansible_collections.jgi.jaws.plugins.module_utils.system import processes
from tests.integration.conftest import (
    HEAD,
    KEY,
    Daemon,
    Result,
    Run,
    Spawn,
    bearing,
    has_ended,
    parents_among,
    read,
    wait_until,
    working,
)
from tests.integration.ports import reserve_port

BIN = Path(sys.executable).parent
ME = getpass.getuser()
NOBODY = 65534
SLEEPER = """\
[program:{name}]
command=/bin/sleep 1000
startsecs=0
"""
STATES = ["started", "stopped", "restarted", "reloaded"]


@pytest.fixture
def manage(instance: Daemon, run_module: Run) -> Run:
    """Run the module on the instance, and remember the daemon that it started."""

    def run(state: str = "started", **options: Run) -> Result:
        known = dict(supervisord_path=str(BIN / "supervisord"), config=str(instance.conf))
        return run_module("supervisord", **dict(known, state=state, **options))

    return run


def programs(instance: Daemon) -> list[int]:
    """Return the pids of what the instance's daemon runs, or has left."""
    return bearing(f"SUPERVISOR_SERVER_URL=unix://{instance.root}", ["environ"])


def daemons(instance: Daemon) -> list[int]:
    found = [(pid, words(pid)) for pid in bearing(str(instance.conf), ["cmdline"])]
    # Supervisor's parser, which a killed run may have left, only names supervisord in its code.
    return parents_among(
        [pid for pid, text in found if "supervisord" in text and "ServerOptions" not in text]
    )


def words(pid: int) -> str:
    with suppress(FileNotFoundError):
        return " ".join(Path(f"/proc/{pid}/cmdline").read_text().split("\0")[:3])
    return ""


def environ(pid: int) -> dict[str, str]:
    entries = Path(f"/proc/{pid}/environ").read_text().split("\0")
    return dict(entry.split("=", 1) for entry in entries if entry)


def field(pid: int, name: str) -> str:
    lines = Path(f"/proc/{pid}/status").read_text().splitlines()
    return next(line.split(None, 1)[1] for line in lines if line.startswith(name + ":"))


def session(pid: int) -> int:
    return int(Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[3])


def until_one_runs(instance: Daemon) -> Any:
    return wait_until(lambda: programs(instance), "a program")


def give_to_nobody(monkeypatch: pytest.MonkeyPatch, *paths: Path) -> None:
    """Give paths to another user; without root, only the module sees it so."""
    if os.geteuid() == 0:
        for path in paths:
            os.chown(path, NOBODY, -1, follow_symlinks=False)
        return
    for name in ("stat", "lstat"):
        real = getattr(os, name)

        def seen(path: Any, *args: Any, real: Any = real, **kwargs: Any) -> os.stat_result:
            found = list(real(path, *args, **kwargs))
            found[stat.ST_UID] = NOBODY if str(path) in map(str, paths) else found[stat.ST_UID]
            return os.stat_result(found)

        monkeypatch.setattr(os, name, seen)


# --- started ----------------------------------------------------------------------------------


@pytest.mark.fault(38)
def test_it_starts_with_a_clean_environment_in_a_session_of_its_own(
    instance: Daemon, manage: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("CI_JOB_TOKEN", "hush")
    instance.write(SLEEPER.format(name="a"))
    result = manage()
    assert (result["changed"], result["running"], result["user"]) == (True, True, ME), result
    pid = result["pid"]
    given = {"PATH", "HOME", "USER", "LOGNAME", "SHELL", "LANG", "LC_ALL", "SUPERVISORD_CONFIG"}
    assert set(environ(pid)) == given
    (program,) = until_one_runs(instance)
    own = {name for name in environ(program) if not name.startswith("SUPERVISOR_")}
    assert own == given
    assert session(pid) == pid != session(os.getpid())
    assert working(pid) == str(instance.root)


@pytest.mark.parametrize(
    ("head", "option", "umask"),
    [
        ("", None, 0o022),
        ("umask=077\n", None, 0o077),
        ("", "027", 0o027),
        ("umask=077\n", "0002", 0o002),
        ("nodaemon=true\numask=077\n", None, 0o077),
        ("nodaemon=true\n", "027", 0o027),
    ],
)
def test_the_umask_is_the_options_or_the_configurations_or_supervisors_default(
    instance: Daemon, manage: Run, head: str, option: str | None, umask: int
) -> None:
    instance.write(SLEEPER.format(name="a") + f"[supervisord]\n{head}")
    old = os.umask(0o007)  # that of the user who starts it does not count
    try:
        pid = manage(umask=option)["pid"]
    finally:
        os.umask(old)
    (program,) = until_one_runs(instance)
    assert {field(pid, "Umask"), field(program, "Umask")} == {f"{umask:04o}"}
    assert stat.S_IMODE((instance.root / "supervisord.log").stat().st_mode) == 0o666 & ~umask


def test_an_invalid_umask_is_reported(instance: Daemon, manage: Run) -> None:
    instance.write("")
    assert "umask 9" in manage(umask="9")["msg"]


def test_variables_of_the_option_reach_the_configuration_and_the_programs(
    instance: Daemon, manage: Run
) -> None:
    instance.write(
        "[program:a]\ncommand=/bin/sleep %(ENV_SECONDS)s\nstartsecs=0\n",
        head=HEAD.replace("{root}/supervisord.log", "%(ENV_LOGS)s/supervisord.log"),
    )
    assert "no LOGS" in manage()["msg"]
    result = manage(environment={"SECONDS": 1000, "LOGS": str(instance.root)})
    assert result["running"], result
    (program,) = until_one_runs(instance)
    assert environ(program)["SECONDS"] == "1000"
    assert (instance.root / "supervisord.log").exists()


def test_a_running_daemon_whose_address_needs_a_variable_is_not_said_to_be_lost(
    instance: Daemon, manage: Run
) -> None:
    instance.write("", head=HEAD.replace("{root}/s\n", "%(ENV_PLACE)s/s\n"))
    pid = manage(environment={"PLACE": str(instance.root)})["pid"]
    result = manage("restarted")
    assert result["reason"] == "broken_conf", result
    assert f"pid {pid}" in result["msg"]
    assert "no PLACE" in result["msg"]
    assert "rotate_key" not in result["msg"]


def test_a_restart_warns_of_the_variables_that_are_lost_by_name(
    instance: Daemon, manage: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    instance.write(SLEEPER.format(name="a"))
    given = {"SCRATCH": "/hush/scratch", "http_proxy": "hush", "PWD": "/", "SHLVL": "1"}
    for name, value in given.items():
        monkeypatch.setenv(name, value)
    instance.start()
    until_one_runs(instance)
    for check in (True, False):
        result = manage("restarted", environment={"http_proxy": "other"}, check=check)
        (warning,) = warnings(result)
        assert "SCRATCH" in warning
        for word in ("http_proxy", "PWD", "SHLVL", "LANG", "hush"):
            assert word not in warning
    assert warnings(manage("restarted", environment={"http_proxy": "other"})) == []


def test_a_second_start_changes_nothing(instance: Daemon, manage: Run) -> None:
    instance.write(SLEEPER.format(name="a"))
    first = manage()
    before = until_one_runs(instance)
    second = manage(diff=True)
    assert (second["changed"], second["pid"]) == (False, first["pid"]), second
    assert second["diff"]["before"] == second["diff"]["after"]
    assert programs(instance) == before


def test_it_survives_the_death_of_its_starter(instance: Daemon, spawn_module: Spawn) -> None:
    instance.write("")
    options = dict(config=str(instance.conf), supervisord_path=str(BIN / "supervisord"))
    hook = "import os, time, atexit; atexit.register(time.sleep, 1000)"
    starter = spawn_module("supervisord", hook=hook, **options)
    assert starter.stdout is not None
    with starter.stdout as stream:
        result = json.loads(next(line for line in stream if line.strip()))
    os.killpg(starter.pid, signal.SIGHUP)
    os.killpg(starter.pid, signal.SIGKILL)
    starter.wait()
    assert result["changed"]
    assert not has_ended(result["pid"])


def test_a_program_without_a_command_keeps_no_other_down(instance: Daemon, manage: Run) -> None:
    instance.write(SLEEPER.format(name="a") + "[program:b]\ncommand=/nowhere/b\n")
    result = manage()
    assert result["running"]
    assert ["b" in warning and "/nowhere/b" in warning for warning in warnings(result)] == [True]
    until_one_runs(instance)


WEB = """\
[program:web]
command=my-web
startsecs=0
environment=PATH="%(here)s/venv/bin:/usr/bin:/bin"
"""


def test_a_command_is_found_in_the_path_of_its_own_program(instance: Daemon, manage: Run) -> None:
    web = instance.root / "venv/bin/my-web"
    web.parent.mkdir(parents=True)
    web.write_text("#!/bin/sh\nexec sleep 1000\n")
    web.chmod(0o755)
    instance.write(WEB)
    for state in STATES[:1] + STATES[2:]:
        result = manage(state)
        assert (result.get("running"), warnings(result)) == (True, []), result
        until_one_runs(instance)
    web.unlink()
    assert manage("reloaded")["reason"] == "broken_conf"
    assert f"my-web in {web.parent}:/usr/bin:/bin" in manage("restarted")["msg"]


ROOTLESS = """\
[unix_http_server]
file=%(ENV_HOME)s/run/s.sock
[supervisord]
user=%(ENV_USER)s
logfile=%(ENV_HOME)s/log/supervisord.log
pidfile=%(ENV_HOME)s/run/supervisord.pid
childlogdir=%(ENV_HOME)s/log
[rpcinterface:supervisor]
supervisor.rpcinterface_factory=supervisor.rpcinterface:make_main_rpcinterface
[supervisorctl]
serverurl=unix://%(ENV_HOME)s/run/s.sock
"""


@pytest.fixture
def rootless(instance: Daemon, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The home directory of an account with the usual configuration in it."""
    home = instance.root / "home"
    for name in ("run", "log"):
        (home / name).mkdir(parents=True)
    real = processes.clean_environment()
    for module in (processes, endpoint):
        monkeypatch.setattr(module, "clean_environment", lambda: {**real, "HOME": str(home)})
    instance.conf = home / "supervisord.conf"
    return home


def test_the_usual_configuration_in_a_home_directory_works(
    instance: Daemon, manage: Run, run_module: Run, rootless: Path
) -> None:
    instance.write(SLEEPER.format(name="a"), head=ROOTLESS)
    result = manage()
    assert result["url"] == f"unix://{rootless}/run/s.sock", result
    assert (result["user"], warnings(result)) == (ME, [])
    wait_until(lambda: programs(instance), "its program")
    (program,) = run_module("supervisorctl_info", config=str(instance.conf))["programs"]
    assert program["name"] == "a"
    assert manage()["changed"] is False
    for state in ("reloaded", "restarted"):
        assert manage(state)["running"]
    assert (rootless / "run/supervisord.pid").exists()
    pid = manage()["pid"]
    (orphan,) = wait_until(lambda: programs(instance), "its program")
    kill(pid)
    assert manage()["cleared"]["orphans"] == [orphan]


def test_a_daemon_that_was_started_with_another_home_is_found_and_moves_in_a_restart(
    instance: Daemon, manage: Run, run_module: Run, rootless: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    other = instance.root / "other"
    for name in ("run", "log"):
        (other / name).mkdir(parents=True)
    instance.write(SLEEPER.format(name="a"), head=ROOTLESS)
    monkeypatch.setenv("HOME", str(other))
    monkeypatch.setenv("USER", ME)
    command = [str(BIN / "supervisord"), "-c", str(instance.conf)]
    subprocess.run(command, check=True, cwd="/")
    wait_until((other / "run/supervisord.pid").exists, "its pid file")
    result = manage()
    assert (result["changed"], result["url"]) == (False, f"unix://{other}/run/s.sock"), result
    assert manage("reloaded")["pid"] == result["pid"]
    restarted = manage("restarted")
    assert restarted["url"] == f"unix://{rootless}/run/s.sock", restarted
    assert any("HOME" in warning for warning in warnings(restarted))
    assert daemons(instance) == [restarted["pid"]]
    (program,) = run_module("supervisorctl_info", config=str(instance.conf))["programs"]
    assert program["name"] == "a"


def test_a_variable_that_is_not_set_is_named_at_a_start(instance: Daemon, manage: Run) -> None:
    instance.write("", head=HEAD.replace("{root}/pid", "%(ENV_NO_SUCH_THING)s/pid"))
    result = manage()
    assert result["reason"] == "broken_conf", result
    assert "no NO_SUCH_THING" in result["msg"]
    assert "%%" not in result["msg"]


def test_a_file_without_a_clients_section_says_by_its_servers_where_it_listens(
    instance: Daemon, manage: Run, run_module: Run
) -> None:
    instance.write(SLEEPER.format(name="a"), head=HEAD[: HEAD.index("[supervisorctl]")])
    assert manage()["url"] == f"unix://{instance.root}/s"
    assert run_module("supervisorctl_info", config=str(instance.conf))["programs"]
    assert manage("restarted")["running"]
    assert manage("stopped")["changed"]


def test_all_may_be_in_included_files(instance: Daemon, manage: Run) -> None:
    (instance.root / "conf.d").mkdir()
    head = HEAD[: HEAD.index("[supervisorctl]")].format(root=instance.root, key=KEY)
    (instance.root / "conf.d/all.ini").write_text(head + SLEEPER.format(name="a"))
    instance.write("", head="[include]\nfiles = conf.d/*.ini\n")
    assert manage()["url"] == f"unix://{instance.root}/s"
    until_one_runs(instance)
    for state in ("reloaded", "restarted", "stopped"):
        assert manage(state)["changed"]


def test_paths_may_be_relative_to_the_directory_of_the_file(
    instance: Daemon, manage: Run, run_module: Run
) -> None:
    instance.write(
        SLEEPER.format(name="a"), head=HEAD.replace("{root}/", "").replace("{root}", ".")
    )
    assert manage()["url"] == f"unix://{instance.root}/s"
    assert (instance.root / "pid").exists()
    assert run_module("supervisorctl_info", config=str(instance.conf))["programs"]
    for state in ("reloaded", "restarted", "stopped"):
        assert manage(state)["changed"]


def warnings(result: Result) -> list[str]:
    found = result.get("warnings", [])
    return [getattr(warning, "msg", None) or str(warning) for warning in found]


# --- stopped, restarted, reloaded -------------------------------------------------------------


def test_it_stops_with_everything_that_it_runs(instance: Daemon, manage: Run) -> None:
    instance.write(SLEEPER.format(name="a") + SLEEPER.format(name="b"))
    pid = manage()["pid"]
    wait_until(lambda: len(programs(instance)) == 2, "both programs")
    result = manage("stopped")
    assert (result["changed"], result["running"], result["pid"]) == (True, False, None)
    assert has_ended(pid)
    assert not programs(instance)
    assert not (instance.root / "s").exists()
    assert manage("stopped")["changed"] is False


def test_a_restart_makes_it_and_its_programs_new(instance: Daemon, manage: Run) -> None:
    instance.write(SLEEPER.format(name="a"))
    before = manage()["pid"], until_one_runs(instance)
    result = manage("restarted")
    after = result["pid"], until_one_runs(instance)
    assert result["changed"]
    assert after[0] != before[0]
    assert after[1] != before[1]
    assert len(after[1]) == 1


@pytest.mark.parametrize("state", ["restarted", "reloaded"])
def test_what_runs_is_restarted_and_reloaded_by_the_installation_that_it_is_of(
    instance: Daemon, run_module: Run, monkeypatch: pytest.MonkeyPatch, state: str
) -> None:
    script = instance.root / "bin/supervisord"
    script.parent.mkdir()
    script.write_text((BIN / "supervisord").read_text())
    script.chmod(0o755)
    instance.write(SLEEPER.format(name="a"))
    subprocess.run([str(script), "-c", str(instance.conf)], check=True)
    wait_until((instance.root / "s").exists, "its socket")
    monkeypatch.setenv("PATH", "/nowhere")
    result = run_module("supervisord", state=state, config=str(instance.conf))
    assert result.get("running"), result
    assert str(script) in words(result["pid"])


def test_a_reload_keeps_it_and_makes_its_programs_new(instance: Daemon, manage: Run) -> None:
    instance.write(SLEEPER.format(name="a"))
    before = manage()["pid"], until_one_runs(instance)
    instance.write(SLEEPER.format(name="a") + SLEEPER.format(name="b"))
    result = manage("reloaded")
    wait_until(lambda: len(programs(instance)) == 2, "both programs")
    assert (result["changed"], result["pid"]) == (True, before[0]), result
    assert not set(before[1]) & set(programs(instance))


def test_what_is_down_is_started(instance: Daemon, manage: Run) -> None:
    instance.write("")
    for state in ("restarted", "reloaded"):
        assert manage(state)["running"]
        assert manage("stopped")["changed"]


BROKEN = {
    "a value that Supervisor refuses": "[program:b]\ncommand=/bin/true\nautorestart=perhaps\n",
    "no section": "nonsense\n",
    "a group of nothing": "[group:b]\nprograms=c\n",
    "a command that does not exist": "[program:b]\ncommand=/nowhere/b\n",
    "an unexpandable name": "[program:b]\ncommand=/bin/echo %(ENV_NONE)s\n",
}


@pytest.mark.fault(29)
@pytest.mark.parametrize("state", ["restarted", "reloaded"])
def test_nothing_stops_for_a_broken_configuration(
    instance: Daemon, manage: Run, state: str
) -> None:
    instance.write(SLEEPER.format(name="a"))
    before = manage()["pid"], until_one_runs(instance)
    for broken in BROKEN.values():
        instance.write(SLEEPER.format(name="a") + broken)
        result = manage(state)
        assert (result["failed"], result["reason"]) == (True, "broken_conf"), result
        assert str(instance.conf) in result["msg"]
    instance.write(SLEEPER.format(name="a"))
    assert (manage()["pid"], programs(instance)) == before


def test_in_the_foreground_it_is_started_reloaded_restarted_and_stopped(
    instance: Daemon, spawn_module: Spawn
) -> None:
    instance.write(SLEEPER.format(name="a") + "[supervisord]\nnodaemon=true\n")
    options = dict(config=str(instance.conf), supervisord_path=str(BIN / "supervisord"))
    pids = []
    for state in ("started", "started", "reloaded", "restarted"):
        output = spawn_module("supervisord", state=state, **options).communicate()[0]
        result = json.loads(output.splitlines()[-1])
        assert result["running"], output
        pids.append(result["pid"])
        assert session(result["pid"]) == result["pid"]
        assert len(until_one_runs(instance)) == 1
    assert pids[0] == pids[1] == pids[2] != pids[3]
    output = spawn_module("supervisord", state="stopped", **options).communicate()[0]
    assert json.loads(output.splitlines()[-1])["changed"], output
    assert not daemons(instance) + programs(instance)


def test_in_the_foreground_a_start_that_fails_says_why(instance: Daemon, manage: Run) -> None:
    instance.write("[supervisord]\nnodaemon=true\nminfds=1000000000\n")
    result = manage()
    assert result["reason"] == "did_not_start", result
    assert "file descriptors" in result["msg"]
    assert not daemons(instance)


def test_a_configuration_without_a_server_is_refused(instance: Daemon, manage: Run) -> None:
    instance.write("", head=HEAD.replace("[rpcinterface:supervisor]", "[rpcinterface:other]"))
    assert "no section [rpcinterface:supervisor]" in manage()["msg"]
    assert not daemons(instance)


def test_a_start_where_the_client_looks_elsewhere_is_refused_with_both_places(
    instance: Daemon, manage: Run
) -> None:
    elsewhere = HEAD.replace("serverurl=unix://{root}/s", "serverurl=unix://{root}/other")
    instance.write("", head=elsewhere)
    result = manage()
    assert result["reason"] == "broken_conf", result
    for place in ("other", "s."):
        assert f"{instance.root}/{place}" in result["msg"]
    assert not daemons(instance)
    instance.write("", head=elsewhere.replace("unix://{root}/other", "http://localhost:9"))
    assert "not answer at 9, which [supervisorctl]" in manage()["msg"]
    assert not daemons(instance)
    (instance.root / "link").symlink_to(instance.root)
    instance.write("", head=elsewhere.replace("{root}/other", "{root}/link/s"))
    assert manage()["running"]


def test_a_refusal_does_not_show_the_key(instance: Daemon, manage: Run) -> None:
    instance.write("", key="a-key%(x)s" + KEY)
    result = manage()
    assert result["reason"] == "broken_conf"
    assert KEY not in json.dumps(result)


# --- what a dead predecessor left -------------------------------------------------------------


def kill(pid: int) -> None:
    os.kill(pid, signal.SIGKILL)
    wait_until(lambda: has_ended(pid), "the end of the daemon")


def test_a_stale_socket_does_not_prevent_a_start(instance: Daemon, manage: Run) -> None:
    instance.write("")
    kill(manage()["pid"])
    assert (instance.root / "s").exists()
    assert manage()["running"]


@pytest.mark.fault(16)
@pytest.mark.parametrize("state", STATES)
def test_an_innocent_process_with_the_pid_of_a_stale_file_is_left_alone(
    instance: Daemon, manage: Run, state: str
) -> None:
    instance.write("")
    innocent = subprocess.Popen(["/bin/sleep", "1000"], start_new_session=True)
    try:
        (instance.root / "pid").write_text(f"{innocent.pid}\n")
        assert not manage(state).get("failed")
        assert innocent.poll() is None
    finally:
        innocent.kill()
        innocent.wait()


FAMILY = """\
[program:a]
command=/bin/sh -c 'set -m; sleep 1001 & set +m; sleep 1002 & exec sleep 1003'
startsecs=0
"""


@pytest.mark.fault(17)
def test_after_a_kill_the_orphans_end_before_anything_is_started_again(
    instance: Daemon, manage: Run
) -> None:
    instance.write(FAMILY)
    pid = manage()["pid"]
    orphans = wait_until(lambda: len(programs(instance)) == 3 and programs(instance), "three")
    kill(pid)
    assert programs(instance) == orphans
    result = manage()
    assert sorted(result["cleared"]["orphans"]) == orphans, result
    wait_until(lambda: len(programs(instance)) == 3, "three again")
    assert not set(orphans) & set(programs(instance))


@pytest.mark.fault(17)
def test_what_was_stopped_leaves_no_orphans_either(instance: Daemon, manage: Run) -> None:
    instance.write(FAMILY)
    pid = manage()["pid"]
    orphans = wait_until(lambda: len(programs(instance)) == 3 and programs(instance), "three")
    kill(pid)
    predicted = manage("stopped", check=True)
    assert (predicted["changed"], programs(instance)) == (True, orphans)
    result = manage("stopped")
    assert (result["changed"], sorted(result["cleared"]["orphans"])) == (True, orphans), result
    assert not programs(instance)
    assert manage("stopped")["changed"] is False


@pytest.mark.fault(17)
def test_orphans_of_another_address_are_found_too(instance: Daemon, manage: Run) -> None:
    instance.write(SLEEPER.format(name="a"))
    pid = manage()["pid"]
    orphans = until_one_runs(instance)
    kill(pid)
    instance.write(SLEEPER.format(name="a"), head=HEAD.replace("{root}/s\n", "{root}/other\n"))
    assert manage()["cleared"]["orphans"] == orphans


TITLED = """\
[program:{name}]
command={command}
startsecs=0
"""


@pytest.mark.fault(17)
def test_orphans_that_have_overwritten_their_environment_are_found_too(
    instance: Daemon, manage: Run, run_module: Run
) -> None:
    title = "/usr/bin/perl -e \"$0 = 'nginx: master process'; sleep 1000\""
    without = "/usr/bin/env -i /bin/sleep 1000"
    for command in (title, without):
        instance.write(TITLED.format(name="a", command=command))
        instance.start()  # as people do: nothing says whose it is but its session
        (program,) = run_module("supervisorctl_info", config=str(instance.conf))["programs"]
        orphan = program["pid"]
        wait_until(
            lambda pid=orphan: "SUPERVISOR" not in read(Path(f"/proc/{pid}/environ")),
            "no environment",
        )
        kill(instance.pids.pop())
        assert manage()["cleared"]["orphans"] == [orphan]
        assert has_ended(orphan)
        assert manage("stopped")["changed"]


WATCHER = "for n in 1 2 3 4 5 6 7 8 9; do {0}/supervisord -nc {1}; sleep 0.1; done"


def test_what_starts_a_daemon_again_is_neither_fought_nor_joined_by_a_second_one(
    instance: Daemon, manage: Run
) -> None:
    instance.write(SLEEPER.format(name="a"))
    script = instance.root / "watch"
    script.write_text(WATCHER.format(BIN, instance.conf))
    watcher = subprocess.Popen(["/bin/sh", script], stdout=subprocess.DEVNULL)
    try:
        first = wait_until(lambda: manage(check=True).get("pid"), "a daemon")
        restarted = manage("restarted")
        assert restarted["changed"], restarted
        assert [text for text in warnings(restarted) if "has started supervisord" in text]
        assert restarted["pid"] != first
        assert daemons(instance) == [restarted["pid"]]
        refused = manage("stopped")
        assert (refused["reason"], "started it again" in refused["msg"]) == ("still_running", True)
        assert wait_until(lambda: manage(check=True).get("pid"), "its next one") in refused["pids"]
    finally:
        watcher.kill()
        watcher.wait()


STUBBORN = """\
[program:a]
command=/bin/sh -c 'trap "" TERM; trap "{does}; exit" USR1; echo >ready; while :; do sleep 1; done'
startsecs=0
stopwaitsecs={seconds}
stopsignal={signal}
"""


@pytest.mark.fault(33)
def test_an_orphan_that_ignores_its_signal_is_killed_after_its_stopwaitsecs(
    instance: Daemon, manage: Run
) -> None:
    instance.write(STUBBORN.format(seconds=1, signal="TERM", does=":"))
    pid = manage()["pid"]
    wait_until((instance.root / "ready").exists, "the program's traps")
    orphan = programs(instance)[0]
    kill(pid)
    assert orphan in manage("stopped")["cleared"]["orphans"]
    assert has_ended(orphan)


def test_an_orphan_is_sent_the_signal_of_its_program(instance: Daemon, manage: Run) -> None:
    log = instance.root / "told"
    instance.write(STUBBORN.format(seconds=1000, signal="USR1", does=f"echo USR1 >{log}"))
    pid = manage()["pid"]
    wait_until((instance.root / "ready").exists, "the program's traps")
    kill(pid)
    manage()
    assert log.read_text() == "USR1\n"


def test_a_deploy_that_an_orphan_runs_does_not_end_itself(
    instance: Daemon, spawn_module: Spawn
) -> None:
    instance.write("")
    options = dict(config=str(instance.conf), supervisord_path=str(BIN / "supervisord"))
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("SUPERVISOR_SERVER_URL", f"unix://{instance.root}/s")
        deploy = spawn_module("supervisord", **options)
    output = deploy.communicate()[0]
    assert json.loads(output)["changed"], output


# --- a daemon that does not answer ------------------------------------------------------------


@pytest.mark.fault(18)
def test_a_frozen_daemon_is_named_and_left_alone(instance: Daemon, manage: Run) -> None:
    instance.write(SLEEPER.format(name="a"))
    pid = manage()["pid"]
    before = until_one_runs(instance)
    os.kill(pid, signal.SIGSTOP)
    for state in STATES:
        result = manage(state, timeout=1)
        assert (result["failed"], result["reason"]) == (True, "frozen"), result
        assert f"kill -CONT {pid}" in result["msg"]
    assert daemons(instance) == [pid]
    os.kill(pid, signal.SIGCONT)
    assert (manage()["pid"], programs(instance)) == (pid, before)


@pytest.mark.fault(19)
def test_a_daemon_that_lost_its_socket_is_ended_and_started_again(
    instance: Daemon, manage: Run
) -> None:
    instance.write(SLEEPER.format(name="a"))
    pid = manage()["pid"]
    before = until_one_runs(instance)
    (instance.root / "s").unlink()
    result = manage()
    assert result["cleared"] == {"unreachable": [pid], "orphans": []}, result
    assert daemons(instance) == [result["pid"]] != [pid]
    wait_until(lambda: programs(instance) not in ([], before), "the new program")
    assert len(programs(instance)) == 1


@pytest.mark.fault(19)
def test_a_daemon_that_lost_its_socket_is_stopped(instance: Daemon, manage: Run) -> None:
    instance.write(SLEEPER.format(name="a"))
    pid = manage()["pid"]
    until_one_runs(instance)
    (instance.root / "s").unlink()
    assert manage("stopped")["cleared"]["unreachable"] == [pid]
    assert not daemons(instance) + programs(instance)


def spelt(instance: Daemon, how: str) -> tuple[list[str], Path | str, str | None]:
    """Return arguments that name the configuration, where they are given, and in which PWD."""
    (instance.root / "here").symlink_to(instance.root)
    ways: dict[str, tuple[list[str], Path | str, str | None]] = {
        "through a link": (["-c", f"{instance.root}/here/{instance.conf.name}"], "/", None),
        "in one word": ([f"--configuration={instance.conf}"], "/", None),
        "relative to its directory": (["-c", instance.conf.name], instance.root, None),
        "relative to PWD": (["-c", f"{instance.root.name}/{instance.conf.name}"], "/tmp", "/tmp"),
        "relative to nothing": (["-c", f"{instance.root.name}/{instance.conf.name}"], "/tmp", None),
    }
    return ways[how]


@pytest.mark.parametrize(
    ("how", "runs"),
    [
        ("through a link", ""),
        ("in one word", ""),
        ("relative to its directory", ""),
        ("relative to PWD", ""),
        ("relative to nothing", SLEEPER.format(name="a")),
    ],
)
def test_a_lost_daemon_is_found_however_it_was_started(
    instance: Daemon, manage: Run, how: str, runs: str
) -> None:
    instance.write(runs)
    arguments, folder, pwd = spelt(instance, how)
    given = {"PATH": os.environ["PATH"], **({"PWD": pwd} if pwd else {})}
    subprocess.run([str(BIN / "supervisord"), *arguments], check=True, cwd=folder, env=given)
    pid = manage()["pid"]
    if runs:
        until_one_runs(instance)
    (instance.root / "s").unlink()
    assert manage()["cleared"]["unreachable"] == [pid]


def test_a_process_that_only_reads_the_configuration_is_left_alone(
    instance: Daemon, manage: Run
) -> None:
    instance.write("")
    kill(manage()["pid"])
    with ExitStack() as stack:
        readers = []
        for command in (
            ["/usr/bin/tail", "-f", str(instance.conf)],
            [sys.executable, "-m", "supervisor.supervisorctl", "-c", str(instance.conf)],
        ):
            reader = subprocess.Popen(
                command, stdin=subprocess.PIPE, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
            )
            readers.append(stack.enter_context(reader))
            stack.callback(reader.kill)
        assert manage()["cleared"] == {"unreachable": [], "orphans": []}
        assert [reader.poll() for reader in readers] == [None, None]


@pytest.mark.fault(11)
def test_a_wrong_key_is_named_and_stops_nothing(instance: Daemon, manage: Run) -> None:
    instance.write(SLEEPER.format(name="a"))
    pid = manage()["pid"]
    before = until_one_runs(instance)
    instance.write(SLEEPER.format(name="a"), key="another-key_0123456789")
    for state in STATES:
        assert manage(state)["reason"] == "wrong_key"
    assert (daemons(instance), programs(instance)) == ([pid], before)


# --- who may ----------------------------------------------------------------------------------


def test_what_another_user_has_to_start_is_left_to_him(instance: Daemon, manage: Run) -> None:
    instance.write("")
    result = manage(user="jaws_jtm")
    assert (result["failed"], result["reason"]) == (True, "may_not_start"), result
    for word in ("jaws_jtm", ME, "playbook supervisors"):
        assert word in result["msg"]
    assert not daemons(instance)


def test_whether_another_users_daemon_runs_may_be_asked(instance: Daemon, manage: Run) -> None:
    instance.write("")
    result = manage(user="jaws_jtm", check=True)
    assert (result["changed"], result["pid"]) == (True, None)


def test_the_user_in_the_configuration_counts(instance: Daemon, manage: Run) -> None:
    other = "root" if ME != "root" else "daemon"
    instance.write(f"[supervisord]\nuser={other}\n")
    # root could start it as that user, but that is not who it should be
    assert manage(user=ME)["reason"] == "may_not_start"
    instance.write(f"[supervisord]\nuser={ME}\n")
    assert manage()["user"] == ME


@pytest.mark.parametrize("user", ["no-such-user", "4000000000"])
def test_a_user_that_does_not_exist_is_named_by_supervisor(
    instance: Daemon, manage: Run, user: str
) -> None:
    instance.write(f"[supervisord]\nuser={user}\n")
    result = manage()
    assert result["reason"] == "broken_conf", result
    assert "Invalid user" in result["msg"]
    assert user in result["msg"]


def test_the_user_of_an_included_file_counts(instance: Daemon, manage: Run) -> None:
    other = "root" if ME != "root" else "daemon"
    instance.write("[include]\nfiles=u.ini\n")
    (instance.root / "u.ini").write_text(f"[supervisord]\nuser={other}\n")
    result = manage(user=ME)
    assert result["reason"] == "may_not_start", result
    assert f"only {ME if ME == 'root' else other} may do" in result["msg"]
    (instance.root / "u.ini").write_text(f"[supervisord]\nuser={os.geteuid()}\n")
    assert manage()["user"] == ME


def test_a_daemon_that_runs_as_the_wrong_user_is_named(instance: Daemon, manage: Run) -> None:
    instance.write("")
    pid = manage()["pid"]
    for state in ("started", "reloaded"):
        result = manage(state, user="jaws_jtm")
        assert result["reason"] == "foreign_owner"
        for word in (f"runs as {ME}", f"pid {pid}", "should run as jaws_jtm"):
            assert word in result["msg"]
    assert manage("restarted", user="jaws_jtm")["reason"] == "may_not_start"
    assert not has_ended(pid)


def test_a_restart_does_not_make_another_users_daemon_ours(
    instance: Daemon, manage: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    instance.write("")
    pid = manage()["pid"]
    monkeypatch.setattr(daemon.Daemon, "_user_of", lambda *_: "jaws_jtm")
    assert manage("restarted")["reason"] == "foreign_owner"
    assert not has_ended(pid)


# Reads what it needs as root, where nobody may not.
AS_NOBODY = f"""\
#!{sys.executable}
import os
from supervisor.supervisord import main
os.setgroups([])
os.setuid({NOBODY})
main()
"""


def start_as_somebody_else(instance: Daemon, monkeypatch: pytest.MonkeyPatch) -> int:
    """Start a daemon as another user: really, or, where that takes root, become the other one."""
    if os.geteuid() == 0:
        program = instance.root / "supervisord"
        program.write_text(AS_NOBODY)
        program.chmod(0o755)
        for path in (instance.root, instance.conf):
            os.chown(path, NOBODY, -1)
        subprocess.run([str(program), "-c", str(instance.conf)], check=True, cwd="/")
    else:
        instance.start()
        monkeypatch.setattr(os, "geteuid", lambda: NOBODY)
    return int(wait_until(lambda: daemons(instance), "the daemon")[0])


@pytest.mark.fault(19)
def test_nothing_is_started_beside_another_users_daemon(
    instance: Daemon, manage: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    instance.write("")
    owner = "nobody" if os.geteuid() == 0 else ME
    pid = start_as_somebody_else(instance, monkeypatch)
    wait_until((instance.root / "s").exists, "its socket")
    (instance.root / "s").unlink()
    for state in ("started", "stopped"):
        result = manage(state, owner=owner)
        assert result["reason"] == "foreign_owner", result
        assert f"pid {pid}" in result["msg"]
        assert f"as {owner}" in result["msg"]
    assert daemons(instance) == [pid]


@pytest.mark.fault(21)
def test_orders_that_a_stranger_wrote_are_not_run(
    instance: Daemon, manage: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    instance.write("[program:a]\ncommand=/usr/bin/touch %(here)s/was-here\nstartsecs=0\n")
    give_to_nobody(monkeypatch, instance.conf)
    result = manage()
    assert result["reason"] == "foreign_owner", result
    assert "nobody" in result["msg"]
    assert not daemons(instance)
    assert manage(owner="nobody")["running"]


@pytest.mark.fault(21)
def test_orders_in_a_strangers_directory_are_not_run(
    instance: Daemon, manage: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    theirs = instance.root / "theirs"
    theirs.mkdir()
    instance.conf = theirs / "supervisord.conf"
    instance.write("")
    give_to_nobody(monkeypatch, theirs)
    result = manage()
    assert result["reason"] == "foreign_owner", result
    assert f"{theirs} belongs to nobody" in result["msg"]
    assert not daemons(instance)


# --- paths that another user took first -------------------------------------------------------


@pytest.fixture
def crowded(instance: Daemon) -> Path:
    """A directory where everybody may write, with the instance's files in it."""
    folder = instance.root / "tmp"
    folder.mkdir()
    folder.chmod(0o1777)
    head = HEAD
    for name in ("s\n", "supervisord.log", "pid"):
        head = head.replace("{root}/" + name, "{root}/tmp/" + name)
    instance.write("", head=head)
    return folder


@pytest.mark.fault(21)
@pytest.mark.parametrize("name", ["s", "supervisord.log", "pid"])
def test_a_file_that_a_stranger_made_first_is_refused(
    crowded: Path, manage: Run, monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    path = crowded / name
    path.write_text("trap")
    give_to_nobody(monkeypatch, path)
    result = manage()
    assert result["reason"] == "foreign_owner", result
    assert str(path) in result["msg"]
    assert "nobody" in result["msg"]
    assert path.read_text() == "trap"


@pytest.mark.fault(21)
@pytest.mark.parametrize("name", ["s", "supervisord.log", "pid"])
def test_a_strangers_link_instead_of_a_file_is_refused(
    crowded: Path, instance: Daemon, manage: Run, monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    target = instance.root / "precious"
    target.write_text("precious")
    (crowded / name).symlink_to(target)
    give_to_nobody(monkeypatch, crowded / name)
    result = manage()
    assert result["reason"] == "foreign_owner", result
    assert "symbolic link of nobody" in result["msg"]
    assert target.read_text() == "precious"


def test_our_own_links_may_be_where_the_log_the_pid_file_and_the_socket_are_to_be(
    crowded: Path, instance: Daemon, manage: Run
) -> None:
    elsewhere = instance.root / "elsewhere"
    elsewhere.mkdir()
    for name in ("s", "supervisord.log", "pid"):
        (crowded / name).symlink_to(elsewhere / name)
    pid = manage()["pid"]
    assert (elsewhere / "pid").read_text().strip() == str(pid)
    assert "started with pid" in (elsewhere / "supervisord.log").read_text()
    assert manage()["changed"] is False
    for state in ("reopened", "reloaded", "restarted", "stopped"):
        result = manage(state=state)
        assert not result.get("failed"), (state, result)
    assert not daemons(instance)


@pytest.mark.parametrize("log", ["/dev/stdout", "/proc/self/fd/1", "through a link"])
def test_a_log_may_be_the_standard_output_of_supervisord(
    instance: Daemon, manage: Run, run_module: Run, log: str
) -> None:
    (instance.root / "out").symlink_to("/dev/stdout")
    log = log if log.startswith("/") else "{root}/out"
    program = SLEEPER.format(name="a") + f"stdout_logfile={instance.root}/out\n"
    head = HEAD.replace("{root}/supervisord.log", f"{log}\nlogfile_maxbytes=0")
    instance.write(program + "stdout_logfile_maxbytes=0\n", head=head)
    pid = manage()["pid"]
    # Nobody sees it, so it must not fill a file.
    assert [os.readlink(f"/proc/{pid}/fd/{number}") for number in (0, 1, 2)] == ["/dev/null"] * 3
    assert manage(state="reopened")["changed"] is False
    result = run_module("log_info", config=str(instance.conf), python=sys.executable)
    assert (result["entries"], result["unreadable"]) == ([], [log.format(root=instance.root)])
    assert manage(state="restarted")["changed"]
    assert manage(state="stopped")["changed"]


@pytest.mark.fault(21)
def test_a_strangers_directory_is_refused(
    crowded: Path, instance: Daemon, manage: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    give_to_nobody(monkeypatch, crowded)
    result = manage()
    assert result["reason"] == "foreign_owner", result
    assert str(crowded) in result["msg"]
    assert not daemons(instance)


@pytest.mark.fault(22)
def test_a_key_is_not_sent_to_a_strangers_socket(
    crowded: Path, manage: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    with closing(socket.socket(socket.AF_UNIX)) as server:
        server.bind(str(crowded / "s"))
        server.listen()
        give_to_nobody(monkeypatch, crowded / "s")
        assert manage()["reason"] == "foreign_owner"
        server.settimeout(0)
        with pytest.raises(BlockingIOError):
            server.accept()


LISTENER = """\
import os, socket, sys
if os.geteuid() == 0:
    os.setuid(65534)
with socket.create_server(("127.0.0.1", 0)) as server:
    print(server.getsockname()[1], flush=True)
    print(server.accept()[0].recv(4096), flush=True)
"""
TCP = HEAD.replace("[unix_http_server]\nfile={root}/s\nchmod=0700", "[inet_http_server]\nport=PORT")
TCP = TCP.replace("unix://{root}/s", "http://PORT")


def tcp(port: int) -> str:
    return TCP.replace("PORT", f"127.0.0.1:{port}")


@pytest.mark.fault(22)
def test_a_key_is_not_sent_to_a_strangers_port(
    instance: Daemon, manage: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    stranger = subprocess.Popen([sys.executable, "-c", LISTENER], stdout=subprocess.PIPE, text=True)
    try:
        assert stranger.stdout is not None
        port = int(stranger.stdout.readline())
        instance.write("", head=tcp(port))
        if os.geteuid() != 0:
            monkeypatch.setattr(endpoint, "listeners", lambda *_: {NOBODY})
        result = manage()
        assert result["reason"] == "foreign_owner", result
        assert "nobody" in result["msg"]
        assert str(port) in result["msg"]
    finally:
        stranger.kill()
        heard = stranger.communicate()[0]
    assert heard == ""


def test_it_listens_at_a_port(instance: Daemon, manage: Run) -> None:
    instance.write("", head=tcp(reserve_port()))
    first = manage()
    assert (first["running"], first["user"]) == (True, ME), first
    assert manage()["pid"] == first["pid"]
    assert manage("stopped")["changed"]


# --- paths and tools --------------------------------------------------------------------------


@pytest.mark.fault(27)
def test_a_socket_path_that_is_too_long_is_refused_with_its_length(
    instance: Daemon, manage: Run
) -> None:
    folder = instance.root / ("x" * 100)
    folder.mkdir()
    instance.write("", head=HEAD.replace("{root}/s", f"{folder}/s"))
    result = manage()
    assert result["reason"] == "bad_option", result
    assert f"{len(str(folder)) + 2} bytes" in result["msg"]
    assert "99" in result["msg"]


@pytest.mark.fault(27)
def test_a_path_of_99_bytes_and_one_with_spaces_and_umlauts_work(
    instance: Daemon, manage: Run
) -> None:
    folder = instance.root / "two blanks  äöü"
    folder.mkdir()
    name = "s" * (99 - len(os.fsencode(folder)) - 1)
    instance.root = folder
    instance.conf = folder / "supervisord ü.conf"
    instance.write("", head=HEAD.replace("{root}/s\n", "{root}/" + name + "\n"))
    assert manage()["running"]
    assert manage("reloaded")["running"]
    assert manage("stopped")["changed"]


def test_a_filesystem_without_hard_links_is_named_before_a_start(
    instance: Daemon, manage: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    def link(*_paths: Path) -> None:
        raise PermissionError(1, "Operation not permitted")

    instance.write("")
    monkeypatch.setattr(os, "link", link)
    result = manage()
    assert result["reason"] == "unusable_directory", result
    assert "hard links" in result["msg"]
    assert sorted(path.name for path in instance.root.iterdir()) == ["supervisord.conf"]


def test_a_missing_directory_is_named(instance: Daemon, manage: Run) -> None:
    instance.write("", head=HEAD.replace("{root}/s", "{root}/none/s"))
    assert str(instance.root / "none") in manage()["msg"]
    instance.write("", head=HEAD.replace("{root}/pid", "{root}/none/pid"))
    assert str(instance.root / "none") in manage()["msg"]


def test_a_missing_supervisor_is_named(instance: Daemon, manage: Run, tmp_path: Path) -> None:
    instance.write("")
    bare = tmp_path / "python"
    bare.write_text(f'#!/bin/sh\nexec "{sys.executable}" -S "$@"\n')
    bare.chmod(0o755)
    for options in (
        dict(supervisord_path="/nowhere/supervisord"),
        dict(python="/nowhere/python"),
        dict(python=str(bare)),
    ):
        result = manage(**options)
        assert result["reason"] == "not_installed", result
        assert next(iter(options.values())) in result["msg"]


def test_a_script_that_does_not_say_its_python_needs_the_option(
    instance: Daemon, manage: Run, tmp_path: Path
) -> None:
    instance.write("")
    wrapper = tmp_path / "supervisord"
    wrapper.write_text(f'#!/bin/sh\nexec "{BIN}/supervisord" "$@"\n')
    wrapper.chmod(0o755)
    assert "option python" in manage(supervisord_path=str(wrapper))["msg"]
    assert manage(supervisord_path=str(wrapper), python=sys.executable)["running"]


@pytest.mark.parametrize(
    ("does", "timeout", "says"),
    [
        ("echo oops '%s'; exit 3" % KEY, 60, "exit status 3"),
        ("exec sleep 1000", 1, "no end within 1 s"),
    ],
)
def test_a_start_that_fails_says_why_without_the_key(
    instance: Daemon, manage: Run, tmp_path: Path, does: str, timeout: int, says: str
) -> None:
    instance.write("")
    program = tmp_path / "supervisord"
    program.write_text(f"#!/bin/sh\n{does} # {instance.root}\n")
    program.chmod(0o755)
    result = manage(supervisord_path=str(program), python=sys.executable, timeout=timeout)
    assert result["reason"] == "did_not_start", result
    assert says in result["msg"]
    assert KEY not in json.dumps(result)
    assert not daemons(instance)


# --- one at a time, and dry runs --------------------------------------------------------------


@pytest.mark.fault(13)
def test_of_four_that_start_it_at_once_one_does(instance: Daemon, spawn_module: Spawn) -> None:
    instance.write(SLEEPER.format(name="a"))
    options = dict(config=str(instance.conf), supervisord_path=str(BIN / "supervisord"))
    runs = [spawn_module("supervisord", **options) for _number in range(4)]
    results = [json.loads(run.communicate()[0]) for run in runs]
    assert sorted(result["changed"] for result in results) == [False, False, False, True]
    assert len({result["pid"] for result in results}) == 1
    assert len(daemons(instance)) == 1
    assert len(until_one_runs(instance)) == 1


HOLDER = """
import time
from ansible_collections.jgi.jaws.plugins.module_utils.supervisor.daemon import Daemon
def wait(*_arguments):
    print("held", flush=True)
    time.sleep(1000)
Daemon.check = wait
"""


@pytest.mark.fault(13)
def test_a_run_that_waits_in_vain_says_for_whom(
    instance: Daemon, manage: Run, spawn_module: Spawn
) -> None:
    instance.write("")
    options = dict(config=str(instance.conf), supervisord_path=str(BIN / "supervisord"))
    with spawn_module("supervisord", hook=HOLDER, **options) as holder:
        try:
            assert holder.stdout is not None
            assert holder.stdout.readline() == "held\n"
            result = manage(timeout=1)
        finally:
            holder.kill()
    assert result["reason"] == "locked", result
    assert f"pid {holder.pid} of {ME}" in result["msg"]
    assert manage()["running"]
    assert not list(instance.root.glob(".*"))


@pytest.mark.parametrize("holder", ["pid file's directory", "configuration's directory", "file"])
def test_no_other_user_can_hold_the_lock(instance: Daemon, manage: Run, holder: str) -> None:
    folder = instance.root / "tmp"
    folder.mkdir()
    folder.chmod(0o1777)
    instance.root.chmod(0o755)
    instance.write("", head=HEAD.replace("{root}/pid", "{root}/tmp/supervisord.pid"))
    instance.conf.chmod(0o644)
    paths = {"pid file's directory": folder, "file": instance.conf}
    handle = os.open(paths.get(holder, instance.root), os.O_RDONLY)
    try:
        fcntl.flock(handle, fcntl.LOCK_EX)
        assert manage(timeout=120)["running"]
    finally:
        os.close(handle)


def test_two_instances_with_one_pid_directory_do_not_wait_for_each_other(
    instance: Daemon, manage: Run, spawn_module: Spawn
) -> None:
    instance.write("")
    other = instance.root / "other.conf"
    other.write_text(instance.conf.read_text().replace("/s\n", "/t\n").replace("/pid", "/pid2"))
    options = dict(config=str(other), supervisord_path=str(BIN / "supervisord"))
    with spawn_module("supervisord", hook=HOLDER, **options) as holder:
        try:
            assert holder.stdout is not None
            assert holder.stdout.readline() == "held\n"
            assert manage(timeout=120)["running"]
        finally:
            holder.kill()


@pytest.mark.fault(42)
@pytest.mark.parametrize("state", STATES)
@pytest.mark.parametrize("up", [True, False])
def test_a_dry_run_predicts_and_changes_nothing(
    instance: Daemon, manage: Run, state: str, up: bool
) -> None:
    instance.write(SLEEPER.format(name="a"))
    if up:
        manage()
        until_one_runs(instance)
    before = snapshot(instance)
    predicted = manage(state, check=True, diff=True)
    assert snapshot(instance) == before
    result = manage(state, diff=True)
    for key in ("changed", "running", "diff"):
        assert predicted[key] == result[key]


def snapshot(instance: Daemon) -> Any:
    files = {path: path.lstat() for path in instance.root.rglob("*")}
    shown = {path: (found.st_mtime_ns, found.st_size) for path, found in files.items()}
    return shown, instance.root.stat().st_mtime_ns, daemons(instance), programs(instance)


@pytest.mark.fault(42)
def test_a_dry_run_before_the_configuration_is_there_predicts_too(manage: Run) -> None:
    assert manage(check=True)["changed"] is True
    assert manage(check=True)["pid"] is None
    assert manage("stopped", check=True)["changed"] is False
    assert manage()["reason"] == "unreadable_conf"


# --- where /proc hides other users' processes -------------------------------------------------


@pytest.fixture
def hidepid(monkeypatch: pytest.MonkeyPatch) -> Callable[[], None]:
    """As another user than the daemon's sees it with /proc mounted hidepid=2."""

    def hide() -> None:
        monkeypatch.setattr(processes, "read_process", lambda *_: None)
        monkeypatch.setattr(processes, "all_processes", lambda *_, **_options: iter(()))

    return hide


def test_a_hidden_daemon_is_stopped_and_its_end_is_waited_for(
    instance: Daemon, manage: Run, hidepid: Callable[[], None]
) -> None:
    slow = "[program:a]\ncommand=/bin/sh -c 'trap \"sleep 1; exit\" TERM; sleep 1000 & wait'\n"
    instance.write(slow + "startsecs=0\n")
    pid = manage()["pid"]
    until_one_runs(instance)
    hidepid()
    assert manage()["user"] == ME
    assert manage("stopped")["changed"]
    assert not (instance.root / "s").exists()
    wait_until(lambda: has_ended(pid), "its last breath")


def test_a_hidden_frozen_daemon_is_known_by_its_user(
    instance: Daemon, manage: Run, hidepid: Callable[[], None]
) -> None:
    instance.write("")
    pid = manage()["pid"]
    hidepid()
    os.kill(pid, signal.SIGSTOP)
    assert f"runs as {ME}" in manage(timeout=1)["msg"]


# --- a reload that cannot be foreseen to fail -------------------------------------------------


def test_a_daemon_that_ends_in_its_reload_is_reported_at_once(
    instance: Daemon, manage: Run
) -> None:
    instance.write(SLEEPER.format(name="a"))
    manage()
    until_one_runs(instance)
    log = instance.root / "supervisord.log"
    log.unlink()
    log.mkdir()
    result = manage("reloaded", timeout=1000)
    assert result["reason"] == "did_not_start", result
    assert "ended in its reload" in result["msg"]
    assert str(log) in result["msg"]
    log.rmdir()
    assert manage()["running"]
    assert len(until_one_runs(instance)) == 1


# ---- An instance that was moved


def moved(instance: Daemon, manage: Run, same_socket: bool = False) -> Daemon:
    """Start an instance, and return the one that it becomes in another directory."""
    instance.write(SLEEPER.format(name="a"))
    manage("started", identity=str(instance.root))
    other = Daemon(instance.root / "moved")
    other.root.mkdir()
    head = HEAD.replace("{root}/s", f"{instance.root}/s") if same_socket else HEAD
    other.write(SLEEPER.format(name="a"), head=head)
    return other


@pytest.mark.fault(57)
@pytest.mark.parametrize("state", ["started", "restarted"])
def test_an_instance_that_was_moved_is_not_started_beside_the_one_that_runs(
    instance: Daemon, manage: Run, state: str
) -> None:
    other = moved(instance, manage)
    refused = manage(state, config=str(other.conf), identity=str(instance.root))
    assert refused["reason"] == "runs_elsewhere"
    assert refused["pids"] == daemons(instance)
    assert f"does the work of {other.conf}, but was started with {instance.conf}" in refused["msg"]
    assert f"the module supervisord with config={instance.conf} and state=stopped" in refused["msg"]
    assert daemons(other) == []
    predicted = manage(state, check=True, config=str(other.conf), identity=str(instance.root))
    assert predicted["reason"] == "runs_elsewhere"
    manage("stopped", identity=str(instance.root))
    assert manage(state, config=str(other.conf), identity=str(instance.root))["changed"]


@pytest.mark.fault(57)
def test_an_instance_that_was_moved_is_found_although_its_old_file_is_gone(
    instance: Daemon, manage: Run
) -> None:
    other = moved(instance, manage)
    instance.conf.unlink()
    refused = manage("started", config=str(other.conf), identity=str(instance.root))
    assert refused["reason"] == "runs_elsewhere"
    assert f"config={instance.conf} and state=killed" in refused["msg"]
    manage("killed")
    assert manage("started", config=str(other.conf), identity=str(instance.root))["changed"]


@pytest.mark.parametrize("identity", ["LOCAL prod", "LOCAL", ""])
def test_an_instance_of_another_identity_is_started_beside_it(
    instance: Daemon, manage: Run, identity: str
) -> None:
    other = moved(instance, manage)
    assert manage("started", config=str(other.conf), identity=identity)["changed"]


@pytest.mark.fault(57)
def test_a_daemon_that_was_started_with_another_file_is_not_made_to_read_this_one(
    instance: Daemon, manage: Run, run_module: Run
) -> None:
    other = moved(instance, manage, same_socket=True)
    pids = programs(instance)
    sections = {
        "supervisord": {"logfile": f"{other.root}/log", "pidfile": f"{other.root}/pid"},
        "unix_http_server": {"file": f"{instance.root}/s"},
        "supervisorctl": {"serverurl": f"unix://{instance.root}/s"},
    }
    other.conf.unlink()
    refused = run_module("supervisord_config", config=str(other.conf), sections=sections,
                         python=sys.executable)  # fmt: skip
    assert refused["reason"] == "runs_elsewhere", refused
    assert f"was started with {instance.conf}" in refused["msg"]
    assert not other.conf.exists()
    assert programs(instance) == pids
