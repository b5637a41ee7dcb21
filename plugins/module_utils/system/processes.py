# Copyright: (c) 2026, The jgi.jaws engineers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Processes as Linux's /proc shows them, and signals that reach only the intended process.

A pid alone does not identify a process, because pids are reused. A pid with its start time (clock
ticks since boot) and the boot id does. Every function takes the root of /proc, so that a test can
make one.
"""

from __future__ import annotations

import os
import pwd
import re
import signal as signals
import time
from contextlib import suppress
from dataclasses import dataclass
from typing import Iterable, Iterator, NamedTuple

from ..errors import JawsError, quoted
from .waiting import wait_until

PROC = "/proc"
# A search waits at most this long in total for processes that are just being started.
SETTLING_SECONDS = 1.0
RETRY_SECONDS = 0.002
# A process that was forked to execute a program does not sleep before that; a forked worker does.
ASLEEP_SECONDS = 0.1
LISTINGS = 2  # the second one finds what was forked while the first one was being read
CLEAN_PATH = "/usr/local/bin:/usr/bin:/bin"
# The errors of /proc for a process that has ended, or that hidepid= hides from us.
_UNSEEN = (FileNotFoundError, NotADirectoryError, ProcessLookupError, PermissionError)
_CAP_KILL = 1 << 5
_UID = re.compile(rb"^Uid:\s*\d+\s+(\d+)", re.MULTILINE)
_FORKED_ONLY = 0x40  # PF_FORKNOEXEC: forked, and no program executed since


@dataclass(frozen=True)
class Process:
    """One process at the moment when it was read.

    start_ticks is field 22 of /proc/PID/stat, in clock ticks since boot; uid is the effective one,
    as in ps; pgid and session are its process group and session.
    """

    pid: int
    start_ticks: int
    boot_id: str
    uid: int
    ppid: int
    pgid: int
    session: int
    cmdline: tuple[str, ...]

    @property
    def identity(self) -> tuple[int, int, str]:
        """What no other process ever has: pid, start_ticks, boot_id."""
        return (self.pid, self.start_ticks, self.boot_id)

    @property
    def command(self) -> str:
        """Its command line, as it may be shown."""
        return quoted(" ".join(self.cmdline)) or "no command line"

    def __str__(self) -> str:
        return f"pid {self.pid} ({self.command})"


def clean_environment() -> dict[str, str]:
    """Return the environment of a supervisord: nothing of its starter's reaches a service.

    It is what a login gives the account. The parser is given the same, so that it sees what the
    daemon will see.
    """
    path = f"{CLEAN_PATH}:/usr/local/sbin:/usr/sbin:/sbin"
    found = {"PATH": path, "HOME": "/", "LANG": "C.UTF-8", "LC_ALL": "C.UTF-8"}
    with suppress(KeyError):  # a container may run as a user without a name
        account = pwd.getpwuid(os.geteuid())
        found.update(HOME=account.pw_dir, USER=account.pw_name, LOGNAME=account.pw_name)
        found["SHELL"] = account.pw_shell or "/bin/sh"
    return found


def boot_id(proc: str = PROC) -> str:
    """Return the id of this boot of the machine.

    :raises JawsError: there is no Linux /proc (no_proc).
    """
    path = f"{proc}/sys/kernel/random/boot_id"
    try:
        with open(path, encoding="ascii") as file:
            return file.read().strip()
    except OSError as error:
        raise JawsError(
            f"Cannot read {path}: {error.strerror}. Identifying processes needs Linux with /proc "
            "mounted.",
            "no_proc",
        ) from error


def read_process(pid: int, proc: str = PROC) -> Process | None:
    """Return the process, or None if it has ended, is a zombie, or is hidden from us."""
    return _read_process(pid, proc, boot_id(proc))


def all_processes(proc: str = PROC, having: tuple[str, bytes] | None = None) -> Iterator[Process]:
    """Yield every process that we can see.

    :param having: the name of a file in /proc/PID and some bytes: yield only the processes whose
        file contains the bytes. With thousands of processes, this avoids most of the reading.
    """
    boot = boot_id(proc)
    for pid in _listed(proc) if having is None else _having(*having, proc):
        process = _read_process(pid, proc, boot)
        if process:
            yield process


def search(
    names: Iterable[str], proc: str = PROC, pids: Iterable[int] | None = None
) -> Iterator[tuple[int, list[bytes]]]:
    """Yield each process's pid with the contents of those of its files that we may read.

    A process that was just forked still shows the command line and the environment of its parent,
    and one that was just executed shows neither. Both are read again until they show their own, for
    at most SETTLING_SECONDS in total.
    """
    names = tuple(names)
    deadline = time.monotonic() + SETTLING_SECONDS
    seen: set[int] = set()
    for _listing in range(LISTINGS):
        new = set(_listed(proc) if pids is None else pids) - seen
        seen |= new
        yield from _settled(new, names, proc, deadline)


def read_same(pid: int, start_ticks: int, boot: str, proc: str = PROC) -> Process | None:
    """Return the process that has this identity, or None if it has ended."""
    process = read_process(pid, proc)
    return process if process and process.identity == (pid, start_ticks, boot) else None


def is_same(process: Process, proc: str = PROC) -> bool:
    """Return whether this very process still runs, and not another one with its pid."""
    return read_same(*process.identity, proc) is not None


def read_environ(process: Process, proc: str = PROC) -> dict[str, str] | None:
    """Return the environment it was started with; None if we may not read it or it has ended.

    The kernel lets only its own user and root read it.
    """
    for _pid, (environ,) in search(["environ"], proc, [process.pid]):
        entries = os.fsdecode(environ).split("\0")
        if is_same(process, proc):
            return dict(entry.split("=", 1) for entry in entries if "=" in entry)
    return None


def find_by_environment(name: str, value: str, proc: str = PROC) -> list[Process]:
    """Return our own user's processes that were started with NAME=value, oldest first."""
    having = ("environ", os.fsencode(f"{name}={value}"))
    found = [
        process
        for process in all_processes(proc, having)
        if process.uid == os.geteuid() and (read_environ(process, proc) or {}).get(name) == value
    ]
    return sorted(found, key=lambda process: (process.start_ticks, process.pid))


