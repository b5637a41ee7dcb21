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
import pwd
import re
import socket
import xmlrpc.client
from typing import Any, NamedTuple, Sequence, Tuple
from urllib.parse import urlsplit
from xml.parsers.expat import ExpatError

from ansible.module_utils.common.process import get_bin_path

from ansible_collections.jgi.jaws.plugins.module_utils.errors import JawsError
from ansible_collections.jgi.jaws.plugins.module_utils.places import (
    refuse_foreign_listener,
    user_id,
)

DEFAULT_URL = "http://localhost:9001"
RPC_TIMEOUT = 15.0  # seconds; 1,000 programs answer in about one
CALL_TIMEOUT = 0.1  # seconds on top for each call of a batch; a spawn takes 5 ms
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


class Endpoint(NamedTuple):
    """Where a supervisord listens and how to authenticate; C(source) names where that was read.

    C(ordered) says whether a program may have a priority: False only where the file sets none.
    C(trusted) are the uids that may listen there besides root and ourselves; None: nobody said.
    """

    url: str
    username: str | None
    password: str | None
    source: str
    ordered: bool = True
    trusted: frozenset[int] | None = None

    def __repr__(self) -> str:
        """Without the key: a traceback or an assertion may show it."""
        return f"Endpoint({self.address!r}, {self.source!r})"

    @property
    def address(self) -> str:
        """The url for people: without the user and the key that an http url may hold."""
        return re.sub(r"//[^/]*@", "//", self.url)

    @property
    def socket_path(self) -> str | None:
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
            f"cannot read {path}: {error.strerror}. {_advice(error)}", "unreadable_conf"
        ) from error
    except (configparser.Error, UnicodeDecodeError) as error:
        # The parser's message quotes the line, which may be the key's.
        raise JawsError(
            f"{path} is no configuration that Supervisor can parse "
            f"({type(error).__name__}{_line_of(error)}). Deploy again, or restore it.",
            reason="broken_conf",
        ) from None
    return parser


def _advice(error: OSError) -> str:
    if isinstance(error, PermissionError):
        return f"{_user()} may not: log in as its owner or as a member of its group."
    return "Correct the path, or deploy first."


def _user() -> str:
    try:
        return pwd.getpwuid(os.geteuid()).pw_name
    except KeyError:  # a container may run as a user without a name
        return f"uid {os.geteuid()}"


def _line_of(error: Exception) -> str:
    lines = [number for number, _text in getattr(error, "errors", [])]
    lines = lines or [number for number in [getattr(error, "lineno", None)] if number]
    return f" at line {', '.join(str(number) for number in lines)}" if lines else ""


def read_endpoint(config: str) -> Endpoint:
    """Return the endpoint that C(supervisorctl -c config) would use.

    :raises JawsError: the file is unreadable, broken, or has no [supervisorctl] section.
    """
    parser = read_conf(config)
    if not parser.has_section("supervisorctl"):
        raise JawsError(
            f"{config} has no [supervisorctl] section, so nothing says where supervisord listens.",
            reason="broken_conf",
        )
    environment = {"ENV_" + key: value for key, value in os.environ.items()}
    here = dict(environment, here=os.path.dirname(os.path.abspath(config)))

    def get(option: str, expansions: dict[str, str]) -> str | None:
        value = parser.get("supervisorctl", option, fallback=None)
        try:
            return None if value is None else value % expansions
        except (KeyError, ValueError, TypeError):
            # Without the value: it may be the key.
            raise JawsError(
                f"{config}: [supervisorctl] {option} cannot be expanded: write a percent sign "
                "as %%.",
                reason="broken_conf",
            ) from None

    url = get("serverurl", here)
    if url is None:
        url = DEFAULT_URL
    if url.startswith("unix://"):
        url = "unix://" + os.path.abspath(os.path.expanduser(url[len("unix://") :]))
    username, password = get("username", environment), get("password", environment)
    return Endpoint(url, username, password, config, _is_ordered(parser), _trusted(parser, config))


def _trusted(parser: configparser.RawConfigParser, config: str) -> frozenset[int]:
    """Return who the file says may run its supervisord: its owner, and the user that it names."""
    named = user_id(parser.get("supervisord", "user", fallback=None))
    return frozenset(named | {os.stat(config).st_uid})


def _is_ordered(parser: configparser.RawConfigParser) -> bool:
    # What an included file sets is not seen here.
    sections = parser.sections()
    return "include" in sections or any(parser.has_option(name, "priority") for name in sections)


