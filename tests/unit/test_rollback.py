# SPDX-License-Identifier: GPL-3.0-or-later
"""Which releases a rollback goes to."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ansible_collections.jgi.jaws.plugins.filter.rollback_targets import FilterModule
from ansible_collections.jgi.jaws.plugins.module_utils.errors import JawsError
from ansible_collections.jgi.jaws.plugins.plugin_utils import rollback


def release(name: str, deploy: int | None, status: str = "good") -> dict[str, Any]:
    return {"id": name, "deploy": deploy, "status": status, "why": "it crashed"}


def instance(current: str | None, *releases: dict[str, Any]) -> dict[str, Any]:
    return {"current": current, "releases": list(releases)}


def rollback_targets(hosts: dict[str, Any], named: str = "") -> dict[str, str]:
    """Return what rollback_targets returns; a host prod is a deployment of its own."""
    return rollback.rollback_targets(hosts, deployments(hosts), named)


def deployments(hosts: dict[str, Any]) -> dict[str, str]:
    return {host: "prod" if host == "prod" else "dev" for host in hosts}


J1, J2, J3 = release("j1", 10), release("j2", 20), release("j3", 30)
T1, T2 = release("t1", 10), release("t2", 30)


def test_a_deploy_of_both_instances_is_taken_back_in_both() -> None:
    found = rollback_targets({"jaws": instance("j3", J3, J2, J1), "jtm": instance("t2", T2, T1)})
    assert found == {"jaws": "j2", "jtm": "t1"}


def test_what_the_last_deploy_left_alone_stays() -> None:
    found = rollback_targets({"jaws": instance("j2", J2, J1), "jtm": instance("t1", T1)})
    assert found == {"jaws": "j1", "jtm": "t1"}


def test_going_back_again_goes_back_further_and_never_returns() -> None:
    jaws, jtm = (J3, J2, J1), (T2, T1)
    assert rollback_targets({"jaws": instance("j2", *jaws), "jtm": instance("t1", *jtm)}) == {
        "jaws": "j1",
        "jtm": "t1",
    }
    with pytest.raises(JawsError, match="dev has nothing to go back to"):
        rollback_targets({"jaws": instance("j1", *jaws), "jtm": instance("t1", *jtm)})


def test_an_old_release_that_was_deployed_again_is_followed_by_what_it_replaced() -> None:
    again = release("j1", 40)
    assert rollback_targets({"jaws": instance("j1", J2, again)}) == {"jaws": "j2"}


def test_bad_and_prepared_releases_are_passed_over() -> None:
    known = (J3, release("x", 25, "bad"), release("y", None, "prepared"), J1)
    assert rollback_targets({"jaws": instance("j3", *known)}) == {"jaws": "j1"}


@pytest.mark.parametrize("status", ["prepared", "bad"])
def test_from_a_release_that_did_not_succeed_it_goes_to_the_last_that_did(status: str) -> None:
    unproven = release("j9", None, status)
    hosts = {"jaws": instance("j9", unproven, J2, J1), "jtm": instance("t1", T1)}
    assert rollback_targets(hosts) == {"jaws": "j2", "jtm": "t1"}


def test_a_named_release_brings_the_deployment_of_that_time() -> None:
    hosts = {"jaws": instance("j3", J3, J2, J1), "jtm": instance("t2", T2, T1)}
    assert rollback_targets(hosts, "j2") == {"jaws": "j2", "jtm": "t1"}
    assert rollback_targets(hosts, "j1") == {"jaws": "j1", "jtm": "t1"}
    hosts = {"jaws": instance("j1", J3, J2, J1), "jtm": instance("t1", T2, T1)}
    assert rollback_targets(hosts, "t2") == {"jaws": "j3", "jtm": "t2"}


def test_an_instance_that_was_not_there_yet_is_left_alone() -> None:
    hosts = {"jaws": instance("j2", J2, J1), "new": instance("n", release("n", 20))}
    assert rollback_targets(hosts) == {"jaws": "j1"}


def test_deployments_are_taken_back_each_by_itself() -> None:
    hosts = {
        "dev": instance("j3", J3, J2),
        "prod": instance("p2", release("p2", 5), release("p1", 1)),
    }
    assert rollback_targets(hosts) == {"dev": "j2", "prod": "p1"}
    assert rollback_targets(hosts, "p1") == {"prod": "p1"}


@pytest.mark.parametrize(
    ("named", "sentence"),
    [
        ("j9", "there is no release j9. The releases are: jaws: j2, b, p; jtm: none."),
        ("b", "release b is marked bad: it crashed. Choose another one."),
        ("p", "release p was never in use, so nobody knows whether it works. Choose one"),
        ("", "dev has nothing to go back to: it has no earlier good release."),
    ],
)
def test_what_cannot_be_gone_back_to_has_its_own_sentence(named: str, sentence: str) -> None:
    known = (J2, release("b", None, "bad"), release("p", None, "prepared"))
    hosts = {"jaws": instance("j2", *known), "jtm": instance(None)}
    if not named:
        del hosts["jtm"]
    answer = FilterModule().filters()["rollback_targets"](hosts, deployments(hosts), named)
    assert answer["targets"] == {}
    assert answer["problem"].startswith(sentence)


def test_deployments_of_one_name_at_two_sites_are_taken_back_each_by_itself() -> None:
    hosts = {"here": instance("j3", J3, J2), "there": instance("t2", T2, T1)}
    call = FilterModule().filters()["rollback_targets"]
    sites = {"here": "NERSC", "there": "LRC"}
    assert call(hosts, deployments(hosts), release="j2", sites=sites) == {
        "targets": {"here": "j2"},
        "problem": "",
    }
    hosts["there"] = instance("t1", T1)
    answer = call(hosts, deployments(hosts), sites=sites)
    assert answer["problem"].startswith("LRC dev has nothing to go back to")


@given(
    st.lists(st.tuples(st.integers(1, 9), st.sampled_from(["good", "bad"])), min_size=1),
    st.integers(0, 20),
)
def test_any_history_ends(history: list[tuple[int, str]], start: int) -> None:
    records = [release(f"r{n}", number, status) for n, (number, status) in enumerate(history)]
    current = records[start % len(records)]["id"]
    seen = []
    for _ in range(len(records) + 1):
        try:
            current = rollback_targets({"jaws": instance(current, *records)})["jaws"]
        except JawsError:
            break
        seen.append(current)
    assert len(seen) == len(set(seen)) <= len(records)
