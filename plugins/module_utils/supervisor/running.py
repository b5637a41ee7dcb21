# Copyright: (c) 2026, The jgi.jaws engineers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What runs of one supervisord instance, according to the kernel, and how to end it.

Files can be removed, damaged or replaced while a daemon runs, and its programs can outlive it.
Facts from Supervisor 4.3.0, measured: /proc/net/unix names a listening socket C(PATH.PID), also
after the file has been removed; supervisord takes a program that it may not signal for stopped, so
that its shutdown leaves that program running, and its reload starts a second copy.
"""

from __future__ import annotations

import math
import os
import re
import signal
import time
from contextlib import suppress
from typing import Collection, Dict, Iterable, List, Sequence

from ..errors import JawsError
from ..system import processes
from ..system.files import user_name
from ..system.processes import PROC, Process
from .endpoint import Endpoint, listening_ports
from .installation import config_of
from .parser import ConfiguredProgram
from .programs import namespec

# A variable of a daemon that we have started, and so of everything that it runs.
MARK = "SUPERVISORD_CONFIG"
# And what it is, at whatever path its configuration is.
IDENTITY = "SUPERVISORD_IDENTITY"
URL = "SUPERVISOR_SERVER_URL"  # a variable of every program, set by Supervisor
MOST_LOOKS = 5  # for what prevents a start, in case something is started again and again
STOPWAITSECS = 10  # Supervisor's default
KILLED_SECONDS = 5  # how long a killed process may take to end
ACCEPTS = 0x10000  # __SO_ACCEPTCON, in /proc/net/unix
LAST_RESORT = "The module supervisord with state=killed, run as {user}, ends {what}"

Cleared = Dict[str, List[int]]


class Instance:
    """The processes of one supervisord instance: its daemons, and what they run or have left.

    :param config: the absolute path of its supervisord.conf, which may no longer exist.
    :param server_url: where it listens, as its programs get it; empty if unknown.
    :param pid_file: its path, if known; a pid in it alone is never signalled.
    """

    def __init__(self, config: str, server_url: str = "", pid_file: str | None = None) -> None:
        self.config = config
        self.server_url = server_url
        self.pid_file = pid_file

    def remains(self, force: bool = False) -> bool:
        """Return whether anything of it runs that C(clear) would end."""
        return bool(self.daemons() or self.orphans(force) or self._hidden())

    def daemons(self) -> list[Process]:
        """Return its supervisord processes, oldest first.

        They are recognised by their command line, in any spelling of the path, or by their socket.
        """
        named = [
            process
            for process in processes.all_processes(having=("cmdline", b"supervisord"))
            if self._is_named(config_of(process.cmdline), process)
        ]
        found = {process.pid: process for process in named + self._listening(named)}
        here = [process for process in found.values() if not processes.is_contained(process.pid)]
        # A process that a daemon has just forked has the daemon's command line for a moment.
        return by_age(process for process in here if process.ppid not in found)

    def _listening(self, named: Sequence[Process]) -> list[Process]:
        """Return what else listens at its address and is a supervisord, judging by its programs
        or by its command line."""
        return [
            process
            for process in listeners(self.server_url, named)
            if config_of(process.cmdline) == "" or process.pid in self._parents()
        ]

    def _parents(self) -> set[int]:
        return {child.ppid for child in self._descendants()}

    def _is_named(self, given: str | None, process: Process) -> bool:
        if given is None:
            return False
        ours = os.path.realpath(self.config)
        if os.path.isabs(given):
            return os.path.realpath(given) == ours
        # Its present directory, which is its option directory, and the directory of its start.
        folders = [_cwd(process.pid), (processes.read_environ(process) or {}).get("PWD", "/")]
        paths = [os.path.realpath(os.path.join(folder, given)) for folder in folders]
        return ours in paths or process.pid in self._parents()

    def orphans(self, force: bool = False) -> list[Process]:
        """Return what a dead predecessor has left running and we may end, oldest first.

        Programs of a live supervisord with the same address do not count. Neither does what was
        meant to outlive its program, except by force.
        """
        found = self._unkept()
        return found if force else [child for child in found if not self._is_apart(child)]

    def apart(self) -> list[Process]:
        """Return what a dead predecessor's programs have started to outlive them."""
        return [child for child in self._unkept() if self._is_apart(child)]

    def _unkept(self) -> list[Process]:
        found = [child for child in self._descendants() if config_of(child.cmdline) is None]
        ours = {daemon.pid for daemon in self.daemons()} if found else set()
        return [child for child in found if not _is_kept(child, ours)]

    def _is_apart(self, child: Process) -> bool:
        """Whether a program or a batch system has given a process a session of its own.

        Otherwise, the session's leader was the dead supervisord, or started it in the foreground,
        such as a shell; the process is not below that any more.
        """
        leader = processes.read_process(child.session)
        if child.pgid == child.session:
            return True
        if leader is None or config_of(leader.cmdline) is not None:
            return False
        if is_open(leader) and self._is_marked(leader):
            return True
        adopts = leader.pid == 1  # the first process of a container
        return not adopts and leader.pid in {above.pid for above in processes.ancestors(child.pid)}

    def _hidden(self, orphans: Sequence[Process] = ()) -> list[Process]:
        """Return what a dead daemon has left of other users, whose environment is hidden.

        It is still in the session that the daemon led, as are other orphans.
        """
        return [one for one in self._in_its_session(orphans) if not is_open(one)]

    def _in_its_session(self, orphans: Sequence[Process]) -> list[Process]:
        """Return what is in the session of a dead daemon that has left some processes."""
        led = {orphan.session for orphan in orphans} | _led_by(self.pid_file)
        sessions = {session for session in led if processes.read_process(session) is None}
        everything = processes.all_processes() if sessions else iter(())
        return [process for process in everything if process.session in sessions]

    def _nameless(self, marked: Sequence[Process]) -> list[Process]:
        """Return what has lost its environment, and with it the marks, to the title that it gives
        itself, as nginx and PostgreSQL do. It is known by the dead daemon's session.
        """
        return [
            process
            for process in self._in_its_session(marked)
            if is_open(process)
            and not processes.read_environ(process)
            and not processes.is_contained(process.pid)
        ]

    def predecessors(self, daemon: Process) -> list[Process]:
        """Return what was left running before a daemon was started and still runs."""
        older = self._descendants(daemon.start_ticks)
        orphans = self.orphans() if older else []
        return [child for child in orphans if child.start_ticks < daemon.start_ticks]

    def _descendants(self, before: float = math.inf) -> list[Process]:
        """Return what bears the instance's marks; of what was started before a tick, if given."""
        marked = [
            process
            for process in processes.all_processes(having=("environ", b"SUPERVISOR"))
            if process.start_ticks < before and is_open(process) and self._is_marked(process)
        ]
        nameless = [one for one in self._nameless(marked) if one.start_ticks < before]
        return by_age(_spared([*marked, *nameless]))

    def _is_marked(self, process: Process) -> bool:
        environ = processes.read_environ(process) or {}
        marked = environ.get(MARK) == self.config
        told = bool(self.server_url) and environ.get(URL) == self.server_url
        return (marked or told) and not processes.is_contained(process.pid)

    def leftovers(self) -> list[Process]:
        """Return what programs that have ended have left, oldest first.

        supervisord makes each program the leader of a process group, in its own session, and would
        have ended the group with it. If supervisord has ended, so has its session's leader. What
        leads a session of its own does not count, nor does a group of its own under a supervisord
        that runs: it was meant to outlive the program, as a job of a batch system is.

        The shims do the same (plugin_utils/leash.py).
        """
        everything = {process.pid: process for process in processes.all_processes()}
        outside = [one for one in everything.values() if one.pgid != one.session]
        left = [one for one in outside if not {one.pgid, one.session} <= everything.keys()]
        daemons = self.daemons() if left else []
        led = {daemon.session for daemon in daemons}
        known = {daemon.pid for daemon in daemons if daemon.pid == daemon.session}
        return by_age(
            process
            for process in _spared(left)
            if (process.pgid if process.session in led else process.session) not in everything
            and (process.session in known or (is_open(process) and self._is_marked(process)))
        )

    def only(self) -> Process | None:
        """Return its daemon, if one runs.

        :raises JawsError: several run (runs_twice).
        """
        found = self.daemons()
        refuse_several(self.config, found)
        return found[0] if found else None

    def clear(
        self,
        programs: Sequence[ConfiguredProgram],
        timeout: float,
        force: bool = False,
        users: Collection[int] = (),
    ) -> Cleared:
        """End its daemons, and then what they ran and did not end.

        :param programs: what Supervisor's parser says about them, to stop them properly.
        :param timeout: seconds that a daemon may take, in addition to its programs' stopwaitsecs.
        :param force: also end a daemon that is suspended, or does not end in time.
        :param users: the uids of those who may be replaced by us.
        :raises JawsError: one is another user's (foreign_owner) or does not end (still_running).
        """
        cleared: Cleared = {"unreachable": [], "orphans": []}
        # If there is something, one look is not enough: it may start more before it ends.
        for _look in range(MOST_LOOKS):
            found = self._clear(programs, timeout, force, users)
            if not any(found.values()):
                break
            for what, pids in found.items():
                cleared[what] += pids
        return cleared

    def _clear(
        self,
        programs: Sequence[ConfiguredProgram],
        timeout: float,
        force: bool,
        users: Collection[int],
    ) -> Cleared:
        daemons = self.daemons()
        for daemon in daemons:
            # A start would replace another user's daemon by one of ours.
            may_root = force or daemon.uid in users
            refuse_foreign_daemon(self.config, daemon, {daemon.uid, *([0] if may_root else [])})
        ran = [
            child
            for daemon in daemons
            for child in processes.below(daemon)
            if force or child.session == daemon.session
        ]
        limit = stop_limit((program.group, program.stopwaitsecs) for program in programs)
        for daemon in daemons:
            if force:
                _kill(daemon, timeout + limit)
            else:
                _stop(daemon, timeout + limit)
        left = {process.pid: process for process in self.orphans(force) + _spared(ran)}
        orphans = by_age(filter(processes.is_same, left.values()))
        hidden = self._hidden(orphans)
        ended = end(orphans, programs)
        _refuse_left(hidden)
        return {"unreachable": [daemon.pid for daemon in daemons], "orphans": ended}


