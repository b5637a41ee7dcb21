# Copyright: (c) 2026, The jgi.jaws engineers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The core of the supervisord module: bring one daemon to a state."""

from __future__ import annotations

import os
import re
from contextlib import nullcontext, suppress
from typing import Any, Dict

from .errors import JawsError
from .supervisor.daemon import Daemon, Status, told_by, with_daemons
from .supervisor.instance_lock import locked_instance
from .supervisor.logs import Logs
from .supervisor.parser import ConfiguredProgram, refuse_missing, why_unusable
from .supervisor.presence import described, refuse_other_user, warnings
from .supervisor.running import Cleared, Instance, refuse_several
from .supervisor.states import Note
from .supervisor.trust import Trust

Result = Dict[str, Any]


def manage(params: dict[str, Any], check_mode: bool) -> Result:
    """Bring the daemon to C(params.state); see the supervisord module for the options.

    :raises JawsError: as the module's documentation lists under C(reason).
    """
    if params["state"] == "killed":
        return _kill(params, check_mode)
    try:
        if check_mode and not os.path.exists(params["config"]):
            return _absent(params["state"])
        return _manage(params, check_mode)
    except JawsError as error:
        raise with_daemons(error, params["config"]) from error


def _manage(params: dict[str, Any], check_mode: bool) -> Result:
    daemon, status, steps = _look(params)
    if not steps or check_mode:
        told = dict(warn=_losses(daemon, steps, status))
        return _joined(_result(daemon, steps, status, None if steps else status), told)
    with daemon.alone():
        # Another run may have changed it while we waited.
        daemon, status, steps = _look(params)
        losses = _losses(daemon, steps, status)
        told = _act(daemon, steps, status)
        told["warn"] = losses + told.get("warn", [])
        return _joined(_result(daemon, steps, status, daemon.status()), told)


def _refuse_watched(daemon: Daemon) -> None:
    """Refuse to fight against what starts a daemon again that was stopped.

    :raises JawsError: names the new one (still_running).
    """
    for process in daemon.comes_back():
        raise JawsError(
            f"supervisord ({daemon.config}) was stopped, and something has started it again "
            f"({process}), as systemd with Restart=always does. Stop it there.",
            "still_running",
            pids=[process.pid],
        )


def _joined(result: Result, told: Result) -> Result:
    return dict(result, **dict(told, warn=result["warn"] + told["warn"]))


def _losses(daemon: Daemon, steps: list[str], status: Status | None) -> list[str]:
    """Return a warning about variables that the programs had from the daemon's earlier start.

    Only names: a value may be a secret.
    """
    lost = daemon.lost(status) if status and steps == ["stop", "start"] else []
    if not lost:
        return []
    return [
        f"supervisord ({daemon.config}, pid {status.pid if status else ''}) was started with "
        f"variables that the restarted one does not have so: {', '.join(lost)}. If programs need "
        "them, set them in the option environment or in the configuration."
    ]


def _look(params: dict[str, Any]) -> tuple[Daemon, Status | None, list[str]]:
    """Return the daemon, its status, and the steps to take."""
    daemon, state = _daemon(params), params["state"]
    status = daemon.status()
    if status:
        _refuse_other_user(daemon, state, status)
    moved = bool(status and state == "reopened" and _logs(daemon, status).moved())
    left = _left(daemon, status, state)
    steps = plan(state, status is not None, left, moved)
    if "start" in steps:
        daemon.refuse_copies()
    return daemon, status, steps


def _daemon(params: dict[str, Any]) -> Daemon:
    options = ("python", "user", "timeout", "owner", "trusted_users", "identity")
    return Daemon(
        params["config"],
        params["supervisord_path"],
        environment=_environment(params["environment"] or {}),
        umask=params["umask"],
        **{option: params[option] for option in options},
    )


def _left(daemon: Daemon, status: Status | None, state: str) -> bool:
    """Return whether more runs than the daemon that answers and its programs.

    :raises JawsError: a second daemon runs, and this state does not end it (runs_twice).
    """
    if not status:  # a start ends that anyway
        return state == "stopped" and daemon.instance.remains()
    if state in ("stopped", "restarted", "reopened"):  # which end all, or nothing
        return False
    refuse_several(daemon.config, daemon.instance.daemons())
    return bool(daemon.predecessors(status.pid) or daemon.note.read())


def _logs(daemon: Daemon, status: Status) -> Logs:
    # Supervisor's parser refuses a file whose log's directory is gone.
    return Logs(daemon.client, status.pid, daemon.conf.log_file)


def _environment(given: dict[str, Any]) -> dict[str, str]:
    wrong = [name for name in given if not re.match(r"[^=\0]+\Z", name)]
    if wrong:
        raise JawsError(
            f"environment: {wrong[0]!r} is not the name of a variable. Correct it.", "bad_option"
        )
    return {name: str(value) for name, value in given.items()}


def _absent(state: str) -> Result:
    """Predict for an instance that only a play without check mode would have configured."""
    running = state not in ("stopped", "reopened")
    return dict(changed=running, running=running, pid=None, diff=_diff(False, running))


