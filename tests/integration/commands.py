# SPDX-License-Identifier: GPL-3.0-or-later
"""Commands of the system that a test needs."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

SCRIPT = Path(__file__).parents[2] / ".config/commands.py"


def require(*names: str) -> None:
    """Fail the test in one sentence that names the package if a command is missing."""
    command = [sys.executable, str(SCRIPT), *names]
    done = subprocess.run(command, check=False, capture_output=True, text=True)
    if done.returncode:
        pytest.fail(done.stderr.strip(), pytrace=False)
