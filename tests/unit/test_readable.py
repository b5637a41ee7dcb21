# SPDX-License-Identifier: GPL-3.0-or-later
"""The vars plugin that names what cannot be parsed."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace

import pytest
from ansible.errors import AnsibleParserError
from ansible.parsing.dataloader import DataLoader

from ansible_collections.jgi.jaws.plugins.vars.readable import VarsModule
from collection import ROOT

GROUP = SimpleNamespace(name="all")
TWICE = """
from ansible.plugins.loader import init_plugin_loader, vars_loader
init_plugin_loader()
found = [vars_loader.get("jgi.jaws.readable") for _turn in range(2)]
assert found[0] is found[1] is not None
"""


@pytest.fixture
def plugin(monkeypatch: pytest.MonkeyPatch) -> VarsModule:
    monkeypatch.setattr(VarsModule, "seen", set())
    return VarsModule()  # type: ignore[no-untyped-call]  # its base has no types


def test_a_file_that_cannot_be_parsed_is_named_with_its_line(
    tmp_path: Path, plugin: VarsModule
) -> None:
    (tmp_path / "group_vars").mkdir()
    (tmp_path / "group_vars/all.yml").write_text("a: 1\nb: [1\nc: 2\n")
    with pytest.raises(AnsibleParserError, match=r"all\.yml, line 3, column 2: this YAML cannot"):
        plugin.get_vars(DataLoader(), str(tmp_path), [GROUP])


def test_the_files_of_a_group_are_looked_for_once(tmp_path: Path, plugin: VarsModule) -> None:
    assert plugin.get_vars(DataLoader(), str(tmp_path), [GROUP]) == {}
    assert plugin.get_vars(None, str(tmp_path), [GROUP]) == {}


def test_ansible_keeps_the_plugin_and_does_not_look_for_it_each_time() -> None:
    environment = {**os.environ, "ANSIBLE_CONFIG": str(ROOT / "ansible.cfg")}
    subprocess.run([sys.executable, "-c", TWICE], check=True, env=environment, cwd=ROOT)
