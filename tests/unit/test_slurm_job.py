# SPDX-License-Identifier: GPL-3.0-or-later
"""The job that runs supervisords under Slurm, by what Slurm 24.11 printed."""

from __future__ import annotations

import importlib.util
import json
import os
import time
from pathlib import Path
from typing import Any

import pytest

from collection import ROOT

LOCATION = importlib.util.spec_from_file_location("slurm_job", ROOT / "roles/slurm/files/job.py")
assert LOCATION
assert LOCATION.loader
job: Any = importlib.util.module_from_spec(LOCATION)
LOCATION.loader.exec_module(job)

RUNNING = "3|RUNNING|node1|9:59|None\n"
SUCCESSOR = "4|PENDING||10:00|Dependency\n"
WAITS = "5|PENDING||90-00:00:00|ReqNodeNotAvail, Reserved for maintenance\n"
ENDS = "2|COMPLETING|node1|9:50|None\n"
MAINTENANCE = (
    "ReservationName=maint StartTime={start} EndTime=1796043751 Duration=02:00:00 Nodes=node[1-2] "
    "NodeCnt=2 CoreCnt=8 Features=(null) PartitionName=(null) Flags=MAINT,IGNORE_JOBS,SPEC_NODES "
    "TRES=cpu=8 Users=root Groups=(null) Accounts=(null) Licenses=(null) State=INACTIVE"
)
NOW = 1796033000
CONF = "[supervisord]\nx=1\n[program:a]\nstopwaitsecs=120\n[program:b]\ncommand=x\n"


class Cluster:
    """What Slurm's commands answer, by their first word, and what was asked."""

    def __init__(self) -> None:
        self.answers: dict[str, Any] = {
            "squeue": "",
            "sbatch": "7\n",
            "sinfo": "node1\nnode2\n",
            "scontrol": "No reservations in the system\n",
        }
        self.asked: list[tuple[str, ...]] = []

    def ask(self, *command: str) -> str:
        self.asked.append(command)
        answer = self.answers[command[0]]
        if isinstance(answer, Exception):
            raise answer
        if command[:3] == ("scontrol", "show", "hostnames"):
            return "node1\nnode2\n"
        return str(answer)

    def submitted(self) -> tuple[str, ...]:
        return next((one for one in self.asked if one[0] == "sbatch"), ())


@pytest.fixture
def cluster(monkeypatch: pytest.MonkeyPatch) -> Cluster:
    made = Cluster()
    monkeypatch.setattr(job, "ask", made.ask)
    monkeypatch.setattr(job, "LEASE", 0)
    return made


@pytest.fixture
def spec(tmp_path: Path) -> dict[str, Any]:
    (tmp_path / "supervisord-jaws.conf").write_text(CONF)
    described = {
        "name": "jaws-dev",
        "directory": str(tmp_path),
        "options": {"partition": "workflow", "time": "90-00:00:00"},
        "dns": {},
        "supervisord_root": str(tmp_path),
        "instances": [
            {"name": "jaws", "run_dir": str(tmp_path / "run"), "directory": str(tmp_path / "jaws")}
        ],
        "commands": [],
        "run_mode": "0700",
    }
    (tmp_path / "job.json").write_text(json.dumps(described))
    return described


def call(spec: dict[str, Any], command: str, *arguments: str) -> int:
    return int(job.main([command, f"{spec['directory']}/job.json", *arguments]))


@pytest.mark.parametrize(
    ("answer", "said"),
    [
        (RUNNING, "job 3 is RUNNING on node1, 9:59 left"),
        (WAITS, "job 5 waits: ReqNodeNotAvail, Reserved for maintenance"),
        (SUCCESSOR + RUNNING, "job 3 is RUNNING"),
    ],
)
def test_nothing_is_submitted_where_a_job_runs_or_waits(
    cluster: Cluster,
    spec: dict[str, Any],
    capsys: pytest.CaptureFixture[str],
    answer: str,
    said: str,
) -> None:
    cluster.answers["squeue"] = answer
    assert call(spec, "submit") == 0
    assert f"jaws-dev: nothing submitted, {said}" in capsys.readouterr().out
    assert not cluster.submitted()


@pytest.mark.parametrize("answer", ["", ENDS])
def test_a_job_is_submitted_if_there_is_none_or_one_does_not_end(
    cluster: Cluster,
    spec: dict[str, Any],
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    answer: str,
) -> None:
    monkeypatch.setattr(job, "SETTLES", -1)
    cluster.answers["squeue"] = answer
    assert call(spec, "submit") == 0
    assert "jaws-dev: submitted job 7" in capsys.readouterr().out
    command = cluster.submitted()
    assert {"--dependency=singleton", "--partition=workflow", "--time=90-00:00:00"} <= set(command)
    assert not any(word.startswith("--time-min") for word in command)
    # 121 and 11 seconds for two programs, and a minute.
    assert "--signal=B:USR1@192" in command


