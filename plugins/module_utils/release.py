# Copyright: (c) 2026, The jgi.jaws engineers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The release module: publish, switch, apply, verify, and go back where that fails."""

from __future__ import annotations

import time
from typing import Any, Dict, List, Sequence, Tuple

from ansible_collections.jgi.jaws.plugins.module_utils import conf, health, programs, releases
from ansible_collections.jgi.jaws.plugins.module_utils.conf import Conf
from ansible_collections.jgi.jaws.plugins.module_utils.control import observe, settings
from ansible_collections.jgi.jaws.plugins.module_utils.convergence import Watch, apply, dead, drop
from ansible_collections.jgi.jaws.plugins.module_utils.daemon import Daemon
from ansible_collections.jgi.jaws.plugins.module_utils.errors import JawsError
from ansible_collections.jgi.jaws.plugins.module_utils.releases import Links, Record, Store
from ansible_collections.jgi.jaws.plugins.module_utils.supervisor import Supervisor, read_endpoint
from ansible_collections.jgi.jaws.plugins.module_utils.supervisord_config import file_mode, group_id

Params = Dict[str, Any]

# What a release itself is to blame for; a supervisord that went away is not.
ITS_FAULT = ("program_failed", "timed_out", "unstable", "unhealthy")


def manage(params: Params, check_mode: bool) -> Dict[str, Any]:
    """Bring one instance's release to C(params.state); see the release module for the options.

    :raises JawsError: as the module's documentation lists under C(reason).
    """
    store = Store(params["directory"], params["config"], group_id(params["group"]))
    action = Preparation if params["state"] == "prepared" else Activation
    return action(store, params).run(check_mode)


def inform(params: Params, _check_mode: bool) -> Dict[str, Any]:
    """Return one instance's releases, the newest first, and the id of the current one."""
    store = Store(params["directory"], params["config"])
    shown = ("id", "status", "created", "activated", "author", "ci_job", "packages", "why")
    found = [{key: record.get(key) for key in shown} for record in store.all()]
    return dict(changed=False, current=store.conf().release, releases=found)


def validate(store: Store, text: str, python: str) -> List[str]:
    """Have Supervisor's own parser read the text as the supervisord.conf; return its programs."""
    with conf.Candidate(store.config, text) as candidate:
        found = conf.validate(candidate.path, python)
    return [programs.namespec(program["group"], program["name"]) for program in found]


