# SPDX-License-Identifier: GPL-3.0-or-later
"""Every ansible-core that is promised was tested."""

from __future__ import annotations

import subprocess

import pytest

from tests.matrix.conftest import MATRIX, PYTHONS
from tests.matrix.versions import PYTHONS as RUNS_ON
from tests.matrix.versions import ROOT

TESTS = ["tests/gates/contract", "tests/unit", "tests/integration"]


@pytest.mark.parametrize("name", MATRIX["names"])
def test_this_machine_has_a_python_for_it(name: str) -> None:
    if name in PYTHONS:
        return
    reason = (
        f"ansible-core {name} was not tested: it runs on Python {', '.join(RUNS_ON[name])}, and "
        "none of them is in PATH or ~/.pyenv/versions; install one, for example by pyenv install"
    )
    if MATRIX["ends"]:  # make test uses what the machine has, and names the rest
        pytest.skip(reason)
    pytest.fail(reason)


@pytest.mark.parametrize("name", PYTHONS)
def test_its_python_can_read_every_test(name: str) -> None:
    """C(make matrix), which takes hours, would end at the first that it cannot."""
    command = [PYTHONS[name], "-m", "pytest", "--collect-only", "-qq", *TESTS]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout
