# SPDX-License-Identifier: GPL-3.0-or-later
"""The accounts of a site with one service account and systemd."""

from __future__ import annotations

from collections.abc import Callable

import pytest
from testinfra.host import Host

MEMBERS = {"operator": {"operator"}, "jaws": {"jaws"}}


@pytest.mark.parametrize("account", MEMBERS)
def test_an_account_is_in_no_group_but_its_own(login: Callable[[str], Host], account: str) -> None:
    assert login(account).check_output("id -un") == account
    assert set(login(account).check_output("id -Gn").split()) == MEMBERS[account]


def test_the_operator_becomes_jaws_by_sudo_and_a_password(
    login: Callable[[str], Host], operator_password: str
) -> None:
    operator = login("operator")
    assert operator.run("sudo -n -u jaws true").failed
    become = "sudo -S -p '' -u jaws id -un"
    assert operator.run(f"{become} <<'END'\n{operator_password}\nEND").stdout == "jaws\n"
    assert operator.run(f"{become} <<'END'\nnot it\nEND").failed


def test_jaws_becomes_nobody_by_sudo(login: Callable[[str], Host]) -> None:
    assert login("jaws").run("sudo -n true").failed


def test_systemd_is_pid_1(machine: Host) -> None:
    assert machine.check_output("ps -o comm= 1") == "systemd"


def test_the_user_manager_of_jaws_runs_without_a_login(
    machine: Host, login: Callable[[str], Host]
) -> None:
    assert machine.check_output("loginctl show-user jaws --property=Linger") == "Linger=yes"
    assert login("jaws").check_output("systemctl --user is-system-running") == "running"
