# Copyright: (c) 2026, The jgi.jaws engineers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A command in the background: found, compared with what is wanted, started, reloaded, stopped.

Three steps: observe (pid file, then environments, then command lines), plan (pure), act. What is
found is told apart by pid, start time and boot id, never by a pattern over process names.
"""

from __future__ import annotations

import hashlib
import json
import os
import pwd
import re
import shutil
import signal as signals
import stat
import time
from contextlib import contextmanager
from dataclasses import asdict, dataclass, fields, replace
from datetime import datetime, timezone
from typing import Any, Callable, Iterable, Iterator, Mapping, NoReturn

from ansible_collections.jgi.jaws.plugins.module_utils.errors import JawsError
from ansible_collections.jgi.jaws.plugins.module_utils.locks import open_locked
from ansible_collections.jgi.jaws.plugins.module_utils.places import user_name
from ansible_collections.jgi.jaws.plugins.module_utils.processes import (
    POLL_SECONDS,
    PROC,
    Process,
    all_processes,
    ancestors,
    find_by_environment,
    read_environ,
    read_process,
    read_same,
    send_signal,
    started_at,
    terminate,
)

# What the process carries in its environment: whose it is, and which process is meant. Children
# inherit both, so the pid in the second tells the process itself from what it started.
MARKER = "JGI_JAWS_BACKGROUND"
OF_PID = MARKER + "_PID"
DEFINITION = MARKER + "_DEFINITION"
REVISION = MARKER + "_REVISION"

DEFAULT_PATH = "/usr/local/bin:/usr/bin:/bin"
LOG_TAIL_BYTES = 4096
LOG_TAIL_LINES = 20
KILL_SECONDS = 10.0


@dataclass(frozen=True)
class Wish:
    """What should run, and how it is started, reloaded and stopped; seconds and bytes."""

    id: str
    argv: tuple[str, ...]
    chdir: str
    umask: int
    environment: tuple[tuple[str, str], ...]
    revision: str
    pid_file: str
    log: str
    log_max_bytes: int
    log_backups: int
    by_hand: tuple[tuple[str, ...], ...]
    reload_files: tuple[str, ...]
    restart_on_change: bool
    inside: bool
    reload_signal: int
    stop_signal: int
    stop_timeout: float
    stop_group: bool
    kill: bool
    startsecs: float
    lock_timeout: float

    @property
    def definition(self) -> str:
        """A digest of all that a running process cannot be given later."""
        parts = [self.argv, self.chdir, self.umask, self.environment, self.log]
        return hashlib.sha256(json.dumps(parts).encode()).hexdigest()


@dataclass(frozen=True)
class Record:
    """What the pid file says of the process; definition and revision are None where unknown."""

    pid: int
    start_ticks: int
    boot_id: str
    id: str
    command: list[str]
    started_at: str
    definition: str | None
    revision: str | None
    reload_files: dict[str, str] | None
    reloaded_at: str | None = None
    stopping: str | None = None

    def text(self) -> str:
        return json.dumps(asdict(self), indent=1) + "\n"


@dataclass(frozen=True)
class Seen:
    """What was found: the processes (one, it is hoped), how, and what they were started as."""

    processes: tuple[Process, ...] = ()
    found_by: str | None = None
    record: Record | None = None
    definition: str | None = None
    revision: str | None = None
    inside: bool = False
    reload_files: tuple[tuple[str, str], ...] = ()

    @property
    def process(self) -> Process | None:
        return self.processes[0] if self.processes else None


@dataclass(frozen=True)
class Plan:
    """Actions in their order; what is out of date; why something is left for later."""

    actions: tuple[str, ...] = ()
    outdated: tuple[str, ...] = ()
    deferred: str | None = None


def converge(wish: Wish, state: str, check_mode: bool = False, proc: str = PROC) -> dict[str, Any]:
    """Bring the command to the state and return a module's result; JawsError when it cannot."""
    try:
        if check_mode:
            seen = observe(wish, PidFile.peek(wish.pid_file), proc)
            return _report(wish, state, seen, plan(wish, state, seen), seen, proc)
        with PidFile.locked(wish.pid_file, wish.lock_timeout) as pid_file:
            seen = observe(wish, pid_file.read(), proc)
            steps = plan(wish, state, seen)
            for action in steps.actions:
                _ACTIONS[action](wish, seen, pid_file, proc)
            after = _recorded(pid_file.read(), proc)
            return _report(wish, state, seen, steps, after, proc)
    except OSError as error:
        raise JawsError(f"Background command {wish.id}: {error}.", "system_error") from error


