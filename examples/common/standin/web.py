# SPDX-License-Identifier: GPL-3.0-or-later
"""A small HTTP server that answers GET and HEAD in JSON."""

from __future__ import annotations

import json
import logging
import socketserver
from http.server import BaseHTTPRequestHandler
from typing import Any, Callable, Mapping, Tuple

from . import StandInError
from .behaviour import Behaviour

Reply = Tuple[int, Mapping[str, Any]]
Headers = Mapping[str, str]
# From a path without its query, and the headers, to the answer.
Answer = Callable[[str, Headers], Reply]


def problem(status: int, title: str) -> Reply:
    """Return an error in the shape of RFC 7807."""
    return status, {"status": status, "title": title}


def _unhealthy(path: str, _headers: Headers) -> Reply:
    return problem(500, f"{path} fails because [STANDIN] says so")


class _Server(socketserver.ThreadingTCPServer):
    allow_reuse_address = True
    daemon_threads = True
    request_queue_size = 64

    def __init__(self, address: Tuple[str, int], answer: Answer, logger: logging.Logger) -> None:
        super().__init__(address, _Handler)
        self.answer = answer
        self.logger = logger

    def handle_error(self, request: Any, client_address: Any) -> None:
        # If a client goes away, the service is not at fault.
        self.logger.debug("%s from %s broke", request, client_address, exc_info=True)


class _Handler(BaseHTTPRequestHandler):
    server: _Server
    protocol_version = "HTTP/1.1"
    server_version = "jaws-stand-in"
    sys_version = ""
    timeout = 10

    def do_GET(self) -> None:
        status, body = self.server.answer(self.path.partition("?")[0], dict(self.headers))
        data = json.dumps(body).encode()
        self.send_response(status)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(data)))
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(data)

    def do_HEAD(self) -> None:
        self.do_GET()

    def log_message(self, format: str, *args: Any) -> None:
        self.server.logger.debug("%s " + format, self.address_string(), *args)


def serve(
    address: Tuple[str, int],
    setting: str,
    answer: Answer,
    behaviour: Behaviour,
    logger: logging.Logger,
) -> None:
    """Listen on `address` until the process ends; `setting` names where the port is set.

    Raise StandInError when the address cannot be bound.
    """
    host, port = address
    try:
        server = _Server(address, _unhealthy if behaviour.unhealthy else answer, logger)
    except OSError as error:
        raise StandInError(
            f"cannot listen on {host}:{port} ({setting}): {error.strerror};"
            " stop what holds the port or set another one"
            " (local_first_port moves all ports of the local site)"
        ) from None
    with server:
        logger.info("listening on %s:%d", host, port)
        server.serve_forever()
