# Copyright: (c) 2026, The jgi.jaws engineers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Wait for something to become true, with a time limit."""

from __future__ import annotations

import time
from typing import Callable

PAUSE = 0.05  # seconds between two tests


def wait_until(test: Callable[[], bool], seconds: float, pause: float = PAUSE) -> bool:
    """Call C(test) until it is true; return false if it still is not after that many seconds."""
    deadline = time.monotonic() + seconds
    while not test():
        if time.monotonic() >= deadline:
            return False
        time.sleep(pause)
    return True
