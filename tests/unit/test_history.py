# SPDX-License-Identifier: GPL-3.0-or-later
"""The model of releases: what is current, whether it is proven, and what a rollback returns to."""

from __future__ import annotations

import copy
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ansible_collections.jgi.jaws.plugins.module_utils.errors import JawsError
from ansible_collections.jgi.jaws.plugins.module_utils.releases import history, retention
from ansible_collections.jgi.jaws.plugins.module_utils.releases.history import (
    last_good,
    next_deploy,
)
from ansible_collections.jgi.jaws.plugins.plugin_utils.rollback import rollback_targets


class Instance:
    """The records of one instance, as the module release changes them."""

    def __init__(self) -> None:
        self.records: dict[str, dict[str, Any]] = {}
        self.current: str | None = None
        self.number = 0

    def _known(self) -> list[dict[str, Any]]:
        return list(self.records.values())

    def _now(self) -> dict[str, Any] | None:
        return self.records[self.current] if self.current else None

    @property
    def state(self) -> str | None:
        now = self._now()
        return history.state(now, self.current) if now else None

    def deploy(self, name: str, outcome: str = "holds") -> None:
        """Deploy a release; it holds, fails, is killed, or fails on another instance."""
        self.number += 1
        new = {"id": name, "status": "prepared", "links": {}, "files": [], "uses": []}
        record = self.records.setdefault(name, new)
        if name != self.current:
            record = history.switched(record, self._now(), self.current or "", self.number)
        elif self.state == "good":
            return
        else:
            record = history.continued(record, self.number)
        self._switch(record, outcome)

    def rollback(self, release: str = "", outcome: str = "holds") -> None:
        """Go back as the playbook does, which finds out first what to go to."""
        target = rollback_targets({"one": self.shown()}, {"one": "dev"}, release)["one"]
        self.number += 1
        about = (self.records[target], self._now(), self.current or "", self.number)
        if target != self.current:
            self._switch(history.returned(*about, self._known()), outcome)

    def _switch(self, record: dict[str, Any], outcome: str) -> None:
        self.records[record["id"]] = record
        self.current = record["id"]
        if outcome in ("holds", "fails elsewhere"):
            self.records[record["id"]] = history.held(record, self.number, float(self.number))
        if outcome == "fails":
            self.records[record["id"]] = history.failed(record, "it crashed")
        if outcome in ("fails", "fails elsewhere"):
            self.current = self._goal(self.records[record["id"]])
        if outcome == "fails elsewhere":
            self.records[record["id"]] = history.undone(self.records[record["id"]])

    def _goal(self, record: dict[str, Any]) -> str | None:
        before = str(record["replaced"]["programs"])
        if not before or history.is_sound(self.records[before]):
            return before or None
        last = last_good(self._known(), record["id"])
        return last["id"] if last else None

    def prune(self, keep: int) -> list[str]:
        """Remove old releases; return their names."""
        gone = retention.expired(self._known(), {}, self.current or "", keep, 0.0)
        names = [record["id"] for record in gone]
        kept = [record for record in self._known() if record["id"] not in names]
        changed = {record["id"]: record for record in history.spliced(kept, gone)}
        self.records = {one["id"]: changed.get(one["id"], one) for one in kept}
        return names

    def shown(self) -> dict[str, Any]:
        """Return what release_info returns."""
        records = [
            {
                "deploy": None,
                **one,
                "status": history.state(one, self.current),
                "deploys": history.deploys(one, one["id"] == self.current),
            }
            for one in self._known()
        ]
        number = history.open_deploy(self._now())
        return {"current": self.current, "unproven_deploy": number, "releases": records}


class Node:
    """A deploy: which release, after which other deploy."""

    def __init__(self, release: str, parent: Node | None) -> None:
        self.release = release
        self.parent = parent


