# Copyright: (c) 2026, The jgi.jaws engineers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The core of the release_info module: an instance's releases, and which one is current."""

from __future__ import annotations

import time
from typing import Any, Sequence

from .releases import history
from .releases.store import Record, Store, compared
from .releases.verification import seen

# The parts of a release's record that are returned.
SHOWN = ["id", "created", "deploy", "activated", "author", "ci_job", "packages", "why"]
ABOUT = ["commit", "pipeline", "comment"]  # and its deploy's own author and job


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
        frozen=store.frozen,
        health=seen(params["config"], checks) if checks else {},
        releases=[_shown(record, now, known) for record in known],
        compared=_compared(params, current, {record["id"]: record for record in known}),
    )


def _shown(record: Record, now: Record | None, known: Sequence[Record]) -> dict[str, Any]:
    current = now["id"] if now else None
    found = {key: record.get(key) for key in SHOWN}
    found.update(dict.fromkeys(ABOUT), **history.about(record))
    back: Any = history.rollback(record)
    return dict(
        found,
        rollback=back and {key: back.get(key) for key in ("author", "ci_job", *ABOUT)},
        status=history.state(record, current),
        state=history.standing(record, now, known),
        deploys=history.deploys(record, record["id"] == current),
    )


def _compared(
    params: dict[str, Any], current: str | None, known: dict[str, Record]
) -> dict[str, Any] | None:
    """Return what differs between two releases, if this instance has both."""
    one, other = params["release"], params["against"] or current
    if one not in known or other not in known:
        return None
    return dict(releases=[one, other], changes=compared(known[one], known[other]))
