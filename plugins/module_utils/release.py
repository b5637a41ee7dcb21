# Copyright: (c) 2026, The jgi.jaws engineers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The core of the release module: publish, switch, apply, verify, and go back on failure."""

from __future__ import annotations

import os
import time
from contextlib import contextmanager
from functools import cached_property
from typing import Any, Dict, Iterator, Sequence

from .errors import JawsError
from .releases import commands, health, history, proof, retention
from .releases.convergence import Applied, Wish, apply, dead, drop, own_files
from .releases.differences import actions
from .releases.store import Links, Record, Store, compared, keep_secrets, new_id, planned
from .releases.verification import Verification, lasting
from .releases.watch import Watch
from .supervisor import daemon_log
from .supervisor.client import Supervisor
from .supervisor.conf import ConfText, differing, marked, redact
from .supervisor.controller import Controller
from .supervisor.daemon import Daemon
from .supervisor.endpoint import SupervisordConf
from .supervisor.installation import is_of_another_installation
from .supervisor.leftovers import Leftovers
from .supervisor.observation import Observation, observe_release, settings
from .supervisor.parser import validate_text
from .supervisor.planning import Plan, plan_stopped
from .supervisor.programs import Change, Program, namespec
from .supervisor.running import Instance

Params = Dict[str, Any]

# A program of a new release has failed if it has ended before startsecs this often. Once may mean
# that a port is not free yet; using up all startretries would delay the return to the old release.
EXITS = 2

# What makes a release another one, besides its programs.
INPUTS = ("links", "health", "holds", "one_shot", "uses", "files")

# What is known about a deploy.
ABOUT = ("author", "ci_job", "commit", "pipeline", "comment")

# The failures that the release itself causes; a supervisord that went away is not one of them.
ITS_FAULT = ("program_failed", "timed_out", "unstable", "unhealthy")


def manage(params: Params, check_mode: bool) -> dict[str, Any]:
    """Bring one instance's release to C(params.state); see the release module for the options.

    :raises JawsError: as the module's documentation lists under C(reason).
    """
    store = Store(params["directory"], params["config"], params["group"])
    result: dict[str, Any] = STATES[params["state"]](store, params).run(check_mode)
    return result


def validate(store: Store, text: str, python: str) -> list[str]:
    """Check the text of a supervisord.conf with Supervisor's own parser; return its programs."""
    found = validate_text(store.config, text, python)
    return [namespec(program.group, program.name) for program in found]


def foreseen(store: Store, python: str, before: str, after: str) -> dict[str, Any]:
    """Return what a switch would do to each program, and whether supervisord is outdated."""
    try:
        with Supervisor(SupervisordConf(store.config).endpoint) as client:
            seen = observe_release(client, reread=before == after)
            due = due_actions(client, seen, before, after)
            return dict(actions=due, outdated=is_outdated(client, python))
    except JawsError as error:
        if error.reason != "down":  # in check mode nothing has started it
            raise
    return dict(actions=actions(before, after, [], [], Change([], [], [])))


def is_outdated(client: Supervisor, python: str) -> bool:
    """Whether supervisord runs from an older installation than the one of its Python."""
    return bool(is_of_another_installation(client.call("supervisor.getPID"), python))


def due_actions(
    client: Supervisor, seen: Observation, before: str, after: str
) -> list[dict[str, Any]]:
    """Return what a switch does to each program."""
    fallen = {program.group for program in dead(seen.programs, settings(client))}
    return actions(before, after, seen.programs, fallen, seen.change)


class Command:
    """Brings one instance's release to a state."""

    def __init__(self, store: Store, params: Params) -> None:
        self.store = store
        self.params = params


