# Copyright: (c) 2026, The jgi.jaws engineers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What must be done with a background command. Pure functions."""

from __future__ import annotations

import signal as signals
from dataclasses import dataclass

from ..errors import JawsError
from .observation import Seen
from .wish import Wish


@dataclass(frozen=True)
class Steps:
    """Actions in their order, what is outdated, and why something is left for later."""

    actions: tuple[str, ...] = ()
    outdated: tuple[str, ...] = ()
    deferred: str | None = None


def plan(wish: Wish, state: str, seen: Seen) -> Steps:
    """Return what must be done.

    :raises JawsError: it must not be done (runs_twice, runs_this_play).
    """
    if state in ("stopped", "restarted"):
        return _plan_stop(wish, state, seen)
    if len(seen.processes) > 1:
        raise JawsError(_too_many(wish, seen), "runs_twice")
    outdated = differences(wish, seen)
    if not seen.process:
        return Steps(("start",))
    if state == "reloaded":
        return Steps(("reload",), outdated)
    return _plan_running(wish, seen, outdated)


def differences(wish: Wish, seen: Seen) -> tuple[str, ...]:
    """Return the aspects in which the running process differs from what is wanted."""
    if not seen.process:
        return ()
    found = []
    if seen.definition not in (None, wish.definition):
        is_command = seen.record and list(wish.argv) != seen.record.command
        found.append("command" if is_command else "definition")
    if wish.revision and seen.revision != wish.revision:
        found.append("revision")
    return tuple(found)


def _plan_stop(wish: Wish, state: str, seen: Seen) -> Steps:
    start = ("start",) if state == "restarted" else ()
    if not seen.process:
        return Steps(start)
    if seen.inside:
        raise JawsError(
            f"{wish.id} ({seen.process}) runs this play, so stopping it would end the play. Run "
            "the play from a shell of your own.",
            "runs_this_play",
        )
    return Steps(("stop", *start), differences(wish, seen) if start else ())


def _plan_running(wish: Wish, seen: Seen, outdated: tuple[str, ...]) -> Steps:
    stopping = seen.record.stopping if seen.record else None
    replaced = bool(stopping or (outdated and wish.restart_on_change))
    if replaced and not seen.inside:
        return Steps(("stop", "start"), outdated)
    deferred = None
    if replaced:
        what = f"was told to stop ({stopping})" if stopping else "is to be replaced"
        deferred = f"{wish.id} {what}, but this play runs inside it, so it was left running."
    return Steps(_plan_upkeep(seen), outdated, deferred)


def _plan_upkeep(seen: Seen) -> tuple[str, ...]:
    """Return the reload that changed files require, or that the pid file must be written again."""
    known = seen.record.reload_files if seen.record else None
    if seen.reload_files and known != dict(seen.reload_files):
        return ("reload",)
    return () if seen.record else ("record",)


def _too_many(wish: Wish, seen: Seen) -> str:
    name = signals.Signals(wish.stop_signal).name
    return (
        f"{wish.id} runs {len(seen.processes)} times: "
        + "; ".join(str(process) for process in seen.processes)
        + f". End all except one with kill -{name[3:]} PID, or all with state=stopped."
    )
