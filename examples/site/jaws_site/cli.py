# SPDX-License-Identifier: GPL-3.0-or-later
"""jaws-site --log FILE --config FILE [--log-level LEVEL] COMMAND"""

from __future__ import annotations

import argparse
import threading
from typing import List, Optional

from . import config
from .standin import log, service
from .standin.behaviour import Behaviour

COMMANDS = {
    "server": "Start the RPC server (series 1).",
    "daemon": "Start the daemon.",
    "central-rpc": "Start the RPC server for Central (series 2).",
    "jtm-rpc": "Start the RPC server for JTM (series 2).",
}
# With the main thread, these are the four that the real daemon has at least.
DAEMON_THREADS = ("active-runs", "run-status", "central-client")


def serve(args: argparse.Namespace) -> int:
    """Read the configuration and stay alive until a signal; raise StandInError."""
    logger = log.setup(args.log, args.log_level)
    ini = config.load(args.config, args.command)
    behaviour = Behaviour.from_ini(ini)
    log.announce(logger, args.config, ini.value("DB", "password", str))
    if args.command == "daemon":
        names = list(DAEMON_THREADS)
    else:
        names = [f"consumer-{n}" for n in range(config.consumers(ini, args.command))]
    service.start_threads(names, behaviour)
    behaviour.arm(logger)
    return service.stay_alive(
        logger, behaviour, lambda: f"{args.command}, {threading.active_count()} threads"
    )


def main(argv: Optional[List[str]] = None) -> int:
    """Console script jaws-site."""
    parser, _commands = service.arguments("jaws_site", "Stand-in for JAWS-Site.", COMMANDS)
    args = parser.parse_args(argv)
    return service.run(lambda: serve(args))