def test_a_job_that_ends_and_is_queued_again_is_not_submitted_twice(
    cluster: Cluster,
    spec: dict[str, Any],
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    cluster.answers["squeue"] = ENDS
    again = ENDS.replace("COMPLETING|node1", "PENDING|").replace("None", "BeginTime")
    monkeypatch.setattr(job.time, "sleep", lambda _s: cluster.answers.update(squeue=again))
    assert call(spec, "submit") == 0
    assert "nothing submitted, job 2 waits: BeginTime" in capsys.readouterr().out
    assert not cluster.submitted()


@pytest.mark.fault(67)
def test_a_refusal_of_sbatch_is_an_error_in_its_words(
    cluster: Cluster, spec: dict[str, Any], capsys: pytest.CaptureFixture[str]
) -> None:
    words = "sbatch: error: Batch job submission failed: Invalid qos specification"
    cluster.answers["sbatch"] = job.Refused(words)
    assert call(spec, "submit") == 1
    assert words in capsys.readouterr().err


@pytest.mark.fault(66)
def test_nothing_is_submitted_while_slurm_does_not_answer(
    cluster: Cluster, spec: dict[str, Any], capsys: pytest.CaptureFixture[str]
) -> None:
    cluster.answers["squeue"] = job.Refused("squeue: Unable to contact slurm controller")
    assert call(spec, "submit") == 1
    assert "Unable to contact slurm controller" in capsys.readouterr().err
    assert not cluster.submitted()


def test_a_job_that_waits_has_another_exit_status_than_one_that_failed(
    cluster: Cluster, spec: dict[str, Any], capsys: pytest.CaptureFixture[str]
) -> None:
    cluster.answers["squeue"] = WAITS
    assert call(spec, "submit", "--wait=-1") == 4
    assert "job 5 waits: ReqNodeNotAvail" in capsys.readouterr().err
    cluster.answers["squeue"] = job.Refused("squeue: no answer")
    assert call(spec, "submit", "--wait=-1") == 1


def test_what_a_deploy_has_left_is_proven_until_that_succeeds(
    spec: dict[str, Any], monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    proof = job.Proof(spec)
    proof.keep()
    assert not proof.process
    left = Path(spec["instances"][0]["directory"]) / "prove.pyz"
    left.parent.mkdir()
    left.write_text("print('proving', *__import__('sys').argv[1:]); raise SystemExit(1)")
    proof.keep()
    proof.process.wait()
    assert f"proving {left}" in capfd.readouterr().out
    proof.keep()
    assert not proof.process  # not at once
    monkeypatch.setattr(proof, "due", 0)
    left.write_text("import os, sys; os.unlink(sys.argv[1])")
    proof.keep()
    proof.process.wait()
    proof.keep()
    assert not proof.process
    assert not left.exists()


@pytest.mark.fault(68)
def test_a_proof_ends_with_the_job_and_the_next_job_begins_it_again(spec: dict[str, Any]) -> None:
    left = Path(spec["instances"][0]["directory"]) / "prove.pyz"
    left.parent.mkdir()
    left.write_text("import time; time.sleep(1000)")
    proof = job.Proof(spec)
    proof.keep()
    proof.kill()
    assert proof.process.returncode == -9
    assert left.exists()


@pytest.mark.parametrize(
    ("options", "ahead", "least"),
    [
        ({}, 7200, "119"),
        ({"time-min": "1-00:00:00"}, 7200, "119"),
        ({"time-min": "60"}, 7200, "60"),
        # Too little time for anything useful: the job waits until the reservation is over.
        ({}, 600, None),
        ({"time-min": "60"}, 600, "60"),
    ],
)
def test_the_least_time_ends_before_the_next_reservation(
    spec: dict[str, Any],
    options: dict[str, str],
    ahead: int,
    least: str | None,
) -> None:
    known = [
        job.parse_reservation(
            MAINTENANCE.format(start=NOW + ahead), lambda _nodes: ["node1", "node2"]
        )
    ]
    spec["options"].update(options)
    shortest = job.minimum(spec, known, frozenset({"node1"}), NOW)
    command = job.sbatch(spec, shortest)
    found = [word.split("=")[1] for word in command if word.startswith("--time-min")]
    assert found == ([least] if least else [])


def test_a_reservation_of_other_nodes_or_of_the_past_is_not_in_the_way(
    spec: dict[str, Any],
) -> None:
    known = [job.Reservation("a", NOW + 9999, {"node3"}), job.Reservation("b", NOW - 9, {"node1"})]
    assert job.minimum(spec, known, frozenset({"node1"}), NOW) is None


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("5", 300),
        ("5:30", 330),
        ("1:00:00", 3600),
        ("2-12", 216000),
        ("2-12:30", 217800),
        ("90-00:00:00", 7776000),
        ("UNLIMITED", None),
        ("INVALID", None),
    ],
)
def test_durations_are_read_as_slurm_writes_them(text: str, value: int | None) -> None:
    assert job.seconds(text) == value


def test_the_state_is_that_of_the_job_that_runs(
    cluster: Cluster, spec: dict[str, Any], capsys: pytest.CaptureFixture[str]
) -> None:
    cluster.answers["squeue"] = SUCCESSOR + RUNNING
    assert call(spec, "state") == 0
    known = json.loads(capsys.readouterr().out)["job"]
    assert (known["id"], known["node"], known["seconds_left"]) == ("3", "node1", 599)
    cluster.answers["squeue"] = ""
    call(spec, "state")
    assert json.loads(capsys.readouterr().out)["job"] is None


