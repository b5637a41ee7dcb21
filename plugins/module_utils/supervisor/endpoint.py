# Copyright: (c) 2026, The jgi.jaws engineers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The address of one supervisord: where it listens, with which key, and who may listen there.

Facts from Supervisor 4.3.0: C(supervisor/options.py) (ClientOptions: where the url, the user and
the key come from). Measured: on a filesystem without hard links, or next to another user's socket
in a sticky directory, a start prints "Unlinking stale socket" forever.
"""

from __future__ import annotations

import configparser
import os
import re
import shutil
import socket
import tempfile
from contextlib import closing, suppress
from functools import cached_property
from typing import Any, Container, Dict, Iterable, Mapping, NamedTuple
from urllib.parse import urlsplit

from ..errors import JawsError, in_urls, keep_secret
from ..system.files import keep_secrets_of, refuse_unsafe, user_id, user_name
from ..system.processes import clean_environment
from .conf import secret_files, secrets_in, variables
from .expansion import unexpanded
from .trust import TRUST_ADVICE, Trust, uids_of

DEFAULT_URL = "http://localhost:9001"
SOCKET_BYTES = 99  # supervisord binds PATH.PID first; sun_path holds 108
LISTENING = "0A"  # TCP_LISTEN, in /proc/net/tcp
HERE = ("127.0.0.1", "localhost", "::1")
CONNECT_SECONDS = 5


class Endpoint(NamedTuple):
    """Where a supervisord listens and how to authenticate; C(source) names where that was read.

    C(ordered) says whether a program may have a priority: False only if the file sets none.
    C(trusted) says who may listen there; None if that is unknown.
    """

    url: str
    username: str | None
    password: str | None
    source: str
    ordered: bool = True
    trusted: Trust | None = None

    def __repr__(self) -> str:
        """Without the key: a traceback or an assertion may show it."""
        return f"Endpoint({self.address!r}, {self.source!r})"

    @property
    def address(self) -> str:
        """The url for messages: without the user and the key that an http url may contain."""
        return re.sub(r"//[^/]*@", "//", self.url)

    @property
    def socket_path(self) -> str | None:
        """The path of the unix socket, or None if supervisord listens on http."""
        return self.url[len("unix://") :] if self.url.startswith("unix://") else None


def new_parser() -> configparser.RawConfigParser:
    """Return a parser with the dialect of Supervisor's own (UnhosedConfigParser)."""
    return configparser.RawConfigParser(inline_comment_prefixes=(";", "#"), strict=False)


class Surroundings(NamedTuple):
    """What a path and a variable in a configuration depend on: where it is read, with what."""

    environment: Mapping[str, str]
    folder: str

    def path(self, value: str) -> str:
        """Return a path as absolute, as Supervisor does (normalize_path)."""
        home = re.match(r"~(?=/|\Z)", value)
        value = self.environment.get("HOME", "~") + value[1:] if home else value
        return os.path.normpath(os.path.join(self.folder, os.path.expanduser(value)))


class _Names(Dict[str, str]):
    """What a format may name; one without a name would show all of them."""

    def __repr__(self) -> str:
        raise ValueError("a format without a name")


