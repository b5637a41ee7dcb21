# SPDX-License-Identifier: GPL-3.0-or-later
"""What background_command decides, without any process."""

from __future__ import annotations

import json
import os
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from ansible_collections.jgi.jaws.plugins.module_utils import background_command
from ansible_collections.jgi.jaws.plugins.module_utils.background.observation import (
    Seen,
    find,
    runs_by_hand,
)
from ansible_collections.jgi.jaws.plugins.module_utils.background.pid_file import (
    PidFile,
    PidRecord,
    parse_record,
)
from ansible_collections.jgi.jaws.plugins.module_utils.background.planning import (
    Steps,
    differences,
    plan,
)
from ansible_collections.jgi.jaws.plugins.module_utils.background.spawn import ended_at_once, rotate
from ansible_collections.jgi.jaws.plugins.module_utils.background.wish import (
    MARKER,
    Wish,
    full_environment,
    parse_environment,
    parse_signal,
    parse_umask,
    wish_from,
)
from ansible_collections.jgi.jaws.plugins.module_utils.errors import JawsError
from ansible_collections.jgi.jaws.plugins.module_utils.system.files import tail
from ansible_collections.jgi.jaws.plugins.module_utils.system.processes import CLEAN_PATH, Process
from ansible_collections.jgi.jaws.plugins.modules.background_command import OPTIONS

PARAMS: dict[str, Any] = {
    **{name: option.get("default") for name, option in OPTIONS.items()},
    "state": "started",
    "id": "runner",
    "argv": ["/opt/runner", "run"],
    "pid_file": "/run/runner.pid",
    "log": "/var/log/runner",
}
WISH = wish_from(PARAMS)
PROCESS = Process(42, 500, "boot", 0, 1, 42, 42, ("/opt/runner", "run"))
RECORD = PidRecord(42, 500, "boot", "runner", ["/opt/runner", "run"], "", WISH.definition, "", {})
HEALTHY = Seen((PROCESS,), "pid_file", RECORD, WISH.definition, "")
GONE = Seen()


def wish(**changes: Any) -> Wish:
    return wish_from({**PARAMS, **changes})


def actions(state: str, seen: Seen, wanted: Wish = WISH) -> tuple[str, ...]:
    return plan(wanted, state, seen).actions


@pytest.mark.parametrize(
    ("state", "when_gone", "when_healthy"),
    [
        ("started", ("start",), ()),
        ("stopped", (), ("stop",)),
        ("restarted", ("start",), ("stop", "start")),
        ("reloaded", ("start",), ("reload",)),
    ],
)
def test_each_state_asks_for_the_fewest_actions(
    state: str, when_gone: tuple[str, ...], when_healthy: tuple[str, ...]
) -> None:
    assert actions(state, GONE) == when_gone
    assert actions(state, HEALTHY) == when_healthy


def test_a_lost_pid_file_is_written_again() -> None:
    assert actions("started", replace(HEALTHY, record=None, found_by="environment")) == ("record",)


def test_a_written_file_is_read_again() -> None:
    files = (("/etc/runner", "1"),)
    changed = replace(HEALTHY, reload_files=files)
    assert actions("started", changed) == ("reload",)
    known = replace(changed, record=replace(RECORD, reload_files=dict(files)))
    assert actions("started", known) == ()


def test_files_that_nobody_knows_it_has_read_are_read_again() -> None:
    unknown = replace(RECORD, reload_files=None)
    seen = replace(HEALTHY, record=unknown, reload_files=(("/etc/runner", "1"),))
    assert actions("started", seen) == ("reload",)


def test_a_change_restarts_only_when_asked() -> None:
    changed = wish(umask="077")
    assert plan(changed, "started", HEALTHY) == Steps((), ("definition",))
    changed = wish(umask="077", restart_on_change=True)
    assert plan(changed, "started", HEALTHY) == Steps(("stop", "start"), ("definition",))


def test_what_was_told_to_stop_is_replaced_even_if_nothing_changed() -> None:
    stopping = replace(HEALTHY, record=replace(RECORD, stopping="SIGQUIT at noon"))
    assert actions("started", stopping) == ("stop", "start")


def test_inside_the_command_a_restart_is_deferred_but_a_reload_is_not() -> None:
    wanted = wish(umask="077", restart_on_change=True)
    seen = replace(HEALTHY, inside=True, reload_files=(("/etc/runner", "2"),))
    found = plan(wanted, "started", seen)
    assert found.actions == ("reload",)
    assert found.deferred
    assert "runs inside it" in found.deferred


def test_inside_a_command_that_was_told_to_stop_the_result_says_so() -> None:
    record = replace(RECORD, stopping="SIGQUIT at noon")
    found = plan(WISH, "started", replace(HEALTHY, inside=True, record=record))
    assert found.actions == ()
    assert found.deferred
    assert "SIGQUIT at noon" in found.deferred


@pytest.mark.parametrize("state", ["stopped", "restarted"])
def test_inside_the_command_it_cannot_be_stopped(state: str) -> None:
    with pytest.raises(JawsError, match="would end the play") as error:
        plan(WISH, state, replace(HEALTHY, inside=True))
    assert error.value.reason == "runs_this_play"