class Preparation(Command):
    """Publishes a release's files and validates its configuration; what runs is untouched."""

    def __init__(self, store: Store, params: Params) -> None:
        super().__init__(store, params)
        self.plan = params["plan"]
        health.refuse_wrong(self.plan["health"])
        self.files = planned(self.plan["files"])

    def run(self, check_mode: bool) -> dict[str, Any]:
        """Return the release's id and how it differs from the current one."""
        missing = [file for file in self.files if not self.store.is_published(*file)]
        bare = check_mode and not self.store.exists
        current = ConfText("", "") if bare else self.store.conf()
        known = [] if bare else self.store.all()
        now = None if bare else self.store.find(current.release)
        record = self._record(known)
        if not check_mode:
            self.store.sweep(os.path.dirname(file.path) for file in self.files)
            for file in missing:
                self.store.publish(*file)
            text = current.daemon + record["programs"]
            self._refuse_idle_checks(validate(self.store, text, self.params["python"]))
            self._refuse_unusable(current, record)
            self._save(record)
            self.store.touch(record["id"])
        paths = [file.path for file in missing]
        return dict(
            changed=bool(missing) or record["status"] == "new",
            id=record["id"],
            current=current.release,
            deploy=history.next_deploy(known, time.time()),
            differs=record["id"] != current.release,
            affected=differing(current.programs, record["programs"]),
            published=paths,
            changes=self._changes(now, record),
            **self._plan(current, record, check_mode and not bare),
            diff=dict(before="", after="".join(path + "\n" for path in paths)),
        )

    def _plan(self, current: ConfText, record: Record, is_asked: bool) -> dict[str, Any]:
        """Return what the switch would do. The next task cannot, because there is no record."""
        if not is_asked:
            return {}
        return foreseen(self.store, self.params["python"], current.programs, record["programs"])

    def _changes(self, now: Record | None, record: Record) -> list[dict[str, Any]]:
        texts = {file.path: file.content for file in self.files}
        return compared(now, record, texts, all(map(os.path.exists, record["uses"])))

    def _refuse_idle_checks(self, known: Sequence[str]) -> None:
        unknown = sorted(set(self.plan["health"]) - set(known))
        if unknown:
            raise JawsError(
                f"there are health checks for {', '.join(unknown)}, but the release has no such "
                f"program; it has {', '.join(known) or 'no programs at all'}. Correct the names.",
                reason="bad_option",
            )

    def _refuse_unusable(self, current: ConfText, record: Record) -> None:
        """Refuse a release with a program that would not even start, of those that differ."""
        keep_secrets(record)
        due = differing(current.programs, record["programs"])
        commands.refuse_unusable(self.plan["commands"], due)
        now = self.store.find(current.release)
        commands.refuse_failing(self.plan["commands"], due, now["uses"] if now else [])

    def _save(self, record: Record) -> None:
        """Write the record of a new release, or of one with an older description of commands."""
        status = "prepared" if record["status"] == "new" else record["status"]
        complete = dict(record, status=status, commands=self.plan["commands"])
        if complete != record:
            self.store.save(complete)

    def _record(self, known: Sequence[Record]) -> Record:
        """Return the record of the release with these inputs, a known one or a new one."""
        text = self.plan["programs"]
        inputs = {key: self.plan[key] for key in ("links", "health")}
        # Records of 0.2.0 have none.
        inputs.update({key: self.plan[key] for key in ("holds", "one_shot") if self.plan[key]})
        inputs["uses"] = self.params["uses"]
        inputs["files"] = [file.path for file in self.files]
        for record in known:
            same = all((record.get(key) or {}) == (inputs.get(key) or {}) for key in INPUTS)
            if same and record["programs"] == marked(record["id"], text):
                return record
        release = new_id([text, inputs])
        about = {key: self.params[key] for key in ("author", "ci_job", "packages")}
        programs = marked(release, text)
        created = int(time.time())
        return dict(inputs, **about, id=release, programs=programs, created=created, status="new")