class SupervisordConf:
    """What a client needs of one supervisord.conf, read without Supervisor, which is faster.

    How the daemon understands the file, Supervisor's parser says (C(parser.resolve)).

    :param path: the path of the file.
    :param users: uids that the caller trusts besides those that the file names.
    :param environment: that of the supervisord; None for an empty one, as we start it.
        One that runs may have been started with another; its socket is looked for there, too.
    :param text: the text that the file will contain; None for its present text.
    :raises JawsError: it cannot be read (unreadable_conf) or parsed (broken_conf).
    """

    def __init__(
        self,
        path: str,
        users: Iterable[int] = (),
        environment: Mapping[str, str] | None = None,
        text: str | None = None,
    ) -> None:
        self.path = path
        self.folder = os.path.dirname(os.path.abspath(path))
        self.parser = _parsed(path, text)
        self._users = frozenset(users)
        own = environment or clean_environment()
        self.surroundings = [
            Surroundings(own, self.folder),
            Surroundings({**own, **os.environ}, os.getcwd()),
        ]

    def get(self, section: str, option: str, at: Surroundings | None = None) -> str | None:
        """Return a value as Supervisor expands it, or None.

        :raises JawsError: it names a missing variable, or cannot be expanded (broken_conf).
        """
        value = self.parser.get(section, option, fallback=None)
        if not value or "%" not in value:
            return value
        environment = {**(at or self.surroundings[0]).environment}
        if "_http_server" in section:  # for which Supervisor also knows what programs get
            environment.update(self._given_to_programs(at))
        expansions = _Names({f"ENV_{name}": text for name, text in environment.items()})
        if section != "supervisorctl" or option == "serverurl":
            expansions["here"] = self.folder
        try:
            return value % expansions
        except (KeyError, ValueError, TypeError) as error:
            # Without the value: it may be the key.
            raise JawsError(
                f"{self.path}: [{section}] {option} {unexpanded(str(error))}.", "broken_conf"
            ) from None

    def _given_to_programs(self, at: Surroundings | None) -> dict[str, str]:
        with suppress(JawsError):
            return dict(variables(self.get("supervisord", "environment", at) or ""))
        return {}

    @property
    def user(self) -> str | None:
        """The user that supervisord changes to, by name if it has one."""
        return name_of(self.get("supervisord", "user"))

    @property
    def pid_file(self) -> str | None:
        """The path of the pid file, or None if only supervisord knows it."""
        return self._path("pidfile")

    @property
    def log_file(self) -> str | None:
        """The path of supervisord's own log, or None where only supervisord knows it."""
        found = self._path("logfile")
        # Another path counts from the directory that supervisord was started in.
        is_known = re.match(r"[/~%]", self.parser.get("supervisord", "logfile", fallback=""))
        return found if is_known else None

    def _path(self, option: str) -> str | None:
        with suppress(JawsError):
            value = self.get("supervisord", option)
            return self.surroundings[0].path(value) if value else None
        return None

    @cached_property
    def trusted(self) -> Trust:
        """Whom we trust to run the daemon and to own its files."""
        options = [("supervisord", "user")]
        options += [(section, "chown") for section in self._sections("unix_http_server")]
        named: set[int] = set()
        for section, option in options:
            with suppress(JawsError):  # only supervisord must know that variable
                named |= user_id((self.get(section, option) or "").partition(":")[0])
        owner = os.stat(self.path).st_uid if os.path.exists(self.path) else None
        return Trust(os.path.abspath(self.path), owner, frozenset(named), self._users)

    @cached_property
    def endpoint(self) -> Endpoint:
        """The endpoint that C(supervisorctl -c) would use, in the first surroundings.

        In the others only where a socket is there, and none in those before.

        :raises JawsError: the file does not say where supervisord listens, or a value cannot be
            expanded (broken_conf).
        """
        for at in self.surroundings[1:]:
            with suppress(JawsError):
                other = self._endpoint(at)
                if not _exists(self.first_endpoint) and _exists(other):
                    return other
        return self.first_endpoint

    @cached_property
    def first_endpoint(self) -> Endpoint:
        """The endpoint in the first surroundings, such as of a supervisord that is started here.

        :raises JawsError: as C(endpoint).
        """
        return self._endpoint(self.surroundings[0])

    def _endpoint(self, at: Surroundings) -> Endpoint:
        given = self.get("supervisorctl", "serverurl", at)
        servers: dict[str, str] = {}
        try:
            servers = self._servers(at)
        except JawsError:
            if not self.parser.has_section("supervisorctl"):
                raise
        url = self._default(servers) if given is None else given
        if url.startswith("unix://"):
            url = "unix://" + at.path(url[len("unix://") :])
        key = self._key(url, servers, at)
        return Endpoint(url, *key, self.path, self._is_ordered(), self.trusted)

    def _default(self, servers: Mapping[str, str]) -> str:
        """Return the url if none is given to clients: C(supervisorctl)'s own default only where
        supervisord may listen there.
        """
        found = [url.replace("//0.0.0.0:", "//localhost:") for url in servers.values()]
        has_client = self.parser.has_section("supervisorctl")
        if has_client and (not found or place(DEFAULT_URL) in map(place, found)):
            return DEFAULT_URL
        if not found:
            raise JawsError(
                f"{self.path} has neither a [supervisorctl] nor a server section, so nothing says "
                "where supervisord listens. Add it, or give the option server_url.",
                reason="broken_conf",
            )
        return found[0]

    def _key(
        self, url: str, servers: Mapping[str, str], at: Surroundings
    ) -> tuple[str | None, str | None]:
        """Return the user and the key: if clients are given none, those of the server at the url,
        which C(supervisorctl) would ask for.
        """
        same = [name for name, where in servers.items() if where == url or _is_same(where, url)]
        for section in ["supervisorctl", *same]:
            found = self.get(section, "username", at), self.get(section, "password", at)
            if any(part is not None for part in found):
                return found
        return None, None

    @property
    def says_where(self) -> bool:
        """Whether the file itself says where supervisord listens, not only one that it includes."""
        return self.parser.has_option("supervisorctl", "serverurl") or bool(self.server_url)

    @property
    def server_url(self) -> str:
        """What its programs get as SUPERVISOR_SERVER_URL; empty if only an included file says it.

        Supervisor's parser says the same (C(Configuration.server_url)).
        """
        try:
            return next(iter(self._servers(self.surroundings[0]).values()), "")
        except JawsError:
            return ""

    def _servers(self, at: Surroundings) -> dict[str, str]:
        """Return the url of each section that makes supervisord listen; programs get the first."""
        found = {}
        for section in self._sections("unix_http_server"):
            path = self.get(section, "file", at)
            if path:
                found[section] = f"unix://{at.path(path.strip())}"
        for section in reversed(self._sections("inet_http_server")):
            port = self.get(section, "port", at)
            if port:
                host, _colon, number = port.strip().rpartition(":")
                host = "localhost" if host in ("", "*") else host.lower()
                found[section] = f"http://{host}:{number}"
        return found

    def _sections(self, kind: str) -> list[str]:
        """Return the names of the sections of a kind: a name of their own may follow."""
        return [name for name in self.parser.sections() if name.startswith(kind)]

    def _is_ordered(self) -> bool:
        # What an included file sets is not seen here.
        names = self.parser.sections()
        has_priority = any(self.parser.has_option(name, "priority") for name in names)
        return "include" in names or has_priority


