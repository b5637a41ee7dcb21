# SPDX-License-Identifier: GPL-3.0-or-later
"""The program that purges a site's scratch, on real trees; the test's clock is a month ahead."""

from __future__ import annotations

import importlib.util
import json
import os
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path
from typing import Any

import pytest

from tests.integration.conftest import CLONE

PROGRAM = CLONE / "roles/jaws/files/purge.py"
LATER = 30 * 86400


def program() -> Any:
    spec = importlib.util.spec_from_file_location("purge", PROGRAM)
    assert spec
    assert spec.loader
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


class Scratch:
    """A scratch directory with one old tree, and what the program says and does there."""

    def __init__(self, root: Path, capsys: pytest.CaptureFixture[str]) -> None:
        self.program = program()
        self.capsys = capsys
        self.inputs = root / "scratch/jaws-dev/inputs"
        self.tree = self.inputs / "user/old"
        (self.tree / "a/b").mkdir(parents=True)
        (self.tree / "a/b/file").write_text("x" * 5000)
        self.precious = root / "precious"
        self.precious.mkdir()
        (self.precious / "file").write_text("still wanted")

    def purge(self, *arguments: str, root: Path | None = None, ahead: float = LATER) -> str:
        """Run it, and return what it prints; its exit status is kept."""
        given = ["--lock", str(self.inputs.parent / "lock"), *arguments]
        given += [] if "--executions" in arguments else ["--inputs", str(root or self.inputs)]
        options = self.program.arguments().parse_args(given)
        self.status = self.program.run(options, time.time() + ahead)
        shown = self.capsys.readouterr()
        return shown.out + shown.err


