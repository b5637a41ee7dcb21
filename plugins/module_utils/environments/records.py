# Copyright: (c) 2026, The jgi.jaws engineers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What an environment records when it is complete."""

from __future__ import annotations

import json
import os
from typing import Any

MARKER = "jgi-jaws.json"


def read(path: str) -> dict[str, Any] | None:
    """Return the record of the environment at this path; None if it never was complete."""
    try:
        with open(os.path.join(path, MARKER), encoding="utf-8") as stream:
            found: dict[str, Any] = json.load(stream)
    except (FileNotFoundError, NotADirectoryError, ValueError):
        return None
    return found
