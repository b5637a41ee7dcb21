# SPDX-License-Identifier: GPL-3.0-or-later
"""Run stages of the Makefile, each whatever became of the others, and report how each ended.

python stages.py CACHE [--parallel STAGE...] [--then STAGE[:NEED...]...]

A stage is a target of the Makefile. The parallel ones run two at a time; what each prints is shown
in one piece when it ends. The others follow one by one. A need is a target that sets up what this
stage alone uses: if it fails, the stage cannot run on this machine, and the others still do.

The tests of a stage are counted from the reports that pytest left: NAME.xml or NAME-*.xml. A stage
without a report, such as a gate, counts as one test. The last line is the sum.
"""

from __future__ import annotations

import argparse
import os
import re
import signal
import subprocess
import sys
import time
from collections.abc import Sequence
from concurrent.futures import FIRST_COMPLETED, Future, ThreadPoolExecutor, wait
from pathlib import Path
from typing import NamedTuple
from xml.etree import ElementTree

AT_ONCE = 2
# Seconds after which the parallel stages that still run are named.
HEARTBEAT = 10
# Lines of a failed need that are shown again at the end, as the reason.
REASON = 15
ROW = "{:<22}{:>7}{:>9}{:>9}{:>9}"
# A make that runs below another one is no part of its job server.
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


class Runner:
    """Runs targets of the Makefile in the current directory."""

    def __init__(self, cache: Path, make: Sequence[str] = ("make",)) -> None:
        self.cache = cache
        self.make = [*make, "--no-print-directory"]
        # A cache that is named is taken as it is: what sets the tools up has run by now. Not so for
        # a need, which is what sets up more.
        self.as_it_is = f"CACHE={cache}"
        flags = JOBS.sub("", os.environ.get("MAKEFLAGS", ""))
        self.environment = {**os.environ, "MAKEFLAGS": flags}
        self.running: set[subprocess.Popen[str]] = set()
        self.stopped = False

    def call(
        self, target: str, stdout: int | None, stderr: int | None, *variables: str
    ) -> tuple[int, str]:
        """Make a target; return its exit status, and what of its output is piped to us."""
        process = subprocess.Popen(
            [*self.make, *variables, target],
            env=self.environment,
            stdin=subprocess.DEVNULL,
            stdout=stdout,
            stderr=stderr,
            text=True,
        )
        self.running.add(process)
        if self.stopped:
            process.terminate()
        texts = process.communicate()
        self.running.discard(process)
        return process.returncode, "".join(text or "" for text in texts)

    def in_parallel(self, stages: Sequence[str]) -> list[Outcome]:
        """Run stages, some at a time, and say every few seconds which of them still run."""
        pool = ThreadPoolExecutor(AT_ONCE)
        pending = {pool.submit(self._captured, stage): stage for stage in stages}
        outcomes = []
        try:
            while pending:
                done, _ = wait(pending, HEARTBEAT, FIRST_COMPLETED)
                outcomes += [shown(future) for future in done]
                pending = {key: value for key, value in pending.items() if key not in done}
                if not done:
                    running = [name for future, name in pending.items() if future.running()]
                    say(f"still running: {', '.join(running)}")
        finally:
            pool.shutdown(wait=False, cancel_futures=True)
        return sorted(outcomes, key=lambda outcome: stages.index(outcome.stage))

    def _captured(self, stage: str) -> tuple[Outcome, str]:
        say(f"{stage}: started")
        started = time.monotonic()
        status, text = self.call(stage, subprocess.PIPE, subprocess.STDOUT, self.as_it_is)
        return self._outcome(stage, started, status), text

    def one(self, stage: str, needs: Sequence[str]) -> Outcome:
        """Run one stage, if what it needs can be set up; its output is not held back."""
        say(f"{stage}: started")
        started = time.monotonic()
        for need in needs:
            status, text = self.call(need, None, subprocess.PIPE)
            print(text, end="", flush=True)
            if status:
                return Outcome(stage, time.monotonic() - started, reason=why(text))
        status, _text = self.call(stage, None, None, self.as_it_is)
        return self._outcome(stage, started, status)

    def _outcome(self, stage: str, started: float, status: int) -> Outcome:
        seconds = time.monotonic() - started
        return Outcome(stage, seconds, count(reports(self.cache, stage), status))

    def stop(self, terminate: bool) -> None:
        """Wait for what still runs, and start nothing more."""
        self.stopped = True
        for process in list(self.running):
            if terminate:
                process.terminate()
            process.wait()


def why(text: str) -> str:
    """Return the last lines of a need's errors, without make's own."""
    lines = [line for line in text.splitlines() if line.strip() and not line.startswith("make")]
    return "\n".join(lines[-REASON:])


def shown(future: Future[tuple[Outcome, str]]) -> Outcome:
    """Print what a stage has printed, under its name."""
    outcome, text = future.result()
    verdict = "FAILED" if outcome.counts.failed else "passed"
    say(f"{outcome.stage}: {verdict} in {clock(outcome.seconds)}")
    print(text, end="", flush=True)
    return outcome


def say(text: str) -> None:
    # In one write: two threads may say something at once.
    print(f"-- {text}\n", end="", flush=True)


# ---- The summary


def clock(seconds: float) -> str:
    """Return minutes and seconds."""
    return "{}:{:02}".format(*divmod(round(seconds), 60))


def summary(outcomes: Sequence[Outcome], seconds: float) -> str:
    """Return one line a stage, the reasons of those that could not run, and the sum."""
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


def run(runner: Runner, parallel: Sequence[str], then: Sequence[str]) -> list[Outcome]:
    """Run all stages in their order, after the reports of earlier runs are removed."""
    needs = {stage: rest.split(",") if rest else [] for stage, rest in map(split, then)}
    for stage in (*parallel, *needs):
        for report in reports(runner.cache, stage):
            report.unlink()
    outcomes = runner.in_parallel(parallel)
    return outcomes + [runner.one(stage, needs[stage]) for stage in needs]


def split(word: str) -> tuple[str, str]:
    stage, _, needs = word.partition(":")
    return stage, needs


def terminated(number: int, _frame: object) -> None:
    sys.exit(128 + number)


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("cache", type=Path)
    parser.add_argument("--parallel", nargs="*", default=[], metavar="STAGE")
    parser.add_argument("--then", nargs="*", default=[], metavar="STAGE[:NEED,...]")
    options = parser.parse_args()
    signal.signal(signal.SIGTERM, terminated)
    started = time.monotonic()
    runner = Runner(options.cache)
    try:
        outcomes = run(runner, options.parallel, options.then)
    except KeyboardInterrupt:
        # A terminal sends it to the stages too, which clean up.
        runner.stop(terminate=False)
        sys.exit(128 + signal.SIGINT)
    except SystemExit:
        runner.stop(terminate=True)
        raise
    print(summary(outcomes, time.monotonic() - started))
    sys.exit(not succeeded(outcomes))


if __name__ == "__main__":
    main()
