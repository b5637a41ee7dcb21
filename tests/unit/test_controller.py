# SPDX-License-Identifier: GPL-3.0-or-later
"""Carrying out a plan, against a supervisord that is simulated, as is the time.

What is simulated here is held against the real one by the integration tests.
"""

from __future__ import annotations

import functools
import time
import xmlrpc.client
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given
from hypothesis import settings as profile
from hypothesis import strategies as st

from ansible_collections.jgi.jaws.plugins.module_utils.errors import JawsError
from ansible_collections.jgi.jaws.plugins.module_utils.supervisor import controller, diagnosis
from ansible_collections.jgi.jaws.plugins.module_utils.supervisor.client import Supervisor
from ansible_collections.jgi.jaws.plugins.module_utils.supervisor.conf import complaint
from ansible_collections.jgi.jaws.plugins.module_utils.supervisor.controller import Controller
from ansible_collections.jgi.jaws.plugins.module_utils.supervisor.diagnosis import (
    describe,
    failure,
    with_exit_status,
)
from ansible_collections.jgi.jaws.plugins.module_utils.supervisor.endpoint import Endpoint
from ansible_collections.jgi.jaws.plugins.module_utils.supervisor.observation import (
    observe,
    settings,
)
from ansible_collections.jgi.jaws.plugins.module_utils.supervisor.planning import (
    Plan,
    plan_absent,
    plan_restarted,
    plan_started,
    plan_stopped,
    plan_updated,
    predict,
)
from ansible_collections.jgi.jaws.plugins.module_utils.supervisor.programs import (
    ALIVE,
    Change,
    Program,
    Setting,
    group_of,
)

STARTSECS = 1
STOPWAITSECS = 10
TURN = 1.0  # seconds between two turns of an idle supervisord's loop
KEY = "a-key_0123456789"


class Clock:
    """Time that passes when somebody sleeps, and a little with every request."""

    now = 1000.0

    def monotonic(self) -> float:
        return self.now

    def sleep(self, seconds: float) -> None:
        self.now += seconds


class Process:
    """One process: C(kind) is how it behaves, among healthy, one_shot, crash, deaf and missing."""

    def __init__(self, name: str, kind: str, state: str, clock: Clock) -> None:
        self.name, self.kind, self.state, self.clock = name, kind, state, clock
        self.started = 0.0 if state == "STOPPED" else clock.now - 100
        self.since = clock.now - 100
        self.tries = 0
        self.comes_back = False
        self.is_new = False

    def become(self, state: str) -> None:
        self.state, self.since = state, self.clock.now

    def spawn(self) -> None:
        self.started = self.clock.now
        self.tries += 1
        self.become("BACKOFF" if self.kind in ("crash", "missing") else "STARTING")

    def turn(self) -> None:
        """Do what supervisord's loop does for a process."""
        age = self.clock.now - self.since
        if self.is_new:
            self.is_new = False
            self.spawn()
        elif self.state == "STARTING" and self.kind == "one_shot":
            self.become("EXITED")
        elif self.state == "STARTING" and age > STARTSECS:
            self.become("RUNNING")
        elif self.state == "BACKOFF" and self.tries > 3:
            self.become("FATAL")
        elif self.state == "BACKOFF" and age > self.tries:
            self.spawn()
        elif self.state == "STOPPING" and self.kind != "deaf":
            self.become("STOPPED")
        elif self.state == "EXITED" and self.comes_back:
            self.comes_back = False
            self.become("RUNNING")

    def info(self) -> dict[str, Any]:
        return {
            "name": self.name.split(":")[-1],
            "group": group_of(self.name),
            "statename": self.state,
            "pid": 7 if self.state in ALIVE else 0,
            "start": int(self.started),
            "exitstatus": 0,
            "spawnerr": "Exited too quickly" if self.kind == "crash" else "",
            "stdout_logfile": "",
            "stderr_logfile": "",
        }


