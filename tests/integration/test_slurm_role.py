# SPDX-License-Identifier: GPL-3.0-or-later
"""The role slurm near the end of a job, with the real job.py; a command prints what squeue has."""

from __future__ import annotations

import json
from pathlib import Path

from tests.integration.conftest import CLONE, ansible

# The job ends when it is asked for the second time, and the next one runs.
SQUEUE = """#!/bin/sh
n=$(cat $0.$5 2>/dev/null)
echo x$n >$0.$5
case $5-$n in
    wait-x*) echo '8|RUNNING|node2|15:00|None' ;;
    *) echo '7|RUNNING|node1|9:59|None' ;;
esac
"""
PLAY = {
    "hosts": "all",
    "gather_facts": False,
    "tasks": [
        {"ansible.builtin.include_role": {"name": "jgi.jaws.slurm", "tasks_from": step}}
        for step in ("find", "room")
    ],
}
CASES = {
    "refuse": {},
    "wait": {"slurm_near_end": "wait"},
    "go": {"slurm_near_end": "go"},
    "short": {"slurm_deploy_seconds": 599},
}


def test_near_the_end_of_a_job_a_deploy_is_refused_or_waits_for_the_next_one_or_goes_on(
    tmp_path: Path,
) -> None:
    bin_directory = tmp_path / "bin"
    bin_directory.mkdir()
    (bin_directory / "squeue").write_text(SQUEUE)
    (bin_directory / "squeue").chmod(0o755)
    hosts = {}
    for name, options in CASES.items():
        (tmp_path / name).mkdir()
        (tmp_path / name / "job.py").write_bytes((CLONE / "roles/slurm/files/job.py").read_bytes())
        (tmp_path / name / "job.json").write_text(json.dumps({"name": name}))
        hosts[name] = {"slurm_name": name, "slurm_directory": str(tmp_path / name), **options}
    common = {
        "ansible_connection": "local",
        "ansible_python_interpreter": "{{ ansible_playbook_python }}",
        "slurm_python": "{{ ansible_playbook_python }}",
        "slurm_host": "localhost",
    }
    inventory = {"all": {"hosts": hosts, "vars": common}}
    (tmp_path / "hosts.json").write_text(json.dumps(inventory))
    (tmp_path / "play.yml").write_text(json.dumps([PLAY]))
    done = ansible(
        "playbook", str(tmp_path / "play.yml"), "-i", str(tmp_path / "hosts.json"), home=tmp_path,
        PATH=f"{bin_directory}:/usr/bin:/bin",
    )  # fmt: skip
    recap = done.stdout.partition("PLAY RECAP")[2]
    failed = {line.split()[0]: "failed=1" in line for line in recap.splitlines() if "ok=" in line}
    assert failed == {"refuse": True, "wait": False, "go": False, "short": False}, done.stdout
    said = " ".join(done.stdout.split())
    assert "The job refuse ends in 599 s, and a deploy may take 900 s. Nothing was changed." in said
    asked = {name: len((bin_directory / f"squeue.{name}").read_text()) for name in CASES}
    assert asked == {"refuse": 2, "wait": 3, "go": 2, "short": 2}
