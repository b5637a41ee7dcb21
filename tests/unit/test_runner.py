# SPDX-License-Identifier: GPL-3.0-or-later
"""What a deploy must know about a gitlab-runner."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ansible_collections.jgi.jaws.plugins.plugin_utils.runner import (
    is_in_own_job,
    runner_obstacles,
    runner_state,
)

STARTED, RELOADED, LATER = "2026-11-22T13:00:00Z", "2026-11-23T13:00:00Z", "2026-11-24T13:00:00Z"
SKIPPED = {"changed": False, "skipped": True}


def look(**changes: Any) -> dict[str, Any]:
    """Return the result for a running runner, with the changes."""
    found = {"running": True, "pid": 42, "started_at": STARTED, "reloaded_at": None}
    return {**found, "outdated": [], "inside": False, **changes}


def test_a_runner_that_its_unit_runs_as_it_should_is_left_alone() -> None:
    assert runner_state([look()], main_pid="42") == {
        "running": True,
        "due": False,
        "new": False,
        "unit_state": "started",
        "since": STARTED,
    }
    assert runner_state([look()], main_pid="42", acted=True)["new"] is True


@pytest.mark.parametrize("looks", [[], [{}], [SKIPPED], [{"running": False}, SKIPPED]])
def test_a_runner_that_does_not_run_is_started_whatever_is_new(looks: list[Any]) -> None:
    down = {"running": False, "due": False, "unit_state": "started", "since": ""}
    assert runner_state(looks, main_pid="0") == {**down, "new": False}


def test_a_new_configuration_is_reloaded() -> None:
    assert runner_state([look()], main_pid=42, reload=True)["unit_state"] == "reloaded"
    assert runner_state([look()], main_pid=42, reload="True")["unit_state"] == "reloaded"


def test_an_outdated_runner_ends_first_and_a_new_configuration_comes_with_its_restart() -> None:
    found = runner_state([look(outdated=["revision"])], main_pid="42", reload=True)
    assert (found["due"], found["unit_state"]) == (True, "restarted")


def test_an_outdated_runner_that_the_play_runs_in_is_left_running() -> None:
    found = runner_state([look(outdated=["revision"], inside=True)], main_pid="42")
    assert (found["due"], found["unit_state"]) == (False, "started")


@pytest.mark.parametrize("inside", [True, False])
def test_a_runner_that_something_else_started_ends_before_the_unit_runs_it(inside: bool) -> None:
    found = runner_state([look(inside=inside)], main_pid="0")
    assert (found["due"], found["unit_state"]) == (True, "restarted")


@pytest.mark.parametrize("restarts", [True, False, "False"])
def test_what_has_no_unit_ends_for_its_successor_only_if_something_starts_that(
    restarts: Any,
) -> None:
    assert runner_state([look()], restarts=restarts)["due"] is False
    outdated = runner_state([look(outdated=["revision"])], restarts=restarts)
    assert outdated["due"] is (restarts is True)
    inside = runner_state([look(outdated=["revision"], inside=True)], restarts=restarts)
    assert inside["due"] is False


def test_the_last_result_counts_and_a_skipped_one_does_not() -> None:
    looks = [look(), look(pid=43, started_at=LATER)]
    assert runner_state(looks)["since"] == LATER
    assert runner_state([look(), SKIPPED])["since"] == STARTED
    assert runner_state([look(reloaded_at=RELOADED), {}])["since"] == RELOADED


@given(st.lists(st.sampled_from([{}, SKIPPED, {"running": False}, look(), look(outdated=["x"])])))
def test_what_does_not_run_is_never_due_and_has_no_time(looks: list[dict[str, Any]]) -> None:
    found = runner_state(looks, main_pid="7")
    assert found["running"] or not (found["due"] or found["since"])


@pytest.mark.parametrize(
    ("number", "runner", "server", "own"),
    [
        (7, "7", "https://gitlab.example.org", True),
        ("7", "7", "https://gitlab.example.org///", True),
        (7, "8", "https://gitlab.example.org", False),
        (7, "7", "https://gitlab.example.com", False),
        (7, "", "", False),
        (None, "", "https://gitlab.example.org", False),
    ],
)
def test_a_play_in_a_job_of_the_runner_is_recognised(
    number: Any, runner: str, server: str, own: bool
) -> None:
    assert is_in_own_job(number, "https://gitlab.example.org/", runner, server) is own


SEEN: dict[str, Any] = {"valid": True, "saw": "", "user": "jaws", "units": [], "lingering": False}
UNIT = "/home/jaws/.config/systemd/user/gitlab-runner.service"
BINARY = {"stat": {"exists": True, "executable": True, "checksum": "ab"}}


def test_there_is_no_obstacle_for_a_runner_that_can_run() -> None:
    assert runner_obstacles(SEEN, binary=SKIPPED) == []
    assert runner_obstacles({**SEEN, "valid": None}, binary=BINARY, sha256="ab") == []
    there = {**SEEN, "units": [UNIT], "lingering": True}
    assert runner_obstacles(there, own_units=["gitlab-runner.service"], needs_lingering=True) == []


@pytest.mark.parametrize(
    ("seen", "options", "sentence"),
    [
        ({"valid": False, "saw": "G knows no runner."}, {}, "G knows no runner. Put the runner's"),
        ({"units": [UNIT]}, {"own_units": ["x.service"]}, f"{UNIT} would start this runner a "),
        ({}, {"needs_lingering": True}, "jaws does not linger: its services would end at logout"),
        ({}, {"needs_lingering": "True"}, "jaws does not linger"),
        ({}, {"binary": {"stat": {"exists": False}}}, "/b does not exist or is not executable."),
        ({}, {"binary": BINARY, "sha256": "cd"}, "/b does not match gitlab_runner_binary_sha256."),
    ],
)
def test_each_obstacle_has_its_own_sentence(
    seen: dict[str, Any], options: dict[str, Any], sentence: str
) -> None:
    (told,) = runner_obstacles({**SEEN, **seen}, path="/b", **options)
    assert told.startswith(sentence)
