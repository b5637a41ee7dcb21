# Copyright: (c) 2026, The jgi.jaws engineers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The supervisord module: bring one daemon to a state."""

from __future__ import annotations

import os
import re
from contextlib import suppress
from typing import Any, Dict

from .errors import JawsError
from .supervisor.daemon import Daemon, Status
from .supervisor.logs import Logs
from .supervisor.parser import refuse_missing, why_unusable

Result = Dict[str, Any]

OUTDATED = (
    "supervisord (%s) still runs from an older installation. The playbook upgrade_supervisor "
    "restarts it, with all its programs, when that suits."
)


def manage(params: dict[str, Any], check_mode: bool) -> Result:
    """Bring the daemon to C(params.state); see the supervisord module for the options.

    :raises JawsError: as the module's documentation lists under C(reason).
    """
    if check_mode and not os.path.exists(params["config"]):
        return _absent(params["state"])
    daemon, status, steps = _look(params)
    if not steps or check_mode:
        told = dict(warn=_losses(daemon, steps, status))
        return _joined(_result(daemon, steps, status, None if steps else status), told)
    with daemon.alone():
        # Another run may have been at it while we waited.
        daemon, status, steps = _look(params)
        losses = _losses(daemon, steps, status)
        told = _act(daemon, steps, status)
        told["warn"] = losses + told.get("warn", [])
        return _joined(_result(daemon, steps, status, daemon.status()), told)


def _joined(result: Result, told: Result) -> Result:
    return dict(result, **dict(told, warn=result["warn"] + told["warn"]))


def _losses(daemon: Daemon, steps: list[str], status: Status | None) -> list[str]:
    """Return a warning of what the programs had from whoever started the daemon before.

    Only names: a value may be a secret.
    """
    lost = daemon.lost(status) if status and steps == ["stop", "start"] else []
    if not lost:
        return []
    return [
        f"supervisord ({daemon.config}, pid {status.pid if status else ''}) was started with "
        f"variables that the restarted one does not have so: {', '.join(lost)}. If programs need "
        "them, give them in the option environment, or in the configuration."
    ]


def _look(params: dict[str, Any]) -> tuple[Daemon, Status | None, list[str]]:
    """Return the daemon, how it is, and what is to be done."""
    options = ("python", "user", "timeout", "owner", "trusted_users")
    daemon = Daemon(
        params["config"],
        params["supervisord_path"],
        environment=_environment(params["environment"] or {}),
        umask=params["umask"],
        **{option: params[option] for option in options},
    )
    status = daemon.status()
    if status:
        _refuse_other_user(daemon, params["state"], status)
    # Only a stop asks what runs although the daemon is down: a start clears that anyhow.
    asked = not status and params["state"] == "stopped"
    leftovers = asked and bool(daemon.processes() or daemon.orphans())
    moved = bool(status and params["state"] == "reopened" and _logs(daemon, status).moved())
    return daemon, status, plan(params["state"], status is not None, leftovers, moved)


def _logs(daemon: Daemon, status: Status) -> Logs:
    # Supervisor's parser refuses a file whose log's directory is gone.
    return Logs(daemon.client, status.pid, daemon.conf.log_file)


def _environment(given: dict[str, Any]) -> dict[str, str]:
    wrong = [name for name in given if not re.match(r"[^=\0]+\Z", name)]
    if wrong:
        raise JawsError(f"environment: {wrong[0]!r} is no name of a variable.", "bad_option")
    return {name: str(value) for name, value in given.items()}


def _absent(state: str) -> Result:
    """Predict for an instance that a play which is no dry run would have configured by now."""
    running = state not in ("stopped", "reopened")
    return dict(changed=running, running=running, pid=None, diff=_diff(False, running))


def plan(state: str, running: bool, leftovers: bool = False, moved: bool = False) -> list[str]:
    """Return the steps from what is to what is wanted.

    :param leftovers: a daemon that lost its socket, or what a killed one has left, still runs.
    :param moved: logs are not the files that are written to any more.
    """
    if state == "reopened":
        return ["reopen"] if moved else []
    if state == "stopped":
        return ["stop"] if running else ["clear"] if leftovers else []
    if not running:
        return ["start"]
    return {"started": [], "restarted": ["stop", "start"], "reloaded": ["reload"]}[state]


def _refuse_other_user(daemon: Daemon, state: str, status: Status) -> None:
    """Refuse to leave a daemon running as another user than is wanted, or to make it another's."""
    wanted = daemon.user
    if state == "restarted":  # which makes it that user's, or would make it ours
        wanted = None if daemon.user else daemon.me
    if state in ("stopped", "reopened") or not wanted or status.user in (None, wanted):
        return
    advice = f"stop it as {status.user} (state stopped), then start it as {wanted}"
    if wanted == daemon.me:
        advice = f"run this as {status.user}, or {advice}"
    raise JawsError(
        f"supervisord ({daemon.config}) runs as {status.user} (pid {status.pid}), and you are "
        f"{daemon.me}; it should run as {wanted}. Nothing was changed: {advice}.",
        reason="foreign_owner",
    )


def _act(daemon: Daemon, steps: list[str], status: Status | None) -> Result:
    """Take the steps; return what the result says of them."""
    told: Result = {}
    # What could not be started again is not stopped.
    programs = daemon.check() if "start" in steps else []
    if "stop" in steps:
        refuse_missing(programs, daemon.config)
    for step in steps:
        if step == "stop" and status:
            daemon.stop(status.pid)
        elif step == "reload":
            daemon.reload()
        elif step == "reopen" and status:
            _logs(daemon, status).reopen(daemon.timeout)
        elif step == "clear":
            with suppress(JawsError):  # then each program is stopped as is the default
                programs = daemon.resolved.programs
            told["cleared"] = daemon.clear(programs)
        elif step == "start":
            # A program without its command does not stop the others from starting.
            told["cleared"] = daemon.start(programs)
            told["warn"] = [
                f"{program.group}:{program.name} cannot run: there is no {why_unusable(program)}."
                for program in programs
                if not program.usable
            ]
    return told


def _result(
    daemon: Daemon, steps: list[str], before: Status | None, after: Status | None
) -> Result:
    running = steps[-1] not in ("stop", "clear") if steps else bool(before)
    outdated = daemon.is_outdated(after) if after else None
    return dict(
        changed=bool(steps),
        running=running,
        url=daemon.endpoint.address,
        pid=after.pid if after else None,
        version=after.version if after else None,
        user=after.user if after else None,
        outdated=outdated,
        warn=[OUTDATED % daemon.config] if outdated else [],
        cleared=dict(orphans=[], unreachable=[]),
        diff=_diff(bool(before), running),
    )


def _diff(before: bool, after: bool) -> dict[str, str]:
    lines = {True: "supervisord is running\n", False: "supervisord is down\n"}
    return dict(before=lines[before], after=lines[after])
