# SPDX-License-Identifier: GPL-3.0-or-later
"""A site whose supervisords run in a Slurm job: what can happen to the job, on the real Slurm.

Each event leaves the services running, and prints how many seconds that took (pytest -s).
"""

from __future__ import annotations

import json
import re
import subprocess
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from conftest import Person
from testinfra.host import Host
from waiting import wait_until

CLONE = Path(__file__).parents[3]
ROOT = "/global/jaws-install/dev"
SUPERVISOR = f"{ROOT}/jaws-supervisord"
JOB = f"{ROOT}/jaws-dev/job"
PYTHON = f"{SUPERVISOR}/venv/bin/python"
NAME = "jaws-site-dev"
PROGRAMS = 8
# What a deploy changes on both instances; JTM ends after a second.
FAILING = {
    "slurm_wait": 2,
    "jaws_configs": {
        "jaws-central.conf": {"JAWS": {"docs_url": "of a deploy where nothing runs"}},
        "jaws-jtm.conf": {"STANDIN": {"crash_after": 1, "exit_status": 7}},
    },
}
FOREIGN = "#SCRON --partition=cron\n0 0 1 1 * true"


class Site:
    """The cluster, with the commands that jaws and the administrators type."""

    def __init__(self, login: Callable[[str], Host], root: Host) -> None:
        self.jaws = login("jaws")
        self.root = root
        self.nodes = {name: login(f"jaws_{name}") for name in ("node1", "node2")}

    def starter(self, command: str, *options: str) -> str:
        """Run what scrontab runs."""
        words = [PYTHON, f"{JOB}/job.py", command, *options, f"{JOB}/job.json"]
        return self.jaws.check_output(" ".join(words))

    @property
    def job(self) -> dict[str, Any]:
        """What Slurm says about the job; nothing if there is none."""
        return dict(json.loads(self.starter("state"))["job"] or {})

    @property
    def log(self) -> str:
        return self.jaws.check_output(f"cat {JOB}/job.log")

    def pids(self, node: str) -> list[str]:
        """Return the pids of the services that are RUNNING on a node."""
        ask = f"{SUPERVISOR}/bin/supervisorctl -c {SUPERVISOR}/supervisord"
        shown = self.nodes[node].run(f"{ask}-jaws.conf status; {ask}-jtm.conf status").stdout
        return [
            line.split()[3].rstrip(",")
            for line in shown.splitlines()
            if line.split()[1] == "RUNNING"
        ]

    def serves(self, node: str) -> bool:
        return len(self.pids(node)) == PROGRAMS

    def processes(self, node: str) -> str:
        return self.nodes[node].run("pgrep -u jaws -f '^/global'").stdout

    def is_in_service(self, node: str) -> bool:
        """Return whether Slurm uses a node again, which may have come back by itself."""
        self.root.run(f"scontrol update nodename={node} state=resume")
        state = self.root.check_output(f"sinfo --noheader --nodes={node} --format=%T")
        return state in ("idle", "mixed", "allocated")

    def await_other(self, number: str, since: float) -> dict[str, Any]:
        """Wait until another job, or another run of it, serves; print how long that took."""

        def serves() -> bool:
            job = self.job
            begun = job.get("state") == "RUNNING" and job["id"] + job["node"] != number
            return begun and self.serves(job["node"])

        wait_until(serves, "the next job serves", pause=1)
        print(f"\nservices again after {time.monotonic() - since:.0f} s")
        return self.job

    def name(self) -> str:
        """Return the address that the name in the DNS leads to."""
        return self.root.check_output("dig +short @localhost jaws-dev.dyn.test")

    def address(self, node: str) -> str:
        return self.root.check_output(f"getent hosts {node}").split()[0]


@pytest.fixture
def site(login: Callable[[str], Host], machine: Host) -> Site:
    """The cluster with its services running."""
    found = Site(login, machine)
    if found.job.get("state") != "RUNNING":
        found.starter("submit", "--wait", "180")
    wait_until(lambda: found.serves(found.job["node"]), "the services run", pause=1)
    return found


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


