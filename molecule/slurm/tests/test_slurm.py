# SPDX-License-Identifier: GPL-3.0-or-later
"""Perlmutter, whose supervisords run in Slurm jobs: what can happen to a job, on the real Slurm.

Each event leaves the services running, and prints how many seconds that took (pytest -s). Most
happen to dev; those that take long happen to prod and to the gitlab-runner meanwhile.
"""

from __future__ import annotations

import json
import re
import shutil
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from conftest import Person
from gitlab import GitLab
from testinfra.host import Host
from waiting import wait_until

CLONE = Path(__file__).parents[3]
INSTALL = "/global/cfs/cdirs/jaws/jaws-install"
SERVICES = 4
# Services of this release end after a second.
FAILING = {
    "slurm_wait": 2,
    "jaws_configs": {
        "jaws-site.conf": {
            "SITE": {"max_ram_gb": 492, "max_cpu": 128, "max_time": 1440},
            "STANDIN": {"crash_after": 1, "exit_status": 7},
        }
    },
}
FOREIGN = "#SCRON --time=1\n0 0 1 1 * true"


class InAJob:
    """What runs in one job, with the commands that jaws and the administrators type."""

    name: str
    directory: str
    files: str
    python: str
    pattern: str  # of its processes

    def __init__(self, login: Callable[[str], Host], root: Host) -> None:
        self.jaws = login("jaws")
        self.root = root
        self.nodes = {name: login(f"jaws_{name}") for name in ("node1", "node2")}

    def starter(self, command: str, *options: str) -> str:
        """Run what scrontab runs."""
        words = [
            self.python,
            f"{self.files}/job.py",
            command,
            *options,
            f"{self.files}/job.json",
        ]
        return self.jaws.check_output(" ".join(words))

    @property
    def job(self) -> dict[str, Any]:
        """What Slurm says about the job; nothing if there is none."""
        return dict(json.loads(self.starter("state"))["job"] or {})

    @property
    def log(self) -> str:
        return self.jaws.check_output(f"cat {self.files}/job.log")

    def processes(self, node: str) -> str:
        return self.nodes[node].run(f"pgrep -u jaws -f '^{self.pattern}'").stdout

    def serves(self, node: str) -> bool:
        """Return whether everything in the job does its work on a node."""
        raise NotImplementedError

    def await_other(self, number: str, since: float) -> dict[str, Any]:
        """Wait until another job, or another run of it, serves; print how long that took."""

        def serves() -> bool:
            job = self.job
            begun = job.get("state") == "RUNNING" and job["id"] + job["node"] != number
            return begun and self.serves(job["node"])

        wait_until(serves, "the next job serves", pause=1)
        print(f"\n{self.name}: services again after at most {time.monotonic() - since:.0f} s")
        return self.job


class Runner(InAJob):
    """The gitlab-runner."""

    name = "runner"
    directory = f"{INSTALL}/runner"
    files = f"{directory}/job"
    python = "/usr/bin/python3"
    pattern = f"python3 {INSTALL}/gitlab-runner-bin run"

    def __init__(self, login: Callable[[str], Host], root: Host) -> None:
        super().__init__(login, root)
        self.gitlab = GitLab(root)

    def serves(self, node: str) -> bool:
        """Return whether it has taken a job on the node since it was asked for that."""
        if not self.processes(node):
            return False
        number = self.gitlab.ask("jobs", script="uname -n; env | grep ^SLURM_ || :", runner=7)["id"]
        wait_until(lambda: self.gitlab.job(number)["status"] == "success", "its job")
        # Its jobs see nothing of the Slurm job that they run in.
        wait_until(lambda: self.gitlab.job(number)["trace"] == f"{node}\n", "what its job prints")
        return True


