# SPDX-License-Identifier: GPL-3.0-or-later
"""What is known about an instance without its files, and what a restart keeps: the pure parts."""

from __future__ import annotations

import os
import socket
import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from ansible_collections.jgi.jaws.plugins.module_utils.errors import JawsError
from ansible_collections.jgi.jaws.plugins.module_utils.supervisor import running
from ansible_collections.jgi.jaws.plugins.module_utils.supervisor.planning import Plan
from ansible_collections.jgi.jaws.plugins.module_utils.supervisor.programs import Program, Setting
from ansible_collections.jgi.jaws.plugins.module_utils.supervisor.states import plan_restored, seen
from ansible_collections.jgi.jaws.plugins.module_utils.system import processes
from ansible_collections.jgi.jaws.plugins.module_utils.system.processes import (
    Process,
    below,
    is_contained,
    is_suspended,
    may_signal,
    read_process,
)
from tests.unit.conftest import Proc

SUPERVISORD = ("/v/bin/python", "/v/bin/supervisord", "-c", "/other.conf")
NOTHING = "0000000000000000"
ALL = "000001ffffffffff"


def with_status(proc: Proc, pid: int, **fields: str) -> Process:
    """Make a process whose status has these fields, and return it."""
    proc.add(pid)
    given = {"State": "S (sleeping)", "Uid": "1 1 1 1", "NSpid": f"{pid}", "CapEff": NOTHING}
    text = "".join(f"{name}:\t{value}\n" for name, value in {**given, **fields}.items())
    (proc.root / f"{pid}/status").write_text(text)
    found = read_process(pid, str(proc))
    assert found
    return found


@pytest.mark.parametrize(
    ("daemon", "capabilities", "program", "may"),
    [
        ("5 5 5 5", NOTHING, "5 5 5 5", True),
        ("5 5 5 5", NOTHING, "0 0 0 0", False),  # a helper that has become root for good
        ("5 5 5 5", NOTHING, "5 0 0 0", True),  # a set-uid program still belongs to its caller
        ("5 5 5 5", NOTHING, "0 0 5 5", True),  # one that may switch back
        ("5 5 5 5", NOTHING, "7 5 7 5", False),
        ("0 0 0 0", ALL, "5 5 5 5", True),
        ("0 0 0 0", NOTHING, "5 5 5 5", False),  # root in a container without CAP_KILL
    ],
)
def test_whether_a_process_may_end_another_is_known_before_it_tries(
    proc: Proc, daemon: str, capabilities: str, program: str, may: bool
) -> None:
    sender = with_status(proc, 40, Uid=daemon, CapEff=capabilities)
    target = with_status(proc, 41, Uid=program)
    assert may_signal(sender, target, str(proc)) is may


def test_a_process_that_has_ended_prevents_nothing(proc: Proc) -> None:
    one, other = with_status(proc, 40), with_status(proc, 41, Uid="0 0 0 0")
    (proc.root / "41/status").unlink()
    assert may_signal(one, other, str(proc))


@pytest.mark.parametrize(
    ("state", "suspended"), [("T (stopped)", True), ("t (tracing stop)", True), ("D (disk)", False)]
)
def test_a_suspended_process_is_recognized_by_its_state(
    proc: Proc, state: str, suspended: bool
) -> None:
    with_status(proc, 40, State=state)
    assert is_suspended(40, str(proc)) is suspended
    assert not is_suspended(41, str(proc))


def test_a_process_in_a_container_does_not_belong_to_the_instance(proc: Proc) -> None:
    with_status(proc, 40, NSpid="40\t1")
    with_status(proc, 41)
    assert [is_contained(pid, str(proc)) for pid in (40, 41, 42)] == [True, False, False]


def test_what_a_program_has_put_into_a_namespace_of_pids_belongs_to_it(proc: Proc) -> None:
    with_status(proc, 40, NSpid="40\t1", NSsid="39\t0")
    with_status(proc, 41, NSpid="41\t1", NSsid="41\t1")
    assert [is_contained(pid, str(proc)) for pid in (40, 41)] == [False, True]


def test_descendants_are_found_by_generation(proc: Proc) -> None:
    for pid, ppid in ((40, 1), (41, 40), (42, 41), (43, 7)):
        proc.add(pid, ppid=ppid)
    top = read_process(40, str(proc))
    assert top
    assert [process.pid for process in below(top, proc=str(proc))] == [41, 42]
    assert [process.pid for process in below(top, 1, str(proc))] == [41]


