# SPDX-License-Identifier: GPL-3.0-or-later
"""What a deploy has done or would do in words, how to undo it, and the history of deploys."""

from __future__ import annotations

from typing import Any

import pytest

from ansible_collections.jgi.jaws.plugins.plugin_utils.summary import (
    comparison,
    described,
    history,
    summary,
    undoing,
)

OLD, NEW = "20261121T130000Z-4567cdef", "20261122T130000Z-0123abcd"
DAY = 86400.0


def change(before: str | None, after: str | None, *programs: str) -> dict[str, Any]:
    item = "site.conf [A] x"
    return {"item": item, "change": "changed", "before": before, "after": after,
            "programs": [*programs]}  # fmt: skip


def action(program: str, action: str, why: str = "", down: float | None = None) -> dict[str, Any]:
    return {"program": program, "action": action, "why": why, "down": down}


ACTIONS = [
    action("idle", "leave", "nothing that it uses has changed"),
    action("new", "start", "it is new", 0.0),
    action("odd", "restart", "", 2.0),
    action("old", "remove"),
    action("one", "restart", "", 3.4),
    action("quiet", "leave", "it was stopped on purpose"),
    action("two", "restart", "", 3.0),
]
FOUND = {
    "before": OLD,
    "id": NEW,
    "changes": [change("5", "6", "one", "two"), change(None, None, "two", "one"), change("", "9")],
    "actions": ACTIONS,
    "outdated": True,
}
TOLD = [
    "{0} odd because its definition has changed",
    "{0} one, two because site.conf [A] x 5 → 6; site.conf [A] x changed",
    "{1} new because it is new",
    "{2} old",
    "{3} idle because nothing that it uses has changed",
    "{3} quiet because it was stopped on purpose",
    "without a restart: site.conf [A] x (empty) → 9",
]
UNDO = "to undo this: ansible-playbook rollback.yml"
DUE = (
    "due on h: supervisord runs from an older installation; the playbook upgrade_supervisor "
    "restarts it"
)


def told(found: dict[str, Any], is_plan: bool = False, width: int = 500) -> list[str]:
    lines = summary({"h": found}, is_plan, "ansible-playbook rollback.yml", width)
    return [line.strip() for line in lines]


def test_a_deploy_says_what_it_has_done_and_why_and_how_to_undo_it() -> None:
    past = ["restarted", "started", "removed", "left alone"]
    down = "down: odd 2 s, one 3.4 s, two 3 s"
    expected = [f"h: {OLD} → {NEW}", *(line.format(*past) for line in TOLD), down, DUE, UNDO]
    assert told(FOUND) == expected


def test_a_plan_says_the_same_in_the_future_tense() -> None:
    future = ["would restart", "would start", "would remove", "would leave alone"]
    plan = {**FOUND, "actions": [{**one, "down": None} for one in ACTIONS], "published": ["x"]}
    first = f"h: {OLD} → a new release"
    assert told(plan, is_plan=True) == [first, *(line.format(*future) for line in TOLD), DUE, UNDO]


def test_an_instance_that_stays_as_it_is_has_one_line() -> None:
    stopped = action("a", "leave", "it was stopped on purpose")
    idle = action("b", "leave", "nothing that it uses has changed")
    same = {"before": OLD, "id": OLD, "changes": [], "actions": [stopped, idle]}
    assert told(same) == [f"h: {OLD}, unchanged", "left alone a because it was stopped on purpose"]


def test_what_nothing_runs_yet_is_said_to_be_unproven() -> None:
    found = {"before": OLD, "id": NEW, "changes": [], "postponed": True}
    title, proof, _undo = summary({"h": found}, False, "undo", 100)
    assert title == f"h: {OLD} → {NEW}"
    assert proof == "  unproven: nothing runs yet; what starts next proves it, or takes it back"


def test_a_first_deploy_cannot_be_undone() -> None:
    both = [action("a", "start", "it is new"), action("b", "start", "it is new")]
    first = {"before": None, "id": NEW, "changes": [], "actions": both}
    assert told(first) == [f"h: nothing → {NEW}", "started a, b because they are new"]


def test_lines_are_wrapped_and_long_lists_and_values_are_cut() -> None:
    many = [change(str(number), "x" * 200, "one") for number in range(9)]
    lines = summary({"h": {**FOUND, "changes": many}}, False, "undo", 80)
    assert max(map(len, lines)) <= 80
    assert "and 4 more" in " ".join(lines)


