# Copyright: (c) 2026, The jgi.jaws engineers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The program that proves a release which became the current one while no supervisord ran.

It is left in the instance's directory by the run that switched, and has that run's own code and
options, so that whatever starts the supervisord can run it without Ansible.
"""

from __future__ import annotations

import io
import json
import os
import shlex
import subprocess
import sys
import zipfile
from contextlib import AbstractContextManager, nullcontext
from typing import Any, Callable, Dict, Sequence

from ..errors import JawsError
from ..own_code import program
from ..supervisor.endpoint import SupervisordConf
from ..supervisor.programs import NOTIFIER
from ..system.files import write
from ..system.locks import locked_file
from . import history
from .store import Store

Options = Dict[str, Any]
Manage = Callable[[Options, bool], Options]

OPTIONS = "options.json"
MAIN = """
import sys
from module_utils.release import manage
from module_utils.releases.proof import prove
sys.exit(prove(sys.argv[1:], manage))
"""


def leave(path: str, options: Options) -> None:
    """Write the program, as a zip file that Python runs, for a later start of the supervisord.

    :param options: those of the module release, for this instance.
    :raises JawsError: it cannot be written (cannot_write).
    """
    found = io.BytesIO()
    with zipfile.ZipFile(found, "w") as archive:
        for name, text in {OPTIONS: json.dumps(options), **program(MAIN, "release")}.items():
            archive.writestr(name, text)
    try:
        write(path, [found.getvalue()])
    except JawsError as error:
        raise JawsError(
            f"{error} The next job of Slurm needs this file to prove the release. Correct that, "
            "then deploy again.",
            "cannot_write",
        ) from error


def apart(path: str, options: Options) -> AbstractContextManager[object]:
    """Keep a proof and other runs, which may be on two nodes, apart; other locks are per node.

    :param path: of the program that is left, or will be.
    :raises JawsError: another run still holds the lock (locked), or there are none (cannot_lock).
    """
    if options["postpone"] or os.path.exists(path):
        return locked_file(f"{path}.lock", options["lock_timeout"], shared=True)
    return nullcontext()


def prove(paths: Sequence[str], manage: Manage) -> int:
    """Prove the releases of the instances that are started together, or take all of them back.

    Return an exit status, which is 0 if nothing is left to do.

    :param paths: of the programs that were left, one for each instance.
    :param manage: the core of the module release.
    """
    known = {path: os.stat(path).st_ino for path in paths}
    due = [options for options in map(_due, paths) if options]
    try:
        for options in due:
            held = manage(options, False).get("held")
            found = "holds" if held else "is not the current one any more"
            _say(f"{options['config']}: release {options['id']} {found}")
    except JawsError as error:
        _say(f"{options['config']}: {error}")
        if "put_back" not in error.details:  # nothing was tried, for example without supervisord
            return 1
        for one in due:
            _take_back(one, manage)
        _tell(options, error)
    for path, number in known.items():
        if os.stat(path).st_ino == number:  # otherwise another deploy has left a newer one
            os.unlink(path)
    return 0


def _say(text: str) -> None:
    sys.stdout.write(text + "\n")
    sys.stdout.flush()


def _due(path: str) -> Options | None:
    """Return the options that prove an instance's current release; None if it needs no proof."""
    with zipfile.ZipFile(path) as archive:
        options: Options = json.loads(archive.read(OPTIONS).decode())
    store = Store(options["directory"], options["config"], options["group"])
    current = store.find(store.conf().release)
    if current is None or history.state(current, current["id"]) != "unproven":
        return None
    number = (current.get("replaced") or {}).get("by")
    return dict(options, state="proven", postpone=False, id=current["id"], deploy=number)


def _take_back(options: Options, manage: Manage) -> None:
    try:
        goal = manage(dict(options, state="reverted"), False)["reverted_to"]
        _say(f"{options['config']}: release {goal or 'none'}, as before")
    except JawsError as error:
        _say(f"{options['config']}: {error}")


def _tell(options: Options, error: JawsError) -> None:
    """Let the instance's notifier, if it has one, call its command: nobody reads this output."""
    report = {
        "event": "deploy_failed",
        "release": options["id"],
        "programs": error.details.get("failed_programs", []),
        "message": str(error),
    }
    try:
        conf = SupervisordConf(options["config"])
        listener = shlex.split(conf.get(f"eventlistener:{NOTIFIER}", "command") or "")
        if listener:
            text = json.dumps(report).encode()
            subprocess.run([*listener, "tell"], input=text, check=True)
    except (OSError, subprocess.SubprocessError, JawsError) as problem:
        _say(f"{options['config']}: its notifier was not told: {problem}")
