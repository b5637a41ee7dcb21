# Copyright: (c) 2026, The jgi.jaws engineers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What Ansible displays, with one updating line below it, or in sections that GitLab collapses."""

from __future__ import annotations

import os
import shutil
import sys
import threading
import time
from collections.abc import Callable, Mapping
from contextlib import suppress
from typing import Any

from .failures import Paper

ERASE = "\r\x1b[2K"
INVISIBLE = "\r\x1b[0K"  # GitLab does not show a line that ends so
NEWLINE = 4  # the position of that argument of Display.display, after the message
LAST_SCREEN = (80, 24)
BELOW = 2  # lines that make and the shell print after a run


class Output:
    """Adds to what a C(Display) of Ansible shows, and keeps both apart.

    Ansible forks while it holds its lock, so nothing here is half written in a worker.

    :param updating: whether this is a terminal, on which a line can be replaced.
    """

    def __init__(self, display: Any, updating: bool) -> None:
        self.lock = display._lock
        self.updating = updating
        self._stream = sys.stdout
        self._pid = os.getpid()
        self._shown = ""
        self._pending = ""
        self._at_start = True
        self._plain_display = display.display
        display.display = self._display

    def _display(self, message: str, *arguments: Any, **options: Any) -> None:
        """Display a message as Ansible does, after what has to come before it."""
        if os.getpid() != self._pid:  # a worker hands it over to us
            self._plain_display(message, *arguments, **options)
            return
        with self.lock:
            self.show("")
            if self._pending:
                self._write("\n" + self._pending)
                self._pending, message = "", message.lstrip("\n")
            self._plain_display(message, *arguments, **options)
            self._stream.flush()
            given = arguments[NEWLINE] if len(arguments) > NEWLINE else None
            newline = options.get("newline", True if given is None else given)
            self._at_start = newline or message.endswith("\n")

    def show(self, line: str) -> None:
        """Replace the updating line; an empty one removes it."""
        with self.lock:
            if self.updating and self._at_start and line != self._shown:
                self._write(ERASE + line)
                self._shown = line

    def begin_section(self, name: str) -> None:
        """Make the next message the heading of a section, which GitLab can collapse."""
        self._pending = f"\x1b[0Ksection_start:{int(time.time())}:{name}{INVISIBLE}"

    def end_section(self, name: str) -> None:
        """End a section; GitLab shows how long it took."""
        with self.lock:
            self._write(f"\x1b[0Ksection_end:{int(time.time())}:{name}{INVISIBLE}")

    def _write(self, text: str) -> None:
        self._stream.write(text)
        self._stream.flush()

    def paper(self) -> Paper:
        """Return how much the last screen has room for."""
        size = shutil.get_terminal_size(LAST_SCREEN) if self.updating else LAST_SCREEN
        return Paper(size[0], size[1] - BELOW, self.updating)

    def columns(self) -> int:
        """Return how wide the updating line may be."""
        return shutil.get_terminal_size(LAST_SCREEN)[0] - 1


class Ticker(threading.Thread):
    """Calls a function again and again, until it fails or is told to stop."""

    def __init__(self, action: Callable[[], None], seconds: float) -> None:
        super().__init__(name="progress", daemon=True)
        self._action = action
        self._seconds = seconds
        self._stopped = threading.Event()

    def run(self) -> None:
        """Call it until then. What it shows is not worth a traceback among the results."""
        with suppress(Exception):
            while not self._stopped.wait(self._seconds):
                self._action()

    def stop(self) -> None:
        """Do not call it again."""
        self._stopped.set()


def in_gitlab(environment: Mapping[str, str]) -> bool:
    """Whether this is a job of GitLab."""
    return environment.get("GITLAB_CI") == "true"


def updates_lines(environment: Mapping[str, str], is_terminal: bool) -> bool:
    """Whether a line can be replaced where the output goes to."""
    return is_terminal and environment.get("TERM") != "dumb" and not in_gitlab(environment)


def wants_colour(environment: Mapping[str, str], chosen: bool, refused: bool, forced: bool) -> bool:
    """Whether to use colours. GitLab shows them, although it has only a log.

    :param chosen: what Ansible would do; it has refused and forced from its own settings.
    """
    if forced or refused or environment.get("NO_COLOR"):
        return forced
    return chosen or in_gitlab(environment)
