# SPDX-License-Identifier: GPL-3.0-or-later
"""The scenario's two runners, and the GitLab that they ask for jobs."""

from __future__ import annotations

import json
import time
from collections.abc import Callable
from typing import Any

import pytest
from testinfra.host import Host

from tests.integration.conftest import wait_until

ASK = """
import json, sys, urllib.request
path, body = json.load(sys.stdin)
url = "http://127.0.0.1:8929/fake/" + path
data = json.dumps(body).encode() if body else None
asked = urllib.request.Request(url, data, {"Content-Type": "application/json"})
print(urllib.request.urlopen(asked, timeout=10).read().decode())
"""


class GitLab:
    """The small GitLab in the container."""

    def __init__(self, machine: Host) -> None:
        self.machine = machine

    def ask(self, path: str, **body: Any) -> Any:
        typed = json.dumps([path, body])
        done = self.machine.check_output("python3 -c %s <<'END'\n" + typed + "\nEND", ASK)
        return json.loads(done)

    def job(self, number: int) -> dict[str, Any]:
        found: dict[str, Any] = self.ask("state")["jobs"][str(number)]
        return found

    def contacts(self, number: int) -> int:
        return int(self.ask("state")["runners"][str(number)]["contacts"])


class Runner:
    """One runner of the host, and who deploys it."""

    def __init__(
        self, manager: str, number: int, gitlab: GitLab, jaws: Host, operator: Any
    ) -> None:
        self.manager, self.number, self.gitlab = manager, number, gitlab
        self.jaws, self.operator = jaws, operator
        self.host = f"runner_{manager}"
        self.directory = f"/srv/runners/{manager}"

    @property
    def version(self) -> str:
        """The version that runs, or ran last."""
        return self.log.rpartition("Starting multi-runner")[2].splitlines()[0].split()[-1]

    def deploy(self, *arguments: str, other: bool = False, who: Any = None) -> Any:
        """Run the playbook on this runner alone; C(other) is another version of the binary."""
        version = {"one": "two", "two": "one"}[self.version] if other else self.version
        limit = (f"--limit={self.host}", f"--extra-vars=version={version}")
        return (who or self.operator).play("gitlab_runner", *limit, *arguments)

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

    def systemctl(self, command: str) -> str:
        """Run a command as jaws, who types where the user's systemd is, as after a sudo."""
        return self.jaws.check_output(f"XDG_RUNTIME_DIR=/run/user/$(id -u) {command}")

    def by_hand(self) -> int:
        """Type what operators type, in the runner's directory; return the new runner's pid."""
        typed = f"cd {self.directory}; nohup ./gitlab-runner run &"
        self.jaws.check_output("bash -c %s </dev/null >/dev/null 2>&1", typed)
        wait_until(lambda: self.pids, "a runner that was started by hand")
        return self.pid

    def end(self) -> None:
        """End it by hand, jobs and all."""
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
        """Start a job that goes on until the second that is returned is called."""
        file = f"/tmp/go-on-{self.number}-{time.monotonic_ns()}"
        number = self.job(f"while [ ! -e {file} ]; do sleep 0.1; done")
        return number, lambda: self.jaws.check_output(f"touch {file}")


@pytest.fixture(scope="session")
def gitlab(machine: Host) -> GitLab:
    return GitLab(machine)


@pytest.fixture(params=["nohup", "systemd_user"])
def runner(
    request: pytest.FixtureRequest, gitlab: GitLab, login: Callable[[str], Host], operator: Any
) -> Runner:
    """Each of the two runners, at work."""
    number = {"nohup": 7, "systemd_user": 8}[request.param]
    found = Runner(request.param, number, gitlab, login("jaws"), operator)
    if len(found.pids) != 1:  # a test before has failed
        played = found.deploy()
        assert played.succeeded, played.output
    return found
