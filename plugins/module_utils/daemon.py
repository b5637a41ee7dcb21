# Copyright: (c) 2026, The jgi.jaws engineers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The supervisord daemon itself: is it up, may it be started, and who is in its way.

Facts from Supervisor 4.3.0, measured: the pid file is no guard (truncated at start, never read); a
second start on a live socket deletes the first one's automatic logs; a start on a filesystem without
hard links, or beside somebody else's socket in a sticky directory, prints for ever.
"""

from __future__ import annotations

import os
import pwd
import shutil
import signal
import stat
import subprocess
import tempfile
import time
from typing import Any, Dict, List, NamedTuple, Optional

from ansible_collections.jgi.jaws.plugins.module_utils import conf, processes
from ansible_collections.jgi.jaws.plugins.module_utils.control import settings
from ansible_collections.jgi.jaws.plugins.module_utils.errors import JawsError
from ansible_collections.jgi.jaws.plugins.module_utils.supervisor import (
    Endpoint,
    Supervisor,
    read_conf,
    read_endpoint,
)

SOCKET_BYTES = 99  # supervisord binds PATH.PID first; sun_path holds 108
PROBE_TIMEOUT = 10.0  # seconds for one RPC to a healthy daemon
ORPHAN_SECONDS = 20.0  # between SIGTERM and SIGKILL for what a killed daemon left behind
UMASK = 0o027
RUNNING = 1  # SupervisorStates.RUNNING


class Status(NamedTuple):
    """A live supervisord's own account of itself."""

    pid: int
    version: str
    identifier: str


