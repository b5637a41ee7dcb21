# SPDX-License-Identifier: GPL-3.0-or-later
"""The daemons of series 3, and how each of them fails."""

from __future__ import annotations

import logging
import os
import threading
import time
from typing import Callable, Dict

from .standin import service
from .standin.behaviour import Behaviour
from .standin.ini import Ini
from .standin.outside import LOOK_SECONDS, is_away

# Both are as long as in the real ones.
SCHEDULE_SECONDS = 10.0
RECONNECT_SECONDS = 60.0
# Of two connections to RabbitMQ, each has one that reads and one that consumes.
CLIENT_THREADS = ("central", "central-consumer", "reports", "reports-consumer")


def look_regularly(ini: Ini, behaviour: Behaviour, logger: logging.Logger) -> None:
    """End this process at the first of its looks at which the database refuses or is away.

    The first look is not at the start. The real daemons do not catch the error.
    """
    database = service.database_of(ini, "DB")

    def look() -> None:
        time.sleep(SCHEDULE_SECONDS * behaviour.second)
        while not is_away(*database):
            time.sleep(SCHEDULE_SECONDS * behaviour.second)
        logger.critical("Failed to select from db at %s:%d", *database[:2])
        os._exit(1)

    threading.Thread(target=look, name="schedule", daemon=True).start()


def start_runs(ini: Ini, behaviour: Behaviour, logger: logging.Logger) -> None:
    """Start the daemon of runs: it needs RabbitMQ at its start, and never connects again."""
    broker, work = service.broker_of(ini, "RMQ"), service.Work(behaviour)
    service.require_broker(broker)
    work.start(CLIENT_THREADS)
    service.watch(broker, work.end)
    look_regularly(ini, behaviour, logger)


def start_messages(ini: Ini, behaviour: Behaviour, logger: logging.Logger) -> None:
    """Start the consumer: without RabbitMQ, it stays and tries again."""
    broker = service.broker_of(ini, "RMQ")
    name = f"jaws_{ini.value('SITE', 'id', str)}_{ini.value('SITE', 'deployment', str)}"

    def consume() -> None:
        while True:
            if not broker.is_away:
                work = service.Work(behaviour)
                work.consume(broker, name, 1)
                while not broker.is_away:
                    time.sleep(LOOK_SECONDS)
                work.end()
            logger.error("no connection to RabbitMQ at %s:%d", broker.host, broker.port)
            time.sleep(RECONNECT_SECONDS * behaviour.second)

    threading.Thread(target=consume, name="messages", daemon=True).start()


# The daemon of transfers needs the database only.
START: Dict[str, Callable[[Ini, Behaviour, logging.Logger], None]] = {
    "run-daemon": start_runs,
    "transfer-daemon": look_regularly,
    "message-consumer": start_messages,
}