def look_for_rest(config: str, url: str) -> str:
    """Return a sentence about what a killed supervisord has left running, or an empty text.

    :param url: where it was to listen; empty if that is not known.
    :raises JawsError: a supervisord runs with this configuration, but does not answer
        (unreachable).
    """
    instance = Instance(config, url)
    try:
        daemons, left = instance.daemons(), instance.orphans()
    except JawsError:  # there is no /proc, so this cannot be known
        return ""
    for daemon in daemons:
        raise JawsError(
            f"{daemon} of {_user(daemon)} runs with {config}, but does not answer: its socket or "
            "its configuration was removed while it ran. Use the module jgi.jaws.supervisord to "
            f"stop or restart it, as {_user(daemon)}; then run this again.",
            "unreachable",
            pids=[daemon.pid],
        )
    if not left:
        return ""
    return (
        f" But a supervisord that was killed has left {', '.join(map(str, left))} running: the "
        "module jgi.jaws.supervisord with state=stopped ends that."
    )


# --- what belongs to whom -----------------------------------------------------------------------


def refuse_foreign_daemon(config: str, daemon: Process, users: Collection[int]) -> None:
    """Refuse to act on a daemon of another user.

    :param users: the uids of those who may.
    :raises JawsError: names it, its user and the command (foreign_owner).
    """
    if os.geteuid() in users:
        return
    owner = user_name(daemon.uid)
    raise JawsError(
        f"{daemon} runs with {config} as {owner}; this runs as {user_name(os.geteuid())}. Nothing "
        "was changed or started beside it. "
        f"{last_resort([daemon])}; then run this again.",
        "foreign_owner",
        pids=[daemon.pid],
    )


