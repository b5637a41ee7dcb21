# SPDX-License-Identifier: GPL-3.0-or-later
"""The module supervisorctl against a real supervisord."""

from __future__ import annotations

import functools
import json
import os
import signal
import socket
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest

from ansible_collections.jgi.jaws.plugins.module_utils.supervisor import client
from ansible_collections.jgi.jaws.plugins.module_utils.supervisor.client import Supervisor
from ansible_collections.jgi.jaws.plugins.module_utils.supervisor.endpoint import SupervisordConf
from ansible_collections.jgi.jaws.plugins.module_utils.supervisor.observation import (
    observe,
    settings,
)
from tests.integration.conftest import (
    HEAD,
    KEY,
    PATIENCE,
    Daemon,
    Result,
    as_user,
    has_ended,
    wait_until,
)
from tests.integration.ports import reserve_port

Ctl = Callable[..., Result]
ROOT = Path(__file__).parents[2]
NOBODY = 65534


def program(name: str, *lines: str, command: str = "/bin/sleep 1000", startsecs: int = 0) -> str:
    """Return one program's section; without startsecs it runs from its first moment."""
    head = [f"[program:{name}]", f"command={command}", f"startsecs={startsecs}"]
    return "\n".join([*head, *lines]) + "\n"


# One that ends at once has never been RUNNING, however slow the machine is.
ENDS_TOO_SOON = 60


def script(name: str, text: str, *lines: str, startsecs: int = ENDS_TOO_SOON) -> str:
    """Return the section of a program that is a shell script."""
    return program(name, *lines, command=f"/bin/sh -c '{text}'", startsecs=startsecs)


@pytest.fixture
def ctl(daemon: Daemon, run_module: Callable[..., Result]) -> Ctl:
    """Run the module for the test's supervisord; its key is in no result."""

    def run(state: str, *name: str, **options: Any) -> Result:
        given = {"config": str(daemon.conf), "name": list(name) or None, **options}
        result = run_module("supervisorctl", state=state, **given)
        assert KEY not in json.dumps(result)
        return result

    return run


def states(result: Result) -> dict[str, str]:
    return {one["name"]: one["state"] for one in result["programs"]}


def pids(result: Result) -> dict[str, int]:
    return {one["name"]: one["pid"] for one in result["programs"]}


def current(daemon: Daemon) -> Result:
    with Supervisor(SupervisordConf(str(daemon.conf)).endpoint) as client:
        return {"programs": [found.as_dict() for found in observe(client).programs]}


def serve(daemon: Daemon, sections: str) -> int:
    """Start a supervisord with these programs; return its pid when what starts by itself has."""
    daemon.write(sections)
    pid = daemon.start()

    def under_way() -> bool:
        with Supervisor(SupervisordConf(str(daemon.conf)).endpoint) as client:
            found = states(current(daemon))
            return any(
                setting.autostart
                and setting.startsecs == 0
                and found[name] in ("STOPPED", "STARTING")
                for name, setting in settings(client).items()
            )

    wait_until(lambda: not under_way(), "the programs")
    return pid


def reaches(daemon: Daemon, **wanted: str) -> None:
    """Wait until programs are in the states that the test needs."""
    wait_until(lambda: wanted.items() <= states(current(daemon)).items(), f"states {wanted}")


# --- as the module that it replaces -----------------------------------------------------------


def test_a_stopped_program_is_started_and_then_left_alone(daemon: Daemon, ctl: Ctl) -> None:
    serve(daemon, program("a", "autostart=false", startsecs=1))
    first = ctl("started", "a")
    assert (first["changed"], states(first)) == (True, {"a": "RUNNING"})
    assert (first["name"], first["state"], first["affected"]) == ("a", "started", ["a"])
    second = ctl("started", "a")
    assert (second["changed"], second["affected"]) == (False, [])
    assert second["programs"] == first["programs"]


def test_a_running_program_is_stopped_and_then_left_alone(daemon: Daemon, ctl: Ctl) -> None:
    serve(daemon, program("a") + program("b"))
    first = ctl("stopped", "a")
    assert (first["changed"], first["affected"]) == (True, ["a"])
    assert states(first) == {"a": "STOPPED", "b": "RUNNING"}
    assert ctl("stopped", "a")["changed"] is False


def test_a_restart_gives_every_program_a_new_process_and_starts_the_stopped(
    daemon: Daemon, ctl: Ctl
) -> None:
    serve(daemon, program("a") + program("b", "autostart=false") + program("c"))
    before = current(daemon)
    after = ctl("restarted", "a", "b")
    assert states(after) == {"a": "RUNNING", "b": "RUNNING", "c": "RUNNING"}
    assert (after["changed"], after["affected"]) == (True, ["a", "b"])
    assert pids(after)["a"] != pids(before)["a"]
    assert pids(after)["c"] == pids(before)["c"]


