# SPDX-License-Identifier: GPL-3.0-or-later
"""What the contract tests read of the collection, without Ansible's own loaders."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import yaml
from jinja2 import Environment, nodes

ROOT = Path(__file__).resolve().parents[2]
NAMESPACE = "jgi.jaws."

Mapping = dict[str, Any]


class Loader(yaml.SafeLoader):
    """Reads tags such as !vault and !unsafe as what they stand on."""


def _untagged(loader: yaml.SafeLoader, _suffix: str, node: yaml.Node) -> Any:
    if isinstance(node, yaml.ScalarNode):
        return loader.construct_scalar(node)
    if isinstance(node, yaml.SequenceNode):
        return loader.construct_sequence(node, deep=True)
    assert isinstance(node, yaml.MappingNode)
    return loader.construct_mapping(node, deep=True)


Loader.add_multi_constructor("!", _untagged)


def load(path: Path) -> Any:
    """Return the content of a YAML file; None for one that does not exist."""
    return yaml.load(path.read_text(), Loader) if path.exists() else None


def paths(*patterns: str) -> list[Path]:
    """Return what matches in the collection, sorted."""
    return sorted(found for pattern in patterns for found in ROOT.glob(pattern))


def names(*patterns: str) -> list[str]:
    """Return the same, relative to the collection: they serve as the names of tests."""
    return [str(path.relative_to(ROOT)) for path in paths(*patterns)]


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
    tree = ast.parse((ROOT / "plugins/modules" / f"{module}.py").read_text())
    return yaml.load(constants(tree.body).get(name, ""), Loader)


def module_options(module: str) -> Mapping:
    """Return a module's documented options, those of its doc fragments included."""
    documentation = module_text(module, "DOCUMENTATION")
    options: Mapping = {}
    fragments = documentation.get("extends_documentation_fragment", [])
    for fragment in [fragments] if isinstance(fragments, str) else fragments:
        options.update(fragment_options(fragment))
    return {**options, **documentation.get("options", {})}


def fragment_options(name: str) -> Mapping:
    """Return the options of a doc fragment of this collection; of another's, none."""
    if not name.startswith(NAMESPACE):
        return {}
    file, _dot, section = name[len(NAMESPACE) :].partition(".")
    tree = ast.parse((ROOT / "plugins/doc_fragments" / f"{file}.py").read_text())
    texts = next(constants(node.body) for node in tree.body if isinstance(node, ast.ClassDef))
    fragment = yaml.load(texts[(section or "documentation").upper()], Loader)
    options: Mapping = fragment.get("options", {})
    return options


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
    """Yield every scalar in the data, beside the key that it stands under."""
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
    """Return the content of all YAML files of a role but its specification."""
    found = paths(*(f"roles/{role}/{part}/**/*.yml" for part in ROLE_PARTS))
    return {path: load(path) for path in found}


ROLE_PARTS = ("defaults", "handlers", "tasks", "vars")


def role_options(role: str) -> Mapping:
    """Return the options of a role, those of all its entry points."""
    specs = (load(ROOT / "roles" / role / "meta/argument_specs.yml") or {}).get("argument_specs")
    return {
        name: option
        for entry_point in (specs or {}).values()
        for name, option in (entry_point.get("options") or {}).items()
    }


def jinja_texts(data: Any) -> Iterator[str]:
    """Yield what Ansible would hand to Jinja from YAML data."""
    for key, value in values(data):
        if key in CONDITIONS and isinstance(value, str) and "{{" not in value:
            yield "{{ " + value + " }}"
        elif isinstance(value, str) and ("{{" in value or "{%" in value):
            yield value


def names_read(template: str) -> set[str]:
    """Return the variables that a template reads and does not set itself.

    Raises jinja2.TemplateSyntaxError for a template that is broken.
    """
    found: dict[str, set[str]] = {"load": set(), "store": set(), "param": set()}
    for node in Environment(autoescape=True).parse(template).find_all(nodes.Name):
        found[node.ctx].add(node.name)
    return found["load"] - found["store"] - found["param"]