def refuse_several(config: str, daemons: Sequence[Process]) -> None:
    """Refuse to act if more than one daemon runs with a configuration.

    :raises JawsError: names them and the command that leaves one (runs_twice).
    """
    if len(daemons) > 1:
        raise JawsError(
            f"{len(daemons)} supervisords run with {config}: {' and '.join(map(str, daemons))}, "
            "so its programs run more than once. Nothing was changed. The module supervisord with "
            "state=restarted ends all of them and starts one; state=killed ends them without "
            "asking.",
            "runs_twice",
            pids=[daemon.pid for daemon in daemons],
        )


def refuse_copies(config: str, identity: str) -> None:
    """Refuse to start a daemon if one with the same identity runs with another configuration.

    :raises JawsError: names it, its configuration and what to do (runs_elsewhere).
    """
    same = processes.find_by_environment(IDENTITY, identity) if identity else []
    for process in same:
        other = (processes.read_environ(process) or {}).get(MARK, "")
        moved = os.path.realpath(other) != os.path.realpath(config)
        if moved and config_of(process.cmdline) is not None:
            raise _runs_elsewhere(process, other, config)


def refuse_other_config(config: str, daemon: Process) -> None:
    """Refuse to make a daemon read a configuration if it was started with another one.

    It would read that one again, and end if that has been moved.

    :raises JawsError: names both (runs_elsewhere).
    """
    given = config_of(daemon.cmdline) or ""
    if os.path.isabs(given) and os.path.realpath(given) != os.path.realpath(config):
        raise _runs_elsewhere(daemon, given, config)