def ancestors(pid: int, proc: str = PROC) -> list[Process]:
    """Return the parent of a process, its parent, and so on up to the first process."""
    found: list[Process] = []
    process = read_process(pid, proc)
    while process and process.ppid > 0:
        process = read_process(process.ppid, proc)
        if process:
            found.append(process)
    return found


def below(process: Process, depth: int | None = None, proc: str = PROC) -> list[Process]:
    """Return the children of a process, their children, and so on, each after its parent.

    :param depth: how many generations; None: all.
    """
    everything = list(all_processes(proc))
    found: list[Process] = []
    parents = {process.pid}
    while parents and depth != 0:
        generation = [other for other in everything if other.ppid in parents]
        found += generation
        parents = {other.pid for other in generation}
        depth = None if depth is None else depth - 1
    return found


def may_signal(sender: Process, target: Process, proc: str = PROC) -> bool:
    """Return whether the kernel lets one process end another: kill(2) compares their users.

    What has ended, or hides that, is not in anybody's way.
    """
    try:
        theirs, its = (_read_status(process.pid, proc) for process in (sender, target))
    except _UNSEEN:
        return True
    may_kill_all = bool(int(theirs["CapEff"][0], 16) & _CAP_KILL)
    return may_kill_all or bool({*theirs["Uid"][:2]} & {its["Uid"][0], its["Uid"][2]})


def is_suspended(pid: int, proc: str = PROC) -> bool:
    """Return whether a process was suspended by a signal, and does nothing until SIGCONT."""
    try:
        return _read_status(pid, proc)["State"][0] in "Tt"
    except _UNSEEN:
        return False


def is_contained(pid: int, proc: str = PROC) -> bool:
    """Return whether a process is in a container: in a namespace of pids below ours.

    There the same path is another file. But what is still in a session from outside, as what
    `apptainer run --pid` starts, has the files of the program that has started it.
    """
    try:
        status = _read_status(pid, proc)
        return len(status.get("NSpid", [])) > 1 and status.get("NSsid", [""])[-1] != "0"
    except _UNSEEN:
        return False


def started_at(process: Process, proc: str = PROC) -> float:
    """Return its start in seconds since the epoch, for messages: it moves with the clock."""
    with open(f"{proc}/uptime", encoding="ascii") as file:
        uptime = float(file.read().split()[0])
    return time.time() - uptime + process.start_ticks / os.sysconf("SC_CLK_TCK")


def group_members(*leaders: Process, proc: str = PROC) -> list[Process]:
    """Return what runs in processes' groups, also after the processes themselves have ended."""
    everything = list(all_processes(proc))
    now = {process.pid: process.identity for process in everything}
    groups = {
        (process.pgid, process.session)
        for process in leaders
        # Otherwise the group's number has been given to another process.
        if process.pid != process.pgid or now.get(process.pid, process.identity) == process.identity
    }
    return [other for other in everything if (other.pgid, other.session) in groups]


