# Copyright: (c) 2026, The jgi.jaws engineers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The supervisord daemon itself: is it up, may it be started, and who is in its way.

Facts from Supervisor 4.3.0, measured: the pid file is no guard (truncated at start, never read); a
second start on a live socket deletes the first one's automatic logs; with a reload, the daemon
ends where it cannot listen any more.
"""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import tempfile
import xmlrpc.client
from contextlib import AbstractContextManager, suppress
from functools import cached_property
from typing import Any, Callable, Iterable, Mapping, NamedTuple, Sequence

from .. import processes
from ..errors import JawsError
from ..files import mask_of, ours, refuse_foreign, refuse_unsafe, umask, user_id, user_name
from ..processes import Process
from ..waiting import wait_until
from .client import Supervisor
from .endpoint import (
    Endpoint,
    SupervisordConf,
    listeners,
    name_of,
    refuse_long_socket,
    refuse_unusable_socket,
)
from .installation import config_of, interpreter_of, is_of_another_installation, started_from
from .instance_lock import locked_instance
from .observation import settings
from .parser import (
    MUTE,
    Configuration,
    ConfiguredProgram,
    refuse_missing,
    refuse_mute,
    resolve,
)
from .trust import TRUST_ADVICE, uids_of

PROBE_TIMEOUT = 10.0  # seconds for one RPC to a healthy daemon
MOST_LOOKS = 5  # for what is in the way of a start, where something comes again and again
RUNNING = 1  # SupervisorStates.RUNNING
# Variables that say something of the shell that starts a program, and nothing to the program.
OF_A_SHELL = ("_", "OLDPWD", "PWD", "SHLVL", "TERM")
# In the environment of a daemon that was started here, and so of everything that it runs.
MARK = "SUPERVISORD_CONFIG"
STOPWAITSECS = 10  # Supervisor's default
KILLED_SECONDS = 5  # that a killed process may take to end


class Status(NamedTuple):
    """A live supervisord's own account of itself; user is None where the kernel hides it."""

    pid: int
    version: str
    user: str | None = None


