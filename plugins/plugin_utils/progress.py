# Copyright: (c) 2026, The jgi.jaws engineers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What a run of a playbook is waiting for.

Pure functions on the control node.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from typing import NamedTuple

from .text import cut, width_of

MOST_NAMES = 20


class Running(NamedTuple):
    """A task that has not returned on some hosts; C(since) is when it started."""

    key: str
    name: str
    since: float
    hosts: list[str]


class Waiting:
    """Which tasks have not returned yet, on which hosts, and how long they have been running.

    :param clock: returns the time in seconds.
    """

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._tasks: dict[str, Running] = {}

    def begin(self, key: str, name: str, *hosts: str) -> None:
        """Note that a task starts, on these hosts if they are known already."""
        known = {k: task for k, task in self._tasks.items() if task.hosts or k == key}
        task = known.get(key) or Running(key, name, self._clock(), [])
        task.hosts.extend(host for host in hosts if host not in task.hosts)
        self._tasks = {**known, key: task}  # at once, because another thread may be reading

    def end(self, key: str, host: str) -> None:
        """Note that a task has returned on a host."""
        task = self._tasks.get(key)
        if task and host in task.hosts:
            task.hosts.remove(host)

    def forget(self) -> None:
        """Note that nothing is waited for any more."""
        self._tasks = {}

    def longest(self) -> Running | None:
        """Return the task that has been waited for longest, if any."""
        waited_for = [task for task in self._tasks.values() if task.hosts]
        return min(waited_for, key=lambda task: task.since, default=None)

    def seconds(self, task: Running) -> float:
        """Return how long a task has been running."""
        return self._clock() - task.since

    def line(self, width: int) -> str:
        """Return what is waited for, on which hosts and how long; empty if nothing is."""
        task = self.longest()
        if task is None:
            return ""
        elapsed = f", {clock_time(self.seconds(task))}"
        room = width - len(elapsed)
        name = cut(task.name, max(room - 20, room // 2))
        hosts = listed(task.hosts, room - width_of(name) - len(" on "))
        return cut(f"{name} on {hosts}", room) + elapsed


def listed(names: Sequence[str], width: int) -> str:
    """Return as many names as fit, and the number of the others."""
    for shown in range(min(len(names), MOST_NAMES), 0, -1):
        left = len(names) - shown
        text = ", ".join(names[:shown]) + (f" and {left} more" if left else "")
        if width_of(text) <= width:
            return text
    return names[0] if len(names) == 1 else f"{len(names)} hosts"


def clock_time(seconds: float) -> str:
    """Return a duration as V(0:40) or V(1:02:03)."""
    minutes, rest = divmod(int(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}:{minutes:02d}:{rest:02d}" if hours else f"{minutes}:{rest:02d}"