def place(url: str) -> str | int | None:
    """Return where a server on this machine listens, whatever its address: the path of its socket,
    or its port; None if it is elsewhere.
    """
    endpoint = Endpoint(url, None, None, "")
    if endpoint.socket_path is not None:
        return os.path.realpath(endpoint.socket_path)
    host, port = _tcp(endpoint)
    return port if host in (*HERE, "0.0.0.0") else None


def _is_same(one: str, other: str) -> bool:
    return place(one) is not None and place(one) == place(other)


def _exists(endpoint: Endpoint) -> bool:
    return os.path.exists(endpoint.socket_path or "")


def name_of(user: str | None) -> str | None:
    """Return the name of an account, given by name or number; unchanged if there is none."""
    for uid in user_id(user):
        return user_name(uid)
    return user or None


def _parsed(path: str, text: str | None = None) -> configparser.RawConfigParser:
    parser = new_parser()
    try:
        if text is None:
            with open(path, encoding="utf-8") as stream:
                text = stream.read()
        parser.read_string(text)
    except OSError as error:
        raise JawsError(
            f"cannot read {path}: {error.strerror}. {_advice(error)}", "unreadable_conf"
        ) from error
    except (configparser.Error, UnicodeDecodeError) as error:
        # The parser's message quotes the line, which may be the key's.
        raise JawsError(
            f"Supervisor cannot parse {path}: {_why_unparsed(error)}. Correct or restore it; for "
            "JAWS, deploy again.",
            reason="broken_conf",
        ) from None
    _keep_secrets(parser, text)
    return parser


def _keep_secrets(parser: configparser.RawConfigParser, text: str) -> None:
    """Note what must not be shown of a file, wherever a log says it."""
    for section in parser.sections():
        for name, value in parser.items(section):
            keep_secret(*secrets_in(name, value or ""), *in_urls(value or ""))
    for path in secret_files(text):
        keep_secrets_of(path)


def _advice(error: OSError) -> str:
    if isinstance(error, PermissionError):
        me = user_name(os.geteuid())
        return f"{me} may not: log in as its owner or as a member of its group."
    return "Correct the path, or deploy first."


def _why_unparsed(error: Exception) -> str:
    """Return what the parser's error says, without the line's text."""
    if isinstance(error, UnicodeDecodeError):
        return "it is not UTF-8"
    if isinstance(error, configparser.MissingSectionHeaderError):
        if error.line.startswith("\ufeff"):
            return "it begins with a byte order mark, which must be removed"
        return f"line {error.lineno} comes before any [section]"
    lines = ", ".join(str(number) for number, _text in getattr(error, "errors", []))
    return f"neither a [section] nor an option: line {lines}" if lines else type(error).__name__


