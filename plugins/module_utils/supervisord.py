# Copyright: (c) 2026, The jgi.jaws engineers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The supervisord module: bring one daemon to a state."""

from __future__ import annotations

import os
from typing import Any, Dict, List, Optional

from ansible_collections.jgi.jaws.plugins.module_utils import conf
from ansible_collections.jgi.jaws.plugins.module_utils.daemon import Daemon, Status


def manage(params: Dict[str, Any], check_mode: bool) -> Dict[str, Any]:
    """Bring the daemon to C(params.state); see the supervisord module for the options.

    :raises JawsError: as the module's documentation lists under C(reason).
    """
    if check_mode and not os.path.exists(params["config"]):
        return _absent(params)
    daemon = Daemon(
        params["config"],
        params["supervisord_path"],
        params["python"],
        params["user"],
        params["timeout"],
    )
    status = daemon.status()
    steps = plan(params["state"], status is not None)
    cleared = {} if check_mode else _act(daemon, steps, status)
    after = status if check_mode or not steps else daemon.status()
    running = bool(status) if not steps else steps[-1] != "stop"
    return dict(
        changed=bool(steps),
        running=running,
        url=daemon.endpoint.url,
        pid=after.pid if after else None,
        version=after.version if after else None,
        cleared=dict({"orphans": [], "unreachable": []}, **cleared),
        diff=dict(before=_line(bool(status)), after=_line(running)),
    )


def _absent(params: Dict[str, Any]) -> Dict[str, Any]:
    """Predict for an instance that would have been configured by now, had the play not been a dry run."""
    running = params["state"] != "stopped"
    return dict(changed=running, running=running, pid=None, diff=dict(before=_line(False), after=_line(running)))


def plan(state: str, running: bool) -> List[str]:
    """Return the steps from what is to what is wanted."""
    if state == "stopped":
        return ["stop"] if running else []
    if not running:
        return ["start"]
    return {"started": [], "restarted": ["stop", "start"], "reloaded": ["reload"]}[state]


def _act(daemon: Daemon, steps: List[str], status: Optional[Status]) -> Dict[str, Any]:
    cleared: Dict[str, Any] = {}
    if "stop" in steps and "start" in steps:
        # What could not be started again is not stopped.
        daemon.refuse_wrong_user()
        conf.validate(daemon.config, daemon.python)
    for step in steps:
        if step == "stop" and status:
            daemon.stop(status.pid)
        elif step == "reload":
            daemon.reload()
        elif step == "start":
            cleared = daemon.start()
    return cleared


def _line(running: bool) -> str:
    return "supervisord is %s\n" % ("running" if running else "down")
