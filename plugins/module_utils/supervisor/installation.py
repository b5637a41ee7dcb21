# Copyright: (c) 2026, The jgi.jaws engineers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The installation of Supervisor: which Python it has, and whether a daemon comes from it."""

from __future__ import annotations

import os
import re
import shlex
import shutil
from typing import Sequence

from ..errors import JawsError
from ..system.processes import CLEAN_PATH, PROC, all_processes, read_process

# The option that names a configuration: also after others in one word, or shortened.
CONFIG = r"\0(?:-[nkst]*c\0?|--co[a-z]*[=\0])([^\0]+)"
OPTIONS_WITH_A_WORD = ("-W", "-X", "--check-hash-based-pycs")  # of Python
# What pip and conda write where the path of Python is too long for a script's first line.
LONG_PATH = r"#!/bin/sh\n'''exec' (.+) \"\$0\" \"\$@\"\n"


def interpreter_of(script: str, path: str = CLEAN_PATH) -> list[str]:
    """Return the words that run a script's interpreter, as the kernel or C(env) would find it.

    :param path: the PATH that the script is run with.
    :raises JawsError: it has none, so the option C(python) has to say it.
    """
    with open(script, "rb") as stream:
        head = stream.read(4096).decode("utf-8", "replace")
    found = re.match(LONG_PATH, head) or re.match(r"#!(.*)", head)
    words = _words(found.group(1)) if found else []
    if words and os.path.basename(words[0]) == "env":
        words = [word for word in words[1:] if word != "-S"]
        words[:1] = [shutil.which(word, path=path) or "" for word in words[:1]]
    if not words or "python" not in os.path.basename(words[0]):
        raise JawsError(
            f"The first line of {script} names no Python. Set the option python to the one that "
            "has Supervisor.",
            reason="bad_option",
        )
    return words


def _words(line: str) -> list[str]:
    try:
        return shlex.split(line)
    except ValueError:
        return []


def started_from(cmdline: Sequence[str]) -> tuple[list[str], str | None]:
    """Return the words that run a supervisord's Python, and its script, by its command line.

    Nothing where these are not there, or not said: it may have been started as a module.
    """
    python, rest = _after_python(cmdline)
    script = rest[0] if python and rest else ""
    is_known = bool(python) and _is_program(python[0])
    return python if is_known else [], script if _is_program(script) else None


def _after_python(cmdline: Sequence[str]) -> tuple[list[str], list[str]]:
    """Return the words that run Python with its options, if any, and the words after them."""
    words = list(cmdline)
    if not words or not re.match(r"(python|pypy)", os.path.basename(words[0])):
        return [], words
    count = 1
    while count < len(words) and re.match(r"-[^mc]", words[count]):
        count += 2 if words[count] in OPTIONS_WITH_A_WORD else 1
    return words[:count], words[count:]


def _is_program(path: str) -> bool:
    return os.path.isabs(path) and os.access(path, os.X_OK)


def config_of(cmdline: Sequence[str]) -> str | None:
    """Return the configuration on a supervisord's command line, or None where that is of no
    supervisord; an empty one where it looks for its configuration itself.

    An editor, a pager or a supervisorctl that has the same file open is none.
    """
    words = [word for word in _after_python(cmdline)[1] if word != "-m"]
    if not words or os.path.basename(words[0]) not in ("supervisord", "supervisor.supervisord"):
        return None
    found = re.search(CONFIG, "\0".join(words))
    return found.group(1) if found else ""


def runs_with(config: str, uid: int, proc: str = PROC) -> bool:
    """Return whether a supervisord of an account runs with a configuration, by its command line."""
    wanted = os.path.realpath(config)
    for process in all_processes(proc, having=("cmdline", b"supervisord")):
        given = config_of(process.cmdline) if process.uid == uid else None
        # One that searched for its file has found one of the usual name.
        if given == "" and os.path.basename(wanted) == "supervisord.conf":
            return True
        if given and os.path.realpath(os.path.join(f"{proc}/{process.pid}/cwd", given)) == wanted:
            return True
    return False


def is_of_another_installation(pid: int, python: str, proc: str = PROC) -> bool | None:
    """Return whether a process was started by the Python of another virtual environment.

    None if that is unknown: the kernel hides the process, or its command line names a link, which
    may have been changed since then.
    """
    process = read_process(pid, proc)
    command = process.cmdline[0] if process and process.cmdline else ""
    started_from = os.path.dirname(os.path.dirname(command))
    if not os.path.isabs(started_from) or os.path.islink(started_from):
        return None
    installed = os.path.realpath(os.path.dirname(os.path.dirname(python)))
    return os.path.realpath(started_from) != installed
