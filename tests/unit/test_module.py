# SPDX-License-Identifier: GPL-3.0-or-later
"""What the main() of every module does."""

from __future__ import annotations

import json
import os
from typing import Any
from unittest import mock

import pytest
from ansible.module_utils.basic import AnsibleModule

from ansible_collections.jgi.jaws.plugins.module_utils.errors import forget_secrets, quoted
from ansible_collections.jgi.jaws.plugins.module_utils.module import ENVIRONMENT_VARIABLES, run
from module_arguments import module_arguments

PROXY = "http://me:a-proxys-password@proxy:3128"


def test_environment_variables_of_a_module_reach_its_commands_and_no_output(
    capsys: pytest.CaptureFixture[str],
) -> None:
    seen: dict[str, Any] = {}

    def action(_params: dict[str, Any], _check_mode: bool) -> dict[str, Any]:
        seen.update(os.environ, quoted=quoted(f"pip: cannot reach {PROXY}"))
        return {"changed": False}

    given = {"environment": {"https_proxy": PROXY, "THREADS": 2}}
    with module_arguments(given), mock.patch.dict(os.environ):
        module = AnsibleModule({"environment": ENVIRONMENT_VARIABLES})
        with pytest.raises(SystemExit):
            run(module, action)
    forget_secrets()
    assert (seen["https_proxy"], seen["THREADS"]) == (PROXY, "2")
    assert "a-proxys-password" not in seen["quoted"]
    printed = json.loads(capsys.readouterr().out)
    assert "a-proxys-password" not in str(printed)
    assert printed["changed"] is False
