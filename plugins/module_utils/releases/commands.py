# Copyright: (c) 2026, The jgi.jaws engineers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Whether what programs will run is there, where it will be looked for when they run.

This is found out while the old release serves. What this user may not look at is not refused,
because programs may run as another user.
"""

from __future__ import annotations

import os
import signal
import stat
import subprocess
import tempfile
from contextlib import suppress
from typing import Any, Collection, Iterable, Iterator, Mapping

from ..errors import JawsError, quoted
from ..system.processes import clean_environment

# What is known about one program's command: C(word), its first word; C(setup), the bash that sets
# up its environment, in a login shell if C(login); C(directory), where it runs; C(files), which it
# reads; C(environment), where its code is; C(trial), the arguments with which it ends at once.
Command = Mapping[str, Any]

SETUP_SECONDS = 120.0
TRIAL_SECONDS = 60.0
OUTPUT_BYTES = 65536
OUTPUT_LINES = 8
ANY_EXECUTE = stat.S_IXUSR | stat.S_IXGRP | stat.S_IXOTH
SHOW_PATH = 'printf "\\n%s" "$PATH"'
RUN = 'exec "$0" "$@"'


def refuse_unusable(commands: Mapping[str, Command], names: Iterable[str]) -> None:
    """Refuse programs whose command, or a file that it needs, is not there.

    :param names: of the programs to look at; one without a command is left out.
    :raises JawsError: names what was looked for, and where (missing_command).
    """
    asked = [name for name in names if name in commands]
    told = [f"{name}: {why}" for name in asked for why in _lacking(commands[name])]
    if told:
        raise _refusal(told, "Correct the command or the environment, or install what it needs")


def refuse_failing(
    commands: Mapping[str, Command], names: Iterable[str], known: Collection[str]
) -> None:
    """Refuse programs whose new code does not even start.

    :param known: the environments that run already; code in these is not tried.
    :raises JawsError: says what each trial printed (missing_command).
    """
    tried: dict[tuple[str, ...], str] = {}
    told = []
    for name in names:
        command = commands.get(name, {})
        words = [command["word"], *command["trial"]] if command.get("trial") else []
        if words and command["environment"] not in known:
            key = (command["environment"], *words)
            if key not in tried:
                tried[key] = _failure(command, words)
                told += [f"{name}: {tried[key]}"] if tried[key] else []
    if told:
        raise _refusal(told, "Correct the code or what was installed with it")


def _refusal(told: Iterable[str], remedy: str) -> JawsError:
    text = "\n".join(told)
    return JawsError(
        "commands of the release cannot run. Nothing was changed; what runs now goes on. "
        f"{remedy}, then run this again.\n{text}",
        reason="missing_command",
    )


def _lacking(command: Command) -> Iterator[str]:
    """Yield a sentence for what a command needs and does not find."""
    word = command["word"]
    if "/" in word:
        why = why_not_run(os.path.join(command["directory"] or "/", word))
        if why:
            yield why
    else:
        code, told = _bash(command, SHOW_PATH, [], SETUP_SECONDS)
        folders = told.rpartition("\n")[2]
        if code != 0:
            yield f"its environment cannot be set up: {_last(told)}"
        elif not _is_found(word, folders.split(os.pathsep)):
            yield f"there is no {word} in its PATH, {folders}"
    yield from filter(None, map(why_not_read, command["files"]))


def _is_found(word: str, folders: Iterable[str]) -> bool:
    """Whether an executable file of that name is in a directory, or may be in a hidden one."""
    paths = [os.path.join(folder or ".", word) for folder in folders]
    return any(why_not_run(path) is None for path in paths)


def why_not_run(path: str) -> str | None:
    """Return why nobody can run a file; None if it can be run, or this user may not look."""
    mode, why = _look(path)
    if why is None and mode and not mode & ANY_EXECUTE:
        return f"{path} is not executable"
    return why


def why_not_read(path: str) -> str | None:
    """Return why a file has no content that can be read; None if it has, or we may not look."""
    mode, why = _look(path)
    if why or not mode:
        return why
    if not os.access(path, os.R_OK):
        return f"{path} cannot be read by this user"
    return f"{path} is empty" if os.path.getsize(path) == 0 else None


def _look(path: str) -> tuple[int, str | None]:
    """Return the mode of a regular file, 0 if this user may not look, or why there is none."""
    try:
        mode = os.stat(path).st_mode
    except PermissionError:
        return 0, None
    except OSError as error:
        return 0, f"{path}: {error.strerror}"
    return mode, None if stat.S_ISREG(mode) else f"{path} is not a regular file"


def _failure(command: Command, words: list[str]) -> str:
    """Return how a trial failed; empty if it did not, or if this user may not run the command."""
    path = os.path.join(command["directory"] or "/", words[0]) if "/" in words[0] else ""
    if path and not os.access(path, os.X_OK):
        return ""
    code, told = _bash(command, RUN, words, TRIAL_SECONDS)
    if code == 0:
        return ""
    ended = f"did not end within {TRIAL_SECONDS:g} s" if code is None else f"ended with {code}"
    return f"{' '.join(words)} {ended}: {_last(told)}"


def _bash(command: Command, then: str, words: list[str], seconds: float) -> tuple[int | None, str]:
    """Run bash code in a command's environment; return its exit status, None if it did not end,
    and the end of what it printed.
    """
    option = "-lc" if command["login"] else "-c"
    # A file, because a child that it leaves behind may hold a pipe open forever.
    with tempfile.TemporaryFile() as output:
        process = subprocess.Popen(
            ["/bin/bash", option, f"{command['setup']}\n{then}", *words],
            cwd="/",
            env=clean_environment(),
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=subprocess.STDOUT,
            start_new_session=True,
        )
        try:
            code: int | None = process.wait(seconds)
        except subprocess.TimeoutExpired:
            code = None
            with suppress(ProcessLookupError):
                os.killpg(process.pid, signal.SIGKILL)
            process.wait()
        output.seek(max(0, output.seek(0, os.SEEK_END) - OUTPUT_BYTES))
        return code, output.read().decode("utf-8", "replace")


def _last(text: str) -> str:
    """Return the last lines that a command printed."""
    return (
        "\n  ".join(["", *quoted(text.strip()).splitlines()[-OUTPUT_LINES:]])
        or "it printed nothing"
    )
