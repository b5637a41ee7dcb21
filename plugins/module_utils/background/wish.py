# Copyright: (c) 2026, The jgi.jaws engineers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What should run in the background, read from the options of a task."""

from __future__ import annotations

import hashlib
import json
import os
import pwd
import re
import signal as signals
from dataclasses import dataclass, fields
from typing import Any, Mapping

from ..errors import JawsError
from ..system.processes import CLEAN_PATH

# What the process has in its environment: the id of the command, and its own pid. Children inherit
# both, so the pid distinguishes the process from those that it has started.
MARKER = "JGI_JAWS_BACKGROUND"
OF_PID = MARKER + "_PID"
DEFINITION = MARKER + "_DEFINITION"
REVISION = MARKER + "_REVISION"


@dataclass(frozen=True)
class Wish:
    """What should run, and how to start, reload and stop it; units are seconds and bytes."""

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
        """A digest of everything that cannot change while the process runs."""
        parts = [self.argv, self.chdir, self.umask, self.environment, self.log]
        return hashlib.sha256(json.dumps(parts).encode()).hexdigest()


def wish_from(params: Mapping[str, Any]) -> Wish:
    """Return the wish that a task's options describe.

    :raises JawsError: names the option that is wrong (bad_option).
    """
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
            raise JawsError(
                f"{name}: {params[name]} is not an absolute path. Give one.", "bad_option"
            )
    if not all([stopped or params["argv"], *params["by_hand"]]):
        raise JawsError("argv and each list in by_hand need at least one word.", "bad_option")
    if any("\0" in word for word in (params["id"], *params["argv"])):
        raise JawsError("id or argv contains a NUL character. Remove it.", "bad_option")


def parse_signal(name: str) -> int:
    """Return the number of a signal whose name is written like SIGQUIT or QUIT.

    :raises JawsError: there is no such signal (bad_option).
    """
    try:
        return int(signals.Signals["SIG" + name.upper().replace("SIG", "", 1)])
    except KeyError:
        raise JawsError(
            f"{name} is not a signal. Give the name of one, such as SIGTERM or TERM.", "bad_option"
        ) from None


def parse_umask(text: str) -> int:
    """Return the umask of three or four octal digits.

    :raises JawsError: it is anything else (bad_option).
    """
    if not re.fullmatch(r"0?[0-7]{3}", text):
        raise JawsError(
            f"umask {text} must be three octal digits in quotes, as in '027'.", "bad_option"
        )
    return int(text, 8)


def parse_environment(given: Mapping[str, Any]) -> tuple[tuple[str, str], ...]:
    """Return names and values, sorted.

    :raises JawsError: names the variable that cannot be set (bad_option).
    """
    for name, value in given.items():
        if isinstance(value, (bool, dict, list)) or value is None:
            raise JawsError(f"environment: {name} is not text. Quote its value.", "bad_option")
        if not name or "=" in name or "\0" in f"{name}{value}" or name.startswith(MARKER):
            raise JawsError(
                f"environment: {name!r} cannot be set: a name must not be empty, contain an equals "
                f"sign or begin with {MARKER}, and neither it nor its value may contain a NUL.",
                "bad_option",
            )
    return tuple(sorted((name, str(value)) for name, value in given.items()))


def full_environment(wish: Wish) -> dict[str, str]:
    """Return the environment of the process, except OF_PID, which only the child knows."""
    user = pwd.getpwuid(os.geteuid())
    return {
        "HOME": user.pw_dir,
        "LOGNAME": user.pw_name,
        "USER": user.pw_name,
        "SHELL": user.pw_shell or "/bin/sh",
        "PATH": CLEAN_PATH,
        **dict(wish.environment),
        MARKER: wish.id,
        DEFINITION: wish.definition,
        REVISION: wish.revision,
    }
