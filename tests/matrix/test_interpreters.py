# SPDX-License-Identifier: GPL-3.0-or-later
"""Every ansible-core that is promised was tested."""

from __future__ import annotations

import pytest

from tests.matrix.conftest import MATRIX, PYTHONS
from tests.matrix.versions import PYTHONS as RUNS_ON


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
