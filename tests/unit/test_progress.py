# SPDX-License-Identifier: GPL-3.0-or-later
"""What a run of a playbook waits for, and texts on a terminal."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ansible_collections.jgi.jaws.plugins.plugin_utils.progress import Waiting, clock_time, listed
from ansible_collections.jgi.jaws.plugins.plugin_utils.text import cut, plain, width_of


class Clock:
    now = 0.0

    def __call__(self) -> float:
        return self.now


def test_the_line_names_the_task_the_hosts_and_the_time() -> None:
    clock = Clock()
    waiting = Waiting(clock)
    waiting.begin("t1", "Build the environments")
    assert waiting.line(80) == ""
    waiting.begin("t1", "Build the environments", "dev_jaws")
    waiting.begin("t1", "Build the environments", "dev_jtm")
    clock.now = 40.9
    assert waiting.line(80) == "Build the environments on dev_jaws, dev_jtm, 0:40"
    waiting.end("t1", "dev_jaws")
    assert waiting.line(80) == "Build the environments on dev_jtm, 0:40"
    waiting.end("t1", "dev_jtm")
    assert waiting.line(80) == ""


def test_hosts_that_start_later_do_not_make_a_task_younger() -> None:
    clock = Clock()
    waiting = Waiting(clock)
    waiting.begin("t1", "Ask", "a")
    waiting.end("t1", "a")
    clock.now = 5
    waiting.begin("t1", "Ask", "b")
    assert waiting.line(80) == "Ask on b, 0:05"


def test_of_overlapping_tasks_the_oldest_is_shown() -> None:
    clock = Clock()
    waiting = Waiting(clock)
    waiting.begin("t1", "First", "a")
    clock.now = 3
    waiting.begin("t2", "Second", "b")
    assert waiting.line(80) == "First on a, 0:03"
    waiting.end("t1", "a")
    assert waiting.line(80) == "Second on b, 0:00"


def test_a_task_that_runs_again_has_a_new_time() -> None:
    clock = Clock()
    waiting = Waiting(clock)
    waiting.begin("t1", "First", "a")
    waiting.end("t1", "a")
    waiting.begin("t2", "Second", "a")
    waiting.end("t2", "a")
    clock.now = 60
    waiting.begin("t1", "First", "a")
    assert waiting.line(80) == "First on a, 0:00"


def test_an_end_of_what_never_began_is_nothing() -> None:
    waiting = Waiting(Clock())
    waiting.end("t1", "a")
    assert waiting.longest() is None


@given(
    st.text(max_size=120),
    st.lists(st.text(min_size=1, max_size=30), min_size=1),
    st.integers(30, 200),
)
def test_the_line_never_wraps(name: str, hosts: list[str], width: int) -> None:
    waiting = Waiting(Clock())
    waiting.begin("t1", plain(name), *map(plain, hosts))
    assert width_of(waiting.line(width)) <= width


def test_as_many_names_are_listed_as_fit() -> None:
    names = [f"host{number}" for number in range(5)]
    assert listed(names, 80) == "host0, host1, host2, host3, host4"
    assert listed(names, 25) == "host0, host1 and 3 more"
    assert listed(names, 5) == "5 hosts"
    assert listed(["a-long-name"], 5) == "a-long-name"


@pytest.mark.parametrize(
    ("seconds", "shown"), [(0.9, "0:00"), (40, "0:40"), (61, "1:01"), (3723, "1:02:03")]
)
def test_a_time_is_shown_as_on_a_clock(seconds: float, shown: str) -> None:
    assert clock_time(seconds) == shown


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("plain ünïcode 漢字", "plain ünïcode 漢字"),
        ("\x1b[2J\x07", r"\x1b[2J\x07"),
        ("a\rb\nc\x9bd", r"a\rb\nc\x9bd"),
        ("\u202eabc\u2028", r"\u202eabc\u2028"),
        ("a\tb", "a       b"),
    ],
)
def test_control_characters_are_shown_instead_of_in_force(text: str, shown: str) -> None:
    assert plain(text) == shown


def test_a_wide_character_takes_two_columns_and_an_accent_none() -> None:
    assert width_of("漢a\u0301") == 3
    assert cut("漢字漢字漢字", 7) == "漢字..."
    assert cut("short", 5) == "short"
    assert cut("longer", 5) == "lo..."
