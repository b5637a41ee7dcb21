# Copyright: (c) 2026, The jgi.jaws engineers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Carry out a plan at one supervisord with few round trips, however many programs there are."""

from __future__ import annotations

import time
import xmlrpc.client
from typing import Any, Callable, Sequence

from ..errors import JawsError, quoted
from .client import (
    ALREADY_ADDED,
    ALREADY_STARTED,
    BAD_NAME,
    NOT_RUNNING,
    SPAWN_ERROR,
    STILL_RUNNING,
    Supervisor,
)
from .diagnosis import described, ended_by_request, failure, with_exit_status
from .observation import observe, settings
from .planning import Plan, phases
from .programs import ALIVE, Program, Setting, from_info, group_of, is_down, process_of

UNKNOWN_STOPWAITSECS = 600  # for a program that is gone from disk: supervisord does not report it
MOST_BACKOFF = 180  # how many seconds to wait for a program that is started again and again
MOST_REVIVALS = 5  # how often a program may come back when it is to be removed
VERBS = {
    "startProcess": "start",
    "stopProcess": "stop",
    "signalProcess": "signal",
    "addProcessGroup": "add",
    "removeProcessGroup": "remove",
}
# Another client was faster, so there is nothing left to do. Or it is too early to say: a program
# that ends at once is a SPAWN_ERROR, but also in BACKOFF, to be started again.
IGNORED = {
    "startProcess": (ALREADY_STARTED, SPAWN_ERROR),
    "stopProcess": (NOT_RUNNING, BAD_NAME),
    "addProcessGroup": (ALREADY_ADDED,),
    "removeProcessGroup": (BAD_NAME,),
}
FAULTS = {
    BAD_NAME: "it no longer exists: another client has removed it",
    NOT_RUNNING: "it is no longer running",
    STILL_RUNNING: "it is running again: another client has started it",
}

Test = Callable[[Program], bool]