class Site(InAJob):
    """One deployment on the cluster."""

    def __init__(self, login: Callable[[str], Host], root: Host, deployment: str = "dev") -> None:
        super().__init__(login, root)
        self.name = self.deployment = deployment
        self.directory = self.pattern = f"{INSTALL}/perlmutter-{deployment}"
        self.supervisor = f"{self.directory}/supervisord"
        self.run_dir = f"/tmp/jaws-supervisord-perlmutter-{deployment}"
        self.files = f"{self.directory}/jaws-{deployment}/job"
        self.python = f"{self.supervisor}/venv/bin/python"

    @property
    def elapsed(self) -> int:
        """The seconds that the job has run, of its ninety days."""
        return 90 * 86400 - int(self.job["seconds_left"])

    def pids(self, node: str) -> list[str]:
        """Return the pids of the services that are RUNNING on a node."""
        command = f"{self.supervisor}/bin/supervisorctl -c {self.supervisor}/supervisord-jaws.conf"
        shown = self.nodes[node].run(f"{command} status").stdout
        return [
            line.split()[3].rstrip(",")
            for line in shown.splitlines()
            if line.split()[1] == "RUNNING"
        ]

    def serves(self, node: str) -> bool:
        return len(self.pids(node)) == SERVICES

    def is_in_service(self, node: str) -> bool:
        """Return whether Slurm uses a node again, which may have come back by itself."""
        self.root.run(f"scontrol update nodename={node} state=resume")
        state = self.root.check_output(f"sinfo --noheader --nodes={node} --format=%T")
        return state in ("idle", "mixed", "allocated")

    def led_to(self) -> str:
        """Return the address that the name in the DNS leads to."""
        return self.root.check_output(f"dig +short @localhost jaws-{self.deployment}.dyn.test")

    def address(self, node: str) -> str:
        return self.root.check_output(f"getent hosts {node}").split()[0]


@pytest.fixture
def site(login: Callable[[str], Host], machine: Host) -> Site:
    """dev, with its services running."""
    return serving(Site(login, machine))


def serving(site: Site) -> Site:
    if site.job.get("state") != "RUNNING":
        site.starter("submit", "--wait", "180")
    wait_until(lambda: site.serves(site.job["node"]), "the services run", pause=1)
    return site


class Elsewhere:
    """What happens to prod and the runner meanwhile: a time limit, and a scancel."""

    def __init__(self, login: Callable[[str], Host], root: Host) -> None:
        self.prod, self.runner = serving(Site(login, root, "prod")), Runner(login, root)
        self.before = {"prod": self.prod.job, "runner": self.runner.job}
        self.since = time.monotonic()
        self.scancel(self.runner)
        # Less is left than its services may take to stop, and more than they take here.
        limit = self.prod.elapsed // 60 + 2
        number = self.before["prod"]["id"]
        self.prod.jaws.check_output(f"scontrol update jobid={number} timelimit={limit}")
        self.cancelled: dict[str, Any] = {}

    def scancel(self, one: InAJob) -> None:
        one.jaws.check_output(f"scancel {one.job['id']}")

    def cancel_prod(self) -> dict[str, Any]:
        """End the job that prod has then, once; return it."""
        if not self.cancelled:
            self.cancelled, self.since = serving(self.prod).job, time.monotonic()
            self.scancel(self.prod)
        return self.cancelled


@pytest.fixture(scope="session")
def elsewhere(login: Callable[[str], Host], machine: Host) -> Elsewhere:
    """The events begin when the first test asks for them."""
    return Elsewhere(login, machine)


def engine(*command: str) -> None:
    subprocess.run([str(CLONE / "molecule/bin/engine"), *command], check=True)


def container(node: str) -> str:
    asked = [str(CLONE / "molecule/bin/container"), "name", node]
    return subprocess.run(asked, check=True, capture_output=True, text=True).stdout.strip()


def this(job: dict[str, Any]) -> str:
    return f"{job['id']}{job['node']}"


def other(node: str) -> str:
    return {"node1": "node2", "node2": "node1"}[node]


@pytest.fixture
def drained(site: Site) -> Iterator[Callable[[str], None]]:
    """Drain nodes until the end of the test."""

    def drain(nodes: str) -> None:
        site.root.check_output(f"scontrol update nodename={nodes} state=drain reason=test")

    yield drain
    site.root.run("scontrol update nodename=node[1-2] state=resume")


