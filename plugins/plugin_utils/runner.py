# Copyright: (c) 2026, The jgi.jaws engineers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What a deploy must know about a gitlab-runner: its state, and what keeps it from running.

Pure functions on the control node, the same for every manager of the runner.
"""

from __future__ import annotations

import os
from collections.abc import Collection, Iterable, Mapping, Sequence
from typing import Any

from ansible.module_utils.parsing.convert_bool import boolean

from ..module_utils import toml

DISABLE = (
    "{units} would start this runner a second time. As {user}, run `systemctl --user disable --now "
    "UNIT`, which waits for running jobs, and remove the file."
)
LINGER = (
    "{user} does not linger: its services would end at logout and not start at boot. Ask the "
    "site's administrators to run `loginctl enable-linger {user}`."
)

Result = Mapping[str, Any]

# What M(jgi.jaws.background_command) returns about a command that does not run.
DOWN: Result = {"running": False}


def runner_state(
    looks: Sequence[Result],
    restarts: bool | str = True,
    main_pid: int | str | None = None,
    reload: bool | str = False,
    acted: bool | str = False,
) -> dict[str, Any]:
    """Return the state of the runner, and the state that its unit must be brought to.

    :param looks: what M(jgi.jaws.background_command) returned, the latest result last. A task that
        was skipped, or has not run yet, does not count.
    :param restarts: whether what keeps the runner running starts it again when it ends.
    :param main_pid: the runner's pid according to its unit; None if it has no unit.
    :param reload: whether the configuration has changed.
    :param acted: whether the unit was started, reloaded or restarted after the last result.
    """
    now = [look for look in (DOWN, *looks) if "running" in look][-1]
    running = boolean(now["running"])
    due = running and boolean(restarts) and _has_to_end(now, main_pid)
    return {
        "running": running,
        "due": due,
        "new": boolean(acted),
        "unit_state": "restarted" if due else "reloaded" if boolean(reload) else "started",
        # GitLab shows a runner as online for hours: only a contact after this time counts.
        "since": (now.get("reloaded_at") or now["started_at"]) if running else "",
    }


def _has_to_end(look: Result, main_pid: int | str | None) -> bool:
    """Return whether the runner was not started by the unit, or is outdated.

    An outdated runner that the play itself runs in is left alone.
    """
    is_unit = main_pid is None or str(look["pid"]) == str(main_pid)
    return not is_unit or (bool(look["outdated"]) and not boolean(look["inside"]))


def runner_config(settings: Mapping[str, Any], global_settings: Mapping[str, Any]) -> str:
    """Return a C(config.toml) with one runner; a setting without a value is left out."""
    return toml.dump(toml.from_data({**global_settings, "runners": [settings]}))


def is_in_own_job(runner_id: int | str | None, url: str, job_runner: str, job_url: str) -> bool:
    """Return whether the play runs in a job of this runner.

    A job that returns to its runner's host by ssh is not a child of the runner there, but it has
    these variables in its environment.

    :param runner_id: the runner's number, if GitLab reported it.
    :param url: the address of GitLab.
    :param job_runner: C(CI_RUNNER_ID) in the environment of the play.
    :param job_url: C(CI_SERVER_URL) in the environment of the play.
    """
    return job_runner == str(runner_id) and job_url.rstrip("/") == url.rstrip("/")


def runner_obstacles(
    seen: Result,
    own_units: Collection[str] = (),
    needs_lingering: bool | str = False,
    binary: Result | None = None,
    path: str = "",
    sha256: str = "",
) -> list[str]:
    """Return a sentence for each thing on the host or at GitLab that keeps the runner from running.

    :param seen: what M(jgi.jaws.gitlab_runner_info) returned.
    :param own_units: the names of the units that are written for this runner.
    :param needs_lingering: whether the runner would end when its user logs out.
    :param binary: what M(ansible.builtin.stat) returned about a binary that is already on the host.
    :param path: its path.
    :param sha256: the digest that it must have, if any.
    """
    found = []
    # A wrong token is a reason to stop here. GitLab being down is not: the runner is started.
    if seen["valid"] is False:
        found.append(f"{seen['saw']} Put the runner's authentication token into the vault.")
    units = _others(seen["units"], own_units)
    if units:
        found.append(DISABLE.format(units=" ".join(units), user=seen["user"]))
    if boolean(needs_lingering) and not boolean(seen["lingering"]):
        found.append(LINGER.format(user=seen["user"]))
    return found + _unfit(binary, path, sha256)


def _others(units: Iterable[str], own: Collection[str]) -> list[str]:
    return [unit for unit in units if os.path.basename(unit) not in own]


def _unfit(binary: Result | None, path: str, sha256: str) -> list[str]:
    """Return what is wrong with a binary on the host; nothing if it was not looked at."""
    if not binary or "stat" not in binary:
        return []
    stat = binary["stat"]
    if not boolean(stat.get("executable", False)):
        return [f"{path} does not exist or is not executable."]
    if sha256 not in ("", stat["checksum"]):
        return [f"{path} does not match gitlab_runner_binary_sha256."]
    return []