def plan(state: str, running: bool, left: bool = False, moved: bool = False) -> list[str]:
    """Return the steps from the present state to the wanted one.

    :param left: a daemon that lost its socket, or what a killed one has left, still runs.
    :param moved: logs are not the files that are written to any more.
    """
    if state == "reopened":
        return ["reopen"] if moved else []
    if state == "stopped":
        return ["stop", "clear"] if running else ["clear"] if left else []
    if not running:
        return ["start"]
    steps = {"started": [], "restarted": ["stop", "start"], "reloaded": ["reload"]}[state]
    return ["tidy"] if left and not steps else steps


def _kill(params: dict[str, Any], check_mode: bool) -> Result:
    """End all that runs with a configuration, by what the kernel knows; ask nobody."""
    config = os.path.abspath(params["config"])
    url, pid_file = told_by(config)
    instance = Instance(config, url, pid_file)
    running = bool(instance.daemons())
    changed = running or instance.remains(force=True)
    cleared: Cleared = dict(orphans=[], unreachable=[])
    if changed and not check_mode:
        there = os.path.isdir(os.path.dirname(config))
        lock = (config, pid_file, Trust(), params["timeout"])
        with locked_instance(*lock) if there else nullcontext():
            cleared = instance.clear(_known_programs(params), params["timeout"], force=True)
            Note(pid_file).remove()
    return dict(
        changed=changed, running=False, pid=None, cleared=cleared, diff=_diff(running, False)
    )


def _known_programs(params: dict[str, Any]) -> list[ConfiguredProgram]:
    """Return the programs as Supervisor's parser reads them, if it can: how they are stopped."""
    with suppress(JawsError):
        return _daemon(params).resolved.programs
    return []


def _refuse_other_user(daemon: Daemon, state: str, status: Status) -> None:
    """Refuse to leave a daemon running as the wrong user, or to change its user."""
    wanted = daemon.user
    if state == "restarted":  # then it would run as that user, or as us
        wanted = None if daemon.user else daemon.me
    if state not in ("stopped", "reopened"):
        refuse_other_user(daemon, wanted, status)


def _act(daemon: Daemon, steps: list[str], status: Status | None) -> Result:
    """Take the steps; return what the result says about them."""
    told: Result = {}
    # Do not stop what could not be started again.
    programs = daemon.check() if "start" in steps else []
    if "stop" in steps:
        refuse_missing(programs, daemon.config)
    before = daemon.look(programs) if steps == ["start"] else {}
    for step in steps:
        if step == "stop":
            before = daemon.stop(for_good="start" not in steps)
        elif step == "start":
            told.update(_start(daemon, programs))
            told["warn"] += daemon.restore(before)
        else:
            told.update(_others(daemon, step, status))
    return told


def _others(daemon: Daemon, step: str, status: Status | None) -> Result:
    """Take a step that neither stops nor starts the daemon that answers."""
    if step == "reload":
        return dict(warn=daemon.reload())
    if step == "reopen" and status:
        _logs(daemon, status).reopen(daemon.timeout)
    elif step == "clear":
        _refuse_watched(daemon)
        cleared = _clear(daemon)
        return dict(cleared=cleared, warn=_apart(daemon, cleared))
    elif step == "tidy":
        cleared = daemon.tidy()
        return dict(cleared=cleared, warn=daemon.restore(daemon.note.read()))
    return {}


APART = (
    "%s carries the marks of %s, but has a session of its own, as a batch job has, and was left "
    "alone. If it is not meant to run, state=killed ends it, with everything else of the instance."
)


def _apart(daemon: Daemon, cleared: Cleared) -> list[str]:
    """Return a warning about what a dead daemon has left, and was not ended with it."""
    found = daemon.instance.apart() if any(cleared.values()) else []
    return [APART % (", ".join(map(str, found)), daemon.config)] if found else []


def _rival(daemon: Daemon) -> list[str]:
    """Return a warning about a supervisord that something else has started in place of ours."""
    if not daemon.rival:
        return []
    return [
        f"Something else has started supervisord ({daemon.config}, pid {daemon.rival.pid}) in the "
        "meantime, as systemd with Restart=always does. It serves; but let only one of them "
        "start and stop it."
    ]


def _clear(daemon: Daemon) -> Cleared:
    """End what is left of a daemon that is down."""
    programs: list[ConfiguredProgram] = []
    with suppress(JawsError):  # then each program is stopped as is the default
        programs = daemon.resolved.programs
    cleared = daemon.clear(programs)
    daemon.note.remove()
    return cleared


def _start(daemon: Daemon, programs: list[ConfiguredProgram]) -> Result:
    """Start it; a program without its command does not stop the others from starting."""
    if daemon.is_replaced():
        return dict(warn=_rival(daemon))
    cleared = daemon.start(programs)
    return dict(
        cleared=cleared,
        warn=_apart(daemon, cleared)
        + _rival(daemon)
        + [
            f"{program.group}:{program.name} cannot run: there is no {why_unusable(program)}."
            for program in programs
            if not program.usable
        ],
    )


def _result(
    daemon: Daemon, steps: list[str], before: Status | None, after: Status | None
) -> Result:
    running = steps[-1] not in ("stop", "clear") if steps else bool(before)
    found = described(daemon, after)
    return dict(
        found,
        changed=bool(steps),
        running=running,
        warn=warnings(daemon, found),
        cleared=dict(orphans=[], unreachable=[]),
        diff=_diff(bool(before), running),
    )


def _diff(before: bool, after: bool) -> dict[str, str]:
    lines = {True: "supervisord is running\n", False: "supervisord is down\n"}
    return dict(before=lines[before], after=lines[after])
