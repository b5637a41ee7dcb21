# Copyright: (c) 2026, The jgi.jaws engineers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The core of the supervisorctl_info module: which programs there are, and their states."""

from __future__ import annotations

from typing import Any

from .supervisor.client import Supervisor
from .supervisor.endpoint import endpoint_for
from .supervisor.installation import is_of_another_installation
from .supervisor.observation import observe, settings
from .supervisor.programs import has_done, select_known


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
    if params["name"] is not None:
        programs = select_known(programs, params["name"])
    shown = [program.as_dict() for program in programs]
    done = [program.name for program in programs if has_done(program, known.get(program.name))]
    return dict(changed=False, programs=shown, done=done, outdated=outdated)