# --- the pid file, which is also the lock -------------------------------------------------------


def refuse_foreign(path: str, directory: bool = False) -> bool:
    """Tell whether path exists; JawsError when somebody else made it, or it is of another kind."""
    try:
        info = os.lstat(path)
    except FileNotFoundError:
        return False
    if info.st_uid != os.geteuid():
        raise JawsError(
            f"{path} belongs to {user_name(info.st_uid)}, not to {user_name(os.geteuid())}. "
            "Nothing was read or written there. Remove it, or choose another path.",
            "somebody_elses",
        )
    if directory and stat.S_ISLNK(info.st_mode):  # a link of our own
        return refuse_foreign(os.path.realpath(path), directory)
    if not (stat.S_ISDIR if directory else stat.S_ISREG)(info.st_mode):
        kind = "directory" if directory else "regular file"
        raise JawsError(f"{path} is not a {kind}. Remove it, or choose another path.", "wrong_kind")
    return True


def own_directory(path: str, create: bool = True) -> None:
    """See that the directory is ours alone to write; made with mode 0700 if missing."""
    if not refuse_foreign(path, directory=True):
        if create:
            os.makedirs(path, mode=0o700, exist_ok=True)
            refuse_foreign(path, directory=True)
        return
    if stat.S_IMODE(os.stat(path).st_mode) & 0o022:
        raise JawsError(
            f"Others may write in {path}, so they could replace the pid file. "
            f"Run chmod go-w {path}, or choose a directory of its own.",
            "unusable_directory",
        )


class PidFile:
    """The file, open and locked. Its text is rewritten in place: a torn one counts as lost."""

    def __init__(self, fd: int) -> None:
        self._fd = fd

    @staticmethod
    def peek(path: str) -> str:
        """Return its text without making, locking or trusting anything; empty if missing."""
        own_directory(os.path.dirname(path), create=False)
        if not refuse_foreign(path):
            return ""
        with open(path, encoding="utf-8", errors="replace") as file:
            return file.read()

    @classmethod
    @contextmanager
    def locked(cls, path: str, timeout: float) -> Iterator[PidFile]:
        """Hold the lock; after timeout seconds of waiting, JawsError says who has it."""
        own_directory(os.path.dirname(path))
        refuse_foreign(path)
        fd = open_locked(path, time.monotonic() + timeout)
        try:
            yield cls(fd)
        finally:
            if not os.fstat(fd).st_size:
                os.unlink(path)  # nothing runs: no pid file is left behind
            os.close(fd)

    def read(self) -> str:
        """Return its text."""
        size = os.fstat(self._fd).st_size
        return os.pread(self._fd, size, 0).decode(errors="replace")

    def write(self, text: str) -> None:
        """Replace its text; an empty one removes the file when the lock is given back."""
        os.ftruncate(self._fd, 0)
        os.pwrite(self._fd, text.encode(), 0)
        os.fsync(self._fd)


# --- the wish -----------------------------------------------------------------------------------


def manage(params: dict[str, Any], check_mode: bool) -> dict[str, Any]:
    """Do what a task's options ask for and return the module's result."""
    return converge(wish_from(params), params["state"], check_mode)


def wish_from(params: Mapping[str, Any]) -> Wish:
    """Return the wish that a task's options describe; JawsError names the option that is wrong."""
    _check(params)
    given = {field.name: params[field.name] for field in fields(Wish)}
    given.update(
        log=params["log"] or "",
        argv=tuple(params["argv"]),
        by_hand=tuple(tuple(map(str, argv)) for argv in params["by_hand"]),
        environment=parse_environment(params["environment"]),
        reload_files=tuple(params["reload_files"]),
        reload_signal=parse_signal(params["reload_signal"]),
        stop_signal=parse_signal(params["stop_signal"]),
        umask=parse_umask(params["umask"]),
    )
    return Wish(**given)