class Simulation(Supervisor):
    """A supervisord without processes."""

    def __init__(self, clock: Clock, active: dict[str, tuple[str, str]]) -> None:
        super().__init__(Endpoint("unix:///s", "jaws", KEY, "a file"))
        self.clock = clock
        self.processes = {n: Process(n, kind, state, clock) for n, (kind, state) in active.items()}
        self.on_disk = {name: kind for name, (kind, _state) in active.items()}
        self.idle: set[str] = set()
        self.priorities: dict[str, int] = {}
        self.startsecs: dict[str, int] = {}
        self.sent: list[tuple[Any, ...]] = []
        self.log = ""

    def batch(self, calls: Any) -> list[Any]:
        self.round_trips += 1
        self.clock.now += 0.001
        self.sent += [call for call in calls if ".get" not in call[0] and "reload" not in call[0]]
        # A request makes supervisord's loop turn, but is answered first; what it adds waits for
        # the next turn.
        there = list(self.processes.values())
        answers = [self.answer(*call) for call in calls]
        for process in there:
            process.turn()
        return answers

    def call(self, method: str, *params: Any) -> Any:
        answer = self.batch([(method, *params)])[0]
        if isinstance(answer, xmlrpc.client.Fault):
            raise answer
        return answer

    def answer(self, method: str, *params: Any) -> Any:
        try:
            return getattr(self, method.split(".")[1])(*params)
        except KeyError as error:
            return xmlrpc.client.Fault(10, f"BAD_NAME: {error.args[0]}")
        except xmlrpc.client.Fault as fault:
            return fault

    def getAllProcessInfo(self) -> list[dict[str, Any]]:
        return [self.processes[name].info() for name in sorted(self.processes)]

    def getProcessInfo(self, name: str) -> dict[str, Any]:
        return self.processes[name].info()

    def getAllConfigInfo(self) -> list[dict[str, Any]]:
        return [
            {
                "name": name.split(":")[-1],
                "group": group_of(name),
                "autostart": name not in self.idle,
                "group_prio": self.priorities.get(group_of(name), 999),
                "process_prio": 999,
                "startsecs": self.startsecs.get(name, STARTSECS),
                "startretries": 3,
                "stopwaitsecs": STOPWAITSECS,
                "exitcodes": [0],
            }
            for name in self.on_disk
        ]

    def readLog(self, _offset: int, _length: int) -> str:
        return self.log

    def startProcess(self, name: str, _wait: bool) -> bool:
        process = self.processes[name]
        if process.kind == "missing":
            raise xmlrpc.client.Fault(20, "NO_FILE: can't find command '/none'")
        if process.state in ALIVE:
            raise xmlrpc.client.Fault(60, f"ALREADY_STARTED: {name}")
        assert process.state != "STOPPING", "supervisord would say yes and do nothing"
        process.tries = 0
        process.spawn()
        if process.kind == "crash":
            raise xmlrpc.client.Fault(50, f"SPAWN_ERROR: {name}")
        return True

    def stopProcess(self, name: str, _wait: bool) -> bool:
        process = self.processes[name]
        if process.state not in ALIVE:
            raise xmlrpc.client.Fault(70, f"NOT_RUNNING: {name}")
        process.become("STOPPED" if process.state == "BACKOFF" else "STOPPING")
        return True

    def signalProcess(self, name: str, _signal: str) -> bool:
        if self.processes[name].state not in ("RUNNING", "STARTING", "STOPPING"):
            raise xmlrpc.client.Fault(70, f"NOT_RUNNING: {name}")
        return True

    def addProcessGroup(self, group: str) -> bool:
        for name, kind in self.on_disk.items():
            if group_of(name) == group:
                assert name not in self.processes
                process = self.processes[name] = Process(name, kind, "STOPPED", self.clock)
                process.is_new = name not in self.idle
        return True

    def removeProcessGroup(self, group: str) -> bool:
        members = [name for name in self.processes if group_of(name) == group]
        if any(self.processes[n].state in (*ALIVE, "STOPPING") for n in members):
            raise xmlrpc.client.Fault(91, f"STILL_RUNNING: {group}")
        for name in members:
            del self.processes[name]
        return True

    def states(self) -> dict[str, str]:
        return {name: process.state for name, process in self.processes.items()}


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Clock:
    found = Clock()
    monkeypatch.setattr(controller, "time", found)
    monkeypatch.setattr(controller, "UNKNOWN_STOPWAITSECS", 60)
    return found


def run(simulation: Simulation, plan: Plan, **options: Any) -> list[Program]:
    return Controller(simulation, 60, **options).execute(plan)


def methods(simulation: Simulation) -> list[tuple[str, str]]:
    return [(call[0].split(".")[1], call[1]) for call in simulation.sent]


# --- whatever the plan ------------------------------------------------------------------------

NAMES = ["a", "b", "g:a", "g:b", "h:a"]
SETTLED = ["STOPPED", "RUNNING", "EXITED", "FATAL"]
DOWN = {"STOPPED", "EXITED", "FATAL"}
ANY = [*SETTLED, "BACKOFF", "STARTING", "STOPPING"]
kinds = st.sampled_from(["healthy", "healthy", "one_shot", "crash", "deaf", "missing"])
worlds = st.dictionaries(st.sampled_from(NAMES), st.tuples(kinds, st.sampled_from(ANY)))
simulated = profile(
    deadline=None, max_examples=100, suppress_health_check=[HealthCheck.function_scoped_fixture]
)


def draw_plan(data: st.DataObject, simulation: Simulation) -> Plan:
    """Change what is on disk, and plan one of the module's states for some of the programs."""
    programs = observe(simulation).programs
    old = set(simulation.processes)
    simulation.on_disk = {
        name: simulation.processes[name].kind if name in old else data.draw(kinds)
        for name in data.draw(st.sets(st.sampled_from(NAMES)))
    }
    simulation.idle = data.draw(st.sets(st.sampled_from(NAMES)))
    simulation.priorities = data.draw(st.dictionaries(st.sampled_from("abgh"), st.integers(1, 3)))
    groups, new = {group_of(name) for name in old}, {group_of(n) for n in simulation.on_disk}
    changed = sorted(g for g in groups & new if data.draw(st.booleans()))
    change = Change(sorted(new - groups), changed, sorted(groups - new))
    selected = [program for program in programs if data.draw(st.booleans())]
    kind = data.draw(st.sampled_from(["started", "stopped", "updated", "restarted", "absent"]))
    if kind == "updated":
        return plan_updated(change, programs)
    if kind == "restarted":
        staying = [program for program in selected if program.group not in change.groups]
        return plan_restarted(staying, change, programs)
    if kind == "absent":
        whole = [p for p in programs if p.group in {one.group for one in selected}]
        return plan_absent(whole, programs, stop_first=True)
    return plan_started(selected) if kind == "started" else plan_stopped(selected)


