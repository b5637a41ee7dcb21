# SPDX-License-Identifier: GPL-3.0-or-later
"""Facts about the YAML and Jinja of the collection."""

from __future__ import annotations

import pytest

import collection
from collection import ROOT

PLAYED = ("inventories/**/*.yml", "playbooks/**/*.yml", "roles/**/*.yml")


@pytest.mark.parametrize("name", collection.names("roles/**/*.j2", "playbooks/**/*.j2"))
def test_a_template_is_readable_for_jinja(name: str) -> None:
    collection.names_read((ROOT / name).read_text())


@pytest.mark.parametrize("name", collection.names(*PLAYED))
def test_jinja_in_yaml_is_readable_for_jinja(name: str) -> None:
    for text in collection.jinja_texts(collection.load(ROOT / name)):
        collection.names_read(text)


@pytest.mark.parametrize("name", collection.names("playbooks/*.yml", "roles/*/tasks/**/*.yml"))
def test_no_task_goes_on_after_an_error_or_runs_a_shell(name: str) -> None:
    for task in collection.tasks(collection.load(ROOT / name)):
        assert not {"ignore_errors", "ignore_unreachable", "ansible.builtin.shell"} & set(task)


@pytest.mark.parametrize("name", collection.names("inventories/*"))
def test_a_vault_in_git_holds_no_secret_in_clear_text(name: str) -> None:
    for path in (ROOT / name).rglob("*.yml"):
        if not path.read_text().startswith("$ANSIBLE_VAULT;"):
            # An expression that says where a secret comes from is none itself.
            vault = collection.load(path).items()
            secrets = {name: value for name, value in vault if name.startswith("vault_")}
            found = [name for name, value in collection.values(secrets) if "{{" not in str(value)]
            assert not [name for name in found if name], f"in clear text: {path}"
