# Copyright: (c) 2026, The jgi.jaws engineers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A client of one supervisord, like supervisorctl: XML-RPC over its unix socket or http port.

Facts from Supervisor 4.3.0: C(supervisor/xmlrpc.py) (faults).
"""

from __future__ import annotations

import base64
import http.client
import os
import socket
import xmlrpc.client
from typing import Any, Sequence, Tuple
from urllib.parse import urlsplit
from xml.parsers.expat import ExpatError

from ..errors import JawsError
from ..system.files import user_name
from .endpoint import Endpoint, refuse_foreign_listener

RPC_TIMEOUT = 15.0  # seconds; 1,000 programs answer in about one
HASHED = "{SHA}"  # before a password that only a server can compare
CALL_TIMEOUT = 0.1  # additional seconds for each call of a batch; a spawn takes 5 ms
# supervisor.xmlrpc.Faults
SHUTDOWN_STATE = 6
BAD_NAME = 10
SPAWN_ERROR = 50
ALREADY_STARTED = 60
NOT_RUNNING = 70
ALREADY_ADDED = 90
STILL_RUNNING = 91
CANT_REREAD = 92

Call = Tuple[Any, ...]


class _UnixConnection(http.client.HTTPConnection):
    def __init__(self, path: str, timeout: float) -> None:
        super().__init__("localhost", timeout=timeout)
        self._path = path

    def connect(self) -> None:
        self.sock = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        self.sock.settimeout(self.timeout)
        self.sock.connect(self._path)


class Supervisor:
    """A client of one supervisord. Every method raises JawsError with a message for operators."""

    def __init__(self, endpoint: Endpoint, timeout: float = RPC_TIMEOUT) -> None:
        self.endpoint = endpoint
        self.timeout = timeout
        self.round_trips = 0
        self._connection: http.client.HTTPConnection | None = None

    def __enter__(self) -> Supervisor:
        return self

    def __exit__(self, *_error: object) -> None:
        self.close()

    def call(self, method: str, *params: Any) -> Any:
        """Return the answer of one RPC.

        :raises xmlrpc.client.Fault: supervisord's own refusal, with its fault code.
        :raises JawsError: no answer (down, may_not_connect, wrong_key, frozen, unreachable).
        """
        return self._call(self.timeout, method, *params)

    def batch(self, calls: Sequence[Call]) -> list[Any]:
        """Return the answers of many RPCs in one round trip, with a Fault for each refused call.

        :raises JawsError: as C(call).
        """
        if not calls:
            return []
        packed = [{"methodName": call[0], "params": list(call[1:])} for call in calls]
        answers = self._call(self.timeout + CALL_TIMEOUT * len(calls), "system.multicall", packed)
        if not isinstance(answers, list) or len(answers) != len(calls):
            raise self._not_supervisord()
        return [self._unpack(answer) for answer in answers]

    def _call(self, timeout: float, method: str, *params: Any) -> Any:
        self.round_trips += 1
        answer = self._post(xmlrpc.client.dumps(params, method).encode(), timeout)
        try:
            return xmlrpc.client.loads(answer)[0][0]
        except xmlrpc.client.Fault as fault:
            raise self._shutting_down(fault) or fault from None
        except (ExpatError, xmlrpc.client.ResponseError, LookupError, TypeError, ValueError):
            raise self._not_supervisord() from None

    def _unpack(self, answer: Any) -> Any:
        if not isinstance(answer, dict) or "faultCode" not in answer:
            return answer
        fault = xmlrpc.client.Fault(answer["faultCode"], answer.get("faultString", ""))
        shutting_down = self._shutting_down(fault)
        if shutting_down:
            raise shutting_down
        return fault

    def close(self) -> None:
        """Drop the connection; the next call opens a new one."""
        if self._connection is not None:
            self._connection.close()
            self._connection = None

    def _post(self, body: bytes, timeout: float) -> bytes:
        try:
            return self._exchange(body, timeout)
        except JawsError:
            self.close()
            raise
        except (http.client.HTTPException, OSError, ValueError) as error:  # a NUL in a path, say
            self.close()
            raise self._classify(error, timeout) from error

    def _exchange(self, body: bytes, timeout: float) -> bytes:
        if self._connection is None:
            self._connection = self._connect()
        self._connection.timeout = timeout
        if self._connection.sock is not None:
            self._connection.sock.settimeout(timeout)
        self._connection.request("POST", "/RPC2", body, self._headers())
        response = self._connection.getresponse()
        answer = response.read()
        if response.status == 401:
            raise self._error("wrong_key", self._why_rejected())
        if response.status != 200:
            raise self._error(
                "unreachable", f"answers with HTTP status {response.status}; correct the address"
            )
        return answer

    def _connect(self) -> http.client.HTTPConnection:
        if self.endpoint.trusted is not None:
            refuse_foreign_listener(self.endpoint, self.endpoint.trusted)
        path = self.endpoint.socket_path
        if path is not None:
            return _UnixConnection(path, self.timeout)
        try:
            parts = urlsplit(self.endpoint.url)
            host, port = parts.hostname, parts.port or 80
        except ValueError:
            host = None
        if not host or not self.endpoint.url.startswith("http://"):
            raise self._error(
                "unreachable",
                "has an invalid address: it must be unix:///PATH or http://HOST:PORT",
            )
        return http.client.HTTPConnection(host, port, timeout=self.timeout)

    def _why_rejected(self) -> str:
        password = self.endpoint.password
        if password is None or self.endpoint.username is None:
            return (
                "wants a user name and a key, which its configuration does not give to clients: "
                "write both into the section [supervisorctl], or have supervisord_config write a "
                "new key, which it then takes up"
            )
        if password.startswith(HASHED):
            return (
                "rejected the key, because it is a hash ({SHA}), as only a server may have it: "
                "write the key itself into the section [supervisorctl]"
            )
        return (
            "rejected the user name and key: it was started with different ones. Restore "
            "those, or have supervisord_config write a new key, which it then takes up"
        )

    def _headers(self) -> dict[str, str]:
        headers = {"Content-Type": "text/xml", "User-Agent": "jgi.jaws"}
        if self.endpoint.username is not None and self.endpoint.password is not None:
            pair = f"{self.endpoint.username}:{self.endpoint.password}"
            headers["Authorization"] = "Basic " + base64.b64encode(pair.encode()).decode()
        return headers

    def _classify(self, error: Exception, timeout: float) -> JawsError:
        if isinstance(error, FileNotFoundError):
            return self._error(
                "down", "is down: there is no socket. Start it, or correct the address"
            )
        if isinstance(error, ConnectionRefusedError):
            stale = " any more; the socket was left by a supervisord that was killed"
            left = stale if self.endpoint.socket_path else ""
            return self._error("down", f"is down: nothing listens there{left}. Start it")
        if isinstance(error, PermissionError):
            return self._error(
                "may_not_connect",
                f"does not let {user_name(os.geteuid())} connect to its socket: only its owner and "
                "the members of its group may connect. Log in as one of them. If you were added to "
                "the group recently, log out and in again",
            )
        if isinstance(error, (socket.timeout, BlockingIOError)):
            return self._error(
                "frozen",
                f"did not answer within {timeout:g} s: it is frozen (SIGSTOP) or gets no CPU time. "
                "Send it SIGCONT, or end it",
            )
        if isinstance(error, (ConnectionError, http.client.HTTPException)):
            return self._error(
                "down",
                "closed the connection: it is stopping, or another program uses its port. Check "
                "that, then run this again",
            )
        return self._error("unreachable", f"cannot be reached: {error}")

    def _shutting_down(self, fault: xmlrpc.client.Fault) -> JawsError | None:
        if fault.faultCode != SHUTDOWN_STATE:
            return None
        return self._error("down", "is shutting down or restarting. Wait, and run this again")

    def _not_supervisord(self) -> JawsError:
        return self._error("unreachable", "does not answer like a supervisord; correct the address")

    def _error(self, reason: str, what: str) -> JawsError:
        endpoint = self.endpoint
        return JawsError(
            f"supervisord at {endpoint.address} (from {endpoint.source}) {what}.", reason
        )
