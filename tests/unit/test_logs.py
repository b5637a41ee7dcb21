# SPDX-License-Identifier: GPL-3.0-or-later
"""The lines of logs: their times, those of supervisord about its programs, and their order."""

from __future__ import annotations

import os
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from ansible_collections.jgi.jaws.plugins.module_utils.errors import JawsError
from ansible_collections.jgi.jaws.plugins.module_utils.supervisor import daemon_log
from ansible_collections.jgi.jaws.plugins.module_utils.supervisor.log_lines import (
    recent,
    since,
    time_of,
    timed,
)
from ansible_collections.jgi.jaws.plugins.module_utils.supervisor.programs import Program
from ansible_collections.jgi.jaws.plugins.plugin_utils.logs import (
    NOTHING,
    interleaved,
    lines_of,
)

NOON = 1796040000.0  # 2026-11-30 12:00:00 UTC


@pytest.fixture(autouse=True)
def berlin(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """A host whose own time is an hour later than UTC."""
    monkeypatch.setenv("TZ", "UTC-1")
    time.tzset()
    yield
    monkeypatch.undo()
    time.tzset()


@pytest.mark.parametrize(
    ("line", "moment"),
    [
        ("2026-11-30 13:00:00,250 ERROR jaws_site no broker", NOON + 0.25),
        ("2026-11-30 13:00:00,250 INFO spawned: 'jaws-jtm' with pid 7", NOON + 0.25),
        ("2026-11-30T13:00:00.5 started", NOON + 0.5),
        ("2026-11-30T12:00:00Z started", NOON),
        ("[2026-11-30 12:00:00 +0000] [7] [INFO] Starting gunicorn", NOON),
        ("[2026-11-30 13:00:00,12] [info] Cromwell started", NOON + 0.12),
        ("2026-11-30T07:00:00-05:00 started", NOON),
        ('{"time": "2026-11-30T12:00:00Z", "msg": "started"}', NOON),
        ('127.0.0.1 - - [30/Nov/2026:12:00:00 +0000] "GET / HTTP/1.1" 200', NOON),
        ('127.0.0.1 - - [30/Nov/2026 13:00:00] "GET / HTTP/1.1" 200 -', NOON),
        ("Traceback (most recent call last):", None),
        ("2026-99-99 99:99:99 no such day", None),
        ("0000-00-00 00:00:00 no such day", None),
        ("x" * 80 + " 2026-11-30 13:00:00 too late in the line", None),
        ("", None),
    ],
)
def test_a_line_has_the_time_near_its_beginning(line: str, moment: float | None) -> None:
    assert time_of(line) == moment


def test_a_line_without_a_time_belongs_to_the_one_before() -> None:
    lines = ["  the end of an earlier one", "2026-11-30 13:00:00 bad", "Traceback", "  in f"]
    assert [line.time for line in timed(lines, 5.0)] == [NOON] * 4


def test_a_log_without_times_is_shown_at_its_last_change() -> None:
    assert timed(["a", "b"], 5.0) == [(5.0, "a"), (5.0, "b")]


@pytest.mark.parametrize(
    ("text", "moment"),
    [
        ("90s", NOON - 90),
        ("10m", NOON - 600),
        ("2h", NOON - 7200),
        ("1d", NOON - 86400),
        (" 12:30 ", NOON - 1800),
        ("9:00", NOON - 4 * 3600),
        ("12:59:30", NOON - 30),
        ("13:30", NOON - 86400 + 1800),
        ("2026-11-30", NOON - 13 * 3600),
        ("2026-11-30 12:30", NOON - 1800),
        ("2026-11-30T12:30:30", NOON - 1770),
        ("2026-11-30T11:30:00Z", NOON - 1800),
    ],
)
def test_since_is_an_age_or_a_time_of_the_host(text: str, moment: float) -> None:
    assert since(text, NOON) == moment


@pytest.mark.parametrize("text", ["yesterday", "10", "25:00", "10 m", "-5m", "2026-13-01", "12:3"])
def test_what_is_not_a_time_is_refused(text: str) -> None:
    with pytest.raises(JawsError, match="is not a time") as caught:
        since(text, NOON)
    assert caught.value.reason == "bad_option"


def test_the_last_lines_continue_in_the_file_before_a_rotation(tmp_path: Path) -> None:
    log = tmp_path / "x.out"
    log.write_text("3\n")
    (tmp_path / "x.out.1").write_text("1\n2\n")
    assert [line.text for line in recent(str(log), 2) or []] == ["2", "3"]
    assert [line.text for line in recent(str(log), 9) or []] == ["1", "2", "3"]
    assert recent(str(tmp_path / "none"), 2) is None


SAID = """\
2026-11-30 12:00:00,100 INFO supervisord started with pid 1
2026-11-30 12:00:01,100 INFO spawned: 'web' with pid 2
2026-11-30 12:00:02,100 INFO success: web entered RUNNING state, process has stayed up
2026-11-30 12:30:00,100 WARN exited: web (exit status 7; not expected)
2026-11-30 12:30:01,100 INFO spawned: 'web' with pid 3
2026-11-30 12:40:00,100 WARN exited: web (terminated by SIGKILL; not expected)
2026-11-30 12:40:01,100 INFO spawned: 'web' with pid 4
2026-11-30 12:50:00,100 INFO stopped: web (terminated by SIGTERM)
2026-11-30 12:50:01,100 INFO spawned: 'web' with pid 5
2026-11-30 12:50:01,200 INFO spawned: 'my worker' with pid 6
2026-11-30 12:50:02,100 WARN exited: my worker (exit status 1; not expected)
2026-11-30 12:50:03,100 INFO gave up: my worker entered FATAL state, too many start retries
2026-11-30 12:50:04,100 INFO spawnerr: can't find command '/nowhere'
2026-11-30 12:50:05,100 INFO gave up: lost entered FATAL state, too many start retries too quickly
"""


@pytest.fixture
def events(berlin: None) -> list[daemon_log.Event]:  # noqa: ARG001  # it sets the time zone
    return daemon_log.events(timed(SAID.splitlines(), 0.0))


def test_a_restart_is_a_start_after_an_end_that_nobody_asked_for(
    events: list[daemon_log.Event],
) -> None:
    assert daemon_log.restarts(events, "web", NOON - 3600) == 2
    assert daemon_log.restarts(events, "web", NOON - 1500) == 1
    assert daemon_log.restarts(events, "web", NOON - 600) == 0
    assert daemon_log.restarts(events, "other", 0) == 0


def test_the_log_says_how_a_program_ended_and_when_it_started(
    events: list[daemon_log.Event],
) -> None:
    assert daemon_log.last_end(events, "web") == "terminated by SIGKILL"
    assert daemon_log.last_end(events, "my worker") == "exit status 1"
    assert daemon_log.last_end(events, "lost") is None
    assert daemon_log.last_start(events, "web") == NOON - 599 + 0.1
    assert daemon_log.last_start(events, "lost") == 0


@pytest.mark.parametrize(
    ("state", "said"),
    [("STARTING", "no broker"), ("BACKOFF", "trying"), ("UNKNOWN", "trying")],
)
def test_a_process_that_starts_is_explained_by_the_one_before_it(
    events: list[daemon_log.Event], tmp_path: Path, state: str, said: str
) -> None:
    log = tmp_path / "web.log"
    log.write_text("2026-11-30 12:49:59 no broker\n2026-11-30 12:50:02 trying\n")
    web = Program("web", "web", state, log_file=str(log))
    assert str(daemon_log.last_line(web, events)).endswith(said)
    assert str(daemon_log.last_line(web, [])).endswith("trying")
    log.write_text("no time\n")
    assert daemon_log.last_line(web, events) == "no time"


def test_what_supervisord_gave_up_is_fatal_and_explained(events: list[daemon_log.Event]) -> None:
    fatal = [name for name in ("web", "my worker", "lost") if daemon_log.is_fatal(events, name)]
    assert fatal == ["my worker", "lost"]
    said = [line.text.partition(" INFO ")[2] for line in daemon_log.about(events, "lost")]
    assert said[0] == "spawnerr: can't find command '/nowhere'"
    assert said[1].startswith("gave up: lost")


def test_a_log_that_is_not_there_says_nothing(tmp_path: Path) -> None:
    assert daemon_log.read(None) is None
    assert daemon_log.read(str(tmp_path / "none")) is None


def instance(*entries: tuple[float, str, str], unreadable: tuple[str, ...] = ()) -> dict[str, Any]:
    found = [{"time": t, "program": p, "source": p, "text": text} for t, p, text in entries]
    return {"entries": found, "unreadable": list(unreadable)}


def test_the_lines_of_all_instances_are_ordered_by_time() -> None:
    jaws = instance((1, "rest", "a"), (3, "rest", "c"), (3, "rest", "d"))
    jtm = instance((2, "cromwell", "b\x1b[2J"), unreadable=("/x.err",))
    assert interleaved({"jaws": jaws, "jtm": jtm}) == [
        "rest     | a",
        r"cromwell | b\x1b[2J",
        "rest     | c",
        "rest     | d",
        "jtm: /x.err does not exist or cannot be read by this user",
    ]


def test_only_the_chosen_programs_are_shown_with_what_supervisord_said_about_them() -> None:
    found = instance((1, "rest", "a"), (2, "auth", "b"))
    found["entries"].append({"time": 3, "program": "auth", "source": "supervisord", "text": "c"})
    assert interleaved({"jaws": found}, {"jaws": ["auth"]}) == [
        "auth        | b",
        "supervisord | c",
    ]
    assert interleaved({"jaws": found}, {"jaws": []}) == [NOTHING]


def test_programs_of_the_same_name_are_shown_with_their_instances() -> None:
    dev, prod = instance((1, "rest", "a")), instance((2, "rest", "b"))
    assert interleaved({"dev": dev, "prod": prod}) == ["dev rest  | a", "prod rest | b"]


def test_a_long_log_does_not_continue_in_the_file_before_it(tmp_path: Path) -> None:
    log = tmp_path / "x.out"
    log.write_text("x" * 100 + "\n" + "y" * 9000 + "\n")
    (tmp_path / "x.out.1").write_text("1\n")
    (line,) = recent(str(log), 2) or []
    assert set(line.text) == {"y"}


def test_a_file_may_vanish_meanwhile(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    log = tmp_path / "x.out"
    log.write_text("3\n")

    def vanish(_path: str) -> os.stat_result:
        raise FileNotFoundError

    monkeypatch.setattr(os, "stat", vanish)
    assert [line.text for line in recent(str(log), 1) or []] == ["3"]


def test_lines_that_follow_have_the_name_of_their_program_and_of_their_instance() -> None:
    entries = [
        {"program": "rest", "source": "rest", "text": "one\x1b[2J"},
        {"program": "auth", "source": "auth", "text": "two"},
        {"program": "rest", "source": "supervisord", "text": "gave up: rest"},
    ]
    found = {"programs": [{"name": "rest"}, {"name": "auth"}], "entries": entries}
    assert lines_of("dev", found, ["rest"]) == [
        r"dev rest        | one\x1b[2J",
        "dev supervisord | gave up: rest",
    ]
    assert lines_of("", found)[1] == "auth        | two"
