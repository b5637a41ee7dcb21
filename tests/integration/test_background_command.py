# SPDX-License-Identifier: GPL-3.0-or-later
"""background_command against real processes."""

from __future__ import annotations

import fcntl
import json
import os
import signal
import subprocess
import sys
import uuid
from pathlib import Path

import pytest

from ansible_collections.jgi.jaws.plugins.module_utils.system.processes import (
    find_by_environment,
    is_same,
    read_environ,
    read_process,
    send_signal,
)
from tests.integration.conftest import PATIENCE, wait_until

ROOT = Path(__file__).resolve().parents[2]
MARKER = "JGI_JAWS_BACKGROUND"
# Runs the module's function in a separate process, as Ansible would.
CALLER = """
import json, sys
from ansible_collections.jgi.jaws.plugins.module_utils.background_command import manage
from ansible_collections.jgi.jaws.plugins.module_utils.errors import JawsError
try:
    result = manage(json.load(open(sys.argv[1])), False)
except JawsError as error:
    result = {"msg": str(error), "reason": error.reason}
json.dump(result, open(sys.argv[2] + ".new", "w"))
import os
os.rename(sys.argv[2] + ".new", sys.argv[2])
"""


class Background:
    """A background command of the test's own, called with the defaults below."""

    def __init__(self, root, run_module):
        self.root = root
        self.run_module = run_module
        self.id = f"test {uuid.uuid4()}"
        self.pid_file = root / "run/command.pid"
        self.log = root / "command.log"

    def options(self, **options):
        given = {
            "id": self.id,
            "argv": ["sleep", "1000"],
            "pid_file": str(self.pid_file),
            "log": str(self.log),
            "startsecs": 0.1,
        }
        return {**given, **options}

    def __call__(self, check=False, diff=False, **options):
        return self.run_module(
            "background_command", check=check, diff=diff, **self.options(**options)
        )

    def processes(self):
        return find_by_environment(MARKER, self.id)

    def cleanup(self):
        for process in self.processes():
            send_signal(process, signal.SIGKILL)
        wait_until(lambda: not self.processes(), "the end of all that was started")


@pytest.fixture
def background(tmp_path, run_module):
    found = Background(tmp_path, run_module)
    yield found
    found.cleanup()


@pytest.fixture
def innocent():
    with subprocess.Popen(["sleep", "1000"], start_new_session=True) as child:
        yield child
        child.kill()


def script(text):
    return ["sh", "-c", text]


def call_elsewhere(root, options, name):
    """Return the argv that calls the module's function, and the file for its result."""
    defaults = {
        "state": "started", "chdir": "/", "umask": "027", "environment": {}, "revision": "",
        "restart_on_change": False, "inside": False, "log_max_bytes": 0, "log_backups": 1,
        "by_hand": [], "reload_files": [], "reload_signal": "HUP", "stop_signal": "TERM",
        "stop_timeout": 10.0, "stop_group": True, "kill": False, "lock_timeout": 30.0,
    }  # fmt: skip
    asked, answer = root / f"{name}.asked", root / f"{name}.answer"
    asked.write_text(json.dumps({**defaults, **options}))
    return [sys.executable, "-c", CALLER, str(asked), str(answer)], answer


# --- starting -----------------------------------------------------------------------------------


def test_a_second_start_of_a_command_changes_nothing(background):
    first = background(state="started")
    assert (first["changed"], first["running"], first["actions"]) == (True, True, ["start"]), first
    second = background(state="started")
    assert (second["changed"], second["found_by"]) == (False, "pid_file")
    assert [second[key] for key in ("pid", "started_at", "command", "log")] == [
        first["pid"], first["started_at"], ["sleep", "1000"], str(background.log),
    ]  # fmt: skip


def test_it_leads_a_session_and_group_of_its_own_and_has_no_input(background):
    kept = os.open(ROOT, os.O_RDONLY)
    os.set_inheritable(kept, True)  # like the pipes of a CI job
    pid = background()["pid"]
    os.close(kept)
    process = read_process(pid)
    assert (process.session, process.pgid) == (pid, pid)
    opened = {number: os.readlink(f"/proc/{pid}/fd/{number}") for number in (0, 1, 2)}
    assert opened == {0: "/dev/null", 1: str(background.log), 2: str(background.log)}
    # While it starts, it opens its libraries.
    wait_until(lambda: sorted(os.listdir(f"/proc/{pid}/fd")) == ["0", "1", "2"], "no other file")


