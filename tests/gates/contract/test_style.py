# SPDX-License-Identifier: GPL-3.0-or-later
"""The budgets for the size of code: the limits in force, which are above the aims."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from pathlib import Path

import pytest

import collection
from collection import ROOT

TASK_FILE = 40
MOLECULE = 10
FUNCTION = 30
TEST = 40
MAIN = 20
MODULE = 90
# A long function is an exception: at most this share of those in plugins/ is above the aim.
FUNCTION_AIM = 20
EXCEPTIONS = 0.1

Function = ast.FunctionDef | ast.AsyncFunctionDef


def functions(path: Path) -> Iterator[tuple[str, int]]:
    """Yield each function's name and its number of lines without the docstring."""
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, Function):
            first = node.body[0]
            text = ast.get_docstring(node) is not None
            docstring = (first.end_lineno or 0) - first.lineno + 1 if text else 0
            yield node.name, (node.end_lineno or 0) - node.lineno + 1 - docstring


def code_lines(text: str) -> int:
    """Count the lines that are neither empty nor comments."""
    lines = [line.strip() for line in text.splitlines()]
    return len([line for line in lines if line and not line.startswith("#") and line != "---"])


@pytest.mark.parametrize(
    "name",
    collection.names("plugins/**/*.py", "tests/**/*.py", "examples/**/*.py", "bench/**/*.py"),
)
def test_a_function_fits_on_a_screen(name: str) -> None:
    bound = TEST if name.startswith("tests/") else FUNCTION
    assert not {what: size for what, size in functions(ROOT / name) if size > bound}


def test_few_functions_are_longer_than_the_aim() -> None:
    sizes = [
        (size, f"{path.name}: {name}")
        for path in collection.paths("plugins/**/*.py")
        for name, size in functions(path)
    ]
    long = sorted(entry for entry in sizes if entry[0] > FUNCTION_AIM)
    assert len(long) <= EXCEPTIONS * len(sizes), long


@pytest.mark.parametrize("module", collection.modules())
def test_a_module_is_a_thin_shell(module: str) -> None:
    path = ROOT / "plugins/modules" / f"{module}.py"
    # The module of an action plugin has only documentation, and no main.
    assert dict(functions(path)).get("main", 0) <= MAIN
    text = path.read_text()
    documented = collection.constants(ast.parse(text).body)
    lines = len(text.splitlines()) - sum(len(part.splitlines()) for part in documented.values())
    assert lines <= MODULE


@pytest.mark.parametrize("name", collection.names("roles/*/tasks/**/*.yml"))
def test_a_task_file_is_about_one_thing(name: str) -> None:
    assert code_lines((ROOT / name).read_text()) <= TASK_FILE


def test_a_molecule_scenario_leaves_the_rest_to_the_shared_configuration() -> None:
    sizes = {
        path: code_lines(path.read_text()) for path in collection.paths("molecule/*/molecule.yml")
    }
    assert not {path: size for path, size in sizes.items() if size > MOLECULE}
