# SPDX-License-Identifier: GPL-3.0-or-later
"""jaws-site --log FILE --config FILE [--log-level LEVEL] COMMAND"""

from __future__ import annotations

import argparse
import logging
import threading
from typing import Dict, List, Optional, Tuple

from . import config, daemons
from .standin import StandInError, log, service
from .standin.behaviour import Behaviour
from .standin.ini import Ini

OPTIONS: service.Options = {"--config": str, "--log": str}
ARGUMENTS: Dict[int, Tuple[service.Options, service.Commands]] = {
    1: (OPTIONS, {"server": {}, "daemon": {}}),
    2: ({**OPTIONS, "--log-level": str}, {"central-rpc": {}, "jtm-rpc": {}, "daemon": {}}),
    3: (
        {**OPTIONS, "--log-level": str, "--env-override": str},
        {"rpc-server": {}, **{name: {} for name in daemons.START}},
    ),
}
# With the main thread and that of the connection, not less than the four of the real daemon.
DAEMON_THREADS = ("active-runs", "run-status", "central-client")


def serve(args: argparse.Namespace) -> int:
    """Read the configuration and stay alive until a signal; raise StandInError."""
    logger = log.setup(args.log, getattr(args, "log_level", "INFO"))
    if getattr(args, "env_override", None):
        raise StandInError("--env-override has no stand-in")
    ini = config.load(args.config, args.command)
    behaviour = Behaviour.from_ini(ini)
    log.announce(logger, args.config, ini.value("DB", "password", str))
    start(ini, args.command, behaviour, logger)
    behaviour.arm(logger)
    return service.stay_alive(
        logger, behaviour, lambda: f"{args.command}, {threading.active_count()} threads"
    )


def start(ini: Ini, command: str, behaviour: Behaviour, logger: logging.Logger) -> None:
    """Connect, and start the threads of a command; raise StandInError."""
    if command in daemons.START:
        daemons.START[command](ini, behaviour, logger)
        return
    is_daemon, work = command == "daemon", service.Work(behaviour)
    if is_daemon:
        service.require_database(ini, "DB")
    section = config.broker_section(ini, command)
    if section is None:
        work.start(DAEMON_THREADS)
        return
    broker = service.broker_of(ini, section)
    service.require_broker(broker)
    if is_daemon:
        work.start(DAEMON_THREADS)
        # The real daemon never reconnects: it stays, and does nothing.
        service.watch(broker, work.end)
    else:
        work.consume(broker, config.queue(ini, section), config.consumers(ini, command))
        service.watch(broker, lambda: service.give_up(work, logger, broker))


def main(argv: Optional[List[str]] = None) -> int:
    """Console script jaws-site."""
    series = config.series(service.config_of("jaws_site", argv))
    args = service.arguments("jaws_site", *ARGUMENTS[series]).parse_args(argv)
    return service.run(lambda: serve(args))