def test_the_runner_is_deployed_as_a_job_and_a_second_deploy_changes_nothing(
    login: Callable[[str], Host], machine: Host, operator: Person
) -> None:
    assert operator.changes("gitlab_runner")["perlmutter_runner"] > 0
    runner = Runner(login, machine)
    job = runner.job
    assert runner.serves(job["node"])
    assert operator.changes("gitlab_runner")["perlmutter_runner"] == 0
    assert runner.job["id"] == job["id"]


def test_status_shows_each_job_and_the_name_leads_to_its_node(site: Site, operator: Person) -> None:
    job = site.job
    shown = operator.play("status", "--limit=!staging")
    assert shown.succeeded, shown.output
    assert f"perlmutter_dev: job {job['id']} is RUNNING on {job['node']}, 89-" in shown.said
    # Three jobs share two nodes.
    assert re.findall(r"perlmutter_(\w+): job \d+ is RUNNING on node", shown.said) == [
        "dev",
        "prod",
        "runner",
    ]
    assert re.search(r"perlmutter_runner +gitlab-runner +RUNNING", shown.output), shown.output
    assert "perlmutter_runner: http" not in shown.said  # which would be GitLab's note on it
    assert site.led_to() == site.address(job["node"])


def test_new_code_is_deployed_in_the_running_job(
    site: Site, elsewhere: Elsewhere, operator: Person, tmp_path: Path
) -> None:
    assert elsewhere.since
    job, before = site.job, site.pids(site.job["node"])
    shutil.copytree(CLONE / "examples", tmp_path / "examples")
    with (tmp_path / "examples/site/jaws_site/cli.py").open("a") as stream:
        stream.write("# new\n")
    build = [sys.executable, str(tmp_path / "examples/build.py")]
    new = {"jaws_wheels": f"{tmp_path}/examples/dist", "jaws_wheels_command": build}
    deployed = operator.play("deploy", "--limit=dev", f"--extra-vars={json.dumps(new)}")
    assert deployed.succeeded, deployed.output
    assert site.job["id"] == job["id"]
    assert not {*before} & {*site.pids(job["node"])}
    assert site.serves(job["node"])


def test_a_second_start_submits_nothing(site: Site) -> None:
    assert f"nothing submitted, job {site.job['id']} is RUNNING" in site.starter("submit")


def test_supervisord_that_is_killed_starts_again_in_the_same_job(site: Site) -> None:
    job = site.job
    pid = site.nodes[job["node"]].check_output(f"cat {site.run_dir}/jaws/pid")
    since = time.monotonic()
    site.nodes[job["node"]].check_output(f"kill -9 {pid}")
    wait_until(lambda: site.processes(job["node"]).split().count(pid) == 0, "its end")
    wait_until(lambda: site.serves(job["node"]), "the services run again", pause=1)
    print(f"\nservices again after at most {time.monotonic() - since:.0f} s")
    assert site.job["id"] == job["id"]


@pytest.mark.fault(67)
def test_what_sbatch_refuses_is_an_error_in_its_words(site: Site) -> None:
    name, files = "jaws-perlmutter-dev", site.files
    site.jaws.check_output(
        f'sed \'s/{name}/other/; s/"constraint": "cpu"/"partition": "none"/\' '
        f"{files}/job.json >{files}/other.json"
    )
    refused = site.jaws.run(f"{site.python} {files}/job.py submit {files}/other.json")
    assert refused.rc == 1
    assert "invalid partition specified: none" in refused.stderr
    assert site.jaws.check_output("squeue --noheader --name=other") == ""


@pytest.mark.fault(64)
def test_at_its_time_limit_a_job_stops_its_services_and_the_next_one_follows(
    elsewhere: Elsewhere,
) -> None:
    prod, job = elsewhere.prod, elsewhere.before["prod"]
    following = prod.await_other(this(job), elsewhere.since)
    assert following["id"] != job["id"]
    log = prod.log.partition(f"job {job['id']} runs on")[2]
    said = ("stopping jaws", "submitted job", "ended by signal 10", " runs on ")
    assert [word in log for word in said] == [True] * len(said), log
    assert [log.index(word) for word in said] == sorted(log.index(word) for word in said)
    elsewhere.cancel_prod()  # for a later test


