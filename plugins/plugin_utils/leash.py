# Copyright: (c) 2026, The jgi.jaws engineers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Start a service in this process, so that exactly one copy of it runs: SIGNAL COMMAND [WORD ...].

Every shim contains this and runs it with the Python of Supervisor, 3.8 or newer. At every start of
the service, also by supervisord itself, what an earlier process of it has left ends first. And the
service ends with its supervisord, even if that is killed; otherwise, the next one would start a
second copy.
"""

from __future__ import annotations

import ctypes
import os
import sys
import time

PR_SET_PDEATHSIG = 1  # prctl(2); the setting survives exec
SIGKILL = 9  # the module signal would take a third of the time that this file takes
MARKS = ("SUPERVISOR_SERVER_URL", "SUPERVISOR_GROUP_NAME", "SUPERVISOR_PROCESS_NAME")
PATIENCE = 5.0  # seconds between the signal and SIGKILL
PAUSE = 0.02


def end_leftovers(sign: int) -> None:
    """End what an earlier process of this service has left, by a signal, and then by SIGKILL."""
    left = leftovers()
    if not left:
        return
    told = ", ".join(map(str, sorted(left)))
    print(f"ending pid {told}: an earlier process of this service left it", file=sys.stderr)
    for number in (sign, SIGKILL):
        signal_groups(set(left.values()), number)
        deadline = time.monotonic() + PATIENCE
        while left and time.monotonic() < deadline:
            time.sleep(PAUSE)
            left = leftovers()


def leftovers(proc: str = "/proc") -> dict[int, int]:
    """Return the pids of what an earlier process of this service has left, with their groups.

    supervisord makes each program the leader of a process group, in its own session. A member whose
    leader has ended is left, and so is all of a session whose leader has ended with its
    supervisord. What leads a session of its own is not: it was meant to outlive the service, as a
    job of a batch system is. The modules do the same (C(Instance.leftovers)).
    """
    found = {pid: ids for pid in map(int, filter(str.isdigit, os.listdir(proc)))
             if (ids := group_and_session(pid, proc))}  # fmt: skip
    ours = os.getsid(0)
    return {
        pid: group
        for pid, (group, session) in found.items()
        if group != session
        and (group if session == ours else session) not in found
        and is_of_this_service(pid, proc)
    }


def group_and_session(pid: int, proc: str) -> tuple[int, int] | None:
    """Return the process group and the session of a process; None if it has ended."""
    try:
        with open(f"{proc}/{pid}/stat", "rb") as stream:
            state, _parent, group, session = stream.read().rpartition(b")")[2].split()[:4]
    except OSError:
        return None
    return None if state in (b"Z", b"X") else (int(group), int(session))


def is_of_this_service(pid: int, proc: str) -> bool:
    """Whether supervisord has started a process, or its parent, for the same program as us."""
    try:
        with open(f"{proc}/{pid}/environ", "rb") as stream:
            given = stream.read().split(b"\0")
    except OSError:  # it belongs to another user, or has ended
        return False
    return all(os.fsencode(f"{name}={os.environ.get(name)}") in given for name in MARKS)


def signal_groups(groups: set[int], number: int) -> None:
    """Send a signal to each of the process groups that still exist."""
    for group in groups:
        try:
            os.killpg(group, number)
        except (ProcessLookupError, PermissionError):
            continue


def main(words: list[str]) -> None:
    """Become the command."""
    sign = int(words[0])
    ctypes.CDLL(None).prctl(PR_SET_PDEATHSIG, sign)
    end_leftovers(sign)
    os.execvp(words[1], words[1:])


if __name__ == "__main__":
    main(sys.argv[1:])