class Reference:
    """The same as a tree of deploys, with a finger on the one that is current."""

    def __init__(self) -> None:
        self.now: Node | None = None
        self.proven = True
        self.returned = False  # whether a rollback led to an unproven one
        self.good: dict[str, int] = {}  # when each good release was activated last
        self.pending: set[str] = set()
        self.counts: dict[str, Node] = {}  # of each release: the deploy that counted last
        self.before: str | None = None  # what ran before the last switch to the current one
        self.time = 0

    def deploy(self, name: str, outcome: str) -> None:
        if self.now and self.now.release == name:
            if self.proven:
                return
            self._end(self.now, self.returned, self.before, outcome)
            return
        below = self.now
        if below and not self.proven and not self.returned:
            below = below.parent
        back = below is not None and below.release == name
        node = below if back and below else Node(name, below)
        self._end(node, back, self.now.release if self.now else None, outcome)

    def rollback(self, outcome: str) -> bool:
        node = self.now.parent if self.now else None
        while node and node.release not in self._targets():
            node = node.parent
        return self._return(node, outcome)

    def rollback_to(self, release: str, outcome: str) -> bool:
        if release not in self._targets():
            return False
        node = self.now.parent if self.now else None
        while node and node.release != release:
            node = node.parent
        return self._return(node or self.counts[release], outcome)

    def _targets(self) -> set[str]:
        unproven = {self.now.release} if self.now and not self.proven else set()
        return set(self.good) - unproven

    def _return(self, node: Node | None, outcome: str) -> bool:
        if node and node.release != (self.now and self.now.release):
            self._end(node, True, self.now.release if self.now else None, outcome)
        return node is not None

    def _end(self, node: Node, returned: bool, before: str | None, outcome: str) -> None:
        self.time += 1
        saved = copy.copy(self.good), copy.copy(self.counts), copy.copy(self.pending)
        name, self.now, self.returned, self.before = node.release, node, returned, before
        self.proven = outcome == "holds"
        self.pending.add(name)
        if returned or outcome in ("holds", "fails elsewhere"):
            self.counts[name] = node
        if outcome in ("holds", "fails elsewhere"):
            self.pending.discard(name)
            self.good[name] = self.time
        if outcome == "fails":
            self.good.pop(name, None)
        if outcome in ("fails", "fails elsewhere"):
            self._go_back(name, before)
        if outcome == "fails elsewhere":
            self.good, self.counts, self.pending = saved

    def _go_back(self, name: str, before: str | None) -> None:
        sound = {one: when for one, when in self.good.items() if one not in self.pending}
        others = {one: when for one, when in sound.items() if one != name}
        goal = (
            before
            if before is None or before in sound
            else max(others, key=lambda one: others[one], default=None)
        )
        self.now = self.counts[goal] if goal else None
        self.proven, self.returned = True, False

    def prune(self, gone: list[str]) -> None:
        for name in gone:
            self.good.pop(name, None)
            self.counts.pop(name, None)
        for node in [*self.counts.values(), *([self.now] if self.now else [])]:
            one: Node | None = node
            while one:
                while one.parent and one.parent.release in gone:
                    one.parent = one.parent.parent
                one = one.parent


OUTCOMES = st.sampled_from(["holds", "holds", "fails", "killed", "fails elsewhere"])
NAMES = st.sampled_from("ABCD")
STEPS = st.one_of(
    st.tuples(st.just("deploy"), NAMES, OUTCOMES),
    st.tuples(st.just("rollback"), st.just(""), OUTCOMES),
    st.tuples(st.just("rollback"), NAMES, OUTCOMES),
    st.tuples(st.just("prune"), st.integers(1, 3), st.just("")),
)


def step(instance: Instance, reference: Reference, what: str, which: Any, outcome: str) -> None:
    """Do the same to both."""
    if what == "deploy":
        instance.deploy(which, outcome)
        reference.deploy(which, outcome)
    elif what == "prune":
        # The module removes releases only after a switch that has succeeded.
        if instance.state == "good":
            reference.prune(instance.prune(which))
    elif (reference.rollback_to(which, outcome)) if which else reference.rollback(outcome):
        instance.rollback(which, outcome)
    elif instance.current:
        with pytest.raises(
            JawsError, match=r"nothing to go back to|no release|bad|interrupted|use"
        ):
            instance.rollback(which, outcome)


@settings(max_examples=300, deadline=None)
@given(st.lists(STEPS, max_size=16))
def test_after_any_sequence_of_commands_the_right_release_is_current_and_known_to_be_so(
    steps: list[tuple[str, Any, str]],
) -> None:
    instance, reference = Instance(), Reference()
    for what, which, outcome in steps:
        step(instance, reference, what, which, outcome)
        assert instance.current == (reference.now.release if reference.now else None)
        assert (instance.state == "unproven") is not (reference.proven or not reference.now)
        good = {one["id"] for one in instance.records.values() if one["status"] == "good"}
        assert good == set(reference.good)


def test_a_release_that_was_rolled_back_is_not_returned_to() -> None:
    instance = Instance()
    for name in ("one", "two"):
        instance.deploy(name)
    instance.rollback()
    instance.deploy("three")
    instance.rollback()
    assert instance.current == "one"


def test_a_release_that_was_rolled_back_is_not_returned_to_even_if_others_were_removed() -> None:
    instance = Instance()
    for name in ("one", "two"):
        instance.deploy(name)
    instance.rollback()
    for name in ("three", "four"):
        instance.deploy(name)
    gone = [instance.records.pop("three")]
    changed = history.spliced(list(instance.records.values()), gone)
    instance.records.update({record["id"]: record for record in changed})
    instance.rollback()
    assert instance.current == "one"


def test_an_old_release_whose_new_deploy_was_interrupted_is_unproven() -> None:
    instance = Instance()
    for name in ("one", "two"):
        instance.deploy(name)
    instance.deploy("one", "killed")
    assert (instance.state, instance.records["one"]["status"]) == ("unproven", "good")
    instance.rollback()
    assert (instance.current, instance.state) == ("two", "good")


