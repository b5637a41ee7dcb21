# SPDX-License-Identifier: GPL-3.0-or-later
"""What run.py has installed: an environment with each ansible-core."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any

MATRIX: dict[str, Any] = json.loads(os.environ["JGI_JAWS_MATRIX"])
PYTHONS = {version["name"]: Path(version["python"]) for version in MATRIX["versions"]}
# The one after each, and after the newest the oldest.
NEIGHBOURS = dict(zip(PYTHONS, [*[*PYTHONS][1:], *PYTHONS], strict=False))
