# SPDX-License-Identifier: GPL-3.0-or-later
"""In any state of an instance's files and processes, each command does what its name says, or
refuses with the pids and with what helps. Then one daemon and one copy of each program run.

docs/reliability.md has what is expected: a row for each state, a column for each command.
"""

from __future__ import annotations

import json
import os
import pwd
import re
import shutil
import signal
import subprocess
import sys
from collections import Counter
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path
from typing import Any

import pytest

from ansible_collections.jgi.jaws.plugins.module_utils.supervisor import conf
from ansible_collections.jgi.jaws.plugins.module_utils.supervisor.client import Supervisor
from ansible_collections.jgi.jaws.plugins.module_utils.supervisor.endpoint import SupervisordConf
from ansible_collections.jgi.jaws.plugins.module_utils.system import processes
from tests.integration.conftest import (
    CLONE,
    PATIENCE,
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
from tests.integration.test_supervisord_config import sections

BIN = Path(sys.executable).parent
KEY = "k" * 43
OTHER_KEY = "o" * 43
TIMEOUT = 120
PROGRAM = "[program:{}]\ncommand=/bin/sleep 1000\nstartsecs=0\n{}\n"
# One as it was started, one that an operator has stopped, and one that an operator has started.
# In one group: supervisord takes a second to stop each.
PROGRAMS = (
    PROGRAM.format("web", "")
    + PROGRAM.format("held", "")
    + PROGRAM.format("extra", "autostart=false")
    + "[group:g]\nprograms=web,held,extra\n"
)
DEAF = """\
[program:deaf]
command=/bin/sh -c 'trap "" TERM; echo >ready; while :; do sleep 1; done'
startsecs=0
stopwaitsecs=1
killasgroup=true
directory=%(here)s
"""
# supervisord itself, except that it may not signal the processes that a file names.
POWERLESS = f"""\
#!{sys.executable}
import os, sys
from supervisor.options import ServerOptions
from supervisor.supervisord import main
real = ServerOptions.kill
def kill(self, pid, signal):
    path = os.path.join(os.path.dirname(sys.argv[2]), "powerless")
    if os.path.exists(path) and str(abs(pid)) in open(path).read().split():
        raise PermissionError(1, "Operation not permitted")
    real(self, pid, signal)
ServerOptions.kill = kill
main()
"""


class Site:
    """One instance with its programs in the states that an operator has given them."""

    def __init__(self, daemon: Daemon, run_module: Run) -> None:
        self.daemon = daemon
        self.root = daemon.root
        self.conf = daemon.conf
        self.run_module = run_module
        self.timeout = TIMEOUT
        self.owner: str | None = None
        self.listen: str | int = "s"
        self.bystander: subprocess.Popen[bytes] | None = None
        (self.root / "log").mkdir()

    def sections(self, **changed: str) -> Any:
        log = f"{self.root}/log/supervisord.log"
        return sections(self.root, self.listen, logfile=log, **changed)

    def write(self, programs: str = PROGRAMS, key: str = KEY) -> None:
        text = conf.daemon_sections(self.sections(), "jaws", key) + programs
        self.conf.write_text(text)
        self.conf.chmod(0o600)

    def start(self, program: str = "") -> int:
        """Start supervisord as people do, and do with its programs what people do."""
        words = [program] if program else ["-m", "supervisor.supervisord"]
        (self.root / "pid").unlink(missing_ok=True)
        subprocess.run(
            [sys.executable, *words, "-c", str(self.conf)], check=True, cwd="/", timeout=PATIENCE
        )
        pid = int(wait_until(self._pid, "a pid file"))
        wait_until(lambda: self.ask("getState"), "an answer")
        if PROGRAMS in self.conf.read_text():
            # A signal is lost on a process that does not yet execute its program.
            wait_until(lambda: self.running().keys() >= {"web", "held"}, "its programs")
            self.ask("stopProcess", "g:held")
            self.ask("startProcess", "g:extra")
            wait_until(lambda: "extra" in self.running(), "its other program")
        return pid

    def _pid(self) -> str:
        path = self.root / "pid"
        return path.read_text().strip() if path.exists() else ""

    def ask(self, method: str, *arguments: Any) -> Any:
        with Supervisor(SupervisordConf(str(self.conf)).endpoint) as client:
            return client.call(f"supervisor.{method}", *arguments)

    def daemons(self) -> list[int]:
        return parents_among(
            [pid for pid in bearing(str(self.conf), ["cmdline"]) if "supervisord" in line(pid)]
        )

    def running(self) -> dict[str, list[int]]:
        """Return the pids of each program, of any parent."""
        found: dict[str, list[int]] = {}
        for pid in bearing(f"SUPERVISOR_SERVER_URL=unix://{self.root}", ["environ"]):
            environ = Path(f"/proc/{pid}/environ").read_text(errors="replace")
            name = re.search(r"SUPERVISOR_PROCESS_NAME=([^\0]*)", environ)
            if name and line(pid).startswith("/bin/s"):
                found.setdefault(name[1], []).append(pid)
        return found

    def do(self, command: str) -> Result:
        """Run one command of the table."""
        name, options = self.module(command)
        return self.run_module(name, **options)

    def module(self, command: str) -> tuple[str, Result]:
        """Return the module and the options of a command."""
        if command in ("supervisord_config", "rotate_key"):
            rotate = command == "rotate_key"
            changed = {} if rotate else {"minfds": "1000"}
            return "supervisord_config", dict(
                config=str(self.conf),
                python=sys.executable,
                sections=self.sections(**changed),
                rotate_key=rotate,
                timeout=self.timeout,
            )
        return "supervisord", dict(
            config=str(self.conf),
            supervisord_path=str(BIN / "supervisord"),
            state=command,
            timeout=self.timeout,
            owner=self.owner,
        )


def line(pid: int) -> str:
    try:
        return Path(f"/proc/{pid}/cmdline").read_text().replace("\0", " ")
    except OSError:
        return ""


@pytest.fixture
def site(instance: Daemon, run_module: Run) -> Iterator[Site]:
    found = Site(instance, run_module)
    found.write()
    yield found
    if found.bystander:
        found.bystander.kill()
        found.bystander.wait()


# --- the states -------------------------------------------------------------------------------

State = Callable[[Site], Any]
STATES: dict[str, State] = {}


def state(name: str) -> Callable[[State], State]:
    return lambda make: STATES.setdefault(name, make)


@state("healthy")
def healthy(site: Site) -> None:
    site.start()


@state("configuration removed")
def configuration_removed(site: Site) -> None:
    site.start()
    site.conf.unlink()


@state("key in the file damaged")
def key_damaged(site: Site) -> None:
    site.start()
    site.conf.write_text(site.conf.read_text().replace(KEY, "k"))


@state("no [supervisorctl] in the file")
def section_lost(site: Site) -> None:
    site.start()
    site.conf.write_text(site.conf.read_text().replace("[supervisorctl]", "[supervisor-ctl]"))


@state("file of another version, with another key")
def another_version(site: Site) -> None:
    site.start()
    site.write(key=OTHER_KEY)


@state("socket removed")
def socket_removed(site: Site) -> None:
    site.start()
    (site.root / "s").unlink()


@state("pid file removed")
def pid_file_removed(site: Site) -> None:
    site.start()
    (site.root / "pid").unlink()


@state("pid file of another process")
def pid_file_of_another(site: Site) -> None:
    site.start()
    site.bystander = subprocess.Popen(["/bin/sleep", "1000"], start_new_session=True)
    (site.root / "pid").write_text(f"{site.bystander.pid}\n")


@state("log directory removed")
def log_directory_removed(site: Site) -> None:
    site.start()
    shutil.rmtree(site.root / "log")


@state("daemon killed (-9), programs left")
def killed(site: Site) -> None:
    pid = site.start()
    os.kill(pid, signal.SIGKILL)
    wait_until(partial(has_ended, pid), "the end of the daemon")


@state("killed (-9), and another one started beside what it left")
def killed_and_started(site: Site) -> None:
    killed(site)
    site.start()


@state("two daemons, of which one lost its socket")
def two_daemons(site: Site) -> None:
    socket_removed(site)
    site.start()


@state("daemon suspended (SIGSTOP)")
def suspended(site: Site) -> None:
    os.kill(site.start(), signal.SIGSTOP)
    site.timeout = 2


@state("program that ignores SIGTERM")
def deaf(site: Site) -> None:
    site.write(PROGRAMS + DEAF)
    site.start()
    wait_until((site.root / "ready").exists, "its trap")


@state("program that supervisord may not signal: UNKNOWN")
def unknown(site: Site) -> None:
    unnoticed(site)
    with pytest.raises(Exception, match="not permitted"):
        site.ask("stopProcess", "g:web")
    assert site.ask("getProcessInfo", "g:web")["statename"] == "UNKNOWN"


@state("program that supervisord may not signal, and has not tried to")
def unnoticed(site: Site) -> None:
    program = site.root / "supervisord"
    program.write_text(POWERLESS)
    site.start(str(program))
    (site.root / "powerless").write_text(str(site.ask("getProcessInfo", "g:web")["pid"]))


# --- what is expected --------------------------------------------------------------------------

TEXT = (CLONE / "docs/reliability.md").read_text()
ROWS = [
    [cell.strip().replace("`", "") for cell in row.strip("|").split("|")]
    for row in TEXT[TEXT.index("| State |") :].split("\n\n")[0].splitlines()
]
COMMANDS = ROWS[0][1:-1]
EXPECTED = {row[0]: dict(zip(COMMANDS, row[1:-1], strict=True)) for row in ROWS[2:]}
HELP = {row[0]: [part for part in row[-1].split(", ") if part] for row in ROWS[2:]}


def test_the_table_has_every_state_and_command() -> None:
    assert list(EXPECTED) == list(STATES)
    assert [
        *("started", "reloaded", "restarted", "stopped"),
        *("supervisord_config", "rotate_key"),
    ] == COMMANDS


@pytest.mark.parametrize("command", COMMANDS)
@pytest.mark.parametrize("state", STATES)
def test_each_command_does_what_it_says_or_refuses_with_pids_and_what_helps(
    site: Site, state: str, command: str
) -> None:
    STATES[state](site)
    before = site.daemons(), site.running()
    result = site.do(command)
    expected, kept = EXPECTED[state][command], True
    if expected != "done":
        assert (result.get("failed"), result.get("reason")) == (True, expected), result
        refused(site, result, before)
        kept = "killed" not in HELP[state]
        for help_ in HELP[state]:
            helped(site, help_)
        result = site.do(command)
    assert not result.get("failed"), result
    ends_well(site, command, state, kept)


def refused(site: Site, result: Result, before: Any) -> None:
    """Check that a refusal names what runs and what helps, and has changed nothing."""
    assert result["pids"], result
    for pid in result["pids"]:
        assert f"pid {pid}" in result["msg"], result
    assert KEY not in json.dumps(result)
    assert (site.daemons(), site.running()) == before


def helped(site: Site, how: str) -> None:
    if how == "make the directory":
        (site.root / "log").mkdir()
        return
    result = site.do(how)
    assert not result.get("failed"), result
    site.timeout = TIMEOUT


def ends_well(site: Site, command: str, state: str, kept: bool) -> None:
    """Check that nothing runs after a stop; otherwise one daemon and one copy of each program."""
    if command == "stopped":
        assert (site.daemons(), site.running()) == ([], {})
    else:
        if not site.daemons():  # without one, only a file had to be written
            assert not site.do("started").get("failed")
        (daemon,) = site.daemons()
        assert site.ask("getPID") == daemon
        copies = {name: len(pids) for name, pids in site.running().items()}
        assert set(Counter(copies.values())) <= {1}, copies
        wanted = {"web", "extra"} if kept else {"web", "held"}
        if state == "configuration removed":  # with the definitions of the programs
            wanted = set()
        if "-9" not in state:
            assert copies.keys() - {"deaf"} == wanted, copies
        assert ("web" in copies) is ("web" in wanted)
    if site.bystander:
        assert site.bystander.poll() is None


# --- states that operators gave ---------------------------------------------------------------


def states(site: Site) -> dict[str, str]:
    return {info["name"]: info["statename"] for info in site.ask("getAllProcessInfo")}


RESTARTING = ["reloaded", "restarted", "supervisord_config", "rotate_key"]


@pytest.mark.parametrize("command", RESTARTING)
def test_programs_keep_the_states_that_an_operator_gave_them_over_any_restart(
    site: Site, command: str
) -> None:
    site.start()
    before = site.running()
    assert states(site) == {"web": "RUNNING", "held": "STOPPED", "extra": "RUNNING"}
    assert site.do(command)["changed"]
    assert states(site) == {"web": "RUNNING", "held": "STOPPED", "extra": "RUNNING"}
    after = site.running()
    assert after.keys() == before.keys()
    assert not {pid for pids in before.values() for pid in pids} & {
        pid for pids in after.values() for pid in pids
    }


@pytest.mark.parametrize("lose", ["socket removed", "key in the file damaged"])
def test_programs_keep_their_states_if_the_daemon_could_not_be_asked(site: Site, lose: str) -> None:
    STATES[lose](site)
    assert site.do("supervisord_config")["reloaded"]
    assert states(site) == {"web": "RUNNING", "held": "STOPPED", "extra": "RUNNING"}


FAILING = "[program:web]\ncommand=/bin/false\nstartsecs=60\nstartretries=0\n"


@pytest.mark.parametrize("command", RESTARTING)
def test_what_ran_before_a_restart_and_does_not_after_it_is_named_and_fails_the_task(
    site: Site, command: str
) -> None:
    site.start()
    site.write(PROGRAMS.replace(PROGRAM.format("web", ""), FAILING))
    result = site.do(command)
    assert result["reason"] == "program_failed", result
    assert result["failed_programs"] == ["g:web"]
    assert "FATAL" in result["msg"]
    found = states(site)
    assert (found["held"], found["extra"]) == ("STOPPED", "RUNNING")
    assert not site.do(command).get("failed"), "it does not run, and did not before"


@pytest.mark.parametrize("command", RESTARTING)
def test_a_restart_ends_a_program_whose_section_was_removed_and_names_it(
    site: Site, command: str
) -> None:
    site.start()
    text = PROGRAMS.replace(PROGRAM.format("web", ""), "")
    site.write(text.replace("programs=web,", "programs="))
    result = site.do(command)
    assert not result.get("failed"), result
    assert "restarted without g:web, which ran before" in str(result["warnings"])
    assert states(site) == {"held": "STOPPED", "extra": "RUNNING"}
    assert "without g:web" not in str(site.do(command))


# --- what cannot be stopped, and the last resort ----------------------------------------------


@pytest.fixture
def beyond(site: Site, monkeypatch: pytest.MonkeyPatch) -> int:
    """A program that has switched to another user for good, so its daemon may not signal it."""
    site.start()
    pid = int(site.ask("getProcessInfo", "g:web")["pid"])
    real = processes.may_signal
    monkeypatch.setattr(
        processes, "may_signal", lambda one, other: other.pid != pid and real(one, other)
    )
    return pid


@pytest.mark.parametrize("command", ["reloaded", "restarted", "stopped", *RESTARTING[2:]])
@pytest.mark.parametrize("lose", [None, "s"])
def test_nothing_stops_if_a_program_would_go_on_and_run_twice(
    site: Site, beyond: int, command: str, lose: str | None
) -> None:
    """Whether the daemon answers, or has lost its socket."""
    before = site.daemons(), site.running()
    if lose:
        (site.root / lose).unlink()
    text = site.conf.read_text()
    result = site.do(command)
    assert result["reason"] == "lost_program", result
    assert f"web (pid {beyond}, " in result["msg"]
    assert "state=killed" in result["msg"]
    assert (result["pids"], site.conf.read_text()) == ([beyond], text)
    assert (site.daemons(), site.running()) == before


def test_the_last_resort_needs_no_configuration_and_leaves_nothing(site: Site) -> None:
    site.write(PROGRAMS + DEAF)
    daemon = site.start()
    wait_until((site.root / "ready").exists, "its trap")
    site.conf.unlink()
    predicted = site.run_module("supervisord", check=True, config=str(site.conf), state="killed")
    assert (predicted["changed"], site.daemons()) == (True, [daemon])
    result = site.do("killed")
    assert (result["changed"], result["running"]) == (True, False), result
    assert result["cleared"]["unreachable"] == [daemon]
    assert (site.daemons(), site.running()) == ([], {})
    assert site.do("killed")["changed"] is False


def test_the_last_resort_ends_what_a_daemon_leaves_that_may_not_signal_it(site: Site) -> None:
    unknown(site)
    (web,) = site.running()["web"]
    site.conf.unlink()
    assert site.do("killed")["cleared"]["orphans"] == [web]
    assert (site.daemons(), site.running()) == ([], {})


def test_programs_of_other_users_are_orphans_of_roots_daemon_too(site: Site) -> None:
    user = pwd.getpwuid(os.geteuid() or 65534).pw_name
    site.write(PROGRAMS.replace(PROGRAM.format("web", ""), PROGRAM.format("web", f"user={user}")))
    site.root.chmod(0o755)
    pid = site.start()
    (web,) = wait_until(lambda: site.running().get("web"), "its program")
    os.kill(pid, signal.SIGKILL)
    wait_until(partial(has_ended, pid), "the end of the daemon")
    assert web in site.do("started")["cleared"]["orphans"]
    assert len(site.running()["web"]) == 1


# Reads what it needs as root, because the user nobody may not.
AS_NOBODY = f"""\
#!{sys.executable}
import os
from supervisor.supervisord import main
os.setgroups([])
os.setuid(65534)
main()
"""


@pytest.fixture
def helper(site: Site, monkeypatch: pytest.MonkeyPatch) -> int:
    """A program that switches to root, below a daemon of the user nobody. Without root, only the
    module sees it so."""
    if os.geteuid():
        site.start()
        pid = int(site.ask("getProcessInfo", "g:web")["pid"])
        monkeypatch.setattr(processes, "may_signal", lambda _daemon, child: child.pid != pid)
        return pid
    helper = site.root / "setpriv"
    shutil.copy("/usr/bin/setpriv", helper)
    helper.chmod(0o4755)
    web = PROGRAM.format("web", "").replace("/bin/sleep", f"{helper} --reuid 0 /bin/sleep")
    site.write(PROGRAMS.replace(PROGRAM.format("web", ""), web))
    program = site.root / "supervisord"
    program.write_text(AS_NOBODY)
    for path in (site.root, site.root / "log", site.conf):
        os.chown(path, 65534, -1)
    site.start(str(program))
    pid = int(site.ask("getProcessInfo", "g:web")["pid"])
    wait_until(lambda: line(pid).startswith("/bin/sleep"), "root's process")
    return pid


@pytest.mark.parametrize("command", ["reloaded", "stopped"])
def test_no_second_copy_runs_beside_a_helper_that_has_become_root(
    site: Site, helper: int, command: str
) -> None:
    site.owner = "nobody" if os.geteuid() == 0 else None
    daemons = site.daemons()
    result = site.do(command)
    assert (result["reason"], result["pids"]) == ("lost_program", [helper]), result
    assert site.running()["web"] == [helper]
    assert site.daemons() == daemons
    assert site.do("killed")["changed"]
    assert (site.daemons(), site.running()) == ([], {})


# --- a run that was killed halfway ------------------------------------------------------------

DIES = """
import os, signal
from ansible_collections.jgi.jaws.plugins.module_utils.supervisor.client import Supervisor
real = Supervisor.call
def call(self, method, *arguments):
    answer = real(self, method, *arguments)
    if method in ("supervisor.restart", "supervisor.shutdown"):
        os.kill(os.getpid(), signal.SIGKILL)
    return answer
Supervisor.call = call
"""


@pytest.mark.fault(4)
@pytest.mark.parametrize(
    ("command", "after"),
    [
        ("restarted", "started"),
        ("restarted", "restarted"),
        ("reloaded", "started"),
        ("reloaded", "reloaded"),
        ("rotate_key", "supervisord_config"),
    ],
)
def test_programs_get_their_states_back_from_the_run_after_one_that_was_killed(
    site: Site, spawn_module: Spawn, command: str, after: str
) -> None:
    site.start()
    name, options = site.module(command)
    process = spawn_module(name, hook=DIES, **options)
    process.communicate()
    assert process.returncode == -signal.SIGKILL
    result = site.do(after)
    assert not result.get("failed"), result
    assert states(site) == {"web": "RUNNING", "held": "STOPPED", "extra": "RUNNING"}
    assert not (site.root / "pid.states").exists()
    (daemon,) = site.daemons()
    assert site.ask("getPID") == daemon


# --- however it was started, and whatever does not end ----------------------------------------

WAYS: dict[str, tuple[list[str], str]] = {
    "relative": (["-c", "supervisord.conf"], "s"),
    "without -c": ([], "s"),
    "in the foreground": (["-n", "-c", "{root}/supervisord.conf"], "s"),
    "at a port": (["-c", "{root}/supervisord.conf"], "port"),
    "at a port, without -c": ([], "port"),
}


@pytest.mark.parametrize("way", WAYS)
def test_a_daemon_whose_file_was_removed_takes_up_a_new_one_however_it_was_started(
    site: Site, way: str
) -> None:
    arguments, listen = WAYS[way]
    if listen == "port":
        site.listen = reserve_port()
        site.write()
    log = (site.root / "out").open("w")
    with log:
        process = subprocess.Popen(
            [BIN / "supervisord", *(word.format(root=site.root) for word in arguments)],
            cwd=site.root,
            stdout=log,
            stderr=log,
            start_new_session=True,
        )
    try:
        pid = int(wait_until(site._pid, "a pid file"))
        site.conf.unlink()
        started = site.do("started")
        # Without -c, only its socket identifies it, and only the new file names that.
        known = None if "without" in way else [pid]
        assert (started["reason"], started.get("pids")) == ("unreadable_conf", known), started
        result = site.do("rotate_key")
        assert (result["reloaded"], result["new_key"]) == (True, True), result
        assert site.ask("getPID") == pid
        assert KEY not in site.conf.read_text()
        assert site.do("stopped")["running"] is False
        assert has_ended(pid)
    finally:
        if process.poll() is None:
            os.killpg(process.pid, signal.SIGKILL)
        process.wait()


STUCK = POWERLESS.replace(
    '        raise PermissionError(1, "Operation not permitted")\n', "        return\n"
)


def test_what_does_not_end_is_named_and_nothing_is_started_beside_it(site: Site) -> None:
    """As a process that waits for a device: SIGKILL does not reach it."""
    site.write(PROGRAM.format("web", "stopwaitsecs=1"))
    program = site.root / "supervisord"
    program.write_text(STUCK)
    daemon = site.start(str(program))
    web = int(site.ask("getProcessInfo", "web")["pid"])
    (site.root / "powerless").write_text(str(web))
    site.timeout = 1
    result = site.do("restarted")
    assert (result["reason"], result["pids"]) == ("timed_out", [daemon, web]), result
    for word in (f"pid {daemon}", f"web (pid {web})", "state=killed"):
        assert word in result["msg"]
    again = site.do("started")
    assert (again["reason"], again["pids"]) == ("still_running", [daemon]), again
    assert (site.daemons(), site.running()) == ([daemon], {"web": [web]})
    cleared = site.do("killed")["cleared"]
    assert (cleared["unreachable"], cleared["orphans"]) == ([daemon], [web])
    assert (site.daemons(), site.running()) == ([], {})


def test_a_first_file_needs_no_section_for_clients(site: Site) -> None:
    site.conf.unlink()
    name, options = site.module("supervisord_config")
    del options["sections"]["supervisorctl"]
    result = site.run_module(name, **options)
    assert (result["changed"], result["reloaded"]) == (True, False), result


def test_an_address_stays_while_it_is_all_that_orphans_are_known_by(site: Site) -> None:
    killed(site)
    orphans = sorted(pid for pids in site.running().values() for pid in pids)
    site.listen = "other"
    text = site.conf.read_text()
    result = site.do("supervisord_config")
    assert (result["reason"], sorted(result["pids"])) == ("still_running", orphans), result
    assert (site.conf.read_text(), site.daemons()) == (text, [])
    assert sorted(site.do("stopped")["cleared"]["orphans"]) == orphans
    assert site.do("supervisord_config")["changed"]
    assert site.running() == {}