def send_signal(process: Process, signal: int, group: bool = False, proc: str = PROC) -> bool:
    """Signal this very process, or its whole group; return False if it has ended.

    :raises JawsError: it belongs to another user (not_permitted), or the group is our own
        (runs_this_play).
    """
    try:
        if group:
            return _signal_group(process, signal, proc)
        return _signal_one(process, signal, proc)
    except ProcessLookupError:
        return False
    except PermissionError as error:
        raise JawsError(
            f"Not allowed to send {signals.Signals(signal).name} to {process}: it belongs to "
            f"uid {process.uid}, and this runs as uid {os.geteuid()}. Run this as that user.",
            "not_permitted",
        ) from error


def wait_ended(process: Process, timeout: float, group: bool = False, proc: str = PROC) -> bool:
    """Wait until it (or its whole group) has ended; False after timeout seconds."""
    return wait_until(lambda: not runs(process, group, proc), timeout)


def terminate(
    process: Process,
    signal: int = signals.SIGTERM,
    timeout: float = 10.0,
    kill_after: float | None = None,
    group: bool = False,
    proc: str = PROC,
) -> int:
    """End a process, or its whole group, and return the last signal that was sent; 0 for none.

    :param timeout: seconds that it may take in total.
    :param kill_after: seconds after the first signal when SIGKILL is sent, as by timeout(1); None
        for never.
    :raises JawsError: it still runs after that (still_running).
    """
    patience = timeout if kill_after is None else min(kill_after, timeout)
    if not send_signal(process, signal, group, proc):
        return 0
    if wait_ended(process, patience, group, proc):
        return signal
    if kill_after is not None:
        killed = send_signal(process, signals.SIGKILL, group, proc)
        # A killed process still needs a moment, even if the timeout is over.
        if wait_ended(process, max(timeout - patience, 1.0), group, proc):
            return signals.SIGKILL if killed else signal
    advice = "SIGKILL was not sent. Wait until it has ended, then run this again."
    if kill_after is not None:
        advice = "SIGKILL was sent too. Look at the disk that it waits for."
    raise JawsError(
        f"{process} still runs {timeout:g} s after {signals.Signals(signal).name}. {advice}",
        "still_running",
    )


class _Unsettled(Exception):
    """The process does not show its own command line and environment yet."""


class _Directory:
    """/proc/PID held open, so that nothing is read of a later process with the same pid."""

    def __init__(self, pid: int, proc: str) -> None:
        self._fd = os.open(f"{proc}/{pid}", os.O_RDONLY | os.O_DIRECTORY)

    def __enter__(self) -> _Directory:
        return self

    def __exit__(self, *_unused: object) -> None:
        os.close(self._fd)

    def read(self, name: str) -> bytes:
        fd = os.open(name, os.O_RDONLY, dir_fd=self._fd)
        try:
            return b"".join(iter(lambda: os.read(fd, 65536), b""))
        finally:
            os.close(fd)

    def stat(self) -> _Stat:
        return _parse_stat(self.read("stat"))

    def readable(self, names: Iterable[str]) -> list[bytes]:
        """Return the contents of those of its files that we may read."""
        contents = []
        for name in names:
            with suppress(PermissionError):
                contents.append(self.read(name))
        return contents


class _Stat(NamedTuple):
    """The fields 3, 4, 5, 6, 9, 22 and 23 of /proc/PID/stat, see proc(5)."""

    state: str
    ppid: int
    pgid: int
    session: int
    flags: int
    start_ticks: int
    memory: int  # 0 for a kernel thread, and for a process that is ending

    @property
    def age(self) -> float:
        """Seconds since its start, even in a container with an uptime of its own."""
        now = time.clock_gettime(time.CLOCK_BOOTTIME)
        return now - self.start_ticks / os.sysconf("SC_CLK_TCK")

    @property
    def will_execute(self) -> bool:
        """Return whether it was forked so recently that it may still execute its program."""
        limit = ASLEEP_SECONDS if self.state == "S" else SETTLING_SECONDS
        return bool(self.flags & _FORKED_ONLY) and self.age < limit


def _listed(proc: str) -> list[int]:
    return [int(name) for name in os.listdir(proc) if name.isdigit()]


def _having(name: str, wanted: bytes, proc: str) -> Iterator[int]:
    for pid, contents in search([name], proc):
        if any(wanted in content for content in contents):
            yield pid


