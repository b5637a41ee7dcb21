# Copyright: (c) 2026, The jgi.jaws engineers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Watch what was started: the same process must run throughout a window, and its checks succeed."""

from __future__ import annotations

import time
from typing import Any, Mapping, Sequence

from ..errors import JawsError
from ..supervisor.client import Supervisor
from ..supervisor.diagnosis import describe, described, ended_by_request, with_exit_status
from ..supervisor.observation import observe_release, settings
from ..supervisor.programs import Program, Setting, process_of
from ..system.processes import read_process
from . import health
from .convergence import done

LOOK_SECONDS = 0.25
INTERRUPTED = (
    "could not be watched: somebody stopped or restarted {} meanwhile, through supervisord. The "
    "release is not marked bad. Run this again when nobody else acts on the instance."
)


class Watch:
    """Watches whether programs stay RUNNING with the same process, and pass their health checks.

    :param limits: C(window) and C(health_timeout), in seconds.
    """

    def __init__(self, client: Supervisor, limits: Mapping[str, Any]) -> None:
        self.client = client
        self._born: dict[str, int | None] = {}
        self._settings: dict[str, Setting] = {}
        self.window = limits["window"]
        self.health_timeout = limits["health_timeout"]

    def hold(
        self,
        wanted: Sequence[str],
        checks: Mapping[str, health.Check],
        holds: Mapping[str, int] | None = None,
    ) -> None:
        """Return when the window is over and every check has succeeded once.

        :param wanted: the names of the programs; those that were never started or have done their
            work are not watched.
        :param checks: by name; only those of the watched programs count.
        :param holds: by name: a longer window; the longest of the watched programs counts for all.
        :raises JawsError: a program ended or was started again, by itself (unstable) or by somebody
            (stopped_by_others), or does not answer (unhealthy).
        """
        started = time.monotonic()
        self._settings = settings(self.client)
        candidates = [p for p in self._look() if p.name in wanted and p.start_time]
        first = {one.name: one for one in candidates if not done(one, self._settings)}
        self.window = max([self.window, *((holds or {}).get(name, 0) for name in first)])
        self._born = {name: _born(program) for name, program in first.items()}
        pending = {name: check for name, check in checks.items() if name in first}
        reasons: dict[str, str] = {}
        while True:
            self._refuse_moved(first, reasons)
            reasons = health.failing(pending, {name: first[name].pid for name in pending})
            pending = {name: pending[name] for name in reasons}
            elapsed = time.monotonic() - started
            if pending and elapsed > self.health_timeout:
                raise self._unhealthy(reasons)
            if not pending and elapsed > self.window:
                return
            time.sleep(LOOK_SECONDS)

    def _look(self) -> list[Program]:
        return observe_release(self.client).programs

    def _refuse_moved(self, first: Mapping[str, Program], reasons: Mapping[str, str]) -> None:
        found = self._look()
        now = {program.name: program for program in found}
        moved = [name for name in first if not self._is_same(first[name], now.get(name))]
        if moved:
            # What a check has found says more than the end of a log.
            fates = [f"{name}: {reasons[name]}" for name in moved if name in reasons]
            fates += [self._fate(first[name], now.get(name), found) for name in moved]
            message = f"did not stay up for {self.window:g} s."
            others = self._others_did(moved, now)
            if others:
                message = INTERRUPTED.format(", ".join(moved))
            raise JawsError(
                "\n".join([message, *fates]),
                "stopped_by_others" if others else "unstable",
                failed_programs=moved,
            )

    def _others_did(self, moved: Sequence[str], now: Mapping[str, Program]) -> bool:
        """Whether somebody has asked supervisord to stop, restart or remove all of these."""
        asked = ended_by_request(self.client)
        return all(name not in now or process_of(name) in asked for name in moved)

    def _is_same(self, was: Program, now: Program | None) -> bool:
        if now is not None and done(now, self._settings):
            return True
        if now is None or now.state != "RUNNING" or now.pid != was.pid:
            return False
        return _born(now) == self._born[was.name]

    def _fate(self, was: Program, now: Program | None, found: Sequence[Program]) -> str:
        if now is None:
            return f"{was.name} was removed while it was watched"
        # If it was started again, only supervisord's log says how the first process ended.
        asked = now if now.state == "EXITED" else now._replace(state="BACKOFF")
        ended = with_exit_status(self.client, [asked], found)[0]
        known = now._replace(exit_status=ended.exit_status, start_time=was.start_time)
        description = describe(known)
        return f"process {was.pid} ended: {description}"

    def _unhealthy(self, reasons: Mapping[str, str]) -> JawsError:
        logs = described([one for one in self._look() if one.name in reasons]).values()
        seen = "; ".join(f"{name}: {reason}" for name, reason in reasons.items())
        message = "\n".join([f"was not healthy within {self.health_timeout:g} s: {seen}", *logs])
        return JawsError(message, "unhealthy", failed_programs=list(reasons))


def _born(program: Program) -> int | None:
    """Return when the kernel started the process, in ticks since boot; None if it is hidden.

    The start time that supervisord reports changes when the clock is set back.
    """
    process = read_process(program.pid) if program.pid else None
    return process.start_ticks if process else None