def _check(params: Mapping[str, Any]) -> None:
    stopped = params["state"] == "stopped"
    for name in ("pid_file", "chdir") if stopped else ("pid_file", "chdir", "log"):
        if not os.path.isabs(params[name] or ""):
            raise JawsError(f"{name}: {params[name]} is not an absolute path.", "bad_option")
    if not all([stopped or params["argv"], *params["by_hand"]]):
        raise JawsError("argv, or a list in by_hand, is empty.", "bad_option")
    if any("\0" in word for word in (params["id"], *params["argv"])):
        raise JawsError("id or argv have a NUL in them.", "bad_option")


def parse_signal(name: str) -> int:
    """Return the number of a signal named as SIGQUIT or QUIT; JawsError for another word."""
    try:
        return int(signals.Signals["SIG" + name.upper().replace("SIG", "", 1)])
    except KeyError:
        raise JawsError(
            f"{name} is not a signal's name. Write it as SIGTERM or TERM.", "bad_option"
        ) from None


def parse_umask(text: str) -> int:
    """Return the umask of three or four octal digits; JawsError for anything else."""
    if not re.fullmatch(r"0?[0-7]{3}", text):
        raise JawsError(
            f"umask {text} is not three octal digits. Write it quoted, as '027'.", "bad_option"
        )
    return int(text, 8)


def parse_environment(given: Mapping[str, Any]) -> tuple[tuple[str, str], ...]:
    """Return names and values, sorted; JawsError names what no environment can hold."""
    for name, value in given.items():
        if isinstance(value, (bool, dict, list)) or value is None:
            raise JawsError(f"environment: {name} is not text. Quote its value.", "bad_option")
        if not name or "=" in name or "\0" in f"{name}{value}" or name.startswith(MARKER):
            raise JawsError(
                f"environment: {name!r} cannot be a variable's name, or its value has a NUL in it.",
                "bad_option",
            )
    return tuple(sorted((name, str(value)) for name, value in given.items()))


def full_environment(wish: Wish) -> dict[str, str]:
    """Return the process's environment but for OF_PID: who it is, what is given, the marker."""
    user = pwd.getpwuid(os.geteuid())
    return {
        "HOME": user.pw_dir,
        "LOGNAME": user.pw_name,
        "USER": user.pw_name,
        "SHELL": user.pw_shell or "/bin/sh",
        "PATH": DEFAULT_PATH,
        **dict(wish.environment),
        MARKER: wish.id,
        DEFINITION: wish.definition,
        REVISION: wish.revision,
    }


# --- observe ------------------------------------------------------------------------------------


def parse_record(text: str) -> Record | None:
    """Return what a pid file says, or None for an empty, torn or foreign one."""
    try:
        record = Record(**json.loads(text))
        return record if all(isinstance(n, int) for n in (record.pid, record.start_ticks)) else None
    except (ValueError, TypeError):
        return None


def observe(wish: Wish, pid_file_text: str, proc: str = PROC) -> Seen:
    """Find the process: by the pid file, else by its environment, else as started by hand."""
    recorded = _recorded(pid_file_text, proc)
    if recorded.record and recorded.record.id != wish.id:
        raise JawsError(
            f"{wish.pid_file} belongs to {recorded.record.id}, which runs as {recorded.process}. "
            f"Give {wish.id} a pid_file of its own.",
            "bad_option",
        )
    ways = (
        ("pid_file", recorded.processes),
        ("environment", _find_marked(wish.id, proc)),
        ("by_hand", _find_by_hand(wish.by_hand, proc)),
    )
    found_by = next((way for way, processes in ways if processes), None)
    processes = _distinct(process for _way, found in ways for process in found)
    return _describe(wish, processes, found_by, recorded.record, proc)


def _recorded(pid_file_text: str, proc: str) -> Seen:
    """Return what the pid file alone tells: its process and its record, if that still runs."""
    record = parse_record(pid_file_text)
    process = read_same(record.pid, record.start_ticks, record.boot_id, proc) if record else None
    return Seen(processes=(process,), record=record) if process else Seen()