def _runs_elsewhere(daemon: Process, other: str, config: str) -> JawsError:
    state = "stopped" if os.path.exists(other) else "killed"
    return JawsError(
        f"{daemon} of {_user(daemon)} does the work of {config}, but was started with {other}: "
        "the instance has been moved since. Nothing was started beside it, because both would use "
        "the same queues, databases and ports. Either give the instance its old path again, or end "
        f"what runs: the module supervisord with config={other} and state={state}, as "
        f"{_user(daemon)}, stops it with its programs. Then run this again.",
        "runs_elsewhere",
        pids=[daemon.pid],
    )


def refuse_suspended(daemon: Process) -> None:
    """Refuse to wait for a daemon that was suspended by a signal (SIGSTOP).

    :raises JawsError: names it and what helps (frozen).
    """
    if processes.is_suspended(daemon.pid):
        raise JawsError(
            f"{daemon} is suspended (SIGSTOP). Nothing was changed. {how_to_thaw(daemon)}, then "
            "run this again.",
            "frozen",
            pids=[daemon.pid],
        )


def refuse_deaf(config: str, daemon: Process) -> None:
    """Refuse to signal a daemon that cannot be asked, if that would have no effect or do harm.

    :raises JawsError: it is another user's (foreign_owner), suspended (frozen), or would leave a
        program (lost_program).
    """
    refuse_foreign_daemon(config, daemon, (0, daemon.uid))
    refuse_suspended(daemon)
    refuse_unstoppable(daemon)


def refuse_hidden_orphans(config: str, url: str | None, new_url: str) -> None:
    """Refuse to change an address that is needed to recognise the orphans of a killed daemon.

    :param url: the address of the daemon, if known.
    :raises JawsError: names them and the command that ends them (still_running).
    """
    if not url or url == new_url:
        return
    marked = Instance(config).orphans()
    orphans = [child for child in Instance(config, url).orphans() if child not in marked]
    if orphans:
        raise JawsError(
            f"a supervisord that was killed has left {', '.join(map(str, orphans))}, known only by "
            f"its address {url}. Nothing was changed. The module supervisord with {config} and "
            "state=stopped ends them; then run this again.",
            "still_running",
            pids=[child.pid for child in orphans],
        )


def how_to_thaw(daemon: Process) -> str:
    """Return what to do with a daemon that does not answer."""
    return (
        f"Resume it with `kill -CONT {daemon.pid}`, as {user_name(daemon.uid)}, or end it: "
        + last_resort([daemon])
    )