@pytest.mark.fault(38)
def test_nothing_of_the_plays_own_environment_reaches_it(background, monkeypatch):
    monkeypatch.setenv("CI_JOB_TOKEN", "secret")
    pid = background(environment={"COLOUR": "blue", "LINES": 3})["pid"]
    environ = read_environ(read_process(pid))
    assert sorted(environ) == sorted(
        [
            *("COLOUR", "HOME", "LINES", "LOGNAME", "PATH", "SHELL", "USER"),
            *(MARKER, f"{MARKER}_PID", f"{MARKER}_DEFINITION", f"{MARKER}_REVISION"),
        ]
    )
    assert (environ["COLOUR"], environ["LINES"], environ[MARKER]) == ("blue", "3", background.id)
    assert environ[f"{MARKER}_PID"] == str(pid)


def test_it_runs_in_its_directory_with_its_umask(background, tmp_path):
    background(argv=script("pwd; umask; exec sleep 1000"), chdir=str(tmp_path), umask="077")
    wait_until(lambda: background.log.read_text().count("\n") == 2, "two lines")
    where, umask = background.log.read_text().split()
    assert (where, int(umask, 8)) == (str(tmp_path), 0o077)


def test_signals_that_a_shells_background_job_ignores_are_heard_again(background):
    names = (signal.SIGHUP, signal.SIGINT, signal.SIGQUIT)
    before = {name: signal.signal(name, signal.SIG_IGN) for name in names}
    try:
        pid = background()["pid"]
    finally:
        for name, handler in before.items():
            signal.signal(name, handler)
    status = Path(f"/proc/{pid}/status").read_text()
    ignored = int(next(line for line in status.splitlines() if "SigIgn" in line).split()[1], 16)
    assert not any(ignored & (1 << (name - 1)) for name in names)


