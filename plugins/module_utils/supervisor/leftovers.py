# Copyright: (c) 2026, The jgi.jaws engineers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""End what programs have left running beside their next copy, and report it."""

from __future__ import annotations

from typing import Any, Collection, Sequence

from ..system.files import user_name
from ..system.processes import Process
from ..system.waiting import wait_until
from .running import Instance, end, is_open, program_of

# A program may end a moment before its children, and that leaves nothing.
GRACE_SECONDS = 1.0


class Leftovers:
    """What some programs of an instance have left running; remembers what was ended.

    :param programs: their namespecs; None: all, also those that are not defined any more.
    """

    def __init__(self, instance: Instance, programs: Collection[str] | None = None) -> None:
        self.instance = instance
        self.programs = programs
        self.ended: list[str] = []
        self.warnings: list[str] = []

    def find(self) -> list[Process]:
        """Return what we may end, and is of these programs."""
        return [process for process in self.instance.leftovers() if self._is_meant(process)]

    def predict(self) -> None:
        """Note what would be ended."""
        self._note(self.find(), "would be ended")

    def end(self) -> None:
        """End it.

        :raises JawsError: something does not end (still_running).
        """
        if not wait_until(lambda: not self.find(), GRACE_SECONDS):
            found = self.find()
            self._note(found, "was ended")
            end(found, ())
        for process in self.instance.leftovers():
            if not (is_open(process) and program_of(process)):
                self._warn_of(process)

    def reported(self, result: dict[str, Any]) -> dict[str, Any]:
        """Return a module's result with what was ended in addition."""
        changed = result["changed"] or bool(self.ended)
        warn = self.warnings + result.get("warn", [])
        return dict(result, changed=changed, leftovers=self.ended, warn=warn)

    def _is_meant(self, process: Process) -> bool:
        if self.programs is None or not is_open(process):
            return is_open(process)
        return program_of(process) in self.programs

    def _note(self, found: Sequence[Process], what: str) -> None:
        by_program: dict[str, list[Process]] = {}
        for process in found:
            by_program.setdefault(program_of(process) or "a program", []).append(process)
        for program, left in by_program.items():
            pids = ", ".join(str(process.pid) for process in left)
            told = f"{program}: {left[0].command} (pid {pids})"
            self.ended.append(told)
            self.warnings.append(
                f"{told} {what}. An earlier process of {program} had ended without it."
            )

    def _warn_of(self, process: Process) -> None:
        user = user_name(process.uid)
        why = "its environment does not say which" if is_open(process) else f"run this as {user}"
        told = f"{process} of {user} was left running by a program that has ended; {why}."
        if told not in self.warnings:
            self.warnings.append(told)