def test_two_processes_of_one_command_are_refused_but_can_be_stopped() -> None:
    both = replace(HEALTHY, processes=(PROCESS, replace(PROCESS, pid=43)))
    for state in ("started", "reloaded"):
        with pytest.raises(JawsError, match=r"runs 2 times: pid 42 .*; pid 43 .*kill -TERM"):
            plan(WISH, state, both)
    assert actions("stopped", both) == ("stop",)


def test_nothing_differs_if_nothing_is_known() -> None:
    by_hand = Seen((PROCESS,), "by_hand")
    assert differences(wish(umask="077"), by_hand) == ()
    assert differences(wish(revision="2"), by_hand) == ("revision",)
    assert differences(wish(revision="2"), GONE) == ()


@pytest.mark.parametrize(
    "change",
    [
        {"argv": ["/opt/runner", "go"]},
        {"chdir": "/tmp"},
        {"umask": "022"},
        {"environment": {"A": "1"}},
        {"log": "/var/log/other"},
    ],
)
def test_the_definition_covers_all_that_only_a_start_can_change(change: dict[str, Any]) -> None:
    assert wish(**change).definition != WISH.definition


def test_the_definition_ignores_what_a_running_process_need_not_know() -> None:
    same = wish(stop_timeout=99.0, reload_files=["/a"], pid_file="/b", log_backups=1, umask="0027")
    assert same.definition == WISH.definition


@pytest.mark.parametrize(("name", "number"), [("TERM", 15), ("SIGQUIT", 3), ("hup", 1)])
def test_a_signal_is_named_with_or_without_sig(name: str, number: int) -> None:
    assert parse_signal(name) == number


@pytest.mark.parametrize("name", ["", "15", "SIG", "BYE", "SIG_DFL"])
def test_another_word_is_not_a_signal(name: str) -> None:
    with pytest.raises(JawsError, match="is not a signal"):
        parse_signal(name)


@pytest.mark.parametrize("text", ["27", "028", "00027", "1027", "", "027\n", "0o27"])
def test_a_umask_has_three_octal_digits(text: str) -> None:
    assert (parse_umask("027"), parse_umask("0027")) == (0o27, 0o27)
    with pytest.raises(JawsError, match="three octal digits"):
        parse_umask(text)


@pytest.mark.parametrize("value", [True, None, [], {}])
def test_a_value_that_yaml_did_not_read_as_text_is_named(value: object) -> None:
    with pytest.raises(JawsError, match="COLOUR is not text"):
        parse_environment({"COLOUR": value})


@pytest.mark.parametrize(("name", "value"), [("", "x"), ("A=B", "x"), ("A", "\0"), (MARKER, "x")])
def test_a_variable_that_cannot_be_set_is_refused(name: str, value: str) -> None:
    with pytest.raises(JawsError, match="environment: "):
        parse_environment({name: value})


def test_an_environment_is_the_same_whatever_its_order() -> None:
    assert parse_environment({"B": 2, "A": "1"}) == (("A", "1"), ("B", "2"))


def test_given_variables_win_over_those_of_the_user() -> None:
    found = full_environment(wish(environment={"PATH": "/opt", "HOME": "/h"}))
    assert (found["PATH"], found["HOME"], found[MARKER]) == ("/opt", "/h", "runner")
    assert full_environment(WISH)["PATH"] == CLEAN_PATH


@pytest.mark.parametrize("change", [{"argv": []}, {"by_hand": [[]]}, {"id": "a\0"}])
def test_an_empty_or_impossible_command_is_refused(change: dict[str, Any]) -> None:
    with pytest.raises(JawsError) as error:
        wish(**change)
    assert error.value.reason == "bad_option"


def test_a_stop_needs_to_know_neither_the_command_nor_the_log() -> None:
    stop = wish(state="stopped", argv=[], log=None)
    assert plan(stop, "stopped", HEALTHY) == Steps(("stop",))
    with pytest.raises(JawsError, match="argv"):
        wish(argv=[])
    with pytest.raises(JawsError, match="log"):
        wish(log=None)


@pytest.mark.parametrize("option", ["pid_file", "log", "chdir"])
def test_a_relative_path_is_refused_by_its_options_name(option: str) -> None:
    with pytest.raises(JawsError, match=f"^{option}: here is not an absolute path"):
        wish(**{option: "here"})


def test_a_record_survives_the_pid_file() -> None:
    assert parse_record(RECORD.text()) == RECORD


@pytest.mark.parametrize(
    "text",
    [
        "",
        "4711\n",
        "null",
        "{}",
        '{"pid": 1}',
        RECORD.text()[:-3],
        RECORD.text().replace("42", '"42"'),
    ],
)
def test_what_is_not_a_whole_record_is_none(text: str) -> None:
    assert parse_record(text) is None


def test_a_record_with_an_unknown_field_is_none() -> None:
    assert parse_record(json.dumps({**json.loads(RECORD.text()), "more": 1})) is None