def test_it_outlives_the_play_that_started_it(background, tmp_path):
    """A real play, in a session whose processes all get SIGHUP when it has ended."""
    play = tmp_path / "play.yml"
    task = {"name": "Start", "jgi.jaws.background_command": background.options()}
    play.write_text(json.dumps([{"hosts": "localhost", "gather_facts": False, "tasks": [task]}]))
    command = [sys.executable, "-m", "ansible", "playbook", "-i", "localhost,", "-c", "local"]
    command += ["-e", f"ansible_python_interpreter={sys.executable}", str(play)]
    shell = 'trap "" HUP; "$@" || exit 1; kill -HUP 0'
    done = subprocess.run(
        ["sh", "-c", shell, "sh", *command],
        cwd=ROOT, start_new_session=True, capture_output=True, text=True, timeout=PATIENCE,
        check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stdout + done.stderr
    (process,) = background.processes()
    assert is_same(process)
    assert background()["pid"] == process.pid


@pytest.mark.fault(13)
def test_two_starts_at_once_give_one_process(background, tmp_path):
    calls = [call_elsewhere(tmp_path, background.options(), str(n)) for n in range(4)]
    children = [subprocess.Popen(argv, cwd=ROOT / ".collections") for argv, _answer in calls]
    assert [child.wait(timeout=PATIENCE) for child in children] == [0, 0, 0, 0]
    answers = [json.loads(answer.read_text()) for _argv, answer in calls]
    assert sorted(answer["changed"] for answer in answers) == [False, False, False, True], answers
    assert len({answer["pid"] for answer in answers}) == 1
    assert len(background.processes()) == 1


@pytest.mark.fault(13)
def test_who_holds_the_lock_is_named_after_a_bounded_wait(background):
    background.pid_file.parent.mkdir(mode=0o700)
    with background.pid_file.open("w") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        result = background(lock_timeout=0.1)
    assert (result["failed"], result["reason"]) == (True, "locked")
    assert f": pid {os.getpid()} of " in result["msg"]
    assert background.processes() == []


def test_a_command_that_ends_at_once_fails_with_its_status_and_its_last_lines(background):
    background.log.write_text("an older line\n")
    result = background(argv=script("echo no such database; exit 3"), startsecs=30)
    assert (result["failed"], result["reason"]) == (True, "ended_at_once")
    assert "with exit status 3" in result["msg"]
    assert result["msg"].endswith("no such database")
    assert "an older line" not in result["msg"]
    assert not background.pid_file.exists()


def test_a_command_that_is_killed_at_once_is_reported_with_the_signal(background):
    result = background(argv=script("kill -SEGV $$"), startsecs=30)
    assert "by SIGSEGV" in result["msg"]


@pytest.mark.parametrize("program", ["no-such-command", "/no/such/command", "/etc/passwd"])
def test_a_command_that_cannot_be_started_is_named(background, program):
    result = background(argv=[program])
    assert (result["failed"], result["reason"]) == (True, "cannot_start")
    assert program in result["msg"]
    assert not background.pid_file.exists()


# --- the log ------------------------------------------------------------------------------------


def test_the_log_is_appended_to(background):
    background.log.write_text("before\n")
    background(argv=script("echo now; exec sleep 1000"))
    wait_until(lambda: background.log.read_text() == "before\nnow\n", "both lines")


def test_a_large_log_is_rotated_at_the_start_and_old_ones_are_dropped(background, tmp_path):
    for suffix, text in (("", "aaaa"), (".1", "bbbb"), (".2", "cccc")):
        Path(f"{background.log}{suffix}").write_text(text)
    background(log_max_bytes=4, log_backups=2)
    found = {path.name: path.read_text() for path in tmp_path.glob("command.log*")}
    assert found == {"command.log": "", "command.log.1": "aaaa", "command.log.2": "bbbb"}


def test_a_log_that_is_another_users_link_is_not_written_through(background, tmp_path):
    target = tmp_path / "precious"
    target.write_text("precious")
    background.log.symlink_to(target)
    result = background()
    assert (result["failed"], result["reason"]) == (True, "wrong_file_type")
    assert target.read_text() == "precious"


# --- recognising --------------------------------------------------------------------------------


def forged(background, child, **changes):
    process = read_process(child.pid)
    record = {
        "pid": process.pid, "start_ticks": process.start_ticks, "boot_id": process.boot_id,
        "id": background.id, "command": ["sleep", "1000"], "started_at": "", "definition": None,
        "revision": None, "reload_files": {}, "stopping": None,
    }  # fmt: skip
    return json.dumps({**record, **changes})


@pytest.mark.fault(16)
@pytest.mark.parametrize("changes", [{"start_ticks": 1}, {"boot_id": "an earlier boot"}])
@pytest.mark.parametrize("state", ["started", "stopped", "restarted", "reloaded"])
def test_an_innocent_process_with_the_same_pid_is_never_signalled(
    background, innocent, changes, state
):
    background.pid_file.parent.mkdir(mode=0o700)
    background.pid_file.write_text(forged(background, innocent, **changes))
    result = background(state=state, kill=True)
    assert "failed" not in result, result
    assert result["pid"] != innocent.pid
    assert innocent.poll() is None


def test_a_bare_number_in_the_pid_file_proves_nothing(background, innocent):
    background.pid_file.parent.mkdir(mode=0o700)
    background.pid_file.write_text(f"{innocent.pid}\n")
    assert background(state="stopped")["changed"] is False
    assert innocent.poll() is None


@pytest.mark.parametrize("text", ["", "{", "[]", '{"pid": "x"}'])
def test_a_torn_pid_file_counts_as_lost(background, text):
    pid = background()["pid"]
    background.pid_file.write_text(text)
    result = background()
    assert (result["pid"], result["found_by"]) == (pid, "environment")
    assert result["actions"] == ["record"]


def test_without_its_pid_file_it_is_found_by_its_environment(background):
    pid = background()["pid"]
    background.pid_file.unlink()
    predicted = background(check=True)
    assert (predicted["changed"], predicted["pid"]) == (True, pid)
    assert not background.pid_file.exists()
    found = background()
    assert (found["pid"], found["found_by"], found["outdated"]) == (pid, "environment", [])
    assert background()["changed"] is False
    assert len(background.processes()) == 1


def test_without_its_pid_file_it_is_stopped_nevertheless(background):
    process = read_process(background()["pid"])
    background.pid_file.unlink()
    assert background(state="stopped")["changed"] is True
    assert not is_same(process)


def test_its_children_have_the_marker_but_are_not_mistaken_for_it(background):
    first = background(argv=script("sleep 1000 & wait"))
    wait_until(lambda: len(background.processes()) == 2, "the child")
    os.kill(first["pid"], signal.SIGKILL)
    wait_until(lambda: len(background.processes()) == 1, "the end of the parent")
    background.pid_file.unlink()
    result = background()
    assert result["actions"] == ["start"]
    assert result["pid"] not in (first["pid"], None)


def test_a_pid_file_of_another_command_is_refused(background):
    background()
    result = background(id=background.id + " other", state="stopped")
    assert (result["failed"], result["reason"]) == (True, "bad_option")
    assert background.id in result["msg"]
    assert len(background.processes()) == 1


def test_a_command_started_by_hand_is_recognised_and_not_started_twice(background, tmp_path):
    tool = tmp_path / "tool"
    tool.write_text("#!/bin/sh\nwhile :; do sleep 0.1; done\n")
    tool.chmod(0o755)
    options = {"argv": [str(tool), "--managed"], "by_hand": [[str(tool), "run"]]}
    with subprocess.Popen(["./tool", "run"], cwd=tmp_path, start_new_session=True) as child:
        wait_until(lambda: read_process(child.pid).cmdline[1:] == ("./tool", "run"), "the tool")
        found = background(**options)
        assert (found["pid"], found["found_by"]) == (child.pid, "by_hand")
        assert background(**options)["found_by"] == "pid_file"
        assert background.processes() == []
        assert background(state="stopped", **options)["changed"] is True
        assert child.wait() == -signal.SIGTERM


def test_what_shares_the_group_of_a_command_started_by_hand_is_spared(background, tmp_path):
    """A background job of a script is in the process group of the script."""
    tool = tmp_path / "tool"
    tool.write_text("#!/bin/sh\nwhile :; do sleep 0.1; done\n")
    tool.chmod(0o755)
    with subprocess.Popen(
        script("./tool & echo $!; exec sleep 1000"), cwd=tmp_path,
        stdout=subprocess.PIPE, start_new_session=True,
    ) as neighbour:  # fmt: skip
        pid = int(neighbour.stdout.readline())
        wait_until(lambda: read_process(pid).cmdline[1:] == ("./tool",), "the tool")
        result = background(state="stopped", by_hand=[[str(tool)]])
        assert (result["changed"], read_process(pid)) == (True, None)
        assert neighbour.poll() is None
        neighbour.kill()


def test_the_same_name_in_another_directory_is_another_command(background, tmp_path):
    (tmp_path / "there").mkdir()
    with subprocess.Popen(["sleep", "1000"], cwd=tmp_path / "there") as child:
        result = background(by_hand=[[str(tmp_path / "sleep"), "1000"]])
        assert result["pid"] != child.pid
        child.kill()


def test_two_of_one_command_are_named_and_both_can_be_stopped(background):
    first = background()
    background.pid_file.unlink()
    double = subprocess.Popen(
        script(f'{MARKER}_PID=$$ exec sleep 1000'), env={**os.environ, MARKER: background.id},
        start_new_session=True,
    )  # fmt: skip
    wait_until(lambda: len(background.processes()) == 2, "the double")
    wait_until(lambda: read_process(double.pid).cmdline[0] == "sleep", "the double's command")
    result = background()
    assert (result["failed"], result["reason"]) == (True, "runs_twice")
    assert f"pid {first['pid']} " in result["msg"]
    assert f"pid {double.pid} " in result["msg"]
    background(state="stopped")
    assert double.wait(timeout=PATIENCE) == -signal.SIGTERM
    assert background.processes() == []


# --- changes ------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        ({"argv": ["sleep", "2000"]}, "command"),
        ({"umask": "077"}, "definition"),
        ({"environment": {"A": "1"}}, "definition"),
        ({"revision": "2"}, "revision"),
    ],
)
@pytest.mark.parametrize("pid_file_lost", [False, True])
def test_a_change_is_reported_and_restarts_only_when_asked(
    background, change, reason, pid_file_lost
):
    pid = background()["pid"]
    if pid_file_lost:
        background.pid_file.unlink()
        reason = reason.replace("command", "definition")
    told = background(**change)
    assert (told["pid"], told["outdated"]) == (pid, [reason])
    assert told["changed"] is pid_file_lost
    done = background(restart_on_change=True, **change)
    assert (done["actions"], done["pid"] != pid) == (["stop", "start"], True)
    assert background(restart_on_change=True, **change)["changed"] is False


