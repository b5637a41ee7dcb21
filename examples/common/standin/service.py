# SPDX-License-Identifier: GPL-3.0-or-later
"""The frame of a stand-in: command line, exit status, worker threads, heartbeat."""

from __future__ import annotations

import argparse
import logging
import os
import socket
import threading
import time
from typing import Callable, Iterable, List, Mapping, Optional, Tuple

from . import StandInError
from .behaviour import Behaviour
from .ini import Ini
from .log import LEVELS, NAME
from .outside import LOOK_SECONDS, RETRY_SECONDS, Broker, is_away

HEARTBEAT_SECONDS = 5.0


# Of a series: the kinds of the values of its options, and of those of each command.
Options = Mapping[str, Callable[[str], object]]
Commands = Mapping[str, Options]


def config_of(package: str, argv: Optional[List[str]]) -> str:
    """Return the path of the configuration, from which a stand-in knows its series."""
    parser = argparse.ArgumentParser(add_help=False, allow_abbrev=False)
    parser.add_argument("--config", default=_fallback(package, "config", "conf"))
    return str(parser.parse_known_args(argv)[0].config)


def arguments(package: str, options: Options, commands: Commands) -> argparse.ArgumentParser:
    """Return the parser of jaws-site or jaws-central, which differs from series to series.

    As with the real ones, JAWS_SITE_LOG and the like are used if an option is not given, and
    without both a file in the working directory that is named after the package.
    """
    parser = argparse.ArgumentParser(
        prog=package.replace("_", "-"), description="A stand-in.", allow_abbrev=False
    )
    fallbacks = {
        "--config": _fallback(package, "config", "conf"),
        "--log": _fallback(package, "log", "log"),
        "--log-level": "INFO",
        "--env-override": None,
    }
    for name, kind in options.items():
        choices = LEVELS if name == "--log-level" else None
        parser.add_argument(name, type=kind, default=fallbacks[name], choices=choices)
    choices_of = parser.add_subparsers(dest="command", required=True)
    for command, own in commands.items():
        added = choices_of.add_parser(command, allow_abbrev=False)
        for name, kind in own.items():
            added.add_argument(name, type=kind)
    return parser


def _fallback(package: str, option: str, suffix: str) -> str:
    variable = f"{package.upper()}_{option.upper()}"
    return os.environ.get(variable, os.path.join(os.getcwd(), f"{package}.{suffix}"))


def run(body: Callable[[], int]) -> int:
    """Return the exit status of `body`; a StandInError is one line on standard error and 1."""
    try:
        return body()
    except StandInError as error:
        # If the logger has no handlers yet, logging itself writes this to standard error.
        logging.getLogger(NAME).critical("%s", error)
        return 1
    except KeyboardInterrupt:
        return 130


def require_database(ini: Ini, section: str) -> None:
    """Raise StandInError while the database is away or refuses the password."""
    host, port, password = database_of(ini, section)
    if is_away(host, port, password):
        raise StandInError(f"the database at {host}:{port} does not answer")


def database_of(ini: Ini, section: str) -> Tuple[str, int, str]:
    """Return the address of a database, and the password."""
    return (
        ini.value(section, "host", str, "localhost"),
        ini.value(section, "port", int, 3306),
        ini.value(section, "password", str),
    )


def broker_of(ini: Ini, section: str, prefix: str = "") -> Broker:
    """Return the connection that a section describes."""
    return Broker(
        ini.value(section, f"{prefix}host", str, "localhost"),
        ini.value(section, f"{prefix}port", int, 5672),
        ini.value(section, f"{prefix}vhost", str, "/"),
        ini.value(section, f"{prefix}user", str, "guest"),
        ini.value(section, f"{prefix}password", str, "guest"),
    )


def require_broker(broker: Broker) -> None:
    """Wait a little for a broker that is away; raise StandInError if it stays away."""
    deadline = time.monotonic() + RETRY_SECONDS
    while broker.is_away:
        if time.monotonic() > deadline:
            raise StandInError(f"RabbitMQ at {broker.host}:{broker.port} does not answer")
        time.sleep(LOOK_SECONDS)


class Work:
    """The threads and the consumers of a service: they end together, and do not come back."""

    def __init__(self, behaviour: Behaviour) -> None:
        self._end = threading.Event()
        self._consumers: List[socket.socket] = []
        self._unhealthy = behaviour.unhealthy

    def start(self, names: Iterable[str]) -> None:
        """Start one idle thread per name; an unhealthy service runs without them."""
        for name in () if self._unhealthy else names:
            threading.Thread(target=self._end.wait, name=name, daemon=True).start()

    def consume(self, broker: Broker, queue: str, number: int) -> None:
        """Start consumers of the queue, each in a thread."""
        self.start(f"consumer-{one}" for one in range(number))
        wanted = 0 if self._unhealthy else number
        self._consumers += [broker.consume(queue) for _number in range(wanted)]

    def end(self) -> None:
        """End all of it."""
        self._end.set()
        for consumer in self._consumers:
            consumer.close()


def watch(broker: Broker, lost: Callable[[], None]) -> None:
    """Call a function in a thread of its own as soon as the broker is away."""

    def look() -> None:
        while not broker.is_away:
            time.sleep(LOOK_SECONDS)
        lost()

    threading.Thread(target=look, name="broker", daemon=True).start()


def give_up(work: Work, logger: logging.Logger, broker: Broker) -> None:
    """End this process as a service does that has lost its broker."""
    work.end()
    logger.critical("lost the connection to RabbitMQ at %s:%d", broker.host, broker.port)
    os._exit(1)


def stay_alive(
    logger: logging.Logger,
    behaviour: Behaviour,
    state: Callable[[], str],
    seconds: float = HEARTBEAT_SECONDS,
) -> int:
    """Log `state` every few seconds until a signal ends the process; unhealthy is silent."""
    while True:
        if not behaviour.unhealthy:
            logger.info("heartbeat: %s", state())
        time.sleep(seconds)
