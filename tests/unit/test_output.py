# SPDX-License-Identifier: GPL-3.0-or-later
"""What is added to the output of Ansible: a line that is updated, and sections for GitLab."""

from __future__ import annotations

import re
import sys
import threading
from typing import Any

import pytest

from ansible_collections.jgi.jaws.plugins.plugin_utils.output import (
    ERASE,
    Output,
    Ticker,
    in_gitlab,
    updates_lines,
    wants_colour,
)


class Display:
    """As Ansible's: it writes to the standard output."""

    def __init__(self) -> None:
        self._lock = threading.RLock()

    def display(
        self,
        msg: str,
        _color: str | None = None,
        _stderr: bool = False,
        _screen_only: bool = False,
        _log_only: bool = False,
        newline: bool = True,
    ) -> None:
        sys.stdout.write(msg + ("\n" if newline else ""))


Written = pytest.CaptureFixture[str]


def test_a_message_takes_the_place_of_the_updating_line(capsys: Written) -> None:
    display = Display()
    output = Output(display, updating=True)
    output.show("Build on a, 0:01")
    output.show("Build on a, 0:02")
    output.show("Build on a, 0:02")
    display.display("ok: [a]")
    output.show("")
    assert capsys.readouterr().out == (
        f"{ERASE}Build on a, 0:01{ERASE}Build on a, 0:02{ERASE}ok: [a]\n"
    )


def test_a_question_is_not_overwritten(capsys: Written) -> None:
    display = Display()
    output = Output(display, updating=True)
    display.display("Really? ", None, False, False, False, False)
    output.show("Build on a, 0:01")
    display.display("\n", newline=False)
    output.show("Build on a, 0:02")
    assert capsys.readouterr().out == f"Really? \n{ERASE}Build on a, 0:02"


def test_nothing_is_updated_where_lines_stay(capsys: Written) -> None:
    Output(Display(), updating=False).show("Build on a, 0:01")
    assert capsys.readouterr().out == ""


def test_a_section_begins_with_its_heading_and_ends_without_a_trace(capsys: Written) -> None:
    display = Display()
    output = Output(display, updating=False)
    output.begin_section("play_1")
    display.display("\nPLAY [Deploy] ***")
    output.end_section("play_1")
    assert re.fullmatch(
        r"\n\x1b\[0Ksection_start:\d{10}:play_1\r\x1b\[0KPLAY \[Deploy\] \*\*\*\n"
        r"\x1b\[0Ksection_end:\d{10}:play_1\r\x1b\[0K",
        capsys.readouterr().out,
    )


def test_a_last_screen_leaves_two_lines_to_make_and_the_prompt() -> None:
    assert Output(Display(), updating=False).paper() == (80, 22, False)


def test_a_ticker_ends_quietly_if_it_fails() -> None:
    calls: list[Any] = []

    def fail() -> None:
        calls.append(1)
        raise ValueError

    ticker = Ticker(fail, 0.01)
    ticker.start()
    ticker.join(60)
    assert calls == [1]


def test_a_ticker_stops_when_it_is_told_to() -> None:
    called = threading.Event()
    ticker = Ticker(called.set, 0.01)
    ticker.start()
    assert called.wait(60)
    ticker.stop()
    ticker.join(60)
    assert not ticker.is_alive()


@pytest.mark.parametrize(
    ("environment", "terminal", "updates"),
    [
        ({"TERM": "xterm"}, True, True),
        ({"TERM": "xterm"}, False, False),
        ({"TERM": "dumb"}, True, False),
        ({"GITLAB_CI": "true"}, True, False),
        ({"GITLAB_CI": "false"}, True, True),
    ],
)
def test_a_line_is_updated_in_a_terminal_only(
    environment: dict[str, str], terminal: bool, updates: bool
) -> None:
    assert updates_lines(environment, terminal) is updates


@pytest.mark.parametrize(
    ("environment", "chosen", "refused", "forced", "colour"),
    [
        ({}, True, False, False, True),
        ({}, False, False, False, False),
        ({"GITLAB_CI": "true"}, False, False, False, True),
        ({"GITLAB_CI": "true"}, False, True, False, False),
        ({"GITLAB_CI": "true", "NO_COLOR": "please"}, False, False, False, False),
        ({"NO_COLOR": "please"}, True, False, False, False),
        ({"NO_COLOR": ""}, True, False, False, True),
        ({"NO_COLOR": "1"}, True, True, True, True),
    ],
)
def test_colours_are_used_where_they_are_wanted(
    environment: dict[str, str], chosen: bool, refused: bool, forced: bool, colour: bool
) -> None:
    assert wants_colour(environment, chosen, refused, forced) is colour


def test_only_gitlab_itself_is_gitlab() -> None:
    assert in_gitlab({"GITLAB_CI": "true"})
    assert not in_gitlab({"CI": "true", "GITLAB_CI": "false"})