class Daemon:
    """One supervisord instance: its configuration, and how it is started.

    :param config: absolute path of its supervisord.conf.
    :param supervisord: path of the executable that starts it.
    :param python: the interpreter that has Supervisor, for validation; None: that of C(supervisord).
    :param user: the only user that may start it; None: whoever asks.
    :param timeout: seconds that a start, a stop or a reload may take.
    """

    def __init__(
        self,
        config: str,
        supervisord: Optional[str] = None,
        python: Optional[str] = None,
        user: Optional[str] = None,
        timeout: float = 60,
    ) -> None:
        self.config = os.path.abspath(config)
        self.endpoint: Endpoint = read_endpoint(self.config)
        self.client = Supervisor(self.endpoint, min(PROBE_TIMEOUT, timeout))
        self.supervisord = supervisord
        self._python = python
        self.user = user
        self.timeout = timeout

    @property
    def python(self) -> str:
        """The interpreter that has Supervisor."""
        return self._python or interpreter_of(self.executable())

    def executable(self) -> str:
        """Return the path of supervisord.

        :raises JawsError: there is none.
        """
        found = shutil.which(self.supervisord or "supervisord")
        if not found:
            raise JawsError("%s is not there or not executable: install Supervisor first (the role supervisord "
                            "does)." % (self.supervisord or "supervisord"), "not_installed")
        return os.path.abspath(found)

    def status(self) -> Optional[Status]:
        """Return the live daemon's status, or None when it is down.

        :raises JawsError: something is there that cannot be asked (wrong_key, refused, frozen, …).
        """
        try:
            answers = self.client.batch(
                [("supervisor.getPID",), ("supervisor.getSupervisorVersion",), ("supervisor.getIdentification",)]
            )
        except JawsError as error:
            if error.reason == "down":
                return None
            if error.reason == "frozen":
                raise JawsError("%s %s" % (error, self._who_is_frozen()), error.reason) from error
            raise
        return Status(*answers)

    def _who_is_frozen(self) -> str:
        found = self.processes()
        if not found:
            return "Look for the process that holds its socket."
        return "It is %s: let it go on with `kill -CONT %d`, or end it, as %s." % (
            found[0],
            found[0].pid,
            user_name(found[0].uid),
        )

    def processes(self) -> List[processes.Process]:
        """Return the supervisord processes that were started with this very configuration."""
        return [
            process
            for process in processes.all_processes()
            if self.config in process.cmdline and any("supervisord" in word for word in process.cmdline)
        ]

    def orphans(self) -> List[processes.Process]:
        """Return what a dead predecessor left running: our user's processes, the oldest first."""
        found = processes.find_by_environment("SUPERVISOR_SERVER_URL", self.endpoint.url)
        return [process for process in found if process.pid != os.getpid()]

    def start(self) -> Dict[str, Any]:
        """Start it, after what its predecessor left has ended; return what was in the way.

        :raises JawsError: it may not or cannot be started.
        """
        self.refuse_wrong_user()
        conf.validate(self.config, self.python)
        self._refuse_unusable_places()
        cleared = self._clear()
        self._spawn()
        return cleared

    def refuse_wrong_user(self) -> None:
        """Refuse a start that only another user may do."""
        me = user_name(os.geteuid())
        if self.user and self.user != me:
            raise JawsError(
                "supervisord (%s) is down, and only %s may start it; this runs as %s. An operator has to "
                "run the playbook supervisors (jgi.jaws.supervisors), then run this again."
                % (self.config, self.user, me),
                reason="may_not_start",
            )

    def _clear(self) -> Dict[str, Any]:
        """End a daemon that lost its socket, and orphans; both are ours, or this is refused."""
        lost = self.processes()
        foreign = [process for process in lost if process.uid != os.geteuid()]
        if foreign:
            raise JawsError(
                "%s runs with this configuration as %s but does not answer at %s. Nothing was started beside it: "
                "end it as that user, then run this again."
                % (foreign[0], user_name(foreign[0].uid), self.endpoint.url),
                reason="somebody_elses",
            )
        for process in lost:
            processes.terminate(process, signal.SIGTERM, self.timeout + ORPHAN_SECONDS)
        orphans = self.orphans()
        for process in orphans:
            processes.terminate(process, signal.SIGTERM, ORPHAN_SECONDS + 5, ORPHAN_SECONDS, group=True)
        return {"unreachable": [p.pid for p in lost], "orphans": [p.pid for p in orphans]}

    def _refuse_unusable_places(self) -> None:
        parser = read_conf(self.config)
        places = [parser.get("supervisord", key, fallback=None) for key in ("logfile", "pidfile")]
        for path in places:
            if path:
                refuse_foreign(path)
        if self.endpoint.socket_path:
            refuse_unusable_socket(self.endpoint.socket_path)

    def _spawn(self) -> None:
        home = pwd.getpwuid(os.geteuid()).pw_dir
        with tempfile.TemporaryFile() as output:
            umask = os.umask(UMASK)
            try:
                process = subprocess.Popen(
                    [self.executable(), "-c", self.config],
                    env=conf.clean_environment(home),
                    cwd="/",
                    stdin=subprocess.DEVNULL,
                    stdout=output,
                    stderr=subprocess.STDOUT,
                    start_new_session=True,
                )
            finally:
                os.umask(umask)
            self._await_start(process, output)

    def _await_start(self, process: "subprocess.Popen[bytes]", output: Any) -> None:
        try:
            code = process.wait(self.timeout)
        except subprocess.TimeoutExpired:
            os.killpg(process.pid, signal.SIGKILL)
            process.wait()
            code = None
        if code != 0:
            output.seek(0)
            told = output.read(4096).decode("utf-8", "replace").strip()[-1000:]
            why = "exit status %s" % code if code is not None else "no end within %g s" % self.timeout
            raise JawsError("supervisord -c %s did not start (%s): %s" % (self.config, why, told), "did_not_start")
        self._await(lambda: self.status() is not None, "did_not_start", "answers after its start")

    def stop(self, pid: int) -> None:
        """Stop it with all its programs, and wait for its end.

        :raises JawsError: it still runs after timeout and its programs' stopwaitsecs.
        """
        limit = self._stop_limit()
        process = processes.read_process(pid)
        self.client.call("supervisor.shutdown")
        self.client.close()
        if process and not processes.wait_ended(process, self.timeout + limit):
            raise JawsError(
                "%s was told to shut down and still runs after %g s: a program does not end. See its log, "
                "then stop that program by hand." % (process, self.timeout + limit),
                reason="timed_out",
            )

    def reload(self) -> None:
        """Make it read its daemon sections again; every program restarts. Validated first, always.

        :raises JawsError: Supervisor's parser refuses the configuration, or it does not come back.
        """
        conf.validate(self.config, self.python)
        self.restart_in_place(self.client)

    def restart_in_place(self, client: Supervisor) -> None:
        """Send C(restart) through a client that reaches it now; wait until it answers at its own endpoint."""
        limit = self._stop_limit(client)
        client.call("supervisor.restart")
        client.close()
        self._await(self._is_running, "timed_out", "answers after its reload", limit)

    def _is_running(self) -> bool:
        try:
            return bool(self.client.call("supervisor.getState")["statecode"] == RUNNING)
        except JawsError as error:
            self.client.close()
            if error.reason in ("down", "wrong_key"):  # while the old one is still stopping its programs
                return False
            raise

    def _stop_limit(self, client: Optional[Supervisor] = None) -> float:
        found = settings(client or self.client).values()
        # A shutdown stops one group after the other.
        return float(sum(setting.stopwaitsecs for setting in found))

    def _await(self, done: Any, reason: str, what: str, extra: float = 0) -> None:
        deadline = time.monotonic() + self.timeout + extra
        while not done():
            if time.monotonic() > deadline:
                raise JawsError(
                    "supervisord (%s) is not the one that %s within %g s. See its log."
                    % (self.config, what, self.timeout + extra),
                    reason=reason,
                )
            time.sleep(0.05)