class Controller:
    """Carries out a plan: in order of priority, all programs of one priority in parallel.

    :param timeout: seconds, in addition to what the programs' own startsecs, startretries and
        stopwaitsecs allow.
    :param known: the settings, if the caller has asked for them already.
    :param exits: for trial runs that the caller rolls back. A program fails once it has exited this
        often before startsecs, and later priorities are not started. If None, supervisord's
        startretries decides, and a failure does not stop other programs from starting.
    :param goes_on: whether later priorities are started in such a trial too.
    :param after_stop: is called when everything that had to stop has stopped.
    :param strict: whether what comes after a program that was not started is not started either,
        and is named.
    """

    def __init__(
        self,
        client: Supervisor,
        timeout: float,
        wait: bool = True,
        known: dict[str, Setting] | None = None,
        exits: int | None = None,
        goes_on: bool = False,
        after_stop: Callable[[], None] | None = None,
        strict: bool = False,
    ) -> None:
        self.client = client
        self.timeout = timeout
        self.wait = wait
        self.exits = exits
        self._halts = exits is not None and not goes_on
        self._after_stop = after_stop
        self._strict = strict
        self._settings = known
        self._seen: list[Program] | None = None
        self._errors: list[JawsError] = []
        self._failed: list[str] = []
        self._ending: frozenset[str] = frozenset()
        self._unfinished: list[str] = []

    def execute(self, plan: Plan, signal: str = "") -> list[Program]:
        """Carry out the plan, and return the programs after it; the error comes at the end.

        What comes after a program that was to end, and did not end well, is not started.

        :param signal: a name or number, for the programs in C(plan.signal).
        :raises JawsError: a program failed (program_failed) or did not settle in time (timed_out).
        """
        self._errors, self._failed, self._unfinished = [], [], []
        self._ending = frozenset(plan.await_ended)
        stuck = self._stop(plan)
        if self._after_stop and plan.stop:
            self._after_stop()
        kept = self._remove(plan.remove, frozenset(group_of(name) for name in stuck))
        self._add([group for group in plan.add if group not in kept])
        self._send("signalProcess", plan.signal, signal)
        start = [name for name in plan.start if name not in stuck and group_of(name) not in kept]
        there = frozenset(plan.start)
        ending = [n for n in plan.await_ended if n not in there and group_of(n) not in plan.add]
        self._start(start, ending)
        if self.wait:
            self._await_running(plan.await_running)
        self._raise_errors()
        return observe(self.client).programs if self._seen is None else self._seen

    @property
    def settings(self) -> dict[str, Setting]:
        """The programs' settings, asked for when they are first needed: the answer is long."""
        if self._settings is None:
            self._settings = settings(self.client)
        return self._settings

    def _stop(self, plan: Plan) -> list[str]:
        """Stop programs, highest priority number first, and return those that did not stop.

        Each priority waits for the one before it to be down.
        """
        must_wait = self.wait or bool(plan.remove or plan.start)
        stuck: list[str] = []
        for batch in self._phases(plan.stop, reverse=True):
            failed = self._send("stopProcess", batch, False)
            if must_wait:
                failed += self._await_stopped([name for name in batch if name not in failed], plan)
            stuck += failed
        if must_wait:
            stuck += self._await_stopped(plan.await_stopped, plan)
        return stuck

    def _remove(self, groups: Sequence[str], stuck: frozenset[str]) -> list[str]:
        """Remove the groups that have stopped; return those that stay."""
        stay = [group for group in groups if group in stuck]
        due = [group for group in groups if group not in stuck]
        for _attempt in range(MOST_REVIVALS):
            due = self._remove_stopped(due)
            late = {group_of(name) for name in self._stop_revived(due)}
            stay += [group for group in due if group in late]
            due = [group for group in due if group not in late]
            if not due:
                return stay
        return stay + self._send("removeProcessGroup", due)

    def _remove_stopped(self, groups: Sequence[str]) -> list[str]:
        """Remove groups, and return those that supervisord does not remove."""
        if not groups:
            return []
        self._seen = None
        answers = self.client.batch([("supervisor.removeProcessGroup", name) for name in groups])
        return [
            group
            for group, answer in zip(groups, answers)
            if isinstance(answer, xmlrpc.client.Fault) and answer.faultCode != BAD_NAME
        ]

    def _stop_revived(self, groups: Sequence[str]) -> list[str]:
        """Stop what had just exited when it was to be stopped, and has been started again.

        The names of those that did not stop are returned.
        """
        if not groups:
            return []
        up = [one for one in self._look().values() if one.group in groups and not is_down(one)]
        self._send("stopProcess", [one.name for one in up if one.state in ALIVE], False)
        return self._await_stopped([one.name for one in up], Plan(remove=list(groups)))

    def _add(self, groups: Sequence[str]) -> None:
        """Make groups active, lowest priority number first; those with autostart start."""
        if not groups:
            return
        members: dict[str, list[str]] = {group: [] for group in groups}
        order = {}
        for name, setting in self.settings.items():
            order[setting.group] = (setting.priority[0], 0)
            if setting.autostart and setting.group in members:
                members[setting.group].append(name)
        for batch in phases(groups, order):
            if self._passes_over([name for group in batch for name in members[group]]):
                continue
            failed = self._send("addProcessGroup", batch)
            if self.wait:
                self._await_running(
                    [name for group in batch if group not in failed for name in members[group]]
                )

    def _start(self, names: Sequence[str], ending: Sequence[str]) -> None:
        """Start, lowest priority number first, each priority once the one before it runs.

        :param ending: what runs already and is to end, before any later priority.
        """
        running = frozenset(ending)
        for batch in self._phases([*names, *ending]):
            new = [name for name in batch if name not in running]
            if self._passes_over(new):
                continue
            failed = self._send("startProcess", new, False)
            self._unfinished += failed if self._strict else []
            if self.wait:
                self._await_running([name for name in batch if name not in failed])

    def _passes_over(self, names: Sequence[str]) -> bool:
        """Whether these are not to be started any more, because something before them failed."""
        if self._unfinished:
            why = f"it waits for {', '.join(self._unfinished)}, and was not started"
            told = {name: f"{name}: {why}" for name in names}
            self._note("start", told, self._errors[-1].reason)
        return bool(self._unfinished) or (self._halts and bool(self._errors))

    def _phases(self, names: Sequence[str], reverse: bool = False) -> list[list[str]]:
        if len(names) < 2 or not self.client.endpoint.ordered:
            return [list(names)] if names else []
        priorities = {name: setting.priority for name, setting in self.settings.items()}
        return phases(names, priorities, reverse)

    def _send(self, method: str, names: Sequence[str], *params: Any) -> list[str]:
        """Call the method for every name in one round trip; return the names that were refused."""
        if not names:
            return []
        self._seen = None
        answers = self.client.batch([("supervisor." + method, name, *params) for name in names])
        refused = {
            name: f"{name}: {_refusal(answer)}"
            for name, answer in zip(names, answers)
            if isinstance(answer, xmlrpc.client.Fault)
            and answer.faultCode not in IGNORED.get(method, ())
        }
        self._note(VERBS[method], refused)
        return list(refused)

    def _note(self, verb: str, told: dict[str, str], reason: str = "program_failed") -> None:
        if told:
            self._failed += list(told)
            self._errors.append(failure(verb, told, reason, self.client.endpoint.address))

    def _raise_errors(self) -> None:
        if self._errors:
            failed = [error.reason for error in self._errors if error.reason != "timed_out"]
            raise JawsError(
                "\n".join(str(error) for error in self._errors),
                failed[0] if failed else "timed_out",
                failed_programs=sorted(set(self._failed)),
            )

    def _await_running(self, names: Sequence[str]) -> None:
        lasting = [name for name in names if name not in self._ending]
        test = _is_started(self.exits, self._is_instant)
        down = self._await_started(lasting, "start", test, self._is_up)
        self._unfinished += down if self._strict else []
        ends = _Ends()
        self._unfinished += self._await_started(
            [name for name in names if name in self._ending],
            "finish",
            ends.is_over,
            lambda program: program.name not in ends.restarted and self._has_done(program),
            ends.hint,
        )

    def _await_started(
        self,
        names: Sequence[str],
        verb: str,
        done: Test,
        is_good: Test,
        hint: Callable[[Program], str] = lambda _program: "",
    ) -> list[str]:
        """Wait for a verdict about what was started, and return what did not do well."""

        def limit() -> int:
            known = [self.settings[name] for name in names if name in self.settings]
            return max((_until_fatal(setting) for setting in known), default=0)

        found, late = self._await(names, done, verb, limit)
        told = {name: f"{name}: {FAULTS[BAD_NAME]}" for name in names if name not in found}
        settled = [found[name] for name in names if name in found and name not in late]
        bad = [program for program in settled if not is_good(program)]
        described = self._described(bad)
        asked = self._ended_by_others(bad)
        told.update({one.name: described[one.name] + hint(one) for one in bad if one not in asked})
        self._note(verb, told)
        others = {program.name: described[program.name] for program in asked}
        self._note(verb, others, "stopped_by_others")
        return late + list(told) + list(others)

    def _ended_by_others(self, bad: Sequence[Program]) -> list[Program]:
        """Return what did not fail in a trial, but was stopped or restarted by another client."""
        if self.exits is None or not bad:
            return []
        asked = ended_by_request(self.client)
        return [
            program
            for program in bad
            if program.state in ("STOPPED", "STOPPING")
            or (program.state == "STARTING" and process_of(program.name) in asked)
        ]

    def _await_stopped(self, names: Sequence[str], plan: Plan) -> list[str]:
        def limit() -> int:
            known = [self.settings[name].stopwaitsecs for name in names if name in self.settings]
            if any(group_of(name) in plan.remove for name in names):
                known.append(UNKNOWN_STOPWAITSECS)
            return max(known, default=0)

        return self._await(names, is_down, "stop", limit)[1]

    def _await(
        self, names: Sequence[str], done: Test, verb: str, limit: Callable[[], int]
    ) -> tuple[dict[str, Program], list[str]]:
        """Return the programs when all are done or time is up, and the names of the late ones.

        :param limit: how many seconds the programs' settings allow beyond the timeout.
        """
        if not names:
            return {}, []
        moved = _is_not_stopping if verb == "stop" else done
        started, seconds, extended = time.monotonic(), self.timeout, False
        while True:
            # Poll only the last program: polling a thousand takes a second. In a trial poll all of
            # them, because exits are counted as they are seen.
            watched = names[-1:] if self.exits is None else names
            asked = self._await_these(watched, moved, started + seconds)
            found = self._look()
            late = [name for name in names if name in found and not done(found[name])]
            if late and asked > started + seconds and not extended:
                seconds, extended = seconds + limit(), True
            if not late or asked > started + seconds:
                break
            self._stop_again([found[name] for name in late if verb == "stop"])
            names = sorted(set(names) - set(late)) + late
            # Pause as long as the answer took: a poller must not use up the daemon's core.
            time.sleep(min(time.monotonic() - asked, 1))
        described = self._described([found[name] for name in late])
        self._note(f"{verb} within {seconds:g} s", described, reason="timed_out")
        return found, late

    def _await_these(self, names: Sequence[str], done: Test, deadline: float) -> float:
        """Wait for some programs, or until time is up; return the time (monotonic).

        supervisord sends 4 KiB in a turn of its loop, which takes milliseconds if it has a
        thousand programs.
        """
        started = time.monotonic()
        while True:
            answers = self.client.batch([("supervisor.getProcessInfo", name) for name in names])
            now = time.monotonic()
            over = [
                isinstance(answer, xmlrpc.client.Fault) or done(from_info(answer))
                for answer in answers
            ]
            if all(over) or now > deadline:
                return now
            time.sleep(min(max(0.02, (now - started) / 20), 1))

    def _stop_again(self, programs: Sequence[Program]) -> None:
        """Stop what had just exited when the stop was sent, and has been started again."""
        self._send(
            "stopProcess", [program.name for program in programs if program.state in ALIVE], False
        )

    def _look(self) -> dict[str, Program]:
        self._seen = observe(self.client).programs
        return {program.name: program for program in self._seen}

    def _described(self, programs: Sequence[Program]) -> dict[str, str]:
        return described(with_exit_status(self.client, programs, self._seen or programs))

    def _is_up(self, program: Program) -> bool:
        if program.state == "RUNNING":
            return True
        ran = program.state in ("STARTING", "EXITED") and self._is_instant(program.name)
        return ran or self._has_done(program)

    def _is_instant(self, name: str) -> bool:
        """Whether it is RUNNING once it is spawned (startsecs=0), whatever becomes of it then."""
        setting = self.settings.get(name)
        return setting is not None and setting.startsecs == 0

    def _has_done(self, program: Program) -> bool:
        """Whether it has ended as it should."""
        setting = self.settings.get(program.name)
        expected = setting.exitcodes if setting else (0,)
        return program.state == "EXITED" and program.exit_status in expected


