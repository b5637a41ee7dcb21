# Copyright: (c) 2026, The jgi.jaws engineers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What Supervisor's own parser says of a supervisord.conf, run as the daemon would run it."""

from __future__ import annotations

import json
import re
import subprocess
from typing import NamedTuple, Sequence

from ..errors import JawsError
from ..files import Candidate
from ..processes import clean_environment
from .conf import complaint

VALIDATE_SECONDS = 60
NO_SUPERVISOR = 3  # exit status of the validator where Python has no Supervisor

# Run by the interpreter that has Supervisor, in the daemon's own environment.
VALIDATOR = """\
import json, shlex, shutil, sys
try:
    from supervisor.options import ServerOptions
except ImportError:
    sys.exit(NO_SUPERVISOR)
options = ServerOptions()
options.realize(["-c", sys.argv[1]])
found = []
for group in options.process_group_configs:
    for config in group.process_configs:
        try:
            command = (shlex.split(config.command) or [""])[0]
        except ValueError:
            command = config.command
        found.append({"name": config.name, "group": group.name, "startsecs": config.startsecs,
                      "stopwaitsecs": config.stopwaitsecs, "stopsignal": int(config.stopsignal),
                      "command": command, "usable": shutil.which(command) is not None})
json.dump(found, sys.stdout)
""".replace("NO_SUPERVISOR", str(NO_SUPERVISOR))


class ConfiguredProgram(NamedTuple):
    """What Supervisor's parser says of one program in a file; C(usable): its command exists."""

    name: str
    group: str
    startsecs: int
    stopwaitsecs: int
    stopsignal: int
    command: str
    usable: bool


def validate(path: str, python: str) -> list[ConfiguredProgram]:
    """Return the programs in the file at C(path), as C(parse) does.

    :raises JawsError: as C(parse), or a program's command does not exist.
    """
    programs = parse(path, python)
    refuse_missing(programs, path)
    return programs


def validate_text(config: str, text: str, python: str) -> list[ConfiguredProgram]:
    """Return the programs in a text that is to become the file C(config).

    :raises JawsError: as C(validate).
    """
    with Candidate(config, text) as candidate:
        return validate(candidate.path, python)


def refuse_missing(programs: Sequence[ConfiguredProgram], path: str) -> None:
    """Refuse programs whose command does not exist.

    :param programs: as C(parse) returned them of the file at C(path).
    :raises JawsError: names them (broken_conf).
    """
    missing = [f"{program.name}: {program.command}" for program in programs if not program.usable]
    if missing:
        raise JawsError(
            f"these programs' commands in {path} do not exist or are not executable: "
            f"{'; '.join(missing)}. Nothing was changed; deploy a release that has them.",
            reason="broken_conf",
        )


def parse(path: str, python: str) -> list[ConfiguredProgram]:
    """Return the programs in the file at C(path), as Supervisor's own parser reads them.

    :param python: the interpreter that has Supervisor installed.
    :raises JawsError: the parser refuses it (broken_conf), or is not there (not_installed).
    """
    try:
        done = subprocess.run(
            [python, "-I", "-c", VALIDATOR, path],
            env=clean_environment(),
            cwd="/",
            stdin=subprocess.DEVNULL,
            capture_output=True,
            timeout=VALIDATE_SECONDS,
            check=False,
        )
    except OSError as error:
        raise _not_installed(python, f"cannot be run: {error.strerror}") from error
    except subprocess.TimeoutExpired:
        raise JawsError(
            f"Supervisor's parser ({python}) took more than {VALIDATE_SECONDS} s over {path}. "
            "Nothing was changed; look at the load of the machine and its filesystems.",
            reason="timed_out",
        ) from None
    if done.returncode == NO_SUPERVISOR:
        raise _not_installed(python, "has no Supervisor")
    if done.returncode:
        raise JawsError(
            f"Supervisor refuses {path}: {_told(done.stderr)}. Nothing was changed; correct "
            "it, then run this again.",
            reason="broken_conf",
        )
    return [ConfiguredProgram(**program) for program in json.loads(done.stdout)]


def _not_installed(python: str, why: str) -> JawsError:
    return JawsError(
        f"{python} {why}: install Supervisor first (the role supervisord does), or correct the "
        "option python.",
        reason="not_installed",
    )


def _told(output: bytes) -> str:
    """Return what the parser said, without the values that it quotes: one may be the key."""
    text = output.decode("utf-8", "replace").strip()
    found = re.search(r"^Error: (.*?)(?:^For help|\Z)", text, re.DOTALL | re.MULTILINE)
    lines = text.splitlines() or ["no reason given"]
    return complaint(found.group(1) if found else lines[-1]).rstrip(".")