@pytest.fixture
def scratch(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> Iterator[Scratch]:
    found = Scratch(tmp_path.resolve(), capsys)
    yield found
    assert (found.precious / "file").read_text() == "still wanted"


def test_an_old_tree_goes_as_a_whole_and_is_counted(scratch: Scratch) -> None:
    printed = scratch.purge()
    assert not scratch.tree.exists()
    assert scratch.tree.parent.exists()
    assert f"{scratch.tree}: removed" in printed
    assert f"{scratch.inputs}: removed 1 trees" in printed
    assert scratch.status == 0


def test_a_dry_run_removes_nothing(scratch: Scratch) -> None:
    assert "would remove 1 trees" in scratch.purge("--dry-run")
    assert (scratch.tree / "a/b/file").exists()


def test_a_tree_changed_deep_inside_within_the_age_stays(scratch: Scratch) -> None:
    assert "removed 0 trees" in scratch.purge(ahead=13 * 86400)
    # A copy keeps old times; when it arrived, tells ctime.
    os.utime(scratch.tree / "a/b/file", (0, 0))
    for path in (scratch.tree, scratch.tree / "a", scratch.tree / "a/b"):
        os.utime(path, (0, 0))
    assert "removed 0 trees" in scratch.purge(ahead=0)
    assert (scratch.tree / "a/b/file").exists()


def test_no_link_is_followed(scratch: Scratch) -> None:
    (scratch.tree / "out").symlink_to(scratch.precious)
    (scratch.inputs / "user/link").symlink_to(scratch.precious)
    (scratch.inputs / "folder").symlink_to(scratch.precious.parent)
    scratch.purge()
    assert not scratch.tree.exists()
    assert not (scratch.inputs / "user/link").is_symlink()
    assert (scratch.inputs / "folder").is_symlink()


def test_a_file_with_another_name_keeps_its_content(scratch: Scratch) -> None:
    os.link(scratch.precious / "file", scratch.tree / "a/hard")
    scratch.purge()
    assert not scratch.tree.exists()


def test_a_directory_that_is_swapped_for_a_link_leads_nowhere(
    scratch: Scratch, monkeypatch: pytest.MonkeyPatch
) -> None:
    opened = scratch.program.open_directory

    def swapped(parent: int, name: str, device: int) -> int:
        if name == "b" and surveyed:
            (scratch.tree / "a/b").rename(scratch.tree / "a/moved")
            (scratch.tree / "a/b").symlink_to(scratch.precious)
            surveyed.clear()
        if name == "b":
            surveyed.append(1)
        return int(opened(parent, name, device))

    surveyed: list[int] = []
    monkeypatch.setattr(scratch.program, "open_directory", swapped)
    scratch.purge()
    assert not (scratch.tree / "a/b").is_symlink()


def test_a_tree_that_a_process_works_in_stays(scratch: Scratch) -> None:
    with (scratch.tree / "a/b/file").open():
        assert f"{scratch.tree}: kept: a process uses it" in scratch.purge()
    worker = subprocess.Popen([sys.executable, "-c", "input()"], cwd=scratch.tree / "a", stdin=-1)
    try:
        assert f"{scratch.tree}: kept: a process uses it" in scratch.purge()
    finally:
        worker.kill()
        worker.communicate()
    assert "removed 1 trees" in scratch.purge()


def test_what_vanishes_meanwhile_is_no_error(
    scratch: Scratch, monkeypatch: pytest.MonkeyPatch
) -> None:
    listed = os.listdir
    monkeypatch.setattr(
        scratch.program.os, "listdir", lambda place: [*listed(place), "has just gone"]
    )
    monkeypatch.setattr(scratch.program, "in_use", set)
    scratch.purge()
    assert not scratch.tree.exists()


def test_a_deep_tree_goes(scratch: Scratch) -> None:
    os.makedirs(scratch.tree / "/".join(["d"] * 500))
    assert "removed 1 trees" in scratch.purge()


def test_a_root_that_is_unfit_is_refused(scratch: Scratch) -> None:
    link = scratch.precious.parent / "link"
    link.symlink_to(scratch.inputs)
    for root, words in (
        (Path("/"), "too near to /"),
        (Path("/home"), "too near to /"),
        (link, "without symbolic links"),
    ):
        assert words in scratch.purge(root=root)
        assert scratch.status == 1
    assert scratch.tree.exists()


def test_a_root_of_somebody_else_is_refused(
    scratch: Scratch, monkeypatch: pytest.MonkeyPatch
) -> None:
    us = os.geteuid()
    monkeypatch.setattr(scratch.program.os, "geteuid", lambda: us + 1)
    assert "does not belong to the user of the purge" in scratch.purge()
    assert scratch.tree.exists()


class Cromwell(BaseHTTPRequestHandler):
    answer: dict[str, Any] = {}

    def do_GET(self) -> None:
        assert self.path.startswith("/api/workflows/v1/query?status=Submitted&status=Running")
        self.send_response(200)
        self.end_headers()
        self.wfile.write(json.dumps(self.answer).encode())

    def log_message(self, *_: object) -> None:
        pass


@pytest.fixture
def cromwell() -> Iterator[str]:
    server = HTTPServer(("127.0.0.1", 0), Cromwell)
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05})
    thread.start()
    yield f"http://127.0.0.1:{server.server_port}"
    server.shutdown()
    thread.join()
    server.server_close()


def test_what_cromwell_runs_stays(scratch: Scratch, cromwell: str) -> None:
    Cromwell.answer = {"results": [{"id": "old"}], "totalResultsCount": 1}
    asked = ("--executions", str(scratch.inputs), "--cromwell", cromwell)
    assert f"{scratch.tree}: kept: Cromwell runs it" in scratch.purge(*asked)
    Cromwell.answer = {"results": [], "totalResultsCount": 1}
    assert "names 0 of the 1 workflows" in scratch.purge(*asked)
    assert scratch.status == 1
    Cromwell.answer = {"results": [], "totalResultsCount": 0}
    assert "removed 1 trees" in scratch.purge(*asked)


@pytest.mark.parametrize("url", ["http://127.0.0.1:1", "http://gitlab.example", ""])
def test_without_cromwells_word_its_executions_stay(scratch: Scratch, url: str) -> None:
    printed = scratch.purge("--executions", str(scratch.inputs), "--cromwell", url)
    assert "left alone: Cromwell" in printed
    assert scratch.status == 1
    assert scratch.tree.exists()


def test_two_at_once_are_one(scratch: Scratch) -> None:
    lock = scratch.inputs.parent / "lock"
    with lock.open("w") as held:
        scratch.program.fcntl.flock(held, scratch.program.fcntl.LOCK_SH)
        command = [sys.executable, PROGRAM, "--lock", lock, "--inputs", scratch.inputs]
        done = subprocess.run(command, check=False, capture_output=True, text=True)
    assert done.returncode == 1
    assert f"another purge holds {lock}" in done.stderr