def _refusal(fault: xmlrpc.client.Fault) -> str:
    """Return supervisord's reason without the name of its code; the last line of a traceback."""
    text = quoted(fault.faultString.split(": ", 1)[-1].strip())
    return FAULTS.get(fault.faultCode) or text.splitlines()[-1]


def _until_fatal(setting: Setting) -> int:
    """Return the seconds until supervisord gives up: startsecs each time, 1, 2, 3… s between."""
    retries = setting.startretries
    return setting.startsecs + min(
        retries * setting.startsecs + retries * (retries + 1) // 2, MOST_BACKOFF
    )


def _is_final(program: Program) -> bool:
    # supervisord spawns the programs of a new group one turn of its loop after adding it.
    not_yet = program.state == "STOPPED" and program.start_time is None
    return program.state not in ("STARTING", "BACKOFF", "STOPPING") and not not_yet


def _is_started(exits: int | None, is_instant: Callable[[str], bool]) -> Test:
    """Return a test whether a start is over, with success or not; it counts across calls."""
    spawned: dict[str, set[int | None]] = {}
    ran: set[str] = set()

    def test(program: Program) -> bool:
        name = program.name
        ended = spawned.setdefault(name, set())
        if program.state == "BACKOFF":
            ended.add(program.start_time)
        if program.state == "STARTING" and name in ran:  # it ended, and is started over and over
            return is_instant(name)
        if program.state in ("RUNNING", "EXITED"):
            ran.add(name)
        return _is_final(program) or (exits is not None and len(ended) >= exits)

    return test


class _Ends:
    """Decides whether programs that are expected to end are over, from one look to the next."""

    def __init__(self) -> None:
        self._pids: dict[str, set[int | None]] = {}
        self._exits: dict[str, int] = {}
        self.restarted: set[str] = set()

    def is_over(self, program: Program) -> bool:
        """Whether it will not change any more; counts this look.

        EXITED counts when it is seen twice, because supervisord may start the program again.
        """
        name = program.name
        has_exited = program.state == "EXITED"
        self._exits[name] = self._exits.get(name, 0) + 1 if has_exited else 0
        if program.state == "RUNNING":
            self._pids.setdefault(name, set()).add(program.pid)
            if len(self._pids[name]) > 1:
                self.restarted.add(name)
        if has_exited or program.state == "RUNNING":
            return name in self.restarted or self._exits[name] > 1
        return _is_final(program)

    def hint(self, program: Program) -> str:
        """Return what its configuration needs, if that is why it has not ended well."""
        if program.name in self.restarted:
            return "\n  It ended and was started again: it needs autorestart=false."
        if program.state == "FATAL":
            return "\n  What may end at once needs startsecs=0."
        return ""


def _is_not_stopping(program: Program) -> bool:
    return is_down(program) or program.state in ALIVE