class Switch:
    """Changes which release an instance runs, and knows which one it ran before.

    :param client: the client of the instance's supervisord; the caller holds the instance's lock.
    """

    def __init__(self, store: Store, params: Params, client: Supervisor) -> None:
        self.store = store
        self.params = params
        self.client = client

    @cached_property
    def deploy(self) -> int:
        """The number of the deploy that this switch is part of."""
        known = self.params["deploy"]
        return int(known or history.next_deploy(self.store.all(), time.time()))

    def switch(self, record: Record, before: ConfText, returning: bool) -> Record:
        """Switch, and return the record; it has what a rollback needs if this run is killed."""
        validate(self.store, before.daemon + record["programs"], self.params["python"])
        about = (record, self.store.find(before.release), before.programs, self.deploy)
        if returning:
            record = history.returned(*about, self.store.all())
        else:
            record = history.switched(*about)
        record = self.told(record, returning)
        self.store.save(record)
        self.store.switch(record["programs"])
        return record

    def told(self, record: Record, returning: bool) -> Record:
        """Return the record with who deploys or goes back, from what and why."""
        about = {key: self.params[key] for key in ABOUT if self.params[key]}
        about.update({"rollback": "true"} if returning else {})
        return history.told(record, self.deploy, about)

    def apply(self, record: Record, exits: int | None, everything: bool) -> list[str]:
        """Make supervisord run the release, except what it drops, and watch whether it is stable.

        :param exits: as in Controller, for a trial.
        :param everything: watch all running programs, not only those that were started.
        """
        returning = bool((record.get("replaced") or {}).get("returning"))
        applied = self._apply(record["programs"], not returning, exits=exits)
        held = applied.started
        if everything:  # a run that was killed did not see whether the release is stable
            running = observe_release(self.client).programs
            held = [program.name for program in running if program.state != "STOPPED"]
            # supervisord may have started a moment ago.
            starting = Plan(await_running=held)
            Controller(self.client, self.params["timeout"], exits=exits).execute(starting)
        if held:
            holds = record.get("holds") if exits is not None else None
            Watch(self.client, self.params).hold(held, record["health"], holds)
        return applied.touched

    def _apply(self, programs: str, runs: bool, **options: Any) -> Applied:
        record = self.store.find(ConfText("", programs).release) or {}
        files = own_files(programs, record.get("files", []))
        wish = Wish(record.get("one_shot") or [], runs, files, **options)
        return apply(self.client, self.params["timeout"], self.store.journal, wish)

    def goal(self, record: Record) -> tuple[ConfText, Links]:
        """Return what to go back to: what ran before, unless a killed run never verified that."""
        replaced = record.get("replaced")
        if replaced:
            before = ConfText("", replaced["programs"])
            known = self.store.find(before.release)
            if known is None or known["id"] == record["id"] or history.is_sound(known):
                return before, replaced["links"]
        last = history.last_good(self.store.all(), record["id"])
        return (ConfText("", last["programs"]), last["links"]) if last else (ConfText("", ""), {})

    def go_back(self, goal: ConfText, links: Links) -> list[str]:
        """Make supervisord run what it ran before; return the names of the programs touched."""
        self.store.switch(goal.programs)
        self.store.link(links)
        if os.path.exists(self.store.proof) and is_down(self.store):
            return []  # it has never run anything else
        return self._apply(goal.programs, runs=False, removing=True).touched


def is_down(store: Store) -> bool:
    """Whether no supervisord of the instance runs on this node."""
    return Daemon(store.config).status() is None


@contextmanager
def switching(store: Store, params: Params) -> Iterator[Switch]:
    """Lock the instance against other runs, and yield what can switch it."""
    daemon = Daemon(store.config, timeout=params["lock_timeout"])
    with Supervisor(daemon.endpoint) as client, daemon.alone(), proof.apart(store.proof, params):
        store.sweep()
        yield Switch(store, params, client)