def counting(signal_name):
    """A command that writes a line for each signal, and says when it is ready."""
    return script(
        f"trap 'echo {signal_name}' {signal_name}; echo ready; while :; do sleep 0.05; done"
    )


def ready(background):
    wait_until(lambda: "ready" in background.log.read_text(), "the command to be ready")


def test_a_written_file_is_read_again_once(background, tmp_path):
    config = tmp_path / "config"
    config.write_text("a")
    options = {"argv": counting("HUP"), "reload_files": [str(config)]}
    pid = background(**options)["pid"]
    ready(background)
    assert background(**options)["changed"] is False
    config.write_text("bb")
    assert background(check=True, **options)["actions"] == ["reload"]
    assert "HUP" not in background.log.read_text()
    assert background(**options)["actions"] == ["reload"]
    wait_until(lambda: background.log.read_text() == "ready\nHUP\n", "one signal")
    again = background(**options)
    assert (again["changed"], again["pid"]) == (False, pid)


def test_reloaded_sends_the_signal_that_is_asked_for(background):
    options = {"argv": counting("USR1"), "reload_signal": "SIGUSR1"}
    background(**options)
    ready(background)
    assert background(state="reloaded", **options)["actions"] == ["reload"]
    wait_until(lambda: background.log.read_text() == "ready\nUSR1\n", "one signal")


