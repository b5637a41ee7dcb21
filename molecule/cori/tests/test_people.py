# SPDX-License-Identifier: GPL-3.0-or-later
"""What the operator and CI do: the operator may start a supervisord, CI deploys and controls."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import pytest
from conftest import Person
from testinfra.host import Host

Login = Callable[[str], Host]

JTM = "/tmp/jaws-supervisord/bin/supervisorctl -c /tmp/jaws-supervisord/supervisord-jtm.conf"
JAWS = "/tmp/jaws-supervisord/bin/supervisorctl -c /tmp/jaws-supervisord/supervisord-jaws.conf"
NOTHING = {"cori_dev_jaws": 0, "cori_dev_jtm": 0}
# The runner of the site is not in this scenario.
INSTANCES = "--limit=supervisord"
TASKS = 8


def pids(login: Login) -> dict[str, str]:
    """Return the pid of every program; all of them run."""
    jaws = login("jaws")
    tables = [jaws.check_output(f"{instance} status") for instance in (JAWS, JTM)]
    rows = [line.split() for table in tables for line in table.splitlines()]
    assert {words[1] for words in rows} == {"RUNNING"}, tables
    return {words[0]: words[3].rstrip(",") for words in rows}


def test_ci_deploys_both_instances_and_finds_nothing_to_change(login: Login, ci: Person) -> None:
    before = pids(login)
    assert ci.changes("deploy") == NOTHING
    assert pids(login) == before


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
    wait = f"timeout 60 bash -c 'until {JTM} status | grep -q socket; do sleep 0.1; done'"
    login("jaws_jtm").check_output(wait)
    yield
    operator.changes("recover", INSTANCES)


@pytest.mark.usefixtures("jtm_is_down")
def test_ci_names_the_playbook_that_starts_a_supervisord_and_an_operator_runs_it(
    login: Login, ci: Person, operator: Person
) -> None:
    played = ci.play("deploy")
    assert not played.succeeded
    sentence = (
        "supervisord (/tmp/jaws-supervisord/supervisord-jtm.conf) has to be started, which only "
        "jaws_jtm may do; this runs as jaws. An operator has to run the playbook supervisors"
    )
    assert sentence in played.said
    assert login("jaws").run(f"{JTM} status").rc == 4
    assert login("jaws").run(f"{JAWS} status").rc == 0
    assert operator.changes("supervisors") == {**NOTHING, "cori_dev_jtm": 1}
    assert operator.changes("supervisors") == NOTHING
    assert ci.changes("status") == NOTHING


def test_recover_changes_nothing_on_a_healthy_site_and_takes_few_tasks(
    login: Login, operator: Person
) -> None:
    before = pids(login)
    played = operator.play("recover", INSTANCES)
    assert played.succeeded, played.output
    assert played.changed == NOTHING
    assert {host for host, number in played.tasks.items() if number > TASKS} == set()
    assert pids(login) == before
