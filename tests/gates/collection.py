# SPDX-License-Identifier: GPL-3.0-or-later
"""How the contract tests read the collection, without Ansible's own loaders."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterable, Iterator
from functools import cache
from pathlib import Path
from typing import Any

import yaml
from jinja2 import Environment, nodes

ROOT = Path(__file__).resolve().parents[2]
NAMESPACE = "jgi.jaws."

Mapping = dict[str, Any]


class Loader(yaml.CSafeLoader):
    """Reads a value with a tag such as !vault or !unsafe as the value itself."""


def _untagged(loader: yaml.CSafeLoader, _suffix: str, node: yaml.Node) -> Any:
    if isinstance(node, yaml.ScalarNode):
        return loader.construct_scalar(node)
    if isinstance(node, yaml.SequenceNode):
        return loader.construct_sequence(node, deep=True)
    assert isinstance(node, yaml.MappingNode)
    return loader.construct_mapping(node, deep=True)


Loader.add_multi_constructor("!", _untagged)


@cache
def load(path: Path) -> Any:
    """Return the content of a YAML file; None if it does not exist."""
    return yaml.load(path.read_text(), Loader) if path.exists() else None


def paths(*patterns: str) -> list[Path]:
    """Return the paths in the collection that match, sorted."""
    return sorted(found for pattern in patterns for found in ROOT.glob(pattern))


def names(*patterns: str) -> list[str]:
    """Return the same, relative to the collection, to be used as names of tests."""
    return [str(path.relative_to(ROOT)) for path in paths(*patterns)]


def makefile_names(pattern: str) -> list[str]:
    """Return the words that the pattern finds in the Makefile and what it includes."""
    text = "".join(path.read_text() for path in paths("Makefile", "molecule/*.mk"))
    text = text.replace("\\\n", " ")
    return [name for found in re.findall(pattern, text, re.MULTILINE) for name in found.split()]


# ---- Modules


def modules() -> list[str]:
    """Return the modules' names."""
    return [path.stem for path in paths("plugins/modules/*.py") if path.stem != "__init__"]


def constants(body: list[ast.stmt]) -> dict[str, str]:
    """Return the texts that are assigned to names."""
    return {
        target.id: statement.value.value
        for statement in body
        if isinstance(statement, ast.Assign)
        and isinstance(statement.value, ast.Constant)
        and isinstance(statement.value.value, str)
        for target in statement.targets
        if isinstance(target, ast.Name)
    }


def module_text(module: str, name: str) -> Any:
    """Return DOCUMENTATION, EXAMPLES or RETURN of a module as data."""
    return plugin_text(ROOT / "plugins/modules" / f"{module}.py", name)


def plugin_text(path: Path, name: str) -> Any:
    """Return DOCUMENTATION, EXAMPLES or RETURN of any plugin as data."""
    tree = ast.parse(path.read_text())
    return yaml.load(constants(tree.body).get(name, ""), Loader)


def module_options(module: str) -> Mapping:
    """Return a module's documented options, including those of its doc fragments."""
    return module_part(module, "options")


def module_part(module: str, part: str) -> Mapping:
    """Return the options or attributes of a module, merged with those of its doc fragments."""
    documentation = module_text(module, "DOCUMENTATION")
    fragments = documentation.get("extends_documentation_fragment", [])
    own: Mapping = documentation.get(part, {})
    merged = {name: dict(value) for name, value in own.items()}
    for fragment in [fragments] if isinstance(fragments, str) else fragments:
        for name, value in fragment_part(fragment, part).items():
            merged[name] = {**value, **merged.get(name, {})}
    return merged


def fragment_part(name: str, part: str) -> Mapping:
    """Return a part of a doc fragment of this collection; nothing for others."""
    if not name.startswith(NAMESPACE):
        return {}
    file, _dot, section = name[len(NAMESPACE) :].partition(".")
    tree = ast.parse((ROOT / "plugins/doc_fragments" / f"{file}.py").read_text())
    texts = next(constants(node.body) for node in tree.body if isinstance(node, ast.ClassDef))
    fragment = yaml.load(texts[(section or "documentation").upper()], Loader)
    found: Mapping = fragment.get(part, {})
    return found


def faults(options: Mapping, given: Any, where: str) -> Iterator[str]:
    """Yield what is wrong with the given options, including suboptions."""
    known = {alias: option for option in options.values() for alias in option.get("aliases", [])}
    known.update(options)
    for name, value in given.items():
        if name not in known:
            yield f"{where}: no such option: {name}"
            continue
        option = known[name]
        if "choices" in option and "{{" not in str(value):
            for choice in value if isinstance(value, list) else [value]:
                if choice not in option["choices"]:
                    yield f"{where}: {name}: no such choice: {choice}"
        for part in value if isinstance(value, list) else [value]:
            if "options" in option and isinstance(part, dict):
                yield from faults(option["options"], part, f"{where}: {name}")


def missing(options: Mapping, given: Any, where: str) -> Iterator[str]:
    """Yield the required options that are not given, by name or by alias."""
    for name, option in options.items():
        if option.get("required") and not {name, *option.get("aliases", [])} & set(given):
            yield f"{where}: the required option is missing: {name}"


def action_groups() -> dict[str, list[str]]:
    """Return the action groups of meta/runtime.yml."""
    groups: dict[str, list[str]] = load(ROOT / "meta/runtime.yml").get("action_groups", {})
    return groups


