# SPDX-License-Identifier: GPL-3.0-or-later
"""Facts about the module."""

from __future__ import annotations

import json

import pytest
from ansible.module_utils.testing import patch_module_args

from ansible_collections.jgi.jaws.plugins.modules import greeting


def test_the_module_returns_the_greeting(capsys: pytest.CaptureFixture[str]) -> None:
    with patch_module_args({"name": "world"}), pytest.raises(SystemExit):
        greeting.main()
    assert json.loads(capsys.readouterr().out)["greeting"] == "Hello world"
