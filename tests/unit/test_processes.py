# SPDX-License-Identifier: GPL-3.0-or-later
"""Processes are distinguished by pid, start time and boot, in a /proc made by the test."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import time
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from dataclasses import replace
from pathlib import Path

import pytest

from ansible_collections.jgi.jaws.plugins.module_utils.errors import JawsError
from ansible_collections.jgi.jaws.plugins.module_utils.supervisor import installation
from ansible_collections.jgi.jaws.plugins.module_utils.system import processes
from ansible_collections.jgi.jaws.plugins.module_utils.system.processes import (
    Process,
    all_processes,
    ancestors,
    find_by_environment,
    group_members,
    is_same,
    read_environ,
    read_process,
    read_same,
    search,
    send_signal,
    started_at,
    terminate,
    wait_ended,
)
from tests.unit.conftest import BOOT, Proc


def real(child: subprocess.Popen[bytes]) -> Process:
    process = read_process(child.pid)
    assert process
    return process


def test_a_process_is_read_with_everything_that_identifies_it(proc: Proc) -> None:
    proc.add(42, start_ticks=777, ppid=7, pgid=40, uid=1234)
    found = read_process(42, str(proc))
    assert found == Process(42, 777, BOOT, 1234, 7, 40, 40, ("sleep", "100"))
    assert found.identity == (42, 777, BOOT)


def test_a_name_with_spaces_and_parentheses_does_not_shift_the_fields(proc: Proc) -> None:
    proc.add(42, start_ticks=777, name="a ) S 9 (b")
    found = read_process(42, str(proc))
    assert found
    assert (found.ppid, found.start_ticks) == (1, 777)


def test_a_process_that_has_gone_is_none(proc: Proc) -> None:
    assert read_process(42, str(proc)) is None


@pytest.mark.parametrize("state", ["Z", "X"])
def test_a_zombie_is_none(proc: Proc, state: str) -> None:
    proc.add(42, state=state)
    assert read_process(42, str(proc)) is None


def test_a_process_that_ends_while_it_is_read_is_none(proc: Proc) -> None:
    proc.add(42)
    (proc.root / "42/status").write_text("")
    assert read_process(42, str(proc)) is None


def test_a_kernel_thread_has_an_empty_command_line(proc: Proc) -> None:
    proc.add(2, cmdline="")
    found = read_process(2, str(proc))
    assert found
    assert found.cmdline == ()
    assert str(found) == "pid 2 (no command line)"


def test_an_empty_last_argument_is_kept(proc: Proc) -> None:
    proc.add(42, cmdline="echo\0\0")
    found = read_process(42, str(proc))
    assert found
    assert found.cmdline == ("echo", "")


def test_without_a_boot_id_it_is_said_that_linux_is_needed(proc: Proc) -> None:
    (proc.root / "sys/kernel/random/boot_id").unlink()
    with pytest.raises(JawsError, match="needs Linux") as error:
        read_process(1, str(proc))
    assert error.value.reason == "no_proc"


def test_the_same_pid_started_later_is_another_process(proc: Proc) -> None:
    proc.add(42, start_ticks=500)
    found = read_process(42, str(proc))
    assert found
    assert is_same(found, str(proc))
    proc.add(42, start_ticks=501)
    assert not is_same(found, str(proc))


def test_the_same_pid_and_start_time_after_a_reboot_is_another_process(proc: Proc) -> None:
    proc.add(42)
    assert read_same(42, 500, BOOT, str(proc))
    proc.boot("another")
    assert read_same(42, 500, BOOT, str(proc)) is None


def test_all_processes_leaves_out_zombies_and_other_entries(proc: Proc) -> None:
    proc.add(1)
    proc.add(2, state="Z")
    proc.add(3)
    assert sorted(process.pid for process in all_processes(str(proc))) == [1, 3]


def test_an_environment_is_read_only_of_the_very_process(proc: Proc) -> None:
    proc.add(42, environ="A=1\0B=x=y\0torn\0")
    found = read_process(42, str(proc))
    assert found
    assert read_environ(found, str(proc)) == {"A": "1", "B": "x=y"}
    assert read_environ(replace(found, start_ticks=1), str(proc)) is None
    assert read_environ(replace(found, pid=43), str(proc)) is None


def test_processes_are_found_by_an_exact_variable_and_the_oldest_comes_first(proc: Proc) -> None:
    proc.add(10, start_ticks=9, environ="MARK=a\0")
    proc.add(11, start_ticks=8, environ="X=MARK\0MARK=a\0")
    proc.add(12, environ="MARK=ab\0")
    proc.add(13, environ="MARK=a\0", uid=os.geteuid() + 1)
    found = find_by_environment("MARK", "a", str(proc))
    assert [process.pid for process in found] == [11, 10]


# --- processes that are just being started ------------------------------------------------------

FORKED_ONLY = 0x40


def ticks_ago(seconds: float) -> int:
    """A start time for /proc/PID/stat."""
    now = time.clock_gettime(time.CLOCK_BOOTTIME)
    return int((now - seconds) * os.sysconf("SC_CLK_TCK"))


@pytest.fixture
def retries(monkeypatch: pytest.MonkeyPatch) -> list[Callable[[], object]]:
    """What happens in /proc between the looks of a search; the clock goes on by a tenth each."""
    steps: list[Callable[[], object]] = []
    clock = [time.monotonic()]

    def sleep(_seconds: float) -> None:
        clock[0] += 0.1
        if steps:
            steps.pop(0)()

    monkeypatch.setattr(time, "monotonic", lambda: clock[0])
    monkeypatch.setattr(time, "sleep", sleep)
    return steps


def contents(proc: Proc, *names: str) -> dict[int, list[bytes]]:
    return dict(search(names, str(proc)))


def test_what_was_just_executed_is_read_again_until_it_shows_its_own(
    proc: Proc, retries: list[Callable[[], object]]
) -> None:
    proc.add(42, cmdline="", environ="")
    retries += [lambda: None, lambda: proc.add(42, environ="MARK=a\0")]
    assert contents(proc, "environ") == {42: [b"MARK=a\0"]}
    assert not retries


def test_an_environment_that_is_empty_beside_a_command_line_is_not_waited_for(
    proc: Proc, retries: list[Callable[[], object]]
) -> None:
    proc.add(42, environ="")
    retries.append(pytest.fail)
    assert contents(proc, "environ") == {42: [b""]}


def test_an_environment_that_appears_between_two_reads_is_found(
    proc: Proc, monkeypatch: pytest.MonkeyPatch
) -> None:
    proc.add(42, environ="")
    real = processes._Directory.read

    def read(directory: processes._Directory, name: str) -> bytes:
        if name == "cmdline":
            proc.add(42, environ="MARK=a\0")
        return real(directory, name)

    monkeypatch.setattr(processes._Directory, "read", read)
    assert contents(proc, "environ") == {42: [b"MARK=a\0"]}


def test_kernel_threads_and_what_is_ending_are_not_waited_for(
    proc: Proc, retries: list[Callable[[], object]]
) -> None:
    proc.add(2, cmdline="", memory=0)
    proc.add(42, cmdline="", memory=0, state="Z", flags=FORKED_ONLY, start_ticks=500)
    retries.append(pytest.fail)
    assert contents(proc, "cmdline") == {2: [b""], 42: [b""]}


def test_what_was_just_forked_is_read_again_until_it_has_executed_its_program(
    proc: Proc, retries: list[Callable[[], object]]
) -> None:
    start = ticks_ago(0)
    proc.add(42, start, "R", environ="PARENT=1\0", flags=FORKED_ONLY)
    retries.append(lambda: proc.add(42, start, "R", environ="", cmdline=""))
    retries.append(lambda: proc.add(42, start, environ="MARK=a\0"))
    assert contents(proc, "environ") == {42: [b"MARK=a\0"]}
    assert not retries


def test_what_executes_its_program_between_two_reads_is_found(
    proc: Proc, monkeypatch: pytest.MonkeyPatch
) -> None:
    start = ticks_ago(0)
    proc.add(42, start, environ="PARENT=1\0", flags=FORKED_ONLY)
    real = processes._Directory.stat

    def stat(directory: processes._Directory) -> object:
        proc.add(42, start, environ="MARK=a\0")
        return real(directory)

    monkeypatch.setattr(processes._Directory, "stat", stat)
    assert contents(proc, "environ") == {42: [b"MARK=a\0"]}


@pytest.mark.parametrize(("state", "age"), [("S", 0.5), ("R", 2.0)])
def test_a_forked_worker_is_not_waited_for(
    proc: Proc, retries: list[Callable[[], object]], state: str, age: float
) -> None:
    proc.add(42, ticks_ago(age), state, environ="MARK=a\0", flags=FORKED_ONLY)
    retries.append(pytest.fail)
    assert contents(proc, "environ") == {42: [b"MARK=a\0"]}


def test_ourselves_are_not_waited_for(proc: Proc, retries: list[Callable[[], object]]) -> None:
    proc.add(os.getpid(), ticks_ago(0), "R", environ="MARK=a\0", flags=FORKED_ONLY)
    retries.append(pytest.fail)
    assert contents(proc, "environ") == {os.getpid(): [b"MARK=a\0"]}


def test_the_wait_for_all_together_is_bounded(
    proc: Proc, retries: list[Callable[[], object]]
) -> None:
    for pid in range(100, 200):
        proc.add(pid, cmdline="", environ="")
    retries += [*[lambda: None] * 11, pytest.fail]
    assert len(contents(proc, "cmdline", "environ")) == 100
    assert len(retries) <= 3


def test_what_ends_before_it_shows_itself_is_not_waited_for(
    proc: Proc, retries: list[Callable[[], object]]
) -> None:
    proc.add(42, cmdline="", environ="")
    retries.append(lambda: shutil.rmtree(proc.root / "42"))
    assert contents(proc, "cmdline") == {}
    assert not retries


def test_a_child_that_is_forked_while_its_parent_ends_is_found(proc: Proc) -> None:
    for pid in (40, 41):
        proc.add(pid, environ="MARK=a\0")
    found = search(["environ"], str(proc))
    assert next(found)[0] == 40
    proc.add(39, environ="MARK=a\0", ppid=41)
    shutil.rmtree(proc.root / "41")
    assert [pid for pid, _contents in found] == [39]


def test_what_another_users_process_hides_is_left_out(
    proc: Proc, monkeypatch: pytest.MonkeyPatch, retries: list[Callable[[], object]]
) -> None:
    proc.add(42, ticks_ago(0), "R", cmdline="", flags=FORKED_ONLY)
    retries.append(pytest.fail)
    real = processes._Directory.read

    def read(directory: processes._Directory, name: str) -> bytes:
        if name == "environ":
            raise PermissionError(13, "Permission denied")
        return real(directory, name)

    monkeypatch.setattr(processes._Directory, "read", read)
    assert contents(proc, "environ") == {}
    proc.add(42)
    assert contents(proc, "cmdline", "environ") == {42: [b"sleep\x00100\0"]}
    assert read_environ(Process(42, 500, BOOT, 0, 1, 42, 42, ()), str(proc)) is None


@contextmanager
def by_subprocess(environment: dict[str, str]) -> Iterator[int]:
    """A program that was executed before this goes on."""
    with subprocess.Popen(["sleep", "1000"], env=environment) as child:
        try:
            yield child.pid
        finally:
            child.kill()


@contextmanager
def by_fork(environment: dict[str, str]) -> Iterator[int]:
    """A program that is yet to be executed when this goes on."""
    pid = os.fork()
    if not pid:
        try:
            os.execve("/bin/sleep", ["sleep", "1000"], environment)
        finally:
            os._exit(127)
    try:
        yield pid
    finally:
        os.kill(pid, signal.SIGKILL)
        os.waitpid(pid, 0)


@contextmanager
def storm() -> Iterator[None]:
    """One program after the other is executed and ends, as fast as it goes."""
    loop = "while :; do /bin/true; done"
    with subprocess.Popen(["sh", "-c", loop], start_new_session=True) as child:
        try:
            yield
        finally:
            os.killpg(child.pid, signal.SIGKILL)


@pytest.mark.parametrize("starts", [by_subprocess, by_fork])
def test_no_program_is_missed_that_was_started_a_moment_ago(
    starts: Callable[[dict[str, str]], AbstractContextManager[int]],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    # However busy the machine is.
    monkeypatch.setattr(processes, "SETTLING_SECONDS", 60)
    own = [b"sleep\x001000\0", b"MARK=a\0"]
    with storm():
        for _time in range(50):
            with starts({"MARK": "a"}) as pid:
                assert dict(search(["cmdline", "environ"], pids=[pid])) == {pid: own}


def test_ancestors_lead_up_to_the_first_process(proc: Proc) -> None:
    proc.add(1, ppid=0)
    proc.add(5, ppid=1)
    proc.add(9, ppid=5)
    assert [process.pid for process in ancestors(9, str(proc))] == [5, 1]
    assert ancestors(77, str(proc)) == []


def test_a_start_is_reported_in_seconds_since_the_epoch(
    proc: Proc, monkeypatch: pytest.MonkeyPatch
) -> None:
    ticks = os.sysconf("SC_CLK_TCK")
    proc.add(42, start_ticks=400 * ticks)
    monkeypatch.setattr("time.time", lambda: 5000.0)
    found = read_process(42, str(proc))
    assert found
    assert started_at(found, str(proc)) == 4400.0  # up for 1000 s, started after 400 s


def test_a_group_outlives_its_leader(proc: Proc) -> None:
    proc.add(40)
    proc.add(41, pgid=40)
    leader = read_process(40, str(proc))
    assert leader
    assert {process.pid for process in group_members(leader, proc=str(proc))} == {40, 41}
    proc.add(40, state="Z")
    assert {process.pid for process in group_members(leader, proc=str(proc))} == {41}


def test_a_group_number_that_was_given_to_another_is_not_its_group(proc: Proc) -> None:
    proc.add(40)
    leader = read_process(40, str(proc))
    assert leader
    proc.add(40, start_ticks=999)
    proc.add(41, pgid=40)
    assert group_members(leader, proc=str(proc)) == []


@pytest.mark.parametrize("with_pidfd", [True, False])
@pytest.mark.parametrize("group", [True, False])
def test_another_process_with_the_same_pid_gets_no_signal(
    sleeper: subprocess.Popen[bytes],
    monkeypatch: pytest.MonkeyPatch,
    with_pidfd: bool,
    group: bool,
) -> None:
    if not with_pidfd:
        monkeypatch.delattr(os, "pidfd_open", raising=False)
    taken_for = replace(real(sleeper), start_ticks=1)
    assert send_signal(taken_for, signal.SIGKILL, group=group) is False
    assert terminate(taken_for, signal.SIGKILL, group=group) == 0
    assert sleeper.poll() is None


@pytest.mark.parametrize("with_pidfd", [True, False])
def test_the_very_process_gets_the_signal(
    sleeper: subprocess.Popen[bytes], monkeypatch: pytest.MonkeyPatch, with_pidfd: bool
) -> None:
    if not with_pidfd:
        monkeypatch.delattr(os, "pidfd_open", raising=False)
    process = real(sleeper)
    assert terminate(process) == signal.SIGTERM
    assert sleeper.wait() == -signal.SIGTERM
    assert send_signal(process, signal.SIGTERM) is False


def test_a_forbidden_pidfd_falls_back_to_kill(
    sleeper: subprocess.Popen[bytes], monkeypatch: pytest.MonkeyPatch
) -> None:
    def forbidden(_pid: int) -> int:
        raise OSError(38, "Function not implemented")

    monkeypatch.setattr(os, "pidfd_open", forbidden)
    assert send_signal(real(sleeper), signal.SIGTERM)
    assert sleeper.wait() == -signal.SIGTERM


def test_another_users_process_is_named_with_the_remedy(
    sleeper: subprocess.Popen[bytes], monkeypatch: pytest.MonkeyPatch
) -> None:
    def refused(*_arguments: object) -> None:
        raise PermissionError(1, "Operation not permitted")

    monkeypatch.setattr(processes, "_signal_one", refused)
    with pytest.raises(JawsError, match=r"SIGTERM to pid .*Run this as that user"):
        send_signal(real(sleeper), signal.SIGTERM)


def stubborn() -> subprocess.Popen[bytes]:
    """A shell that ignores SIGTERM, and has said so."""
    script = "trap '' TERM; echo ready; while :; do sleep 0.1; done"
    child = subprocess.Popen(["sh", "-c", script], stdout=subprocess.PIPE, start_new_session=True)
    assert child.stdout
    assert child.stdout.readline() == b"ready\n"
    return child


def test_what_ignores_the_signal_is_not_killed_unless_asked() -> None:
    with stubborn() as child:
        with pytest.raises(
            JawsError, match=r"still runs 0\.2 s after SIGTERM.*SIGKILL was not sent"
        ) as error:
            terminate(real(child), timeout=0.2)
        assert error.value.reason == "still_running"
        assert child.poll() is None
        assert terminate(real(child), timeout=10, kill_after=0.2, group=True) == signal.SIGKILL


def test_a_whole_group_ends_with_its_leader() -> None:
    script = "sleep 1000 & echo $!; wait"
    with subprocess.Popen(
        ["sh", "-c", script], stdout=subprocess.PIPE, start_new_session=True
    ) as child:
        assert child.stdout
        member = read_process(int(child.stdout.readline()))
        assert member
        terminate(real(child), group=True)
        assert not is_same(member)


def test_our_own_group_is_never_signalled() -> None:
    own = read_process(os.getpid())
    assert own
    with pytest.raises(JawsError, match="the process group of this play"):
        send_signal(own, signal.SIGTERM, group=True)


def test_waiting_is_bounded(sleeper: subprocess.Popen[bytes]) -> None:
    assert wait_ended(real(sleeper), timeout=0) is False


def test_a_process_of_another_installation_is_recognized_by_its_command_line(
    proc: Proc, tmp_path: Path
) -> None:
    for name in ("v1", "v2"):
        (tmp_path / name / "bin").mkdir(parents=True)
    (tmp_path / "venv").symlink_to("v2")

    def other(python: str) -> bool | None:
        proc.add(42, cmdline=f"{python}\0-m\0supervisor.supervisord\0")
        installed = f"{tmp_path}/venv/bin/python"
        return installation.is_of_another_installation(42, installed, str(proc))

    assert other(f"{tmp_path}/v1/bin/python") is True
    assert other(f"{tmp_path}/v2/bin/python") is False
    # Whatever the link meant when it was started.
    assert other(f"{tmp_path}/venv/bin/python") is None
    assert other("python3") is None
    assert installation.is_of_another_installation(43, "/v/bin/python", str(proc)) is None
