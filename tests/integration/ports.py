# SPDX-License-Identifier: GPL-3.0-or-later
"""Ports on loopback for the tests, each of which nobody else is given."""

from __future__ import annotations

import atexit
import socket
from contextlib import ExitStack

_reserved = ExitStack()
atexit.register(_reserved.close)


def reserve_port() -> int:
    """Return a port at which nobody listens, and which the kernel gives nobody until we end.

    A socket that does not listen stays bound to it: a server that is told the number may listen
    there, as every server that sets SO_REUSEADDR may, and a client is refused until it does.
    """
    holder = _reserved.enter_context(socket.socket())
    holder.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    holder.bind(("127.0.0.1", 0))
    return int(holder.getsockname()[1])