@simulated
@given(world=worlds, data=st.data())
def test_what_was_predicted_happens_and_what_fails_keeps_no_other_down(
    clock: Clock, world: dict[str, tuple[str, str]], data: st.DataObject
) -> None:
    simulation = Simulation(clock, world)
    plan = draw_plan(data, simulation)
    before = observe(simulation).programs
    predicted = predict(before, plan, settings(simulation))
    stuck = {n for n in [*plan.stop, *plan.await_stopped] if simulation.processes[n].kind == "deaf"}
    kept = {group_of(name) for name in stuck} & set(plan.remove)
    try:
        after = run(simulation, plan)
        failed: list[str] = []
    except JawsError as error:
        after = observe(simulation).programs
        failed = list(error.details["failed_programs"])  # type: ignore[call-overload]
        assert stuck <= set(failed)
        assert error.reason in ("program_failed", "timed_out")
    assert {program.name: program.state for program in after} == simulation.states()
    doing = set(plan.start + plan.await_running) | {
        name for name in simulation.on_disk if group_of(name) in plan.add and name in predicted
    }
    for name, state in predicted.items():
        if name in stuck or group_of(name) in kept:
            continue
        if name not in doing:
            # What is on its way somewhere arrives meanwhile; one down is as good as another.
            reached = simulation.states()[name]
            assert reached == state or state not in SETTLED or {reached, state} <= DOWN
            continue
        kind = simulation.processes[name].kind
        reached = simulation.states()[name]
        if kind in ("healthy", "one_shot", "deaf"):
            assert reached == ("EXITED" if (kind, state) == ("one_shot", "RUNNING") else state)
            assert name not in failed
        elif state == "RUNNING" and before_state(before, name) not in ("STARTING", "RUNNING"):
            assert reached != "RUNNING"
            assert name in failed


def before_state(before: list[Program], name: str) -> str:
    return next((program.state for program in before if program.name == name), "")


# --- few round trips --------------------------------------------------------------------------


def trips(clock: Clock, number: int, state: str) -> int:
    simulation = Simulation(clock, {f"p{n}": ("healthy", "RUNNING") for n in range(number)})
    programs = observe(simulation).programs
    change = Change([], [program.group for program in programs], [])
    plans = {
        "restarted": plan_restarted(programs, Change([], [], []), programs),
        "stopped": plan_stopped(programs),
        "updated": plan_updated(change, programs),
    }
    run(simulation, plans[state])
    return simulation.round_trips


@pytest.mark.parametrize("state", ["restarted", "stopped", "updated"])
def test_a_thousand_programs_cost_as_many_round_trips_as_two(clock: Clock, state: str) -> None:
    assert trips(clock, 2, state) == trips(clock, 1000, state)


def test_nothing_is_asked_about_programs_that_nobody_waits_for(clock: Clock) -> None:
    simulation = Simulation(clock, {"a": ("healthy", "STOPPED")})
    run(simulation, Plan(start=["a"]), wait=False)
    assert simulation.round_trips == 2  # the start, the result
    assert simulation.states() == {"a": "STARTING"}


def test_settings_that_are_known_are_not_asked_for_again(clock: Clock) -> None:
    simulation = Simulation(clock, dict.fromkeys("ab", ("healthy", "STOPPED")))
    run(simulation, Plan(start=["a", "b"]), wait=False, known=settings(simulation))
    assert simulation.round_trips == 3  # the settings, the start, the result


def test_settings_are_not_asked_for_without_an_order(clock: Clock) -> None:
    simulation = Simulation(clock, dict.fromkeys("ab", ("healthy", "STOPPED")))
    simulation.endpoint = simulation.endpoint._replace(ordered=False)
    del simulation.on_disk
    assert [one.state for one in run(simulation, Plan(start=["a", "b"]))] == ["RUNNING"] * 2


# --- order ------------------------------------------------------------------------------------


def test_programs_stop_in_descending_and_start_in_ascending_order_of_priority(clock: Clock) -> None:
    simulation = Simulation(clock, dict.fromkeys("abc", ("healthy", "RUNNING")))
    simulation.priorities = {"a": 1, "b": 2, "c": 2}
    programs = observe(simulation).programs
    run(simulation, plan_restarted(programs, Change([], [], []), programs))
    assert methods(simulation) == [
        ("stopProcess", "b"),
        ("stopProcess", "c"),
        ("stopProcess", "a"),
        ("startProcess", "a"),
        ("startProcess", "b"),
        ("startProcess", "c"),
    ]


def test_groups_are_added_in_ascending_order_of_priority(clock: Clock) -> None:
    simulation = Simulation(clock, {})
    simulation.on_disk = dict.fromkeys("abc", "healthy")
    simulation.priorities = {"a": 3, "b": 1, "c": 2}
    programs = run(simulation, Plan(add=["a", "b", "c"]))
    assert methods(simulation) == [("addProcessGroup", name) for name in "bca"]
    assert [program.state for program in programs] == ["RUNNING"] * 3


def test_a_priority_waits_for_the_one_before_it(clock: Clock) -> None:
    simulation = Simulation(clock, dict.fromkeys("ab", ("healthy", "STOPPED")))
    simulation.priorities = {"a": 2, "b": 1}
    run(simulation, Plan(start=["a", "b"]))
    a, b = (simulation.processes[name] for name in "ab")
    assert a.started > b.started + STARTSECS


# --- what goes wrong --------------------------------------------------------------------------


