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

from ..errors import JawsError
from ..system.files import Candidate
from ..system.processes import clean_environment
from .conf import complaint

VALIDATE_SECONDS = 60
MUTE = (
    "%s has no section [rpcinterface:supervisor]. Add it, with "
    "supervisor.rpcinterface_factory=supervisor.rpcinterface:make_main_rpcinterface."
)
AUTO = "AUTO"  # a log whose path supervisord chooses
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
except ImportError:
    sys.exit(NO_SUPERVISOR)
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
        raise JawsError(
            f"Supervisor refuses {path}: {_told(done.stderr)}. Nothing was changed; correct "
            "it, then run this again.",
            reason="broken_conf",
        )
    return _configuration(json.loads(done.stdout))


def refuse_mute(found: Configuration, path: str, socket: str | None = None) -> None:
    """Refuse a configuration with which supervisord would run, but could not be asked or stopped.

    :param socket: where C(supervisorctl) expects it, if that is a unix socket.
    :raises JawsError: says what is missing, or where it listens instead (broken_conf).
    """
    if "supervisor" not in found.interfaces:
        raise JawsError(
            f"supervisord would run, but not answer requests: {MUTE % path}", "broken_conf"
        )
    places = [server.path for server in found.servers if server.path]
    if socket and os.path.realpath(socket) not in map(os.path.realpath, places):
        raise JawsError(
            f"supervisord would run, but not answer at {socket}, which [supervisorctl] of {path} "
            f"names as its serverurl: it listens at {', '.join(places) or 'no socket'}. Correct "
            "serverurl, or the section of the server.",
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
            f"these programs' commands in {path} do not exist or are not executable: "
            f"{'; '.join(missing)}. Nothing was changed. Correct them, or install what is missing; "
            "for JAWS, deploy a release that has it.",
            reason="broken_conf",
        )


def why_unusable(program: ConfiguredProgram) -> str:
    """Return why supervisord cannot run a program, and where it looks for a bare name."""
    where = "" if "/" in program.word else f" in {os.pathsep.join(program.path)}"
    return f"{program.word}{where}"


def _not_installed(python: str, why: str) -> JawsError:
    return JawsError(
        f"{python} {why}: install Supervisor first (the role supervisord does), or correct the "
        "option python.",
        reason="not_installed",
    )


def _told(output: bytes) -> str:
    """Return what the parser said, without the values that it quotes: one may be the key."""
    text = output.decode("utf-8", "replace").strip()
    found = re.search(r"^Error: (.*?)(?:^For help|\Z)", text, re.DOTALL | re.MULTILINE)
    lines = text.splitlines() or ["no reason given"]
    return complaint(found.group(1) if found else lines[-1]).rstrip(".")
