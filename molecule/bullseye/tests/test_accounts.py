# SPDX-License-Identifier: GPL-3.0-or-later
"""The accounts of a site with two service accounts and sudo."""

from __future__ import annotations

from collections.abc import Callable

import pytest
from testinfra.host import Host

MEMBERS = {"operator": {"operator"}, "jaws": {"jaws", "jaws_jtm"}, "jaws_jtm": {"jaws_jtm"}}


@pytest.mark.parametrize("account", MEMBERS)
def test_an_account_is_in_no_group_but_those_of_the_design(
    login: Callable[[str], Host], account: str
) -> None:
    assert login(account).check_output("id -un") == account
    assert set(login(account).check_output("id -Gn").split()) == MEMBERS[account]


@pytest.mark.parametrize("target", ["jaws", "jaws_jtm"])
def test_the_operator_becomes_a_service_account_by_sudo_and_a_password(
    login: Callable[[str], Host], operator_password: str, target: str
) -> None:
    become = f"sudo -S -p '' -u {target} id -un"
    typed = f"{become} <<'END'\n{operator_password}\nEND"
    assert login("operator").run(typed).stdout == f"{target}\n"
    assert login("operator").run("sudo -n true").failed
