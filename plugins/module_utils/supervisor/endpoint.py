# Copyright: (c) 2026, The jgi.jaws engineers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Where one supervisord listens, with which key, and who may listen there in its place.

Facts from Supervisor 4.3.0: C(supervisor/options.py) (ClientOptions: where the url, the user and
the key come from). Measured: on a filesystem without hard links, or beside another user's socket
in a sticky directory, a start prints "Unlinking stale socket" for ever.
"""

from __future__ import annotations

import configparser
import os
import re
import socket
import tempfile
from contextlib import closing
from functools import cached_property
from typing import Any, Collection, NamedTuple
from urllib.parse import urlsplit

from ansible.module_utils.common.process import get_bin_path

from ..errors import JawsError
from ..files import ours, refuse_unsafe, user_id, user_name

DEFAULT_URL = "http://localhost:9001"
SOCKET_BYTES = 99  # supervisord binds PATH.PID first; sun_path holds 108
LISTENING = "0A"  # TCP_LISTEN, in /proc/net/tcp
HERE = ("127.0.0.1", "localhost", "::1")
CONNECT_SECONDS = 5


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


class SupervisordConf:
    """One supervisord.conf, parsed once: address, key, user, trusted accounts and paths.

    :param path: of the file.
    :param users: accounts that the caller trusts besides those that the file names.
    :raises JawsError: it cannot be read (unreadable_conf) or parsed (broken_conf).
    """

    def __init__(self, path: str, *users: str | None) -> None:
        self.path = path
        self.folder = os.path.dirname(os.path.abspath(path))
        self.parser = _parsed(path)
        self._users = users

    def get(self, section: str, option: str) -> str | None:
        """Return a value, or None."""
        value = self.parser.get(section, option, fallback=None)
        return value.replace("%(here)s", self.folder).replace("%%", "%") if value else None

    def get_path(self, section: str, option: str) -> str | None:
        """Return a path as a daemon reads it that starts in C(/), or None."""
        value = self.get(section, option)
        return os.path.normpath(os.path.join("/", os.path.expanduser(value))) if value else None

    @property
    def user(self) -> str | None:
        """The user that supervisord changes to."""
        return self.get("supervisord", "user")

    @property
    def nodaemon(self) -> bool:
        """Whether it stays in the foreground."""
        return self.parser.getboolean("supervisord", "nodaemon", fallback=False)

    @cached_property
    def trusted(self) -> frozenset[int]:
        """Whom we trust to run the daemon and to own its files, besides root and ourselves.

        The file's owner, the user that the file names, and those that the caller names.
        """
        named = [uid for user in (self.user, *self._users) for uid in user_id(user)]
        return frozenset([os.stat(self.path).st_uid, *named])

    @property
    def server_url(self) -> str:
        """What its programs get as SUPERVISOR_SERVER_URL (Supervisor's ServerOptions)."""
        path = self.get_path("unix_http_server", "file")
        if path:
            return f"unix://{path}"
        host, _colon, port = (self.get("inet_http_server", "port") or "").rpartition(":")
        return f"http://{'localhost' if host in ('', '*') else host}:{port}"

    @cached_property
    def endpoint(self) -> Endpoint:
        """The endpoint that C(supervisorctl -c) would use.

        :raises JawsError: there is no [supervisorctl] section, or a value of it cannot be expanded
            (broken_conf).
        """
        if not self.parser.has_section("supervisorctl"):
            raise JawsError(
                f"{self.path} has no [supervisorctl] section, so nothing says where supervisord "
                "listens.",
                reason="broken_conf",
            )
        url = self._expanded("serverurl", here=self.folder)
        if url is None:
            url = DEFAULT_URL
        if url.startswith("unix://"):
            url = "unix://" + os.path.abspath(os.path.expanduser(url[len("unix://") :]))
        username, password = self._expanded("username"), self._expanded("password")
        return Endpoint(url, username, password, self.path, self._is_ordered(), self.trusted)

    def _expanded(self, option: str, **expansions: str) -> str | None:
        value = self.parser.get("supervisorctl", option, fallback=None)
        environment = {f"ENV_{name}": text for name, text in os.environ.items()}
        try:
            return None if value is None else value % {**environment, **expansions}
        except (KeyError, ValueError, TypeError):
            # Without the value: it may be the key.
            raise JawsError(
                f"{self.path}: [supervisorctl] {option} cannot be expanded: write a percent sign "
                "as %%.",
                reason="broken_conf",
            ) from None

    def _is_ordered(self) -> bool:
        # What an included file sets is not seen here.
        names = self.parser.sections()
        has_priority = any(self.parser.has_option(name, "priority") for name in names)
        return "include" in names or has_priority


def _parsed(path: str) -> configparser.RawConfigParser:
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
            f"{path} is no configuration that Supervisor can parse ({type(error).__name__}"
            f"{_line_of(error)}). Deploy again, or restore it.",
            reason="broken_conf",
        ) from None
    return parser


def _advice(error: OSError) -> str:
    if isinstance(error, PermissionError):
        me = user_name(os.geteuid())
        return f"{me} may not: log in as its owner or as a member of its group."
    return "Correct the path, or deploy first."


def _line_of(error: Exception) -> str:
    lines = [number for number, _text in getattr(error, "errors", [])]
    lines = lines or [number for number in [getattr(error, "lineno", None)] if number]
    return f" at line {', '.join(map(str, lines))}" if lines else ""