def test_what_ran_before_an_interrupted_deploy_keeps_its_place_if_it_is_deployed_next() -> None:
    instance = Instance()
    for name, outcome in (("one", "holds"), ("two", "holds"), ("new", "killed"), ("two", "holds")):
        instance.deploy(name, outcome)
    assert (instance.current, instance.state) == ("two", "good")
    instance.rollback()
    assert instance.current == "one"


def test_an_interrupted_rollback_is_unproven_and_counts_as_done() -> None:
    instance = Instance()
    for name in ("one", "two", "three"):
        instance.deploy(name)
    instance.rollback(outcome="killed")
    assert (instance.current, instance.state) == ("two", "unproven")
    instance.rollback()
    assert instance.current == "one"


def test_records_of_an_earlier_version_are_ordered_by_their_numbers() -> None:
    releases = [{"id": f"r{n}", "status": "good", "deploy": n, "why": ""} for n in (1, 2, 3)]
    shown = {"one": {"current": "r3", "releases": releases}}
    assert rollback_targets(shown, {"one": "dev"}) == {"one": "r2"}


def test_a_release_that_was_marked_bad_is_skipped() -> None:
    instance = Instance()
    for name in ("one", "two", "three"):
        instance.deploy(name)
    instance.records["two"].update(status="bad", why="it crashed")
    instance.rollback()
    assert instance.current == "one"


def record(release: str, status: str = "good", **more: Any) -> dict[str, Any]:
    return {"id": release, "status": status, **more}


def test_the_last_good_release_is_the_one_that_was_activated_last() -> None:
    known = [
        record("r4", activated=4),
        record("r3", "bad", activated=9),
        record("r2", activated=5),
        record("r1"),
    ]
    assert last_good(known, "r4") == known[2]
    assert last_good(known, "r2") == known[0]
    assert last_good(known[3:], "r4") == known[3]
    assert last_good(known[1:2], "r4") is None


def test_a_deploy_is_later_than_all_known_ones_even_if_the_clock_went_back() -> None:
    assert next_deploy([], 7.9) == 7
    known = [record("r1", deploy=3), record("r2", "prepared"), record("r3", "bad", deploy=None)]
    assert next_deploy(known, 7.9) == 7
    assert next_deploy(known, 2.0) == 4
    known.append(record("r4", replaced={"by": 9}))
    assert next_deploy(known, 2.0) == 10


def standings(instance: Instance) -> dict[str, str]:
    known = [*instance.records.values()]
    now = instance.records[instance.current] if instance.current else None
    return {one["id"]: history.standing(one, now, known) for one in known}


def test_a_release_that_a_rollback_has_left_is_rolled_back() -> None:
    instance = Instance()
    for name in ("r1", "r2", "r3"):
        instance.deploy(name)
    assert standings(instance) == {"r1": "good", "r2": "good", "r3": "current"}
    instance.rollback()
    assert standings(instance) == {"r1": "good", "r2": "current", "r3": "rolled back"}
    instance.deploy("r4")
    assert standings(instance)["r3"] == "rolled back"
    instance.deploy("bad", "fails")
    instance.deploy("r3", "is killed")
    assert standings(instance) | {"r3": "unproven", "bad": "bad"} == standings(instance)


def test_a_record_of_an_earlier_version_is_good() -> None:
    old = {"id": "r1", "status": "good", "deploy": 1}
    now = {"id": "r2", "status": "good", "deploy": 2, "deploys": {"2": 1}}
    assert history.standing(old, now, [old, now]) == "good"
    assert history.about(old) == {}


def test_what_is_known_about_a_deploy_is_that_of_the_one_that_counts() -> None:
    record = history.told(history.told({"id": "r1"}, 9, {"comment": "a"}), 10, {"comment": "b"})
    assert history.about(record) == {"comment": "b"}
    assert history.about({**record, "deploy": 9}) == {"comment": "a"}
    assert history.rollback(record) is None


def test_a_rollback_is_known_beside_the_deploy_that_counts_until_a_deploy_comes() -> None:
    known = history.told({"id": "r1", "status": "good", "deploy": 9}, 9, {"comment": "a"})
    current = {"id": "r2", "status": "good", "deploy": 10, "deploys": {"10": 9}, "links": {}}
    about = {"author": "jane", "rollback": "true"}
    back = history.returned(known, current, "", 11, [known, current])
    back = history.told(history.told(back, 11, about), 11, {"author": "jane"})
    back = history.held(back, 11, 12.0)
    assert (history.about(back), history.rollback(back)) == ({"comment": "a"}, about)
    again = history.switched({**back, "deploy": 9}, {**current, "deploy": 12}, "", 13)
    again = history.held(history.told(again, 13, {"comment": "b"}), 13, 14.0)
    assert (history.about(again), history.rollback(again)) == ({"comment": "b"}, None)
