# SPDX-License-Identifier: GPL-3.0-or-later
"""Facts about the roles that no tool sees: interface, defaults, variables, handlers."""

from __future__ import annotations

import re
from collections.abc import Iterator
from functools import cache
from typing import Any

import pytest
import yaml

import collection
from collection import ROOT, Mapping

# What only the wiring reads, that is, the files in playbooks/group_vars.
WIRING = ("deployment_", "site_", "vault_")
ABSENCE = re.compile(
    r"\b(omitted|without|optional|unless|not set|unset|not given|required (for|when|with))\b",
    re.IGNORECASE,
)

each_role = pytest.mark.parametrize("role", collection.roles())


def role_defaults(role: str) -> Mapping:
    found: Mapping = {}
    for path in collection.paths(f"roles/{role}/defaults/**/*.yml"):
        found.update(collection.load(path) or {})
    return found


def description(option: Mapping) -> str:
    text = option.get("description", "")
    return text if isinstance(text, str) else " ".join(text)


def used(role: str) -> set[str]:
    """Return the variables that a role's tasks, handlers, defaults, vars and templates read."""
    texts = [text for data in collection.role_data(role).values() for text in jinja(data)]
    for path in collection.paths(f"roles/{role}/templates/**/*.j2"):
        texts.append(path.read_text())
    return {name for text in texts for name in collection.names_read(text)}


def jinja(data: Any) -> Iterator[str]:
    """Yield the Jinja in YAML data, and the names that debug's var reads."""
    yield from collection.jinja_texts(data)
    for key, value in collection.values(data):
        if key == "var":
            yield "{{ " + str(value) + " }}"


def made(role: str) -> set[str]:
    """Return the variables that a role defines itself: vars, registered, facts, loops."""
    found: set[str] = set()
    for path, data in collection.role_data(role).items():
        if path.is_relative_to(ROOT / "roles" / role / "vars"):
            found |= set(data or {})
            continue
        for task in collection.tasks(data) if isinstance(data, list) else []:
            found |= set(task.get("vars", {}))
            found |= set(task.get("ansible.builtin.set_fact", {}))
            control = task.get("loop_control", {})
            found |= {task.get("register", ""), *control.values()}
    return found


def own(role: str, names: set[str]) -> set[str]:
    return {name for name in names if name.startswith((f"{role}_", f"__{role}_"))}


@each_role
def test_a_default_is_the_one_that_the_specification_names(role: str) -> None:
    specified = {
        name: option["default"]
        for name, option in collection.role_options(role).items()
        if "default" in option
    }
    assert specified or collection.role_options(role), "no option is specified"
    # By repr, because true and 1 are equal otherwise.
    assert {name: repr(value) for name, value in role_defaults(role).items()} == {
        name: repr(value) for name, value in specified.items()
    }


@each_role
def test_a_required_option_has_no_default(role: str) -> None:
    options = collection.role_options(role)
    superfluous = {name for name in role_defaults(role) if options.get(name, {}).get("required")}
    assert not superfluous


@each_role
def test_an_option_is_required_or_has_a_default_or_says_what_its_absence_means(role: str) -> None:
    unclear = {
        name
        for name, option in collection.role_options(role).items()
        if not option.get("required")
        and "default" not in option
        and not ABSENCE.search(description(option))
    }
    assert not unclear


@each_role
def test_a_role_reads_only_what_is_specified_or_made_by_itself(role: str) -> None:
    unknown = own(role, used(role)) - set(collection.role_options(role)) - made(role)
    assert not unknown


@each_role
def test_a_role_reads_every_option_that_it_specifies(role: str) -> None:
    unread = set(collection.role_options(role)) - used(role)
    assert not unread


@each_role
def test_a_role_reads_no_fact_of_a_site_and_no_option_of_another_role(role: str) -> None:
    others = tuple(f"{other}_" for other in collection.roles() if other != role)
    foreign = {name for name in used(role) if name.startswith((*WIRING, *others))}
    foreign -= made(role) | own(role, foreign)
    assert not foreign


