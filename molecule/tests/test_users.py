# SPDX-License-Identifier: GPL-3.0-or-later
"""The accounts of every scenario, and who becomes whom by sudo."""

from __future__ import annotations

import os
import shlex
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
    "slurm": ONE,
    "trixie": TWO,
}[os.environ["MOLECULE_SCENARIO_NAME"]]
SERVICES = [account for account in MEMBERS if account.startswith("jaws")]
# NERSC's sites have collabsu instead.
SUDO = os.environ["MOLECULE_SCENARIO_NAME"] not in ("cori", "slurm")


@pytest.mark.parametrize("account", MEMBERS)
def test_an_account_is_only_in_the_groups_of_the_design(login: Login, account: str) -> None:
    assert login(account).check_output("id -un") == account
    assert set(login(account).check_output("id -Gn").split()) == MEMBERS[account]


@pytest.mark.parametrize("account", MEMBERS)
@pytest.mark.parametrize("target", ["root", *SERVICES])
def test_nobody_becomes_anybody_by_sudo_without_a_password(
    login: Login, account: str, target: str
) -> None:
    assert login(account).run(f"sudo -n -u {target} true").failed


# On a terminal, where collabsu asks: an answer that comes before the question is thrown away.
AT_A_TERMINAL = """
import os, pty, sys
answer, shown = sys.stdin.readline().encode(), b""
child, terminal = pty.fork()
if not child:
    os.execvp(sys.argv[1], sys.argv[1:])
try:
    while part := os.read(terminal, 1024):
        shown += part
        if b"assword for" in part:
            os.write(terminal, answer)
            answer = b"\\x04"  # only once, because sudo takes its time for each wrong one
except OSError:  # the terminal has ended
    pass
sys.stdout.buffer.write(shown)
"""


@pytest.mark.parametrize("target", SERVICES)
def test_the_operator_becomes_a_service_account_with_their_own_password(
    login: Login, operator_password: str, target: str
) -> None:
    become = ["sudo", "-k", "-u", target] if SUDO else ["collabsu", target, "-c"]
    command = shlex.join(["python3", "-c", AT_A_TERMINAL, *become, "whoami"])
    operator = login("operator")
    told = operator.run(f"{command} <<'END'\n{operator_password}\nEND")
    assert target in told.stdout.split()
    refused = operator.run(f"{command} <<'END'\nnot it\nEND")
    assert target not in refused.stdout.split()