def made_by_hand(root: Path, cwd: Path, *words: str) -> Process:
    (root / "42").mkdir()
    (root / "42/cwd").symlink_to(cwd)
    return replace(PROCESS, cmdline=words)


@pytest.mark.parametrize(
    "words",
    [
        ("./runner", "run"),
        ("runner", "run"),
        ("/bin/sh", "./runner", "run"),
        ("{bin}/runner", "run"),
        ("{bin}/../bin/runner", "run"),
        ("{link}/runner", "run"),
    ],
)
def test_a_command_typed_in_its_directory_is_recognised(tmp_path: Path, words: tuple[str]) -> None:
    bin_, link = tmp_path / "bin", tmp_path / "link"
    bin_.mkdir()
    link.symlink_to(bin_)
    typed = [word.format(bin=bin_, link=link) for word in words]
    process = made_by_hand(tmp_path, bin_, *typed)
    assert runs_by_hand(process, (f"{bin_}/runner", "run"), str(tmp_path))


@pytest.mark.parametrize(
    "words",
    [("./runner",), ("./runner", "run", "-c", "x"), ("./other", "run"), ("/runner", "run"), ()],
)
def test_another_command_is_not_taken_for_it(tmp_path: Path, words: tuple[str]) -> None:
    process = made_by_hand(tmp_path, tmp_path, *words)
    assert not runs_by_hand(process, (f"{tmp_path}/runner", "run"), str(tmp_path))


def test_a_child_that_still_has_its_parents_command_line_is_not_a_second_one(
    tmp_path: Path,
) -> None:
    """This is the state between fork and exec, when the command starts something."""
    (tmp_path / "sys/kernel/random").mkdir(parents=True)
    (tmp_path / "sys/kernel/random/boot_id").write_text("boot")
    for pid, parent in ((42, 1), (43, 42)):
        directory = tmp_path / str(pid)
        directory.mkdir()
        zeros = "0 " * 15
        (directory / "stat").write_text(f"{pid} (runner) S {parent} 42 42 {zeros}500 0")
        (directory / "status").write_text(f"Uid:\t0\t{os.geteuid()}\t0\t0\n")
        (directory / "cmdline").write_text("./runner\0run\0")
        (directory / "environ").write_text("")
        (directory / "cwd").symlink_to(tmp_path)
    wanted = wish(by_hand=[[f"{tmp_path}/runner", "run"]])
    seen = find(wanted, "", str(tmp_path))
    assert ([process.pid for process in seen.processes], seen.found_by) == ([42], "by_hand")


def test_a_process_whose_directory_may_not_be_read_is_not_taken_for_it(tmp_path: Path) -> None:
    assert not runs_by_hand(PROCESS, PROCESS.cmdline, str(tmp_path))


def test_a_small_log_is_left_alone_and_a_missing_one_is_not_an_error(tmp_path: Path) -> None:
    log = tmp_path / "log"
    rotate(str(log), 4, 2)
    log.write_text("abc")
    rotate(str(log), 4, 2)
    rotate(str(log), 0, 2)
    assert [path.name for path in tmp_path.iterdir()] == ["log"]


def test_without_backups_a_large_log_is_dropped(tmp_path: Path) -> None:
    log = tmp_path / "log"
    log.write_text("abcd")
    rotate(str(log), 4, 0)
    assert list(tmp_path.iterdir()) == []


def test_a_tail_is_short_and_begins_where_this_start_did(tmp_path: Path) -> None:
    log = tmp_path / "log"
    log.write_bytes(b"old\nnew\xff\n")
    assert tail(str(log), 4) == ["new\N{REPLACEMENT CHARACTER}"]
    log.write_text("x\n" * 100)
    assert tail(str(log), 0) == ["x"] * 20
    log.write_text("y" * 10000)
    assert tail(str(log), 0) == ["y" * 4096]
    assert str(ended_at_once(wish(log=str(log)), 0, 10000)).endswith("\n(nothing)")


def test_an_empty_pid_file_is_not_left_behind(tmp_path: Path) -> None:
    path = tmp_path / "run/pid"
    with PidFile.locked(str(path), 1) as held:
        assert held.read() == ""
    assert not path.exists()
    with PidFile.locked(str(path), 1) as held:
        held.write("long text")
        held.write("text")
    assert (path.read_text(), PidFile.peek(str(path))) == ("text", "text")
    assert (path.stat().st_mode & 0o777, path.parent.stat().st_mode & 0o777) == (0o600, 0o700)


def test_a_directory_of_our_own_may_be_a_link(tmp_path: Path) -> None:
    (tmp_path / "there").mkdir(mode=0o700)
    (tmp_path / "here").symlink_to(tmp_path / "there")
    with PidFile.locked(str(tmp_path / "here/pid"), 1) as held:
        held.write("x")
    assert (tmp_path / "there/pid").exists()


def test_a_full_disk_is_reported_without_a_traceback(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(*_arguments: object) -> int:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "open", full)
    with pytest.raises(JawsError, match=r"cannot lock .*No space left") as error:
        background_command.converge(wish(pid_file=str(tmp_path / "run/pid")), "started")
    assert error.value.reason == "cannot_lock"
