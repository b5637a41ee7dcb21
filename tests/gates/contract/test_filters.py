# SPDX-License-Identifier: GPL-3.0-or-later
"""Facts about the filters: one file each, with its own page."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from functools import cache
from importlib import import_module
from typing import Any

import pytest

import collection
from collection import NAMESPACE, ROOT

FILTERS = [path.stem for path in collection.paths("plugins/filter/*.py")]


@cache
def pages() -> dict[str, Any]:
    """Return what ansible-doc shows of each filter of the collection."""
    command = [sys.executable, "-m", "ansible", "doc", "--type", "filter", "--json"]
    environment = {**os.environ, "ANSIBLE_COLLECTIONS_PATH": str(ROOT / ".collections")}
    names = [f"{NAMESPACE}{name}" for name in FILTERS]
    shown = subprocess.run(
        [*command, *names], env=environment, check=True, capture_output=True, text=True
    ).stdout
    found: dict[str, Any] = json.loads(shown)
    return found


@pytest.mark.parametrize("name", FILTERS)
def test_a_file_has_one_filter_of_its_own_name(name: str) -> None:
    module = import_module(f"ansible_collections.jgi.jaws.plugins.filter.{name}")
    assert list(module.FilterModule().filters()) == [name]


@pytest.mark.parametrize("name", FILTERS)
def test_ansible_doc_shows_each_filter_its_own_page(name: str) -> None:
    doc = pages()[f"{NAMESPACE}{name}"]["doc"]
    assert (doc["name"], os.path.basename(doc["filename"])) == (name, f"{name}.py")


def test_no_two_filters_are_described_by_the_same_words() -> None:
    described = [page["doc"]["short_description"] for page in pages().values()]
    assert sorted(set(described)) == sorted(described)


@pytest.mark.parametrize("name", FILTERS)
def test_the_example_of_a_filter_uses_it_and_its_value_has_a_sample(name: str) -> None:
    page = pages()[f"{NAMESPACE}{name}"]
    assert f"{NAMESPACE}{name}(" in page["examples"]
    assert page["return"]["_value"]["sample"]