class Preparation:
    """Publishes what a release needs and validates its candidate; what runs is untouched."""

    def __init__(self, store: Store, params: Params) -> None:
        self.store = store
        self.params = params
        health.refuse_wrong(params["health"])
        self.files = [
            (file["path"], file["content"], file_mode(file["mode"])) for file in params["files"]
        ]

    def run(self, check_mode: bool) -> Dict[str, Any]:
        """Return the release's id and how it differs from the current one."""
        missing = [file for file in self.files if not self.store.is_published(*file)]
        bare = check_mode and not self.store.exists
        current = Conf("", "") if bare else self.store.conf()
        record = self._record()
        if not check_mode:
            for file in missing:
                self.store.publish(*file)
            text = current.daemon + record["programs"]
            self._refuse_idle_checks(validate(self.store, text, self.params["python"]))
            if record["status"] == "new":
                self.store.save(dict(record, status="prepared"))
        paths = [path for path, _content, _mode in missing]
        return dict(
            changed=bool(missing) or record["status"] == "new",
            id=record["id"],
            current=current.release,
            differs=record["id"] != current.release,
            affected=releases.differing(current.programs, record["programs"]),
            published=paths,
            diff=dict(before="", after="".join(path + "\n" for path in paths)),
        )

    def _refuse_idle_checks(self, known: Sequence[str]) -> None:
        unknown = sorted(set(self.params["health"]) - set(known))
        if unknown:
            raise JawsError(
                "health checks are given for %s, which the release does not have; it has %s."
                % (", ".join(unknown), ", ".join(known) or "no program"),
                reason="bad_option",
            )

    def _record(self) -> Record:
        """Return the record of the release with these inputs, whether it is known or new."""
        text = self.params["programs"]
        inputs = {key: self.params[key] for key in ("links", "health", "venvs")}
        inputs["files"] = [path for path, _content, _mode in self.files]
        for record in self.store.all():
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

    def run(self, check_mode: bool) -> Dict[str, Any]:
        """Return what was switched and restarted."""
        if check_mode and not (self.store.exists and self.store.find(self.params["id"])):
            return dict(changed=True, id=self.params["id"])  # prepared in check mode, too
        with Supervisor(read_endpoint(self.store.config)) as self.client:
            if check_mode:
                return self._predict()
            with Daemon(self.store.config, timeout=self.params["lock_timeout"]).alone():
                return self._activate()

    def _predict(self) -> Dict[str, Any]:
        record, before = self.store.get(self.params["id"]), self.store.conf()
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

    def _activate(self) -> Dict[str, Any]:
        record, before = self.store.get(self.params["id"]), self.store.conf()
        # Nothing is switched for a supervisord that does not answer, or that has lost a program.
        programs.plan_stopped(observe(self.client).programs)
        due = before.programs != record["programs"]
        if due:
            validate(self.store, before.daemon + record["programs"], self.params["python"])
            self.store.switch(record["programs"])
        proven = record["status"] == "good" and not due
        try:
            linked = self.store.link(record["links"])
            touched = self._apply(record, everything=not (due or proven))
        except JawsError as error:
            if proven:  # this run has switched nothing
                raise
            raise self._reverted(record, before, error) from error
        if not proven:
            self._mark(record, "good", activated=round(time.time(), 3), why="")
        touched += drop(self.client, self.params["timeout"])
        found = self._result(record, before, due or linked or bool(touched), touched)
        now = [program.as_dict() for program in observe(self.client).programs]
        return dict(found, programs=now)

    def _result(
        self, record: Record, before: Conf, changed: bool, affected: Sequence[str]
    ) -> Dict[str, Any]:
        return dict(
            changed=changed,
            id=record["id"],
            affected=sorted(set(affected)),
            diff=dict(
                before=conf.redact(before.programs),
                after=conf.redact(record["programs"]),
                before_header=self.store.config,
                after_header=self.store.config,
            ),
        )

    def _apply(self, record: Record, everything: bool) -> List[str]:
        """Make supervisord run the release but for what it drops, and hold it to that."""
        applied = apply(self.client, self.params["timeout"], removing=False)
        held = applied.started
        if everything:  # a run that was killed has applied it and not seen whether it holds
            running = observe(self.client).programs
            held = [program.name for program in running if program.state != "STOPPED"]
        if held:
            Watch(self.client, self.params).hold(held, record["health"])
        return applied.touched

    def _reverted(self, record: Record, before: Conf, cause: JawsError) -> JawsError:
        """Give the instance back what it had; return the error that says so."""
        failed = str(cause)
        if cause.reason in ITS_FAULT:
            self._mark(record, "bad", why=failed.splitlines()[0])
        goal, links = self._goal(record, before)
        try:
            self.store.switch(goal.programs)
            self.store.link(links)
            apply(self.client, self.params["timeout"], removing=True)
            end = "Everything was put back to %s." % (goal.release or "what it was")
        except JawsError as error:
            end = "Putting it back to %s failed too: %s" % (goal.release or "what it was", error)
        message = "release %s %s\n%s" % (record["id"], failed.rstrip(), end)
        details = dict(cause.details, id=record["id"], reverted_to=goal.release, changed=True)
        return JawsError(message, cause.reason, **details)

    def _goal(self, record: Record, before: Conf) -> Tuple[Conf, Links]:
        """Return what to go back to: what was there, unless a killed run left it unproven."""
        known = self.store.find(before.release)
        is_proven = known is None or known["status"] == "good"
        if is_proven and before.programs != record["programs"]:
            return before, known["links"] if known else {}
        last = releases.last_good(self.store.all(), record["id"])
        return (Conf("", last["programs"]), last["links"]) if last else (Conf("", ""), {})

    def _mark(self, record: Record, status: str, **about: Any) -> None:
        self.store.save(dict(record, status=status, **about))
