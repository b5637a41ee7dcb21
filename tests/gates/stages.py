# SPDX-License-Identifier: GPL-3.0-or-later
"""Run stages of the Makefile, even if others have failed, and report how each ended.

python stages.py CACHE [--together STAGE[:NEED,...] ...]...

A stage is a target of the Makefile. The stages that are named together run two at a time, in this
order, and all of them end before those of the next group start. What a stage prints is shown in one
piece when it ends; until then, its last line shows that it makes progress. A need is a target that
sets up what only this stage uses: if it fails, the stage cannot run on this machine, and the
others still do.

The tests of a stage are counted from the reports that pytest left: NAME.xml or NAME-*.xml. A stage
without a report, such as a gate, counts as one test. The last line is the sum.
"""

from __future__ import annotations

import argparse
import itertools
import os
import re
import signal
import subprocess
import sys
import time
from collections.abc import Sequence
from concurrent.futures import FIRST_COMPLETED, ThreadPoolExecutor, wait
from pathlib import Path
from threading import Lock
from typing import NamedTuple
from xml.etree import ElementTree

AT_ONCE = 2
# Seconds after which the running stages are listed, and the length of their last lines.
HEARTBEAT = 10
PROGRESS = 40
# Seconds to wait for the last words of a stage that was stopped.
READING = 10
# The number of lines of a failed need that are shown again at the end, as the reason.
REASON = 15
ROW = "{:<22}{:>7}{:>9}{:>9}{:>9}"
# A make that runs below another one must not use its job server.
JOBS = re.compile(r"(^|\s)(-j\d*|--jobserver-\S+)(?=\s|$)")


class Counts(NamedTuple):
    """How many tests there were."""

    passed: int = 0
    failed: int = 0
    skipped: int = 0


class Outcome(NamedTuple):
    """How a stage ended; C(reason) is empty unless it could not run."""

    stage: str
    seconds: float
    counts: Counts = Counts()
    reason: str = ""


# ---- Counting


def reports(cache: Path, stage: str) -> list[Path]:
    """Return the reports that a stage has left."""
    name = stage.removeprefix("test-")
    found = [*(cache / "reports").glob(f"{name}.xml"), *(cache / "reports").glob(f"{name}-*.xml")]
    return sorted(found)


def count(paths: Sequence[Path], status: int) -> Counts:
    """Add reports up; a failure that they do not show, such as a crash, counts as one."""
    total = dict.fromkeys(("tests", "failures", "errors", "skipped"), 0)
    for path in paths:
        for suite in ElementTree.parse(path).getroot().iter("testsuite"):
            for key in total:
                total[key] += int(suite.get(key, "0"))
    failed = total["failures"] + total["errors"]
    passed = total["tests"] - failed - total["skipped"]
    if not paths and status == 0:
        passed = 1
    elif not failed and (status or not passed):
        failed = 1
    return Counts(passed, failed, total["skipped"])


# ---- Running


class Stage:
    """A stage that may have started: what it has printed so far, and how it ended."""

    def __init__(self, word: str) -> None:
        self.name, _, needs = word.partition(":")
        self.needs = needs.split(",") if needs else []
        self.lines: list[str] = []
        self.started = 0.0

    @property
    def progress(self) -> str:
        """Its name, how long it has been running, and the last line that it printed."""
        last = self.lines[-1].strip()[-PROGRESS:] if self.lines else ""
        taken = clock(time.monotonic() - self.started)
        return f"{self.name} {taken} {last}".rstrip()