def last_resort(daemons: Sequence[Process]) -> str:
    """Return the command that ends what cannot be asked to end, without a full stop."""
    user = " and ".join(sorted({user_name(daemon.uid) for daemon in daemons}))
    return LAST_RESORT.format(user=user, what="it with everything that it runs")


def refuse_unstoppable(daemon: Process) -> None:
    """Refuse to stop or reload a daemon that would leave a program running and start it again.

    :raises JawsError: names the programs that it may not signal (lost_program).
    """
    stuck = [child for child in children(daemon) if not processes.may_signal(daemon, child)]
    if not stuck:
        return
    told = [f"{program_of(child) or child} (pid {child.pid}, {_user(child)})" for child in stuck]
    raise JawsError(
        f"supervisord (pid {daemon.pid}, {_user(daemon)}) is not permitted to signal "
        f"{', '.join(told)}: it would leave that running and start a second copy beside it. "
        f"Nothing was changed. {LAST_RESORT.format(user='root', what='everything')}; or have "
        f"{_user(stuck[0])} end pid {stuck[0].pid}. Then run this again.",
        "lost_program",
        pids=[child.pid for child in stuck],
    )


def _user(process: Process) -> str:
    return user_name(process.uid)


def children(daemon: Process) -> list[Process]:
    """Return the programs that a daemon runs, except what it has only just forked."""
    return [child for child in processes.below(daemon, 1) if child.cmdline != daemon.cmdline]


def program_of(process: Process) -> str:
    """Return the name of the program that a process belongs to; empty if that is hidden."""
    environ = processes.read_environ(process) or {}
    name = environ.get("SUPERVISOR_PROCESS_NAME", "")
    return namespec(environ.get("SUPERVISOR_GROUP_NAME", name), name) if name else ""


def is_open(process: Process) -> bool:
    """Whether the kernel lets us read a process's environment, and end it."""
    return os.geteuid() in (0, process.uid)


def _spared(found: Iterable[Process]) -> list[Process]:
    """Return the processes except us and our ancestors: a deploy may be a job of one of them."""
    me = processes.read_process(os.getpid())
    ours = {process.pgid for process in [me, *processes.ancestors(os.getpid())] if process}
    return [process for process in found if process.pgid not in ours]


def _is_kept(child: Process, ours: set[int]) -> bool:
    """Whether a supervisord other than C(ours) has started a process, directly or indirectly.

    One that is the first process of a container also adopts orphans, from another session.
    """
    chain = [child, *processes.ancestors(child.pid)]
    for below, above in zip(chain, chain[1:]):
        if config_of(above.cmdline) is not None:
            return above.pid not in ours and below.session == above.session
    return False


def by_age(found: Iterable[Process]) -> list[Process]:
    """Return processes in the order of their start."""
    return sorted(found, key=lambda process: (process.start_ticks, process.pid))


# --- ending -------------------------------------------------------------------------------------


def _stop(daemon: Process, seconds: float) -> None:
    """End a daemon by SIGTERM, if it will then end all of its programs."""
    refuse_suspended(daemon)
    refuse_unstoppable(daemon)
    try:
        processes.terminate(daemon, signal.SIGTERM, seconds)
    except JawsError as error:
        raise JawsError(
            f"{error} {last_resort([daemon])}.", error.reason, pids=[daemon.pid]
        ) from error


def _kill(daemon: Process, seconds: float) -> None:
    """End a daemon in any case; it may use its time to stop its programs."""
    if processes.send_signal(daemon, signal.SIGTERM):
        processes.send_signal(daemon, signal.SIGCONT)
        processes.terminate(daemon, signal.SIGTERM, seconds + KILLED_SECONDS, seconds)


