# SPDX-License-Identifier: GPL-3.0-or-later
"""The scenario's two runners, and the GitLab that they ask for jobs."""

from __future__ import annotations

import re
import time
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from gitlab import GitLab
from testinfra.host import Host
from waiting import wait_until


class Runner:
    """One runner of the host."""

    def __init__(self, manager: str, number: int, gitlab: GitLab, jaws: Host) -> None:
        self.manager, self.number = manager, number
        self.gitlab, self.jaws = gitlab, jaws
        self.host = f"runner_{manager}"
        self.directory = f"/srv/runners/{manager}"

    @property
    def version(self) -> str:
        """The version that runs, or ran last."""
        return self.log.rpartition("Starting multi-runner")[2].splitlines()[0].split()[-1]

    @property
    def pids(self) -> list[int]:
        """The processes that are this runner, however they were started."""
        place = f"^python3 {self.directory}/gitlab-runner-[0-9a-f]+ run"
        return [int(pid) for pid in self.jaws.run("pgrep -f %s", place).stdout.split()]

    @property
    def pid(self) -> int:
        (found,) = self.pids
        return found

    def runs(self, pid: int) -> bool:
        return pid in self.pids

    @property
    def log(self) -> str:
        if self.manager == "nohup":
            return self.jaws.check_output(f"cat {self.directory}/gitlab-runner.log")
        return self.systemctl("journalctl --user --unit gitlab-runner --output cat")

    def has_logged(self, pattern: str) -> bool:
        """Whether the pattern is in the log, even across lines."""
        return re.search(pattern, self.log, re.DOTALL) is not None

    def systemctl(self, command: str) -> str:
        """Run a command as jaws, naming the user's systemd as needed after sudo."""
        return self.jaws.check_output(f"XDG_RUNTIME_DIR=/run/user/$(id -u) {command}")

    def by_hand(self) -> int:
        """Start it as operators do by hand, in its directory; return the new runner's pid."""
        typed = f"cd {self.directory}; nohup ./gitlab-runner run >>gitlab-runner.log 2>&1 &"
        self.jaws.check_output("bash -c %s </dev/null >/dev/null 2>&1", typed)
        wait_until(lambda: self.pids, "a runner that was started by hand")
        return self.pid

    def end(self) -> None:
        """End it by hand, together with its jobs."""
        if self.manager == "nohup":
            self.jaws.check_output(f"kill {self.pid}")
        else:
            self.systemctl("systemctl --user stop gitlab-runner")
        wait_until(lambda: not self.pids, "the end of the runner")

    def job(self, script: str) -> int:
        """Queue a job, wait until this runner has it, and return its number."""
        number = int(self.gitlab.ask("jobs", script=script, runner=self.number)["id"])
        wait_until(lambda: self.gitlab.job(number)["status"] != "pending", "a runner takes the job")
        return number

    def waiting_job(self) -> tuple[int, Callable[[], Any]]:
        """Start a job, and return it with a function that ends it."""
        file = f"/tmp/go-on-{self.number}-{time.monotonic_ns()}"
        number = self.job(f"while [ ! -e {file} ]; do sleep 0.1; done")
        return number, lambda: self.jaws.check_output(f"touch {file}")


class Runners:
    """Both runners, and their deploys: a play for both takes as long as a play for one."""

    def __init__(self, gitlab: GitLab, jaws: Host, operator: Any) -> None:
        numbers = {"nohup": 7, "systemd_user": 8}
        # In the order in which a deploy handles them.
        self.each = [Runner(manager, n, gitlab, jaws) for manager, n in numbers.items()]
        self.gitlab, self.jaws, self.operator = gitlab, jaws, operator

    def __iter__(self) -> Iterator[Runner]:
        return iter(self.each)

    @property
    def pids(self) -> list[int]:
        return [runner.pid for runner in self]

    def deploy(self, *arguments: str, other: bool = False, who: Any = None) -> Any:
        """Run the playbook; C(other) chooses another version of the binary than the running one."""
        version = self.each[0].version
        if other:
            version = {"one": "two", "two": "one"}[version]
        return (who or self.operator).play(
            "gitlab_runner", f"--extra-vars=version={version}", *arguments
        )


@pytest.fixture(scope="session")
def gitlab(machine: Host) -> GitLab:
    return GitLab(machine)


@pytest.fixture(scope="session")
def both(gitlab: GitLab, login: Callable[[str], Host], operator: Any) -> Runners:
    """The two runners, whatever state they are in."""
    return Runners(gitlab, login("jaws"), operator)


@pytest.fixture
def runners(both: Runners) -> Runners:
    """The two runners, running."""
    if [len(runner.pids) for runner in both] != [1, 1]:  # a test has ended one
        played = both.operator.play("recover")
        assert played.succeeded, played.output
    return both
