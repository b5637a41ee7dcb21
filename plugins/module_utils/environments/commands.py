# Copyright: (c) 2026, The jgi.jaws engineers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The commands that build an environment: what they inherit, and why they fail."""

from __future__ import annotations

import json
import os
import re
import subprocess
from functools import lru_cache
from typing import Iterable, Mapping, Sequence

from ..errors import JawsError, quoted
from . import module_commands, surroundings

IDENTIFY = (
    "import json, os, sys; "
    "print(json.dumps([os.path.realpath(sys.executable), '%d.%d.%d' % sys.version_info[:3]]))"
)
SHOW = "printf '\\0\\0'; exec env -0"  # a login shell may print before it
NO_ENSUREPIP = re.compile(r"ensurepip is not\s+available|No module named .?ensurepip")
LAST_LINES = 12
TRACEBACK = "Traceback (most recent call last):"
NOT_THERE = "cannot %s: %s: %s. Correct its path, or install it."
LATE = (
    "cannot %s: %s did not end within %g s and was killed. What runs now is untouched. Check the "
    "package index and the load of the machine, or raise timeout; then run this again.\n%s"
)
INHERITED = (
    "%s\nThe environment modules that the play has loaded (%s) affect neither builds nor services: "
    "name those that are needed in `modules`."
)

Variables = Mapping[str, str]


def begin(modules: Iterable[str], timeout: float) -> dict[str, str]:
    """Return the environment variables after the modules were loaded.

    :raises JawsError: a module is not loaded; with what was printed (build_failed).
    """
    loads = module_commands.script(modules)
    environ = surroundings.start(os.environ, bool(loads))
    if not loads:
        return environ
    what = f"load the environment modules ({', '.join(modules)})"
    told = run(["bash", "-lc", loads + SHOW], what, environ, timeout=timeout)
    pairs = told.rpartition("\0\0")[2].rstrip("\0").split("\0")
    return surroundings.without_python(dict(pair.split("=", 1) for pair in pairs))


@lru_cache(maxsize=None)
def identify(python: str, environ: tuple[tuple[str, str], ...] = ()) -> list[str]:
    """Return the path and the version of an interpreter, the same for all links to it.

    :raises JawsError: there is none (build_failed).
    """
    told = run([python, "-I", "-c", IDENTIFY], "find the Python interpreter", dict(environ))
    found: list[str] = json.loads(told.splitlines()[-1])
    return found


def identified(python: str, environ: Variables) -> list[str]:
    """Return what C(identify) does; it is asked once for each interpreter and environment.

    :raises JawsError: there is none; names what the play has loaded (build_failed).
    """
    try:
        return identify(python, tuple(sorted(environ.items())))
    except JawsError as error:
        inherited = os.environ.get("LOADEDMODULES")
        if not inherited:
            raise
        raise JawsError(INHERITED % (error, inherited), error.reason) from error


def run(
    command: Sequence[str],
    what: str,
    environ: Variables | None = None,
    descriptors: Iterable[int] = (),
    timeout: float = 0,
) -> str:
    """Return a command's standard output; the parameters are those of C(attempt).

    :raises JawsError: it fails; with the last lines that it printed (build_failed).
    """
    done = attempt(command, what, environ, descriptors, timeout)
    if done.returncode:
        raise failed(command, what, done)
    return os.fsdecode(done.stdout)


def attempt(
    command: Sequence[str],
    what: str,
    environ: Variables | None,
    descriptors: Iterable[int] = (),
    timeout: float = 0,
) -> subprocess.CompletedProcess[bytes]:
    """Run a command until it ends, with success or not.

    :param environ: its environment; None for ours.
    :param descriptors: open files that the command inherits.
    :param timeout: seconds that it may take; 0 for no limit.
    :raises JawsError: it cannot be run, or does not end (build_failed).
    """
    try:
        return subprocess.run(
            command,
            env=environ,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            pass_fds=tuple(descriptors),
            timeout=timeout or None,
            check=False,
        )
    except subprocess.TimeoutExpired as error:
        output = _last((error.stdout or b"") + (error.stderr or b""))
        raise JawsError(LATE % (what, command[0], timeout, output), "build_failed") from None
    except OSError as error:
        told = NOT_THERE % (what, command[0], error.strerror)
        raise JawsError(told, "build_failed") from error


def failed(
    command: Sequence[str], what: str, done: subprocess.CompletedProcess[bytes]
) -> JawsError:
    """Return the error of a command that failed."""
    told = _last(done.stdout + done.stderr)
    return JawsError(_explain(command, what, done.returncode, told), "build_failed")


def _explain(command: Sequence[str], what: str, code: int, told: str) -> str:
    remedy = "What runs now is untouched. Correct the cause, then run this again."
    if "(from versions: none)" in told:  # pip says nothing else, even if the index is down
        remedy = (
            "What runs now is untouched. The package index is down, answers with an error, or does "
            "not have it: check the index, then run this again."
        )
    if NO_ENSUREPIP.search(told):
        remedy = "This Python lacks ensurepip: install python3-venv, or load a module that has it."
    return f"cannot {what}: {command[0]} ended with {code}. {remedy}\n{told}"


def _last(output: bytes) -> str:
    """Return the last lines, after pip's own statement of the cause, without a traceback below."""
    lines = quoted(output.decode("utf-8", "replace").strip()).splitlines()
    errors = [number for number, line in enumerate(lines) if line.startswith("ERROR: ")]
    if errors and TRACEBACK in lines[errors[-1] :]:
        del lines[lines.index(TRACEBACK, errors[-1]) :]
    stated = [lines[number] for number in errors[-1:] if number < len(lines) - LAST_LINES]
    return "\n".join(stated + lines[-LAST_LINES:])
