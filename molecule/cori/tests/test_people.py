# SPDX-License-Identifier: GPL-3.0-or-later
"""What the operator and CI do: the operator may start a supervisord, CI deploys and controls."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator

import pytest
from conftest import Person
from testinfra.host import Host

Login = Callable[[str], Host]

BIN = "/tmp/jaws-supervisord/bin"
CONFS = [f"/tmp/jaws-supervisord/supervisord-{instance}.conf" for instance in ("jaws", "jtm")]
JAWS, JTM = (f"{BIN}/supervisorctl -c {conf}" for conf in CONFS)
CENTRAL = "/tmp/jaws-dev/jaws/configs/jaws-central.conf"
SERVICES = {"jaws-central-auth", "jaws-central-rest", "jaws-site-daemon", "jaws-site-server"}
NOTHING = {"cori_dev_jaws": 0, "cori_dev_jtm": 0}
# This scenario does not have the site's runner.
INSTANCES = "--limit=supervisord"
TASKS = 12
NEW_VALUE = "--extra-vars=site_globus_client_id=new"


def pids(login: Login) -> dict[str, str]:
    """Return the pid of every program; all of them run."""
    jaws = login("jaws")
    tables = [jaws.check_output(f"{instance} status") for instance in (JAWS, JTM)]
    rows = [line.split() for table in tables for line in table.splitlines()]
    assert {words[1] for words in rows} == {"RUNNING"}, tables
    return {words[0]: words[3].rstrip(",") for words in rows}


def confs(login: Login) -> list[str]:
    """Return both instances' configurations: which release they run, and their keys."""
    return [login("jaws").check_output(f"cat {path}") for path in CONFS]


def test_an_operator_takes_back_what_ci_deployed_and_ci_finds_nothing_to_change(
    login: Login, ci: Person, operator: Person
) -> None:
    was, before = confs(login), pids(login)
    assert ci.changes("deploy", NEW_VALUE) == {"cori_dev_jaws": 2, "cori_dev_jtm": 0}
    assert "client_id = new" in login("jaws").check_output(f"cat {CENTRAL}")
    # Two playbooks in one run: the second shows what the first has done.
    taken_back = operator.play("rollback", "playbooks/releases.yml")
    assert taken_back.changed == {"cori_dev_jaws": 1, "cori_dev_jtm": 0}, taken_back.output
    statuses = re.findall(r"^(cori_dev_\S+) +\S+ +(current|rolled back) ", taken_back.output, re.M)
    assert sorted(statuses) == [
        ("cori_dev_jaws", "current"),
        ("cori_dev_jaws", "rolled back"),
        ("cori_dev_jtm", "current"),
    ], taken_back.output
    assert confs(login) == was
    after = pids(login)
    assert {name for name in before if after[name] != before[name]} == SERVICES
    assert ci.changes("deploy") == NOTHING
    assert pids(login) == after


def test_the_old_keys_are_not_accepted_once_ci_has_replaced_them(login: Login, ci: Person) -> None:
    jaws = login("jaws")
    jaws.check_output(f"mkdir -m 0700 ~/old && cp {' '.join(CONFS)} ~/old")
    assert ci.changes("rotate_key") == dict.fromkeys(NOTHING, 1)
    for conf in CONFS:
        refused = jaws.run(f"{BIN}/supervisorctl -c ~/old/{conf.rsplit('/', 1)[1]} status")
        assert "Server requires authentication" in refused.stdout, refused
    jaws.check_output("rm -r ~/old")
    assert pids(login)


def test_ci_controls_both_instances(login: Login, ci: Person) -> None:
    before = pids(login)
    changed = ci.changes("restart", "--extra-vars=programs=jaws-jtm,jaws-site-daemon")
    assert changed == {"cori_dev_jaws": 1, "cori_dev_jtm": 1}
    after = pids(login)
    assert {name for name in before if after[name] != before[name]} == {
        "jaws-jtm",
        "jaws-site-daemon",
    }


@pytest.fixture
def jtm_is_down(login: Login, operator: Person) -> Iterator[None]:
    """The supervisord of jtm is down, as after a boot; it is up again afterwards."""
    login("jaws_jtm").check_output(f"{JTM} shutdown")
    wait = f"timeout 300 bash -c 'until {JTM} status | grep -q socket; do sleep 0.1; done'"
    login("jaws_jtm").check_output(wait)
    yield
    if login("jaws_jtm").run(f"{JTM} status").failed:  # the test has failed
        operator.changes("recover", INSTANCES)


@pytest.mark.usefixtures("jtm_is_down")
def test_ci_names_the_playbook_that_starts_a_supervisord_and_an_operator_runs_it(
    login: Login, ci: Person, operator: Person
) -> None:
    played = ci.play("deploy")
    assert not played.succeeded
    sentence = (
        "supervisord (/tmp/jaws-supervisord/supervisord-jtm.conf) must be started, which only "
        "jaws_jtm may do; this runs as jaws. Ask an operator to run the playbook supervisors"
    )
    assert sentence in played.said
    assert login("jaws").run(f"{JTM} status").rc == 4
    assert login("jaws").run(f"{JAWS} status").rc == 0
    assert operator.changes("supervisors") == {**NOTHING, "cori_dev_jtm": 1}
    # It waits for programs that are starting; then the status shows that they run.
    assert ci.changes("start", "playbooks/status.yml", INSTANCES) == NOTHING


def test_recover_changes_nothing_on_a_healthy_site_and_takes_few_tasks(
    login: Login, operator: Person
) -> None:
    before = pids(login)
    played = operator.play("recover", INSTANCES)
    assert played.succeeded, played.output
    assert played.changed == NOTHING
    assert {host for host, number in played.tasks.items() if number > TASKS} == set()
    assert pids(login) == before
