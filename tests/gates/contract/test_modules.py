# SPDX-License-Identifier: GPL-3.0-or-later
"""Facts about the modules' documentation that no tool sees."""

from __future__ import annotations

import pytest

import collection
from collection import NAMESPACE, Mapping


def defaults(example: Mapping, module: str) -> Mapping:
    """Return what the example's module_defaults set for the module, by name or by group."""
    groups = [name for name, members in collection.action_groups().items() if module in members]
    found: Mapping = {}
    for key in [NAMESPACE + module, *(f"group/{NAMESPACE}{group}" for group in groups)]:
        found.update(example.get("module_defaults", {}).get(key, {}))
    return found


def calls(module: str) -> list[tuple[str, str, Mapping, Mapping]]:
    """Return task, module, options and defaults of every call in a module's examples."""
    found = []
    given: dict[str, Mapping] = {}
    for entry in collection.tasks(collection.module_text(module, "EXAMPLES")):
        for other in collection.modules():
            given[other] = {**given.get(other, {}), **defaults(entry, other)}
            if NAMESPACE + other in entry:
                arguments = {**(entry[NAMESPACE + other] or {}), **entry.get("args", {})}
                found.append((entry.get("name", ""), other, arguments, given[other]))
    return found


@pytest.mark.parametrize("module", collection.modules())
def test_an_example_uses_only_options_that_exist(module: str) -> None:
    wrong: list[str] = []
    for where, called, given, by_default in calls(module):
        options = collection.module_options(called)
        wrong += collection.faults(options, {**by_default, **given}, where)
        wrong += collection.missing(options, {**by_default, **given}, where)
    assert not wrong, "\n".join(wrong)


@pytest.mark.parametrize("module", collection.modules())
def test_a_module_is_shown_in_its_own_examples(module: str) -> None:
    assert module in {call[1] for call in calls(module)}


def test_an_action_group_names_modules_that_exist() -> None:
    members = {member for group in collection.action_groups().values() for member in group}
    assert members, "meta/runtime.yml has no action group"
    assert not members - set(collection.modules())


@pytest.mark.parametrize("module", collection.modules())
def test_a_module_says_what_ansible_can_expect_of_it(module: str) -> None:
    attributes = collection.module_part(module, "attributes")
    assert {"check_mode", "diff_mode", "platform"} <= set(attributes)
    assert not [name for name, said in attributes.items() if "description" not in said]
    assert not [name for name, said in attributes.items() if "support" not in said]
    if module.endswith("_info"):
        assert attributes["diff_mode"]["support"] == "N/A"
    groups = [NAMESPACE + name for name, of in collection.action_groups().items() if module in of]
    assert attributes.get("action_group", {}).get("membership", []) == groups


@pytest.mark.parametrize("module", collection.modules())
def test_a_module_says_since_when_it_is_there_and_what_to_see_besides(module: str) -> None:
    documentation = collection.module_text(module, "DOCUMENTATION")
    assert documentation["version_added"]
    assert documentation["seealso"]
    returned = collection.module_text(module, "RETURN") or {}
    assert not [name for name, value in returned.items() if not {"sample", "contains"} & set(value)]
