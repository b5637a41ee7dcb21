# Copyright: (c) 2026, The jgi.jaws engineers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The supervisord daemon itself: whether it is up, whether it may be started, and what prevents it.

Facts from Supervisor 4.3.0, measured: the pid file guards nothing (truncated at start, never read);
a second start on a live socket deletes the first one's automatic logs; in a reload, the daemon
ends if it can no longer listen.
"""

from __future__ import annotations

import os
import re
import shutil
import signal
import subprocess
import tempfile
import xmlrpc.client
from contextlib import AbstractContextManager, suppress
from functools import cached_property
from typing import Any, Callable, Collection, Mapping, NamedTuple, Sequence

from ..errors import JawsError, quoted
from ..system import processes
from ..system.files import mask_of, ours, refuse_foreign, refuse_unsafe, umask, user_id, user_name
from ..system.processes import Process
from ..system.waiting import wait_until
from .client import Supervisor
from .endpoint import (
    Endpoint,
    SupervisordConf,
    listeners,
    name_of,
    place,
    refuse_long_socket,
    refuse_unusable_socket,
)
from .installation import interpreter_of, is_of_another_installation, started_from
from .instance_lock import locked_instance
from .log_lines import is_own_file
from .observation import observe, settings
from .parser import (
    MUTE,
    Configuration,
    ConfiguredProgram,
    refuse_missing,
    refuse_mute,
    resolve,
)
from .planning import plan_stopped
from .programs import namespec
from .running import (
    IDENTITY,
    MARK,
    Cleared,
    Instance,
    children,
    end,
    how_to_thaw,
    last_resort,
    program_of,
    refuse_copies,
    refuse_unstoppable,
    sockets,
    stop_limit,
)
from .states import Note, States, remembered, restore, seen
from .trust import TRUST_ADVICE, refuse_unreadable, uids_of

PROBE_TIMEOUT = 10.0  # seconds for one RPC to a healthy daemon
TRUE = ("yes", "true", "on", "1")  # supervisor.datatypes.TRUTHY_STRINGS
KEEPER_SECONDS = 1.0  # within which what watches a daemon starts it again; systemd takes 0.1
RUNNING = 1  # SupervisorStates.RUNNING
# Variables about the shell that starts a program, which mean nothing to the program.
OF_A_SHELL = ("_", "OLDPWD", "PWD", "SHLVL", "TERM")
# The reasons why a live daemon does not accept requests; its own user can still signal it.
LOCKED_OUT = ("broken_conf", "unreadable_conf", "wrong_key")
# Failures for which it matters which daemons run nevertheless.
ABOUT_DAEMONS = (
    *LOCKED_OUT,
    "did_not_start",
    "foreign_owner",
    "unreachable",
    "unusable_directory",
)
NEW_KEY = (
    " The module supervisord_config with rotate_key=true (as a deploy, or the playbook rotate_key, "
    "runs it) writes a file and a key that it takes up. {}, without asking it."
)


class Status(NamedTuple):
    """What a live supervisord reports about itself; user is None if the kernel hides it."""

    pid: int
    version: str
    user: str | None = None


class Living(NamedTuple):
    """A running daemon: the client that reaches it, or else its process and its programs."""

    client: Supervisor
    process: Process | None = None
    programs: Sequence[ConfiguredProgram] = ()


class Daemon:
    """One supervisord instance: its configuration, and how it is started.

    :param config: absolute path of its supervisord.conf.
    :param supervisord: path of the executable that starts it.
    :param python: the interpreter that has Supervisor; None for that of C(supervisord).
    :param user: the only user that may start it; None for the one in the configuration, if any.
    :param timeout: seconds that a start, a stop or a reload may take.
    :param owner: a user who may own the configuration, besides us and root.
    :param trusted_users: accounts that may, and that may listen and own its files.
    :param environment: variables that it is started with, besides those of every daemon.
    :param umask: the one that it is started with, in octal; None: that of the configuration.
    :param identity: what it is, at whatever path; no two with one identity run; empty: unknown.
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
        identity: str = "",
    ) -> None:
        self.config = os.path.abspath(config)
        self.identity = identity
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
        self.rival: Status | None = None  # what something else has started in our place
        self._is_watched = False
        self._speak_to(self._included() or self.conf.endpoint)

    @property
    def instance(self) -> Instance:
        """What runs of it, as the kernel knows it."""
        server_url = self.conf.server_url or self.endpoint.url
        return Instance(self.config, server_url, self.conf.pid_file)

    @property
    def note(self) -> Note:
        """What its programs did before a restart that is under way."""
        return Note(self.conf.pid_file, self.conf.trusted)

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
                f"{name} does not exist or is not executable: install Supervisor first (the role "
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
        """Lock the instance, so that no other run changes it while we do."""
        return locked_instance(self.config, self.conf.pid_file, self.conf.trusted, self.timeout)

    def status(self) -> Status | None:
        """Return the live daemon's status, or None if it is down.

        :raises JawsError: it runs but cannot be asked (wrong_key, frozen, …).
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
                raise JawsError(told, error.reason, pids=self.pids()) from error
            raise
        if isinstance(pid, xmlrpc.client.Fault):
            raise JawsError(
                f"supervisord at {self.endpoint.address} runs, but answers no request: "
                f"{MUTE % self.config} Then kill supervisord, which cannot be asked to end, and "
                "start it again.",
                reason="broken_conf",
            )
        return Status(pid, version, self._user_of(pid))

    def user_now(self) -> str | None:
        """Return the user that the live daemon runs as, if the system shows it."""
        status = self.status()
        return status.user if status else None

    def is_outdated(self, status: Status) -> bool | None:
        """Whether the live daemon is from another installation than C(python); None if unknown."""
        if self._python is None:
            return None
        return is_of_another_installation(status.pid, self._python)

    def lost(self, status: Status) -> list[str]:
        """Return what a live daemon was started with and a new one will not have: only names."""
        given = environment_of(status.pid) or {}
        moved = {"HOME"} if given.get("HOME") not in (None, self.environment["HOME"]) else set()
        return sorted({*given} - {*self.environment, *OF_A_SHELL, MARK, IDENTITY} | moved)

    def running_environment(self) -> dict[str, str] | None:
        """Return what the live daemon was started with, or None where the kernel hides it."""
        status = self.status()
        return environment_of(status.pid) if status else None

    def _user_of(self, pid: int) -> str | None:
        process = processes.read_process(pid)
        uids = {process.uid} if process else listeners(self.endpoint)
        return user_name(uids.pop()) if len(uids) == 1 else None

    def pids(self) -> list[int]:
        """Return the pids of its daemons, as far as the kernel shows them."""
        return [process.pid for process in self.instance.daemons()]

    def _who_is_frozen(self) -> str:
        for process in self.instance.daemons():
            return f"It is {process}. {how_to_thaw(process)}."
        users = ", ".join(map(user_name, listeners(self.endpoint)))
        return f"It runs as {users}: look for it there."

    def check(self) -> list[ConfiguredProgram]:
        """Refuse a start that would fail; return the programs that it would run.

        :raises JawsError: it may not or cannot be started.
        """
        # Else Supervisor's parser names it. Of a start by root, it also says who that becomes.
        if os.geteuid() and (self.user != self.conf.user or user_id(self.user)):
            self.refuse_wrong_user(None)
        self._refuse_foreign_conf()
        self.executable()
        user = self.resolved.user  # an included file may say it, too
        named = None if user is None else user_name(user)
        self.refuse_wrong_user(named)
        self.user = self.user or named
        told = self._included() or self.conf.first_endpoint
        refuse_mute(self.resolved, self.config, place(told.url))
        self.refuse_unusable_places()
        return self.resolved.programs

    def start(self, programs: list[ConfiguredProgram] | None = None) -> Cleared:
        """Start it, after ending what its predecessor has left; return the pids of that.

        :param programs: what C(check) returned, if it was called.
        :raises JawsError: it may not or cannot be started.
        """
        cleared = self.clear(self.check() if programs is None else programs)
        self._spawn()
        return cleared

    def refuse_copies(self) -> None:
        """Refuse a start beside a daemon that is the same, at another path.

        :raises JawsError: names it and what to do (runs_elsewhere).
        """
        refuse_copies(self.config, self.identity)

    def refuse_wrong_user(self, named: str | None) -> None:
        """Refuse a start that only another user may do.

        :param named: the user that the configuration names, which a supervisord of root becomes.
        """
        becomes = (not os.geteuid() and named) or self.me
        told = f", and would start it as {becomes}" if becomes != self.me else ""
        for user in filter(None, (self.user, named)):
            if user != becomes:
                raise JawsError(
                    f"supervisord ({self.config}) must be started, which only {user} may do; this "
                    f"runs as {self.me}{told}. Ask an operator to run the playbook supervisors "
                    f"(jgi.jaws.supervisors), or this task as {user}; then run this again.",
                    reason="may_not_start",
                )

    def _refuse_foreign_conf(self) -> None:
        """Refuse a configuration of a foreign owner: after a reboot anybody can write to /tmp."""
        for path in (os.path.dirname(self.config), self.config):
            refuse_foreign(path, ours(*self.commanders), follow=True, advice=TRUST_ADVICE)

    def refuse_unusable_places(self, socket: bool = True) -> None:
        """Refuse files that another user has made, and a socket path that cannot be used.

        :param socket: whether the socket must still be made.
        :raises JawsError: as refuse_unsafe and refuse_unusable_socket.
        """
        trusted = self.conf.trusted.naming(self.resolved.named)
        for path in (self.resolved.logfile, self.resolved.pidfile):
            refuse_unsafe(path, trusted, TRUST_ADVICE, follow=True)
        for server in self.resolved.servers if socket else ():
            if server.path:
                refuse_unusable_socket(server.path, trusted)

    def clear(self, programs: Sequence[ConfiguredProgram] = ()) -> Cleared:
        """End a daemon that lost its socket, and orphans; refuse if they are not ours.

        :param programs: what Supervisor's parser says about them, to stop them properly.
        :raises JawsError: one is another user's (foreign_owner) or does not end (still_running).
        """
        # Root's start is one of the account that the configuration names.
        users = self.conf.trusted.named if os.geteuid() == 0 else ()
        return self.instance.clear(programs, self.timeout, users=users)

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
                env={**self.environment, **self._marks()},
                cwd=os.path.dirname(self.config),
                stdin=subprocess.DEVNULL,
                # It may log there for as long as it lives: in the foreground, or to /dev/stdout.
                stdout=subprocess.DEVNULL if self._logs_to_stdout() else output,
                stderr=output,
                start_new_session=True,
            )
            self._await_start(process, output)

    def _logs_to_stdout(self) -> bool:
        return self.resolved.nodaemon or not is_own_file(self.resolved.logfile)

    def _marks(self) -> dict[str, str]:
        """Return the variables by which everything that it runs is recognised."""
        return {MARK: self.config, **({IDENTITY: self.identity} if self.identity else {})}

    def _await_start(self, process: subprocess.Popen[bytes], output: Any) -> None:
        if not wait_until(lambda: self._has_started(process), self.timeout):
            os.killpg(process.pid, signal.SIGKILL)
            process.wait()
            raise self._did_not_start(f"no end within {self.timeout:g} s", output)
        if process.returncode or (self.resolved.nodaemon and process.returncode == 0):
            self.rival = self.status()
            if self.rival:  # it listens where ours was to listen
                return
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
        # In this order, because a secret must be found as a whole.
        told = quoted(output.read().decode("utf-8", "replace").strip())[-1000:]
        return JawsError(
            f"supervisord -c {self.config} did not start ({why}). Correct what it says, then run "
            f"this again: {told}",
            "did_not_start",
        )

    def tidy(self) -> Cleared:
        """End what still runs from before the start of the daemon that answers.

        :raises JawsError: it does not end (still_running).
        """
        status = self.status()
        left = self.predecessors(status.pid) if status else []
        return {"unreachable": [], "orphans": end(left, ())}

    def predecessors(self, pid: int) -> list[Process]:
        """Return what a predecessor has left running next to the daemon that answers."""
        process = processes.read_process(pid)
        return self.instance.predecessors(process) if process else []

    def look(self, programs: Sequence[ConfiguredProgram]) -> States:
        """Return each program's state according to the kernel, for C(restore).

        :param programs: what Supervisor's parser says about them.
        """
        noted = self.note.read()
        if noted:  # by a run that was killed
            return noted
        names = [namespec(program.group, program.name) for program in programs]
        lost = self.instance.daemons()
        return seen(self.instance.orphans(), names, lost, self.conf.log_file)

    def restore(self, before: States) -> list[str]:
        """Restore the states that the programs had before a restart; return warnings.

        :raises JawsError: names the programs that no longer run (program_failed, timed_out).
        """
        try:
            with self.client as client:
                return restore(client, before, self.timeout)
        finally:
            self.note.remove()

    def inspect(self, client: Supervisor) -> tuple[States, Process | None]:
        """Return its programs' states and its process; refuse if a program would outlive it.

        :param client: the client that reaches it.
        :returns: the states that a killed run has noted, if there was one.
        :raises JawsError: names the programs and their pids (lost_program).
        """
        programs = observe(client).programs
        plan_stopped(programs)
        process = processes.read_process(client.call("supervisor.getPID"))
        if process:
            refuse_unstoppable(process)
        return self.note.read() or remembered(programs), process

    def stop(self, for_good: bool = True) -> States:
        """Stop it with all of its programs, wait until it has ended, and return their states.

        :param for_good: whether their states need not be known later.
        :raises JawsError: it would leave a program (lost_program), or still runs after timeout and
            its programs' stopwaitsecs.
        """
        with self.client as client:
            before, process = self.inspect(client)
            self._is_watched = self._is_in_front(process)
            limit = self._stop_limit(client)
            if for_good:
                self.note.remove()
            else:
                self.note.write(before)
            client.call("supervisor.shutdown")
        try:
            self._await(lambda: self._has_ended(process), "timed_out", "did not end {time}", limit)
        except JawsError as error:
            raise _waiting(error, process) from error
        return before

    def _is_in_front(self, process: Process | None) -> bool:
        """Whether it runs in the foreground of what may watch it."""
        options = "\0".join(process.cmdline) if process else ""
        stays = self.conf.parser.get("supervisord", "nodaemon", fallback="").lower()
        return stays in TRUE or bool(re.search(r"\0(-[kst]*n|--nod)", options))

    def comes_back(self) -> list[Process]:
        """Return what the one who had started a daemon that was stopped has started in its place,
        as systemd with Restart=always does. One that is started beside it would take its socket.
        """
        found: list[Process] = []

        def is_back() -> bool:
            found[:] = self.instance.daemons()
            return bool(found)

        if self._is_watched:
            wait_until(is_back, KEEPER_SECONDS)
        return found

    def is_replaced(self) -> bool:
        """Whether what comes back answers, so that none must be started."""
        if self.comes_back() and wait_until(lambda: self.status() is not None, self.timeout):
            self.rival = self.status()
        return self.rival is not None

    def _has_ended(self, process: Process | None) -> bool:
        # If /proc hides it, look at its socket or port.
        return not (processes.is_same(process) if process else listeners(self.endpoint))

    def reload(self) -> list[str]:
        """Make it read its daemon sections again, after validation; every program restarts.

        :returns: warnings.
        :raises JawsError: Supervisor's parser refuses the configuration, or it does not come back.
        """
        # What runs reads the file again, in the surroundings that it was started in.
        python = self._started_from()[0] or self.python
        self.resolved = resolve(self.config, python, self.running_environment())
        refuse_missing(self.resolved.programs, self.config)
        refuse_mute(self.resolved, self.config)
        self.refuse_unusable_places(socket=False)
        refuse_unreadable(self.config, self.user_now(), self.config)
        return self.restore(self.restart_in_place(self.client))

    def restart_in_place(self, client: Supervisor) -> States:
        """Send C(restart) through a client that reaches it; wait for it at its new endpoint.

        :returns: its programs' states before, for C(restore).
        :raises JawsError: it would run a program twice (lost_program, runs_twice), ended
            (did_not_start), or does not answer there in time (timed_out).
        """
        with client:
            before, process = self.inspect(client)
            self.instance.only()
            limit = self._stop_limit(client)
            ran = children(process) if process else []
            end(self.instance.predecessors(process) if process else [], ())
            self.note.write(before)
            client.call("supervisor.restart")
        self._await_reload(process, ran, limit)
        return before

    def take_up(self, living: Living) -> States:
        """Make a running daemon read this configuration; return its programs' states before.

        :raises JawsError: as C(restart_in_place).
        """
        if living.process:
            return self._restart_by_signal(living.process, living.programs)
        return self.restart_in_place(living.client)

    def _restart_by_signal(self, process: Process, programs: Sequence[ConfiguredProgram]) -> States:
        """Make a daemon that cannot be asked read its configuration again, by SIGHUP."""
        before = self.look(programs)
        ran = children(process)
        end(self.instance.predecessors(process), programs)
        self.note.write(before)
        limit = stop_limit((program.group, program.stopwaitsecs) for program in programs)
        old = sockets(self.conf.server_url)
        processes.send_signal(process, signal.SIGHUP)
        self._await_reload(process, ran, limit, old)
        return before

    def _await_reload(
        self,
        process: Process | None,
        ran: Sequence[Process],
        limit: float,
        old: Collection[str] = (),
    ) -> None:
        """Wait until it answers; end what it ran before and did not end.

        :param old: the sockets at which it may still answer with the old configuration.
        """
        what = "did not answer {time} of its reload"

        def is_back() -> bool:
            return not sockets(self.conf.server_url) & {*old} and self._is_back(process)

        try:
            self._await(is_back, "timed_out", what, limit)
        except JawsError as error:
            raise _waiting(error, process) from error
        end(processes.group_members(*ran), ())

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
            # The old one is still stopping its programs.
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

        :param what: what the daemon did not do, with {time} as a placeholder for the time.
        """
        seconds = self.timeout + extra
        if not wait_until(test, seconds):
            failed = what.replace("{time}", f"within {seconds:g} s")
            raise JawsError(
                f"supervisord ({self.config}) {failed}. {self._see_log()}, then run this again.",
                reason=reason,
            )


