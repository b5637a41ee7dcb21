# Copyright: (c) 2026, The jgi.jaws engineers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The release module: publish, switch, apply, verify, and go back where that fails."""

from __future__ import annotations

import os
import time
from functools import cached_property
from typing import Any, Dict, Sequence

from ansible_collections.jgi.jaws.plugins.module_utils import (
    conf,
    health,
    programs,
    releases,
    retention,
)
from ansible_collections.jgi.jaws.plugins.module_utils.conf import Conf
from ansible_collections.jgi.jaws.plugins.module_utils.control import (
    Controller,
    observe,
    settings,
)
from ansible_collections.jgi.jaws.plugins.module_utils.convergence import Watch, apply, dead, drop
from ansible_collections.jgi.jaws.plugins.module_utils.daemon import Daemon
from ansible_collections.jgi.jaws.plugins.module_utils.errors import JawsError
from ansible_collections.jgi.jaws.plugins.module_utils.programs import Plan
from ansible_collections.jgi.jaws.plugins.module_utils.releases import Links, Record, Store
from ansible_collections.jgi.jaws.plugins.module_utils.supervisor import Supervisor, read_endpoint
from ansible_collections.jgi.jaws.plugins.module_utils.supervisord_config import file_mode, group_id

Params = Dict[str, Any]

# What is told of a release's record.
SHOWN = ["id", "status", "created", "deploy", "activated", "author", "ci_job", "packages", "why"]

# A program of a new release has failed when it has ended before startsecs so often. Once may be a
# port that is not free yet; to use up startretries would keep people from the old release.
EXITS = 2

# What a release itself is to blame for; a supervisord that went away is not.
ITS_FAULT = ("program_failed", "timed_out", "unstable", "unhealthy")


def manage(params: Params, check_mode: bool) -> dict[str, Any]:
    """Bring one instance's release to C(params.state); see the release module for the options.

    :raises JawsError: as the module's documentation lists under C(reason).
    """
    store = Store(params["directory"], params["config"], group_id(params["group"]))
    result: dict[str, Any] = STATES[params["state"]](store, params).run(check_mode)
    return result


def inform(params: Params, _check_mode: bool) -> dict[str, Any]:
    """Return one instance's releases, the newest first, and the id of the current one."""
    store = Store(params["directory"], params["config"])
    known = store.all()
    found = [{key: record.get(key) for key in SHOWN} for record in known]
    deploy = releases.next_deploy(known, time.time())
    return dict(changed=False, current=store.conf().release, deploy=deploy, releases=found)


def validate(store: Store, text: str, python: str) -> list[str]:
    """Have Supervisor's own parser read the text as the supervisord.conf; return its programs."""
    with conf.Candidate(store.config, text) as candidate:
        found = conf.validate(candidate.path, python)
    return [programs.namespec(program["group"], program["name"]) for program in found]


class Preparation:
    """Publishes what a release needs and validates its candidate; what runs is untouched."""

    def __init__(self, store: Store, params: Params) -> None:
        self.store = store
        self.params = params
        self.plan = params["plan"]
        health.refuse_wrong(self.plan["health"])
        self.files = [
            (file["path"], file["content"], file_mode(file["mode"])) for file in self.plan["files"]
        ]

    def run(self, check_mode: bool) -> dict[str, Any]:
        """Return the release's id and how it differs from the current one."""
        missing = [file for file in self.files if not self.store.is_published(*file)]
        bare = check_mode and not self.store.exists
        current = Conf("", "") if bare else self.store.conf()
        known = [] if bare else self.store.all()
        record = self._record(known)
        if not check_mode:
            self.store.sweep()
            for folder in {os.path.dirname(path) for path, _content, _mode in self.files}:
                conf.sweep_folder(folder)
            for file in missing:
                self.store.publish(*file)
            text = current.daemon + record["programs"]
            self._refuse_idle_checks(validate(self.store, text, self.params["python"]))
            if record["status"] == "new":
                self.store.save(dict(record, status="prepared"))
            self.store.touch(record["id"])
        paths = [path for path, _content, _mode in missing]
        return dict(
            changed=bool(missing) or record["status"] == "new",
            id=record["id"],
            current=current.release,
            deploy=releases.next_deploy(known, time.time()),
            differs=record["id"] != current.release,
            affected=releases.differing(current.programs, record["programs"]),
            published=paths,
            diff=dict(before="", after="".join(path + "\n" for path in paths)),
        )

    def _refuse_idle_checks(self, known: Sequence[str]) -> None:
        unknown = sorted(set(self.plan["health"]) - set(known))
        if unknown:
            raise JawsError(
                f"health checks are given for {', '.join(unknown)}, which the release does not "
                f"have; it has {', '.join(known) or 'no program'}.",
                reason="bad_option",
            )

    def _record(self, known: Sequence[Record]) -> Record:
        """Return the record of the release with these inputs, whether it is known or new."""
        text = self.plan["programs"]
        inputs = {key: self.plan[key] for key in ("links", "health")}
        inputs["uses"] = self.params["uses"]
        inputs["files"] = [path for path, _content, _mode in self.files]
        for record in known:
            same = all(record.get(key) == value for key, value in inputs.items())
            if same and record["programs"] == releases.marked(record["id"], text):
                return record
        release = releases.new_id([text, inputs])
        about = {key: self.params[key] for key in ("author", "ci_job", "packages")}
        marked = releases.marked(release, text)
        created = int(time.time())
        return dict(inputs, **about, id=release, programs=marked, created=created, status="new")


