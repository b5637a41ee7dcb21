# SPDX-License-Identifier: GPL-3.0-or-later
"""The code for hosts: what may import what, how files are named, and which reasons there are."""

from __future__ import annotations

import ast
import itertools
import re
from collections.abc import Iterator
from pathlib import Path

import pytest
import yaml

from ansible_collections.jgi.jaws.plugins.module_utils.errors import REASONS
from collection import ROOT, paths

UTILITIES = ROOT / "plugins/module_utils"
FILES = {
    str(path.relative_to(UTILITIES).with_suffix("")): ast.parse(path.read_text())
    for path in paths("plugins/module_utils/**/*.py")
    if path.name != "__init__.py"
}
MOST_IMPORTS = 40
LIMITS = yaml.safe_load((ROOT / "tests/limits.yml").read_text())

Graph = dict[str, set[str]]


def imported(name: str) -> set[str]:
    """Return the files of module_utils that a file of it imports."""
    found = set()
    for node in ast.walk(FILES[name]):
        if isinstance(node, ast.ImportFrom) and node.level:
            folder = "/".join([*Path(name).parent.parts[: 2 - node.level]])
            base = "/".join(
                part for part in (folder, (node.module or "").replace(".", "/")) if part
            )
            inside = {f"{base}/{alias.name}".lstrip("/") for alias in node.names}
            found |= {base} if base in FILES else inside
    return found


def unit(name: str) -> str:
    """Return what a file belongs to: a directory of module_utils, or the file itself."""
    return name.split("/")[0]


def cycles(graph: Graph) -> set[str]:
    """Return what imports itself, directly or through others."""
    left = dict(graph)
    while leaves := [name for name, targets in left.items() if not targets & left.keys()]:
        for name in leaves:
            del left[name]
    return set(left)


FILE_GRAPH = {name: imported(name) for name in FILES}
UNIT_GRAPH = {
    unit(name): {unit(other) for one, found in FILE_GRAPH.items() if unit(one) == unit(name)
                 for other in found} - {unit(name)}
    for name in FILES
}  # fmt: skip


def test_the_imports_are_found() -> None:
    assert FILE_GRAPH["tree"] == {"errors", "system/acl", "system/files"}
    assert "supervisor/programs" in FILE_GRAPH["supervisor/planning"]
    assert set().union(*FILE_GRAPH.values()) <= set(FILES)
    assert cycles({"a": {"b"}, "b": {"a"}, "c": {"a"}}) == {"a", "b", "c"}


def test_imports_have_no_cycle() -> None:
    assert cycles(FILE_GRAPH) == set()
    assert cycles(UNIT_GRAPH) == set()


def test_files_and_directories_of_utilities_have_few_imports_between_them() -> None:
    assert sum(map(len, UNIT_GRAPH.values())) <= MOST_IMPORTS, UNIT_GRAPH


@pytest.mark.parametrize("module", [path.stem for path in paths("plugins/modules/*.py")])
def test_a_module_has_one_core_of_its_name_that_nothing_else_imports(module: str) -> None:
    tree = ast.parse((ROOT / f"plugins/modules/{module}.py").read_text())
    cores = {node.module for node in tree.body if isinstance(node, ast.ImportFrom) and node.level}
    if cores:
        assert cores == {"module_utils.module", f"module_utils.{module}"}
        assert module not in set().union(*FILE_GRAPH.values())


def sent(module: str) -> set[Path]:
    """Return the files of this collection that Ansible sends with a module."""
    path = ROOT / f"plugins/modules/{module}.py"
    tree = ast.parse(path.read_text())
    names = {node.module for node in tree.body if isinstance(node, ast.ImportFrom) and node.level}
    due = {str(name).removeprefix("module_utils.") for name in names}
    found: set[str] = set()
    while due:
        found |= due
        due = set().union(*(FILE_GRAPH[name] for name in due)) - found
    return {path, *(UTILITIES / f"{name}.py" for name in found)}


@pytest.mark.parametrize("module", [path.stem for path in paths("plugins/modules/*.py")])
def test_a_module_sends_only_the_utilities_that_it_needs(module: str) -> None:
    size = sum(path.stat().st_size for path in sent(module)) / 1024
    assert size <= LIMITS["payload"][module], f"{module} sends {size:.0f} KiB; see tests/limits.yml"