def test_the_state_is_printed_when_a_job_has_room_or_the_wait_is_over(
    cluster: Cluster,
    spec: dict[str, Any],
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    following = [RUNNING.replace("9:59", "1"), ENDS, RUNNING.replace("9:59", "15:00")]
    slept: list[int] = []

    def sleep(seconds: int) -> None:
        slept.append(seconds)
        cluster.answers["squeue"] = following.pop(0)

    monkeypatch.setattr(job.time, "sleep", sleep)
    cluster.answers["squeue"] = RUNNING
    assert call(spec, "state", "--room=900", "--wait=-1") == 0
    assert json.loads(capsys.readouterr().out)["job"]["seconds_left"] == 599
    assert slept == []
    assert call(spec, "state", "--room=900", "--wait=1200") == 0
    # Between two jobs, there is none, and a deploy submits one.
    assert json.loads(capsys.readouterr().out)["job"] is None
    assert len(slept) == 2
    cluster.answers["squeue"] = RUNNING.replace("9:59", "1")
    assert call(spec, "state", "--room=900", "--wait=1200") == 0
    assert json.loads(capsys.readouterr().out)["job"]["seconds_left"] == 900


@pytest.mark.fault(65)
def test_a_copy_that_another_one_has_followed_has_lost_its_claim(
    spec: dict[str, Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(job, "LEASE", 0)
    first, second = job.Claim(spec, "3.0 node1"), job.Claim(spec, "3.1 node2")
    assert first.take()
    assert not first.is_lost()
    assert second.take()
    assert first.is_lost()
    first.release()
    assert second.holder() == "3.1 node2"
    second.release()
    assert second.holder() == ""


def test_a_claim_waits_only_for_another_node(
    spec: dict[str, Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    slept: list[int] = []
    monkeypatch.setattr(job.time, "sleep", slept.append)
    assert job.Claim(spec, "3.0 node1").take()
    assert job.Claim(spec, "4.0 node1").take()
    assert slept == []
    assert job.Claim(spec, "4.1 node2").take()
    assert slept == [job.LEASE]


@pytest.mark.parametrize("answer", ["", RUNNING.replace("node1", "node2"), SUCCESSOR])
@pytest.mark.fault(65)
def test_a_job_that_slurm_does_not_know_here_starts_nothing(
    cluster: Cluster,
    spec: dict[str, Any],
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    answer: str,
) -> None:
    monkeypatch.setattr(job, "serve", lambda *_arguments: pytest.fail("it started"))
    monkeypatch.setattr(job.signal, "signal", lambda *_arguments: None)
    monkeypatch.setattr(os, "environ", {"SLURM_JOB_ID": "3", "SLURMD_NODENAME": "node1"})
    cluster.answers["squeue"] = answer
    assert call(spec, "run") == 1
    assert "this is job 3 on node1, but Slurm says: " in capsys.readouterr().err


def test_only_one_copy_runs_on_a_node(spec: dict[str, Any]) -> None:
    with job.alone(spec), pytest.raises(job.Refused, match="another copy"), job.alone(spec):
        pass
    with job.alone(spec):
        pass


DRAINS = """#!/bin/sh
trap 'echo drained; exit 0' QUIT
env
echo ready
while :; do sleep 0.01; done
"""


def command(spec: dict[str, Any], code: str, stop_seconds: int) -> Any:
    """Return a command of the job, which runs and is ready."""
    path = Path(spec["directory"]) / "command"
    path.write_text(code)
    path.chmod(0o755)
    given = {"name": "runner", "argv": [str(path)], "stop_signal": "QUIT"}
    spec["commands"] = [{**given, "stop_seconds": str(stop_seconds)}]
    found = job.programs(spec)[-1]
    found.keep()
    return found


def printed(capfd: pytest.CaptureFixture[str], word: str) -> str:
    text = ""
    deadline = time.monotonic() + 60
    while word not in text:
        assert time.monotonic() < deadline, text
        text += capfd.readouterr().out
        time.sleep(0.01)
    return text


def test_a_command_ends_by_its_own_signal_and_the_job_leaves_it_that_time(
    spec: dict[str, Any], monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("SLURM_JOB_ID", "3")
    found = command(spec, DRAINS, 1800)
    environment = printed(capfd, "ready").splitlines()
    assert "JGI_JAWS_JOB=jaws-dev" in environment
    assert not [line for line in environment if line.startswith("SLURM_")]
    found.stop()
    assert found.process.returncode == 0
    assert "drained" in capfd.readouterr().out
    assert job.lead(spec) == 192 + 1800


def test_a_command_that_takes_longer_is_killed(
    spec: dict[str, Any], capfd: pytest.CaptureFixture[str]
) -> None:
    found = command(spec, DRAINS.replace("; exit 0", ""), 0)
    printed(capfd, "ready")
    found.stop()
    assert found.process.returncode == -9
    assert "runner did not end within 0 s" in capfd.readouterr().out
