# SPDX-License-Identifier: GPL-3.0-or-later
"""What a rollback returns to, over any sequence of deploys and rollbacks."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ansible_collections.jgi.jaws.plugins.module_utils.errors import JawsError
from ansible_collections.jgi.jaws.plugins.module_utils.releases import history
from ansible_collections.jgi.jaws.plugins.plugin_utils.rollback import rollback_targets


class Instance:
    """The records of one instance, as the module release changes them."""

    def __init__(self) -> None:
        self.records: dict[str, dict[str, Any]] = {}
        self.current = ""
        self.number = 0

    def deploy(self, name: str, holds: bool = True) -> None:
        """Deploy a release, or be killed after the switch."""
        self.number += 1
        record = self.records.setdefault(name, {"id": name, "status": "prepared", "deploy": None})
        if name != self.current:
            after = history.number(self.records.get(self.current))
            record["replaced"] = {"by": self.number, "after": after}
            self.current = name
        elif record["status"] == "good":
            return
        record["replaced"]["by"] = self.number
        if holds:
            record.update(history.proven(record, self.number), status="good")

    def shown(self) -> dict[str, Any]:
        """Return what release_info returns."""
        records = [{**one, "deploys": history.deploys(one)} for one in self.records.values()]
        return {"current": self.current, "releases": records}

    def rollback(self) -> None:
        target = self.records[rollback_targets({"one": self.shown()}, {"one": "dev"})["one"]]
        target.update(history.counting_again(target, self.records[self.current]))
        self.current = target["id"]


class Reference:
    """The same as a stack: a deploy pushes a release, and a rollback pops one."""

    def __init__(self) -> None:
        self.stack: list[tuple[str, bool]] = []

    def deploy(self, name: str, holds: bool) -> None:
        if self.stack and not self.stack[-1][1]:
            self.stack.pop()  # it was never verified
            same = False
        else:
            same = bool(self.stack) and self.stack[-1][0] == name
        if not same:
            self.stack.append((name, holds))

    def rollback(self) -> bool:
        if len(self.stack) < 2:
            return False
        self.stack.pop()
        return True


STEPS = st.one_of(
    st.just("rollback"),
    st.tuples(st.sampled_from("AB"), st.just(True)),
    # A deploy of a release that was never in use is killed, and its record says so.
    st.tuples(st.just("new"), st.just(False)),
)


@given(st.lists(STEPS, max_size=12))
def test_a_rollback_returns_to_what_ran_before_the_deploy(steps: list[Any]) -> None:
    instance, reference = Instance(), Reference()
    for number, step in enumerate(steps):
        if step == "rollback":
            if reference.rollback():
                instance.rollback()
            elif instance.current:
                with pytest.raises(JawsError, match="nothing to go back to"):
                    instance.rollback()
        else:
            name = f"new{number}" if step[0] == "new" else step[0]
            instance.deploy(name, step[1])
            reference.deploy(name, step[1])
        assert instance.current == (reference.stack[-1][0] if reference.stack else "")


def test_a_release_that_was_rolled_back_is_not_returned_to() -> None:
    instance = Instance()
    for name in ("one", "two"):
        instance.deploy(name)
    instance.rollback()
    instance.deploy("three")
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
