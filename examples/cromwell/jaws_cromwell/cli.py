# SPDX-License-Identifier: GPL-3.0-or-later
"""java -Dconfig.file=FILE -jar cromwell.jar server"""

from __future__ import annotations

import os
import signal
import sys
from typing import Any, Dict, List, Tuple

from . import hocon
from .standin import StandInError, log, service
from .standin.behaviour import Behaviour
from .standin.web import Headers, Reply, problem, serve

STATUS = "/engine/v1/status"
# The exit status of a Java process that ends on SIGTERM.
TERMINATED = 143


def answer(path: str, _headers: Headers) -> Reply:
    """Answer the engine's status; there are no workflows to ask for."""
    return (200, {}) if path == STATUS else problem(404, "not found")


def split(argv: List[str]) -> Tuple[Dict[str, str], List[str]]:
    """Return the -D properties as a mapping, and the other arguments."""
    properties = dict(item[2:].partition("=")[::2] for item in argv if item.startswith("-D"))
    return properties, [item for item in argv if not item.startswith("-D")]


def read(path: str) -> Dict[str, Any]:
    """Return the settings in the file; raise StandInError when it is broken."""
    try:
        with open(path, encoding="utf-8") as stream:
            return hocon.parse(stream.read(), path)
    except OSError as error:
        raise StandInError(f"{path} cannot be read: {error.strerror}") from None
    except UnicodeDecodeError as error:
        raise StandInError(f"{path} is not UTF-8 at byte {error.start}") from None


def address(settings: Dict[str, Any], path: str) -> Tuple[str, int]:
    """Return where to listen; raise StandInError if webservice does not say it."""
    web = settings.get("webservice")
    if not isinstance(web, dict) or "port" not in web:
        raise StandInError(f"{path}: webservice.port is missing")
    port, interface = web["port"], web.get("interface", "127.0.0.1")
    if isinstance(port, bool) or not isinstance(port, int) or not 1 <= port <= 65535:
        raise StandInError(f"{path}: webservice.port must be a number from 1 to 65535")
    if not isinstance(interface, str):
        raise StandInError(f"{path}: webservice.interface must be a string")
    return interface, port


def password(settings: Dict[str, Any]) -> Any:
    """Return database.db.password, or None: without a database, Cromwell works in memory."""
    found: Any = settings
    for key in ("database", "db", "password"):
        found = found.get(key) if isinstance(found, dict) else None
    return found if isinstance(found, str) else None


def start(argv: List[str]) -> int:
    """Read the file of -Dconfig.file and serve until SIGTERM; raise StandInError."""
    properties, arguments = split(argv)
    if arguments != ["server"]:
        raise StandInError("usage: java -Dconfig.file=FILE -jar cromwell.jar server")
    if "config.file" not in properties:
        raise StandInError("no configuration: give -Dconfig.file=FILE before -jar")
    level = properties.get("LOG_LEVEL") or os.environ.get("LOG_LEVEL") or "INFO"
    if level not in log.LEVELS:
        raise StandInError(f"LOG_LEVEL must be one of {', '.join(log.LEVELS)}")
    logger = log.setup(None, level)
    path = properties["config.file"]
    settings = read(path)
    behaviour = Behaviour.from_json(f"{path}: standin", settings.get("standin", {}))
    log.announce(logger, path, password(settings))
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(TERMINATED))
    behaviour.arm(logger)
    serve(address(settings, path), f"webservice.port in {path}", answer, behaviour, logger)
    return 0


def main(argv: List[str]) -> int:
    """Entry of the jar."""
    return service.run(lambda: start(argv))
