# SPDX-License-Identifier: GPL-3.0-or-later
"""Replaces the script that ansible-test would download, so that all environments share one pip."""

import sysconfig
from pathlib import Path

# sanity.sh has put pip there; installing it into each environment would take seconds.
PIP = Path(__file__).with_name("pip")

Path(sysconfig.get_path("purelib"), "pip.pth").write_text(f"{PIP}\n")