def _settled(
    pids: set[int], names: tuple[str, ...], proc: str, deadline: float
) -> Iterator[tuple[int, list[bytes]]]:
    while pids:
        is_last = time.monotonic() >= deadline
        for pid in sorted(pids):
            with suppress(_Unsettled):
                contents = _look(pid, names, proc, is_last)
                pids.remove(pid)
                if contents:
                    yield pid, contents
        if pids:
            time.sleep(RETRY_SECONDS)


def _look(pid: int, names: tuple[str, ...], proc: str, is_last: bool) -> list[bytes]:
    """Return the contents of its files; nothing if it has ended or is hidden.

    :raises _Unsettled: it may show its own contents a moment later, and this is not the last look.
    """
    try:
        with _Directory(pid, proc) as directory:
            contents = directory.readable(names)
            # There is no point in waiting for what another user's process hides, or for ourselves.
            if not contents or is_last or pid == os.getpid():
                return contents
            return _own_contents(directory, names, contents)
    except _UNSEEN:
        return []


def _own_contents(
    directory: _Directory, names: tuple[str, ...], contents: list[bytes]
) -> list[bytes]:
    stat = directory.stat()
    if stat.will_execute:
        raise _Unsettled
    if not stat.memory or (all(contents) and stat.age > SETTLING_SECONDS):
        return contents
    # Every executed program has a command line, while its environment may be empty.
    if not directory.read("cmdline"):
        raise _Unsettled
    return directory.readable(names)  # the first look may have been before the exec


def _read_process(pid: int, proc: str, boot: str) -> Process | None:
    try:
        with _Directory(pid, proc) as directory:
            stat = directory.stat()
            uid = _effective_uid(directory.read("status"))
            cmdline = os.fsdecode(directory.read("cmdline"))
    except _UNSEEN:
        return None
    if stat.state in "ZX":
        return None
    words = cmdline.split("\0")
    if not words[-1]:
        words.pop()  # each word ends with a NUL
    ids = (stat.ppid, stat.pgid, stat.session)
    return Process(pid, stat.start_ticks, boot, uid, *ids, tuple(words))


def _parse_stat(stat: bytes) -> _Stat:
    # The name of the command, in parentheses, may itself contain spaces and parentheses.
    state, *fields = stat.rpartition(b")")[2].split()
    return _Stat(state.decode(), *(int(fields[number - 4]) for number in (4, 5, 6, 9, 22, 23)))


def _effective_uid(status: bytes) -> int:
    """Return the one field of /proc/PID/status that a look at all processes needs."""
    found = _UID.search(status)
    if not found:
        raise ProcessLookupError  # a process at its end shows an empty status
    return int(found[1])


def _read_status(pid: int, proc: str) -> dict[str, list[str]]:
    with _Directory(pid, proc) as directory:
        return _parse_status(directory.read("status"))


def _parse_status(status: bytes) -> dict[str, list[str]]:
    """Return the words of each field of /proc/PID/status."""
    lines = os.fsdecode(status).splitlines()
    found = {name: text.split() for name, _colon, text in (line.partition(":") for line in lines)}
    if "Uid" not in found:
        raise ProcessLookupError  # a process at its end shows an empty status
    return found


def runs(process: Process, group: bool = False, proc: str = PROC) -> bool:
    """Return whether this very process, or anything of its group, still runs."""
    return is_same(process, proc) or (group and bool(group_members(process, proc=proc)))


def _signal_one(process: Process, signal: int, proc: str) -> bool:
    # If the kernel and Python have pidfds, no other process can get the pid before the signal.
    opener = getattr(os, "pidfd_open", None)
    sender = getattr(signals, "pidfd_send_signal", None)
    if not opener or not sender:
        return _checked_kill(process, signal, proc)
    try:
        fd = opener(process.pid)
    except ProcessLookupError:
        return False
    except OSError:  # an older kernel, or a sandbox that forbids it
        return _checked_kill(process, signal, proc)
    try:
        if not is_same(process, proc):
            return False
        sender(fd, signal)
        return True
    finally:
        os.close(fd)


def _checked_kill(process: Process, signal: int, proc: str) -> bool:
    if not is_same(process, proc):
        return False
    os.kill(process.pid, signal)
    return True


def _signal_group(process: Process, signal: int, proc: str) -> bool:
    if process.pgid == os.getpgrp():
        raise JawsError(
            f"{process} was not signalled, because it is in the process group of this play, which "
            "would end too. Run the play from a shell of your own.",
            "runs_this_play",
        )
    if not group_members(process, proc=proc):
        return False
    os.killpg(process.pgid, signal)
    return True
