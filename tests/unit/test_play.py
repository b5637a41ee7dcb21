# SPDX-License-Identifier: GPL-3.0-or-later
"""Decisions about all instances of a play: did the switch succeed, and which programs are named."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ansible_collections.jgi.jaws.plugins.plugin_utils.play import (
    by_host,
    chosen_programs,
    has_held,
    switch,
)

PREPARED = {"jaws": {"deploy": 10, "id": "j"}, "jtm": {"deploy": 30, "id": "t"}}
HELD = {"failed": False, "changed": True}
FAILED = {"failed": True, "msg": "jaws-jtm is FATAL"}


def test_a_variable_is_collected_from_the_hosts_that_have_it() -> None:
    some: dict[str, Any] = {"one": {"found": 1}, "other": {"found": None}, "third": {}}
    hostvars = {**some, "fourth": {"found": 4}}
    assert by_host(hostvars, "found", ["fourth", "third", "other"]) == {"fourth": 4, "other": None}


def test_hosts_that_switch_together_share_the_highest_number() -> None:
    found = switch(PREPARED, {"jaws": HELD, "jtm": HELD})
    assert found == {"hosts": ["jaws", "jtm"], "deploy": 30, "unheld": []}


def test_before_the_switch_no_host_has_switched() -> None:
    assert switch(PREPARED, {})["unheld"] == ["jaws", "jtm"]


def test_a_host_that_failed_has_not_switched() -> None:
    assert switch(PREPARED, {"jaws": HELD, "jtm": FAILED})["unheld"] == ["jtm"]


def test_a_host_that_became_unreachable_has_not_switched() -> None:
    assert switch(PREPARED, {"jaws": HELD})["unheld"] == ["jtm"]
    lost = {"unreachable": True, "msg": "Connection refused"}
    assert switch(PREPARED, {"jaws": lost, "jtm": HELD})["unheld"] == ["jaws"]


def test_a_host_that_prepared_nothing_is_not_part_of_the_switch() -> None:
    found = switch({"jtm": PREPARED["jtm"]}, {"jaws": FAILED, "jtm": HELD})
    assert (found["hosts"], found["unheld"]) == (["jtm"], [])


def test_a_rollback_is_a_switch_of_the_hosts_that_have_a_target() -> None:
    found = switch(PREPARED, {"jaws": HELD, "jtm": FAILED}, {"jaws": "j1"})
    assert found == {"hosts": ["jaws"], "deploy": 10, "unheld": []}
    # A host that is lost meanwhile remains part of it.
    assert switch(PREPARED, {}, {"jaws": "j1"})["unheld"] == ["jaws"]


def test_a_switch_of_no_hosts_succeeds() -> None:
    assert switch({}, {}) == {"hosts": [], "deploy": None, "unheld": []}


@pytest.mark.parametrize(
    ("result", "held"),
    [
        ({"failed": False}, True),
        ({"failed": "False"}, True),  # as text, which templates made before ansible-core 2.19
        ({"failed": True}, False),
        ({"failed": "True"}, False),
        ({"changed": True}, False),
        ({"failed": False, "skipped": True}, False),
        ({"failed": False, "unreachable": True}, False),
        ({}, False),
        (None, False),
    ],
)
def test_only_a_clear_success_counts_as_a_switch(result: dict[str, Any] | None, held: bool) -> None:
    assert has_held(result) is held


@given(
    st.dictionaries(
        st.sampled_from("abcdef"),
        st.tuples(st.integers(1, 9), st.sampled_from([HELD, FAILED, None, {"unreachable": True}])),
    )
)
def test_a_switch_succeeds_exactly_if_it_succeeds_on_every_host(
    hosts: dict[str, tuple[int, dict[str, Any] | None]],
) -> None:
    releases = {host: {"deploy": number} for host, (number, _result) in hosts.items()}
    results = {host: result for host, (_number, result) in hosts.items() if result is not None}
    found = switch(releases, results)
    assert (not found["unheld"]) == all(result == HELD for _number, result in hosts.values())
    assert all(found["deploy"] >= number for number, _result in hosts.values())


def instance(*names: str) -> dict[str, Any]:
    return {"programs": [{"name": name, "state": "RUNNING"} for name in names]}


INSTANCES = {"jaws": instance("rest", "auth"), "jtm": instance("jtm"), "empty": instance()}


@pytest.mark.parametrize("wanted", ["all", ["all"], "all,jtm", ["jtm", "all"], " all "])
def test_all_means_every_program_of_each_instance(wanted: Any) -> None:
    found = chosen_programs(INSTANCES, wanted)
    assert found["programs"] == {"jaws": ["rest", "auth"], "jtm": ["jtm"], "empty": []}
    assert found["problem"] == ""


@pytest.mark.parametrize("wanted", ["jtm,auth", "jtm, auth,", ["jtm", "auth"], ["jtm , auth"]])
def test_a_name_means_the_program_of_the_instance_that_has_it(wanted: Any) -> None:
    found = chosen_programs(INSTANCES, wanted)
    assert found["programs"] == {"jaws": ["auth"], "jtm": ["jtm"], "empty": []}
    assert found["problem"] == ""


STATES = ("RUNNING", "STOPPED", "STARTING", "BACKOFF", "EXITED", "FATAL", "STOPPING", "UNKNOWN")


@pytest.mark.parametrize("wanted", ["all", "all,stopped"])
def test_what_was_stopped_may_be_left_out_unless_it_is_named(wanted: str) -> None:
    programs = [{"name": state.lower(), "state": state} for state in STATES]
    found = chosen_programs({"one": {"programs": programs}}, wanted, keep_stopped=True)
    named = ["stopped"] if "stopped" in wanted else []
    others = [state.lower() for state in STATES if state != "STOPPED"]
    assert found == {"programs": {"one": [*others, *named]}, "problem": ""}


def test_a_name_that_no_instance_has_is_a_problem_and_so_is_an_empty_list() -> None:
    assert chosen_programs(INSTANCES, "jtm,jmt,rset")["problem"] == (
        "no instance has jmt, rset; there are auth, jtm, rest"
    )
    nothings: list[Any] = ["", " , ", []]
    for nothing in nothings:
        assert chosen_programs(INSTANCES, nothing)["problem"] == (
            "-e programs is empty. Name programs (NAME,NAME), or leave it out; there are auth, "
            "jtm, rest"
        )