class Daemon:
    """One supervisord instance: its configuration, and how it is started.

    :param config: absolute path of its supervisord.conf.
    :param supervisord: path of the executable that starts it.
    :param python: the interpreter that has Supervisor; None: that of C(supervisord).
    :param user: the only user that may start it; None: the one in the configuration, if any.
    :param timeout: seconds that a start, a stop or a reload may take.
    :param owner: who may have written the configuration, besides us and root.
    :param trusted_users: accounts that may, and that may listen and own its files.
    :param environment: variables that it is started with, besides those of every daemon.
    :param umask: the one that it is started with, in octal; None: that of the configuration.
    :raises JawsError: the configuration cannot be read, or has a foreign owner (foreign_owner).
    """

    def __init__(
        self,
        config: str,
        supervisord: str | None = None,
        python: str | None = None,
        user: str | None = None,
        timeout: float = 60,
        owner: str | None = None,
        trusted_users: Sequence[str] = (),
        environment: Mapping[str, str] | None = None,
        umask: str | None = None,
    ) -> None:
        self.config = os.path.abspath(config)
        self.environment = {**processes.clean_environment(), **(environment or {})}
        self.umask = mask_of(umask)
        self.commanders = user_id(owner) | uids_of(trusted_users)
        if self.commanders or os.geteuid():  # root may ask about anybody's daemon
            self._refuse_foreign_conf()
        trusted = user_id(user) | uids_of(trusted_users)
        self.conf = SupervisordConf(self.config, trusted, self.environment)
        self.user = name_of(user) or self.conf.user
        self.supervisord = supervisord
        self._python = python
        self.timeout = timeout
        self._speak_to(self._included() or self.conf.endpoint)

    def _speak_to(self, endpoint: Endpoint) -> None:
        self.endpoint = endpoint
        self.client = Supervisor(endpoint, min(PROBE_TIMEOUT, self.timeout))

    def _included(self) -> Endpoint | None:
        """Return the endpoint where only a file that is included says where supervisord listens."""
        if self.conf.says_where or not self.conf.parser.has_section("include"):
            return None
        for server in sorted(self.resolved.servers, key=lambda server: server.path is None):
            url = f"unix://{server.path}" if server.path else f"http://localhost:{server.port}"
            key = server.username, server.password
            trusted = self.conf.trusted.naming(self.resolved.named)
            return Endpoint(url, *key, self.config, trusted=trusted)
        return None

    @property
    def me(self) -> str:
        """The user that this runs as."""
        return user_name(os.geteuid())

    @property
    def python(self) -> list[str]:
        """The words that run the interpreter that has Supervisor."""
        if self._python:
            return [self._python]
        return interpreter_of(self.executable(), self.environment["PATH"])

    @cached_property
    def resolved(self) -> Configuration:
        """What the configuration means to the supervisord that would be started with it.

        :raises JawsError: as C(resolve), or there is no Supervisor.
        """
        return resolve(self.config, self.python, self.environment)

    def executable(self) -> str:
        """Return the path of supervisord: by default, that which the live daemon comes from.

        :raises JawsError: there is none.
        """
        name = self.supervisord or self._started_from()[1] or "supervisord"
        found = shutil.which(name)
        if not found:
            raise JawsError(
                f"{name} is not there or not executable: install Supervisor first (the role "
                "supervisord does).",
                reason="not_installed",
            )
        self.supervisord = os.path.abspath(found)  # it is asked for again when none is live
        return self.supervisord

    def _started_from(self) -> tuple[list[str], str | None]:
        status = self.status()
        process = processes.read_process(status.pid) if status else None
        return started_from(process.cmdline if process else ())

    def alone(self) -> AbstractContextManager[int]:
        """Keep other runs from changing this instance while we do."""
        return locked_instance(self.config, self.conf.pid_file, self.conf.trusted, self.timeout)

    def status(self) -> Status | None:
        """Return the live daemon's status, or None when it is down.

        :raises JawsError: it is there but cannot be asked (wrong_key, frozen, …).
        """
        calls = ("getPID", "getSupervisorVersion")
        try:
            with self.client as client:
                pid, version = client.batch([("supervisor." + call,) for call in calls])
        except JawsError as error:
            if error.reason == "down":
                return None
            if error.reason == "unreachable" and self.endpoint.socket_path:
                refuse_long_socket(self.endpoint.socket_path)
            if error.reason == "frozen":
                told = f"{error} {self._who_is_frozen()}"
                raise JawsError(told, error.reason) from error
            raise
        if isinstance(pid, xmlrpc.client.Fault):
            raise JawsError(
                f"supervisord at {self.endpoint.address} runs, but answers no request: "
                f"{MUTE % self.config} Then end it, as it cannot be asked to, and start it.",
                reason="broken_conf",
            )
        return Status(pid, version, self._user_of(pid))

    def is_outdated(self, status: Status) -> bool | None:
        """Whether the live daemon is of another installation than C(python); None: not known."""
        if self._python is None:
            return None
        return is_of_another_installation(status.pid, self._python)

    def lost(self, status: Status) -> list[str]:
        """Return what a live daemon was started with and a new one will not have: only names."""
        given = _environment_of(status.pid) or {}
        moved = {"HOME"} if given.get("HOME") not in (None, self.environment["HOME"]) else set()
        return sorted({*given} - {*self.environment, *OF_A_SHELL, MARK} | moved)

    def running_environment(self) -> dict[str, str] | None:
        """Return what the live daemon was started with, or None where the kernel hides it."""
        status = self.status()
        return _environment_of(status.pid) if status else None

    def _user_of(self, pid: int) -> str | None:
        process = processes.read_process(pid)
        uids = {process.uid} if process else listeners(self.endpoint)
        return user_name(uids.pop()) if len(uids) == 1 else None

    def _who_is_frozen(self) -> str:
        for process in self.processes():
            return (
                f"It is {process}: let it go on with `kill -CONT {process.pid}`, or end it, as "
                f"{user_name(process.uid)}."
            )
        users = ", ".join(map(user_name, listeners(self.endpoint)))
        return f"It runs as {users}: look for it there."

    def processes(self) -> list[Process]:
        """Return the supervisord processes of this configuration, however its path was spelt."""
        parents = {child.ppid for child in self._descendants()}
        found = {
            process.pid: process
            for process in processes.all_processes(having=("cmdline", b"supervisord"))
            if self._is_ours(config_of(process.cmdline), process, parents)
        }
        # What a daemon has just forked has its command line for a moment.
        return [process for process in found.values() if process.ppid not in found]

    def _is_ours(self, given: str | None, process: Process, parents: set[int]) -> bool:
        if given is None:
            return False
        ours = os.path.realpath(self.config)
        if os.path.isabs(given):
            return os.path.realpath(given) == ours
        # Where it is now, which is its option directory, and where it was started.
        folders = [_cwd(process.pid), (processes.read_environ(process) or {}).get("PWD", "/")]
        paths = [os.path.realpath(os.path.join(folder, given)) for folder in folders]
        return ours in paths or process.pid in parents

    def orphans(self) -> list[Process]:
        """Return what a dead predecessor left running: our user's processes, the oldest first."""
        return [child for child in self._descendants() if config_of(child.cmdline) is None]

    def _descendants(self) -> list[Process]:
        server_url = self.conf.server_url or self.endpoint.url
        marks = ((MARK, self.config), ("SUPERVISOR_SERVER_URL", server_url))
        found = {
            process.pid: process
            for name, value in marks
            for process in processes.find_by_environment(name, value)
        }
        # A deploy may itself be a job of what the instance runs: not ourselves, nor what runs us.
        me = processes.read_process(os.getpid())
        ours = {process.pgid for process in [me, *processes.ancestors(os.getpid())] if process}
        kept = [process for process in found.values() if process.pgid not in ours]
        return sorted(kept, key=lambda process: (process.start_ticks, process.pid))

    def check(self) -> list[ConfiguredProgram]:
        """Refuse a start that would fail; return the programs that it would run.

        :raises JawsError: it may not or cannot be started.
        """
        if self.user != self.conf.user or user_id(self.user):  # else Supervisor's parser names it
            self.refuse_wrong_user()
        self._refuse_foreign_conf()
        self.executable()
        user = self.resolved.user
        if user is not None:  # an included file may say it, too
            self.user = user_name(user)
            self.refuse_wrong_user()
        refuse_mute(self.resolved, self.config)
        self.refuse_unusable_places()
        return self.resolved.programs

    def start(self, programs: list[ConfiguredProgram] | None = None) -> dict[str, list[int]]:
        """Start it, after what its predecessor left has ended; return what was in the way.

        :param programs: what C(check) returned, where it was called.
        :raises JawsError: it may not or cannot be started.
        """
        cleared = self.clear(self.check() if programs is None else programs)
        self._spawn()
        return cleared

    def refuse_wrong_user(self) -> None:
        """Refuse a start that only another user may do."""
        if self.user and self.user != self.me:
            raise JawsError(
                f"supervisord ({self.config}) has to be started, which only {self.user} may "
                f"do; this runs as {self.me}. An operator has to run the playbook supervisors "
                f"(jgi.jaws.supervisors), or this task as {self.user}; then run this again.",
                reason="may_not_start",
            )

    def _refuse_foreign_conf(self) -> None:
        """Refuse a configuration of a foreign owner: after a reboot anybody can write to /tmp."""
        for path in (os.path.dirname(self.config), self.config):
            refuse_foreign(path, ours(*self.commanders), follow=True, advice=TRUST_ADVICE)

    def refuse_unusable_places(self, socket: bool = True) -> None:
        """Refuse files that another user made first, and a socket path that cannot be used.

        :param socket: whether the socket is yet to be made.
        :raises JawsError: as refuse_unsafe and refuse_unusable_socket.
        """
        trusted = self.conf.trusted.naming(self.resolved.named)
        for path in (self.resolved.logfile, self.resolved.pidfile):
            refuse_unsafe(path, trusted, TRUST_ADVICE)
        for server in self.resolved.servers if socket else ():
            if server.path:
                refuse_unusable_socket(server.path, trusted)

    def clear(self, programs: Sequence[ConfiguredProgram] = ()) -> dict[str, list[int]]:
        """End a daemon that lost its socket, and orphans; both are ours, or this is refused.

        :param programs: what Supervisor's parser says of them, for how they are stopped.
        :raises JawsError: one is another user's (foreign_owner) or does not end (still_running).
        """
        cleared: dict[str, list[int]] = {"unreachable": [], "orphans": []}
        # One look is not enough where there is something: it may start more before it ends.
        for _look in range(MOST_LOOKS):
            found = self._clear(programs)
            if not any(found.values()):
                break
            for what, pids in found.items():
                cleared[what] += pids
        return cleared

    def _clear(self, programs: Sequence[ConfiguredProgram]) -> dict[str, list[int]]:
        lost = self.processes()
        foreign = [process for process in lost if process.uid != os.geteuid()]
        if foreign:
            raise JawsError(
                f"{foreign[0]} runs with this configuration as {user_name(foreign[0].uid)} but "
                f"does not answer at {self.endpoint.address}. Nothing was started beside it: "
                "end it as that user, then run this again.",
                reason="foreign_owner",
            )
        limit = stop_limit((program.group, program.stopwaitsecs) for program in programs)
        for process in lost:
            processes.terminate(process, signal.SIGTERM, self.timeout + limit)
        orphans = self.orphans()
        how = {(p.group, p.name): (p.stopsignal, p.stopwaitsecs) for p in programs}
        for process in reversed(orphans):  # the last that was started relies on those before it
            env = processes.read_environ(process)
            if env is None:
                continue  # it has ended; what is left of its group is an orphan itself
            name = (env.get("SUPERVISOR_GROUP_NAME", ""), env.get("SUPERVISOR_PROCESS_NAME", ""))
            sign, patience = how.get(name, (signal.SIGTERM, STOPWAITSECS))
            processes.terminate(process, sign, patience + KILLED_SECONDS, patience, group=True)
        return {"unreachable": [p.pid for p in lost], "orphans": [p.pid for p in orphans]}

    def _spawn(self) -> None:
        command = [self.executable(), "-c", self.config]
        if self.umask is not None:
            command += ["-m", f"{self.umask:03o}"]
        mask = self.resolved.umask if self.umask is None else self.umask
        # The one before may have been started in other surroundings.
        self._speak_to(self._included() or self.conf.first_endpoint)
        with tempfile.TemporaryFile() as output, umask(mask):
            process = subprocess.Popen(
                command,
                env={**self.environment, MARK: self.config},
                cwd=os.path.dirname(self.config),
                stdin=subprocess.DEVNULL,
                # In the foreground it logs there for as long as it lives.
                stdout=subprocess.DEVNULL if self.resolved.nodaemon else output,
                stderr=output,
                start_new_session=True,
            )
            self._await_start(process, output)

    def _await_start(self, process: subprocess.Popen[bytes], output: Any) -> None:
        if not wait_until(lambda: self._has_started(process), self.timeout):
            os.killpg(process.pid, signal.SIGKILL)
            process.wait()
            raise self._did_not_start(f"no end within {self.timeout:g} s", output)
        if process.returncode or (self.resolved.nodaemon and process.returncode == 0):
            raise self._did_not_start(f"exit status {process.returncode}", output)
        process.returncode = 0  # what stays in the foreground is not waited for
        self._await(
            lambda: self.status() is not None, "did_not_start", "did not answer {time} of starting"
        )

    def _has_started(self, process: subprocess.Popen[bytes]) -> bool:
        """Whether it went into the background, ended, or answers from the foreground."""
        if process.poll() is not None:
            return True
        return self.resolved.nodaemon and self.status() is not None

    def _did_not_start(self, why: str, output: Any) -> JawsError:
        output.seek(0)
        told = output.read(4096).decode("utf-8", "replace").strip()[-1000:]
        told = told.replace(self.endpoint.password or "\0", "(the key)")
        return JawsError(
            f"supervisord -c {self.config} did not start ({why}): {told}", "did_not_start"
        )

    def stop(self, pid: int) -> None:
        """Stop it with all its programs, and wait for its end.

        :raises JawsError: it still runs after timeout and its programs' stopwaitsecs.
        """
        process = processes.read_process(pid)
        with self.client as client:
            limit = self._stop_limit(client)
            client.call("supervisor.shutdown")
        self._await(lambda: self._has_ended(process), "timed_out", "did not end {time}", limit)

    def _has_ended(self, process: Process | None) -> bool:
        # If /proc hides it, look at its socket or port.
        return not (processes.is_same(process) if process else listeners(self.endpoint))

    def reload(self) -> None:
        """Make it read its daemon sections again; every program restarts. Validated first, always.

        :raises JawsError: Supervisor's parser refuses the configuration, or it does not come back.
        """
        # What runs reads the file again, in the surroundings that it was started in.
        python = self._started_from()[0] or self.python
        self.resolved = resolve(self.config, python, self.running_environment())
        refuse_missing(self.resolved.programs, self.config)
        refuse_mute(self.resolved, self.config)
        self.refuse_unusable_places(socket=False)
        self.restart_in_place(self.client)

    def restart_in_place(self, client: Supervisor) -> None:
        """Send C(restart) through a client that reaches it; wait for it at its own endpoint.

        :raises JawsError: it ended (did_not_start), or does not answer there in time (timed_out).
        """
        with client:
            limit = self._stop_limit(client)
            process = processes.read_process(client.call("supervisor.getPID"))
            client.call("supervisor.restart")
        self._await(
            lambda: self._is_back(process),
            "timed_out",
            "did not answer {time} of its reload",
            limit,
        )

    def _is_back(self, process: Process | None) -> bool:
        if process and not processes.is_same(process):
            raise JawsError(
                f"supervisord ({self.config}) ended in its reload. {self._see_log()}, then run "
                "this again.",
                reason="did_not_start",
            )
        try:
            with self.client as client:
                return bool(client.call("supervisor.getState")["statecode"] == RUNNING)
        except JawsError as error:
            # While the old one is still stopping its programs.
            if error.reason in ("down", "wrong_key"):
                return False
            raise

    def _stop_limit(self, client: Supervisor) -> float:
        found = settings(client).values()
        return stop_limit((setting.group, setting.stopwaitsecs) for setting in found)

    def _see_log(self) -> str:
        with suppress(JawsError):
            return f"See {self.resolved.logfile}"
        return "See its log"

    def _await(self, test: Callable[[], bool], reason: str, what: str, extra: float = 0) -> None:
        """Wait until the test is true.

        :param what: what the daemon did not do, with the words {time} where the time belongs.
        """
        seconds = self.timeout + extra
        if not wait_until(test, seconds):
            failed = what.replace("{time}", f"within {seconds:g} s")
            raise JawsError(
                f"supervisord ({self.config}) {failed}. {self._see_log()}, then run this again.",
                reason=reason,
            )


def stop_limit(stopwaitsecs: Iterable[tuple[str, float]]) -> float:
    """Return the seconds in which a supervisord stops all: one group after the other.

    :param stopwaitsecs: each program's group and stopwaitsecs.
    """
    longest: dict[str, float] = {}
    for group, seconds in stopwaitsecs:
        longest[group] = max(seconds, longest.get(group, 0))
    return sum(longest.values())


def _environment_of(pid: int) -> dict[str, str] | None:
    process = processes.read_process(pid)
    return processes.read_environ(process) if process else None


def _cwd(pid: int) -> str:
    try:
        return os.readlink(f"/proc/{pid}/cwd")
    except OSError:  # another user's, or it has ended
        return "/"
