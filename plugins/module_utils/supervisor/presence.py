# Copyright: (c) 2026, The jgi.jaws engineers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Whether a supervisord runs, and as it should; nothing here changes anything."""

from __future__ import annotations

from typing import Any, Dict

from ..errors import JawsError
from .daemon import Daemon, Status
from .running import refuse_several

OUTDATED = (
    "supervisord (%s) still runs from an older installation. Run the playbook upgrade_supervisor "
    "when it may be restarted with all of its programs."
)

Presence = Dict[str, Any]


def ask(daemon: Daemon) -> Presence:
    """Return what C(described) does.

    :raises JawsError: it runs, but not as it should: as another user (foreign_owner) or twice
        (runs_twice); or it cannot be asked.
    """
    status = daemon.status()
    if status:
        refuse_other_user(daemon, daemon.user, status)
        refuse_several(daemon.config, daemon.instance.daemons())
    return described(daemon, status)


def described(daemon: Daemon, status: Status | None) -> Presence:
    """Return what modules say about a daemon; it is down if there is no status."""
    return dict(
        url=daemon.endpoint.address,
        pid=status.pid if status else None,
        version=status.version if status else None,
        user=status.user if status else None,
        outdated=daemon.is_outdated(status) if status else None,
    )


def warnings(daemon: Daemon, found: Presence) -> list[str]:
    """Return what people should know about it."""
    return [OUTDATED % daemon.config] if found["outdated"] else []


def refuse_other_user(daemon: Daemon, wanted: str | None, status: Status) -> None:
    """Refuse a daemon that runs as the wrong user.

    :raises JawsError: names both accounts (foreign_owner).
    """
    if not wanted or status.user in (None, wanted):
        return
    advice = f"stop it as {status.user} (state stopped), then start it as {wanted}"
    if wanted == daemon.me:
        advice = f"run this as {status.user}, or {advice}"
    raise JawsError(
        f"supervisord ({daemon.config}) runs as {status.user} (pid {status.pid}), and you are "
        f"{daemon.me}; it should run as {wanted}. Nothing was changed: {advice}.",
        reason="foreign_owner",
    )
