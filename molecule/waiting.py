# SPDX-License-Identifier: GPL-3.0-or-later
"""How the scenarios' tests wait: each look costs a login, and other scenarios run too."""

from __future__ import annotations

from functools import partial

from tests.integration import conftest

wait_until = partial(conftest.wait_until, pause=0.3)
