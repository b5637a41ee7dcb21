# SPDX-License-Identifier: GPL-3.0-or-later
"""Decisions about all instances of a play: did the switch succeed, and which programs are named."""

from __future__ import annotations

import multiprocessing
import re
from pathlib import Path
from typing import Any

import pytest
import yaml
from ansible.executor.process.worker import WorkerProcess
from hypothesis import given
from hypothesis import strategies as st

from ansible_collections.jgi.jaws.plugins.plugin_utils import play
from ansible_collections.jgi.jaws.plugins.plugin_utils.play import (
    by_host,
    chosen_programs,
    has_held,
    switch,
    wrong_tags,
)

ROOT = Path(__file__).parents[2]
PREPARED = {"jaws": {"deploy": 10, "id": "j"}, "jtm": {"deploy": 30, "id": "t"}}
KEYS = ("hosts", "deploy", "unheld")
HELD = {"failed": False, "changed": True}
FAILED = {"failed": True, "msg": "jaws-jtm is FATAL"}


def test_a_variable_is_collected_from_the_hosts_that_have_it() -> None:
    some: dict[str, Any] = {"one": {"found": 1}, "other": {"found": None}, "third": {}}
    hostvars = {**some, "fourth": {"found": 4}}
    assert by_host(hostvars, "found", ["fourth", "third", "other"]) == {"fourth": 4, "other": None}


class Looked(dict[str, Any]):
    """The variables of hosts, which count how often one is looked up."""

    times = 0

    def __getitem__(self, host: str) -> Any:
        self.times += 1
        return super().__getitem__(host)


@pytest.mark.parametrize(("process", "times"), [(object(), 4), (object.__new__(WorkerProcess), 1)])
def test_a_task_looks_the_variables_of_a_host_up_once_and_a_play_each_time(
    monkeypatch: pytest.MonkeyPatch, process: Any, times: int
) -> None:
    monkeypatch.setattr(multiprocessing, "current_process", lambda: process)
    monkeypatch.setattr(play, "_in_this_task", {})
    hostvars = Looked(one={"a": 1, "b": None})
    for _turn in range(2):
        assert by_host(hostvars, "a", ["one"]) == {"one": 1}
        assert by_host(hostvars, "c", ["one"]) == {}
    assert hostvars.times == times
    assert by_host(hostvars, "b", ["one"]) == {"one": None}


def test_hosts_that_switch_together_share_the_highest_number() -> None:
    found = switch(PREPARED, {"jaws": HELD, "jtm": HELD})
    assert [found[key] for key in KEYS] == [["jaws", "jtm"], 30, []]


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
    assert [found[key] for key in KEYS] == [["jaws"], 10, []]
    # A host that is lost meanwhile remains part of it.
    assert switch(PREPARED, {}, {"jaws": "j1"})["unheld"] == ["jaws"]


def test_a_switch_of_no_hosts_succeeds() -> None:
    found = switch({}, {})
    assert [found[key] for key in KEYS] == [[], None, []]


def test_a_host_that_was_not_prepared_cannot_switch_and_says_what_to_do() -> None:
    found = switch({}, {}, host="jaws")
    assert (found["hosts"], found["unheld"]) == (["jaws"], ["jaws"])
    assert found["summary"] == found["problem"]
    for part in ("no release was prepared in this run on jaws", "Nothing was changed", "--tags"):
        assert part in found["problem"]
    assert switch(PREPARED, {}, host="jtm")["problem"] == ""


BACK = {"failed": False, "changed": True, "reverted_to": "j0"}
UNTOUCHED = {"failed": False, "changed": False, "reverted_to": None}
LOST = {"unreachable": True, "msg": "Connection refused"}


@pytest.mark.parametrize(
    ("result", "back", "sentence"),
    [
        (HELD, BACK, "jaws runs j0, as before."),
        ({**FAILED, "reverted_to": "j0", "put_back": True}, UNTOUCHED, "jaws runs j0, as before."),
        (FAILED, UNTOUCHED, "jaws runs now, as before."),
        ({**FAILED, "put_back": False}, UNTOUCHED, "jaws could not be put back, for the reason"),
        (HELD, FAILED, "jaws could not be put back, for the reason above. Run the playbook again."),
        (HELD, LOST, "jaws could not be reached any more: it may run the old or the new release."),
        (None, None, "jaws could not be reached any more: it may run the old or the new release."),
    ],
)
def test_after_a_failed_switch_each_instance_is_said_to_run_what_it_runs(
    result: dict[str, Any] | None, back: dict[str, Any] | None, sentence: str
) -> None:
    releases: dict[str, Any] = {
        "jaws": {"deploy": 1, "current": "now"},
        "jtm": {"deploy": 1, "current": None},
    }
    results = {"jtm": FAILED, **({"jaws": result} if result else {})}
    reverted = {"jtm": UNTOUCHED, **({"jaws": back} if back else {})}
    lines = switch(releases, results, reverted=reverted)["summary"].splitlines()
    assert lines[0].startswith("The switch failed on ")
    assert lines[1].startswith(sentence)
    assert lines[2] == "jtm runs nothing, as before."


