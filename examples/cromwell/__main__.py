# SPDX-License-Identifier: GPL-3.0-or-later
"""Entry of cromwell.jar, a Python zip application."""

import sys

from jaws_cromwell.cli import main

sys.exit(main(sys.argv[1:]))