@pytest.mark.parametrize("name", ["g", "g:", "g:*"])
def test_a_group_is_meant_with_or_without_its_colon(daemon: Daemon, ctl: Ctl, name: str) -> None:
    serve(daemon, "[group:g]\nprograms=x,y\n" + program("x") + program("y") + program("z"))
    result = ctl("stopped", name)
    assert states(result) == {"g:x": "STOPPED", "g:y": "STOPPED", "z": "RUNNING"}
    assert (result["name"], result["affected"]) == (name.rstrip(":"), ["g:x", "g:y"])


def test_the_program_that_bears_its_groups_name_is_meant_alone_without_the_colon(
    daemon: Daemon, ctl: Ctl
) -> None:
    serve(daemon, "[group:g]\nprograms=g,y\n" + program("g") + program("y"))
    assert states(ctl("stopped", "g")) == {"g": "STOPPED", "g:y": "RUNNING"}
    assert states(ctl("stopped", "g:")) == {"g": "STOPPED", "g:y": "STOPPED"}


def test_all_means_every_program(daemon: Daemon, ctl: Ctl) -> None:
    serve(daemon, program("a") + program("b", "numprocs=2", "process_name=b%(process_num)d"))
    result = ctl("stopped", "all")
    assert states(result) == {"a": "STOPPED", "b:b0": "STOPPED", "b:b1": "STOPPED"}
    assert states(ctl("started", "b0")) == {**states(result), "b:b0": "RUNNING"}


def test_an_empty_list_of_names_stops_nothing(daemon: Daemon, ctl: Ctl) -> None:
    serve(daemon, program("a"))
    result = ctl("stopped", name=[])
    assert (result["changed"], states(result)) == (False, {"a": "RUNNING"})


def test_a_signal_reaches_the_running_programs_of_a_group(daemon: Daemon, ctl: Ctl) -> None:
    trap = 'trap "echo got it" USR1; echo ready; while :; do sleep 0.05; done'
    daemon.write(
        "[group:g]\nprograms=x,y\n"
        + script("x", trap, startsecs=0)
        + program("y", "autostart=false")
    )
    daemon.start()
    log = Path(current(daemon)["programs"][0]["log_file"])
    wait_until(lambda: "ready" in log.read_text(), "a trap")
    result = ctl("signalled", "g:", signal="USR1")
    assert (result["changed"], result["affected"]) == (True, ["g:x"])
    assert states(result) == {"g:x": "RUNNING", "g:y": "STOPPED"}
    wait_until(lambda: "got it" in log.read_text(), "the signal")


def test_a_signal_that_does_not_exist_is_refused_in_check_mode_too(
    daemon: Daemon, ctl: Ctl
) -> None:
    serve(daemon, program("a"))
    for check in (True, False):
        result = ctl("signalled", "a", signal="NONE", check=check)
        assert (result["failed"], result["reason"]) == (True, "bad_option")


def test_present_adds_a_new_group_once_and_restarts_nothing(daemon: Daemon, ctl: Ctl) -> None:
    serve(daemon, program("a"))
    before = current(daemon)
    daemon.write(program("a", "stopwaitsecs=9") + program("b") + program("c"))
    first = ctl("present", "b")
    assert (first["changed"], first["affected"]) == (True, ["b"])
    assert states(first) == {"a": "RUNNING", "b": "RUNNING"}
    assert pids(first)["a"] == pids(before)["a"]
    assert ctl("present", "b")["changed"] is False
    assert ctl("present", "typo")["reason"] == "unknown_program"


def test_absent_removes_a_stopped_group_and_an_absent_one_is_fine(daemon: Daemon, ctl: Ctl) -> None:
    serve(daemon, program("a") + program("b"))
    refused = ctl("absent", "a")
    assert (refused["failed"], refused["reason"]) == (True, "still_running")
    removed = ctl("absent", "a", stop_before_removing=True)
    assert (removed["changed"], states(removed)) == (True, {"b": "RUNNING"})
    assert ctl("absent", "a")["changed"] is False


def test_absent_never_takes_the_other_members_of_a_group(daemon: Daemon, ctl: Ctl) -> None:
    serve(daemon, "[group:g]\nprograms=x,y\n" + program("x") + program("y"))
    assert ctl("absent", "g:x", stop_before_removing=True)["reason"] == "partial_group"
    assert states(current(daemon)) == {"g:x": "RUNNING", "g:y": "RUNNING"}


def test_the_address_user_and_key_may_be_options(daemon: Daemon, ctl: Ctl) -> None:
    serve(daemon, program("a"))
    other = daemon.root / "other.conf"
    other.write_text("[supervisorctl]\nserverurl=unix:///none\n")
    result = ctl(
        "started",
        "a",
        config=str(other),
        server_url=f"unix://{daemon.root}/s",
        username="jaws",
        password=KEY,
    )
    assert states(result) == {"a": "RUNNING"}