def fails(simulation: Simulation, plan: Plan) -> JawsError:
    with pytest.raises(JawsError) as caught:
        run(simulation, plan)
    assert KEY not in str(caught.value)
    return caught.value


def test_a_program_that_fails_is_reported_with_its_state_and_its_exit_status(clock: Clock) -> None:
    simulation = Simulation(clock, {"a": ("crash", "STOPPED"), "b": ("healthy", "STOPPED")})
    simulation.log = "... WARN exited: a (exit status 3; not expected)\n"
    error = fails(simulation, Plan(start=["a", "b"]))
    assert str(error) == (
        "could not start a (supervisord at unix:///s).\n"
        "a is FATAL, exit status 3, Exited too quickly\n"
        "Correct the cause, then run this again."
    )
    assert (error.reason, error.details) == ("program_failed", {"failed_programs": ["a"]})


def test_a_first_attempt_that_fails_is_not_yet_a_failure(clock: Clock) -> None:
    simulation = Simulation(clock, {"a": ("crash", "STOPPED")})
    simulation.processes["a"].spawn = lambda: heal(simulation.processes["a"])  # type: ignore[method-assign]
    assert run(simulation, Plan(start=["a"]))[0].state == "RUNNING"


@pytest.mark.parametrize(("exits", "tries"), [(None, 4), (2, 2), (3, 3)])
def test_a_start_fails_after_as_many_exits_as_the_caller_allows(
    clock: Clock, exits: int | None, tries: int
) -> None:
    simulation = Simulation(clock, {"a": ("crash", "STOPPED")})
    with pytest.raises(JawsError, match=r"a is (BACKOFF|FATAL)") as caught:
        run(simulation, Plan(start=["a"]), exits=exits)
    assert caught.value.reason == "program_failed"
    assert simulation.processes["a"].tries == tries


def test_a_start_that_needs_as_many_exits_as_allowed_but_one_is_none(clock: Clock) -> None:
    simulation = Simulation(clock, {"a": ("crash", "STOPPED")})
    simulation.processes["a"].spawn = lambda: heal(simulation.processes["a"])  # type: ignore[method-assign]
    assert run(simulation, Plan(start=["a"]), exits=3)[0].state == "RUNNING"


def test_each_program_of_a_trial_has_only_the_exits_allowed(clock: Clock) -> None:
    simulation = Simulation(clock, {"a": ("crash", "STOPPED"), "b": ("crash", "STOPPED")})
    with pytest.raises(JawsError) as caught:
        run(simulation, Plan(start=["a", "b"]), exits=2)
    assert caught.value.details == {"failed_programs": ["a", "b"]}
    assert [process.tries for process in simulation.processes.values()] == [2, 2]


@pytest.mark.parametrize("plan", [Plan(start=["a", "b"]), Plan(add=["a", "b"])])
@pytest.mark.parametrize(("exits", "reached"), [(None, "RUNNING"), (2, "STOPPED")])
def test_programs_after_a_failure_are_started_except_in_a_trial(
    clock: Clock, plan: Plan, exits: int | None, reached: str
) -> None:
    simulation = Simulation(clock, {"a": ("crash", "STOPPED"), "b": ("healthy", "STOPPED")})
    simulation.priorities = {"a": 1, "b": 2}
    if plan.add:
        simulation.processes.clear()
    with pytest.raises(JawsError) as caught:
        run(simulation, plan, exits=exits)
    assert caught.value.details == {"failed_programs": ["a"]}
    assert simulation.states().get("b", "STOPPED") == reached  # it may not be added at all


def heal(process: Process) -> None:
    process.tries += 1
    process.started = process.clock.now
    process.become("BACKOFF" if process.tries < 3 else "STARTING")


def test_a_command_that_does_not_exist_is_reported_at_once_without_waiting(
    clock: Clock,
) -> None:
    simulation = Simulation(clock, {"a": ("missing", "STOPPED")})
    started = clock.now
    error = fails(simulation, Plan(start=["a"]))
    assert "a: can't find command '/none'" in str(error)
    assert clock.now - started < 1


def test_a_low_priority_is_started_although_a_high_one_fails(clock: Clock) -> None:
    simulation = Simulation(clock, {"a": ("crash", "STOPPED"), "b": ("healthy", "STOPPED")})
    simulation.priorities = {"a": 1, "b": 2}
    assert fails(simulation, Plan(start=["a", "b"])).details["failed_programs"] == ["a"]
    assert simulation.states()["b"] == "RUNNING"


def test_a_group_that_does_not_stop_is_neither_removed_nor_added(clock: Clock) -> None:
    simulation = Simulation(clock, {"a": ("deaf", "RUNNING"), "b": ("healthy", "RUNNING")})
    plan = Plan(stop=["a", "b"], remove=["a", "b"], add=["a", "b"])
    error = fails(simulation, plan)
    assert (error.reason, error.details["failed_programs"]) == ("timed_out", ["a"])
    assert "could not stop within 120 s a" in str(error)
    assert simulation.states() == {"a": "STOPPING", "b": "RUNNING"}
    assert ("addProcessGroup", "a") not in methods(simulation)


def test_what_does_not_stop_is_not_started_and_the_rest_is(clock: Clock) -> None:
    simulation = Simulation(clock, {"a": ("deaf", "RUNNING"), "b": ("healthy", "RUNNING")})
    programs = observe(simulation).programs
    error = fails(simulation, plan_restarted(programs, Change([], [], []), programs))
    assert "could not stop within 70 s a" in str(error)
    assert simulation.states() == {"a": "STOPPING", "b": "RUNNING"}