def _describe(
    wish: Wish,
    processes: tuple[Process, ...],
    found_by: str | None,
    record: Record | None,
    proc: str,
) -> Seen:
    environ = (read_environ(processes[0], proc) or {}) if processes else {}
    if environ.get(OF_PID) != str(processes[0].pid if processes else ""):
        environ = {}  # inherited: it tells of a process further up
    above = {process.identity for process in _self_and_ancestors(proc)}
    return Seen(
        processes=processes,
        found_by=found_by,
        record=record,
        definition=record.definition if record else environ.get(DEFINITION),
        # A command that says its own revision knows better than who started it without one.
        revision=(record.revision if record else None) or environ.get(REVISION),
        inside=any(wish.inside or process.identity in above for process in processes),
        reload_files=tuple((path, _file_state(path)) for path in wish.reload_files),
    )


def runs_by_hand(process: Process, argv: tuple[str, ...], proc: str = PROC) -> bool:
    """Tell whether its command line, seen from its own directory, is argv.

    A script is run by its interpreter: that first word is passed over. The file's name is compared
    as it was typed, not what it links to, so that it is found after an upgrade too.
    """
    try:
        cwd = os.readlink(f"{proc}/{process.pid}/cwd")
    except OSError:
        return False
    for words in (process.cmdline, process.cmdline[1:]):
        if words and words[1:] == argv[1:] and _place(cwd, words[0]) == _place("/", argv[0]):
            return True
    return False


def _find_marked(identifier: str, proc: str) -> list[Process]:
    return [
        process
        for process in find_by_environment(MARKER, identifier, proc)
        if (read_environ(process, proc) or {}).get(OF_PID) == str(process.pid)
    ]


def _find_by_hand(command_lines: tuple[tuple[str, ...], ...], proc: str) -> list[Process]:
    found = [
        process
        for argv in command_lines
        for process in all_processes(proc, ("cmdline", os.fsencode(os.path.basename(argv[0]))))
        if process.uid == os.geteuid() and runs_by_hand(process, argv, proc)
    ]
    # A child between fork and exec still has its parent's command line.
    pids = {process.pid for process in found}
    return [process for process in found if process.ppid not in pids]


def _distinct(processes: Iterable[Process]) -> tuple[Process, ...]:
    return tuple({process.identity: process for process in processes}.values())


def _self_and_ancestors(proc: str) -> list[Process]:
    own = read_process(os.getpid(), proc)
    return ([own] if own else []) + ancestors(os.getpid(), proc)


def _place(cwd: str, name: str) -> str:
    path = os.path.join(cwd, name)
    return os.path.join(os.path.realpath(os.path.dirname(path)), os.path.basename(path))


def _file_state(path: str) -> str:
    """Return what changes whenever the file is written: no digest, as it may hold a secret."""
    try:
        info = os.stat(path)
    except FileNotFoundError:
        return "missing"
    return f"{info.st_dev}:{info.st_ino}:{info.st_size}:{info.st_mtime_ns}"


# --- plan ---------------------------------------------------------------------------------------


def plan(wish: Wish, state: str, seen: Seen) -> Plan:
    """Return what has to be done; JawsError for what must not be done. Pure."""
    if state in ("stopped", "restarted"):
        return _plan_stop(wish, state, seen)
    if len(seen.processes) > 1:
        raise JawsError(_too_many(wish, seen), "runs_twice")
    outdated = differences(wish, seen)
    if not seen.process:
        return Plan(("start",))
    if state == "reloaded":
        return Plan(("reload",), outdated)
    return _plan_running(wish, seen, outdated)


def differences(wish: Wish, seen: Seen) -> tuple[str, ...]:
    """Return in what the running process is not what is wanted; pure."""
    if not seen.process:
        return ()
    found = []
    if seen.definition not in (None, wish.definition):
        told = seen.record and list(wish.argv) != seen.record.command
        found.append("command" if told else "definition")
    if wish.revision and seen.revision != wish.revision:
        found.append("revision")
    return tuple(found)


