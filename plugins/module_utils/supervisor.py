# Copyright: (c) 2026, The jgi.jaws engineers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""One supervisord, spoken to as supervisorctl does: XML-RPC over its unix socket or http port.

Facts from Supervisor 4.3.0: C(supervisor/options.py) (ClientOptions: where the url, the user and
the key come from) and C(supervisor/xmlrpc.py) (faults).
"""

from __future__ import annotations

import base64
import configparser
import http.client
import os
import socket
import sys
import xmlrpc.client
from typing import Any, Dict, List, NamedTuple, Optional, Sequence, Tuple
from urllib.parse import urlsplit
from xml.parsers.expat import ExpatError

from ansible_collections.jgi.jaws.plugins.module_utils.errors import JawsError

DEFAULT_URL = "http://localhost:9001"
RPC_TIMEOUT = 15.0  # seconds; 1,000 programs answer in about one
SHUTDOWN_STATE = 6  # xmlrpc.Faults.SHUTDOWN_STATE
ALREADY_STARTED = 60
NOT_RUNNING = 70
ALREADY_ADDED = 90
CANT_REREAD = 92

Call = Tuple[Any, ...]


class Endpoint(NamedTuple):
    """Where a supervisord listens and how to authenticate; C(source) names where that was read."""

    url: str
    username: Optional[str]
    password: Optional[str]
    source: str

    @property
    def socket_path(self) -> Optional[str]:
        """The unix socket's path, or None where supervisord listens on http."""
        return self.url[len("unix://") :] if self.url.startswith("unix://") else None


def new_parser() -> configparser.RawConfigParser:
    """Return a parser with the dialect of Supervisor's own (UnhosedConfigParser)."""
    return configparser.RawConfigParser(inline_comment_prefixes=(";", "#"), strict=False)


def read_conf(path: str) -> configparser.RawConfigParser:
    """Parse the supervisord.conf at C(path).

    :raises JawsError: it cannot be read (unreadable_conf) or parsed (broken_conf).
    """
    parser = new_parser()
    try:
        with open(path, encoding="utf-8") as stream:
            parser.read_file(stream)
    except OSError as error:
        raise JawsError(
            "cannot read %s: %s. It is readable for the instance's group only; "
            "log in as a member of it, or correct the path." % (path, error.strerror),
            reason="unreadable_conf",
        ) from error
    except (configparser.Error, UnicodeDecodeError) as error:
        # The parser's message quotes the line, which may be the key's.
        raise JawsError(
            "%s is not a configuration that Supervisor can parse (%s%s). Deploy again, or restore it."
            % (path, type(error).__name__, _line_of(error)),
            reason="broken_conf",
        ) from None
    return parser


def _line_of(error: Exception) -> str:
    lines = [number for number, _text in getattr(error, "errors", [])]
    lines = lines or [number for number in [getattr(error, "lineno", None)] if number]
    return " at line %s" % ", ".join(str(number) for number in lines) if lines else ""


def read_endpoint(config: str) -> Endpoint:
    """Return the endpoint that C(supervisorctl -c config) would use.

    :raises JawsError: the file is unreadable, broken, or has no [supervisorctl] section.
    """
    parser = read_conf(config)
    if not parser.has_section("supervisorctl"):
        raise JawsError(
            "%s has no [supervisorctl] section, so nothing says where supervisord listens." % config,
            reason="broken_conf",
        )
    expansions = {"here": os.path.dirname(os.path.abspath(config))}
    expansions.update(("ENV_" + key, value) for key, value in os.environ.items())

    def get(option: str) -> Optional[str]:
        value = parser.get("supervisorctl", option, fallback=None)
        try:
            return None if value is None else value % expansions
        except (KeyError, ValueError, TypeError):
            # Without the value: it may be the key.
            raise JawsError(
                "%s: [supervisorctl] %s cannot be expanded: write a percent sign as %%%%." % (config, option),
                reason="broken_conf",
            ) from None

    url = get("serverurl") or DEFAULT_URL
    if url.startswith("unix://"):
        url = "unix://" + os.path.abspath(os.path.expanduser(url[len("unix://") :]))
    return Endpoint(url, get("username"), get("password"), config)


def find_config(supervisorctl_path: Optional[str]) -> Optional[str]:
    """Return the supervisord.conf that supervisorctl finds without C(-c), or None."""
    base = os.path.dirname(os.path.abspath(supervisorctl_path or sys.executable))
    candidates = [os.path.join(base, "..", "etc"), os.path.join(base, ".."), os.curdir, "etc"]
    candidates += ["/etc", "/etc/supervisor"]
    paths = [os.path.abspath(os.path.join(folder, "supervisord.conf")) for folder in candidates]
    return next((path for path in paths if os.path.exists(path)), None)