def test_http_works_as_a_socket_does(daemon: Daemon, ctl: Ctl) -> None:
    port = reserve_port()
    head = HEAD.replace(
        "[unix_http_server]\nfile={root}/s\nchmod=0700", "[inet_http_server]\nport="
    )
    head = head.replace("port=", f"port=127.0.0.1:{port}", 1)
    daemon.write(
        program("a"),
        head.replace("serverurl=unix://{root}/s", f"serverurl=http://127.0.0.1:{port}"),
    )
    daemon.start()
    assert states(ctl("restarted", "a")) == {"a": "RUNNING"}
    daemon.write(
        "", head.replace("serverurl=unix://{root}/s", f"serverurl=http://127.0.0.1:{port}"), "b"
    )
    result = ctl("restarted", "a")
    assert result["reason"] == "wrong_key"


# --- every state is what it is ----------------------------------------------------------------


def test_a_program_in_backoff_is_waited_for_until_it_runs(daemon: Daemon, ctl: Ctl) -> None:
    third = 'n=$(cat n 2>/dev/null); echo x$n > n; test "$n" = xx && exec sleep 1000; exit 1'
    lines = (f"directory={daemon.root}", "autostart=false")
    serve(daemon, script("a", third, *lines, startsecs=5))
    result = ctl("started", "a")
    assert states(result) == {"a": "RUNNING"}
    assert (daemon.root / "n").read_text() == "xxx\n"


def test_waiting_for_a_program_that_is_starting_changes_nothing(daemon: Daemon, ctl: Ctl) -> None:
    serve(daemon, program("a", startsecs=5))
    assert states(current(daemon)) == {"a": "STARTING"}
    result = ctl("started", "a")
    assert (result["changed"], states(result)) == (False, {"a": "RUNNING"})


def test_a_program_between_two_tries_is_stopped(daemon: Daemon, ctl: Ctl) -> None:
    serve(daemon, script("a", "exit 1", "startretries=1000"))
    reaches(daemon, a="BACKOFF")
    result = ctl("stopped", "a")
    assert (result["changed"], states(result)) == (True, {"a": "STOPPED"})


def test_a_program_that_was_given_up_is_started_again(daemon: Daemon, ctl: Ctl) -> None:
    lines = (f"directory={daemon.root}", "startretries=0")
    daemon.write(script("a", "test -e go && exec sleep 1000", *lines, startsecs=1))
    daemon.start()
    reaches(daemon, a="FATAL")
    assert ctl("stopped", "a")["changed"] is False
    (daemon.root / "go").touch()
    assert states(ctl("started", "a")) == {"a": "RUNNING"}


def test_a_stopping_program_is_waited_for_before_it_is_started(daemon: Daemon, ctl: Ctl) -> None:
    slow = 'trap "read x <gate; exit 0" TERM; echo ready; while :; do sleep 0.05; done'
    os.mkfifo(daemon.root / "gate")
    lines = (f"directory={daemon.root}", "stopwaitsecs=600")
    serve(daemon, script("a", slow, *lines, startsecs=0))
    log = Path(current(daemon)["programs"][0]["log_file"])
    wait_until(lambda: "ready" in log.read_text(), "a trap")
    assert states(ctl("stopped", "a", wait=False)) == {"a": "STOPPING"}
    with subprocess.Popen(["/bin/sh", "-c", f"sleep 1; echo go >{daemon.root}/gate"]):
        result = ctl("started", "a")
    assert (result["changed"], states(result)) == (True, {"a": "RUNNING"})


def test_a_program_that_crashes_and_comes_back_is_stopped_for_good(
    daemon: Daemon, ctl: Ctl
) -> None:
    serve(daemon, script("a", "sleep 0.5; exit 1", "autorestart=true", startsecs=0))
    log = daemon.root / "supervisord.log"
    wait_until(lambda: "exited: a" in log.read_text().splitlines()[-1], "an exit")
    # EXITED for a second, until the loop's next turn; a request makes it turn.
    assert states(ctl("stopped", "a")) == {"a": "STOPPED"}


def test_a_one_shot_program_has_started_when_it_has_done_its_work(daemon: Daemon, ctl: Ctl) -> None:
    once = ("autostart=false", "autorestart=false", "exitcodes=0,3")
    daemon.write(
        script("good", "exit 0", *once, startsecs=0)
        + script("other", "exit 3", *once, startsecs=0)
        + script("bad", "exit 4", *once, startsecs=0)
    )
    daemon.start()
    wait_for = functools.partial(ctl, "started")
    assert states(wait_for("good", "other"))["good"] in ("EXITED", "RUNNING")
    reaches(daemon, good="EXITED", other="EXITED", bad="STOPPED")
    with_ends = {p["name"]: p["exit_status"] for p in current(daemon)["programs"]}
    assert with_ends == {"good": 0, "other": 3, "bad": None}


