# Copyright: (c) 2026, The jgi.jaws engineers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""How Supervisor's own parser reads a supervisord.conf, run as the daemon would run it.

Facts from Supervisor 4.3.0: paths are relative to where supervisord is started; C(directory) and
C(umask) are set in becoming a daemon, so that C(nodaemon) ignores them; a command is looked up by
supervisord itself, in the PATH of the program's own environment since 3.3.5.
"""

from __future__ import annotations

import json
import os
import re
import shlex
import subprocess
from typing import Any, Mapping, NamedTuple, Sequence

from ..errors import JawsError, quoted
from ..system.files import Candidate
from ..system.processes import clean_environment
from .conf import complaint

VALIDATE_SECONDS = 60
MUTE = (
    "%s has no section [rpcinterface:supervisor]. Add it, with "
    "supervisor.rpcinterface_factory=supervisor.rpcinterface:make_main_rpcinterface."
)
AUTO = "AUTO"  # a log whose path supervisord chooses
PARSED = re.compile(r"^(Error: |Traceback )", re.MULTILINE)  # how a refusal begins
NO_SUPERVISOR = 3  # exit status of the probe if Python has no Supervisor

# Run by the interpreter that has Supervisor, in the daemon's own surroundings. What a plugin of
# Supervisor prints when it is imported is not part of the answer.
PROBE = """\
import sys
sys.path[:1] = [path for path in sys.path[:1] if path]  # not the current directory
import json, os, socket
answer = os.fdopen(os.dup(1), "w")
os.dup2(2, 1)
try:
    from supervisor.options import ProcessException, ServerOptions, VERSION
    from supervisor.process import Subprocess
except ImportError as error:
    if getattr(error, "name", "supervisor") == "supervisor":
        sys.exit(NO_SUPERVISOR)
    raise  # Supervisor is there, and lacks something, such as 4.2 without setuptools
options = ServerOptions()
options.realize(["-c", sys.argv[1]])
if options.uid is not None and os.getuid() == 0:
    options.drop_privileges(options.uid)
if options.directory and not options.nodaemon:
    try:
        os.chdir(options.directory)
    except OSError:
        pass  # supervisord goes on, too

def server(config):
    uid, gid = config.get("chown", (-1, -1))
    return dict(section=config["section"], path=config.get("file"), host=config.get("host"),
                port=config.get("port"), uid=uid, gid=gid, mode=config.get("chmod"),
                username=config["username"], password=config["password"])

def log(path):
    return path if path is None or isinstance(path, str) else AUTO

def program(group, config):
    executable = problem = None
    try:
        found, words = Subprocess(config).get_execv_args()
        executable = os.path.abspath(found)
    except ProcessException as error:
        problem = str(error)
    return dict(name=config.name, group=group.name, command=config.command,
                executable=executable, problem=problem, directory=config.directory,
                path=getattr(config, "get_path", options.get_path)(), user=config.uid,
                environment=config.environment or {}, umask=config.umask,
                autostart=config.autostart, priority=config.priority,
                startsecs=config.startsecs, stopwaitsecs=config.stopwaitsecs,
                stopsignal=int(config.stopsignal), logs=[log(config.stdout_logfile),
                None if config.redirect_stderr else log(config.stderr_logfile)])

