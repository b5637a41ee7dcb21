# Copyright: (c) 2026, The jgi.jaws engineers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The release module: publish, switch, apply, verify, and go back where that fails."""

from __future__ import annotations

import time
from functools import cached_property
from typing import Any, Dict, List, Optional, Sequence

from ansible_collections.jgi.jaws.plugins.module_utils import conf, health
from ansible_collections.jgi.jaws.plugins.module_utils.control import Controller, describe, observe
from ansible_collections.jgi.jaws.plugins.module_utils.errors import JawsError
from ansible_collections.jgi.jaws.plugins.module_utils.programs import Change, Plan, Program, plan_updated
from ansible_collections.jgi.jaws.plugins.module_utils.releases import Record, Store, marked, new_id
from ansible_collections.jgi.jaws.plugins.module_utils.supervisor import Supervisor, read_endpoint
from ansible_collections.jgi.jaws.plugins.module_utils.supervisord_config import group_id

DEAD = ("FATAL", "EXITED", "UNKNOWN", "BACKOFF")
WINDOW_PAUSE = 0.25


def manage(params: Dict[str, Any], check_mode: bool) -> Dict[str, Any]:
    """Bring one instance's release to C(params.state); see the release module for the options.

    :raises JawsError: as the module's documentation lists under C(reason).
    """
    store = Store(params["directory"], params["config"], group_id(params["group"]))
    if params["state"] == "prepared":
        return Preparation(store, params).run(check_mode)
    return Activation(store, params).run(check_mode)


def inform(params: Dict[str, Any], _check_mode: bool) -> Dict[str, Any]:
    """Return one instance's releases, the newest first, and the id of the current one."""
    store = Store(params["directory"], params["config"])
    shown = ("id", "status", "created", "author", "ci_job", "packages", "why")
    releases = [{key: record.get(key) for key in shown} for record in store.all()]
    return dict(changed=False, current=store.conf().release, releases=releases)


class Preparation:
    """Publishes what a release needs and validates its candidate; what runs is untouched."""

    def __init__(self, store: Store, params: Dict[str, Any]) -> None:
        self.store = store
        self.params = params

    def run(self, check_mode: bool) -> Dict[str, Any]:
        """Return the release's id and whether it differs from the current one."""
        missing = [file for file in self.params["files"] if not self._is_published(file)]
        record = self._record()
        current = self.store.conf().release if self.store.exists or not check_mode else None
        if not check_mode:
            self._publish(missing)
            self._validate(record["programs"])
            if record["status"] == "new":
                self.store.save(dict(record, status="prepared"))
        return dict(
            changed=bool(missing) or record["status"] == "new",
            id=record["id"],
            current=current,
            differs=record["id"] != current,
            published=[file["path"] for file in missing],
            diff=dict(before="", after="".join(file["path"] + "\n" for file in missing)),
        )

    def _is_published(self, file: Dict[str, Any]) -> bool:
        return self.store.is_published(file["path"], file["content"], int(file["mode"], 8))

    def _publish(self, files: Sequence[Dict[str, Any]]) -> None:
        for file in files:
            self.store.publish(file["path"], file["content"], int(file["mode"], 8))

    def _validate(self, programs: str) -> None:
        text = self.store.conf().daemon + programs
        with conf.Candidate(self.store.config, text) as candidate:
            conf.validate(candidate.path, self.params["python"])

    def _record(self) -> Record:
        """Return the record of the release with these inputs, whether it is known or new."""
        inputs = {key: self.params[key] for key in ("links", "health", "venvs")}
        for record in self.store.all():
            if all(record[key] == value for key, value in inputs.items()):
                if record["programs"] == marked(record["id"], self.params["programs"]):
                    return record
        release = new_id(self.params["programs"])
        about = {key: self.params[key] for key in ("author", "ci_job", "packages")}
        programs = marked(release, self.params["programs"])
        created = int(time.time())
        return dict(inputs, **about, id=release, programs=programs, created=created, status="new")


