# SPDX-License-Identifier: GPL-3.0-or-later
"""A process to look at, and Hypothesis without deadlines: on a busy machine they say nothing."""

from __future__ import annotations

import subprocess
from collections.abc import Iterator

import pytest
from hypothesis import HealthCheck, settings

settings.register_profile("project", deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.load_profile("project")


@pytest.fixture
def sleeper() -> Iterator[subprocess.Popen[bytes]]:
    """A process of the test's own."""
    with subprocess.Popen(["sleep", "1000"], start_new_session=True) as child:
        yield child
        child.kill()
