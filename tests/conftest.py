# SPDX-License-Identifier: GPL-3.0-or-later
"""Reset signals to what a foreground shell has, however the tests were started."""

from __future__ import annotations

import signal

# A background job of a script ignores these, and so do its children: then no test could send
# them to its own processes.
signal.signal(signal.SIGINT, signal.default_int_handler)
signal.signal(signal.SIGQUIT, signal.SIG_DFL)