@pytest.mark.fault(69)
def test_the_runners_own_jobs_end_before_its_slurm_job_and_the_next_one_takes_jobs(
    elsewhere: Elsewhere,
) -> None:
    runner, job = elsewhere.runner, elsewhere.before["runner"]
    following = runner.await_other(this(job), elsewhere.since)  # after a scancel
    assert following["id"] != job["id"]
    script = f"until [ -e {runner.directory}/go-on ]; do sleep 0.1; done; echo was not interrupted"
    number = runner.gitlab.ask("jobs", script=script, runner=7)["id"]
    wait_until(lambda: runner.gitlab.job(number)["status"] == "running", "its job runs")
    stop = f"{runner.python} {runner.files}/job.py stop {runner.files}/job.json"
    runner.jaws.check_output(f"setsid {stop} >{runner.directory}/stopped 2>&1 </dev/null &")
    wait_until(lambda: "SIGQUIT received" in runner.log, "it takes no more jobs")
    runner.jaws.check_output(f"touch {runner.directory}/go-on")
    wait_until(lambda: runner.gitlab.job(number)["status"] == "success", "its job has ended")
    told = f"cat {runner.directory}/stopped"
    wait_until(lambda: "no job" in runner.jaws.check_output(told), "its Slurm job has ended")
    runner.starter("submit", "--wait", "180")
    runner.await_other(this(following), time.monotonic())
    assert "was not interrupted" in runner.gitlab.job(number)["trace"]


@pytest.mark.fault(66)
def test_slurmctld_restarts_while_the_job_runs(site: Site) -> None:
    job, before = site.job, site.pids(site.job["node"])
    site.root.check_output("scontrol shutdown slurmctld")
    wait_until(lambda: site.root.run("pgrep -x slurmctld").failed, "its end")
    site.root.check_output("slurmctld")
    wait_until(lambda: site.job.get("state") == "RUNNING", "Slurm answers")
    assert (site.job["id"], site.pids(job["node"])) == (job["id"], before)


@pytest.mark.fault(65)
def test_a_drained_nodes_job_moves_in_order_and_the_name_follows(
    site: Site, drained: Callable[[str], None]
) -> None:
    job = site.job
    drained(job["node"])
    since = time.monotonic()
    site.starter("stop")
    assert site.processes(job["node"]) == ""
    assert site.nodes[job["node"]].run(f"ls {site.run_dir}").failed
    assert site.led_to() == ""
    site.starter("submit", "--wait", "180")
    moved = site.await_other(this(job), since)
    assert moved["node"] == other(job["node"])
    wait_until(lambda: site.led_to() == site.address(moved["node"]), "the name follows")


@pytest.mark.fault(66)
@pytest.mark.fault(68)
def test_a_job_ends_before_the_next_reservation_and_waits_if_one_has_begun(
    site: Site, operator: Person, no_dns: Callable[[], None]
) -> None:
    reserve = (
        "scontrol create reservation reservationname=maint user=root nodes=ALL "
        "flags=maint,ignore_jobs"
    )
    site.root.check_output(f"{reserve} starttime=now+30minutes duration=60")
    try:
        site.starter("stop")
        site.starter("submit", "--wait", "180")
        assert 600 < site.job["seconds_left"] < 1800
        near_end = operator.play("deploy", "--limit=dev", "-e", "slurm_deploy_seconds=1800")
        assert not near_end.succeeded
        assert "a deploy may take 1800 s. Nothing was changed." in near_end.said
        site.root.check_output("scontrol delete reservationname=maint")
        site.starter("stop")
        site.root.check_output(f"{reserve} starttime=now duration=60")
        refused = operator.play("recover", "--limit=dev", "-e", "slurm_wait=2")
        assert not refused.succeeded
        assert f"not running after 2 s, job {site.job['id']} waits: ReqNodeNotAvail" in refused.said
        deployed = operator.play("deploy", "--limit=dev", "-e", json.dumps(FAILING))
        assert deployed.succeeded, deployed.output
        assert "unproven: nothing runs yet" in deployed.said
        shown = operator.play("status", "--limit=dev")
        assert "perlmutter_dev (supervisord) WAITING" in shown.said
        assert "(unproven), waits for the job" in shown.said
    finally:
        site.root.check_output("scontrol delete reservationname=maint")
    # The services start without the DNS server, and the name is set as soon as it is back.
    site.await_other("", time.monotonic())
    wait_until(lambda: "the name jaws-dev.dyn.test was not changed" in site.log, "it is logged")
    no_dns()
    wait_until(lambda: site.led_to() == site.address(site.job["node"]), "the name is set")
    # The job has found that the release does not hold, and goes on with what ran before.
    wait_until(
        lambda: "The instance was put back to 2" in site.log,
        "it was taken back",
        pause=1,
    )
    wait_until(lambda: site.serves(site.job["node"]), "the old release serves", pause=1)
    history = operator.play("releases", "--limit=dev").said
    assert re.search(r"perlmutter_dev \S+ bad", history), history
    assert "unproven" not in history


