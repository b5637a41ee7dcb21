# SPDX-License-Identifier: GPL-3.0-or-later
"""Programs as data: who is meant by a name, what is to be done, and what comes of it."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from supervisor.datatypes import signal_number

from ansible_collections.jgi.jaws.plugins.module_utils.errors import JawsError
from ansible_collections.jgi.jaws.plugins.module_utils.supervisor.observation import Observation
from ansible_collections.jgi.jaws.plugins.module_utils.supervisor.planning import (
    Plan,
    Work,
    arriving,
    batch_size,
    batches,
    phases,
    plan_absent,
    plan_restarted,
    plan_signalled,
    plan_started,
    plan_stopped,
    plan_updated,
    predict,
    state_lines,
)
from ansible_collections.jgi.jaws.plugins.module_utils.supervisor.programs import (
    ALIVE,
    Change,
    Program,
    Setting,
    from_info,
    group_of,
    names,
    namespec,
    process_of,
    select,
    select_written,
)
from ansible_collections.jgi.jaws.plugins.module_utils.supervisorctl import affected, make_work

STATES = ["STOPPED", "STARTING", "RUNNING", "BACKOFF", "STOPPING", "EXITED", "FATAL"]
NOTHING = Change([], [], [])
INFO = {
    "name": "a",
    "group": "g",
    "statename": "RUNNING",
    "pid": 7,
    "start": 100,
    "exitstatus": 0,
    "spawnerr": "",
    "stdout_logfile": "/log",
    "stderr_logfile": "",
}


def program(name: str, state: str = "RUNNING") -> Program:
    return Program(name, group_of(name), state)


def setting(name: str, autostart: bool = True, priority: tuple[int, int] = (999, 999)) -> Setting:
    return Setting(group_of(name), autostart, priority, 1, 3, 10)


word = st.sampled_from("abc")
namespecs = st.tuples(word, word).map(lambda pair: namespec(*pair))
programs_ = st.lists(
    st.builds(program, namespecs, st.sampled_from(STATES)), unique_by=lambda p: p.name, max_size=9
)
wanted_ = st.lists(
    namespecs
    | word.map("{}:".format)
    | word.map("{}:*".format)
    | word.map("{}*".format)
    | word.map("?:{}".format)
    | st.sampled_from(["all", "none", "none:a", "a:none", ":", ":*", ""]),
    max_size=4,
)
priorities_ = st.tuples(st.integers(0, 3), st.integers(0, 3))


# --- what a program is ------------------------------------------------------------------------


def test_a_running_program_has_a_pid_and_no_exit_status() -> None:
    found = from_info(INFO)
    assert found == Program("g:a", "g", "RUNNING", 7, 100, None, None, "/log", None)


@pytest.mark.parametrize(
    ("state", "status"), [("EXITED", 3), ("FATAL", None), ("BACKOFF", None), ("STOPPED", None)]
)
def test_only_an_exited_program_has_an_exit_status(state: str, status: int | None) -> None:
    # In the other states supervisord says 0, whatever it was.
    assert from_info(dict(INFO, statename=state, exitstatus=3, pid=0)).exit_status == status


def test_modules_return_what_is_documented() -> None:
    assert set(program("a").as_dict()) == {
        "name",
        "group",
        "state",
        "pid",
        "start_time",
        "exit_status",
        "spawn_error",
        "log_file",
        "error_log_file",
    }


# --- who is meant -----------------------------------------------------------------------------

FARM = [program(name) for name in ("a", "a:b", "b:x", "b:y", "c:z", "d:z")]


@pytest.mark.parametrize(
    ("wanted", "meant"),
    [
        ("all", ["a", "a:b", "b:x", "b:y", "c:z", "d:z"]),
        ("a", ["a"]),
        ("a:", ["a", "a:b"]),
        ("a:*", ["a", "a:b"]),
        ("b", ["b:x", "b:y"]),
        ("b:x", ["b:x"]),
        ("x", ["b:x"]),
        ("c:", ["c:z"]),
    ],
)
def test_a_name_means_a_program_then_a_group_then_a_member(wanted: str, meant: list[str]) -> None:
    selected, unknown = select(FARM, [wanted])
    assert (names(selected), unknown) == (meant, [])


@pytest.mark.parametrize("name", ["q", "q:", "a:q", "x:", "b:x:", "", ":", "b:x:*"])
def test_a_name_that_means_nothing_is_unknown(name: str) -> None:
    assert select(FARM, [name]) == ([], [name])


def test_a_process_name_may_contain_a_colon_after_expansion() -> None:
    odd = program("g:a:b")
    assert (group_of(odd.name), process_of(odd.name)) == ("g", "a:b")
    for name in ("g:a:b", "g", "g:", "a:b"):
        assert select([odd, program("a:c")], [name]) == ([odd], []), name


PATTERNS = {
    "*": ["a", "a:b", "b:x", "b:y", "c:z", "d:z"],
    "a*": ["a", "a:b"],  # what it fits, and the group that it fits
    "[bc]:*": ["b:x", "b:y", "c:z"],
    "?:z": ["c:z", "d:z"],
    "z*": ["c:z", "d:z"],
    "b:[!x]": ["b:y"],
    "[ad]:": ["a", "a:b", "d:z"],
    "[ab]": ["a", "a:b", "b:x", "b:y"],
    "?:?": ["a", "a:b", "b:x", "b:y", "c:z", "d:z"],
}


@pytest.mark.parametrize("pattern", PATTERNS)
def test_a_pattern_matches_names_with_or_without_the_group(pattern: str) -> None:
    selected, unknown = select(FARM, [pattern])
    assert (names(selected), unknown) == (PATTERNS[pattern], [])


@pytest.mark.parametrize("pattern", ["q*", "b:q*", "q*:", "A*", "a[", "b:*x*x*"])
def test_a_pattern_that_matches_nothing_is_unknown(pattern: str) -> None:
    assert select(FARM, [pattern]) == ([], [pattern])


def test_a_name_that_looks_like_a_pattern_names_the_program_with_that_name() -> None:
    odd = [program("w*"), program("wa"), program("g:[1]"), program("g:1")]
    assert select(odd, ["w*"]) == (odd[:1], [])
    assert select(odd, ["g:[1]"]) == (odd[2:3], [])
    assert select_written(odd, ["w*", "g:[1]"]) == ([odd[0], odd[2]], [])


WRITTEN = {
    "a": ["a"],
    "a:": ["a", "a:b"],
    "a:*": ["a", "a:b"],
    "b:x": ["b:x"],
    "b:": ["b:x", "b:y"],
    "all": ["a", "a:b", "b:x", "b:y", "c:z", "d:z"],
    "?": ["a"],  # a pattern without a colon fits programs without a group
    "[ab]:": ["a", "a:b", "b:x", "b:y"],
    "*:z": ["c:z", "d:z"],
    "b": [],
    "x": [],
    "z": [],
    "[bx]": [],
    "q": [],
}


@pytest.mark.parametrize("name", WRITTEN)
def test_if_nothing_may_be_left_out_a_group_has_its_colon_and_a_member_its_group(
    name: str,
) -> None:
    selected, unknown = select_written(FARM, [name])
    assert names(selected) == WRITTEN[name]
    assert unknown == ([] if WRITTEN[name] else [name])


@given(programs_, wanted_)
def test_what_is_written_means_nothing_wider_than_it_does_anywhere_else(
    programs: list[Program], wanted: list[str]
) -> None:
    for name in wanted:
        try:
            meant = select(programs, [name])[0]
        except JawsError:
            meant = programs
        assert set(select_written(programs, [name])[0]) <= set(meant)


def test_all_of_nothing_is_nothing_and_known() -> None:
    assert select([], ["all"]) == ([], [])


def test_a_member_of_two_groups_is_ambiguous_and_both_are_reported() -> None:
    with pytest.raises(JawsError, match=r"c:z, d:z.*Write it with its group") as caught:
        select(FARM, ["z"])
    assert caught.value.reason == "ambiguous_program"


@given(programs_, wanted_)
def test_what_is_selected_is_there_once_and_every_name_means_something_or_is_unknown(
    programs: list[Program], wanted: list[str]
) -> None:
    try:
        selected, unknown = select(programs, wanted)
    except JawsError as error:
        assert error.reason == "ambiguous_program"
        return
    assert len(set(names(selected))) == len(selected)
    assert set(selected) <= set(programs)
    assert set(unknown) <= set(wanted) - {"all"}
    for name in set(wanted) - set(unknown) - {"all"}:
        assert select(programs, [name])[0]


@given(programs_)
def test_every_program_is_meant_by_the_name_that_supervisorctl_shows(
    programs: list[Program],
) -> None:
    for one in programs:
        assert select(programs, [one.name]) == ([one], [])


# --- what is to be done -----------------------------------------------------------------------


@pytest.mark.parametrize(
    ("state", "plan"),
    [
        ("STOPPED", Plan(start=["a"])),
        ("EXITED", Plan(start=["a"])),
        ("FATAL", Plan(start=["a"])),
        ("STOPPING", Plan(start=["a"], await_stopped=["a"])),
        ("STARTING", Plan(await_running=["a"])),
        ("BACKOFF", Plan(await_running=["a"])),
        ("RUNNING", Plan()),
    ],
)
def test_started_starts_what_is_down_and_waits_for_what_is_under_way(
    state: str, plan: Plan
) -> None:
    assert plan_started([program("a", state)]) == plan


@pytest.mark.parametrize(
    ("state", "plan"),
    [
        ("STARTING", Plan(stop=["a"])),
        ("RUNNING", Plan(stop=["a"])),
        ("BACKOFF", Plan(stop=["a"])),
        ("STOPPING", Plan(await_stopped=["a"])),
        ("STOPPED", Plan()),
        ("EXITED", Plan()),
        ("FATAL", Plan()),
    ],
)
def test_stopped_stops_what_is_alive_and_waits_for_what_is_stopping(state: str, plan: Plan) -> None:
    assert plan_stopped([program("a", state)]) == plan


def test_only_waiting_changes_nothing() -> None:
    assert not plan_started([program("a", "BACKOFF")]).changes
    assert not plan_stopped([program("a", "STOPPING")]).changes


@pytest.mark.parametrize("planned", [plan_started, plan_stopped])
def test_a_lost_program_is_neither_started_nor_taken_for_stopped(planned: Any) -> None:
    lost = program("a", "UNKNOWN")._replace(pid=7)
    with pytest.raises(JawsError, match=r"a \(pid 7\).*state=killed") as caught:
        planned([lost, program("b")])
    assert caught.value.reason == "lost_program"


def test_an_update_refuses_a_lost_program_only_where_it_would_touch_it() -> None:
    lost = program("a", "UNKNOWN")
    with pytest.raises(JawsError):
        plan_updated(Change([], ["a"], []), [lost])
    assert plan_updated(Change(["b"], [], []), [lost]) == Plan(add=["b"])


@pytest.mark.parametrize("state", STATES)
def test_only_what_runs_is_signalled(state: str) -> None:
    expected = Plan(signal=["a"]) if state == "RUNNING" else Plan()
    assert plan_signalled([program("a", state)], "USR1") == expected


ACCEPTED = ["HUP", "SIGHUP", "usr1", "sigUsr1", "1", " TERM ", "15", "CLD", "RTMIN", "64", "0"]
REFUSED = ["", "NONE", "999", "-1", "33", "35", "63", "²", "SIGSIGHUP", "SIGRTMIN+1", "HUP TERM"]


@pytest.mark.parametrize("signal", ACCEPTED)
def test_a_signal_is_a_name_or_a_number(signal: str) -> None:
    assert plan_signalled([program("a")], signal).changes


@pytest.mark.parametrize("signal", [*ACCEPTED, *REFUSED])
def test_every_signal_that_supervisord_knows_is_accepted(signal: str) -> None:
    try:
        is_accepted = bool(signal_number(signal)) or signal == "0"
    except ValueError:
        is_accepted = False
    assert is_accepted is (signal in ACCEPTED)


@pytest.mark.parametrize("signal", REFUSED)
def test_an_unknown_signal_is_refused_before_anything_is_sent(signal: str) -> None:
    with pytest.raises(JawsError, match="not a signal") as caught:
        plan_signalled([program("a")], signal)
    assert caught.value.reason == "bad_option"


def test_an_update_restarts_the_whole_group_when_it_changed() -> None:
    programs = [program("g:a"), program("g:b", "FATAL"), program("h")]
    plan = plan_updated(Change(["n"], ["g"], []), programs)
    assert plan == Plan(stop=["g:a"], remove=["g"], add=["n", "g"])


def test_a_restart_leaves_to_the_update_what_the_update_restarts() -> None:
    before = [program("a"), program("b"), program("c", "STOPPED"), program("gone")]
    change = Change(["new"], ["b"], ["gone"])
    configured = {name: setting(name) for name in ("a", "b", "c", "new")}
    after = [before[0], before[2], *arriving(["new", "b"], configured)]
    plan = plan_restarted(after, change, before)
    assert plan == Plan(
        stop=["b", "gone", "a"], remove=["b", "gone"], add=["new", "b"], start=["a", "c"]
    )


def test_a_restart_starts_what_the_update_leaves_stopped() -> None:
    before = [program("a")]
    arrived = arriving(["a"], {"a": setting("a", autostart=False)})
    assert plan_restarted(arrived, Change([], ["a"], []), before).start == ["a"]


def test_a_running_group_is_removed_only_when_it_may_be_stopped() -> None:
    programs = [program("g:a"), program("g:b", "STOPPING"), program("g:c", "FATAL")]
    with pytest.raises(JawsError, match=r"g:a, g:b: still running") as caught:
        plan_absent(programs, programs, stop_first=False)
    assert caught.value.reason == "still_running"
    plan = plan_absent(programs, programs, stop_first=True)
    assert plan == Plan(stop=["g:a"], await_stopped=["g:b"], remove=["g"])


def test_a_single_member_is_not_removed_with_its_whole_group() -> None:
    programs = [program("g:a", "STOPPED"), program("g:b", "STOPPED")]
    with pytest.raises(JawsError, match="removing g:a would remove g:b too") as caught:
        plan_absent(programs[:1], programs, stop_first=True)
    assert caught.value.reason == "partial_group"


def test_a_group_goes_by_its_programs_name_when_the_others_are_down() -> None:
    # As for community.general.supervisorctl, where the name is the group's too.
    programs = [program("g", "STOPPED"), program("g:y", "EXITED")]
    assert plan_for("absent", ["g"], programs).remove == ["g"]
    with pytest.raises(JawsError, match="removing g would remove g:y too") as caught:
        plan_for("absent", ["g"], [program("g", "STOPPED"), program("g:y")])
    assert caught.value.reason == "partial_group"


# --- the module's options ---------------------------------------------------------------------


def plan_for(
    state: str,
    name: list[str] | None,
    programs: list[Program],
    change: Change = NOTHING,
    configured: dict[str, Setting] | None = None,
) -> Plan:
    return work_for(state, name, programs, change, configured).whole


def work_for(
    state: str,
    name: list[str] | None,
    programs: list[Program],
    change: Change = NOTHING,
    configured: dict[str, Setting] | None = None,
    **options: Any,
) -> Work:
    params = dict(state=state, name=name, stop_before_removing=False, signal="HUP")
    params.update(dict(serial=None, one_shot=None, wait=True), **options)
    return make_work(params, Observation(programs, change), configured or {})


def test_an_empty_list_of_names_means_no_program_and_not_every_one() -> None:
    for state in ("started", "stopped", "restarted", "signalled", "absent", "updated", "present"):
        plan = plan_for(state, [], [program("a"), program("b", "STOPPED")])
        assert plan == Plan(), state


@pytest.mark.parametrize("state", ["started", "stopped", "restarted", "signalled", "updated"])
def test_an_unknown_name_is_an_error_that_lists_the_known(state: str) -> None:
    with pytest.raises(
        JawsError, match=r"no such process or group: q\. There are: a, g:b\."
    ) as err:
        plan_for(state, ["a", "q"], [program("a"), program("g:b")])
    assert err.value.reason == "unknown_program"


def test_an_unknown_name_is_absent_already() -> None:
    assert plan_for("absent", ["q"], [program("a")]) == Plan()


@pytest.mark.parametrize("name", ["web", "g", "np", "np_00", "w*", "np_*"])
def test_a_name_without_its_group_or_its_colon_removes_nothing(name: str) -> None:
    programs = [program(one) for one in ("g:web", "g:worker", "np:np_00", "np:np_01")]
    work = work_for("absent", [name], programs, stop_before_removing=True)
    assert work.whole == Plan()


@pytest.mark.parametrize("name", ["np:", "np:*", "n*:", "np:np_*"])
def test_a_group_is_removed_by_its_name_with_the_colon(name: str) -> None:
    programs = [program(one) for one in ("g:web", "np:np_00", "np:np_01")]
    plan = work_for("absent", [name], programs, stop_before_removing=True).whole
    assert (plan.stop, plan.remove) == (["np:np_00", "np:np_01"], ["np"])


def test_present_adds_what_is_new_on_disk_and_nothing_else() -> None:
    change = Change(["new", "other"], ["a"], ["b"])
    configured = {"new": setting("new"), "other": setting("other")}
    programs = [program("a"), program("b")]
    assert plan_for("present", ["new"], programs, change, configured) == Plan(add=["new"])
    assert plan_for("present", ["a"], programs, change, configured) == Plan()
    with pytest.raises(JawsError, match="no such process or group: new:typo"):
        plan_for("present", ["new:typo"], programs, change, configured)


def test_an_update_may_be_limited_to_the_groups_of_some_names() -> None:
    change = Change(["new"], ["a", "g"], ["b"])
    configured = {"new": setting("new")}
    programs = [program("a"), program("b"), program("g:p")]

    def planned(*wanted: str) -> Plan:
        return plan_for("updated", list(wanted), programs, change, configured)

    assert planned("new") == Plan(add=["new"])
    assert planned("p") == Plan(stop=["g:p"], remove=["g"], add=["g"])
    assert planned("b") == Plan(stop=["b"], remove=["b"])
    assert planned("all") == plan_for("updated", None, programs, change, configured)


@pytest.mark.parametrize("name", [None, "g", "g:", "g:*"])
def test_an_update_applies_to_a_group_that_has_or_had_no_programs(name: str | None) -> None:
    wanted = None if name is None else [name]
    emptied = plan_for("updated", wanted, [program("a")], Change([], ["g"], []))
    assert emptied == Plan(remove=["g"], add=["g"])
    added = plan_for("updated", wanted, [program("a")], Change(["g"], [], []))
    assert added == plan_for("present", wanted, [program("a")], Change(["g"], [], []))
    assert added == Plan(add=["g"])


def test_an_update_may_be_limited_to_a_program_that_is_new_in_its_group() -> None:
    change, configured = Change([], ["g"], []), {"g:new": setting("g:new")}
    plan = plan_for("updated", ["g:new"], [program("g:p")], change, configured)
    assert plan == Plan(stop=["g:p"], remove=["g"], add=["g"])


def test_what_has_gone_from_disk_cannot_be_restarted() -> None:
    with pytest.raises(JawsError, match="no such process or group: a"):
        plan_for("restarted", ["a"], [program("a")], Change([], [], ["a"]))


def test_what_is_new_on_disk_can_be_restarted() -> None:
    configured = {"g:a": setting("g:a", autostart=False), "g:b": setting("g:b")}
    plan = plan_for("restarted", ["g"], [], Change(["g"], [], []), configured)
    assert plan == Plan(add=["g"], start=["g:a"])


def test_a_restart_names_its_programs_and_also_applies_other_changes() -> None:
    programs = [program("a"), program("b"), program("gone"), program("same")]
    change = Change(["new"], ["a", "b"], ["gone"])
    configured = {name: setting(name) for name in ("a", "b", "new", "same")}
    work = work_for("restarted", ["a"], programs, change, configured)
    assert work.plans == [Plan(stop=["a"], remove=["a"], add=["a"])]
    assert work.others == Plan(stop=["b", "gone"], remove=["b", "gone"], add=["new", "b"])
    everything = work_for("restarted", ["all"], programs, change, configured)
    assert everything.others == Plan()
    assert everything.plans[0].remove == ["a", "b", "gone"]


def test_a_restart_ignores_lost_programs_that_it_does_not_name() -> None:
    programs = [program("a"), program("b", "UNKNOWN")]
    configured = {name: setting(name) for name in "ab"}
    work = work_for("restarted", ["a"], programs, Change([], ["b"], []), configured)
    assert (work.others, work.plans) == (Plan(), [Plan(stop=["a"], start=["a"])])
    with pytest.raises(JawsError, match="lost control of b"):
        work_for("restarted", ["b"], programs, Change([], ["b"], []), configured)


# --- a few at a time ----------------------------------------------------------------------------

POOL = [program(f"np:np_{number:02}") for number in range(5)]


@pytest.mark.parametrize(
    ("serial", "sizes"),
    [
        ("1", [1, 1, 1, 1, 1]),
        ("2", [2, 2, 1]),
        ("9", [5]),
        ("50%", [2, 2, 1]),
        (" 40 % ", [2, 2, 1]),
        ("1%", [1, 1, 1, 1, 1]),
        ("100%", [5]),
    ],
)
def test_a_rolling_restart_goes_in_batches_of_a_number_or_a_percentage(
    serial: str, sizes: list[int]
) -> None:
    work = work_for("restarted", ["np"], POOL, serial=serial)
    assert [len(plan.start) for plan in work.plans] == sizes
    assert [name for plan in work.plans for name in plan.start] == names(POOL)
    assert all(plan.stop == plan.start for plan in work.plans)
    assert work.whole.start == names(POOL)


@pytest.mark.parametrize("serial", ["0", "-1", "0%", "101%", "two", "1.5", "%", " ", "1 2", "²"])
def test_what_is_neither_a_number_nor_a_percentage_is_refused(serial: str) -> None:
    with pytest.raises(JawsError, match="a number of programs from 1 on, or 1% to 100%") as caught:
        batch_size(serial, 5)
    assert caught.value.reason == "bad_option"


def test_batches_begin_with_a_low_priority() -> None:
    configured = {f"np:np_{n:02}": setting("np:x", priority=(999, 9 - n)) for n in range(5)}
    found = batches(POOL, NOTHING, configured, 2)
    assert [names(batch) for batch in found] == [
        ["np:np_04", "np:np_03"],
        ["np:np_02", "np:np_01"],
        ["np:np_00"],
    ]


def test_a_group_that_differs_restarts_as_a_whole_or_is_refused() -> None:
    programs = [program("a"), *POOL[:2], program("z")]
    change = Change(["new"], ["np"], [])
    configured = {one.name: setting(one.name) for one in programs}
    configured.update({f"new:{n}": setting(f"new:{n}") for n in range(4)})
    work = work_for("restarted", ["a", "np", "z", "new"], programs, change, configured, serial="2")
    assert [(plan.stop, plan.remove, plan.add, plan.start) for plan in work.plans] == [
        (["a"], [], [], ["a"]),
        (["np:np_00", "np:np_01"], ["np"], ["np"], []),
        (["z"], [], [], ["z"]),
        ([], [], ["new"], []),
    ]
    with pytest.raises(JawsError, match=r"np differs on disk.*2 programs cannot") as caught:
        work_for("restarted", ["np"], programs, change, configured, serial="1")
    assert caught.value.reason == "partial_group"


def test_programs_that_are_not_named_are_applied_before_a_rolling_restart() -> None:
    configured = {one.name: setting(one.name) for one in POOL}
    work = work_for("restarted", ["all"], [*POOL, program("gone")],
                    Change([], [], ["gone"]), configured, serial="4")  # fmt: skip
    assert work.others == Plan(stop=["gone"], remove=["gone"])
    assert [len(plan.start) for plan in work.plans] == [4, 1]


# --- programs that are expected to end ----------------------------------------------------------


@pytest.mark.parametrize(
    ("state", "expected"),
    [
        ("STOPPED", Plan(start=["m"], await_ended=["m"])),
        ("EXITED", Plan(start=["m"], await_ended=["m"])),
        ("RUNNING", Plan(await_ended=["m"])),
        ("BACKOFF", Plan(await_ended=["m"])),
    ],
)
def test_a_one_shot_program_is_started_and_awaited_until_it_has_ended(
    state: str, expected: Plan
) -> None:
    programs = [program("m", state), program("serve")]
    work = work_for("started", ["all"], programs, one_shot=["m"])
    assert work.plans == [expected]
    assert predict(programs, work.whole, {}) == {"m": "EXITED", "serve": "RUNNING"}
    assert work.whole.changes is bool(expected.start)


def test_a_one_shot_program_that_an_update_starts_is_awaited_and_any_other_is_not() -> None:
    configured = {"m": setting("m"), "idle": setting("idle", autostart=False), "s": setting("s")}
    programs = [program("m", "EXITED"), program("running")]
    plan = work_for(
        "updated", None, [*programs, program("running")], Change(["idle", "s"], ["m"], []),
        configured, one_shot=["m", "idle", "running"],
    ).whole  # fmt: skip
    assert (plan.add, plan.await_ended) == (["idle", "s", "m"], ["m"])


@pytest.mark.parametrize("state", ["stopped", "absent", "signalled"])
def test_a_command_that_starts_nothing_does_not_wait_for_an_end(state: str) -> None:
    work = work_for(state, ["m"], [program("m", "STOPPED")], one_shot=["typo"])
    assert work.whole == Plan(remove=["m"] if state == "absent" else [])


def test_an_unknown_one_shot_program_is_an_error() -> None:
    with pytest.raises(JawsError, match="no such process or group: typo"):
        work_for("started", ["m"], [program("m")], one_shot=["typo"])


# --- in which order ---------------------------------------------------------------------------


@given(st.lists(namespecs, unique=True), st.dictionaries(namespecs, priorities_), st.booleans())
def test_phases_hold_everything_once_in_the_order_of_priority(
    items: list[str], priorities: dict[str, tuple[int, int]], reverse: bool
) -> None:
    batches = phases(items, priorities, reverse)
    assert sorted(name for batch in batches for name in batch) == sorted(items)
    found = [{priorities.get(name, (999, 999)) for name in batch} for batch in batches]
    assert all(len(one) == 1 for one in found)
    order = [one.pop() for one in found]
    assert order == sorted(set(order), reverse=reverse)


def test_a_groups_priority_comes_before_its_programs() -> None:
    priorities = {"a": (1, 1), "g:x": (5, 1), "g:y": (5, 2), "b": (7, 7)}
    assert phases(["b", "g:y", "g:x", "a"], priorities) == [["a"], ["g:x"], ["g:y"], ["b"]]


# --- what comes of it -------------------------------------------------------------------------


@given(programs_, wanted_, st.sampled_from(["started", "stopped", "restarted", "signalled"]))
def test_a_second_run_after_what_was_predicted_changes_nothing(
    programs: list[Program], wanted: list[str], state: str
) -> None:
    try:
        plan = plan_for(state, wanted, programs)
    except JawsError:
        return
    after = predict(programs, plan, {})
    again = plan_for(state, wanted, [one._replace(state=after[one.name]) for one in programs])
    assert state in ("restarted", "signalled") or again == Plan()
    assert set(affected(plan, programs, after)) == set(plan.stop + plan.start + plan.signal)
    untouched = set(names(programs)) - set(plan.stop + plan.start + plan.await_running)
    for one in programs:
        if one.name in untouched - set(plan.await_stopped):
            assert after[one.name] == one.state


@given(programs_, programs_, st.lists(st.booleans(), min_size=9, max_size=9), st.data())
def test_after_an_update_exactly_what_is_on_disk_is_there(
    before: list[Program], on_disk: list[Program], autostart: list[bool], data: st.DataObject
) -> None:
    old, new = {one.group for one in before}, {one.group for one in on_disk}
    changed = sorted(
        group
        for group in old & new
        if members(before, group) != members(on_disk, group) or data.draw(st.booleans())
    )
    change = Change(sorted(new - old), changed, sorted(old - new))
    configured = {
        one.name: setting(one.name, start) for one, start in zip(on_disk, autostart, strict=False)
    }
    plan = plan_for("updated", None, before, change, configured)
    after = predict(before, plan, configured)
    assert set(after) == set(names(on_disk))
    assert set(plan.stop) <= {one.name for one in before if one.state in ALIVE}
    for name, state in after.items():
        if group_of(name) in plan.add:
            assert state == ("RUNNING" if configured[name].autostart else "STOPPED")
    left_alone = {one.name for one in before if one.group not in change.groups}
    assert not left_alone & set(affected(plan, before, after))


def members(programs: list[Program], group: str) -> set[str]:
    return {one.name for one in programs if one.group == group}


def test_the_states_are_shown_in_the_order_of_names() -> None:
    assert state_lines({"b": "RUNNING", "a": "FATAL"}) == "a FATAL\nb RUNNING\n"