def told_by(config: str) -> tuple[str, str | None]:
    """Return the address and the pid file in a configuration, if it can be read."""
    with suppress(JawsError):
        conf = SupervisordConf(config)
        return conf.server_url, conf.pid_file
    return "", None


def with_daemons(error: JawsError, config: str) -> JawsError:
    """Return the error, with the daemons that run nevertheless and the command that helps."""
    if "pids" in error.details or error.reason not in ABOUT_DAEMONS:
        return error
    url = told_by(os.path.abspath(config))[0]
    found = Instance(os.path.abspath(config), url).daemons()
    if not found:
        return error
    told = f"{error} supervisord runs with this configuration: {', '.join(map(str, found))}."
    if error.reason == "wrong_key" or _is_shut(config, environment_of(found[0].pid)):
        told += NEW_KEY.format(last_resort(found))
    pids = [process.pid for process in found]
    return JawsError(told, error.reason, **error.details, pids=pids)


def _is_shut(config: str, environment: Mapping[str, str] | None) -> bool:
    """Whether a configuration does not say how to reach a daemon that has these variables."""
    try:
        return not SupervisordConf(config, environment=environment).endpoint.url
    except JawsError:
        return True


def _waiting(error: JawsError, daemon: Process | None) -> JawsError:
    """Return the error with what the daemon waits for, and the command that helps."""
    left = children(daemon) if daemon and processes.is_same(daemon) else []
    if not daemon or not left:
        return error
    told = ", ".join(f"{program_of(child) or child} (pid {child.pid})" for child in left)
    return JawsError(
        f"{error} It (pid {daemon.pid}) still runs {told}. {last_resort([daemon])}.",
        error.reason,
        pids=[daemon.pid, *(child.pid for child in left)],
    )


def environment_of(pid: int) -> dict[str, str] | None:
    """Return what a process was started with, or None where the kernel hides it."""
    process = processes.read_process(pid)
    return processes.read_environ(process) if process else None