class Runner:
    """Runs targets of the Makefile in the current directory."""

    def __init__(self, cache: Path, make: Sequence[str] = ("make",)) -> None:
        self.cache = cache
        self.make = [*make, "--no-print-directory"]
        # A cache that is named is used as it is, because the tools are set up by now. Not so for a
        # need, which sets up more.
        self.as_it_is = f"CACHE={cache}"
        flags = JOBS.sub("", os.environ.get("MAKEFLAGS", ""))
        self.environment = {**os.environ, "MAKEFLAGS": flags}
        # Two that install packages at once would interfere.
        self.setting_up = Lock()
        self.running: set[subprocess.Popen[str]] = set()
        self.stopped = False

    def together(self, words: Sequence[str]) -> list[Outcome]:
        """Run stages, some at a time, and report their progress every few seconds."""
        stages = [Stage(word) for word in words]
        pool = ThreadPoolExecutor(AT_ONCE)
        pending = {pool.submit(self._run, stage): stage for stage in stages}
        outcomes = {}
        try:
            while pending:
                done, _ = wait(pending, HEARTBEAT, FIRST_COMPLETED)
                for future in done:
                    stage = pending.pop(future)
                    outcomes[stage.name] = show(future.result(), stage)
                if not done:
                    moving = [stage for future, stage in pending.items() if future.running()]
                    say(f"still running: {'; '.join(stage.progress for stage in moving)}")
        except (KeyboardInterrupt, SystemExit) as stopped:
            pool.shutdown(wait=False, cancel_futures=True)
            # A terminal also sends the first to the stages, which clean up.
            self._stop(terminate=isinstance(stopped, SystemExit))
            wait(pending, READING)  # for what they have printed
            for stage in pending.values():
                print("".join(stage.lines), end="", flush=True)
            raise
        return [outcomes[stage.name] for stage in stages]

    def _run(self, stage: Stage) -> Outcome:
        say(f"{stage.name}: started")
        stage.started = time.monotonic()
        for need in stage.needs:
            with self.setting_up:
                before = len(stage.lines)
                status = self._make(stage.lines, need)
            if status:
                return self._outcome(stage, Counts(), why(stage.lines[before:]))
        status = self._make(stage.lines, stage.name, self.as_it_is)
        return self._outcome(stage, count(reports(self.cache, stage.name), status))

    def _outcome(self, stage: Stage, counts: Counts, reason: str = "") -> Outcome:
        return Outcome(stage.name, time.monotonic() - stage.started, counts, reason)

    def _make(self, lines: list[str], *words: str) -> int:
        """Make a target; add what it prints to the lines, and return its exit status."""
        process = subprocess.Popen(
            [*self.make, *words],
            env=self.environment,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            errors="replace",
        )
        self.running.add(process)
        if self.stopped:
            process.terminate()
        assert process.stdout
        lines.extend(process.stdout)
        self.running.discard(process)
        return process.wait()

    def _stop(self, terminate: bool) -> None:
        """Wait for the running stages, and start no more."""
        self.stopped = True
        for process in list(self.running):
            if terminate:
                process.terminate()
            process.wait()


def why(lines: Sequence[str]) -> str:
    """Return the last lines that a need printed, without make's own."""
    kept = [line.rstrip() for line in lines if line.strip() and not line.startswith("make")]
    return "\n".join(kept[-REASON:])


def show(outcome: Outcome, stage: Stage) -> Outcome:
    """Print what a stage has printed, under its name."""
    verdict = "FAILED" if outcome.counts.failed else "could not run" if outcome.reason else "passed"
    say(f"{outcome.stage}: {verdict} in {clock(outcome.seconds)}")
    print("".join(stage.lines), end="", flush=True)
    return outcome


def say(text: str) -> None:
    # In one write, because two threads may print at once.
    print(f"-- {text}\n", end="", flush=True)


# ---- The summary


def clock(seconds: float) -> str:
    """Return minutes and seconds."""
    return "{}:{:02}".format(*divmod(round(seconds), 60))


def summary(outcomes: Sequence[Outcome], seconds: float) -> str:
    """Return one line for each stage, the reasons why some could not run, and the sum."""
    lines = [ROW.format("STAGE", "TIME", "PASSED", "FAILED", "SKIPPED")]
    lines += [row(outcome) for outcome in outcomes]
    lines.append(ROW.format("all", clock(seconds), "", "", "").rstrip())
    for outcome in outcomes:
        if outcome.reason:
            lines.append(f"{outcome.stage} could not run:")
            lines += [f"    {line}" for line in outcome.reason.splitlines()]
    total = Counts(*map(sum, zip(*(outcome.counts for outcome in outcomes), strict=True)))
    return "\n".join([*lines, "{} passed, {} failed, {} skipped".format(*total)])


def row(outcome: Outcome) -> str:
    time_taken = clock(outcome.seconds)
    if outcome.reason:
        return ROW.format(outcome.stage, time_taken, "", "", "").rstrip() + "   could not run"
    return ROW.format(outcome.stage, time_taken, *outcome.counts)


def succeeded(outcomes: Sequence[Outcome]) -> bool:
    """Whether every stage could run, something passed, and nothing failed."""
    return any(outcome.counts.passed for outcome in outcomes) and not any(
        outcome.reason or outcome.counts.failed for outcome in outcomes
    )


# ---- The command


def run(runner: Runner, groups: Sequence[Sequence[str]]) -> list[Outcome]:
    """Run all groups in their order, after the reports of earlier runs are removed."""
    for word in itertools.chain(*groups):
        for report in reports(runner.cache, Stage(word).name):
            report.unlink()
    return [outcome for group in groups for outcome in runner.together(group)]


def terminated(number: int, _frame: object) -> None:
    sys.exit(128 + number)


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("cache", type=Path)
    parser.add_argument(
        "--together", nargs="+", action="append", default=[], metavar="STAGE[:NEED,...]"
    )
    options = parser.parse_args()
    signal.signal(signal.SIGTERM, terminated)
    started = time.monotonic()
    runner = Runner(options.cache)
    try:
        outcomes = run(runner, options.together)
    except KeyboardInterrupt:
        sys.exit(128 + signal.SIGINT)
    print(summary(outcomes, time.monotonic() - started))
    sys.exit(not succeeded(outcomes))


if __name__ == "__main__":
    main()
