# SPDX-License-Identifier: GPL-3.0-or-later
"""Stand-in for the library MySQL Connector: as much of it as a health check needs."""

from __future__ import annotations

from .outside import is_away


class Error(Exception):
    """Any failure."""


class Connection:
    """A connection to a database."""

    def close(self) -> None:
        """Close the connection."""


def connect(host: str, port: int, password: str, **_options: object) -> Connection:
    """Connect to a database; raise Error while it is away or refuses the password."""
    if is_away(host, port, password):
        raise Error("connection refused")
    return Connection()
