# Copyright: (c) 2026, The jgi.jaws engineers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The core of the release_info module: an instance's releases, and which one is current."""

from __future__ import annotations

import time
from typing import Any

from .releases.store import Store, next_deploy

# The parts of a release's record that are returned.
SHOWN = ["id", "status", "created", "deploy", "activated", "author", "ci_job", "packages", "why"]


def inform(params: dict[str, Any], _check_mode: bool) -> dict[str, Any]:
    """Return one instance's releases, newest first, and the id of the current one."""
    store = Store(params["directory"], params["config"])
    known = store.all()
    found = [{key: record.get(key) for key in SHOWN} for record in known]
    deploy = next_deploy(known, time.time())
    return dict(changed=False, current=store.conf().release, deploy=deploy, releases=found)