def find_config(supervisorctl_path: str | None) -> str | None:
    """Return the supervisord.conf that supervisorctl finds without C(-c), or None.

    :param supervisorctl_path: the supervisorctl; without it, the one in the PATH.
    """
    folders = [os.curdir, "etc", "/etc", "/etc/supervisor"]
    try:
        base = os.path.dirname(os.path.dirname(supervisorctl_path or get_bin_path("supervisorctl")))
        folders = [os.path.join(base, "etc"), base, *folders]
    except ValueError:
        pass  # It is not needed: only its directory would add two places.
    paths = [os.path.abspath(os.path.join(folder, "supervisord.conf")) for folder in folders]
    return next((path for path in paths if os.path.exists(path)), None)


def endpoint_for(params: dict[str, Any]) -> Endpoint:
    """Return the endpoint that a module's connection options mean, as supervisorctl's own would.

    :param params: C(config), C(server_url), C(username), C(password), C(supervisorctl_path).
    :raises JawsError: as SupervisordConf, or supervisorctl_path is not an executable.
    """
    path = params["supervisorctl_path"]
    if path and not os.access(path, os.X_OK):
        raise JawsError(
            f"supervisorctl_path {path} does not exist or is not executable.", "bad_option"
        )
    config = params["config"] or find_config(path)
    default = Endpoint(DEFAULT_URL, None, None, "Supervisor's default")
    found = SupervisordConf(config).endpoint if config else default
    given = params["server_url"]
    return Endpoint(
        given or found.url,
        params["username"] or found.username,
        params["password"] or found.password,
        "server_url" if given else found.source,
        bool(given) or found.ordered,
        found.trusted if params["config"] or not given else None,
    )


# --- sockets and ports --------------------------------------------------------------------------


def refuse_unusable_socket(path: str, trusted: Collection[int] = ()) -> None:
    """Refuse a socket path on which supervisord would fail, or loop for ever.

    :raises JawsError: too long (bad_option), no directory or no hard links there
        (unusable_directory), or another user's (foreign_owner).
    """
    refuse_long_socket(path)
    refuse_unsafe(path, trusted)
    folder = os.path.dirname(path)
    try:
        with tempfile.NamedTemporaryFile(dir=folder) as probe:
            os.link(probe.name, probe.name + ".link")
            os.unlink(probe.name + ".link")
    except OSError as error:
        raise JawsError(
            f"supervisord cannot make its socket in {folder}: {error.strerror}. It needs a "
            "directory of its own on a node-local filesystem with hard links.",
            reason="unusable_directory",
        ) from error


def refuse_long_socket(path: str) -> None:
    """Refuse a path that supervisord cannot make a socket at.

    :raises JawsError: with both numbers (bad_option).
    """
    length = len(os.fsencode(path))
    if length > SOCKET_BYTES:
        raise JawsError(
            f"the socket path {path} has {length} bytes; supervisord can use at most "
            f"{SOCKET_BYTES}. Choose a shorter directory.",
            reason="bad_option",
        )


def refuse_foreign_listener(endpoint: Endpoint, trusted: Collection[int] = ()) -> None:
    """Refuse to send a key to where another user may listen.

    :raises JawsError: names the owner (foreign_owner).
    """
    path = endpoint.socket_path
    if path is not None:
        refuse_unsafe(path, trusted)
        return
    foreign = listeners(endpoint) - ours(*trusted)
    if foreign:
        raise JawsError(
            f"{endpoint.address} is taken by a process of "
            f"{' and '.join(map(user_name, sorted(foreign)))}. The key was not sent to it: "
            "have it ended, or choose another port. If it is the instance's own user, name it "
            f"in [supervisord] user of {endpoint.source}.",
            reason="foreign_owner",
        )


def listeners(endpoint: Endpoint, proc: str = "/proc") -> set[int]:
    """Return the uids that listen at an endpoint of this machine, as the kernel sees them.

    The kernel shows everybody a port's user, even if C(hidepid) hides the processes.
    """
    path = endpoint.socket_path
    if path is not None:
        try:
            return {os.stat(path).st_uid}
        except OSError:
            return set()
    host, port = _tcp(endpoint)
    found: set[int] = set()
    for name in ("tcp", "tcp6") if host in HERE else ():
        try:
            with open(f"{proc}/net/{name}", encoding="ascii") as stream:
                rows = [line.split() for line in stream][1:]
        except FileNotFoundError:  # no IPv6 here
            continue
        for row in rows:
            if row[3] == LISTENING and int(row[1].rpartition(":")[2], 16) == port:
                found.add(int(row[7]))
    return found


def is_taken(endpoint: Endpoint) -> bool:
    """Whether a process accepts connections there; nothing is sent."""
    family = socket.AF_UNIX if endpoint.socket_path else socket.AF_INET
    with closing(socket.socket(family, socket.SOCK_STREAM)) as probe:
        probe.settimeout(CONNECT_SECONDS)
        try:
            probe.connect(endpoint.socket_path or _tcp(endpoint))
        except (FileNotFoundError, ConnectionRefusedError):
            return False
        except OSError:  # it hangs, or refuses us: a process is there
            return True
        return True


def _tcp(endpoint: Endpoint) -> tuple[str, int]:
    try:
        parts = urlsplit(endpoint.url)
        return parts.hostname or "", parts.port or 80
    except ValueError:  # connecting will report it
        return "", 0