def test_who_listens_at_a_socket_is_known_after_its_file_has_gone(tmp_path: Path) -> None:
    path = tmp_path / "s"
    with socket.socket(socket.AF_UNIX) as server:
        server.bind(f"{path}.4711")  # as Supervisor does
        server.listen()
        os.unlink(f"{path}.4711")
        found = running.listeners(f"unix://{path}")
        assert [process.pid for process in found] == [os.getpid()]
        assert running.listeners(f"unix://{tmp_path}/other") == []
    assert running.listeners(f"unix://{path}") == []


@pytest.mark.parametrize("host", ["localhost", "127.0.0.1", "10.1.2.3"])
def test_who_listens_at_a_port_is_known_whatever_its_address(host: str) -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:
        port = server.getsockname()[1]
        found = running.listeners(f"http://{host}:{port}")
        assert [process.pid for process in found] == [os.getpid()]
    assert running.listeners("") == []


# --- what stays as it was ---------------------------------------------------------------------


def program(name: str, state: str) -> Program:
    return Program(name, name, state, start_time=1)


def setting(name: str, autostart: bool) -> Setting:
    return Setting(name, autostart, (999, 999), 1, 3, 10)


@pytest.mark.parametrize(
    ("was", "autostart", "now", "plan"),
    [
        ("RUNNING", True, "STARTING", Plan(await_running=["a"])),
        ("RUNNING", False, "STOPPED", Plan(start=["a"])),
        ("STARTING", False, "STOPPED", Plan(start=["a"])),
        ("STOPPED", True, "STARTING", Plan(stop=["a"])),
        ("STOPPED", True, "BACKOFF", Plan(stop=["a"])),
        ("STOPPING", True, "RUNNING", Plan(stop=["a"])),
        ("STOPPED", False, "STOPPED", Plan()),
        ("BACKOFF", True, "STARTING", Plan()),  # it had failed before: nothing is lost
        ("BACKOFF", False, "STOPPED", Plan(start=["a"])),
        ("EXITED", True, "STARTING", Plan()),  # nobody has stopped it
        ("FATAL", True, "STARTING", Plan()),
        ("FATAL", False, "STOPPED", Plan()),
    ],
)
def test_a_program_gets_the_state_back_that_it_had_before_a_restart(
    was: str, autostart: bool, now: str, plan: Plan
) -> None:
    known = {"a": setting("a", autostart), "new": setting("new", True)}
    programs = [program("a", now), program("new", "STARTING")]
    assert plan_restored({"a": was}, programs, known) == plan


def test_a_program_that_is_not_defined_any_more_is_not_asked_for() -> None:
    assert plan_restored({"gone": "RUNNING", "idle": "STOPPED"}, [], {}) == Plan()


LOG = """\
2026-11-30 00:00:00,000 INFO supervisord started with pid 9
2026-11-30 00:00:00,000 INFO spawned: 'web' with pid 1
2026-11-30 00:00:00,000 INFO spawned: 'held' with pid 2
2026-11-30 00:00:00,000 INFO spawned: 'died' with pid 3
2026-11-30 00:00:00,000 INFO spawned: 'again' with pid 4
2026-11-30 00:00:00,000 WARN stopped: held (terminated by SIGTERM)
2026-11-30 00:00:00,000 INFO stopped: again (exit status 0)
2026-11-30 00:00:00,000 INFO spawned: 'again' with pid 5
2026-11-30 00:00:00,000 WARN exited: died (exit status 1; not expected)
2026-11-30 00:00:00,000 INFO gave up: died entered FATAL state, too many start retries too quickly
"""


