# SPDX-License-Identifier: GPL-3.0-or-later
"""Facts about the YAML and Jinja of the collection."""

from __future__ import annotations

import re

import pytest
import yaml

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


@pytest.mark.parametrize("name", collection.names("playbooks/*.yml"))
def test_a_play_does_a_task_on_all_hosts_before_the_next_one_whatever_the_default_is(
    name: str,
) -> None:
    plays = [play for play in collection.load(ROOT / name) if "hosts" in play]
    assert {play["strategy"] for play in plays} <= {"ansible.builtin.linear"}


VARIABLES = ("roles/*/vars/**/*.yml", "roles/*/defaults/**/*.yml", "playbooks/group_vars/**/*.yml")
TASKS = ("playbooks/**/*.yml", "roles/*/tasks/**/*.yml")
# Anything more than a value is decided by a function in plugin_utils, which has tests.
FILTERS = 2
LONG_CHAINS = 3
EXTRACTED_HOSTVARS = 1


def texts(*patterns: str) -> list[str]:
    data = [collection.load(path) for path in collection.paths(*patterns)]
    return [text for part in data for text in collection.jinja_texts(part)]


def test_a_variable_is_a_value_and_no_chain_of_filters() -> None:
    long = [text for text in texts(*VARIABLES) if collection.longest_chain(text) > FILTERS]
    assert len(long) <= LONG_CHAINS, long


def test_what_other_hosts_have_is_looked_up_by_a_plugin() -> None:
    found = [
        text for text in texts(*VARIABLES, *TASKS) if re.search("extract.*hostvars", text, re.S)
    ]
    assert len(found) <= EXTRACTED_HOSTVARS, found


@pytest.mark.parametrize("name", collection.names(*VARIABLES))
def test_a_precondition_is_a_task_and_no_table_of_rules(name: str) -> None:
    keys = [value for key, value in collection.values(collection.load(ROOT / name)) if not key]
    assert not {"else", "fail_msg", "that", "unless"} & {
        key for key in keys if isinstance(key, str)
    }


@pytest.mark.parametrize("name", collection.names(*TASKS))
def test_a_task_says_its_arguments_itself_and_not_by_an_anchor(name: str) -> None:
    tokens = list(yaml.scan((ROOT / name).read_text()))
    assert tokens
    assert not [token for token in tokens if isinstance(token, yaml.AnchorToken | yaml.AliasToken)]


@pytest.mark.parametrize("name", collection.names("inventories/*"))
def test_a_vault_in_git_holds_no_secret_in_clear_text(name: str) -> None:
    for path in (ROOT / name).rglob("*.yml"):
        if not path.read_text().startswith("$ANSIBLE_VAULT;"):
            # An expression that says where a secret comes from is not a secret itself.
            vault = collection.load(path).items()
            secrets = {name: value for name, value in vault if name.startswith("vault_")}
            found = [name for name, value in collection.values(secrets) if "{{" not in str(value)]
            assert not [name for name in found if name], f"in clear text: {path}"