@pytest.fixture
def lost(daemon: Daemon) -> Iterator[int]:
    """The pid of a program that supervisord may not signal, and which is therefore UNKNOWN."""
    daemon.write(program("a") + program("b"))
    daemon.start(
        "from supervisor.options import ServerOptions, sys\n"
        "def kill(self, pid, signal): raise PermissionError(1, 'Operation not permitted')\n"
        "ServerOptions.kill = kill\n"
        "from supervisor.supervisord import main\n"
        "main()\n"
    )
    found = list(pids(current(daemon)).values())
    yield found[0]
    for pid in found:
        os.kill(pid, signal.SIGKILL)


def test_a_program_out_of_control_is_an_error_and_not_a_stopped_one(lost: int, ctl: Ctl) -> None:
    first = ctl("stopped", "a")
    assert (first["reason"], first["failed_programs"]) == ("program_failed", ["a"])
    assert "PermissionError: [Errno 1] Operation not permitted" in first["msg"]
    assert states(first) == {"a": "UNKNOWN", "b": "RUNNING"}
    for state in ("stopped", "started", "restarted"):
        result = ctl(state, "a")
        assert result["reason"] == "lost_program", state
        assert f"a (pid {lost})" in result["msg"]
    assert ctl("started", "b")["changed"] is False


def test_a_program_out_of_control_does_not_fail_the_restart_of_another(
    daemon: Daemon, lost: int, ctl: Ctl
) -> None:
    ctl("stopped", "a")
    daemon.write(program("a", "stopwaitsecs=9") + program("b") + program("c"))
    result = ctl("restarted", "c")
    assert states(result) == {"a": "UNKNOWN", "b": "RUNNING", "c": "RUNNING"}
    warning = str(result["warnings"])
    assert f"of a was not applied: supervisord has lost control of a (pid {lost})" in warning


# --- what differs on disk ---------------------------------------------------------------------


def test_an_update_applies_exactly_what_differs_and_once(daemon: Daemon, ctl: Ctl) -> None:
    serve(daemon, program("same") + program("changed") + program("gone"))
    before = current(daemon)
    daemon.write(program("same") + program("changed", "stopwaitsecs=9") + program("new"))
    first = ctl("updated")
    assert states(first) == {"changed": "RUNNING", "new": "RUNNING", "same": "RUNNING"}
    assert (first["changed"], first["affected"]) == (True, ["changed", "gone", "new"])
    assert (first["name"], first["state"]) == ("all", "updated")
    assert pids(first)["same"] == pids(before)["same"]
    assert pids(first)["changed"] != pids(before)["changed"]
    second = ctl("updated")
    assert (second["changed"], second["programs"]) == (False, first["programs"])


def test_a_restart_applies_what_differs_and_restarts_nothing_twice(
    daemon: Daemon, ctl: Ctl
) -> None:
    serve(daemon, program("same") + program("changed") + program("gone"))
    daemon.write(program("same") + program("changed", "stopwaitsecs=9") + program("new"))
    result = ctl("restarted", "all")
    assert states(result) == {"changed": "RUNNING", "new": "RUNNING", "same": "RUNNING"}
    log = (daemon.root / "supervisord.log").read_text()
    spawned = [log.count(f"spawned: '{name}'") for name in ("same", "changed", "new", "gone")]
    assert spawned == [2, 2, 1, 1]


def test_an_idle_program_of_a_changed_group_stays_idle_unless_it_is_to_be_restarted(
    daemon: Daemon, ctl: Ctl
) -> None:
    serve(daemon, program("a", "autostart=false"))
    daemon.write(program("a", "autostart=false", "stopwaitsecs=9"))
    assert states(ctl("updated")) == {"a": "STOPPED"}
    daemon.write(program("a", "autostart=false", "stopwaitsecs=8"))
    assert states(ctl("restarted", "a")) == {"a": "RUNNING"}


def test_an_event_listener_is_a_program_like_any_other(daemon: Daemon, ctl: Ctl) -> None:
    serve(daemon, program("a"))
    listener = "[eventlistener:l]\ncommand=/bin/cat\nevents=TICK_5\nstartsecs=0\n"
    daemon.write(program("a") + listener)
    assert states(ctl("updated")) == {"a": "RUNNING", "l": "RUNNING"}
    assert states(ctl("restarted", "l")) == {"a": "RUNNING", "l": "RUNNING"}