def test_status_shows_the_job_and_the_name_leads_to_its_node(site: Site, operator: Person) -> None:
    job = site.job
    shown = operator.play("status")
    assert shown.succeeded, shown.output
    assert f"slurm_dev_jtm: job {job['id']} is RUNNING on {job['node']}, 89-" in shown.said
    assert site.name() == site.address(job["node"])


def test_a_second_start_submits_nothing(site: Site) -> None:
    assert f"nothing submitted, job {site.job['id']} is RUNNING" in site.starter("submit")


def test_supervisord_that_is_killed_starts_again_in_the_same_job(site: Site) -> None:
    job, before = site.job, set(site.pids(site.job["node"]))
    pid = site.nodes[job["node"]].check_output("cat /tmp/jaws-supervisord-dev/jaws/pid")
    since = time.monotonic()
    site.nodes[job["node"]].check_output(f"kill -9 {pid}")
    wait_until(lambda: site.processes(job["node"]).split().count(pid) == 0, "its end")
    wait_until(lambda: site.serves(job["node"]), "the services run again", pause=1)
    print(f"\nservices again after {time.monotonic() - since:.0f} s")
    assert site.job["id"] == job["id"]
    assert len(before & set(site.pids(job["node"]))) == 2  # those of the other instance


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
    assert site.nodes[job["node"]].run("ls /tmp/jaws-supervisord-dev").failed
    assert site.name() == ""
    site.starter("submit", "--wait", "180")
    moved = site.await_other(this(job), since)
    assert moved["node"] == other(job["node"])
    wait_until(lambda: site.name() == site.address(moved["node"]), "the name follows")


@pytest.mark.fault(64)
def test_at_its_time_limit_a_job_stops_its_services_and_the_next_one_follows(site: Site) -> None:
    job = site.job
    # Its lead is 278 seconds.
    since = time.monotonic()
    site.jaws.check_output(f"scontrol update jobid={job['id']} timelimit=5")
    following = site.await_other(this(job), since)
    assert following["id"] != job["id"]
    log = site.log.partition(f"job {job['id']} runs on")[2]
    said = ("stopping jaws", "stopping jtm", "submitted job", "ended by signal 10", " runs on ")
    assert [word in log for word in said] == [True] * len(said), log
    assert [log.index(word) for word in said] == sorted(log.index(word) for word in said)


@pytest.mark.fault(64)
def test_after_scancel_scrontab_submits_the_next_job(site: Site) -> None:
    job, since = site.job, time.monotonic()
    site.jaws.check_output(f"scancel {job['id']}")
    wait_until(lambda: site.processes(job["node"]) == "", "nothing is left")
    following = site.await_other(this(job), since)
    assert following["id"] != job["id"]