def end(orphans: Sequence[Process], programs: Sequence[ConfiguredProgram]) -> list[int]:
    """End what no daemon will end, each with its group and in its program's way; return the pids.

    :raises JawsError: names the processes that still run, with their users (still_running).
    """
    how = {namespec(p.group, p.name): (p.stopsignal, p.stopwaitsecs) for p in programs}
    ended, stuck = [], []
    for process in reversed(orphans):  # the last one started may rely on the earlier ones
        sign, patience = how.get(program_of(process), (signal.SIGTERM, STOPWAITSECS))
        if not processes.is_same(process):
            ended.append(process.pid)  # what is left of its group is an orphan itself
            continue
        try:
            processes.terminate(process, sign, patience + KILLED_SECONDS, patience, group=True)
            ended.append(process.pid)
        except JawsError:
            stuck.append(process)
    _refuse_left(stuck)
    return list(reversed(ended))


def _refuse_left(stuck: Sequence[Process]) -> None:
    if stuck:
        told = [f"{process}, of {_user(process)}" for process in reversed(stuck)]
        raise JawsError(
            f"{'; '.join(told)}: still running; {user_name(os.geteuid())} cannot end it, not even "
            f"with SIGKILL. Nothing was started beside it. "
            f"{LAST_RESORT.format(user='root', what='it')}, unless it waits for a device or a "
            "filesystem, which has to answer first. Then run this again.",
            "still_running",
            pids=[process.pid for process in reversed(stuck)],
        )


def stop_limit(stopwaitsecs: Iterable[tuple[str, float]]) -> float:
    """Return the seconds that a supervisord takes to stop everything, one group after the other.

    :param stopwaitsecs: each program's group and stopwaitsecs.
    """
    longest: dict[str, float] = {}
    for group, seconds in stopwaitsecs:
        longest[group] = max(seconds, longest.get(group, 0))
    return sum(longest.values())


# --- finding ------------------------------------------------------------------------------------


def listeners(server_url: str, known: Sequence[Process] = (), proc: str = PROC) -> list[Process]:
    """Return the processes that listen at a supervisord's address, among those that we may ask.

    :param server_url: the address, as its programs get it.
    :param known: processes to leave out.
    """
    wanted = {f"socket:[{inode}]" for inode in sockets(server_url, proc)}
    for process in known:
        wanted -= _open_files(process.pid, proc)
    everything = processes.all_processes(proc) if wanted else iter(())
    return [process for process in everything if wanted & _open_files(process.pid, proc)]


def sockets(server_url: str, proc: str = PROC) -> set[str]:
    """Return the inodes of the sockets that listen at a supervisord's address."""
    if not re.match(r"unix://.|http://.*:\d+$", server_url):
        return set()
    # The kernel lists the port, whatever address of this machine it listens at.
    endpoint = Endpoint(re.sub(r"^http://.*:", "http://localhost:", server_url), None, None, "")
    path = endpoint.socket_path
    if path is None:
        return {row[9] for row in listening_ports(endpoint, proc)}
    named = re.compile(rf"{re.escape(path)}(\.\d+)?")
    with open(f"{proc}/net/unix", encoding="utf-8", errors="surrogateescape") as stream:
        rows = [line.rstrip("\n").split(None, 7) for line in stream][1:]
    return {
        row[6]
        for row in rows
        if len(row) == 8 and int(row[3], 16) & ACCEPTS and named.fullmatch(row[7])
    }


def _open_files(pid: int, proc: str) -> set[str]:
    folder = f"{proc}/{pid}/fd"
    found = set()
    with suppress(OSError):  # it belongs to another user, or has ended
        for name in os.listdir(folder):
            with suppress(OSError):
                found.add(os.readlink(f"{folder}/{name}"))
    return found


def _led_by(pid_file: str | None) -> set[int]:
    """Return the session of the daemon that has written a pid file since the last boot."""
    with suppress(OSError, ValueError):
        booted = time.time() - time.clock_gettime(time.CLOCK_BOOTTIME)
        with open(pid_file or "", encoding="ascii") as stream:
            if os.fstat(stream.fileno()).st_mtime > booted:
                return {int(stream.read(20))}
    return set()


def _cwd(pid: int) -> str:
    try:
        return os.readlink(f"/proc/{pid}/cwd")
    except OSError:  # it belongs to another user, or has ended
        return "/"
