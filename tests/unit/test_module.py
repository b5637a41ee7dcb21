# SPDX-License-Identifier: GPL-3.0-or-later
"""What the main() of every module does."""

from __future__ import annotations

import json
import os
from types import SimpleNamespace
from typing import Any
from unittest import mock

from ansible_collections.jgi.jaws.plugins.module_utils.errors import forget_secrets, quoted
from ansible_collections.jgi.jaws.plugins.module_utils.module import ENVIRONMENT_VARIABLES, run

PROXY = "http://me:a-proxys-password@proxy:3128"


def test_a_module_s_environment_variables_reach_its_commands_and_no_message() -> None:
    def action(_params: dict[str, Any], _check_mode: bool) -> dict[str, Any]:
        return dict(os.environ, quoted=quoted(f"pip: cannot reach {PROXY}"))

    given = json.dumps({"https_proxy": PROXY, "THREADS": 2})
    spec = {"environment": ENVIRONMENT_VARIABLES}
    seen: dict[str, Any] = {}
    module: Any = SimpleNamespace(
        params={"environment": given}, argument_spec=spec, check_mode=False, exit_json=seen.update
    )
    with mock.patch.dict(os.environ):
        run(module, action)
    forget_secrets()
    assert (seen["https_proxy"], seen["THREADS"]) == (PROXY, "2")
    assert "a-proxys-password" not in seen["quoted"]
    assert ENVIRONMENT_VARIABLES["no_log"]