def find_config(supervisorctl_path: str | None) -> str | None:
    """Return the supervisord.conf that supervisorctl finds without C(-c), or None.

    :param supervisorctl_path: the supervisorctl; without it, the one in the PATH.
    """
    folders = [os.curdir, "etc", "/etc", "/etc/supervisor"]
    program = supervisorctl_path or shutil.which("supervisorctl")
    if program:  # It is not required: its directory only adds two places to look.
        base = os.path.dirname(os.path.dirname(program))
        folders = [os.path.join(base, "etc"), base, *folders]
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
            f"supervisorctl_path {path} does not exist or is not executable. Correct the path.",
            "bad_option",
        )
    config = params["config"] or find_config(path)
    found = Endpoint(DEFAULT_URL, None, None, "Supervisor's default")
    if config:
        conf = SupervisordConf(config, uids_of(params.get("trusted_users") or []))
        conf.surroundings.reverse()  # first as supervisorctl sees it
        found = conf.endpoint
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


def refuse_unusable_socket(path: str, trusted: Container[int] | None = None) -> None:
    """Refuse a socket path with which supervisord would fail, or loop forever.

    :raises JawsError: too long (bad_option), no directory or no hard links there
        (unusable_directory), or another user's (foreign_owner).
    """
    refuse_long_socket(path)
    refuse_unsafe(path, trusted, TRUST_ADVICE, follow=True)
    folder = os.path.dirname(path)
    try:
        with tempfile.NamedTemporaryFile(dir=folder) as probe:
            os.link(probe.name, probe.name + ".link")
            os.unlink(probe.name + ".link")
    except OSError as error:
        raise JawsError(
            f"supervisord cannot make its socket in {folder}: {error.strerror}. It needs a "
            "directory of its own on a node-local filesystem with hard links: choose one.",
            reason="unusable_directory",
        ) from error


def refuse_long_socket(path: str) -> None:
    """Refuse a path at which supervisord cannot make a socket.

    :raises JawsError: with both numbers (bad_option).
    """
    length = len(os.fsencode(path))
    if length > SOCKET_BYTES:
        raise JawsError(
            f"the socket path {path} has {length} bytes; supervisord can use at most "
            f"{SOCKET_BYTES}. Choose a shorter directory.",
            reason="bad_option",
        )


def refuse_foreign_listener(endpoint: Endpoint, trusted: Container[int]) -> None:
    """Refuse to send a key to an address where another user may listen.

    :raises JawsError: names the owner (foreign_owner).
    """
    path = endpoint.socket_path
    if path is not None:
        if os.path.lexists(path):  # otherwise it is down, which connecting will report
            refuse_unsafe(path, trusted, TRUST_ADVICE, follow=True)
        return
    foreign = sorted(uid for uid in listeners(endpoint) if uid not in trusted)
    if foreign:
        owner = " and ".join(map(user_name, foreign))
        raise JawsError(
            f"{endpoint.address} is taken by a process of {owner}, and you are "
            f"{user_name(os.geteuid())}. The key in {endpoint.source} was not sent to it. "
            f"{TRUST_ADVICE.format(owner=owner, place='port')}",
            reason="foreign_owner",
        )


def listeners(endpoint: Endpoint, proc: str = "/proc") -> set[int]:
    """Return the uids that listen at an endpoint on this machine, according to the kernel.

    The kernel shows everybody a port's user, even if C(hidepid) hides the processes.
    """
    path = endpoint.socket_path
    if path is not None:
        try:
            return {os.stat(path).st_uid}
        except OSError:
            return set()
    return {int(row[7]) for row in listening_ports(endpoint, proc)}


def listening_ports(endpoint: Endpoint, proc: str = "/proc") -> list[list[str]]:
    """Return the rows of /proc/net/tcp that are about an endpoint's port on this machine."""
    host, port = _tcp(endpoint)
    found: list[list[str]] = []
    for name in ("tcp", "tcp6") if host in HERE else ():
        try:
            with open(f"{proc}/net/{name}", encoding="ascii") as stream:
                rows = [line.split() for line in stream][1:]
        except FileNotFoundError:  # no IPv6 here
            continue
        found += [
            row
            for row in rows
            if row[3] == LISTENING and int(row[1].rpartition(":")[2], 16) == port
        ]
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
        except OSError:  # it hangs or refuses us, so there is a process
            return True
        return True


def _tcp(endpoint: Endpoint) -> tuple[str, int]:
    try:
        parts = urlsplit(endpoint.url)
        return parts.hostname or "", parts.port or 80
    except ValueError:  # connecting will report it
        return "", 0
