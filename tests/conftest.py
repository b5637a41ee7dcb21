# SPDX-License-Identifier: GPL-3.0-or-later
"""Signals as a shell in the foreground gives them, however the tests were started."""

from __future__ import annotations

import signal

# What a script starts in its background ignores these, with all that it starts: no test could send
# them to its own processes.
signal.signal(signal.SIGINT, signal.default_int_handler)
signal.signal(signal.SIGQUIT, signal.SIG_DFL)
