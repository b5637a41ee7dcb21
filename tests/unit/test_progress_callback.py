# SPDX-License-Identifier: GPL-3.0-or-later
"""What the callback shows for sequences of events, as Ansible sends them."""

from __future__ import annotations

import os
import re
import signal
import sys
import threading
from collections.abc import Callable, Iterator
from types import SimpleNamespace
from typing import Any

import pytest
from ansible import context
from ansible.plugins import callback as ansible_callback
from ansible.utils.context_objects import CLIArgs

from ansible_collections.jgi.jaws.plugins.callback import progress
from ansible_collections.jgi.jaws.plugins.plugin_utils import failures

OPTIONS = {
    "display_skipped_hosts": False,
    "display_ok_hosts": True,
    "display_failed_stderr": False,
    "show_custom_stats": False,
    "show_per_host_start": False,
    "check_mode_markers": False,
    "show_task_path_on_failure": False,
    "result_format": "yaml",
    "pretty_results": None,
    "interval": 30,
}


class Display:
    """As Ansible's."""

    def __init__(self) -> None:
        self._lock = threading.RLock()
        self.verbosity = 0
        self.coloured: list[str] = []

    def display(self, msg: str, *_arguments: Any, newline: bool = True, **options: Any) -> None:
        self.coloured += [msg] if options.get("color") else []
        if not options.get("log_only"):
            sys.stdout.write(msg + ("\n" if newline else ""))

    def banner(self, msg: str, *_arguments: Any) -> None:
        self.display(f"\n{msg} ***")

    def warning(self, msg: str, *_arguments: Any) -> None:
        self.display(f"[WARNING]: {msg}")


class Host:
    def __init__(self, name: str) -> None:
        self.name = name

    def get_name(self) -> str:
        return self.name


class Task:
    """As Ansible's, with what a callback may read."""

    numbers = iter(range(1000))

    def __init__(
        self, name: str, action: str = "ansible.builtin.command", loop: Any = None
    ) -> None:
        self.name = name
        self.action = self.resolved_action = action
        self.loop = loop
        self.delegate_to = None
        self.no_log = self.check_mode = False
        self.ignore_unreachable = False
        self._uuid = f"uuid{next(self.numbers)}"

    def get_name(self) -> str:
        return f"role : {self.name}"

    def get_path(self) -> str:
        return "playbook.yml:1"


class Result:
    def __init__(self, host: str, task: Task, result: dict[str, Any], **fields: Any) -> None:
        self._host = self.host = Host(host)
        self._task = self.task = task
        self._result = self.result = result
        self._task_fields = self.task_fields = fields
        self.task_name = task.name


class Play:
    check_mode = False

    def __init__(self, name: str, strategy: str = "linear", **variables: str) -> None:
        self.name, self.strategy, self.variables = name, strategy, variables

    def get_vars(self) -> dict[str, str]:
        return self.variables

    def get_name(self) -> str:
        return self.name


class Stats:
    custom: dict[str, Any] = {}

    def __init__(self, **failures: int) -> None:
        self.failures = self.processed = failures

    def summarize(self, host: str) -> dict[str, int]:
        names = ("ok", "changed", "unreachable", "skipped", "rescued", "ignored")
        return dict.fromkeys(names, 0) | {"failures": self.failures[host]}


class Run:
    """A callback, and what it has written."""

    def __init__(self, captured: pytest.CaptureFixture[str]) -> None:
        self.display = Display()
        self.callback: Any = None
        self._captured = captured
        self._written = ""

    def begin(self, play: str = "Deploy", strategy: str = "linear", **variables: str) -> None:
        if self.callback is None:
            self.callback = progress.CallbackModule()
            self.callback._plugin_options = dict(OPTIONS)
            self.callback.v2_playbook_on_start(SimpleNamespace(_file_name="play.yml"))
        self.callback.v2_playbook_on_play_start(Play(play, strategy, **variables))

    def start(self, task: Task, *hosts: str) -> None:
        self.callback.v2_playbook_on_task_start(task, False)
        for host in hosts:
            self.callback.v2_runner_on_start(Host(host), task)

    def fail(self, host: str, task: Task, msg: str, ignored: bool = False) -> None:
        result = Result(host, task, {"msg": msg}, ignore_errors=ignored)
        self.callback.v2_runner_on_failed(result, ignore_errors=ignored)

    def end(self, **failures: int) -> None:
        self.callback.v2_playbook_on_stats(Stats(**failures))

    @property
    def written(self) -> str:
        self._written += self._captured.readouterr().out
        return self._written

    @property
    def last(self) -> list[str]:
        """The lines after the recap."""
        return self.written.partition("PLAY RECAP ***\n")[2].splitlines()


