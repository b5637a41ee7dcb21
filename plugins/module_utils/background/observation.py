# Copyright: (c) 2026, The jgi.jaws engineers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Which processes of a background command run, and how they were started."""

from __future__ import annotations

import os
from dataclasses import dataclass
from typing import Iterable

from ..errors import JawsError
from ..system.processes import (
    PROC,
    Process,
    all_processes,
    ancestors,
    find_by_environment,
    read_environ,
    read_process,
    read_same,
)
from .pid_file import PidRecord, parse_record
from .wish import DEFINITION, MARKER, OF_PID, REVISION, Wish


@dataclass(frozen=True)
class Seen:
    """What was found: the processes (normally one), how, and how they were started."""

    processes: tuple[Process, ...] = ()
    found_by: str | None = None
    record: PidRecord | None = None
    definition: str | None = None
    revision: str | None = None
    inside: bool = False
    reload_files: tuple[tuple[str, str], ...] = ()

    @property
    def process(self) -> Process | None:
        """The first of the processes that run; None if none does."""
        return self.processes[0] if self.processes else None


def find(wish: Wish, pid_file_text: str, proc: str = PROC) -> Seen:
    """Find the process by the pid file, its environment, or its command line, in this order."""
    recorded = find_recorded(pid_file_text, proc)
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


def find_recorded(pid_file_text: str, proc: str) -> Seen:
    """Return the process in the pid file and its record, if that process still runs."""
    record = parse_record(pid_file_text)
    process = read_same(record.pid, record.start_ticks, record.boot_id, proc) if record else None
    return Seen(processes=(process,), record=record) if process else Seen()


def _describe(
    wish: Wish,
    processes: tuple[Process, ...],
    found_by: str | None,
    record: PidRecord | None,
    proc: str,
) -> Seen:
    environ = (read_environ(processes[0], proc) or {}) if processes else {}
    if environ.get(OF_PID) != str(processes[0].pid if processes else ""):
        environ = {}  # inherited from an ancestor
    above = {process.identity for process in _self_and_ancestors(proc)}
    return Seen(
        processes=processes,
        found_by=found_by,
        record=record,
        definition=record.definition if record else environ.get(DEFINITION),
        # If the record has no revision, the command itself may have one in its environment.
        revision=(record.revision if record else None) or environ.get(REVISION),
        inside=any(wish.inside or process.identity in above for process in processes),
        reload_files=tuple((path, _file_state(path)) for path in wish.reload_files),
    )


def runs_by_hand(process: Process, argv: tuple[str, ...], proc: str = PROC) -> bool:
    """Return whether its command line, seen from its working directory, is argv.

    The interpreter of a script, its first word, is ignored. The name of the file is compared as it
    was typed, without following a link, so that the process is found after an upgrade too.
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
    # Between fork and exec, a child still has its parent's command line.
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
    """Return what changes when the file is written; not a digest, as it may hold a secret."""
    try:
        info = os.stat(path)
    except FileNotFoundError:
        return "missing"
    return f"{info.st_dev}:{info.st_ino}:{info.st_size}:{info.st_mtime_ns}"