def _plan_stop(wish: Wish, state: str, seen: Seen) -> Plan:
    start = ("start",) if state == "restarted" else ()
    if not seen.process:
        return Plan(start)
    if seen.inside:
        raise JawsError(
            f"{wish.id} ({seen.process}) is what runs this play: stopping it would end the play. "
            "Run it from a shell of your own.",
            "inside",
        )
    return Plan(("stop", *start), differences(wish, seen) if start else ())


def _plan_running(wish: Wish, seen: Seen, outdated: tuple[str, ...]) -> Plan:
    stopping = seen.record.stopping if seen.record else None
    replaced = bool(stopping or (outdated and wish.restart_on_change))
    if replaced and not seen.inside:
        return Plan(("stop", "start"), outdated)
    deferred = None
    if replaced:
        what = f"was told to stop ({stopping})" if stopping else "is to be replaced"
        deferred = f"{wish.id} {what}, but this play runs inside it: it was left running."
    return Plan(_plan_upkeep(seen), outdated, deferred)


def _plan_upkeep(seen: Seen) -> tuple[str, ...]:
    """Return the reload that changed files ask for, or the pid file to be written anew."""
    known = seen.record.reload_files if seen.record else None
    if seen.reload_files and known != dict(seen.reload_files):
        return ("reload",)
    return () if seen.record else ("record",)


def _too_many(wish: Wish, seen: Seen) -> str:
    name = signals.Signals(wish.stop_signal).name
    return (
        f"{wish.id} runs {len(seen.processes)} times: "
        + "; ".join(str(process) for process in seen.processes)
        + f". End all but one with kill -{name[3:]} PID, or all with state=stopped."
    )


# --- act ----------------------------------------------------------------------------------------


def _start(wish: Wish, seen: Seen, pid_file: PidFile, proc: str) -> None:
    rotate(wish.log, wish.log_max_bytes, wish.log_backups)
    log = open_log(wish.log)
    try:
        offset = os.fstat(log).st_size
        pid = spawn(wish, log)
    finally:
        os.close(log)
    process = read_process(pid, proc)
    if process:
        pid_file.write(_record(wish, seen, process, proc).text())
    status = _first_seconds(pid, wish.startsecs)
    if status is not None:
        pid_file.write("")
        raise JawsError(
            f"{wish.id} ended at once, {_how_it_ended(status)}. Its log {wish.log} ends with:\n"
            + log_tail(wish.log, offset),
            "ended_at_once",
        )


def _stop(wish: Wish, seen: Seen, pid_file: PidFile, proc: str) -> None:
    name = signals.Signals(wish.stop_signal).name
    if seen.process:
        # Remembered first: a play that gives up waiting must not take it for healthy later.
        record = _adopt(wish, seen, seen.process, proc)
        told = record.stopping or f"{name} at {_timestamp(time.time())}"
        pid_file.write(replace(record, stopping=told).text())
    for process in seen.processes:
        _end(wish, process, proc)
    pid_file.write("")


def _end(wish: Wish, process: Process, proc: str) -> None:
    try:
        terminate(
            process,
            wish.stop_signal,
            timeout=wish.stop_timeout + (KILL_SECONDS if wish.kill else 0),
            kill_after=wish.stop_timeout if wish.kill else None,
            # What was started by hand may share the group of somebody's shell script.
            group=wish.stop_group and process.pid == process.pgid,
            proc=proc,
        )
    except JawsError as error:
        raise JawsError(
            f"{wish.id}: {error} It may be finishing its work. Run this again to wait for its end; "
            "until then it counts as stopping.",
            error.reason,
        ) from error


def _reload(wish: Wish, seen: Seen, pid_file: PidFile, proc: str) -> None:
    for process in seen.processes:
        if not send_signal(process, wish.reload_signal, proc=proc):
            raise JawsError(
                f"{wish.id} ended before it could be reloaded. See {wish.log}; run this again.",
                "ended",
            )
        record = replace(
            _adopt(wish, seen, process, proc),
            reload_files=dict(seen.reload_files),
            reloaded_at=_timestamp(time.time()),
        )
        pid_file.write(record.text())


