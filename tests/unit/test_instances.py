# SPDX-License-Identifier: GPL-3.0-or-later
"""In which order the instances of a deployment start and stop."""

from __future__ import annotations

from typing import Any

from ansible_collections.jgi.jaws.plugins.plugin_utils.instances import start_order


def instance(group: str, name: str) -> dict[str, Any]:
    return {"group": group, "boot": {"name": name}}


def test_what_the_inventory_lists_first_starts_last() -> None:
    known = {"a": instance("dev", "site"), "b": instance("prod", "x"), "c": instance("dev", "pool")}
    assert start_order(known, "a") == start_order(known, "c")
    assert start_order(known, "a")["hosts"] == ["c", "a"]
    assert start_order(known, "a")["instances"] == [{"name": "pool"}, {"name": "site"}]
    assert start_order(known, "b")["hosts"] == ["b"]


def test_an_instance_of_another_account_is_not_started_by_a_boot() -> None:
    known = {"a": instance("dev", "site"), "b": instance("", "x"), "c": instance("", "pool")}
    assert start_order(known, "a")["hosts"] == ["a"]
    assert start_order(known, "b") == {"hosts": [], "instances": []}