@each_role
def test_a_handler_that_is_notified_exists_and_one_that_exists_is_notified(role: str) -> None:
    notified: set[str] = set()
    handlers: set[str] = set()
    for path, data in collection.role_data(role).items():
        entries = list(collection.tasks(data)) if isinstance(data, list) else []
        for task in entries:
            notified |= set(listed(task.get("notify")))
        if path.is_relative_to(ROOT / "roles" / role / "handlers"):
            handlers |= {name for task in entries for name in answers_to(task)}
    assert notified == handlers


def answers_to(handler: Mapping) -> list[str]:
    return listed(handler.get("listen")) or [handler["name"]]


def listed(value: Any) -> list[str]:
    return [value] if isinstance(value, str) else list(value or [])


@each_role
def test_an_option_gets_no_second_default_in_a_task(role: str) -> None:
    second = re.compile(rf"\b{role}_\w+\s*\|\s*d(efault)?\(")
    texts = [text for data in collection.role_data(role).values() for text in jinja(data)]
    found = [text for text in texts if second.search(text)]
    assert not found


USERS = ("playbooks/**/*.yml", "roles/*/tasks/**/*.yml", "molecule/**/*.yml")


@cache
def named_entry_points() -> set[tuple[str, str]]:
    """Return the roles that plays and tasks name, each with the entry point that they use."""
    found: set[tuple[str, str]] = set()
    for path in collection.paths(*USERS):
        data = collection.load(path)
        for task in collection.tasks(data) if isinstance(data, list) else []:
            named = [
                {"name": role} if isinstance(role, str) else {"name": role["role"], **role}
                for role in task.get("roles", [])
            ]
            for key in ("ansible.builtin.import_role", "ansible.builtin.include_role"):
                named += [task[key]] if key in task else []
            found |= {(role["name"], role.get("tasks_from", "main")) for role in named}
    return {(name.removeprefix(collection.NAMESPACE), entry) for name, entry in found}


def test_a_role_that_a_playbook_or_role_names_exists() -> None:
    named = {name for name, _entry in named_entry_points()}
    assert named, "no playbook names a role"
    assert not named - set(collection.roles())


@each_role
def test_an_entry_point_that_somebody_uses_is_specified_and_one_that_is_specified_exists(
    role: str,
) -> None:
    specified = set(collection.entry_points(role))
    tasks = {path.stem for path in collection.paths(f"roles/{role}/tasks/*.yml")}
    assert specified <= tasks
    assert not {entry for name, entry in named_entry_points() if name == role} - specified


@pytest.mark.parametrize(
    ("role", "entry"),
    [(role, entry) for role in collection.roles() for entry in collection.entry_points(role)],
)
def test_an_entry_point_specifies_the_options_that_it_reads(role: str, entry: str) -> None:
    specified = set(collection.entry_options(role, entry))
    reads = collection.entry_reads(role, entry)
    assert not reads - specified
    # A play passes all options to main, including those of the entry points that follow it.
    assert entry == "main" or not specified - reads


@each_role
def test_an_option_means_the_same_in_every_entry_point(role: str) -> None:
    options = collection.role_options(role)
    for entry in collection.entry_points(role):
        for name, option in collection.entry_options(role, entry).items():
            assert option == options[name]


def readme(role: str) -> str:
    return (ROOT / "roles" / role / "README.md").read_text()


@each_role
def test_the_example_of_a_role_gives_every_option_that_is_required_and_none_that_does_not_exist(
    role: str,
) -> None:
    (example,) = re.findall(r"```yaml\n(.*?)```", readme(role), re.DOTALL)
    (used,) = yaml.load(example, collection.Loader)[0]["roles"]
    assert used["role"] == f"jgi.jaws.{role}"
    options = collection.entry_points(role)["main"]["options"]
    wrong = [
        *collection.faults(options, used["vars"], role),
        *collection.missing(options, used["vars"], role),
    ]
    assert not wrong, "\n".join(wrong)


@each_role
def test_the_page_of_a_role_names_every_entry_point(role: str) -> None:
    entries = set(collection.entry_points(role)) - {"main"}
    assert not {entry for entry in entries if f"`{entry}`" not in readme(role)}
