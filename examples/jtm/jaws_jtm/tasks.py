# SPDX-License-Identifier: GPL-3.0-or-later
"""A register of submitted tasks: one file each, named by its id. None of them is run."""

from __future__ import annotations

import os

from .standin import StandInError

QUEUED, KILLED = "queued", "terminated"


class Tasks:
    """The register in a directory, made on first use; OSError becomes StandInError."""

    def __init__(self, folder: str) -> None:
        self._folder = folder

    def submit(self) -> int:
        """Register a task and return its id, which is never used twice."""
        try:
            os.makedirs(self._folder, exist_ok=True)
            task = 1 + max(map(int, os.listdir(self._folder)), default=0)
            while not self._created(task):
                task += 1
        except (OSError, ValueError) as error:
            raise StandInError(f"the tasks in {self._folder} cannot be saved: {error}") from None
        return task

    def state(self, task: int) -> str:
        """Return the task's state; raise StandInError for an unknown id."""
        try:
            with open(self._path(task), encoding="ascii") as stream:
                return stream.read()
        except OSError as error:
            raise StandInError(f"task {task} is not known: {error.strerror}") from None

    def kill(self, task: int) -> bool:
        """Mark the task terminated; say whether it was alive; StandInError for an unknown id."""
        alive = self.state(task) == QUEUED
        with open(self._path(task), "w", encoding="ascii") as stream:
            stream.write(KILLED)
        return alive

    def _created(self, task: int) -> bool:
        try:
            with open(self._path(task), "x", encoding="ascii") as stream:
                stream.write(QUEUED)
        except FileExistsError:
            return False
        return True

    def _path(self, task: int) -> str:
        return os.path.join(self._folder, str(task))