class Activation(Command):
    """Switches one instance to a release, and back if the release fails."""

    returning = False  # whether the release keeps its place among the deploys

    def run(self, check_mode: bool) -> dict[str, Any]:
        """Return what was switched and restarted."""
        if not check_mode:
            with switching(self.store, self.params) as switch:
                leftovers = self._leftovers()
                if self.params["postpone"] and is_down(self.store):
                    return self._postpone(switch)
                leftovers.end()
                result = self._act(switch)
                leftovers.end()
                return leftovers.reported(result)
        if not (self.store.exists and self.store.find(self.params["id"])):
            # It was prepared in check mode.
            return dict(changed=True, id=self.params["id"], held=True)
        result, leftovers = self._predict(), self._leftovers()
        leftovers.predict()
        return leftovers.reported(result)

    def _leftovers(self) -> Leftovers:
        """Return what programs of any release have left running."""
        url = SupervisordConf(self.store.config).endpoint.url
        return Leftovers(Instance(self.store.config, url))

    def _wanted(self) -> Record:
        """Return the release to switch to."""
        return self.store.get(self.params["id"])

    def _predict(self) -> dict[str, Any]:
        record, before = self._wanted(), self.store.conf()
        due = before.programs != record["programs"]
        found = foreseen(self.store, self.params["python"], before.programs, record["programs"])
        affected = differing(before.programs, record["programs"])
        affected += [one["program"] for one in found["actions"] if one["action"] != "leave"]
        changed = due or bool(affected) or not self.store.linked(record["links"])
        return dict(self._result(record, before, changed, affected), **found)

    def _act(self, switch: Switch) -> dict[str, Any]:
        record, before = self._wanted(), self.store.conf()
        self._refuse_incomplete(record)
        due, since = before.programs != record["programs"], time.time()
        # This fails before any switch if supervisord does not answer or has lost a program.
        seen = observe_release(switch.client, reread=not due)
        plan_stopped(seen.programs)
        plan = due_actions(switch.client, seen, before.programs, record["programs"])
        proven = not due and history.state(record, before.release) == "good"
        record = self._made_current(switch, record, before, proven)
        try:
            linked = self.store.link(record["links"])
            exits = None if proven else EXITS
            touched = switch.apply(record, exits, everything=not (due or proven))
        except JawsError as error:
            if proven:  # this run has switched nothing
                raise
            raise self._reverted(switch, record, error) from error
        if not proven:
            self.store.save(history.held(record, switch.deploy, time.time()))
        touched += drop(switch.client, self.params["timeout"])
        found = self._result(record, before, due or linked or bool(touched), touched)
        programs = observe_release(switch.client).programs
        found.update(self._done(switch.client, plan, since), programs=_shown(programs))
        # What it did not restart, nobody has looked at.
        return dict(found, **self._prune(record["id"]) if due else _unhealthy(record, programs))

    def _postpone(self, switch: Switch) -> dict[str, Any]:
        """Make the release current for the next start of supervisord, which is to prove it."""
        record, before = self._wanted(), self.store.conf()
        self._refuse_incomplete(record)
        due = before.programs != record["programs"]
        proven = not due and history.state(record, before.release) == "good"
        record = self._made_current(switch, record, before, proven)
        linked = self.store.link(record["links"])
        if not proven:
            self.store.save(record)
            proof.leave(self.store.proof, self.params)
        found = self._result(record, before, due or linked, [])
        return dict(found, postponed=not proven)

    def _made_current(
        self, switch: Switch, record: Record, before: ConfText, proven: bool
    ) -> Record:
        """Switch to the release, unless it is the current one; return its record."""
        if before.programs != record["programs"]:
            self._refuse_unusable(record, before)
            return switch.switch(record, before, self.returning)
        if proven:
            return record
        # A run that was killed has switched already.
        return switch.told(history.continued(record, switch.deploy), self.returning)

    def _done(self, client: Supervisor, plan: Sequence[Params], since: float) -> dict[str, Any]:
        """Return what was done, for how long each program was down, and what is due."""
        events = daemon_log.read(SupervisordConf(self.store.config).log_file)
        down = daemon_log.down_times(events or [], since)
        done = [dict(one, down=down.get(one["program"])) for one in plan]
        return dict(actions=done, outdated=is_outdated(client, self.params["python"]))

    def _refuse_unusable(self, record: Record, before: ConfText) -> None:
        """Refuse what has become unusable since it was prepared."""

    def _refuse_incomplete(self, record: Record) -> None:
        lost = [path for path in record["files"] + record["uses"] if not os.path.exists(path)]
        if lost:
            raise JawsError(
                f"release {record['id']} has lost {', '.join(lost)}. Nothing was changed. Deploy "
                "again to restore them.",
                reason="incomplete_release",
            )

    def _prune(self, current: str) -> dict[str, Any]:
        """Remove what old releases have left. The switch has succeeded, even if this fails."""
        limit = time.time() - self.params["grace"] * retention.DAY
        known = self.store.all()
        gone = retention.expired(known, self.store.times(), current, self.params["keep"], limit)
        kept = [record for record in known if record not in gone]
        for record in history.spliced(kept, gone):
            self.store.correct(record)
        old = retention.leftovers(self.params["prune"], retention.used_by(kept), limit)
        busy = retention.running_from(old)
        paths = [path for path in old if path not in busy]
        pruned, troubles = [], []
        for path in [self.store.path(record["id"]) for record in gone] + paths:
            try:
                retention.remove(path)
                pruned.append(path)
            except OSError as error:
                troubles.append(f"cannot remove {path}: {error.strerror}.")
        return dict(pruned=pruned, warn=troubles)

    def _result(
        self, record: Record, before: ConfText, changed: bool, affected: Sequence[str]
    ) -> dict[str, Any]:
        return dict(
            changed=changed,
            held=True,
            id=record["id"],
            before=before.release,
            changes=compared(self.store.find(before.release), record),
            affected=sorted(set(affected)),
            diff=dict(
                before=redact(before.programs),
                after=redact(record["programs"]),
                before_header=self.store.config,
                after_header=self.store.config,
            ),
        )

    def _reverted(self, switch: Switch, record: Record, cause: JawsError) -> JawsError:
        """Put the instance back to what it ran before; return the error that reports it."""
        failed = str(cause)
        bad = cause.reason in ITS_FAULT
        if bad:
            record = history.failed(record, failed.splitlines()[0].rstrip("."))
            self.store.save(record)
        goal, links = switch.goal(record)
        name = goal.release or "what it ran before"
        try:
            switch.go_back(goal, links)
            end, put_back = f"The instance was put back to {name}.", True
            if not bad and record.get("replaced"):
                self.store.save(history.undone(record))
        except JawsError as error:
            end, put_back = f"Putting the instance back to {name} failed too: {error}", False
        message = f"release {record['id']} {failed.rstrip()}\n{end}"
        details = dict(id=record["id"], reverted_to=goal.release, put_back=put_back, changed=True)
        return JawsError(message, cause.reason, **{**cause.details, **details})


