# SPDX-License-Identifier: GPL-3.0-or-later
"""Ports on loopback for the tests, which nobody else gets."""

from __future__ import annotations

import atexit
import socket
from contextlib import ExitStack

_reserved = ExitStack()
atexit.register(_reserved.close)


def reserve_port() -> int:
    """Return a port at which nobody listens, and which the kernel assigns to nobody until we end.

    A socket that does not listen stays bound to it. A server that knows the number may listen
    there if it sets SO_REUSEADDR; until then, a client is refused.
    """
    holder = _reserved.enter_context(socket.socket())
    holder.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    holder.bind(("127.0.0.1", 0))
    return int(holder.getsockname()[1])
