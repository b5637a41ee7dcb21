# SPDX-License-Identifier: GPL-3.0-or-later
"""What the scenarios' tests share: hosts as the inventory's accounts see them."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path

import pytest
import testinfra
from testinfra.host import Host


@pytest.fixture(scope="session")
def login(pytestconfig: pytest.Config) -> Callable[[str], Host]:
    """Log in to the scenario's one host as an account: login("jaws_jtm").run("id")."""
    scenario = os.environ["MOLECULE_SCENARIO_NAME"]
    inventory = pytestconfig.getoption("ansible_inventory")

    def as_account(account: str) -> Host:
        return testinfra.get_host(
            f"ansible://{scenario}_{account}", ansible_inventory=str(inventory)
        )

    return as_account


@pytest.fixture(scope="session")
def machine(pytestconfig: pytest.Config) -> Host:
    """The scenario's one host, as root: for looking, the collection itself is never root."""
    inventory = pytestconfig.getoption("ansible_inventory")
    return testinfra.get_host(
        f"ansible://{os.environ['MOLECULE_SCENARIO_NAME']}", ansible_inventory=str(inventory)
    )


@pytest.fixture(scope="session")
def operator_password() -> str:
    """What the operator types: made for this run alone."""
    text = Path(os.environ["MOLECULE_EPHEMERAL_DIRECTORY"], "operator_password").read_text()
    return text.strip()
