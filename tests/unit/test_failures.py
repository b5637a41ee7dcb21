# SPDX-License-Identifier: GPL-3.0-or-later
"""Why a run failed, on one screen."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ansible_collections.jgi.jaws.plugins.plugin_utils.failures import (
    NO_REASON,
    Failure,
    Paper,
    cause,
    divide,
    last_screen,
    shares,
    shorten,
)
from ansible_collections.jgi.jaws.plugins.plugin_utils.text import width_of

TERMINAL = Paper(80, 22, wraps=True)
LOG = Paper(80, 22, wraps=False)


def failure(host: str, task: str = "Switch", play: int = 1, *lines: str) -> Failure:
    return Failure("FAILED", host, task, play, lines or ("it broke",))


# ---- The cause in a result


@pytest.mark.parametrize(
    ("result", "lines"),
    [
        ({"msg": "one\ntwo\n"}, ["one", "two"]),
        ({"msg": ["one", "two"]}, ["one", "two"]),
        ({"msg": {"a": 1}}, ["{'a': 1}"]),
        ({"censored": "it is hidden"}, ["it is hidden"]),
        ({}, [NO_REASON]),
        ({"msg": ""}, [NO_REASON]),
        ({"msg": "a\x1b[2Jb"}, [r"a\x1b[2Jb"]),
        (
            {"msg": "non-zero return code", "rc": 3, "stderr": "bad\nworse\n", "stdout": ""},
            ["non-zero return code", "exit status 3", "last lines of stderr:", "  bad", "  worse"],
        ),
        ({"msg": "it said: bad", "stderr": "bad"}, ["it said: bad"]),
    ],
)
def test_the_cause_is_the_message_and_what_the_command_printed(
    result: dict[str, Any], lines: list[str]
) -> None:
    assert list(cause(result)) == lines


def test_only_the_last_lines_of_an_output_are_shown() -> None:
    printed = "\n".join(f"line {number}" for number in range(100))
    lines = cause({"msg": "failed", "stdout": printed})
    assert lines == ("failed", "last lines of stdout:", *(f"  line {n}" for n in range(92, 100)))


def test_what_a_check_has_found_follows_its_message() -> None:
    assert cause({"msg": "2 findings", "findings": ["one", "two"]}) == ("2 findings", "one", "two")


def test_an_exception_says_what_it_began_with_if_the_message_does_not() -> None:
    began = SimpleNamespace(msg="[Errno 2] No such file: '/x'", chain=None)
    chain = SimpleNamespace(event=began)
    found = SimpleNamespace(event=SimpleNamespace(msg="Task failed", chain=chain))
    assert cause({"msg": "Error executing command."}, found) == (
        "Error executing command.",
        "[Errno 2] No such file: '/x'",
    )
    said = "Error: [Errno 2] No such file: '/x'"
    assert cause({"msg": said}, found) == (said,)
    assert cause({"msg": "failed", "censored": "hidden"}, found) == ("failed",)


def test_of_a_loop_only_the_items_that_failed_are_the_cause() -> None:
    good = {"item": "a", "msg": "fine"}
    tolerated = {"item": "b", "failed": True, "failed_when_result": False, "msg": "fine too"}
    bad = {"item": "c", "failed": True, "msg": "it broke"}
    labelled = {"ansible_loop_var": "x", "x": {"k": 1}, "_ansible_item_label": "d", "failed": True}
    found = cause({"msg": "One or more items failed", "results": [good, tolerated, bad, labelled]})
    assert found == ("c:", "  it broke", "d:", f"  {NO_REASON}")


# ---- Which failures count


def test_a_failure_that_was_rescued_is_the_cause_of_a_later_one_in_its_play() -> None:
    elsewhere, first, last = failure("a", play=1), failure("a", play=2), failure("b", "Fail", 2)
    assert divide([elsewhere, first, last], {"a": 0, "b": 1}) == ([first, last], [elsewhere])


def test_failures_that_were_all_rescued_do_no_harm() -> None:
    rescued = [failure("a"), failure("b")]
    assert divide(rescued, {"a": 0, "b": 0}) == ([], rescued)


def test_the_last_failures_of_a_host_are_those_that_were_not_rescued() -> None:
    rescued, block, always = failure("a", play=1), failure("a", play=2), failure("a", "Tidy", 2)
    assert divide([rescued, block, always], {"a": 2}) == ([block, always], [rescued])


# ---- The screen


def test_the_screen_says_what_failed_where_and_why() -> None:
    reason = ("jaws-jtm is FATAL, exit status 7", "  last lines of x.out:", "    no broker")
    screen = last_screen([failure("dev_jtm", "Switch", 1, *reason)], TERMINAL)
    assert screen.lines == [
        "FAILED on dev_jtm: Switch",
        "  jaws-jtm is FATAL, exit status 7",
        "    last lines of x.out:",
        "      no broker",
    ]
    assert screen.left_out == []


def test_the_same_failure_on_several_hosts_is_shown_once() -> None:
    screen = last_screen([failure("a"), failure("b"), failure("a", "Other")], TERMINAL)
    assert screen.lines == [
        "FAILED on a, b: Switch",
        "  it broke",
        "",
        "FAILED on a: Other",
        "  it broke",
    ]


def test_a_long_message_keeps_its_beginning_and_its_end_and_the_rest_comes_before() -> None:
    lines = [f"line {number}" for number in range(60)]
    screen = last_screen([failure("a", "Switch", 1, *lines)], TERMINAL)
    assert screen.lines[:3] == ["FAILED on a: Switch", "  line 0", "  line 1"]
    assert screen.lines[-1] == "  line 59"
    assert len(screen.lines) == 22
    kept = [line for line in screen.lines if line.startswith("  line ")]
    assert screen.left_out[0] == "more of: FAILED on a: Switch"
    assert kept[:6] + screen.left_out[1:] + kept[6:] == [f"  {line}" for line in lines]


def test_a_log_that_nobody_wraps_keeps_its_lines_whole() -> None:
    long = "The switch failed, and " * 10
    assert last_screen([failure("a", "Switch", 1, long)], LOG).lines[1] == "  " + long
    wrapped = last_screen([failure("a", "Switch", 1, long)], TERMINAL).lines
    assert max(map(len, wrapped)) <= 80


def test_many_failures_leave_room_for_each_other() -> None:
    many = [failure(f"host{n}", f"Task {n}", 1, *(f"{n}.{m}" for m in range(9))) for n in range(40)]
    screen = last_screen(many, TERMINAL)
    assert len(screen.lines) <= 22
    assert screen.lines[0] == "FAILED on host0: Task 0"
    assert screen.lines[-1] == "35 more failed; see further up."
    assert "FAILED on host39: Task 39" in screen.left_out


TEXT = st.text(st.characters(blacklist_categories=["Cc", "Cs", "Zl", "Zp"]), max_size=400)


@given(
    st.lists(
        st.tuples(st.sampled_from("abc"), st.lists(TEXT, min_size=1, max_size=40)), max_size=8
    ),
    st.booleans(),
)
def test_the_screen_is_never_longer_than_it_may_be(
    found: list[tuple[str, list[str]]], wraps: bool
) -> None:
    paper = Paper(80, 22, wraps)
    failures = [failure(host, "Task", 1, *lines) for host, lines in found]
    lines = last_screen(failures, paper).lines
    assert sum(map(paper.height, lines)) <= 22 + (0 if wraps else 3 * len(failures))
    if wraps:
        assert all(width_of(line) <= 2 * 80 for line in lines)


@given(st.lists(st.integers(0, 50), max_size=9), st.integers(0, 60))
def test_lines_are_divided_without_waste(wanted: list[int], total: int) -> None:
    given_out = shares(wanted, total)
    assert sum(given_out) == min(sum(wanted), total)
    assert all(share <= want for share, want in zip(given_out, wanted, strict=True))


@given(st.lists(TEXT, min_size=1, max_size=60), st.integers(4, 30))
def test_nothing_is_lost_by_shortening(lines: list[str], room: int) -> None:
    kept, left_out = shorten(lines, room, lambda _line: 1)
    assert len(kept) <= room
    notes = 1 if left_out else 0
    assert len(kept) - notes + len(left_out) == len(lines)