def test_priorities_order_starts_and_stops(daemon: Daemon, ctl: Ctl) -> None:
    sections = program("a", "priority=3") + program("b", "priority=1") + program("c", "priority=2")
    serve(daemon, sections)
    before = (daemon.root / "supervisord.log").read_text()
    assert states(ctl("restarted", "all")) == {"a": "RUNNING", "b": "RUNNING", "c": "RUNNING"}
    lines = (daemon.root / "supervisord.log").read_text()[len(before) :].splitlines()
    done = [line.split("INFO ")[-1].split("WARN ")[-1] for line in lines]
    order = [line.split("'")[1] if "'" in line else line.split()[1] for line in done]
    happened = [
        f"{line.split(':')[0]} {name}"
        for line, name in zip(done, order, strict=True)
        if line.startswith(("stopped", "spawned"))
    ]
    assert happened == [
        *("stopped a", "stopped c", "stopped b"),
        *("spawned b", "spawned c", "spawned a"),
    ]


# --- what goes wrong --------------------------------------------------------------------------


def test_a_failing_program_is_reported_with_its_exit_status_and_its_log(
    daemon: Daemon, ctl: Ctl
) -> None:
    lines = ("autostart=false", "startretries=0")
    daemon.write(
        script("bad", "echo out; echo no config >&2; exit 7", *lines)
        + program("good", "autostart=false", startsecs=1)
    )
    daemon.start()
    result = ctl("started", "bad", "good")
    assert (result["failed"], result["changed"]) == (True, True)
    assert (result["reason"], result["failed_programs"]) == ("program_failed", ["bad"])
    assert states(result) == {"bad": "FATAL", "good": "RUNNING"}
    message = result["msg"]
    assert message.startswith(f"could not start bad (supervisord at unix://{daemon.root}/s).\n")
    assert "bad is FATAL, exit status 7, Exited too quickly" in message
    assert "    out\n" in message
    assert "    no config\n" in message
    assert message.endswith("Correct the cause, then run this again.")


def test_a_program_that_a_signal_ended_is_reported_so(daemon: Daemon, ctl: Ctl) -> None:
    serve(daemon, script("a", "kill -9 $$", "autostart=false", "startretries=0"))
    assert "a is FATAL, ended by a signal" in ctl("started", "a")["msg"]


def test_a_missing_command_is_reported_at_the_start_and_in_an_update(
    daemon: Daemon, ctl: Ctl
) -> None:
    missing = f"{daemon.root}/none"
    serve(daemon, program("a", "autostart=false", command=missing))
    result = ctl("started", "a")
    assert (result["reason"], result["failed_programs"]) == ("program_failed", ["a"])
    assert f"a: can't find command '{daemon.root}/none'" in result["msg"]
    daemon.write(program("b", "startretries=0", command=missing, startsecs=1))
    result = ctl("updated")
    assert (result["reason"], result["failed_programs"]) == ("program_failed", ["b"])
    assert f"b is FATAL, can't find command '{daemon.root}/none'" in result["msg"]


def test_one_changed_program_that_fails_keeps_no_other_down(daemon: Daemon, ctl: Ctl) -> None:
    serve(daemon, program("a") + program("b"))
    bad = script("a", "exit 1", "startretries=0", "priority=1")
    daemon.write(bad + program("b", "priority=2"))
    result = ctl("updated")
    assert (result["failed"], result["failed_programs"]) == (True, ["a"])
    assert states(result) == {"a": "FATAL", "b": "RUNNING"}


@pytest.mark.fault(63)
def test_in_strict_order_what_comes_after_a_failing_program_is_not_started_and_is_named(
    daemon: Daemon, ctl: Ctl
) -> None:
    first = script("a", "exit 1", "autostart=false", "startretries=0", "priority=1")
    serve(daemon, first + program("b", "priority=2") + program("c", "priority=1"))
    result = ctl("restarted", "all", strict_order=True)
    assert (result["failed"], result["failed_programs"]) == (True, ["a", "b"])
    assert "b: it waits for a, and was not started" in result["msg"]
    assert states(result) == {"a": "FATAL", "b": "STOPPED", "c": "RUNNING"}
    assert states(ctl("started", "all")) == {"a": "FATAL", "b": "RUNNING", "c": "RUNNING"}


def test_without_waiting_a_failing_program_is_not_noticed(daemon: Daemon, ctl: Ctl) -> None:
    serve(daemon, script("a", "exit 1", "autostart=false", "startretries=0"))
    result = ctl("started", "a", wait=False)
    assert (result["changed"], "failed" in result) == (True, False)
    assert states(result)["a"] in ("STARTING", "BACKOFF", "FATAL")


