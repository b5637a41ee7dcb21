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
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path
from typing import Any

import pytest

from tests.integration.conftest import CLONE, wait_until

PROGRAM = CLONE / "roles/purge/files/purge.py"
LATER = 30 * 86400


def program() -> Any:
    spec = importlib.util.spec_from_file_location("purge", PROGRAM)
    assert spec
    assert spec.loader
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


class Scratch:
    """A scratch directory with one old tree, and what the program prints and does there."""

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
        self.program.report(options)
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
    # A copy keeps old times, but its ctime shows when it arrived.
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


@pytest.mark.parametrize("time_of_swap", ["the last look", "the removal"])
def test_a_directory_that_is_swapped_for_a_link_leads_nowhere(
    scratch: Scratch, monkeypatch: pytest.MonkeyPatch, time_of_swap: str
) -> None:
    opened = scratch.program.open_directory
    place = scratch.inputs / "user/.purge.old/a"

    def swapped(parent: int, name: str, device: int) -> int:
        if name == "b":
            times.append(1)
            if len(times) == {"the last look": 2, "the removal": 3}[time_of_swap]:
                (place / "b").rename(place / "moved")
                (place / "b").symlink_to(scratch.precious)
        return int(opened(parent, name, device))

    times: list[int] = []
    monkeypatch.setattr(scratch.program, "open_directory", swapped)
    scratch.purge()
    assert len(times) >= 2
    assert (scratch.tree / "a/b").is_symlink() is (time_of_swap == "the last look")


@pytest.mark.parametrize("what", ["is opened", "is changed"])
def test_a_tree_that_is_used_after_the_first_look_gets_its_name_back(
    scratch: Scratch, monkeypatch: pytest.MonkeyPatch, what: str
) -> None:
    rename = os.rename

    def late(name: str, *rest: Any, **places: Any) -> None:
        if name == "old" and what == "is opened":
            opened.append((scratch.tree / "a/b/file").open())
        if name == "old" and what == "is changed":
            os.utime(scratch.tree / "a/b/file", (time.time() + LATER,) * 2)
        rename(name, *rest, **places)

    opened: list[Any] = []
    monkeypatch.setattr(scratch.program.os, "rename", late)
    reason = {"is opened": "a process uses it", "is changed": "it was changed just now"}[what]
    assert f"{scratch.tree}: kept: {reason}" in scratch.purge()
    assert scratch.status == 0
    assert (scratch.tree / "a/b/file").read_text() == "x" * 5000
    assert os.listdir(scratch.tree.parent) == ["old"]
    for file in opened:
        file.close()


def test_the_renaming_itself_does_not_count_as_a_change(scratch: Scratch) -> None:
    newest = max(path.lstat().st_ctime for path in [scratch.tree, *scratch.tree.rglob("*")])
    probe = scratch.precious / "probe"

    def later() -> bool:
        probe.write_text("")
        return probe.stat().st_ctime > newest + 0.001

    # By the true clock, the tree is old, and the renaming is recent.
    wait_until(later, "the clock of the filesystem goes on")
    sweep = scratch.program.Sweep(str(scratch.inputs), newest + 0.001, frozenset(), False)
    sweep.run()
    assert not scratch.tree.exists()
    assert os.listdir(scratch.tree.parent) == []


def test_a_name_that_was_taken_meanwhile_is_not_taken_back(
    scratch: Scratch, monkeypatch: pytest.MonkeyPatch
) -> None:
    aside = scratch.tree.with_name(".purge.old")

    def used() -> set[tuple[int, int]]:
        if not aside.exists():
            return set()
        scratch.tree.mkdir()
        info = aside.stat()
        return {(info.st_dev, info.st_ino)}

    monkeypatch.setattr(scratch.program, "in_use", used)
    assert "old was made again meanwhile, so the old one stays in .purge.old" in scratch.purge()
    assert scratch.status == 1
    assert (aside / "a/b/file").exists()
    assert scratch.tree.exists()


def test_what_a_killed_purge_left_is_finished(scratch: Scratch) -> None:
    aside = scratch.tree.with_name(".purge.old")
    scratch.tree.rename(aside)
    with (aside / "a/b/file").open():
        assert "kept: a process uses it" in scratch.purge()
    assert scratch.tree.exists()
    scratch.tree.rename(aside)
    assert "removed 1 trees" in scratch.purge()
    assert os.listdir(aside.parent) == []


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


def test_what_vanishes_meanwhile_is_not_an_error(
    scratch: Scratch, monkeypatch: pytest.MonkeyPatch
) -> None:
    listed = os.listdir
    monkeypatch.setattr(
        scratch.program.os, "listdir", lambda place: [*listed(place), "has just gone"]
    )
    monkeypatch.setattr(scratch.program, "in_use", set)
    scratch.purge()
    assert not scratch.tree.exists()


CHILD = """
import importlib.util, os, sys, time
spec = importlib.util.spec_from_file_location("purge", sys.argv[1])
program = importlib.util.module_from_spec(spec)
spec.loader.exec_module(program)
if os.geteuid() == 0 and sys.argv[2] == "as nobody":
    os.setgroups([])
    os.setgid(65534)
    os.setuid(65534)
options = program.arguments().parse_args(sys.argv[3:])
program.report(options)
sys.exit(program.run(options, time.time() + 30 * 86400))
"""