def test_reloaded_starts_what_does_not_run(background):
    assert background(state="reloaded")["actions"] == ["start"]


# --- stopping -----------------------------------------------------------------------------------


def test_stopping_what_does_not_run_changes_nothing(background):
    assert background(state="stopped")["changed"] is False
    assert not background.pid_file.exists()


def test_a_stop_ends_the_whole_group_and_removes_the_pid_file(background):
    background(argv=script("sleep 1000 & wait"))
    wait_until(lambda: len(background.processes()) == 2, "the child")
    result = background(state="stopped")
    assert (result["changed"], result["running"], result["pid"]) == (True, False, None)
    assert background.processes() == []
    assert not background.pid_file.exists()


def test_a_stop_can_spare_the_group(background):
    background(argv=script("sleep 1000 & wait"))
    wait_until(lambda: len(background.processes()) == 2, "the child")
    background(state="stopped", stop_group=False)
    assert [process.cmdline for process in background.processes()] == [("sleep", "1000")]


def test_it_is_stopped_by_the_signal_that_is_asked_for(background):
    argv = script("trap 'echo asked to quit; exit' QUIT; echo ready; while :; do sleep 0.05; done")
    background(argv=argv)
    ready(background)
    background(argv=argv, state="stopped", stop_signal="QUIT", stop_group=False)
    assert background.log.read_text() == "ready\nasked to quit\n"


STUBBORN = script("trap '' TERM; echo ready; while :; do sleep 0.05; done")


def test_what_does_not_end_in_time_is_named_and_not_killed(background):
    pid = background(argv=STUBBORN)["pid"]
    ready(background)
    result = background(argv=STUBBORN, state="stopped", stop_timeout=0.2)
    assert (result["failed"], result["reason"]) == (True, "still_running")
    assert "after SIGTERM" in result["msg"]
    assert read_process(pid)


def test_a_process_that_was_told_to_stop_does_not_count_as_healthy(background):
    pid = background(argv=STUBBORN)["pid"]
    ready(background)
    background(argv=STUBBORN, state="restarted", stop_timeout=0.2)
    assert background(argv=STUBBORN, check=True)["actions"] == ["stop", "start"]
    result = background(argv=STUBBORN, stop_timeout=0.2, kill=True)
    assert (result["actions"], result["pid"] != pid) == (["stop", "start"], True)
    assert read_process(pid) is None


def test_restarted_starts_another_process(background):
    pid = background()["pid"]
    result = background(state="restarted")
    assert (result["actions"], result["pid"] != pid) == (["stop", "start"], True)
    assert len(background.processes()) == 1


# --- inside -------------------------------------------------------------------------------------


def from_inside(background, root, **options):
    """Start a command that itself calls the module, and return the result that it got."""
    asked = background.options(argv=["sleep", "2000"], **options)
    argv, answer = call_elsewhere(root, asked, "inside")
    wrapped = ["sh", "-c", '"$@"; exec sleep 1000', "sh", *argv]
    background(argv=wrapped, chdir=str(ROOT / ".collections"))
    wait_until(answer.exists, "the answer")
    return json.loads(answer.read_text())