json.dump(dict(
    version=VERSION, user=options.uid, directory=options.directory,
    nodaemon=bool(options.nodaemon), umask=options.umask, identifier=options.identifier,
    logfile=options.logfile, pidfile=options.pidfile, childlogdir=options.childlogdir,
    interfaces=[name for name, _factory, _options in options.rpcinterface_factories],
    server_url=options.serverurl, servers=[server(config) for config in options.server_configs],
    programs=[program(group, config) for group in options.process_group_configs
              for config in group.process_configs],
), answer)
answer.close()
""".replace("NO_SUPERVISOR", str(NO_SUPERVISOR)).replace("AUTO", repr(AUTO))


class ConfiguredProgram(NamedTuple):
    """One program of a file; C(executable) is what runs, or None, and C(problem) says why.

    C(environment) is what the file adds to supervisord's own; C(path) is where the command is
    looked for; C(user) is a uid; C(logs) are the paths of stdout and stderr, or C(AUTO).
    """

    name: str
    group: str
    command: str
    executable: str | None
    problem: str | None
    directory: str | None
    path: list[str]
    user: int | None
    environment: dict[str, str]
    umask: int | None
    autostart: bool
    priority: int
    startsecs: int
    stopwaitsecs: int
    stopsignal: int
    logs: Sequence[str | None] = ()

    def __repr__(self) -> str:
        """Without the environment and the arguments: they may hold secrets."""
        return f"ConfiguredProgram({self.group}:{self.name})"

    @property
    def usable(self) -> bool:
        """Whether supervisord can run its command."""
        return self.problem is None

    @property
    def word(self) -> str:
        """The command without its arguments, as far as it can be distinguished from them."""
        try:
            return (shlex.split(self.command) or [""])[0]
        except ValueError:
            return self.command.split()[0]


class Server(NamedTuple):
    """One place where supervisord listens: a unix socket's path, or a host and a port.

    C(uid) and C(gid) are what C(chown) names, -1 for nobody.
    """

    section: str
    path: str | None
    host: str | None
    port: int | None
    uid: int
    gid: int
    mode: int | None
    username: str | None
    password: str | None

    def __repr__(self) -> str:
        """Without the key."""
        return f"Server({self.section}, {self.path or (self.host, self.port)})"

    @property
    def place(self) -> str | int | None:
        """The path of its socket without links, or its port."""
        return os.path.realpath(self.path) if self.path else self.port


class Configuration(NamedTuple):
    """What one supervisord.conf means to Supervisor: every path is absolute, users are uids.

    C(server_url) is what programs get as SUPERVISOR_SERVER_URL; C(interfaces) are the names of the
    RPC interfaces, of which ours is "supervisor".
    """

    version: str
    user: int | None
    directory: str | None
    nodaemon: bool
    umask: int
    identifier: str
    logfile: str
    pidfile: str
    childlogdir: str
    interfaces: list[str]
    server_url: str | None
    servers: list[Server]
    programs: list[ConfiguredProgram]

    @property
    def named(self) -> frozenset[int]:
        """The uids that it names: of the daemon, and of its sockets."""
        named = {self.user, *(server.uid for server in self.servers)}
        return frozenset(uid for uid in named if uid is not None and uid >= 0)


def resolve(
    path: str, python: str | Sequence[str], environment: Mapping[str, str] | None = None
) -> Configuration:
    """Return what the file at C(path) means to a supervisord that is started with it.

    :param python: the interpreter that has Supervisor, or the words that run it.
    :param environment: that of supervisord; None for an empty one, as usual.
    :raises JawsError: the parser refuses it (broken_conf), or is not there (not_installed).
    """
    words = [python] if isinstance(python, str) else list(python)
    done = _run([*words, "-c", PROBE, path], path, environment or clean_environment())
    if done.returncode == NO_SUPERVISOR:
        raise _not_installed(words[0], "has no Supervisor")
    if done.returncode:
        raise _refused(path, words[0], done.stderr.decode("utf-8", "replace").strip())
    return _configuration(json.loads(done.stdout))


def refuse_mute(found: Configuration, path: str, told: str | int | None = None) -> None:
    """Refuse a configuration with which supervisord would run, but could not be asked or stopped.

    :param told: the path of the socket, or the port, where C(supervisorctl) expects it; None for
        another machine, or if that need not be known.
    :raises JawsError: says what is missing, or where it listens instead (broken_conf).
    """
    if "supervisor" not in found.interfaces:
        raise JawsError(
            f"supervisord would run, but not answer requests: {MUTE % path}", "broken_conf"
        )
    places = [server.place for server in found.servers]
    if told is not None and told not in places:
        raise JawsError(
            f"supervisord would run, but not answer at {told}, which [supervisorctl] of {path} "
            f"names in its serverurl: it listens at {', '.join(map(str, places)) or 'no place'}. "
            "Correct serverurl, or the section of the server.",
            reason="broken_conf",
        )


def _run(
    command: list[str], path: str, environment: Mapping[str, str]
) -> subprocess.CompletedProcess[bytes]:
    try:
        return subprocess.run(
            command,
            env=environment,
            cwd=os.path.dirname(os.path.abspath(path)),
            stdin=subprocess.DEVNULL,
            capture_output=True,
            timeout=VALIDATE_SECONDS,
            check=False,
        )
    except OSError as error:
        raise _not_installed(command[0], f"cannot be run: {error.strerror}") from error
    except subprocess.TimeoutExpired:
        raise JawsError(
            f"Supervisor's parser ({command[0]}) took more than {VALIDATE_SECONDS} s over {path}. "
            "Nothing was changed. Check the load of the machine and its filesystems.",
            reason="timed_out",
        ) from None


def _configuration(told: dict[str, Any]) -> Configuration:
    servers = [Server(**server) for server in told.pop("servers")]
    programs = [ConfiguredProgram(**program) for program in told.pop("programs")]
    return Configuration(servers=servers, programs=programs, **told)


def parse(path: str, python: str | Sequence[str]) -> list[ConfiguredProgram]:
    """Return the programs in the file at C(path), as Supervisor's own parser reads them.

    :raises JawsError: as C(resolve).
    """
    return resolve(path, python).programs


def validate(path: str, python: str | Sequence[str]) -> list[ConfiguredProgram]:
    """Return the programs in the file at C(path), as C(parse) does.

    :raises JawsError: as C(parse), or a program's command does not exist.
    """
    programs = parse(path, python)
    refuse_missing(programs, path)
    return programs


def validate_text(config: str, text: str, python: str) -> list[ConfiguredProgram]:
    """Return the programs in a text that will become the file C(config).

    :raises JawsError: as C(validate).
    """
    with Candidate(config, text) as candidate:
        return validate(candidate.path, python)


def refuse_missing(programs: Sequence[ConfiguredProgram], path: str) -> None:
    """Refuse programs whose command does not exist.

    :param programs: as C(parse) returned them for the file at C(path).
    :raises JawsError: names them (broken_conf).
    """
    missing = [
        f"{program.name}: {why_unusable(program)}" for program in programs if not program.usable
    ]
    if missing:
        raise JawsError(
            f"these programs' commands in {path} do not exist or cannot be executed: "
            f"{'; '.join(missing)}. Nothing was changed. Correct them, or install what is missing; "
            "for JAWS, deploy a release that has it.",
            reason="broken_conf",
        )


def why_unusable(program: ConfiguredProgram) -> str:
    """Return why supervisord cannot run a program, and where it looks for a bare name."""
    where = "" if "/" in program.word else f" in {os.pathsep.join(program.path)}"
    unparsed = re.match(r"can't parse command .*: (.*)", program.problem or "", re.DOTALL)
    return f"{program.word}{where}" + (f" ({unparsed.group(1)})" if unparsed else "")


def _not_installed(python: str, why: str) -> JawsError:
    return JawsError(
        f"{python} {why}: install Supervisor first (the role supervisord does), or correct the "
        "option python.",
        reason="not_installed",
    )


def _refused(path: str, python: str, output: str) -> JawsError:
    """Return the error about a file that the parser refuses, or about a Python that cannot run it.

    :param output: what was printed, whose values are not shown: one may be the key.
    """
    last = (output.splitlines() or ["no reason given"])[-1]
    if re.match(r"(ModuleNotFound|Import)Error", last) or not re.search(PARSED, output):
        return JawsError(
            f"{python} cannot run Supervisor's parser: {quoted(last)}. Nothing was changed. "
            "Install what is missing, or set the option python; a variable that this Python needs "
            "belongs in the option environment of the module supervisord.",
            reason="not_installed",
        )
    found = re.search(r"^Error: (.*?)(?:^For help|\Z)", output, re.DOTALL | re.MULTILINE)
    told = complaint(found.group(1) if found else last).rstrip(".")
    return JawsError(
        f"Supervisor refuses {path}: {told}. Nothing was changed; correct it, then run this again.",
        reason="broken_conf",
    )