def child(who: str, root: Path) -> list[str]:
    """Return the command that purges a root in a separate process, a month later."""
    words = [str(PROGRAM), who, "--lock", str(root / "lock"), "--inputs", str(root)]
    return [sys.executable, "-c", CHILD, *words]


def test_what_may_not_be_read_is_left_alone_and_reported(short_tmp: Path) -> None:
    root = short_tmp / "scratch/inputs"
    for folder in ("open/good/a", "open/shut/a", "shut/tree"):
        (root / folder).mkdir(parents=True)
    if os.geteuid() == 0:
        for path in [short_tmp, *short_tmp.rglob("*")]:
            os.chown(path, 65534, 65534)
    shut = (root / "open/shut/a", root / "shut")
    for path in shut:
        path.chmod(0)
    done = subprocess.run(child("as nobody", root), check=False, capture_output=True, text=True)
    for path in shut:
        path.chmod(0o700)
    assert done.returncode == 1
    assert f"{root}/open/shut: kept: [Errno 13] Permission denied" in done.stdout, done.stderr
    assert f"{root}/shut: kept: [Errno 13] Permission denied" in done.stdout
    assert f"{root}: removed 1 trees" in done.stdout
    assert not (root / "open/good").exists()
    assert all(path.exists() for path in (*shut, root / "shut/tree"))


MOUNTED = """
mount -t tmpfs none "$0"
touch "$0/wanted"
"$@" || echo "status $?"
test -e "$0/wanted"
echo kept
"""


def test_another_filesystem_is_not_crossed(scratch: Scratch) -> None:
    place = scratch.tree / "a/mounted"
    place.mkdir()
    namespace = ["unshare", "--mount", *([] if os.geteuid() == 0 else ["--map-root-user"])]
    command = [*namespace, "sh", "-ec", MOUNTED, str(place), *child("as us", scratch.inputs)]
    done = subprocess.run(command, check=True, capture_output=True, text=True)
    assert f"{scratch.tree}: kept: mounted is on another filesystem" in done.stdout
    assert done.stdout.endswith("status 1\nkept\n")
    assert (scratch.tree / "a/b/file").exists()


def test_a_deep_tree_goes(scratch: Scratch) -> None:
    os.makedirs(scratch.tree / "/".join(["d"] * 500))
    assert "removed 1 trees" in scratch.purge()


def test_a_root_that_is_unfit_is_refused(scratch: Scratch) -> None:
    link = scratch.precious.parent / "link"
    link.symlink_to(scratch.inputs)
    for root, words in (
        (Path("/"), "too close to /"),
        (Path("/home"), "too close to /"),
        (link, "without symbolic links"),
    ):
        assert words in scratch.purge(root=root)
        assert scratch.status == 1
    assert scratch.tree.exists()


def test_a_root_of_another_user_is_refused(
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


@contextmanager
def cromwell_server() -> Iterator[str]:
    """Serve C(Cromwell.answer), and yield its url."""
    server = HTTPServer(("127.0.0.1", 0), Cromwell)
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05})
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_port}"
    finally:
        server.shutdown()
        thread.join()
        server.server_close()


@pytest.fixture
def cromwell() -> Iterator[str]:
    with cromwell_server() as url:
        yield url


def test_what_cromwell_runs_stays(scratch: Scratch, cromwell: str) -> None:
    Cromwell.answer = {"results": [{"id": "old"}], "totalResultsCount": 1}
    asked = ("--executions", str(scratch.inputs), "--cromwell", cromwell)
    assert f"{scratch.tree}: kept: Cromwell runs it" in scratch.purge(*asked)
    Cromwell.answer = {"results": [], "totalResultsCount": 1}
    assert "named 0 of the 1 workflows" in scratch.purge(*asked)
    assert scratch.status == 1
    Cromwell.answer = {"results": [], "totalResultsCount": 0}
    assert "removed 1 trees" in scratch.purge(*asked)


@pytest.mark.parametrize("url", ["http://127.0.0.1:1", "http://gitlab.example", ""])
def test_executions_stay_if_cromwell_cannot_be_asked(scratch: Scratch, url: str) -> None:
    printed = scratch.purge("--executions", str(scratch.inputs), "--cromwell", url)
    assert "left alone: " in printed
    assert "Cromwell" in printed
    assert scratch.status == 1
    assert scratch.tree.exists()


def test_everything_goes_to_the_log_and_problems_also_to_stderr(scratch: Scratch) -> None:
    log = scratch.inputs.parent / "log"
    with (scratch.tree / "a/b/file").open():
        assert scratch.purge("--log", str(log)) == ""
    assert f"{scratch.tree}: kept: a process uses it" in log.read_text()
    printed = scratch.purge("--log", str(log), root=scratch.precious / "missing")
    assert "left alone" in printed
    assert printed.strip() in log.read_text()
    assert scratch.status == 1
    written = log.read_text()
    assert "would remove 1 trees" in scratch.purge("--log", str(log), "--dry-run")
    assert log.read_text() == written


def test_of_two_purges_at_once_one_runs(scratch: Scratch) -> None:
    lock = scratch.inputs.parent / "lock"
    with lock.open("w") as held:
        scratch.program.fcntl.flock(held, scratch.program.fcntl.LOCK_SH)
        command = [sys.executable, PROGRAM, "--lock", lock, "--inputs", scratch.inputs]
        done = subprocess.run(command, check=False, capture_output=True, text=True)
    assert done.returncode == 1
    assert f"another purge has locked {lock}" in done.stderr