def test_waiting_ends_when_the_time_is_up(clock: Clock) -> None:
    simulation = Simulation(clock, {"a": ("deaf", "RUNNING")})
    started = clock.now
    fails(simulation, Plan(stop=["a"]))
    assert 60 + STOPWAITSECS <= clock.now - started < 60 + STOPWAITSECS + 2


def test_waiting_for_retries_is_bounded_however_many_they_are() -> None:
    setting = Setting("a", True, (999, 999), 1, 10**6, 10)
    assert controller._until_fatal(setting) == 1 + controller.MOST_BACKOFF


def test_several_failures_are_reported_in_one_error(clock: Clock) -> None:
    simulation = Simulation(clock, {"a": ("crash", "STOPPED"), "b": ("deaf", "RUNNING")})
    error = fails(simulation, Plan(stop=["b"], start=["a"]))
    assert error.reason == "program_failed"
    assert error.details["failed_programs"] == ["a", "b"]
    assert "could not stop within 70 s b" in str(error)
    assert "could not start a" in str(error)


def test_what_was_added_and_never_ran_is_still_to_start() -> None:
    assert not controller._is_final(Program("a", "a", "STOPPED"))
    assert controller._is_final(Program("a", "a", "STOPPED", start_time=1))


def test_what_somebody_removed_meanwhile_has_not_started(clock: Clock) -> None:
    simulation = Simulation(clock, {"a": ("healthy", "STOPPED"), "b": ("healthy", "STOPPED")})
    start = simulation.startProcess
    simulation.startProcess = (  # type: ignore[method-assign]
        lambda name, _wait: start(name, False) and bool(simulation.processes.pop("a", None))
    )
    error = fails(simulation, Plan(start=["a", "b"]))
    assert error.details["failed_programs"] == ["a"]
    assert "a: it no longer exists" in str(error)


def test_what_somebody_removed_meanwhile_has_stopped(clock: Clock) -> None:
    simulation = Simulation(clock, {"a": ("healthy", "RUNNING")})
    simulation.stopProcess = (  # type: ignore[method-assign]
        lambda name, _wait: bool(simulation.processes.pop(name))
    )
    assert run(simulation, Plan(stop=["a"])) == []


def test_what_exited_just_before_its_stop_and_came_back_is_stopped_again(clock: Clock) -> None:
    simulation = Simulation(clock, {"a": ("healthy", "RUNNING")})
    process, stop = simulation.processes["a"], simulation.stopProcess

    def too_late(name: str, _wait: bool) -> bool:
        if len(simulation.sent) == 1:
            process.become("EXITED")
            process.comes_back = True
        return stop(name, False)

    simulation.stopProcess = too_late  # type: ignore[method-assign]
    assert [program.state for program in run(simulation, Plan(stop=["a"]))] == ["STOPPED"]
    assert methods(simulation) == [("stopProcess", "a")] * 2


@pytest.mark.parametrize("times", [1, 3])
def test_a_program_that_is_started_again_while_its_group_is_replaced_is_stopped_again(
    clock: Clock, times: int
) -> None:
    simulation = Simulation(clock, {"a": ("healthy", "EXITED"), "b": ("healthy", "EXITED")})
    process = simulation.processes["a"]
    remove, left = simulation.removeProcessGroup, [times]

    def too_late(group: str) -> bool:
        if group == "a" and left[0]:
            left[0] -= 1
            process.become("RUNNING")
        return remove(group)

    simulation.removeProcessGroup = too_late  # type: ignore[method-assign]
    plan = plan_updated(Change([], ["a", "b"], []), observe(simulation).programs)
    assert plan.stop == []
    assert {program.state for program in run(simulation, plan)} == {"RUNNING"}
    assert methods(simulation).count(("addProcessGroup", "a")) == 1
    assert methods(simulation).count(("stopProcess", "a")) == times


def test_a_program_that_always_comes_back_is_named_in_the_end(clock: Clock) -> None:
    simulation = Simulation(clock, {"a": ("healthy", "EXITED")})
    remove = simulation.removeProcessGroup

    def too_late(group: str) -> bool:
        simulation.processes["a"].become("RUNNING")
        return remove(group)

    simulation.removeProcessGroup = too_late  # type: ignore[method-assign]
    with pytest.raises(JawsError, match="a: it is running again: another client has started it"):
        run(simulation, Plan(remove=["a"], add=["a"]))


def test_what_ended_by_itself_counts_as_stopped(clock: Clock) -> None:
    simulation = Simulation(clock, {"a": ("healthy", "RUNNING")})
    simulation.processes["a"].become("EXITED")
    assert [program.state for program in run(simulation, Plan(stop=["a"]))] == ["EXITED"]


def test_a_signal_to_what_has_just_ended_is_an_error(clock: Clock) -> None:
    simulation = Simulation(clock, {"a": ("healthy", "EXITED")})
    error = fails(simulation, Plan(signal=["a"]))
    assert "could not signal a" in str(error)
    assert "a: it is no longer running" in str(error)


