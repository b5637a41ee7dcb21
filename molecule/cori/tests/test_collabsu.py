# SPDX-License-Identifier: GPL-3.0-or-later
"""Who becomes whom on a host with collabsu, and no systemd."""

from __future__ import annotations

from collections.abc import Callable

import pytest
from testinfra.host import Host

ACCOUNTS = ["operator", "jaws", "jaws_jtm", "stranger"]


@pytest.mark.parametrize("account", ["jaws", "jaws_jtm", "stranger"])
def test_only_the_operator_becomes_anybody_by_collabsu(
    login: Callable[[str], Host], account: str
) -> None:
    refused = login(account).run("collabsu jaws -c id")
    assert refused.failed
    assert refused.stderr.strip() == f"{account} is not in the sudoers file."


def test_nobody_reads_the_passwords_that_collabsu_compares(login: Callable[[str], Host]) -> None:
    for account in ACCOUNTS:
        assert login(account).run("cat /etc/collabsu.json").failed


def test_the_host_runs_no_systemd(machine: Host) -> None:
    assert machine.check_output("ps -o comm= 1") == "tini"
    assert not machine.exists("systemctl")