# ---- Tasks


def tasks(entries: Any) -> Iterator[Mapping]:
    """Walk through plays, blocks and tasks, and yield each mapping among them."""
    for entry in entries or []:
        yield entry
        for key in ("pre_tasks", "tasks", "post_tasks", "handlers", "block", "rescue", "always"):
            yield from tasks(entry.get(key))


def values(data: Any, key: str = "") -> Iterator[tuple[str, Any]]:
    """Yield every scalar in the data, with its key."""
    if isinstance(data, dict):
        for name, value in data.items():
            yield "", name
            yield from values(value, name)
    elif isinstance(data, list):
        for value in data:
            yield from values(value, key)
    else:
        yield key, data


# ---- Roles and Jinja

# Under these keys Ansible evaluates a bare expression.
CONDITIONS = {"changed_when", "failed_when", "that", "until", "when"}


def roles() -> list[str]:
    """Return the roles' names."""
    return [path.name for path in paths("roles/*") if path.is_dir()]


def role_data(role: str) -> dict[Path, Any]:
    """Return the content of all YAML files of a role, except its specification."""
    found = paths(*(f"roles/{role}/{part}/**/*.yml" for part in ROLE_PARTS))
    return {path: load(path) for path in found}


ROLE_PARTS = ("defaults", "handlers", "tasks", "vars")


def role_options(role: str) -> Mapping:
    """Return the options of all entry points of a role."""
    return {
        name: option
        for entry_point in entry_points(role)
        for name, option in entry_options(role, entry_point).items()
    }


@cache
def entry_points(role: str) -> Mapping:
    """Return the specifications of a role's entry points; each is a file of tasks."""
    specs = load(ROOT / "roles" / role / "meta/argument_specs.yml") or {}
    found: Mapping = specs.get("argument_specs", {})
    return found


def entry_options(role: str, entry: str) -> Mapping:
    """Return the options of one entry point."""
    return entry_points(role)[entry].get("options") or {}


def entry_reads(role: str, entry: str) -> set[str]:
    """Return the role's options that an entry point reads, through whatever it imports and uses."""
    known: Mapping = {}
    for part in ("defaults", "vars"):
        for path in paths(f"roles/{role}/{part}/**/*.yml"):
            known.update(load(path) or {})
    found: set[str] = set()
    new = _mentioned(_task_texts(role, f"{entry}.yml"))
    while new:
        found |= new
        # A text may also be the beginning of the name of a private variable, for a lookup.
        begun = tuple(name for name in new if name.startswith("__") and name.endswith("_"))
        read = {name for name in known if name in new or name.startswith(begun)}
        texts = [text for name in read for text in jinja_texts(known[name])]
        texts += [template.read_text() for template in _templates(role, new)]
        new = (_mentioned(texts) | read) - found
    return found & set(role_options(role))


def _task_texts(role: str, file: str) -> list[str]:
    """Return the Jinja in a file of tasks, and in the files that it imports or includes."""
    data = load(ROOT / "roles" / role / "tasks" / file)
    found = [*jinja_texts(data)]
    for task in tasks(data):
        for key in ("ansible.builtin.import_tasks", "ansible.builtin.include_tasks"):
            name = task.get(key, "")
            for chosen in _chosen(role, name["file"] if isinstance(name, dict) else name):
                found += _task_texts(role, chosen)
    return found


def _chosen(role: str, file: str) -> list[str]:
    """Return the files that a name stands for: one for each choice of an option in it."""
    name, _sign, rest = file.partition("}}")
    if not rest:
        return [file] if file else []
    option = role_options(role)[name.removeprefix("{{").strip()]
    return [f"{choice}{rest}" for choice in option["choices"]]


def _templates(role: str, mentioned: set[str]) -> list[Path]:
    return [path for path in paths(f"roles/{role}/templates/*") if path.name in mentioned]


def _mentioned(texts: Iterable[str]) -> set[str]:
    """Return the variables that templates read, and their texts, which may name one."""
    found: set[str] = set()
    for text in texts:
        found |= names_read(text)
        constants = Environment(autoescape=True).parse(text).find_all(nodes.Const)
        found |= {node.value for node in constants if isinstance(node.value, str)}
    return found


def jinja_texts(data: Any) -> Iterator[str]:
    """Yield the texts in YAML data that Ansible would pass to Jinja."""
    for key, value in values(data):
        if key in CONDITIONS and isinstance(value, str) and "{{" not in value:
            yield "{{ " + value + " }}"
        elif isinstance(value, str) and ("{{" in value or "{%" in value):
            yield value


def longest_chain(template: str) -> int:
    """Return the length of the longest chain of filters."""
    filters = Environment(autoescape=True).parse(template).find_all(nodes.Filter)
    return max((_chained(node) for node in filters), default=0)


def _chained(node: nodes.Node | None) -> int:
    return 1 + _chained(node.node) if isinstance(node, nodes.Filter) else 0


@cache
def names_read(template: str) -> set[str]:
    """Return the variables that a template reads and does not set itself.

    Raises jinja2.TemplateSyntaxError if the template is broken.
    """
    found: dict[str, set[str]] = {"load": set(), "store": set(), "param": set()}
    for node in Environment(autoescape=True).parse(template).find_all(nodes.Name):
        found[node.ctx].add(node.name)
    return found["load"] - found["store"] - found["param"]