def _remember(wish: Wish, seen: Seen, pid_file: PidFile, proc: str) -> None:
    for process in seen.processes:
        pid_file.write(_adopt(wish, seen, process, proc).text())


_ACTIONS: dict[str, Callable[[Wish, Seen, PidFile, str], None]] = {
    "start": _start,
    "stop": _stop,
    "reload": _reload,
    "record": _remember,
}


def spawn(wish: Wish, log: int) -> int:
    """Start the command in a session and process group of its own, and return its pid.

    log is a file descriptor for both its outputs; its input is /dev/null. JawsError when it cannot.
    """
    environment = full_environment(wish)
    program = _program(wish, environment["PATH"])
    told, tell = os.pipe()  # closed by exec: silence means that the command was executed
    # subprocess cannot say the child's pid in the child's own environment.
    pid = os.fork()
    if not pid:
        _become(wish, program, environment, log, tell)
    os.close(tell)
    with open(told, encoding="utf-8") as file:
        problem = file.read()
    if problem:
        os.waitpid(pid, 0)
        raise JawsError(
            f"Cannot start {wish.id}: {problem}. See that {program} exists, may be executed and is "
            f"built for this machine, and that {wish.chdir} may be entered.",
            "cannot_start",
        )
    return pid


def _program(wish: Wish, path: str) -> str:
    """Return the file to execute: looked up in PATH where its name has no slash."""
    name = wish.argv[0]
    found = name if "/" in name else shutil.which(name, path=path)
    if not found:
        raise JawsError(
            f"Cannot start {wish.id}: no {name} in {path}. Give its whole path.", "cannot_start"
        )
    return found


def _become(wish: Wish, program: str, environment: dict[str, str], log: int, tell: int) -> NoReturn:
    """In the child: become the command. Nothing of the play's own is left to it."""
    try:
        os.setsid()
        os.umask(wish.umask)
        os.chdir(wish.chdir)
        null = os.open(os.devnull, os.O_RDONLY)
        for number, descriptor in enumerate((null, log, log)):
            os.dup2(descriptor, number)
        for name in os.listdir("/proc/self/fd"):
            if int(name) > 2 and os.path.exists(f"/proc/self/fd/{name}"):
                os.set_inheritable(int(name), False)
        _reset_signals()
        os.execve(program, wish.argv, {**environment, OF_PID: str(os.getpid())})
    except OSError as error:
        os.write(tell, str(error).encode())
    finally:
        os._exit(127)


def _reset_signals() -> None:
    # A shell's background job ignores some of these, and what is ignored stays so across exec.
    heard = {signals.SIGHUP, signals.SIGINT, signals.SIGQUIT, signals.SIGTERM, signals.SIGPIPE}
    for number in heard:
        signals.signal(number, signals.SIG_DFL)
    signals.pthread_sigmask(signals.SIG_SETMASK, [])


def _first_seconds(pid: int, seconds: float) -> int | None:
    """Return how it ended (wait(2)'s status) if it does within the seconds, None if it lives."""
    deadline = time.monotonic() + seconds
    while True:
        ended, status = os.waitpid(pid, os.WNOHANG)
        if ended:
            return status
        if time.monotonic() >= deadline:
            return None
        time.sleep(POLL_SECONDS)


def _how_it_ended(status: int) -> str:
    if os.WIFSIGNALED(status):
        return f"by {signals.Signals(os.WTERMSIG(status)).name}"
    return f"with exit status {os.WEXITSTATUS(status)}"


# --- the log ------------------------------------------------------------------------------------


def rotate(path: str, max_bytes: int, backups: int) -> None:
    """Move a log of max_bytes or more to PATH.1, PATH.1 to PATH.2, and so on; 0 bytes: never."""
    refuse_foreign(path)
    if not max_bytes or not os.path.exists(path) or os.path.getsize(path) < max_bytes:
        return
    names = [path] + [f"{path}.{number}" for number in range(1, backups + 1)]
    for newer, older in reversed(list(zip(names, names[1:]))):
        if os.path.lexists(newer):
            os.replace(newer, older)
    if not backups:
        os.remove(path)


