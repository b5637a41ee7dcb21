# SPDX-License-Identifier: GPL-3.0-or-later
"""jaws-central --log FILE --config FILE [--log-level LEVEL] COMMAND"""

from __future__ import annotations

import argparse
import threading
from typing import List, Optional

from . import config
from .standin import log, service
from .standin.behaviour import Behaviour
from .standin.ini import Ini, port
from .standin.web import Answer, Reply, problem, serve

COMMANDS = {
    "auth": "Start the OAuth server.",
    "rest": "Start the REST server.",
    "rpc": "Start the RPC server (series 2).",
    "rpc-server": "The same as rpc.",
}
DEFAULT_PORTS = {"auth": 3000, "rest": 5000}
API = "/api/v2"


def auth_answer(path: str) -> Reply:
    """Answer like the OAuth server without a token: nobody has one here."""
    if path == "/tokeninfo":
        return problem(401, "authentication failed: a stand-in knows no users")
    return problem(404, "not found")


def rest_answer(ini: Ini) -> Answer:
    """Return the REST server's answers; routes that need a token answer 401."""
    about = {key: ini.value("JAWS", key, str, "") for key in ("name", "version", "docs_url")}
    # It asks no site, so it does not say that one is up.
    status = {"JAWS-Central": "UP", **{f"{site}-Site": "Unknown" for site in config.sites(ini)}}

    def answer(path: str) -> Reply:
        if path == f"{API}/info":
            return 200, about
        if path == f"{API}/status":
            return 200, status
        if path.startswith(f"{API}/"):
            return problem(401, "authentication failed: a stand-in knows no users")
        return problem(404, "not found")

    return answer


def start(args: argparse.Namespace) -> int:
    """Read the configuration and serve until a signal; raise StandInError."""
    logger = log.setup(args.log, args.log_level)
    command = "rpc" if args.command == "rpc-server" else args.command
    ini = config.load(args.config, command)
    behaviour = Behaviour.from_ini(ini)
    log.announce(logger, args.config, ini.value("DB", "password", str))
    if command == "rpc":
        consumers = ini.value("RPC_SERVER", "num_threads", int, 5)
        service.start_threads([f"consumer-{n}" for n in range(consumers)], behaviour)
        behaviour.arm(logger)
        return service.stay_alive(
            logger, behaviour, lambda: f"rpc, {threading.active_count()} threads"
        )
    key = f"{command}_port"
    number = args.port or ini.value("HTTP", key, port, DEFAULT_PORTS[command])
    answer = auth_answer if command == "auth" else rest_answer(ini)
    behaviour.arm(logger)
    serve((args.host, number), f"[HTTP] {key} in {args.config}", answer, behaviour, logger)
    return 0


def main(argv: Optional[List[str]] = None) -> int:
    """Console script jaws-central."""
    parser, commands = service.arguments("jaws_central", "Stand-in for JAWS-Central.", COMMANDS)
    for name in DEFAULT_PORTS:
        commands[name].add_argument(
            "--host", default="127.0.0.1", help="address to listen on (the real one: 0.0.0.0)"
        )
        commands[name].add_argument("--port", type=port, help="instead of the one in the config")
    args = parser.parse_args(argv)
    return service.run(lambda: start(args))