@pytest.mark.parametrize("module", ["tree", "venv"])
def test_files_and_environments_need_nothing_of_supervisord(module: str) -> None:
    assert UNIT_GRAPH[module] <= {"environments", "errors", "system"}


def differ_by_a_letter(one: str, other: str) -> bool:
    """Whether one name is the other with one character added, removed or changed."""
    short, long = sorted((one, other), key=len)
    if len(long) - len(short) > 1:
        return False
    at = next((i for i, pair in enumerate(zip(short, long, strict=False)) if len(set(pair)) > 1),
              len(short))  # fmt: skip
    return long[at + 1 :] in (short[at:], short[at + 1 :])


def test_no_two_files_in_a_directory_differ_by_one_character() -> None:
    assert differ_by_a_letter("release", "releases")
    assert not differ_by_a_letter("supervisord", "supervisorctl")
    folders: dict[Path, list[str]] = {}
    for path in paths("plugins/**/*.py"):
        folders.setdefault(path.parent, []).append(path.stem)
    close = [
        pair
        for names in folders.values()
        for pair in itertools.combinations(names, 2)
        if differ_by_a_letter(*pair)
    ]
    assert close == []


# ---- Reasons


def parameters(tree: ast.Module) -> dict[str, int]:
    """Return the position of the parameter C(reason), by the name of the function that has it."""
    found = {"JawsError": 1}
    for node in ast.walk(tree):
        names: list[str] = []
        if isinstance(node, ast.FunctionDef):
            names = [argument.arg for argument in node.args.args if argument.arg != "self"]
        elif isinstance(node, ast.ClassDef):
            fields = [part.target for part in node.body if isinstance(part, ast.AnnAssign)]
            names = [field.id for field in fields if isinstance(field, ast.Name)]
        if "reason" in names and isinstance(node, ast.FunctionDef | ast.ClassDef):
            found[node.name] = names.index("reason")
    return found


def given_reasons(tree: ast.Module) -> Iterator[ast.expr]:
    """Yield the arguments that are passed as a reason, and the defaults."""
    positions = parameters(tree)
    for node in ast.walk(tree):
        if isinstance(node, ast.Call):
            name = getattr(node.func, "attr", getattr(node.func, "id", ""))
            yield from (keyword.value for keyword in node.keywords if keyword.arg == "reason")
            if name in positions:
                yield from node.args[positions[name] : positions[name] + 1]
        elif isinstance(node, ast.arguments) and node.defaults:
            pairs = zip(node.args[-len(node.defaults) :], node.defaults, strict=True)
            yield from (default for argument, default in pairs if argument.arg == "reason")


def reasons_in(tree: ast.Module) -> Iterator[str]:
    """Yield each reason that is written in a file."""
    for value in given_reasons(tree):
        for part in ast.walk(value):
            if isinstance(part, ast.Constant) and isinstance(part.value, str):
                yield part.value


RAISED = {
    reason
    for path in paths("plugins/**/*.py")
    if path.name != "errors.py"
    for reason in reasons_in(ast.parse(path.read_text()))
}


def test_reasons_are_found_wherever_they_are_written() -> None:
    code = """
class Cause(NamedTuple):
    kind: str
    reason: str
def fail(self, why, reason="x"): ...
JawsError("a", "one")
JawsError("a", reason="two")
self.fail("why", "three" if it else other[0])
Cause("kind", "four")
"""
    assert set(reasons_in(ast.parse(code))) == {"one", "two", "three", "four", "x"}


def test_every_reason_that_is_raised_is_listed_and_every_listed_one_is_raised() -> None:
    assert RAISED | {"failed"} == set(REASONS)
    assert list(REASONS) == sorted(REASONS)


def test_the_documentation_lists_the_reasons() -> None:
    text = (ROOT / "docs/reasons.md").read_text()
    assert dict(re.findall(r"^\| `(\w+)` \| (.*?) \| .*\|$", text, re.MULTILINE)) == REASONS