def open_log(path: str) -> int:
    """Return a descriptor that appends to the log; JawsError when it cannot or is not ours."""
    refuse_foreign(path)
    flags = os.O_WRONLY | os.O_APPEND | os.O_CREAT | os.O_NOFOLLOW | os.O_CLOEXEC
    try:
        return os.open(path, flags, 0o640)
    except OSError as error:
        raise JawsError(
            f"Cannot write the log {path}: {error.strerror}. Make its directory first.",
            "cannot_start",
        ) from error


def log_tail(path: str, offset: int) -> str:
    """Return the last lines that were written since offset (bytes)."""
    with open(path, "rb") as file:
        size = file.seek(0, os.SEEK_END)
        file.seek(max(min(offset, size), size - LOG_TAIL_BYTES))
        lines = file.read().decode(errors="replace").splitlines()
    return "\n".join(lines[-LOG_TAIL_LINES:]) or "(nothing)"


# --- records and reports ------------------------------------------------------------------------


def _timestamp(seconds: float) -> str:
    return datetime.fromtimestamp(seconds, timezone.utc).strftime("%Y-%m-%dT%H:%M:%SZ")


def _record(wish: Wish, seen: Seen, process: Process, proc: str) -> Record:
    """A record of what this run started."""
    return Record(
        *process.identity,
        id=wish.id,
        command=list(wish.argv),
        started_at=_timestamp(started_at(process, proc)),
        definition=wish.definition,
        revision=wish.revision,
        reload_files=dict(seen.reload_files),
    )


def _adopt(wish: Wish, seen: Seen, process: Process, proc: str) -> Record:
    """The record that there is, or one of a process whose pid file is lost or never was."""
    if seen.record:
        return seen.record
    return Record(
        *process.identity,
        id=wish.id,
        command=list(process.cmdline),
        started_at=_timestamp(started_at(process, proc)),
        definition=seen.definition,
        revision=seen.revision,
        reload_files=None if seen.reload_files else {},
    )


def _report(
    wish: Wish, state: str, before: Seen, steps: Plan, after: Seen, proc: str
) -> dict[str, Any]:
    process = after.process
    record = _adopt(wish, after, process, proc) if process else None
    return {
        "changed": bool(steps.actions),
        "actions": list(steps.actions),
        "outdated": list(steps.outdated),
        "deferred": steps.deferred,
        "found_by": before.found_by,
        "inside": before.inside,
        "running": bool(process),
        "pid": process.pid if process else None,
        "started_at": record.started_at if record else None,
        "reloaded_at": record.reloaded_at if record else None,
        "stopping": record.stopping if record else None,
        "command": record.command if record else list(wish.argv),
        "log": wish.log,
        "pid_file": wish.pid_file,
        "diff": _diff(wish, state, before, steps, proc),
        "warn": _warnings(wish, steps),
    }


def _warnings(wish: Wish, steps: Plan) -> list[str]:
    if steps.deferred:
        return [steps.deferred + " Run this again from a shell of your own."]
    if steps.outdated and "start" not in steps.actions and not wish.restart_on_change:
        changed = ", ".join(steps.outdated)
        return [
            f"{wish.id} runs with another {changed} than is asked for; restart it to apply that."
        ]
    return []


def _diff(wish: Wish, state: str, before: Seen, steps: Plan, proc: str) -> dict[str, str]:
    """Before and after in words, known beforehand. No environment: it may be secret."""
    command = _adopt(wish, before, before.process, proc).command if before.process else None
    old = ["running: " + json.dumps(command) if command else "not running"]
    new = list(old)
    if "stop" in steps.actions or "start" in steps.actions:
        new = ["not running" if state == "stopped" else "running: " + json.dumps(list(wish.argv))]
        new += [f"because it changed: {what}" for what in steps.outdated]
    if "reload" in steps.actions:
        new.append(f"sent {signals.Signals(wish.reload_signal).name}")
    if "record" in steps.actions:
        new.append(f"pid file written: {wish.pid_file}")
    return {"before": "\n".join(old) + "\n", "after": "\n".join(new) + "\n"}
