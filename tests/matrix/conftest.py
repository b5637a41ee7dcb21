# SPDX-License-Identifier: GPL-3.0-or-later
"""What run.py has installed: an environment for each ansible-core."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any

MATRIX: dict[str, Any] = json.loads(os.environ["JGI_JAWS_MATRIX"])
PYTHONS = {version["name"]: Path(version["python"]) for version in MATRIX["versions"]}
# The next version after each; after the newest comes the oldest.
NEIGHBOURS = dict(zip(PYTHONS, [*[*PYTHONS][1:], *PYTHONS], strict=False))