@pytest.fixture
def no_dns(site: Site) -> Iterator[Callable[[], None]]:
    """Stop the DNS server until the function is called, or the test ends."""

    def start() -> None:
        if site.root.run("pgrep -x named").failed:
            site.root.check_output("named -u bind")

    site.root.check_output("pkill -x named")
    wait_until(lambda: site.root.run("pgrep -x named").failed, "its end")
    yield start
    start()


@pytest.mark.fault(64)
def test_after_scancel_scrontab_submits_the_next_job(elsewhere: Elsewhere) -> None:
    prod, job = elsewhere.prod, elsewhere.cancel_prod()
    following = prod.await_other(this(job), elsewhere.since)
    assert following["id"] != job["id"]
    left = prod.processes(job["node"])
    assert following["node"] == job["node"] or left == "", left


@pytest.mark.fault(65)
def test_a_lost_nodes_copy_ends_and_the_job_runs_elsewhere(
    site: Site, elsewhere: Elsewhere
) -> None:
    job, since, prod = site.job, time.monotonic(), elsewhere.prod
    lost = container(job["node"])
    engine("pause", lost)  # everything on it goes on later, as after an outage of the network
    try:
        site.root.check_output(f"scontrol update nodename={job['node']} state=down reason=test")
        moved = site.await_other(this(job), since)

        def is_shared() -> bool:
            return bool(prod.job.get("node") == moved["node"] and prod.serves(moved["node"]))

        wait_until(is_shared, "two deployments serve on the node that is left", pause=1)
        assert site.serves(moved["node"])
    finally:
        engine("unpause", lost)
    assert (moved["id"], moved["node"]) == (job["id"], other(job["node"]))
    wait_until(lambda: site.processes(job["node"]) == "", "the lost copy ends")
    assert "waiting 15 s, in which " in site.log
    assert f"{moved['node']} runs now, so this copy ends" in site.log
    wait_until(lambda: site.is_in_service(job["node"]), "the node is in service again", pause=1)
    assert site.serves(moved["node"])


def test_remove_ends_the_job_and_leaves_nothing_but_what_others_have(
    site: Site, operator: Person
) -> None:
    node = site.job["node"]
    site.jaws.check_output(f"(echo '{FOREIGN}'; scrontab -l) | scrontab -")
    removed = operator.play("remove", "--limit=dev", "-e", "really=dev")
    assert removed.succeeded, removed.output
    left = site.jaws.check_output("scrontab -l")
    assert FOREIGN in left
    assert [name in left for name in ("-dev", "-prod", "-runner")] == [
        False,
        True,
        True,
    ]
    names = "jaws-perlmutter-dev,jaws-perlmutter-dev-starter"
    assert site.jaws.check_output(f"squeue --noheader --name={names}") == ""
    assert site.processes(node) == ""
    assert site.jaws.check_output(f"ls -A {site.directory}") == ""
    assert site.nodes[node].run(f"ls {site.run_dir}").failed
