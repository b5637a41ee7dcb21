# SPDX-License-Identifier: GPL-3.0-or-later
"""Which facts become which options."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from ansible_collections.jgi.jaws.plugins.plugin_utils.wiring import (
    Wiring,
    is_same,
    read_wiring,
)

GROUPS: dict[str, dict[str, Any]] = {
    "supervisord": {
        "jaws_root": "{{ site_root }}",
        "jaws_wheels": "{{ site_wheels | default('') }}",
        "jaws_python": "{{ site_python }}",
        "supervisord_python": "{{ site_python }}",
        "jaws_conf": "{{ jaws_root }}/{{ jaws_instance }}.conf",
        "jaws_become": "{{ site_become | default(false) and not lookup('env', 'CI') }}",
    },
    "dev": {"jaws_port": "{{ instance_port | default(site_port | default('')) }}"},
    "jaws": {"jaws_instance": "jaws", "jaws_user": "{{ site_jaws_user }}"},
    "jtm": {"jaws_instance": "jtm", "jaws_user": "{{ site_jtm_user }}"},
}
WIRING = Wiring(GROUPS)


def test_a_fact_renames_one_option_or_none() -> None:
    # Not site_python, which sets two options, nor the users, which set one option in two groups.
    assert WIRING.renames() == {
        "site_root": "jaws_root",
        "site_wheels": "jaws_wheels",
        "instance_port": "jaws_port",
    }


def test_a_fact_that_is_the_default_of_another_one_has_a_meaning_of_its_own() -> None:
    groups = {
        "all": {
            "a": "{{ site_user }}",
            "b": "{{ instance_user | default(site_user | default('')) }}",
        }
    }
    assert Wiring(groups).renames() == {"instance_user": "b"}
    assert Wiring(groups).as_written("b", groups["all"]) == "instance_user"


def test_the_facts_behind_an_option_are_found_by_way_of_others() -> None:
    raw = {**GROUPS["supervisord"], **GROUPS["jtm"]}
    assert WIRING.facts_behind("jaws_conf", raw) == ["site_root"]
    assert WIRING.facts_behind("jaws_user", raw) == ["site_jtm_user"]
    assert WIRING.facts_behind("jaws_instance", raw) == []
    assert WIRING.facts_behind("jaws_nothing", raw) == []


def test_an_option_has_the_name_of_the_fact_that_it_only_renames() -> None:
    raw = {**GROUPS["supervisord"], "jaws_window": 4}
    assert WIRING.as_written("jaws_wheels", raw) == "site_wheels"
    raw["site_wheels"] = "{{ site_root }}"
    for name in ("jaws_conf", "jaws_become", "jaws_window", "jaws_absent", "site_wheels"):
        assert WIRING.as_written(name, raw) == name


def test_the_wiring_is_in_force_until_something_overrides_it() -> None:
    assert WIRING.is_in_force("jaws_user", {"jaws_user": "{{ site_jtm_user }}"})
    assert not WIRING.is_in_force("jaws_user", {"jaws_user": "joe"})
    assert not WIRING.is_in_force("jaws_user", {})
    assert not WIRING.is_in_force("jaws_window", {"jaws_window": 4})


class Sealed:
    """A value that cannot be compared, as one that is encrypted with an unknown password."""

    def __eq__(self, other: object) -> bool:
        raise AssertionError("opened")

    __hash__ = None  # type: ignore[assignment]  # it is only compared


def test_an_encrypted_value_is_not_opened() -> None:
    sealed = Sealed()
    assert is_same(sealed, sealed)
    assert not is_same(sealed, "text")
    assert not is_same("text", sealed)


@pytest.mark.parametrize("group", ["supervisord", "jaws", "jtm", "gitlab_runner", "dev", "prod"])
def test_the_wiring_is_read_from_the_directory_of_the_playbooks(group: str) -> None:
    assert read_wiring(Path(__file__).parents[2]).groups[group]
