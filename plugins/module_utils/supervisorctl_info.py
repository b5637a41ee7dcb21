# Copyright: (c) 2026, The jgi.jaws engineers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The core of the supervisorctl_info module: which programs there are, and their states."""

from __future__ import annotations

import time
from typing import Any, Sequence

from .supervisor import daemon_log
from .supervisor.client import Supervisor
from .supervisor.endpoint import SupervisordConf, endpoint_for
from .supervisor.installation import is_of_another_installation
from .supervisor.observation import observe, settings
from .supervisor.programs import Program, has_done, process_of, select_known

HOUR = 3600
WELL = ("RUNNING", "STOPPED")


def inform(params: dict[str, Any], _check_mode: bool) -> dict[str, Any]:
    """Return the programs of one supervisord, or those that C(params.name) matches.

    :raises JawsError: supervisord does not answer, or a name matches no program.
    """
    outdated = None
    with Supervisor(endpoint_for(params)) as client:
        programs = observe(client).programs
        # The answer is long, and seldom needed.
        known = settings(client) if any(one.state == "EXITED" for one in programs) else {}
        if params["python"]:
            pid = client.call("supervisor.getPID")
            outdated = is_of_another_installation(pid, params["python"])
    details = _explained(programs, params["config"]) if params["explain"] else {}
    if params["name"] is not None:
        programs = select_known(programs, params["name"])
    shown = [dict(program.as_dict(), **details.get(program.name, {})) for program in programs]
    done = [program.name for program in programs if has_done(program, known.get(program.name))]
    now = int(time.time())
    return dict(changed=False, programs=shown, done=done, outdated=outdated, now=now)


def _explained(programs: Sequence[Program], config: str) -> dict[str, dict[str, Any]]:
    """Return by program how often it was restarted, and why it is not well.

    supervisord's log does not name the group, so a name in several groups has no history.
    """
    events = daemon_log.read(SupervisordConf(config).log_file)
    inside = [process_of(program.name) for program in programs]
    found = {}
    for program, name in zip(programs, inside):
        known = events if inside.count(name) == 1 else None
        well = program.state in WELL
        found[program.name] = dict(
            restarts=None
            if known is None
            else daemon_log.restarts(known, name, time.time() - HOUR),
            ended=None if well or known is None else daemon_log.last_end(known, name),
            last_line=None if well else daemon_log.last_line(program, known or []),
        )
    return found