@pytest.fixture
def run(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Iterator[Run]:
    monkeypatch.setattr(context, "CLIARGS", CLIArgs({"check": False}))
    monkeypatch.setattr(signal, "signal", lambda *_arguments: None)
    for name in ("GITLAB_CI", "NO_COLOR"):
        monkeypatch.delenv(name, raising=False)
    found = Run(capsys)
    monkeypatch.setattr(ansible_callback, "global_display", found.display)
    yield found
    if found.callback:
        found.callback._ticker.stop()


def test_a_failed_run_ends_with_why_and_says_it_once(run: Run) -> None:
    task = Task("file | Build it")
    run.begin()
    run.start(task, "a", "b")
    run.callback.v2_runner_on_ok(Result("a", task, {}))
    run.fail("b", task, "there are no wheels")
    run.end(a=0, b=1)
    assert run.last[-2:] == ["FAILED on b: Build it", "  there are no wheels"]
    assert run.written.count("there are no wheels") == 1
    assert "fatal: [b]: FAILED! (the reason is at the end)" in run.written
    assert re.search(r"^b +: ok=0 +changed=0 +unreachable=0 +failed=1 ", run.written, re.M)


def test_a_play_is_named_with_its_first_result_and_not_at_all_without_one(run: Run) -> None:
    task = Task("Build it")
    run.begin("Find the job")
    run.callback.v2_playbook_on_no_hosts_matched()
    run.begin("Deploy")
    run.start(task, "a")
    assert "PLAY [" not in run.written
    run.callback.v2_runner_on_ok(Result("a", task, {}))
    run.begin("Purge")
    run.end(a=0)
    assert re.findall(r"^PLAY \[(.*?)\]|^TASK \[(.*?)\]", run.written, re.M) == [
        ("Deploy", ""),
        ("", "role : Build it"),
    ]


def test_a_failed_run_ends_with_what_its_play_says_about_failures(run: Run) -> None:
    task = Task("Build it")
    run.begin(progress_note="What ran before runs on.")
    run.start(task, "a")
    run.fail("a", task, "no wheels")
    run.end(a=1)
    assert run.last[-3:] == ["  no wheels", "", "What ran before runs on."]


def test_a_rescued_failure_is_shown_in_full_if_the_run_succeeds(run: Run) -> None:
    task = Task("Try it")
    run.begin()
    run.start(task, "a")
    run.fail("a", task, "it broke")
    run.end(a=0)
    assert run.written.count("it broke") == 1
    assert "FAILED on a: Try it => " in run.written.partition("PLAY RECAP")[0]
    assert not [line for line in run.last if "FAILED" in line]


def test_a_rescued_failure_is_the_reason_if_its_play_fails(run: Run) -> None:
    switch, given_up = Task("Switch"), Task("Fail if any instance failed")
    run.begin()
    run.start(switch, "a", "b")
    run.fail("a", switch, "a crashed")
    run.start(given_up, "a", "b")
    run.fail("a", given_up, "it failed on a")
    run.fail("b", given_up, "it failed on a")
    run.end(a=1, b=1)
    assert run.last[-5:] == [
        "FAILED on a: Switch",
        "  a crashed",
        "",
        "FAILED on a, b: Fail if any instance failed",
        "  it failed on a",
    ]


def test_an_ignored_failure_is_shown_where_it_happens(run: Run) -> None:
    task = Task("Try it")
    run.begin()
    run.start(task, "a")
    run.fail("a", task, "it broke", ignored=True)
    run.end(a=0)
    assert run.written.count("it broke") == 1
    assert run.written.index("it broke") < run.written.index("...ignoring")
    assert "FAILED on" not in run.written


def test_a_host_that_is_unreachable_is_in_the_last_screen(run: Run) -> None:
    task = Task("Ask")
    run.begin()
    run.start(task, "a")
    run.callback.v2_runner_on_unreachable(Result("a", task, {"msg": "no route to host"}))
    run.end(a=1)
    assert run.last[-2:] == ["UNREACHABLE on a: Ask", "  no route to host"]
    assert run.written.count("no route to host") == 1


def test_the_items_of_a_loop_that_failed_are_named_once_with_their_reasons(run: Run) -> None:
    task = Task("Copy", loop=["x", "y"])
    good, bad = {"item": "x"}, {"item": "y", "failed": True, "msg": "no space left"}
    run.begin()
    run.start(task, "a")
    run.callback.v2_runner_item_on_ok(Result("a", task, dict(good)))
    run.callback.v2_runner_item_on_failed(Result("a", task, dict(bad)))
    summary = {"msg": "One or more items failed", "results": [good, bad]}
    run.callback.v2_runner_on_failed(Result("a", task, summary))
    run.end(a=1)
    assert "failed: [a] (item=y) (the reason is at the end)" in run.written
    assert run.written.count("no space left") == 1
    assert run.last[-3:] == ["FAILED on a: Copy", "  y:", "    no space left"]


@pytest.mark.parametrize("verbosity", [1, 2, 3])
def test_verbose_results_are_those_of_the_default_callback(run: Run, verbosity: int) -> None:
    run.display.verbosity = verbosity
    task = Task("Build it")
    run.begin()
    run.start(task, "a")
    run.fail("a", task, "there are no wheels")
    run.end(a=1)
    assert re.search(r"fatal: \[a\]: FAILED! => \n +msg: there are no wheels", run.written)
    assert run.last[-2:] == ["FAILED on a: Build it", "  there are no wheels"]


def test_what_is_skipped_everywhere_leaves_no_trace(run: Run) -> None:
    task = Task("Skip it")
    run.begin()
    run.start(task, "a")
    run.callback.v2_runner_on_skipped(Result("a", task, {}))
    run.end(a=0)
    assert "Skip it" not in run.written


def test_a_report_is_shown_after_the_recap_and_only_there(run: Run) -> None:
    task = Task("Show it", "jgi.jaws.status_report")
    lines = {
        "stdout_lines": ["PROGRAM  STATE", "rest     RUNNING"],
        "_ansible_verbose_always": True,
    }
    run.begin()
    run.start(task, "a")
    run.callback.v2_runner_on_ok(Result("a", task, lines))
    run.end(a=0)
    assert run.last[-3:] == ["PROGRAM  STATE", "rest     RUNNING", ""]
    assert run.written.count("PROGRAM  STATE") == 1


def test_only_what_is_wrong_in_a_report_has_a_colour(run: Run) -> None:
    task = Task("Show it", "jgi.jaws.status_report")
    lines = ["dev rest RUNNING", "dev auth RUNNING unhealthy", "dev auth: no answer", "dev restart"]
    run.begin()
    run.start(task, "a")
    result = {"stdout_lines": lines, "not_running": ["dev rest2"], "unhealthy": ["dev auth"]}
    run.callback.v2_runner_on_ok(Result("a", task, result))
    run.end(a=0)
    assert [line for line in run.display.coloured if line in lines] == lines[1:3]


@pytest.mark.parametrize(
    ("method", "event"),
    [
        ("_failures.keep", lambda run, task: run.fail("a", task, "it broke")),
        ("_returned", lambda run, task: run.fail("a", task, "it broke")),
        (
            "_keep_report",
            lambda run, task: run.callback.v2_runner_on_ok(
                Result("a", task, {"msg": "it broke", "_ansible_verbose_always": True})
            ),
        ),
    ],
)
def test_a_mistake_in_the_callback_hides_no_result(
    run: Run, monkeypatch: pytest.MonkeyPatch, method: str, event: Callable[[Run, Task], None]
) -> None:
    def break_down(*_arguments: Any) -> None:
        raise ValueError("a mistake")

    run.begin()
    task = Task("Build it")
    run.start(task, "a")
    owner, _dot, name = method.rpartition(".")
    target = run.callback._failures if owner else run.callback
    monkeypatch.setattr(target, name, break_down)
    event(run, task)
    assert "it broke" in run.written
    assert "a mistake" in run.written


def test_a_mistake_at_the_end_hides_no_failure_and_no_recap(
    run: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(failures, "last_screen", None)
    task = Task("Build it")
    run.begin()
    run.start(task, "a")
    run.fail("a", task, "it broke")
    run.end(a=1)
    assert "it broke" in run.written
    assert "PLAY RECAP" in run.written


@pytest.mark.parametrize("own", [{}, {"progress_interrupted": "One of them runs."}])
def test_a_run_that_is_interrupted_says_once_what_it_was_doing_and_what_had_failed(
    run: Run, own: dict[str, str]
) -> None:
    task = Task("file | Build it")
    run.begin(progress_note="What ran before runs on.", **own)
    run.start(task, "a", "b", "c")
    run.fail("a", task, "it broke")
    run.callback._tell_untold(os.getpid())
    run.callback._tell_untold(os.getpid())
    assert run.written.count("it broke") == 1
    assert run.written.splitlines()[-5:] == [
        "",
        "INTERRUPTED on b, c: Build it",
        "  after 0:00",
        "",
        own.get("progress_interrupted", "What ran before runs on."),
    ]


def test_a_run_that_has_ended_was_not_interrupted(run: Run) -> None:
    task = Task("Build it")
    run.begin()
    run.start(task, "a")
    run.end(a=0)
    run.callback._tell_untold(os.getpid())
    assert "INTERRUPTED" not in run.written


def test_in_gitlab_plays_and_tasks_are_sections_within_one_another(
    run: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("GITLAB_CI", "true")
    tasks = [Task("One"), Task("Two"), Task("Three")]
    for play, inside in (("First", tasks[:2]), ("Second", tasks[2:])):
        run.begin(play)
        for task in inside:
            run.start(task, "a")
            run.callback.v2_runner_on_ok(Result("a", task, {}))
    run.end(a=0)
    marks = re.findall(r"section_(start|end):\d+:(play|task)_(\w+)", run.written)
    assert [(edge, kind) for edge, kind, _name in marks] == [
        ("start", "play"), ("start", "task"), ("end", "task"), ("start", "task"), ("end", "task"),
        ("end", "play"), ("start", "play"), ("start", "task"), ("end", "task"), ("end", "play"),
    ]  # fmt: skip
    assert len({name for _edge, _kind, name in marks}) == 5
    assert re.search(r"section_start:\d+:task_\w+\r\x1b\[0KTASK \[role : One\]", run.written)


def test_tasks_that_overlap_do_not_become_sections(
    run: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("GITLAB_CI", "true")
    run.begin("Free", "ansible.builtin.free")
    task = Task("One")
    run.start(task, "a")
    run.callback.v2_runner_on_ok(Result("a", task, {}))
    assert "TASK [role : One]" in run.written
    assert ":task_" not in run.written


def test_a_log_names_a_task_before_its_result_and_says_that_it_still_runs(
    run: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    run.begin()
    run.callback._ticker.stop()
    task = Task("file | Build it")
    run.start(task, "a", "b")
    for now in (0.1, 1, 2, 31, 32, 59, 61):
        monkeypatch.setattr(run.callback._waiting, "seconds", lambda _task, now=now: now)
        run.callback._tick()
    run.callback.v2_runner_on_ok(Result("a", task, {}))
    shown = run.written.partition("PLAY [Deploy] ***\n")[2].splitlines()
    assert shown == [
        "",
        "TASK [role : file | Build it] ***",
        "... Build it on a, b, 0:31",
        "... Build it on a, b, 1:01",
        "ok: [a]",
    ]
