# Copyright: (c) 2026, The jgi.jaws engineers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The core of the release_info module: an instance's releases, and which one is current."""

from __future__ import annotations

import time
from typing import Any

from .releases import history
from .releases.store import Record, Store
from .releases.verification import seen

# The parts of a release's record that are returned.
SHOWN = ["id", "created", "deploy", "activated", "author", "ci_job", "packages", "why"]


def inform(params: dict[str, Any], _check_mode: bool) -> dict[str, Any]:
    """Return one instance's releases, newest first, and the id of the current one."""
    store = Store(params["directory"], params["config"])
    known, conf = store.all(), store.conf()
    current = conf.release
    now = next((record for record in known if record["id"] == current), None)
    state = history.state(now, current) if now else None
    checks = now["health"] if now and params["health"] else {}
    return dict(
        changed=False,
        current=current,
        stop_seconds=conf.stop_seconds,
        state=state,
        title=current if state in ("good", None) else f"{current} ({state})",
        unproven_deploy=history.open_deploy(now),
        deploy=history.next_deploy(known, time.time()),
        health=seen(params["config"], checks) if checks else {},
        releases=[_shown(record, current) for record in known],
    )


def _shown(record: Record, current: str | None) -> dict[str, Any]:
    found = {key: record.get(key) for key in SHOWN}
    known = history.deploys(record, record["id"] == current)
    return dict(found, status=history.state(record, current), deploys=known)