def test_a_one_shot_program_may_end_with_any_of_its_exit_codes(clock: Clock) -> None:
    simulation = Simulation(clock, {"a": ("one_shot", "STOPPED")})
    info = simulation.getProcessInfo
    simulation.getAllProcessInfo = (  # type: ignore[method-assign]
        lambda: [dict(info("a"), exitstatus=3)]
    )
    assert fails(simulation, Plan(start=["a"])).details["failed_programs"] == ["a"]
    known = settings(simulation)
    known["a"] = known["a"]._replace(exitcodes=[0, 3])
    simulation.processes["a"].state = "STOPPED"
    assert run(simulation, Plan(start=["a"]), known=known)[0].state == "EXITED"


@pytest.mark.parametrize("status", [0, 1, 127])
def test_a_program_without_startsecs_has_started_however_it_ends(clock: Clock, status: int) -> None:
    simulation = Simulation(clock, {"a": ("one_shot", "STOPPED")})
    simulation.startsecs = {"a": 0}
    info = simulation.getProcessInfo
    simulation.getAllProcessInfo = (  # type: ignore[method-assign]
        lambda: [dict(info("a"), exitstatus=status)]
    )
    for plan in (Plan(start=["a"]), Plan(await_running=["a"])):
        assert [program.state for program in run(simulation, plan)] == ["EXITED"]


def test_programs_without_startsecs_that_end_over_and_over_have_started(clock: Clock) -> None:
    simulation = Simulation(clock, {f"p{n}": ("one_shot", "STOPPED") for n in range(9)})
    simulation.startsecs = dict.fromkeys(simulation.processes, 0)
    circle = ["STARTING", "RUNNING", "EXITED"]
    for number, process in enumerate(simulation.processes.values()):
        process.turns = number  # type: ignore[attr-defined]

    def turn(process: Any) -> None:
        process.turns += 1
        process.become(circle[process.turns % 3])

    for process in simulation.processes.values():
        process.turn = functools.partial(turn, process)  # type: ignore[method-assign]
    begun = clock.now
    run(simulation, Plan(start=list(simulation.processes)))
    assert clock.now - begun < 5


# --- programs that are expected to end ----------------------------------------------------------


def one_shot(clock: Clock, state: str = "STOPPED", status: int = 0) -> Simulation:
    """Return a migration, which takes a while, and the program that waits for it."""
    simulation = Simulation(clock, {"m": ("one_shot", state), "serve": ("healthy", "STOPPED")})
    simulation.priorities, simulation.startsecs = {"m": 1, "serve": 2}, {"m": 0}
    found = Process.info
    migration = simulation.processes["m"]
    migration.info = (  # type: ignore[method-assign]
        lambda: dict(found(migration), exitstatus=status)
    )
    return simulation


MIGRATE = Plan(start=["m", "serve"], await_ended=["m"])


def test_what_comes_after_a_one_shot_program_starts_when_that_has_ended(clock: Clock) -> None:
    simulation = one_shot(clock)
    become = simulation.processes["m"].become
    at: dict[str, float] = {}

    def noted(state: str) -> None:
        at[state] = clock.now
        become(state)

    simulation.processes["m"].become = noted  # type: ignore[method-assign]
    assert {one.name: one.state for one in run(simulation, MIGRATE)} == {
        "m": "EXITED",
        "serve": "RUNNING",
    }
    assert at["EXITED"] < simulation.processes["serve"].started


def test_nothing_starts_after_a_one_shot_program_that_failed(clock: Clock) -> None:
    simulation = one_shot(clock, status=4)
    error = fails(simulation, MIGRATE)
    assert error.reason == "program_failed"
    assert error.details["failed_programs"] == ["m", "serve"]
    assert "could not finish m " in str(error)
    assert "m is EXITED, exit status 4" in str(error)
    assert "serve: it waits for m, and was not started" in str(error)
    assert simulation.states() == {"m": "EXITED", "serve": "STOPPED"}


def test_nothing_is_added_after_a_one_shot_program_that_failed(clock: Clock) -> None:
    simulation = one_shot(clock, status=4)
    crashed = simulation.processes.pop("m")
    del simulation.processes["serve"]
    add = simulation.addProcessGroup

    def adding(group: str) -> bool:
        add(group)
        crashed.is_new = True
        simulation.processes["m"] = crashed
        return True

    simulation.addProcessGroup = adding  # type: ignore[method-assign]
    error = fails(simulation, Plan(add=["m", "serve"], await_ended=["m"]))
    assert error.details["failed_programs"] == ["m", "serve"]
    assert simulation.states() == {"m": "EXITED"}


def test_a_one_shot_program_that_runs_already_is_awaited_before_what_comes_after(
    clock: Clock,
) -> None:
    simulation = one_shot(clock, state="RUNNING")
    migration, took = simulation.processes["m"], clock.now + 20
    turn = migration.turn
    migration.turn = (  # type: ignore[method-assign]
        lambda: turn() if clock.now < took else migration.become("EXITED")
    )
    run(simulation, Plan(start=["serve"], await_ended=["m"]))
    assert simulation.processes["serve"].started >= took
    assert methods(simulation) == [("startProcess", "serve")]


def test_a_one_shot_program_that_does_not_end_in_time_has_failed(clock: Clock) -> None:
    simulation = Simulation(clock, {"m": ("healthy", "STOPPED")})
    error = fails(simulation, Plan(start=["m"], await_ended=["m"]))
    assert error.reason == "timed_out"
    assert "could not finish within" in str(error)