def interpreter_of(script: str) -> str:
    """Return the interpreter in a script's first line.

    :raises JawsError: it has none, so the option C(python) has to say it.
    """
    with open(script, "rb") as stream:
        first = stream.readline().decode("utf-8", "replace").strip()
    path = first[2:].strip().split(" ")[0]
    if not first.startswith("#!") or "python" not in os.path.basename(path):
        raise JawsError("%s does not say which Python has Supervisor: set the option python." % script, "bad_option")
    return path


def user_name(uid: int) -> str:
    """Return the user's name, or C(uid N) where it has none."""
    try:
        return pwd.getpwuid(uid).pw_name
    except KeyError:
        return "uid %d" % uid


def refuse_foreign(path: str) -> None:
    """Refuse a place that somebody else made before us, or a symbolic link.

    :raises JawsError: names the owner (somebody_elses).
    """
    try:
        found = os.lstat(path)
    except FileNotFoundError:
        return
    if stat.S_ISLNK(found.st_mode) or found.st_uid not in (os.geteuid(), os.stat(os.path.dirname(path)).st_uid):
        kind = "a symbolic link" if stat.S_ISLNK(found.st_mode) else "there already"
        raise JawsError(
            "%s is %s and belongs to %s. Nothing was read, run or written through it; remove it, or choose "
            "another path." % (path, kind, user_name(found.st_uid)),
            reason="somebody_elses",
        )


def refuse_unusable_socket(path: str) -> None:
    """Refuse a socket path on which supervisord would fail, or loop for ever.

    :raises JawsError: too long, no directory, no hard links there, or somebody else's file.
    """
    length = len(os.fsencode(path))
    if length > SOCKET_BYTES:
        raise JawsError(
            "the socket path %s has %d bytes; supervisord can use at most %d. Choose a shorter directory."
            % (path, length, SOCKET_BYTES),
            reason="bad_option",
        )
    refuse_foreign(path)
    folder = os.path.dirname(path)
    try:
        with tempfile.NamedTemporaryFile(dir=folder) as probe:
            os.link(probe.name, probe.name + ".link")
            os.unlink(probe.name + ".link")
    except OSError as error:
        raise JawsError(
            "supervisord cannot make its socket in %s: %s. It needs a directory of its own on a node-local "
            "filesystem with hard links." % (folder, error.strerror),
            reason="unusable_directory",
        ) from error
