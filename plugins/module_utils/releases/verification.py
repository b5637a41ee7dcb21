# Copyright: (c) 2026, The jgi.jaws engineers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Verify what runs: whether it is stable and healthy, and restart what is RUNNING but unhealthy."""

from __future__ import annotations

import time
from typing import Any, Mapping, Sequence

from ..errors import JawsError
from ..supervisor.client import Supervisor
from ..supervisor.controller import Controller
from ..supervisor.endpoint import SupervisordConf
from ..supervisor.observation import observe_release
from ..supervisor.planning import Plan
from ..supervisor.programs import Program, names
from . import health
from .store import Store
from .watch import Watch

# A program that runs for so long has started. A younger one may not be ready yet.
SETTLED_SECONDS = 15
AGAIN_SECONDS = 1.0


def lasting(checks: Mapping[str, health.Check], programs: Sequence[Program]) -> dict[str, str]:
    """Return by program why its check fails, if it fails twice: once may be chance."""
    pids = {program.name: program.pid for program in programs}
    own = {name: check for name, check in checks.items() if name in pids}
    found = health.failing(own, pids)
    if found:
        time.sleep(AGAIN_SECONDS)
        found = health.failing({name: own[name] for name in found}, pids)
    return found


def seen(config: str, checks: Mapping[str, health.Check]) -> dict[str, str | None]:
    """Return by program that runs and has a check: why it fails, or None if it succeeds.

    :param config: the supervisord.conf; if its supervisord does not answer, nothing was seen.
    """
    try:
        with Supervisor(SupervisordConf(config).endpoint) as client:
            running = [p for p in observe_release(client).programs if p.state == "RUNNING"]
    except JawsError:
        return {}
    found = lasting(checks, running)
    return {p.name: found.get(p.name) for p in running if p.name in checks}


class Verification:
    """Checks that what runs is stable and healthy, and restarts what is not, if asked to."""

    def __init__(self, store: Store, params: Mapping[str, Any]) -> None:
        self.store = store
        self.params = params

    def run(self, check_mode: bool) -> dict[str, Any]:
        """Return the current release after everything that runs was found stable and healthy.

        :raises JawsError: as Watch, and as Controller for what is being started.
        """
        current = self.store.find(self.store.conf().release)
        checks = current["health"] if current else {}
        with Supervisor(SupervisordConf(self.store.config).endpoint) as client:
            mended: dict[str, str] = {}
            try:
                mended = self._mend(client, checks, check_mode)
                if not check_mode:  # nothing that this run would start has been started
                    self._hold(client, checks)
            except JawsError as error:
                raise self._complete(client, checks, mended, error) from error
        told = "was RUNNING, but unhealthy"
        warn = [f"{name} {told}: {why}. It was restarted." for name, why in mended.items()]
        release = current["id"] if current else None
        return dict(changed=bool(mended), id=release, held=True, affected=sorted(mended), warn=warn)

    def _chosen(self, client: Supervisor) -> list[Program]:
        chosen = self.params["programs"]
        found = [p for p in observe_release(client).programs if p.state != "STOPPED"]
        return [p for p in found if chosen is None or p.name in chosen]

    def _mend(
        self, client: Supervisor, checks: Mapping[str, health.Check], check_mode: bool
    ) -> dict[str, str]:
        """Restart, once, what runs long enough to work and does not; return why, by program."""
        if not self.params["restart_unhealthy"]:
            return {}
        settled = time.time() - SETTLED_SECONDS
        old = [p for p in self._chosen(client) if (p.start_time or settled + 1) < settled]
        running = [p for p in old if p.state == "RUNNING"]
        seen = lasting(checks, running)
        # If something else is at fault, a restart would only make it worse.
        found = {name: why for name, why in seen.items() if not why.startswith(health.NEEDS)}
        if found and not check_mode:
            again = Plan(stop=list(found), start=list(found))
            Controller(client, self.params["timeout"], exits=1, goes_on=True).execute(again)
        return found

    def _hold(self, client: Supervisor, checks: Mapping[str, health.Check]) -> None:
        found = names(self._chosen(client))
        Controller(client, self.params["timeout"]).execute(Plan(await_running=found))
        Watch(client, self.params).hold(found, checks)

    def _complete(
        self,
        client: Supervisor,
        checks: Mapping[str, health.Check],
        mended: Mapping[str, str],
        error: JawsError,
    ) -> JawsError:
        """Return the error, with everything else that is unhealthy and what was restarted."""
        if "failed_programs" not in error.details:  # supervisord no longer answers
            return error
        failed: Any = error.details["failed_programs"]
        others = [program for program in self._chosen(client) if program.name not in failed]
        found = lasting(checks, [program for program in others if program.state == "RUNNING"])
        lines = [f"Unhealthy too: {name}: {why}" for name, why in found.items()]
        if mended:
            lines.append(f"Restarted because they were unhealthy: {', '.join(mended)}.")
        details = dict(error.details, changed=bool(mended))
        details["failed_programs"] = sorted({*failed, *found})
        return JawsError("\n".join([str(error), *lines]), error.reason, **details)