@pytest.mark.fault(33)
def test_a_program_that_does_not_stop_in_time_is_reported(daemon: Daemon, ctl: Ctl) -> None:
    deaf = 'trap "" TERM; echo ready; while :; do sleep 0.05; done'
    other = program("b", "stopwaitsecs=5")
    serve(daemon, script("a", deaf, "stopwaitsecs=3600", startsecs=0) + other)
    found = current(daemon)["programs"][0]
    wait_until(lambda: "ready" in Path(found["log_file"]).read_text(), "a trap")
    # What supervisord has read since then allows the program five seconds.
    daemon.write(script("a", deaf, "stopwaitsecs=5", startsecs=0) + other)
    ctl("updated", check=True)
    result = ctl("stopped", "a", "b", timeout=0)
    assert (result["reason"], result["failed_programs"]) == ("timed_out", ["a"])
    assert result["msg"].startswith("could not stop within 5 s a ")
    assert states(result) == {"a": "STOPPING", "b": "STOPPED"}


def test_an_unknown_and_an_ambiguous_name_are_reported_with_the_existing_ones(
    daemon: Daemon, ctl: Ctl
) -> None:
    daemon.write(
        "".join(
            program(n, "numprocs=1", "process_name=p%(process_num)d", "autostart=false")
            for n in ("g", "h")
        )
    )
    daemon.start()
    unknown = ctl("started", "typo")
    assert unknown["reason"] == "unknown_program"
    assert "no such process or group: typo. There are: g:p0, h:p0." in unknown["msg"]
    ambiguous = ctl("started", "p0")
    assert ambiguous["reason"] == "ambiguous_program"
    assert "it matches g:p0, h:p0" in ambiguous["msg"]
    assert (unknown["name"], unknown["state"]) == ("typo", "started")


def test_a_supervisord_that_was_never_started_is_down(daemon: Daemon, ctl: Ctl) -> None:
    daemon.write(program("a"))
    result = ctl("started", "a")
    assert (result["failed"], result["reason"]) == (True, "down")
    assert f"supervisord at unix://{daemon.root}/s (from {daemon.conf}) is down" in result["msg"]


def test_a_supervisord_that_was_killed_is_down_and_leaves_a_socket(
    daemon: Daemon, ctl: Ctl
) -> None:
    pid = serve(daemon, program("a"))
    orphan = pids(current(daemon))["a"]
    os.kill(pid, signal.SIGKILL)
    wait_until(lambda: has_ended(pid), "the end of supervisord")
    os.kill(orphan, signal.SIGKILL)
    result = ctl("started", "a")
    assert result["reason"] == "down"
    assert "the socket was left by a supervisord that was killed" in result["msg"]


def test_a_supervisord_that_is_shutting_down_counts_as_down(daemon: Daemon, ctl: Ctl) -> None:
    slow = 'trap "sleep 2; exit 0" TERM; echo ready; while :; do sleep 0.05; done'
    pid = serve(daemon, script("a", slow, startsecs=0))
    log = Path(current(daemon)["programs"][0]["log_file"])
    wait_until(lambda: "ready" in log.read_text(), "a trap")
    os.kill(pid, signal.SIGTERM)
    result = wait_until(
        lambda: (found := ctl("stopped", "a")).get("reason") == "down" and found, "a shutdown"
    )
    assert "shutting down" in result["msg"] or "is down" in result["msg"]


@pytest.mark.fault(18)
def test_a_frozen_supervisord_is_reported_in_time(
    daemon: Daemon, ctl: Ctl, monkeypatch: pytest.MonkeyPatch
) -> None:
    pid = serve(daemon, program("a"))
    monkeypatch.setattr(client, "Supervisor", functools.partial(Supervisor, timeout=0.2))
    os.kill(pid, signal.SIGSTOP)
    result = ctl("started", "a")
    assert result["reason"] == "frozen"
    assert "frozen (SIGSTOP) or gets no CPU time. Send it SIGCONT" in result["msg"]


@pytest.mark.fault(11)
def test_a_wrong_key_is_reported_without_the_key(daemon: Daemon, ctl: Ctl) -> None:
    serve(daemon, program("a"))
    daemon.write(program("a"), key="another-key_0123")
    result = ctl("started", "a")
    assert result["reason"] == "wrong_key"
    assert "another-key_0123" not in json.dumps(result)
    assert "rejected the user name and key" in result["msg"]


def test_a_socket_that_refuses_this_user_says_so(daemon: Daemon, ctl: Ctl) -> None:
    serve(daemon, program("a"))
    daemon.root.chmod(0o755)
    daemon.conf.chmod(0o644)
    (daemon.root / "s").chmod(0)
    result = as_user(NOBODY, lambda: ctl("started", "a"))
    assert result["reason"] == "may_not_connect"
    assert "only its owner and the members of its group may connect" in result["msg"]


def test_a_configuration_that_this_user_may_not_read_says_so(daemon: Daemon, ctl: Ctl) -> None:
    daemon.write(program("a"))
    daemon.root.chmod(0o755)
    daemon.conf.chmod(0)
    result = as_user(NOBODY, lambda: ctl("started", "a"))
    assert result["reason"] == "unreadable_conf"
    assert "Permission denied" in result["msg"]
    assert "member of its group" in result["msg"]


