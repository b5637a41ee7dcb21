# SPDX-License-Identifier: GPL-3.0-or-later
"""RabbitMQ and the databases, which stand-ins do not have.

Both are always there and let everybody in, unless a test says that one is away, or which password
is right.

A consumer is a socket in Linux's abstract namespace that nobody connects to. Its name carries a
digest of the connection and the queue, so every process of the machine can count consumers in
/proc/net/unix, and a consumer ends with its process. What is away, and which password is right, is
said in the same way.
"""

from __future__ import annotations

import hashlib
import itertools
import os
import socket
from typing import List, NamedTuple

PREFIX = "@jaws-stand-in"
LOOK_SECONDS = 0.3
# As long as the real services try; longer than the usual startsecs.
RETRY_SECONDS = 4.0
_numbers = itertools.count()


def names() -> List[str]:
    """Return the names of all our sockets on this machine."""
    with open("/proc/net/unix", encoding="utf-8", errors="replace") as stream:
        fields = [line.split() for line in stream]
    return [line[7] for line in fields if len(line) > 7 and line[7].startswith(PREFIX)]


def bind(name: str) -> socket.socket:
    """Return a socket with the name, which exists until the socket is closed."""
    found = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
    found.bind("\0" + name[1:])
    return found


def away(host: str, port: int) -> str:
    """Return the name of the socket that says that nothing answers at this address."""
    return f"{PREFIX}/away/{host}:{port}"


def right(host: str, port: int, password: str) -> str:
    """Return the name of the socket that says that this password is right at this address."""
    return f"{PREFIX}/right/{host}:{port}/{hashlib.sha256(password.encode()).hexdigest()[:32]}"


def is_away(host: str, port: int, password: str) -> bool:
    """Return whether nothing answers at this address, or refuses this password."""
    found, mine = names(), right(host, port, password)
    known = [name for name in found if name.startswith(mine.rpartition("/")[0] + "/")]
    return away(host, port) in found or (bool(known) and mine not in known)


class Broker(NamedTuple):
    """A connection to RabbitMQ."""

    host: str
    port: int
    vhost: str
    user: str
    password: str

    @property
    def is_away(self) -> bool:
        """Whether the broker does not answer, or refuses the password."""
        return is_away(self.host, self.port, self.password)

    def consumers(self, queue: str) -> int:
        """Return how many consumers the queue has."""
        return sum(name.startswith(self._prefix(queue)) for name in names())

    def consume(self, queue: str) -> socket.socket:
        """Return a new consumer of the queue, which ends when it is closed."""
        return bind(f"{self._prefix(queue)}{os.getpid()}.{next(_numbers)}")

    def _prefix(self, queue: str) -> str:
        text = "\0".join([*map(str, self), queue])
        return f"{PREFIX}/{hashlib.sha256(text.encode()).hexdigest()[:32]}/"
