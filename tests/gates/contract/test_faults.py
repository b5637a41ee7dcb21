# SPDX-License-Identifier: GPL-3.0-or-later
"""The fault matrix in docs/reliability.md names exactly the tests that set its faults up."""

from __future__ import annotations

import ast
import re
from collections import defaultdict
from functools import cache
from pathlib import Path
from typing import TypeGuard

import pytest

import collection

MATRIX = "docs/reliability.md"
ROW = re.compile(r"^\| (\d+) \| ([^|]+) \| ([^|]+) \| ([^|]+) \|$", re.MULTILINE)
TEST = re.compile(r"`(test_\w+)`")
FAULTS = 69


@cache
def rows() -> dict[int, str]:
    """Return what the matrix says about each row's tests."""
    text = (collection.ROOT / MATRIX).read_text()
    return {int(number): tests for number, _fault, _behaviour, tests in ROW.findall(text)}


@cache
def marked() -> dict[int, set[str]]:
    """Return the names of the tests that are marked with each row."""
    found: dict[int, set[str]] = defaultdict(set)
    for path in collection.paths("tests/**/test_*.py", "molecule/**/test_*.py"):
        for name, row in marks(path):
            found[row].add(name)
    return found


def marks(path: Path) -> list[tuple[str, int]]:
    tests = [node for node in ast.walk(ast.parse(path.read_text())) if is_test(node)]
    calls = [(test.name, call) for test in tests for call in test.decorator_list]
    return [
        (name, ast.literal_eval(call.args[0]))
        for name, call in calls
        if isinstance(call, ast.Call) and ast.unparse(call.func) == "pytest.mark.fault"
    ]


def is_test(node: ast.AST) -> TypeGuard[ast.FunctionDef]:
    return isinstance(node, ast.FunctionDef) and node.name.startswith("test_")


def test_every_fault_has_its_row_once() -> None:
    text = (collection.ROOT / MATRIX).read_text()
    assert [int(found[0]) for found in ROW.findall(text)] == [*range(1, FAULTS + 1)]


@pytest.mark.parametrize("row", range(1, FAULTS + 1))
def test_a_row_names_exactly_the_tests_that_are_marked_with_it(row: int) -> None:
    told = rows()[row]
    assert sorted(TEST.findall(told)) == sorted(marked()[row])
    assert marked()[row] or len(told.split()) > 5, "without a test it says why there is none"


def test_no_test_is_marked_with_a_fault_that_has_no_row() -> None:
    assert marked().keys() <= rows().keys()
