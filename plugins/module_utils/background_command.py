# Copyright: (c) 2026, The jgi.jaws engineers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The core of the background_command module: find the process, plan (pure), act.

The process is looked for in the pid file, then in environments, then in command lines. It is
identified by pid, start time and boot id, never by a pattern over process names.
"""

from __future__ import annotations

import json
import os
import signal as signals
import time
from dataclasses import replace
from datetime import datetime, timezone
from typing import Any, Callable

from .background.observation import Seen, find, find_recorded
from .background.pid_file import PidFile, PidRecord
from .background.planning import Steps, plan
from .background.spawn import ended_at_once, ended_within, open_log, rotate, spawn
from .background.wish import Wish, wish_from
from .errors import JawsError, keep_named_secrets
from .system.processes import PROC, Process, read_process, send_signal, started_at, terminate

KILL_SECONDS = 10.0


def converge(wish: Wish, state: str, check_mode: bool = False, proc: str = PROC) -> dict[str, Any]:
    """Bring the command to the state, and return the module's result.

    :raises JawsError: as the module's documentation lists under C(reason).
    """
    try:
        if check_mode:
            seen = find(wish, PidFile.peek(wish.pid_file), proc)
            return _report(wish, state, seen, plan(wish, state, seen), seen, proc)
        with PidFile.locked(wish.pid_file, wish.lock_timeout) as pid_file:
            seen = find(wish, pid_file.read(), proc)
            steps = plan(wish, state, seen)
            for action in steps.actions:
                _ACTIONS[action](wish, seen, pid_file, proc)
            after = find_recorded(pid_file.read(), proc)
            return _report(wish, state, seen, steps, after, proc)
    except OSError as error:
        raise JawsError(
            f"cannot manage {wish.id}: {error}. Correct the cause, then run this again.",
            "system_error",
        ) from error


def manage(params: dict[str, Any], check_mode: bool) -> dict[str, Any]:
    """Do what the task's options ask for, and return the module's result."""
    keep_named_secrets(params["environment"])
    return converge(wish_from(params), params["state"], check_mode)


def _start(wish: Wish, seen: Seen, pid_file: PidFile, proc: str) -> None:
    rotate(wish.log, wish.log_max_bytes, wish.log_backups)
    log = open_log(wish.log)
    try:
        offset = os.fstat(log).st_size
        pid = spawn(wish, log)
    finally:
        os.close(log)
    process = read_process(pid, proc)
    if process:
        about = {"definition": wish.definition, "revision": wish.revision}
        files = dict(seen.reload_files)
        record = _record(wish, process, proc, command=list(wish.argv), reload_files=files, **about)
        pid_file.write(record.text())
    status = ended_within(pid, wish.startsecs)
    if status is not None:
        pid_file.write("")
        raise ended_at_once(wish, status, offset)


def _stop(wish: Wish, seen: Seen, pid_file: PidFile, proc: str) -> None:
    name = signals.Signals(wish.stop_signal).name
    if seen.process:
        # Recorded first: if this play stops waiting, the next one must know that it is stopping.
        record = _adopt(wish, seen, seen.process, proc)
        stopping = record.stopping or f"{name} at {_timestamp(time.time())}"
        pid_file.write(replace(record, stopping=stopping).text())
    for process in seen.processes:
        _end(wish, process, proc)
    pid_file.write("")


def _end(wish: Wish, process: Process, proc: str) -> None:
    try:
        terminate(
            process,
            wish.stop_signal,
            timeout=wish.stop_timeout + (KILL_SECONDS if wish.kill else 0),
            kill_after=wish.stop_timeout if wish.kill else None,
            # A process that was started by hand may share its group with a shell script.
            group=wish.stop_group and process.pid == process.pgid,
            proc=proc,
        )
    except JawsError as error:
        raise JawsError(
            f"{wish.id}: {error} It may be finishing its work. Run this again to wait until it has "
            "ended; until then it is reported as stopping.",
            error.reason,
        ) from error


def _reload(wish: Wish, seen: Seen, pid_file: PidFile, proc: str) -> None:
    for process in seen.processes:
        if not send_signal(process, wish.reload_signal, proc=proc):
            raise JawsError(
                f"{wish.id} ended before it could be reloaded. See {wish.log}; run this again.",
                "ended_before_reload",
            )
        record = replace(
            _adopt(wish, seen, process, proc),
            reload_files=dict(seen.reload_files),
            reloaded_at=_timestamp(time.time()),
        )
        pid_file.write(record.text())


def _remember(wish: Wish, seen: Seen, pid_file: PidFile, proc: str) -> None:
    for process in seen.processes:
        pid_file.write(_adopt(wish, seen, process, proc).text())


_ACTIONS: dict[str, Callable[[Wish, Seen, PidFile, str], None]] = {
    "start": _start,
    "stop": _stop,
    "reload": _reload,
    "record": _remember,
}


# --- records and reports ------------------------------------------------------------------------


def _timestamp(seconds: float) -> str:
    return datetime.fromtimestamp(seconds, timezone.utc).strftime("%Y-%m-%dT%H:%M:%SZ")


def _adopt(wish: Wish, seen: Seen, process: Process, proc: str) -> PidRecord:
    """Return the existing record, or a new one for a process without a usable pid file."""
    about: dict[str, Any] = {"definition": seen.definition, "revision": seen.revision}
    about["reload_files"] = None if seen.reload_files else {}
    return seen.record or _record(wish, process, proc, command=list(process.cmdline), **about)


def _record(wish: Wish, process: Process, proc: str, **about: Any) -> PidRecord:
    since = _timestamp(started_at(process, proc))
    return PidRecord(*process.identity, id=wish.id, started_at=since, **about)


def _report(
    wish: Wish, state: str, before: Seen, steps: Steps, after: Seen, proc: str
) -> dict[str, Any]:
    process = after.process
    record = _adopt(wish, after, process, proc) if process else None
    return {
        "changed": bool(steps.actions),
        "actions": list(steps.actions),
        "outdated": list(steps.outdated),
        "deferred": steps.deferred,
        "found_by": before.found_by,
        "inside": before.inside,
        "running": bool(process),
        "pid": process.pid if process else None,
        "started_at": record.started_at if record else None,
        "reloaded_at": record.reloaded_at if record else None,
        "stopping": record.stopping if record else None,
        "command": record.command if record else list(wish.argv),
        "log": wish.log,
        "pid_file": wish.pid_file,
        "diff": _diff(wish, state, before, steps, proc),
        "warn": _warnings(wish, steps),
    }


def _warnings(wish: Wish, steps: Steps) -> list[str]:
    if steps.deferred:
        return [steps.deferred + " Run this again from a shell of your own."]
    if steps.outdated and "start" not in steps.actions and not wish.restart_on_change:
        changed = " and ".join(steps.outdated)
        return [f"{wish.id} is running with an outdated {changed}; restart it to apply the change."]
    return []


def _diff(wish: Wish, state: str, before: Seen, steps: Steps, proc: str) -> dict[str, str]:
    """Describe before and after, which are known beforehand; not the environment, a secret."""
    command = _adopt(wish, before, before.process, proc).command if before.process else None
    old = ["running: " + json.dumps(command) if command else "not running"]
    new = list(old)
    if "stop" in steps.actions or "start" in steps.actions:
        new = ["not running" if state == "stopped" else "running: " + json.dumps(list(wish.argv))]
        new += [f"because it changed: {what}" for what in steps.outdated]
    if "reload" in steps.actions:
        new.append(f"sent {signals.Signals(wish.reload_signal).name}")
    if "record" in steps.actions:
        new.append(f"pid file written: {wish.pid_file}")
    return {"before": "\n".join(old) + "\n", "after": "\n".join(new) + "\n"}