def test_a_configuration_without_a_client_section_is_broken(daemon: Daemon, ctl: Ctl) -> None:
    daemon.write(program("a"), head="[supervisord]\n")
    result = ctl("started", "a")
    assert result["reason"] == "broken_conf"
    assert "neither a [supervisorctl] nor a server section" in result["msg"]


@pytest.mark.parametrize(
    ("section", "told"),
    [
        ("[program:a]\ncommand=/bin/%s x\n" % "%(secret-value)s", "program:a.command"),
        ('[program:a]\ncommand=/bin/true\nenvironment=A="secret-value",B\n', "program:a"),
        ("[program:a]\ncommand=/bin/true\nautostart=secret-value\n", "program:a"),
        ("[unix_http_server]\npassword=secret-value%x\n", "unix_http_server.password"),
    ],
)
def test_a_configuration_that_supervisord_cannot_read_is_reported_without_its_values(
    daemon: Daemon, ctl: Ctl, section: str, told: str
) -> None:
    serve(daemon, program("a"))
    daemon.write(section)
    for state in ("updated", "restarted"):
        result = ctl(state, "all")
        assert (result["failed"], result["reason"]) == (True, "broken_conf"), result
        assert told in result["msg"]
        assert "Nothing was changed" in result["msg"]
        assert "secret-value" not in json.dumps(result)
    assert states(ctl("started", "a")) == {"a": "RUNNING"}


# --- check mode and diff mode -----------------------------------------------------------------

FATAL = ("directory={root}", "startretries=0")
MIXED = (
    "[group:g]\nprograms=x,y\n"
    + program("x")
    + program("y", "autostart=false")
    + program("run")
    + script("fatal", "test -e go && exec sleep 1000", *FATAL, startsecs=1)
    + program("idle", "autostart=false")
    + program("gone")
    + program("changed")
)
# Everything but this is as it was.
DIFFERENT = MIXED.replace("[program:gone]", "[program:new]").replace(
    "[program:changed]", "[program:changed]\nstopwaitsecs=9"
) + program("lazy", "autostart=false")


@pytest.mark.parametrize(
    ("state", "name"),
    [
        ("started", ["all"]),
        ("started", ["g", "idle"]),
        ("stopped", ["all"]),
        ("stopped", ["g:y", "run"]),
        ("restarted", ["g:", "lazy"]),
        ("restarted", ["all"]),
        ("updated", None),
        ("updated", ["changed", "lazy"]),
        ("present", ["new", "run"]),
        ("absent", ["run", "gone"]),
        ("signalled", ["g"]),
    ],
)
def test_check_mode_predicts_exactly_and_changes_nothing(
    daemon: Daemon, ctl: Ctl, state: str, name: list[str] | None
) -> None:
    serve(daemon, MIXED.replace("{root}", str(daemon.root)))
    reaches(daemon, fatal="FATAL", run="RUNNING")
    (daemon.root / "go").touch()
    daemon.write(DIFFERENT.replace("{root}", str(daemon.root)))
    log = daemon.root / "supervisord.log"
    seen, logged = current(daemon), log.read_text()
    task = functools.partial(
        ctl, state, name=name, stop_before_removing=True, signal="CONT", diff=True
    )
    predicted = task(check=True)
    assert (current(daemon), log.read_text()) == (seen, logged)
    assert predicted["programs"] == seen["programs"]
    done = task()
    for key in ("changed", "affected", "diff", "name", "state"):
        assert predicted[key] == done[key], key
    before, after = states(seen), states(done)
    again = {name for name in done["affected"] if before.get(name) == after.get(name) == "RUNNING"}
    shown = [
        f"{name} {found}, {'signalled' if state == 'signalled' else 'restarted'}\n"
        if name in again
        else f"{name} {found}\n"
        for name, found in after.items()
    ]
    assert done["diff"] == dict(before=predicted["diff"]["before"], after="".join(shown))
    assert again or state not in ("restarted", "signalled")
    assert predicted["changed"] is (done["programs"] != seen["programs"] or state == "signalled")


def test_without_diff_mode_there_is_no_diff(daemon: Daemon, ctl: Ctl) -> None:
    serve(daemon, program("a"))
    assert "diff" not in ctl("stopped", "a")


# --- few requests, and no secret --------------------------------------------------------------


