# SPDX-License-Identifier: GPL-3.0-or-later
"""The accounts of every scenario, and who becomes whom by sudo."""

from __future__ import annotations

import os
from collections.abc import Callable

import pytest
from testinfra.host import Host

Login = Callable[[str], Host]

TWO = {"operator": {"operator"}, "jaws": {"jaws", "jaws_jtm"}, "jaws_jtm": {"jaws_jtm"}}
ONE = {"operator": {"operator"}, "jaws": {"jaws"}}
MEMBERS = {
    "bullseye": TWO,
    "cori": {**TWO, "stranger": {"stranger"}},
    "lrc": ONE,
    "runner": ONE,
    "trixie": TWO,
}[os.environ["MOLECULE_SCENARIO_NAME"]]
SERVICES = [account for account in MEMBERS if account.startswith("jaws")]
# Cori has collabsu in its place.
SUDO = os.environ["MOLECULE_SCENARIO_NAME"] != "cori"


@pytest.mark.parametrize("account", MEMBERS)
def test_an_account_is_in_no_group_but_those_of_the_design(login: Login, account: str) -> None:
    assert login(account).check_output("id -un") == account
    assert set(login(account).check_output("id -Gn").split()) == MEMBERS[account]


@pytest.mark.parametrize("account", MEMBERS)
@pytest.mark.parametrize("target", ["root", *SERVICES])
def test_nobody_becomes_anybody_by_sudo_without_a_password(
    login: Login, account: str, target: str
) -> None:
    assert login(account).run(f"sudo -n -u {target} true").failed


@pytest.mark.parametrize("target", SERVICES)
def test_the_operator_becomes_a_service_account_by_his_own_password(
    login: Login, operator_password: str, target: str
) -> None:
    become = f"sudo -S -p '' -u {target} id -un" if SUDO else f"collabsu {target} -c 'id -un'"
    # collabsu asks at the terminal.
    command = become if SUDO else f'script -qec "{become}" /dev/null'
    operator = login("operator")
    told = operator.run(f"{command} <<'END'\n{operator_password}\nEND")
    assert target in told.stdout.split()
    refused = operator.run(f"{command} <<'END'\nnot it\nnot it\nnot it\nEND")
    assert target not in refused.stdout.split()
