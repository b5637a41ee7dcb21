# SPDX-License-Identifier: GPL-3.0-or-later
"""Facts about tests/gates/stages.py: each stage runs even if others have failed."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from collection import ROOT

SCRIPT = ROOT / "tests/gates/stages.py"
REPORT = '<testsuites><testsuite tests="{}" failures="{}" errors="{}" skipped="{}"/></testsuites>'
MAKEFILE = """\
good:
\t@echo I am good
bad:
\t@echo I am bad; exit 3
none:
\t@cp empty.xml reports/none.xml
tested:
\t@cp some.xml reports/tested.xml
crashed:
\t@cp passed.xml reports/crashed.xml; exit 1
test-hosts:
\t@cp some.xml reports/hosts-one.xml; cp some.xml reports/hosts-two.xml
need:
\t@echo It was tried; echo 'tool missing: install tool' >&2; exit 1
ready:
\t@test -z '$(CACHE)' && touch made
needing:
\t@test -n '$(CACHE)' && test -e made
"""


class Tree:
    """A directory with a Makefile whose stages end in different ways."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.reports = folder / "reports"
        self.reports.mkdir()
        (folder / "Makefile").write_text(MAKEFILE)
        for name, counts in (
            ("empty", (0, 0, 0, 0)),
            ("some", (7, 1, 2, 1)),
            ("passed", (3, 0, 0, 0)),
        ):
            (folder / f"{name}.xml").write_text(REPORT.format(*counts))

    def command(self, *arguments: str) -> list[str]:
        return [sys.executable, str(SCRIPT), str(self.folder), *arguments]

    def run(self, *arguments: str, **variables: str) -> tuple[int, list[str]]:
        """Return the exit status and the lines that were printed."""
        foreign = ("CACHE", "MAKE", "MFLAGS")
        kept = {key: value for key, value in os.environ.items() if not key.startswith(foreign)}
        done = subprocess.run(
            self.command(*arguments),
            cwd=self.folder,
            env={**kept, **variables},
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            check=False,
        )
        return done.returncode, done.stdout.splitlines()


@pytest.fixture
def tree(tmp_path: Path) -> Tree:
    return Tree(tmp_path)


def row(lines: list[str], stage: str) -> list[str]:
    """Return what the summary says about a stage, except its time."""
    words = [line.split() for line in lines[lines.index(heading(lines)) :]]
    return next(found[2:] for found in words if found and found[0] == stage)


def heading(lines: list[str]) -> str:
    return next(line for line in lines if line.startswith("STAGE "))


def test_gates_and_tests_that_pass_are_a_success(tree: Tree) -> None:
    (tree.folder / "some.xml").write_text(REPORT.format(5, 0, 0, 2))
    status, lines = tree.run("--together", "good", "tested", "--together", "test-hosts")
    assert (status, lines[-1]) == (0, "10 passed, 0 failed, 6 skipped")
    assert row(lines, "good") == ["1", "0", "0"]
    assert row(lines, "tested") == ["3", "0", "2"]
    assert row(lines, "test-hosts") == ["6", "0", "4"]


@pytest.mark.parametrize("after", [[], ["--together"]])
def test_a_failure_does_not_stop_the_other_stages(tree: Tree, after: list[str]) -> None:
    status, lines = tree.run("--together", "bad", *after, "tested", "good")
    assert (status, lines[-1]) == (1, "4 passed, 4 failed, 1 skipped")
    assert row(lines, "bad") == ["0", "1", "0"]
    assert row(lines, "tested") == ["3", "3", "1"]
    assert row(lines, "good") == ["1", "0", "0"]


def test_a_stage_that_cannot_run_is_named_with_the_reason_and_the_others_run(tree: Tree) -> None:
    status, lines = tree.run("--together", "bad:need", "needing:ready", "good")
    assert (status, lines[-1]) == (1, "2 passed, 0 failed, 0 skipped")
    assert row(lines, "bad") == ["could", "not", "run"]
    assert row(lines, "needing") == ["1", "0", "0"]
    reason = lines.index("bad could not run:")
    assert lines[reason + 1 : -1] == ["    It was tried", "    tool missing: install tool"]
    assert "I am bad" not in lines


def test_a_crash_after_tests_that_passed_is_a_failure(tree: Tree) -> None:
    status, lines = tree.run("--together", "crashed")
    assert (status, lines[-1]) == (1, "3 passed, 1 failed, 0 skipped")


def test_a_stage_without_any_test_is_a_failure(tree: Tree) -> None:
    status, lines = tree.run("--together", "none")
    assert (status, lines[-1]) == (1, "0 passed, 1 failed, 0 skipped")


def test_a_run_without_any_stage_is_not_a_success(tree: Tree) -> None:
    status, lines = tree.run()
    assert (status, lines[-1]) == (1, "0 passed, 0 failed, 0 skipped")


def test_a_report_of_an_earlier_run_does_not_count(tree: Tree) -> None:
    (tree.reports / "good.xml").write_text(REPORT.format(100, 50, 0, 0))
    assert tree.run("--together", "good")[1][-1] == "1 passed, 0 failed, 0 skipped"


def test_what_a_stage_prints_is_shown_in_one_piece_under_its_name(tree: Tree) -> None:
    _, lines = tree.run("--together", "bad", "good")
    assert lines[lines.index("I am good") - 1].startswith("-- good: passed in 0:0")
    assert lines[lines.index("I am bad") - 1].startswith("-- bad: FAILED in 0:0")
    assert "-- good: started" in lines


def test_stages_that_take_long_are_named_while_they_run(tree: Tree) -> None:
    (tree.folder / "Makefile").write_text("long:\n\t@echo so far; until [ -e said ]; do :; done\n")
    code = f"import runpy, sys; m = runpy.run_path({str(SCRIPT)!r}); g = m['main'].__globals__"
    code += "; g['HEARTBEAT'] = 0.05; say = g['say']"
    code += "; g['say'] = lambda text: (say(text), 'so far' in text and open('said', 'w').close())"
    command = [sys.executable, "-c", f"{code}; m['main']()", str(tree.folder), "--together", "long"]
    done = subprocess.run(command, cwd=tree.folder, check=True, capture_output=True, text=True)
    assert "-- still running: long 0:00 so far" in done.stdout.splitlines()


def test_the_jobs_of_an_outer_make_are_ignored(tree: Tree) -> None:
    flags = " -j4 --jobserver-auth=3,4 -- WORD=a\\ b"
    (tree.folder / "Makefile").write_text("good:\n\t@echo '$(WORD)'\n")
    _, lines = tree.run("--together", "good", MAKEFLAGS=flags)
    assert "a b" in lines
    assert not [line for line in lines if "jobserver" in line]


def test_running_stages_end_with_the_runner(tree: Tree) -> None:
    (tree.folder / "Makefile").write_text("long:\n\t@echo $$$$ | tee pid; exec sleep 1000\n")
    command = tree.command("--together", "long")
    with subprocess.Popen(command, cwd=tree.folder, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout
        assert process.stdout.readline() == "-- long: started\n"
        file = tree.folder / "pid"
        while not (pid := file.read_text().strip() if file.exists() else ""):
            pass
        process.send_signal(signal.SIGTERM)
        # The pipe closes when the last process that writes to it has ended.
        assert pid in process.stdout.read().splitlines()
        assert process.wait() == 128 + signal.SIGTERM
    with pytest.raises(ProcessLookupError):
        os.kill(int(pid), 0)