class Activation:
    """Switches one instance to a release, and back where the release does not hold."""

    client: Supervisor

    def __init__(self, store: Store, params: Params) -> None:
        self.store = store
        self.params = params

    def run(self, check_mode: bool) -> dict[str, Any]:
        """Return what was switched and restarted."""
        if check_mode and not (self.store.exists and self.store.find(self.params["id"])):
            # Prepared in check mode, too.
            return dict(changed=True, id=self.params["id"], held=True)
        with Supervisor(read_endpoint(self.store.config)) as self.client:
            if check_mode:
                return self._predict()
            with Daemon(self.store.config, timeout=self.params["lock_timeout"]).alone():
                self.store.sweep()
                return self._act()

    def _wanted(self) -> Record:
        """Return the release to switch to."""
        return self.store.get(self.params["id"])

    @cached_property
    def deploy(self) -> int:
        """The number of the deploy that this is part of."""
        return int(self.params["deploy"] or releases.next_deploy(self.store.all(), time.time()))

    def _proof(self, _record: Record) -> dict[str, Any]:
        """Return what is recorded of a release that has held."""
        return dict(deploy=self.deploy)

    def _predict(self) -> dict[str, Any]:
        record, before = self._wanted(), self.store.conf()
        due = before.programs != record["programs"]
        affected = releases.differing(before.programs, record["programs"])
        try:
            seen = observe(self.client, reread=not due)
            affected += seen.change.groups
            affected += programs.names(dead(seen.programs, settings(self.client)))
        except JawsError as error:
            if error.reason != "down":  # in check mode nobody has started it
                raise
        changed = due or bool(affected) or not self.store.linked(record["links"])
        return self._result(record, before, changed, affected)

    def _act(self) -> dict[str, Any]:
        record, before = self._wanted(), self.store.conf()
        self._refuse_incomplete(record)
        # Nothing is switched for a supervisord that does not answer, or that has lost a program.
        programs.plan_stopped(observe(self.client).programs)
        due = before.programs != record["programs"]
        if due:
            record = self._switch(record, before)
        proven = record["status"] == "good" and not due
        interrupted = not (due or proven)  # a run that was killed has switched
        if interrupted and record.get("replaced"):
            record = dict(record, replaced=dict(record["replaced"], by=self.deploy))
        try:
            linked = self.store.link(record["links"])
            touched = self._apply(record, None if proven else EXITS, everything=interrupted)
        except JawsError as error:
            if proven:  # this run has switched nothing
                raise
            raise self._reverted(record, error) from error
        if not proven:
            now = round(time.time(), 3)
            self._mark(record, "good", activated=now, why="", **self._proof(record))
        touched += drop(self.client, self.params["timeout"])
        found = self._result(record, before, due or linked or bool(touched), touched)
        if due:
            found.update(self._prune(record["id"]))
        now_running = [program.as_dict() for program in observe(self.client).programs]
        return dict(found, programs=now_running)

    def _refuse_incomplete(self, record: Record) -> None:
        lost = [path for path in record["files"] + record["uses"] if not os.path.exists(path)]
        if lost:
            raise JawsError(
                f"release {record['id']} has lost {', '.join(lost)}. Nothing was changed; "
                "deploy again, which makes it whole.",
                reason="incomplete_release",
            )

    def _prune(self, current: str) -> dict[str, Any]:
        """Remove what old releases have left. The release holds, whatever comes of this."""
        limit = time.time() - self.params["grace"] * retention.DAY
        known = self.store.all()
        gone = retention.expired(known, self.store.times(), current, self.params["keep"], limit)
        kept = [record for record in known if record not in gone]
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

    def _switch(self, record: Record, before: Conf) -> Record:
        """Switch, and return the record with what it takes to go back, should we be killed."""
        validate(self.store, before.daemon + record["programs"], self.params["python"])
        known = self.store.find(before.release)
        replaced = dict(
            by=self.deploy,
            programs=before.programs,
            links=known["links"] if known else {},
            was={key: record.get(key) for key in ("status", "deploy", "activated")},
        )
        record = dict(record, replaced=replaced)
        self.store.save(record)
        self.store.switch(record["programs"])
        return record

    def _result(
        self, record: Record, before: Conf, changed: bool, affected: Sequence[str]
    ) -> dict[str, Any]:
        return dict(
            changed=changed,
            held=True,
            id=record["id"],
            affected=sorted(set(affected)),
            diff=dict(
                before=conf.redact(before.programs),
                after=conf.redact(record["programs"]),
                before_header=self.store.config,
                after_header=self.store.config,
            ),
        )

    def _apply(self, record: Record, exits: int | None, everything: bool) -> list[str]:
        """Make supervisord run the release but for what it drops, and hold it to that.

        :param exits: as Controller's, for a trial.
        :param everything: hold all that runs, not what was started alone.
        """
        applied = apply(self.client, self.params["timeout"], False, self.store.journal, exits)
        held = applied.started
        if everything:  # the run that was killed has not seen whether it holds
            running = observe(self.client).programs
            held = [program.name for program in running if program.state != "STOPPED"]
        if held:
            Watch(self.client, self.params).hold(held, record["health"])
        return applied.touched

    def _reverted(self, record: Record, cause: JawsError) -> JawsError:
        """Give the instance back what it had; return the error that says so."""
        failed = str(cause)
        if cause.reason in ITS_FAULT:
            self._mark(record, "bad", why=failed.splitlines()[0])
        goal, links = self._goal(record)
        name = goal.release or "what it was"
        try:
            self._go_back(goal, links)
            end = f"Everything was put back to {name}."
        except JawsError as error:
            end = f"Putting it back to {name} failed too: {error}"
        message = f"release {record['id']} {failed.rstrip()}\n{end}"
        details = dict(cause.details, id=record["id"], reverted_to=goal.release, changed=True)
        return JawsError(message, cause.reason, **details)

    def _goal(self, record: Record) -> tuple[Conf, Links]:
        """Return what to go back to: what was there, unless a killed run left it unproven."""
        replaced = record.get("replaced")
        if replaced:
            before = Conf("", replaced["programs"])
            known = self.store.find(before.release)
            if known is None or known["status"] == "good":
                return before, replaced["links"]
        last = releases.last_good(self.store.all(), record["id"])
        return (Conf("", last["programs"]), last["links"]) if last else (Conf("", ""), {})

    def _go_back(self, goal: Conf, links: Links) -> list[str]:
        """Make supervisord run what it had; return what was touched."""
        self.store.switch(goal.programs)
        self.store.link(links)
        return apply(self.client, self.params["timeout"], True, self.store.journal).touched

    def _mark(self, record: Record, status: str, **about: Any) -> None:
        self.store.save(dict(record, status=status, **about))


