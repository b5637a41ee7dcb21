# SPDX-License-Identifier: GPL-3.0-or-later
"""Facts about the wiring in playbooks/group_vars: what it reads, its defaults, and its page."""

from __future__ import annotations

from contextlib import suppress
from typing import Any

import pytest
from jinja2 import Environment, StrictUndefined, UndefinedError

import collection
import variables
from ansible_collections.jgi.jaws.plugins.plugin_utils.inventory import read_spec
from ansible_collections.jgi.jaws.plugins.plugin_utils.wiring import FACTS, WORD
from collection import ROOT, Mapping

SPEC = read_spec()
GROUPS = SPEC.wiring.groups
# A host is in one group of each line.
HOSTS = (("supervisord", "jaws"), ("supervisord", "jtm"), ("gitlab_runner",))


def test_a_fact_that_the_wiring_reads_is_described_once() -> None:
    texts = [str(template) for group in GROUPS.values() for template in group.values()]
    read = {word for text in texts for word in WORD.findall(text) if word.startswith(FACTS)}
    assert read
    assert not read - set(SPEC.facts), "no description: playbooks/vars/inventory_spec.yml"
    described = set(collection.load(ROOT / "playbooks/vars/inventory_spec.yml")["options"])
    options = {name for options in SPEC.roles.values() for name in options}
    renamed = {fact for fact, name in SPEC.wiring.renames().items() if name in options}
    assert not described & renamed, "the option of the role describes it"


def test_the_wiring_sets_options_that_roles_have() -> None:
    options = {name for options in SPEC.roles.values() for name in options}
    prefixes = tuple(f"{role}_" for role in SPEC.roles)
    assert not {name for name in SPEC.wiring.names if name.startswith(prefixes)} - options


def rendered(value: Any, wired: Mapping) -> str:
    """Return the value of a template if an inventory states no facts at all.

    Raises UndefinedError if it depends on a fact without a default.
    """
    if not isinstance(value, str):
        return str(value)
    names = collection.names_read(value).intersection(wired)
    values = {name: rendered(wired[name], wired) for name in names}
    environment = Environment(undefined=StrictUndefined, autoescape=True)
    return environment.from_string(value).render(lookup=lambda *_: "", **values)


def defaults(groups: tuple[str, ...]) -> list[tuple[str, str, str]]:
    """Return options with their own default and the one that the wiring sets."""
    wired = {name: value for group in groups for name, value in GROUPS[group].items()}
    wired["supervisord_root"] = "/root"
    found = []
    for name, option in SPEC.known.items():
        if name in wired and "default" in option:
            with suppress(UndefinedError):
                own = rendered(option["default"], wired)
                found.append((name, own, rendered(wired[name], wired)))
    return found


@pytest.mark.parametrize("groups", HOSTS)
def test_the_wiring_has_no_default_of_its_own(groups: tuple[str, ...]) -> None:
    pairs = defaults(groups)
    assert len(pairs) > 5
    assert [name for name, own, wired in pairs if own != wired] == []


def test_the_page_of_variables_is_what_the_code_reads() -> None:
    assert variables.PAGE.read_text() == variables.page(), f"run {variables.COMMAND}"
