# SPDX-License-Identifier: GPL-3.0-or-later
"""What is true on every scenario's host."""

from __future__ import annotations

from testinfra.host import Host

PYTHON = {"bullseye": "3.9", "bookworm": "3.11", "trixie": "3.13"}


def test_setfacl_is_not_installed(machine: Host) -> None:
    assert not machine.exists("setfacl")


def test_the_python_is_that_of_the_suite(machine: Host) -> None:
    suite = machine.check_output(". /etc/os-release && echo $VERSION_CODENAME")
    found = machine.check_output("python3 --version")
    assert found.startswith(f"Python {PYTHON[suite]}.")
