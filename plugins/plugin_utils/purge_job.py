# Copyright: (c) 2026, The jgi.jaws engineers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The job that runs the weekly purge: what an earlier deploy has noted, and what this one wants.

Pure functions on the control node. The note is an empty file in the purge's own directory. Its name
consists of what runs the purge and a digest of how, such as C(cron.0123456789ab). So even a deploy
that may not see the job, which belongs to another user, knows whether it is up to date.
"""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Iterable, Mapping
from typing import Any

SCHEDULES = ("cron", "systemd_user")
DIGITS = 12


def purge_job(files: Iterable[Mapping[str, Any]], schedule: str, definition: Any) -> dict[str, Any]:
    """Return what was noted, and what must be noted.

    :param files: what is in the directory, as M(ansible.builtin.find) returns it.
    :param schedule: what runs the purge, one of C(SCHEDULES); empty for nothing.
    :param definition: everything that distinguishes the job from an earlier one.
    """
    names = sorted(os.path.basename(file["path"]) for file in files)
    noted = [name for name in names if _schedule(name) in SCHEDULES]
    wanted = f"{schedule}.{_digest(definition)}" if schedule else ""
    return {
        "schedules": sorted({_schedule(name) for name in noted}),
        "note": wanted,
        "obsolete": [name for name in noted if name != wanted],
        "is_noted": noted == ([wanted] if wanted else []),
    }


def _schedule(name: str) -> str:
    return name.partition(".")[0] if "." in name else ""


def _digest(definition: Any) -> str:
    return hashlib.sha256(json.dumps(definition).encode()).hexdigest()[:DIGITS]