STEPS: dict[str, list[str]] = {
    "inventory": [],
    "build": [],
    "prepare": ["build"],
    "activate": ["build", "prepare"],
}


@pytest.mark.parametrize(
    ("run", "skip", "sentence"),
    [
        (["all"], [], None),
        (["inventory"], [], None),
        (["build", "prepare"], [], None),
        (["build", "prepare", "activate"], ["inventory"], None),
        (["all"], ["activate"], None),
        (["tagged"], [], None),
        (["activate"], [], "activate needs build and prepare in the same run. Leave out --tags a"),
        (["all"], ["prepare"], "activate needs prepare in the same run. Leave out --skip-tags "),
        (["activat"], [], "this playbook has no tag activat; it has inventory, build, prepare, ac"),
        (["all"], ["perpare"], "this playbook has no tag perpare; it has inventory, build, pre"),
        (["all"], ["molecule-notest", "notest"], None),
        (
            ["activate"],
            ["notest"],
            "activate needs build and prepare in the same run. Leave out --tags a",
        ),
        (["never"], [], "with --tags never, this playbook would do nothing; it has inventory"),
        (["all"], ["all"], "with --skip-tags all, this playbook would do nothing; it has inv"),
        (["untagged"], [], "with --tags untagged, this playbook would do nothing; it has inven"),
    ],
)
def test_tags_that_leave_out_what_is_needed_are_refused(
    run: list[str], skip: list[str], sentence: str | None
) -> None:
    found = wrong_tags(run, skip, STEPS)
    assert [told[: len(sentence or "")] for told in found] == ([sentence] if sentence else [])


def test_the_playbook_deploy_names_all_of_its_tags() -> None:
    playbook = ROOT / "playbooks/deploy.yml"
    roles = [*ROOT.glob("roles/supervisord/tasks/*.yml"), *ROOT.glob("roles/jaws/tasks/*.yml")]
    texts = [path.read_text() for path in [playbook, *roles]]
    used = set(re.findall(r"^ +tags: \[?(?:always, )?(\w+)\]?$", "\n".join(texts), re.MULTILINE))
    (checks,) = [play["pre_tasks"] for play in yaml.safe_load(texts[0]) if "pre_tasks" in play]
    check = checks[0]["jgi.jaws.validate_inventory"]
    assert set(check["tags"]) == used


def test_a_playbook_checks_each_variable_that_it_takes() -> None:
    for path in (ROOT / "playbooks").glob("*.yml"):
        text = path.read_text()
        taken = re.findall(r"(?<![\w.])(?<!\| )([a-z]\w*) (?:\| default\(|is defined)", text)
        checked = ", ".join(re.findall(r"extra_vars: \[(.*)\]", text)).split(", ")
        # What other playbooks set as they import find_job.
        assert not {*taken} - {"job_room", "needed_hosts"} - {*checked}, path


def test_a_playbook_without_tags_refuses_all() -> None:
    assert wrong_tags(("all",), (), {}) == []
    assert wrong_tags(["activate"], [], {}) == [
        "this playbook has no tag activate; it has none. Leave out --tags activate."
    ]
    assert wrong_tags(["tagged"], [], {})[0].startswith("with --tags tagged, this playbook would")


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


@pytest.mark.parametrize("keep_stopped", [True, False])
def test_what_has_done_its_work_is_left_alone_unless_it_is_named(keep_stopped: bool) -> None:
    programs = [{"name": "migrate", "state": "EXITED"}, {"name": "serve", "state": "EXITED"}]
    instances = {"one": {"programs": programs, "done": ["migrate"]}}
    for wanted, chosen in {"all": ["serve"], "all,migrate": ["serve", "migrate"]}.items():
        found = chosen_programs(instances, wanted, keep_stopped=keep_stopped)
        assert found == {"programs": {"one": chosen}, "problem": ""}


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