class Recorder:
    """A socket in front of supervisord's that keeps the requests."""

    def __init__(self, path: Path, behind: Path) -> None:
        self.bodies: list[bytes] = []
        self.path, self.behind = path, behind
        self.listener = socket.socket(socket.AF_UNIX)
        self.listener.bind(str(path))
        self.listener.listen()
        self.threads = [threading.Thread(target=self.accept)]
        self.threads[0].start()

    def accept(self) -> None:
        while True:
            try:
                near, _ = self.listener.accept()
            except OSError:
                return
            far = socket.socket(socket.AF_UNIX)
            far.connect(str(self.behind))
            for source, target, record in ((near, far, True), (far, near, False)):
                self.threads.append(
                    threading.Thread(target=self.pump, args=(source, target, record))
                )
                self.threads[-1].start()

    def pump(self, source: socket.socket, target: socket.socket, record: bool) -> None:
        with source:
            while data := source.recv(65536):
                if record and data.startswith(b"POST"):
                    self.bodies.append(b"")
                if record:
                    self.bodies[-1] += data
                target.sendall(data)
            with suppress(OSError):  # it was closed from its own side first
                target.shutdown(socket.SHUT_WR)

    def close(self) -> None:
        self.listener.shutdown(socket.SHUT_RDWR)
        self.listener.close()
        for thread in self.threads:
            thread.join()


@pytest.fixture
def recorder(daemon: Daemon) -> Iterator[Recorder]:
    daemon.root.mkdir(exist_ok=True)
    found = Recorder(daemon.root / "p", daemon.root / "s")
    yield found
    found.close()


def acting(bodies: list[bytes]) -> int:
    """Count the requests except those for states, whose number depends on the waiting."""
    return sum(b"ProcessInfo" not in body or b"reloadConfig" in body for body in bodies)


@pytest.mark.parametrize("lines", [(), ("priority=7",)])
def test_forty_programs_cost_as_many_requests_as_two(
    daemon: Daemon, ctl: Ctl, recorder: Recorder, lines: tuple[str, ...]
) -> None:
    serve(daemon, "".join(program(f"p{n}", *lines) for n in range(40)))
    through = daemon.root / "recorded.conf"
    through.write_text(
        daemon.conf.read_text().replace(f"unix://{daemon.root}/s", f"unix://{recorder.path}")
    )
    counts: list[list[int]] = []
    for names in (["p0", "p1"], ["all"]):
        counts.append([])
        for state in ("started", "restarted", "stopped", "started"):
            del recorder.bodies[:]
            result = ctl(state, *names, config=str(through))
            assert "failed" not in result, result
            counts[-1].append(acting(recorder.bodies))
    assert counts[0] == counts[1]
    settings_asked = len(lines)
    assert counts[0] == [0, 3 + settings_asked, 1 + settings_asked, 1 + settings_asked]


@pytest.mark.fault(42)
def test_check_mode_sends_nothing_that_changes(
    daemon: Daemon, ctl: Ctl, recorder: Recorder
) -> None:
    serve(daemon, program("a"))
    daemon.write(program("a", "stopwaitsecs=9") + program("b"))
    for state in ("started", "stopped", "restarted", "updated", "present", "absent", "signalled"):
        ctl(state, "all", signal="HUP", check=True, server_url=f"unix://{recorder.path}")
    methods = {
        part.split(b"<")[0]
        for body in recorder.bodies
        for part in body.split(b"<string>supervisor.")[1:]
    }
    assert methods == {b"getAllProcessInfo", b"reloadConfig", b"getAllConfigInfo"}


@pytest.mark.fault(37)
@pytest.mark.parametrize("key_on_disk", [KEY, "another-key_0123", "broken%key_0123"])
def test_the_key_is_in_no_output_however_verbose(daemon: Daemon, key_on_disk: str) -> None:
    serve(daemon, script("a", "exit 1", "startretries=0"))
    reaches(daemon, a="FATAL")
    daemon.write(script("a", "exit 1", "startretries=0"), key=key_on_disk)
    command = [str(Path(sys.executable).with_name("ansible")), "localhost", "-i", "localhost,"]
    command += [
        "-c",
        "local",
        "-e",
        f"ansible_python_interpreter={sys.executable}",
        "-vvv",
        "--diff",
    ]
    command += ["-m", "jgi.jaws.supervisorctl", "-a", f"name=a state=started config={daemon.conf}"]
    environment = dict(
        os.environ, ANSIBLE_CONFIG=str(ROOT / "ansible.cfg"), ANSIBLE_DISPLAY_TRACEBACK="always"
    )
    done = subprocess.run(
        command,
        env=environment,
        cwd=ROOT,
        capture_output=True,
        text=True,
        timeout=PATIENCE,
        check=False,
    )
    reason = {KEY: "program_failed", "another-key_0123": "wrong_key"}.get(
        key_on_disk, "broken_conf"
    )
    assert done.returncode != 0
    assert reason in done.stdout
    assert "traceback" in done.stdout.lower()
    for key in (KEY, key_on_disk, "key_0123"):
        assert key not in done.stdout + done.stderr
