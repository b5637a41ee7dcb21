# SPDX-License-Identifier: GPL-3.0-or-later
"""Stand-in for the library AMQPStorm: as much of it as a health check needs."""

from __future__ import annotations

from typing import Dict

from .outside import Broker


class AMQPError(OSError):
    """Any failure."""


class AMQPConnectionError(AMQPError):
    """The broker does not answer."""


class Connection:
    """A connection, its one channel, and the queues of the channel."""

    def __init__(
        self,
        hostname: str,
        username: str,
        password: str,
        port: int = 5672,
        virtual_host: str = "/",
        **_options: float,
    ) -> None:
        self._broker = Broker(hostname, port, virtual_host, username, password)
        if self._broker.is_away:
            raise AMQPConnectionError("connection refused")

    @property
    def queue(self) -> Connection:
        """The operations on queues."""
        return self

    def channel(self) -> Connection:
        """Return a channel."""
        return self

    def declare(self, queue: str, **_options: bool) -> Dict[str, int]:
        """Return what is known about a queue."""
        return {"consumer_count": self._broker.consumers(queue)}

    def close(self) -> None:
        """Close the connection."""