def test_a_one_shot_program_that_is_started_again_has_failed(clock: Clock) -> None:
    simulation = one_shot(clock)
    migration = simulation.processes["m"]
    pids = iter(range(100, 100000))

    def flap() -> None:
        migration.become("EXITED" if migration.state == "RUNNING" else "RUNNING")
        migration.tries = next(pids)

    migration.turn = flap  # type: ignore[method-assign]
    migration.info = (  # type: ignore[method-assign]
        lambda: dict(Process.info(migration), pid=migration.tries)
    )
    error = fails(simulation, MIGRATE)
    assert "It ended and was started again: it needs autorestart=false." in str(error)


def test_a_one_shot_program_that_ends_too_early_is_refused_with_the_right_settings(
    clock: Clock,
) -> None:
    simulation = Simulation(clock, {"m": ("crash", "STOPPED")})
    error = fails(simulation, Plan(start=["m"], await_ended=["m"]))
    assert "What may end at once needs startsecs=0." in str(error)


def test_without_waiting_nothing_waits_for_an_end(clock: Clock) -> None:
    simulation = one_shot(clock, status=4)
    run(simulation, MIGRATE, wait=False)
    assert methods(simulation) == [("startProcess", "m"), ("startProcess", "serve")]


def test_a_program_that_the_task_does_not_name_is_tried_once_and_does_not_delay_the_others(
    clock: Clock,
) -> None:
    simulation = Simulation(clock, {"a": ("crash", "STOPPED"), "b": ("healthy", "STOPPED")})
    simulation.priorities = {"a": 1, "b": 2}
    with pytest.raises(JawsError, match="a is BACKOFF"):
        run(simulation, Plan(start=["a", "b"]), exits=1, goes_on=True)
    assert clock.now < 1003  # giving a up takes 1 + 2 + 3 seconds
    assert simulation.states()["b"] == "RUNNING"


def test_a_controller_forgets_the_errors_of_its_last_plan(clock: Clock) -> None:
    simulation = Simulation(clock, {"a": ("missing", "STOPPED"), "b": ("healthy", "STOPPED")})
    controller = Controller(simulation, 60)
    with pytest.raises(JawsError):
        controller.execute(Plan(start=["a"]))
    assert controller.execute(Plan(start=["b"]))


def test_a_supervisord_of_version_3_reports_fewer_settings(clock: Clock) -> None:
    simulation = Simulation(clock, {"a": ("healthy", "STOPPED")})
    told = simulation.getAllConfigInfo()[0]
    few = {key: told[key] for key in ("name", "group", "autostart", "group_prio", "process_prio")}
    simulation.getAllConfigInfo = lambda: [few]  # type: ignore[method-assign]
    assert settings(simulation)["a"].startretries == 3


# --- what is reported -------------------------------------------------------------------------


def test_an_exit_status_is_not_reported_for_a_name_that_two_groups_share(clock: Clock) -> None:
    simulation = Simulation(clock, {})
    simulation.log = "exited: p (exit status 3; not expected)"
    mine, other = Program("g:p", "g", "FATAL"), Program("h:p", "h", "RUNNING")
    assert with_exit_status(simulation, [mine], [mine])[0].exit_status == 3
    assert with_exit_status(simulation, [mine], [mine, other])[0].exit_status is None


def test_the_last_exit_in_the_log_counts_and_a_signal_is_minus_one(clock: Clock) -> None:
    simulation = Simulation(clock, {})
    simulation.log = (
        "exited: p (exit status 3; not expected)\n"
        "exited: p (terminated by SIGKILL (core dumped); not expected)\n"
        "exited: q (exit status 0; expected)\n"
    )
    told = with_exit_status(simulation, *[[Program(n, n, "FATAL") for n in "pq"]] * 2)
    assert [program.exit_status for program in told] == [-1, None]
    assert describe(told[0]) == "p is FATAL, ended by a signal"


def test_a_daemon_without_a_log_leaves_the_exit_status_unknown(clock: Clock) -> None:
    simulation = Simulation(clock, {})

    def no_file(_offset: int, _length: int) -> str:
        raise xmlrpc.client.Fault(20, "NO_FILE")

    simulation.readLog = no_file  # type: ignore[method-assign]
    fatal = [Program("a", "a", "FATAL")]
    assert with_exit_status(simulation, fatal, fatal) == fatal


def test_the_logs_of_a_few_are_shown_and_of_the_rest_their_states(
    clock: Clock, tmp_path: Path
) -> None:
    log = tmp_path / "log"
    log.write_text("why\n")
    simulation = Simulation(clock, {f"p{n}": ("crash", "STOPPED") for n in range(50)})
    info = Process.info

    def with_log(process: Process) -> dict[str, Any]:
        return dict(info(process), stdout_logfile=str(log))

    for process in simulation.processes.values():
        process.info = functools.partial(with_log, process)  # type: ignore[method-assign]
    text = str(fails(simulation, Plan(start=list(simulation.processes))))
    assert text.count("    why") == 1
    assert text.count("its log says the same as that of p0") == diagnosis.MOST_LOGS - 1
    assert text.count(" is FATAL") == 50