@pytest.mark.fault(65)
def test_a_lost_nodes_copy_ends_and_the_job_runs_elsewhere(site: Site) -> None:
    job, since = site.job, time.monotonic()
    lost = container(job["node"])
    engine("pause", lost)  # everything on it goes on later, as after an outage of the network
    try:
        site.root.check_output(f"scontrol update nodename={job['node']} state=down reason=test")
        moved = site.await_other(this(job), since)
    finally:
        engine("unpause", lost)
    assert (moved["id"], moved["node"]) == (job["id"], other(job["node"]))
    wait_until(lambda: site.processes(job["node"]) == "", "the lost copy ends")
    assert "waiting 15 s, in which " in site.log
    assert f"{moved['node']} runs now, so this copy ends" in site.log
    wait_until(lambda: site.is_in_service(job["node"]), "the node is in service again", pause=1)
    assert site.serves(moved["node"])


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
        near_end = operator.play("deploy", "--extra-vars=slurm_deploy_seconds=1800")
        assert not near_end.succeeded
        assert "a deploy may take 1800 s. Nothing was changed." in near_end.said
        site.root.check_output("scontrol delete reservationname=maint")
        site.starter("stop")
        site.root.check_output(f"{reserve} starttime=now duration=60")
        refused = operator.play("recover", "--extra-vars=slurm_wait=2")
        assert not refused.succeeded
        assert f"not running after 2 s, job {site.job['id']} waits: ReqNodeNotAvail" in refused.said
        deployed = operator.play("deploy", f"--extra-vars={json.dumps(FAILING)}")
        assert deployed.succeeded, deployed.output
        assert deployed.said.count("unproven: nothing runs yet") == 2
        shown = operator.play("status")
        assert "slurm_dev_jaws (supervisord) WAITING" in shown.said
        assert shown.said.count("(unproven), waits for the job") == 2
    finally:
        site.root.check_output("scontrol delete reservationname=maint")
    # The services start without the DNS server, and the name is set as soon as it is back.
    site.await_other("", time.monotonic())
    wait_until(lambda: "the name jaws-dev.dyn.test was not changed" in site.log, "it is logged")
    no_dns()
    wait_until(lambda: site.name() == site.address(site.job["node"]), "the name is set")
    # The job has found that the release does not hold, and goes on with what ran before.
    wait_until(lambda: "The instance was put back to 2" in site.log, "it was taken back", pause=1)
    wait_until(lambda: site.serves(site.job["node"]), "the old release serves", pause=1)
    history = operator.play("releases").said
    assert re.search(r"slurm_dev_jtm \S+ bad", history), history
    assert re.search(r"slurm_dev_jaws \S+ prepared", history), history
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


@pytest.mark.fault(67)
def test_what_sbatch_refuses_is_an_error_in_its_words(site: Site) -> None:
    site.jaws.check_output(
        f'sed \'s/{NAME}/other/; s/"workflow"/"none"/\' {JOB}/job.json >{JOB}/other.json'
    )
    refused = site.jaws.run(f"{PYTHON} {JOB}/job.py submit {JOB}/other.json")
    assert refused.rc == 1
    assert "invalid partition specified: none" in refused.stderr
    assert site.jaws.check_output("squeue --noheader --name=other") == ""


def test_two_deployments_share_a_node(site: Site) -> None:
    second = f"{ROOT}/second"
    known = json.loads(site.jaws.check_output(f"cat {JOB}/job.json"))
    options = {**known["options"], "nodelist": site.job["node"]}
    text = json.dumps(
        {**known, "name": "second", "directory": second, "instances": [], "options": options}
    )
    site.jaws.check_output(
        f"mkdir {second}; cp {JOB}/job.sh {second}; cat >{second}/job.json <<'E'\n{text}\nE"
    )
    site.jaws.check_output(f"sed -i s,{JOB}/job.json,{second}/job.json, {second}/job.sh")
    command = f"{PYTHON} {JOB}/job.py %s {second}/job.json"
    site.jaws.check_output(command % "submit --wait=60")
    assert json.loads(site.jaws.check_output(command % "state"))["job"]["node"] == site.job["node"]
    site.jaws.check_output(command % "stop")
    site.jaws.check_output(f"rm -r {second}")
    assert site.serves(site.job["node"])


def test_remove_ends_the_job_and_leaves_nothing_but_what_others_have(
    site: Site, operator: Person
) -> None:
    node = site.job["node"]
    site.jaws.check_output(f"(echo '{FOREIGN}'; scrontab -l) | scrontab -")
    removed = operator.play("remove", "-e", "really=dev")
    assert removed.succeeded, removed.output
    assert site.jaws.check_output("scrontab -l") == FOREIGN
    assert site.jaws.check_output(f"squeue --noheader --name={NAME},{NAME}-starter") == ""
    assert site.processes(node) == ""
    assert site.jaws.check_output(f"ls -A {ROOT}") == ""
    assert site.nodes[node].run("ls /tmp/jaws-supervisord-dev").failed
