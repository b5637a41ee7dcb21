# SPDX-License-Identifier: GPL-3.0-or-later
"""What a service's earlier process has left, in a /proc made by the test."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from ansible_collections.jgi.jaws.plugins.plugin_utils.leash import MARKS, leftovers

ENDED = 500  # the first process of the service, which was killed


class Proc:
    """A /proc with this process's supervisord and what the test adds."""

    def __init__(self, root: Path) -> None:
        self.root = root
        self.session = os.getsid(0)
        self.add(self.session, self.session, self.session, marks={})

    def add(
        self,
        pid: int,
        group: int,
        session: int,
        state: str = "S",
        marks: dict[str, str] | None = None,
    ) -> None:
        """Add a process; by default, it has the marks of our service."""
        folder = self.root / str(pid)
        folder.mkdir()
        (folder / "stat").write_text(f"{pid} (a) b) {state} 1 {group} {session} 0 -1")
        found = {name: os.environ[name] for name in MARKS} if marks is None else marks
        (folder / "environ").write_text("".join(f"{k}={v}\0" for k, v in found.items()))

    def left(self) -> dict[int, int]:
        return leftovers(str(self.root))


@pytest.fixture
def proc(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Proc:
    for name in MARKS:
        monkeypatch.setenv(name, f"of the test's {name}")
    return Proc(tmp_path)


def test_members_of_the_group_of_a_process_that_has_ended_are_left(proc: Proc) -> None:
    proc.add(501, ENDED, proc.session)
    proc.add(502, ENDED, proc.session)
    assert proc.left() == {501: ENDED, 502: ENDED}


def test_a_group_whose_first_process_runs_is_not_left(proc: Proc) -> None:
    proc.add(ENDED, ENDED, proc.session)
    proc.add(501, ENDED, proc.session)
    assert proc.left() == {}


def test_a_zombie_leads_no_group_and_is_not_left(proc: Proc) -> None:
    proc.add(ENDED, ENDED, proc.session, state="Z")
    proc.add(501, ENDED, proc.session)
    proc.add(502, ENDED, proc.session, state="Z")
    assert proc.left() == {501: ENDED}


def test_what_leads_a_group_or_a_session_of_its_own_is_not_left(proc: Proc) -> None:
    proc.add(501, 501, proc.session)
    proc.add(502, 502, 502)
    proc.add(503, 499, 499)  # of a daemon, whose parent has ended
    assert proc.left() == {}


def test_what_a_killed_supervisord_has_left_is_left(proc: Proc) -> None:
    proc.add(501, ENDED, 498)
    assert proc.left() == {501: ENDED}


def test_a_session_of_another_process_that_runs_is_left_alone(proc: Proc) -> None:
    proc.add(498, 498, 498)  # such as a shell, or the job of a batch system
    proc.add(501, ENDED, 498)
    assert proc.left() == {}


@pytest.mark.parametrize("mark", MARKS)
def test_another_service_and_another_instance_are_left_alone(proc: Proc, mark: str) -> None:
    proc.add(501, ENDED, proc.session, marks={**{n: os.environ[n] for n in MARKS}, mark: "other"})
    assert proc.left() == {}


def test_without_the_marks_of_supervisord_nothing_is_left(
    proc: Proc, monkeypatch: pytest.MonkeyPatch
) -> None:
    proc.add(501, ENDED, proc.session, marks={})
    for name in MARKS:
        monkeypatch.delenv(name)
    assert proc.left() == {}