def endpoint_for(params: Dict[str, Any]) -> Endpoint:
    """Return the endpoint that a module's connection options mean, as supervisorctl's own would.

    :param params: C(config), C(server_url), C(username), C(password), C(supervisorctl_path).
    :raises JawsError: as read_endpoint, or supervisorctl_path is not an executable.
    """
    path = params["supervisorctl_path"]
    if path and not os.access(path, os.X_OK):
        raise JawsError("supervisorctl_path %s does not exist or is not executable." % path, "bad_option")
    config = params["config"] or find_config(path)
    found = read_endpoint(config) if config else Endpoint(DEFAULT_URL, None, None, "the default")
    given = params["server_url"]
    return Endpoint(
        given or found.url,
        params["username"] or found.username,
        params["password"] or found.password,
        "server_url" if given else found.source,
    )


class _UnixConnection(http.client.HTTPConnection):
    def __init__(self, path: str, timeout: float) -> None:
        super().__init__("localhost", timeout=timeout)
        self._path = path

    def connect(self) -> None:
        self.sock = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        self.sock.settimeout(self.timeout)
        self.sock.connect(self._path)


class Supervisor:
    """A client of one supervisord. Every method raises JawsError with an operator's sentence."""

    def __init__(self, endpoint: Endpoint, timeout: float = RPC_TIMEOUT) -> None:
        self.endpoint = endpoint
        self.timeout = timeout
        self.round_trips = 0
        self._connection: Optional[http.client.HTTPConnection] = None

    def call(self, method: str, *params: Any) -> Any:
        """Return the answer of one RPC.

        :raises xmlrpc.client.Fault: supervisord's own refusal, with its fault code.
        :raises JawsError: no answer (reasons down, refused, wrong_key, frozen, unreachable).
        """
        self.round_trips += 1
        answer = self._post(xmlrpc.client.dumps(params, method, allow_none=False).encode())
        try:
            return xmlrpc.client.loads(answer)[0][0]
        except (ExpatError, xmlrpc.client.ResponseError) as error:
            raise self._error("unreachable", "answers, but not as supervisord does") from error
        except xmlrpc.client.Fault as fault:
            if fault.faultCode == SHUTDOWN_STATE:
                message = "is shutting down or restarting; wait, and run this again"
                raise self._error("down", message) from fault
            raise

    def batch(self, calls: Sequence[Call]) -> List[Any]:
        """Return the answers of many RPCs in one round trip, a Fault in the place of each refusal."""
        if not calls:
            return []
        packed = [{"methodName": call[0], "params": list(call[1:])} for call in calls]
        return [_unpack(answer) for answer in self.call("system.multicall", packed)]

    def close(self) -> None:
        """Drop the connection; the next call opens a new one."""
        if self._connection is not None:
            self._connection.close()
            self._connection = None

    def _post(self, body: bytes) -> bytes:
        try:
            return self._exchange(body)
        except JawsError:
            raise
        except (http.client.HTTPException, OSError) as error:
            self.close()
            raise self._classify(error) from error

    def _exchange(self, body: bytes) -> bytes:
        if self._connection is None:
            self._connection = self._connect()
        self._connection.request("POST", "/RPC2", body, self._headers())
        response = self._connection.getresponse()
        answer = response.read()
        if response.status == 401:
            raise self._error(
                "wrong_key", "refuses the key in this file: it runs with another one; restart it, or restore the file"
            )
        if response.status != 200:
            raise self._error("unreachable", "answers with HTTP status %d" % response.status)
        return answer

    def _connect(self) -> http.client.HTTPConnection:
        path = self.endpoint.socket_path
        if path is not None:
            return _UnixConnection(path, self.timeout)
        parts = urlsplit(self.endpoint.url)
        if parts.scheme != "http" or not parts.hostname:
            raise self._error("unreachable", "has an address that is neither unix:// nor http://")
        return http.client.HTTPConnection(parts.hostname, parts.port or 80, timeout=self.timeout)

    def _headers(self) -> dict[str, str]:
        headers = {"Content-Type": "text/xml", "User-Agent": "jgi.jaws"}
        if self.endpoint.username is not None and self.endpoint.password is not None:
            pair = "%s:%s" % (self.endpoint.username, self.endpoint.password)
            headers["Authorization"] = "Basic " + base64.b64encode(pair.encode()).decode()
        return headers

    def _classify(self, error: Exception) -> JawsError:
        if isinstance(error, (FileNotFoundError, ConnectionRefusedError)):
            return self._error("down", "is down: nothing listens there")
        if isinstance(error, PermissionError):
            return self._error(
                "refused", "refuses this user at its socket: only the members of its group may connect"
            )
        if isinstance(error, (socket.timeout, BlockingIOError)):
            return self._error(
                "frozen", "does not answer within %g s: it is frozen (SIGSTOP?) or starved" % self.timeout
            )
        if isinstance(error, (ConnectionError, http.client.HTTPException)):
            return self._error("down", "closed the connection: it is stopping, or its port is somebody else's")
        return self._error("unreachable", "cannot be reached: %s" % error)

    def _error(self, reason: str, what: str) -> JawsError:
        endpoint = self.endpoint
        return JawsError("supervisord at %s (from %s) %s." % (endpoint.url, endpoint.source, what), reason)


def _unpack(answer: Any) -> Any:
    if isinstance(answer, dict) and "faultCode" in answer:
        return xmlrpc.client.Fault(answer["faultCode"], answer["faultString"])
    return answer