def find_config(supervisorctl_path: str | None) -> str | None:
    """Return the supervisord.conf that supervisorctl finds without C(-c), or None.

    :param supervisorctl_path: the supervisorctl; without it, the one in the PATH.
    """
    folders = [os.curdir, "etc", "/etc", "/etc/supervisor"]
    try:
        base = os.path.dirname(os.path.dirname(supervisorctl_path or get_bin_path("supervisorctl")))
        folders = [os.path.join(base, "etc"), base, *folders]
    except ValueError:
        pass  # It is not needed: only its place would tell more.
    paths = [os.path.abspath(os.path.join(folder, "supervisord.conf")) for folder in folders]
    return next((path for path in paths if os.path.exists(path)), None)


def endpoint_for(params: dict[str, Any]) -> Endpoint:
    """Return the endpoint that a module's connection options mean, as supervisorctl's own would.

    :param params: C(config), C(server_url), C(username), C(password), C(supervisorctl_path).
    :raises JawsError: as read_endpoint, or supervisorctl_path is not an executable.
    """
    path = params["supervisorctl_path"]
    if path and not os.access(path, os.X_OK):
        raise JawsError(
            f"supervisorctl_path {path} does not exist or is not executable.", "bad_option"
        )
    config = params["config"] or find_config(path)
    found = (
        read_endpoint(config)
        if config
        else Endpoint(DEFAULT_URL, None, None, "Supervisor's default")
    )
    given = params["server_url"]
    return Endpoint(
        given or found.url,
        params["username"] or found.username,
        params["password"] or found.password,
        "server_url" if given else found.source,
        bool(given) or found.ordered,
        found.trusted if params["config"] or not given else None,
    )


class _UnixConnection(http.client.HTTPConnection):
    def __init__(self, path: str, timeout: float) -> None:
        super().__init__("localhost", timeout=timeout)
        self._path = path

    def connect(self) -> None:
        self.sock = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        self.sock.settimeout(self.timeout)
        self.sock.connect(self._path)


_CAUSES = (
    (
        (PermissionError,),
        "refused",
        "refuses %(user)s at its socket: only its owner and the members of its group may connect. "
        "Log in as one of them; whoever is one since lately logs in again",
    ),
    (
        (socket.timeout, BlockingIOError),
        "frozen",
        "does not answer within %(seconds)g s: it is frozen (SIGSTOP) or starved. Send it SIGCONT, "
        "or end it",
    ),
    (
        (ConnectionError, http.client.HTTPException),
        "down",
        "closed the connection: it is stopping, or its port is somebody else's. Look, and run this "
        "again",
    ),
)


class Supervisor:
    """A client of one supervisord. Every method raises JawsError with an operator's sentence."""

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
        :raises JawsError: no answer (reasons down, refused, wrong_key, frozen, unreachable).
        """
        return self._call(self.timeout, method, *params)

    def batch(self, calls: Sequence[Call]) -> list[Any]:
        """Return the answers of many RPCs in one round trip, a Fault in the place of each refusal.

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
            raise self._error(
                "wrong_key",
                "refuses this user name and key: it runs with others. Reload it, or restore those "
                "that it was started with",
            )
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
                "unreachable", "has no address: that is neither unix:///PATH nor http://HOST:PORT"
            )
        return http.client.HTTPConnection(host, port, timeout=self.timeout)

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
            stale = " any more; its socket is left of one that was killed"
            left = stale if self.endpoint.socket_path else ""
            return self._error("down", f"is down: nothing listens there{left}. Start it")
        for kinds, reason, what in _CAUSES:
            if isinstance(error, kinds):
                return self._error(reason, what % {"user": _user(), "seconds": timeout})
        return self._error("unreachable", f"cannot be reached: {error}")

    def _shutting_down(self, fault: xmlrpc.client.Fault) -> JawsError | None:
        if fault.faultCode != SHUTDOWN_STATE:
            return None
        return self._error("down", "is shutting down or restarting. Wait, and run this again")

    def _not_supervisord(self) -> JawsError:
        return self._error(
            "unreachable", "answers, but not as supervisord does; correct the address"
        )

    def _error(self, reason: str, what: str) -> JawsError:
        endpoint = self.endpoint
        return JawsError(
            f"supervisord at {endpoint.address} (from {endpoint.source}) {what}.", reason
        )
