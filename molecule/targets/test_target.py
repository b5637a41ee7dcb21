# SPDX-License-Identifier: GPL-3.0-or-later
"""A target with another Python, deployed and removed again: bullseye and trixie link this."""

from __future__ import annotations

import os
from collections.abc import Callable

import pytest
from conftest import Person
from testinfra.host import Host

Login = Callable[[str], Host]

SCENARIO = os.environ["MOLECULE_SCENARIO_NAME"]
ROOT = "/opt/jaws/jaws-supervisord"
PROGRAMS = {
    "jaws": {"jaws-central-auth", "jaws-central-rest", "jaws-central-rpc"}
    | {"jaws-site-central-rpc", "jaws-site-daemon", "jaws-site-jtm-rpc"},
    "jtm": {"jaws-cromwell", "jaws-jtm"},
}
# What the accounts had before, and what the users' workloads have written to their scratch.
SCRATCH = {user: f"/scratch/{user}/jaws-dev/inputs" for user in ("jaws", "jaws_jtm")}
KEPT = ["/opt/jaws", *(f"/scratch/{user}{end}" for user in SCRATCH for end in ("", "/jaws-dev"))]


@pytest.mark.parametrize("instance", PROGRAMS)
def test_every_service_runs(login: Login, instance: str) -> None:
    ctl = f"{ROOT}/bin/supervisorctl -c {ROOT}/supervisord-{instance}.conf"
    status = login("jaws").check_output(f"{ctl} status")
    running = {words[0]: words[1] for words in map(str.split, status.splitlines())}
    assert running == dict.fromkeys(PROGRAMS[instance], "RUNNING")


@pytest.mark.parametrize(("instance", "user"), [("jaws", "jaws"), ("jtm", "jaws_jtm")])
def test_a_daemon_runs_as_its_user_with_the_python_of_the_target(
    login: Login, machine: Host, instance: str, user: str
) -> None:
    pid = login(user).check_output(f"cat {ROOT}/run/{instance}/pid")
    assert machine.check_output(f"ps -o user:20= -p {pid}") == user
    python = machine.check_output("python3 -c 'import sys; print(sys.version_info[:2])'")
    found = f"{ROOT}/venv/bin/python -c 'import sys; print(sys.version_info[:2])'"
    assert login("jaws").check_output(found) == python


@pytest.mark.parametrize(("user", "path"), SCRATCH.items())
def test_what_an_instance_makes_in_its_scratch_is_open_to_users(
    login: Login, machine: Host, user: str, path: str
) -> None:
    found = machine.file(path)
    assert (found.user, found.group, found.mode) == (user, user, 0o2770)
    login(user).check_output(f"umask 007 && mkdir -p {path}/run && echo ready > {path}/run/file")
    as_users = f"setpriv --reuid nobody --regid users --clear-groups cat {path}/run/file"
    assert machine.check_output(as_users) == "ready"
    assert machine.run(as_users.replace("--regid users", "--regid nogroup")).rc != 0
    machine.check_output(f"rm -r {path}/run")


def test_remove_leaves_nothing(machine: Host, operator: Person) -> None:
    hosts = (f"{SCENARIO}_dev_jaws", f"{SCENARIO}_dev_jtm")
    removed = operator.changes("remove", "-e", "really=dev")
    assert all(removed[host] > 0 for host in hosts), removed
    owned = r"find /opt /scratch /tmp /var /run /etc \( -user jaws -o -user jaws_jtm \)"
    assert sorted(machine.check_output(owned).splitlines()) == sorted([*KEPT, *SCRATCH.values()])
    assert machine.run("pgrep -u jaws,jaws_jtm -f '/opt/jaws|supervisor'").stdout == ""
    assert operator.changes("remove", "-e", "really=dev") == dict.fromkeys(hosts, 0)