def test_what_an_operator_has_stopped_is_known_from_the_log_if_supervisord_cannot_be_asked(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    log = tmp_path / "log"
    log.write_text(LOG)
    monkeypatch.setattr(running, "program_of", lambda process: process.cmdline[0])
    monkeypatch.setattr(
        "ansible_collections.jgi.jaws.plugins.module_utils.supervisor.states.program_of",
        lambda process: process.cmdline[0],
    )
    children = [
        Process(1, 1, "b", 1, 9, 1, 9, ("web",)),
        Process(5, 1, "b", 1, 9, 5, 9, ("group:again",)),
        Process(6, 1, "b", 1, 1, 6, 6, ("detached",)),
    ]
    names = ["web", "held", "died", "group:again", "new"]
    daemon = Process(9, 1, "b", 1, 1, 9, 9, SUPERVISORD)
    assert seen(children, names, [daemon], str(log)) == {
        "held": "STOPPED",
        "group:again": "RUNNING",
        "web": "RUNNING",
    }
    running_only = {"group:again": "RUNNING", "web": "RUNNING"}
    assert seen(children, names, [daemon], None) == running_only
    left = {"group:again": "BACKOFF", "web": "BACKOFF"}
    assert seen(children, names, [], str(log)) == left, "a dead daemon's"
    assert seen(children, ["web"], [], str(log)) == {"web": "BACKOFF"}
    log.write_text(LOG.replace("pid 9", "pid 8"))
    assert seen(children, names, [daemon], str(log)) == running_only, "its predecessor's log"
    log.write_text(LOG.partition("\n")[2])
    assert "held" in seen(children, names, [daemon], str(log)), "the end of a long log"


# --- what cannot be ended ---------------------------------------------------------------------


def test_what_does_not_end_is_named_with_its_pid_and_the_command(
    sleeper: subprocess.Popen[bytes], monkeypatch: pytest.MonkeyPatch
) -> None:
    stuck = read_process(sleeper.pid)
    assert stuck

    def refuse(*_arguments: Any, **_options: Any) -> int:
        raise JawsError("no", "not_permitted")

    monkeypatch.setattr(processes, "terminate", refuse)
    with pytest.raises(JawsError, match=rf"pid {stuck.pid} .*state=killed") as caught:
        running.end([stuck], [])
    assert (caught.value.reason, caught.value.details["pids"]) == ("still_running", [stuck.pid])


Refusal = Callable[[Process], None]


def test_a_program_that_the_daemon_may_not_signal_is_refused_with_its_pid_and_its_user(
    sleeper: subprocess.Popen[bytes], monkeypatch: pytest.MonkeyPatch
) -> None:
    me, child = read_process(os.getpid()), read_process(sleeper.pid)
    assert me
    assert child
    running.refuse_unstoppable(me)
    monkeypatch.setattr(processes, "may_signal", lambda *_: False)
    with pytest.raises(JawsError, match=rf"\(pid {child.pid}, .*Nothing was changed") as caught:
        running.refuse_unstoppable(me)
    assert caught.value.reason == "lost_program"
    assert str(child.pid) in str(caught.value.details["pids"])


@pytest.mark.parametrize(
    ("session", "ours", "kept"),
    [
        (9, set(), True),  # another supervisord has started it
        (9, {9}, False),  # ours has
        (4, set(), False),  # an orphan, which the first process of a container has adopted
    ],
)
def test_what_another_supervisord_runs_at_the_same_address_is_not_an_orphan(
    monkeypatch: pytest.MonkeyPatch, session: int, ours: set[int], kept: bool
) -> None:
    child = Process(12, 1, "b", 1, 9, 12, session, ("sleep",))
    above = Process(9, 1, "b", 1, 1, 9, 9, SUPERVISORD)
    monkeypatch.setattr(processes, "ancestors", lambda _pid: [above])
    assert running._is_kept(child, ours) is kept


def test_what_hides_its_environment_is_known_by_the_session_of_the_daemon_that_died(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    pid_file = tmp_path / "pid"
    helper = Process(12, 1, "b", 1, 1, 12, 9, ("helper",))
    monkeypatch.setattr(os, "geteuid", lambda: 5)
    monkeypatch.setattr(processes, "all_processes", lambda *_a, **_b: iter([helper]))
    monkeypatch.setattr(processes, "read_process", lambda *_: None)
    instance = running.Instance("/nowhere.conf", "", str(pid_file))
    assert not instance.remains()
    pid_file.write_text("9\n")
    assert instance.remains()
    with pytest.raises(JawsError, match=r"pid 12 .*, of daemon: still running") as caught:
        instance.clear([], 1)
    assert caught.value.details["pids"] == [12]
    os.utime(pid_file, (1, 1))
    assert not instance.remains(), "written before the machine was booted"
    pid_file.write_text("9\n")
    monkeypatch.setattr(processes, "read_process", lambda pid, *_: helper if pid == 9 else None)
    assert not instance.remains(), "the leader of that session lives: it is another one"