@pytest.mark.parametrize(
    ("written", "shown"),
    [
        ("2026-11-30 11:59:50 old start\n2026-11-30 12:00:02 why\n", ["2026-11-30 12:00:02 why"]),
        ("2026-11-30 11:59:50 a\nTraceback\n", ["2026-11-30 11:59:50 a", "Traceback"]),
        ("sh: 11: no\nexit\nsh: 12: no\nexit\n", ["sh: 12: no", "exit"]),
        ("", ["(empty)"]),
    ],
)
def test_only_what_was_logged_since_the_start_is_shown(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, written: str, shown: list[str]
) -> None:
    monkeypatch.setenv("TZ", "UTC")
    time.tzset()
    log = tmp_path / "log"
    log.write_text("without a time, from the release before\n")
    program = Program("a", "a", "BACKOFF", start_time=1796040000, log_file=str(log))  # 12:00:00
    diagnosis.mark([program])
    with log.open("a") as stream:
        stream.write(written)
    assert [line.strip() for line in describe(program).splitlines()[2:]] == shown


def test_a_log_that_was_rotated_is_read_from_its_beginning(tmp_path: Path) -> None:
    log = tmp_path / "log"
    log.write_text("long\n" * 99)
    program = Program("a", "a", "FATAL", log_file=str(log))
    diagnosis.mark([program])
    log.write_text("why\n")
    assert describe(program).splitlines()[2:] == ["    why"]


def test_an_error_says_what_failed_where_and_what_to_do() -> None:
    error = failure("start", {"a": "a is FATAL", "b": "b is FATAL"}, where="unix:///s")
    assert str(error) == (
        "could not start a, b (supervisord at unix:///s).\na is FATAL\nb is FATAL\n"
        "Correct the cause, then run this again."
    )


COMPLAINTS = [
    (
        f"CANT_REREAD: Format string 'x%{KEY}' for 'unix_http_server.password' is badly formatted: "
        "unsupported format character",
        "unix_http_server.password cannot be expanded: write a percent sign as %%",
    ),
    (
        f"CANT_REREAD: Format string '%({KEY})s' for 'program:a.command' contains names "
        f"('{KEY}') which cannot be expanded. Available names: ENV_PATH, here",
        "program:a.command cannot be expanded: write a percent sign as %%",
    ),
    (
        f"CANT_REREAD: Unexpected end of key/value pairs in value 'A=\"{KEY}\",B' in section "
        "'program:a' (file: '/c')",
        "program:a: Unexpected end of key/value pairs in value (not shown)",
    ),
    (
        f"CANT_REREAD: Source contains parsing errors: '/c'\n\t[line 12]: '{KEY}\\n'",
        "line 12: Source contains parsing errors: (not shown)",
    ),
    (
        f"File contains no section headers.\nfile: '/c', line: 1\n'{KEY}\\n'",
        "line 1: File contains no section headers. file: (not shown)",
    ),
    ("CANT_REREAD: could not find config file /c", "could not find config file /c"),
    (
        "CANT_REREAD: invalid literal for int() with base 10: '50m' in section 'program:a' "
        "(file: '/c')",
        "program:a: invalid literal for int() with base 10: '50m'",
    ),
    (
        "CANT_REREAD: invalid 'autorestart' value 'sometimes' in section 'program:a' (file: '/c')",
        "program:a: invalid 'autorestart' value 'sometimes'",
    ),
    ("bad logging level name 'verbose'", "bad logging level name 'verbose'"),
    (
        'CANT_REREAD: [eventlistener:a] section requires an "events" line',
        '[eventlistener:a] section requires an "events" line',
    ),
]


@pytest.mark.parametrize(("text", "told"), COMPLAINTS)
def test_a_complaint_about_a_configuration_is_reported_without_its_values(
    text: str, told: str
) -> None:
    assert complaint(text) == told


@given(st.text("'\"\\ab%() \n", min_size=1), st.text("'\"\\b%() \n"))
def test_no_value_between_quotes_gets_through(start: str, end: str) -> None:
    value = start + KEY + end
    for text in (f"not a valid boolean value: {value!r}", f"in value '{value}' in section 'x'"):
        assert KEY not in complaint(text)


def test_a_configuration_that_supervisord_cannot_read_changes_nothing(clock: Clock) -> None:
    simulation = Simulation(clock, {})

    def refuse() -> None:
        raise xmlrpc.client.Fault(92, COMPLAINTS[0][0])

    simulation.reloadConfig = refuse  # type: ignore[attr-defined]
    with pytest.raises(JawsError, match=r"unix:///s cannot read.*Nothing was changed") as caught:
        observe(simulation, reread=True)
    assert caught.value.reason == "broken_conf"
    assert KEY not in str(caught.value)


def test_any_other_refusal_is_reported_without_a_secret_too(clock: Clock) -> None:
    simulation = Simulation(clock, {})

    def refuse() -> None:
        raise xmlrpc.client.Fault(30, f"FAILED: <class 'ParsingError'>:[line 3]: '{KEY}'")

    simulation.reloadConfig = refuse  # type: ignore[attr-defined]
    with pytest.raises(JawsError, match="line 3") as caught:
        observe(simulation, reread=True)
    assert caught.value.reason == "refused_by_supervisord"
    assert KEY not in str(caught.value)


# --- logs -------------------------------------------------------------------------------------


def test_a_log_that_cannot_be_read_and_an_empty_one_are_distinguished(tmp_path: Path) -> None:
    (tmp_path / "empty").touch()
    told = describe(
        Program(
            "a",
            "a",
            "EXITED",
            exit_status=2,
            log_file=f"{tmp_path}/empty",
            error_log_file=f"{tmp_path}/none",
        )
    )
    assert told.splitlines() == [
        "a is EXITED, exit status 2",
        f"  last lines of {tmp_path}/empty:",
        "    (empty)",
        f"  {tmp_path}/none cannot be read by this user",
    ]
