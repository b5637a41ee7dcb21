# SPDX-License-Identifier: GPL-3.0-or-later
"""jaws-central --log FILE --config FILE [--log-level LEVEL] COMMAND"""

from __future__ import annotations

import argparse
import logging
import threading
from typing import Dict, List, Optional, Tuple

from . import config
from .standin import log, service
from .standin.behaviour import Behaviour
from .standin.ini import Ini, port
from .standin.outside import is_away
from .standin.web import Answer, Headers, Reply, problem, serve

OPTIONS: service.Options = {"--config": str, "--log": str}
ARGUMENTS: Dict[int, Tuple[service.Options, service.Commands]] = {
    1: (OPTIONS, {"auth": {"--port": port}, "rest": {"--port": port}}),
    2: ({**OPTIONS, "--log-level": str}, {"auth": {}, "rest": {}, "rpc": {}}),
}
DEFAULT_PORTS = {"auth": 3000, "rest": 5000}
API = "/api/v2"
NOBODY = "authentication failed: a stand-in knows no users"


def auth_answer(ini: Ini) -> Answer:
    """Return the OAuth server's answers: nobody has a token, and it looks into the database."""
    database = service.database_of(ini, "DB")

    def answer(path: str, headers: Headers) -> Reply:
        if path != "/tokeninfo":
            return problem(404, "not found")
        if "Authorization" in headers and is_away(*database):
            return problem(500, "the database does not answer")
        return problem(401, NOBODY)

    return answer


def rest_answer(ini: Ini) -> Answer:
    """Return the REST server's answers; routes that need a token answer 401.

    Once it has lost a broker, only /info answers; the real one does not reconnect either.
    """
    about = {key: ini.value("JAWS", key, str, "") for key in ("name", "version", "docs_url")}
    status = {"JAWS-Central": "UP"}
    for site in config.sites(ini):
        # It asks no site, so it does not say that one is up.
        status.update({f"{site.upper()}-Site": "Unknown", f"{site.upper()}-RMQ": "UP"})
    lost = threading.Event()
    for broker in config.brokers(ini):
        service.require_broker(broker)
        service.watch(broker, lost.set)

    def answer(path: str, _headers: Headers) -> Reply:
        if path == f"{API}/info":
            return 200, about
        if not path.startswith(f"{API}/"):
            return problem(404, "not found")
        if lost.is_set():
            return problem(500, "the connection to RabbitMQ is lost")
        return (200, status) if path == f"{API}/status" else problem(401, NOBODY)

    return answer


def start(args: argparse.Namespace) -> int:
    """Read the configuration and serve until a signal; raise StandInError."""
    logger = log.setup(args.log, getattr(args, "log_level", "INFO"))
    ini = config.load(args.config)
    behaviour = Behaviour.from_ini(ini)
    log.announce(logger, args.config, ini.value("DB", "password", str))
    if args.command == "rpc":
        return serve_rpc(ini, behaviour, logger)
    service.require_database(ini, "DB")
    key = f"{args.command}_port"
    given = getattr(args, "port", None)
    number = given or ini.value("HTTP", key, port, DEFAULT_PORTS[args.command])
    answer = auth_answer(ini) if args.command == "auth" else rest_answer(ini)
    behaviour.arm(logger)
    where = f"[HTTP] {key} in {args.config}"
    serve(("127.0.0.1", number), where, answer, behaviour, logger)
    return 0


def serve_rpc(ini: Ini, behaviour: Behaviour, logger: logging.Logger) -> int:
    """Consume central's queue until a signal, or until the broker is away."""
    broker, work = service.broker_of(ini, "RPC_SERVER"), service.Work(behaviour)
    service.require_broker(broker)
    number = ini.value("RPC_SERVER", "num_threads", int, 5)
    work.consume(broker, ini.value("RPC_SERVER", "queue", str, "central_rpc"), number)
    service.watch(broker, lambda: service.give_up(work, logger, broker))
    behaviour.arm(logger)
    return service.stay_alive(logger, behaviour, lambda: f"rpc, {threading.active_count()} threads")


def main(argv: Optional[List[str]] = None) -> int:
    """Console script jaws-central."""
    series = config.series(service.config_of("jaws_central", argv))
    args = service.arguments("jaws_central", *ARGUMENTS[series]).parse_args(argv)
    return service.run(lambda: start(args))
