# SPDX-License-Identifier: GPL-3.0-or-later
"""Install what .config/node/package-lock.json names, with its hashes, below a directory.

    python3 node.py DIRECTORY

Node itself, npm and rsync are installed as root on Debian; anywhere else, the message names them.
Does nothing if it is installed already, from the same lock file at the same place. The stamp is
written last and removed first, so the next run repeats an interrupted one. Two runs at once wait
for each other.
"""

import argparse
import hashlib
import os
import shutil
import subprocess
import sys
from pathlib import Path

# The scripts next to this one; one of them hides the standard library's venv here.
from venv import SetUpError, one_at_a_time, run

from commands import install, require

LOCKED = Path(__file__).resolve().parent / "node"
FILES = ("package.json", "package-lock.json")
COMMANDS = ("node", "npm", "rsync")
OLDEST = 18
REMEDY = (
    "npm could not install gitlab-ci-local, which runs the jobs of .gitlab-ci.yml. Correct what "
    "npm reports below, such as its registry, proxy or certificates (npm config set registry, "
    "proxy, cafile; NODE_EXTRA_CA_CERTS), then run make pipeline."
)


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("directory", type=Path)
    directory = parser.parse_args().directory
    try:
        check_commands()
        if not fits(directory):
            with one_at_a_time(directory):
                set_up(directory)
    except (SetUpError, OSError) as error:
        sys.exit(f"{directory}: {error}")


def check_commands():
    """Raise SetUpError if a command is missing or too old, after an attempt to install it."""
    install(COMMANDS)
    require(COMMANDS)
    version = subprocess.check_output(["node", "--version"], text=True).strip()
    if int(version.lstrip("v").split(".", maxsplit=1)[0]) < OLDEST:
        raise SetUpError(
            f"Node {OLDEST} or newer is needed, and {shutil.which('node')} is {version}: install a "
            "newer one, or put it first in PATH"
        )


def set_up(directory):
    if fits(directory):
        return
    stamp = directory / ".complete"
    stamp.unlink(missing_ok=True)
    directory.mkdir(parents=True, exist_ok=True)
    for name in FILES:
        shutil.copyfile(LOCKED / name, directory / name)
    print(f"Setting up {directory}", flush=True)
    # The scripts of packages are not needed, so they must not run.
    quiet = ("--ignore-scripts", "--no-audit", "--no-fund", "--loglevel=error")
    try:
        run("npm", "ci", "--prefix", directory, *quiet)
    except SetUpError as error:
        raise SetUpError(f"{REMEDY}\n{error}") from error
    stamp.write_text(identity(directory))


def fits(directory):
    stamp = directory / ".complete"
    return stamp.exists() and stamp.read_text() == identity(directory)


def identity(directory):
    """The content, and the place (because links contain it)."""
    digest = hashlib.sha256(b"".join((LOCKED / name).read_bytes() for name in FILES)).hexdigest()
    return "\n".join([digest, os.path.abspath(str(directory)), ""])


if __name__ == "__main__":
    main()