def test_a_play_inside_the_command_does_not_restart_it_but_says_so(background, tmp_path):
    result = from_inside(background, tmp_path, restart_on_change=True)
    assert (result["inside"], result["changed"]) == (True, False), result
    assert "this play runs inside it" in result["deferred"]
    assert result["warn"]
    assert wait_until(background.processes, "the command, which may be in the middle of its exec")


def test_a_play_that_says_it_is_inside_is_believed(background):
    pid = background()["pid"]
    result = background(argv=["sleep", "2000"], restart_on_change=True, inside=True)
    assert (result["pid"], result["changed"], result["inside"]) == (pid, False, True)
    assert "runs inside it" in result["deferred"]


@pytest.mark.parametrize("state", ["stopped", "restarted"])
def test_a_play_inside_the_command_may_not_stop_it(background, tmp_path, state):
    result = from_inside(background, tmp_path, state=state)
    assert result["reason"] == "runs_this_play"
    assert wait_until(background.processes, "the command, which may be in the middle of its exec")


# --- check mode, diff, refusals -----------------------------------------------------------------


@pytest.mark.fault(42)
@pytest.mark.parametrize("state", ["started", "stopped", "restarted", "reloaded"])
def test_check_mode_on_a_bare_host_writes_nothing(background, tmp_path, state):
    result = background(check=True, state=state)
    assert result["changed"] is (state != "stopped")
    assert list(tmp_path.iterdir()) == []


def test_check_mode_on_a_running_command_signals_nothing(background):
    pid = background()["pid"]
    for state in ("stopped", "restarted", "reloaded"):
        assert background(check=True, state=state)["changed"] is True
    assert background()["pid"] == pid


def test_the_diff_shows_the_commands_but_no_environment(background):
    first = background(check=True, diff=True, environment={"A": "hidden"})
    assert first["diff"]["before"] == "not running\n"
    assert first["diff"]["after"] == 'running: ["sleep", "1000"]\n'
    background()
    second = background(
        diff=True, argv=["sleep", "2000"], environment={"A": "hidden"}, restart_on_change=True
    )
    assert second["diff"]["before"] == 'running: ["sleep", "1000"]\n'
    assert 'running: ["sleep", "2000"]' in second["diff"]["after"]
    assert "hidden" not in json.dumps(second["diff"])


@pytest.mark.fault(21)
@pytest.mark.parametrize("check", [False, True])
def test_a_directory_that_another_user_made_is_refused_with_its_owners_name(
    background, monkeypatch, check
):
    background.pid_file.parent.mkdir(mode=0o700)
    owner = os.geteuid()
    monkeypatch.setattr(os, "geteuid", lambda: owner + 4711)
    result = background(check=check)
    monkeypatch.undo()
    assert (result["failed"], result["reason"]) == (True, "foreign_owner")
    assert f"{background.pid_file.parent} belongs to " in result["msg"]
    assert not background.pid_file.exists()


def test_a_directory_that_others_may_write_is_refused(background):
    background.pid_file.parent.mkdir()
    background.pid_file.parent.chmod(0o770)
    result = background()
    assert (result["failed"], result["reason"]) == (True, "unusable_directory")
    assert "chmod go-w" in result["msg"]


@pytest.mark.fault(21)
def test_a_pid_file_that_is_a_link_is_refused(background, tmp_path):
    target = tmp_path / "precious"
    target.write_text("precious")
    background.pid_file.parent.mkdir(mode=0o700)
    background.pid_file.symlink_to(target)
    assert background()["reason"] == "wrong_file_type"
    assert target.read_text() == "precious"


@pytest.mark.parametrize(
    ("options", "named"),
    [
        ({"pid_file": "relative"}, "pid_file"),
        ({"argv": []}, "argv"),
        ({"umask": "9"}, "umask"),
        ({"stop_signal": "BYE"}, "BYE"),
        ({"environment": {"A": True}}, "A is not text"),
        ({"environment": {"A=B": "x"}}, "A=B"),
        ({"environment": {MARKER: "x"}}, MARKER),
    ],
)
def test_a_wrong_option_is_named_before_anything_happens(background, options, named):
    result = background(**options)
    assert (result["failed"], result["reason"]) == (True, "bad_option")
    assert named in result["msg"]
    assert not background.pid_file.parent.exists()