class Rollback(Activation):
    """Switches one instance to a release that was good, and keeps its place among the deploys.

    So that a second rollback goes further back.
    """

    def _wanted(self) -> Record:
        record = self.store.get(self.params["id"])
        if record["status"] != "good":
            why = f"is marked bad: {record['why']}" if record["status"] == "bad" else "never ran"
            raise JawsError(
                f"release {record['id']} {why}. Nothing was changed; choose another one (the "
                "playbook releases lists them).",
                reason="bad_release",
            )
        return record

    def _proof(self, record: Record) -> dict[str, Any]:
        return dict(deploy=record["deploy"])


class Verification(Activation):
    """Holds what runs to the window and to its health checks; changes nothing."""

    def run(self, _check_mode: bool) -> dict[str, Any]:
        """Return the current release, when all that runs has held.

        :raises JawsError: as Watch, and as Controller of what is just being started.
        """
        with Supervisor(read_endpoint(self.store.config)) as self.client:
            found = [p for p in observe(self.client).programs if p.state != "STOPPED"]
            starting = Plan(await_running=programs.names(found))
            Controller(self.client, self.params["timeout"]).execute(starting)
            current = self.store.find(self.store.conf().release)
            checks = current["health"] if current else {}
            Watch(self.client, self.params).hold(programs.names(found), checks)
        return dict(changed=False, id=current["id"] if current else None, held=True)


class Reversion(Activation):
    """Takes one deploy back: another instance of it did not hold."""

    def run(self, check_mode: bool) -> dict[str, Any]:
        """Return what was taken back. Where there is nothing, supervisord need not answer."""
        if not self._is_due():
            return dict(changed=False, id=self.params["id"], reverted_to=None, affected=[])
        return super().run(check_mode)

    def _predict(self) -> dict[str, Any]:
        return dict(changed=True, id=self.params["id"])

    def _act(self) -> dict[str, Any]:
        record = self._wanted()
        goal, links = self._goal(record)
        touched = self._go_back(goal, links)
        # It is not to blame.
        self.store.save(dict(record, **record["replaced"]["was"]))
        return dict(changed=True, id=record["id"], reverted_to=goal.release, affected=touched)

    def _is_due(self) -> bool:
        """Whether that deploy has switched this instance, and it still is."""
        record = self._wanted()
        switched_by = (record.get("replaced") or {}).get("by")
        is_current = self.store.conf().programs == record["programs"]
        return is_current and switched_by == self.deploy


STATES: dict[str, Any] = dict(
    prepared=Preparation,
    active=Activation,
    rolled_back=Rollback,
    reverted=Reversion,
    verified=Verification,
)