def _shown(programs: Sequence[Program]) -> list[dict[str, Any]]:
    return [program.as_dict() for program in programs]


def _unhealthy(record: Record, programs: Sequence[Program]) -> dict[str, list[str]]:
    """Return a warning for each program that runs, but does not work."""
    found = lasting(record["health"], [p for p in programs if p.state == "RUNNING"])
    told = "It was left alone; the playbook recover restarts it."
    return dict(
        warn=[f"{name} is RUNNING, but unhealthy: {why}. {told}" for name, why in found.items()]
    )


class Proof(Activation):
    """Completes the switch to what became current while no supervisord ran; see releases.proof."""

    def _act(self, switch: Switch) -> dict[str, Any]:
        if self.store.conf().release != self.params["id"]:
            return dict(changed=False)  # another run has switched before this one had the lock
        return super()._act(switch)


class Rollback(Activation):
    """Switches one instance to an earlier good release."""

    returning = True  # so that a second rollback goes further back

    def _wanted(self) -> Record:
        record = super()._wanted()
        if record["status"] != "good":
            why = f"is marked bad: {record['why']}" if record["status"] == "bad" else "never ran"
            raise JawsError(
                f"release {record['id']} {why}. Nothing was changed; choose another one (the "
                "playbook releases lists them).",
                reason="bad_release",
            )
        return record

    def _refuse_unusable(self, record: Record, before: ConfText) -> None:
        due = differing(before.programs, record["programs"])
        commands.refuse_unusable(record.get("commands") or {}, due)


class Reversion(Command):
    """Undoes one deploy of this instance because another instance of the deploy failed."""

    def run(self, check_mode: bool) -> dict[str, Any]:
        """Return what was undone. If there is nothing to undo, supervisord need not answer."""
        record = self.store.get(self.params["id"])
        if not self._is_due(record):
            return dict(changed=False, id=record["id"], reverted_to=None, affected=[])
        if check_mode:
            return dict(changed=True, id=record["id"])
        with switching(self.store, self.params) as switch:
            return self._act(switch)

    def _act(self, switch: Switch) -> dict[str, Any]:
        record = self.store.get(self.params["id"])
        goal, links = switch.goal(record)
        touched = switch.go_back(goal, links)
        # The release did not fail, so its old state is restored.
        self.store.save(history.undone(record))
        return dict(changed=True, id=record["id"], reverted_to=goal.release, affected=touched)

    def _is_due(self, record: Record) -> bool:
        """Whether that deploy has switched this instance, and its release is still current."""
        switched_by = (record.get("replaced") or {}).get("by")
        is_current = self.store.conf().programs == record["programs"]
        return is_current and bool(switched_by == self.params["deploy"])


STATES: dict[str, Any] = dict(
    prepared=Preparation,
    active=Activation,
    proven=Proof,
    rolled_back=Rollback,
    reverted=Reversion,
    verified=Verification,
)