def test_control_characters_of_a_value_are_shown() -> None:
    assert described(change("a\x1b[2J", "b")) == "site.conf [A] x a\\x1b[2J → b"


@pytest.mark.parametrize(
    ("arguments", "release", "command"),
    [
        ({"args": ["playbooks/deploy.yml"]}, "", "playbooks/rollback.yml"),
        ({"args": ["jgi.jaws.deploy"]}, "", "jgi.jaws.rollback"),
        ({"args": ["/w/playbooks/deploy.yml"], "inventory": ("/w/inventories/a", "/etc/b")}, "",
         "playbooks/rollback.yml -i inventories/a -i /etc/b"),
        ({"args": ["deploy.yml"], "subset": "dev:!x", "become_ask_pass": True}, "",
         "rollback.yml --limit 'dev:!x' -K"),
        ({"args": ["rollback.yml"], "extra_vars": ("release=a",)}, OLD,
         f"rollback.yml -e release={OLD}"),
        ({"args": ["deploy.yml"],
          "extra_vars": ("@more.yml", "message=x", "a=1", "token=2", '{"b": 1}')}, "",
         "rollback.yml -e @more.yml -e a=1 -e ... -e ..."),
    ],
)  # fmt: skip
def test_the_command_that_undoes_it_has_what_this_run_was_given_and_no_secret(
    arguments: dict[str, Any], release: str, command: str
) -> None:
    for python, program in {
        "/usr/bin/python3": "ansible-playbook",
        "/w/.venv/bin/python": ".venv/bin/ansible-playbook",
    }.items():
        assert undoing(arguments, "/w", python, release) == f"{program} {command}"


def record(**more: Any) -> dict[str, Any]:
    return {"id": NEW, "state": "current", "deploy": 1790000000, "activated": 7 * DAY, "why": "",
            "created": 6 * DAY, "packages": ["jaws-site==1.0", "pip==24"], **more}  # fmt: skip


def test_the_history_says_who_deployed_what_and_what_for_in_80_columns() -> None:
    job = {"author": "jsmith", "commit": "2c26b46b", "pipeline": "4711"}
    releases = [
        record(
            **job, comment="Use more threads, because the queue grows; " + "see the ticket " * 9
        ),
        record(id=OLD, state="bad", deploy=None, activated=None, why="one ended with status 1"),
        record(id=OLD, state="rolled back", author="me"),
    ]
    instances = {"cori_staging_jaws": {"current": NEW, "releases": releases}}
    lines = history(instances, "^jaws", 8 * DAY, 80)
    assert max(map(len, lines)) <= 80
    assert lines[:3] == [
        "INSTANCE           RELEASE                    STATE        DEPLOY",
        f"cori_staging_jaws  {NEW}  current      1790000000",
        "  deployed 1d00h ago by jsmith, commit 2c26b46b, pipeline 4711: Use more",
    ]
    assert lines[6:] == [
        "  jaws-site==1.0",
        f"cori_staging_jaws  {OLD}  bad          -",
        "  prepared 2d00h ago",
        "  one ended with status 1",
        f"cori_staging_jaws  {OLD}  rolled back  1790000000",
        "  deployed 1d00h ago by me",
        "  jaws-site==1.0",
    ]


def test_the_history_says_who_has_gone_back_and_why() -> None:
    back = {"author": "jane", "pipeline": "4712", "comment": "the queue is full"}
    one = record(deploy=DAY, author="jsmith", rollback=back)
    lines = history({"a": {"current": NEW, "releases": [one]}}, "^jaws", 8 * DAY, 80)
    assert lines[2:4] == [
        "  deployed 7d00h ago by jsmith",
        "  gone back to 1d00h ago by jane, pipeline 4712: the queue is full",
    ]


def test_two_releases_are_compared_where_both_are() -> None:
    pair = {"releases": [OLD, NEW], "changes": [change("5", "6", "one")]}
    same = {"releases": [OLD, NEW], "changes": []}
    found: dict[str, dict[str, Any]] = {
        "a": {"compared": pair},
        "b": {"compared": None},
        "c": {"compared": same},
    }
    assert comparison(found, 80) == [
        f"a: {OLD} → {NEW}", "  site.conf [A] x 5 → 6", f"c: {OLD} → {NEW}", "  nothing differs"
    ]  # fmt: skip