class Activation:
    """Switches one instance to a release, and back where the release does not hold."""

    def __init__(self, store: Store, params: Dict[str, Any]) -> None:
        self.store = store
        self.params = params

    @cached_property
    def client(self) -> Supervisor:
        """The instance's supervisord."""
        return Supervisor(read_endpoint(self.params["config"]))

    def run(self, check_mode: bool) -> Dict[str, Any]:
        """Return what was switched and restarted."""
        if check_mode:
            known = self.store.exists and self.store.find(self.params["id"])
            return dict(changed=not known or self._due(), id=self.params["id"])
        with self.store.lock(self.params["lock_timeout"]):
            return self._activate()

    def _activate(self) -> Dict[str, Any]:
        record = self.store.get(self.params["id"])
        before = self.store.conf()
        due = self._due()
        if due:
            self._validate(before.daemon + record["programs"])
            self.store.switch(record["programs"], record["links"])
        try:
            touched = self._apply(record)
        except JawsError as error:
            self._mark(record, "bad", str(error))
            self._revert(before, error)
            raise
        if record["status"] != "good":
            self._mark(record, "good")
        return dict(
            changed=due or bool(touched),
            id=record["id"],
            affected=touched,
            programs=[program.as_dict() for program in observe(self.client).programs],
        )

    def _due(self) -> bool:
        record = self.store.get(self.params["id"])
        return self.store.conf().programs != record["programs"] or not self.store.linked(record["links"])

    def _validate(self, text: str) -> None:
        with conf.Candidate(self.store.config, text) as candidate:
            conf.validate(candidate.path, self.params["python"])

    def _apply(self, record: Record) -> List[str]:
        """Make supervisord run what the conf says; return the programs that were touched."""
        seen = observe(self.client, reread=True)
        new = plan_updated(seen.change._replace(removed=[]), seen.programs)
        # What has died is part of a deploy's business; what an operator stopped is not.
        dead = [p for p in seen.programs if p.state in DEAD and p.group not in seen.change.groups]
        stop = [p.name for p in dead if p.state == "BACKOFF"]
        plan = new._replace(start=[p.name for p in dead], stop=new.stop + stop)
        controller = Controller(self.client, self.params["timeout"])
        if plan.changes:
            controller.execute(plan)
            self._verify(record, plan)
        gone = plan_updated(Change([], [], seen.change.removed), seen.programs)
        if gone.changes:
            controller.execute(gone)
        return sorted(set(plan.start + plan.add + gone.remove))

    def _verify(self, record: Record, plan: Plan) -> None:
        """Hold every touched program to RUNNING with one pid through the window, and to its health check."""
        watched = set(plan.add + plan.start)
        first = self._watched(watched)
        deadline = time.monotonic() + self.params["window"]
        checks = {name: check for name, check in record["health"].items() if name in watched}
        sick = health.failing(checks, self.params["health_timeout"])
        self._hold(first, watched, deadline)
        if sick:
            logs = [describe(p) for p in first if any(reason.startswith(p.name + ":") for reason in sick)]
            message = "not healthy within %d s: %s\n%s" % (
                self.params["health_timeout"],
                "; ".join(sick),
                "\n".join(logs),
            )
            raise JawsError(message, "unhealthy", failed_programs=[reason.split(":")[0] for reason in sick])

    def _hold(self, first: List[Program], watched: set[str], deadline: float) -> None:
        pids = {program.name: (program.pid, program.start_time) for program in first}
        while True:
            now = self._watched(watched)
            moved = [p for p in now if p.state != "RUNNING" or pids.get(p.name) != (p.pid, p.start_time)]
            if moved:
                told = "\n".join(describe(program) for program in moved)
                names = [program.name for program in moved]
                raise JawsError("did not stay up: %s" % told, "unstable", failed_programs=names)
            if time.monotonic() > deadline:
                return
            time.sleep(WINDOW_PAUSE)

    def _watched(self, groups: set[str]) -> List[Program]:
        found = observe(self.client).programs
        return [p for p in found if (p.group in groups or p.name in groups) and p.start_time is not None]

    def _revert(self, before: conf.Conf, cause: JawsError) -> None:
        """Give the instance back the programs that it had."""
        if self.store.conf().programs == before.programs:
            return
        old = self._links_of(before.release)
        self.store.switch(before.programs, old)
        seen = observe(self.client, reread=True)
        try:
            Controller(self.client, self.params["timeout"]).execute(plan_updated(seen.change, seen.programs))
        except JawsError as error:
            raise JawsError(
                "%s\nThe old release was put back, but it does not run either: %s" % (cause, error),
                cause.reason,
                **cause.details,
            ) from error
        raise JawsError(
            "release %s %s\nEverything was put back to %s."
            % (self.params["id"], cause, before.release or "what it was"),
            cause.reason,
            reverted_to=before.release,
            **cause.details,
        )

    def _links_of(self, release: Optional[str]) -> Dict[str, str]:
        record = self.store.find(release)
        return dict(record["links"]) if record else {}

    def _mark(self, record: Record, status: str, why: str = "") -> None:
        self.store.save(dict(record, status=status, why=why))
