# SPDX-License-Identifier: GPL-3.0-or-later
"""Stands in for the script that ansible-test would download: all environments share one pip."""

import sysconfig
from pathlib import Path

# sanity.sh has put pip there; each environment's own would take seconds to install.
PIP = Path(__file__).with_name("pip")

Path(sysconfig.get_path("purelib"), "pip.pth").write_text(f"{PIP}\n")
