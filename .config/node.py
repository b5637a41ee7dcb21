# SPDX-License-Identifier: GPL-3.0-or-later
"""Install what .config/node/package-lock.json names, with its hashes, below a directory.

    python3 node.py DIRECTORY [--install-missing]

Does nothing where it is there already: same lock file, same place. The stamp is written last and
removed first, so an interrupted run is done again by the next; two at once wait for each other.
"""

import argparse
import hashlib
import os
import shutil
import subprocess
import sys
from pathlib import Path

# The script beside this one, which hides the standard library's here.
from venv import SetUpError, apt_install, one_at_a_time, run

LOCKED = Path(__file__).resolve().parent / "node"
FILES = ("package.json", "package-lock.json")
# What gitlab-ci-local needs, and the package of Debian that brings it.
PACKAGES = {"node": "nodejs", "npm": "npm", "rsync": "rsync"}
OLDEST = 18


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("directory", type=Path)
    parser.add_argument("--install-missing", action="store_true", help="as root, by apt-get")
    options = parser.parse_args()
    try:
        with one_at_a_time(options.directory):
            set_up(options.directory, options.install_missing)
    except (SetUpError, OSError) as error:
        sys.exit(f"{options.directory}: {error}")


def set_up(directory, install_missing):
    stamp = directory / ".complete"
    wanted = identity(directory)
    # Tools that came with the system can go with it too.
    check_commands(install_missing)
    if stamp.exists() and stamp.read_text() == wanted:
        return
    stamp.unlink(missing_ok=True)
    directory.mkdir(parents=True, exist_ok=True)
    for name in FILES:
        shutil.copyfile(LOCKED / name, directory / name)
    # No package's own script has any business here.
    quiet = ("--ignore-scripts", "--no-audit", "--no-fund", "--loglevel=error")
    run("npm", "ci", "--prefix", directory, *quiet)
    stamp.write_text(wanted)


def identity(directory):
    """The content, and the place (which links name)."""
    digest = hashlib.sha256(b"".join((LOCKED / name).read_bytes() for name in FILES)).hexdigest()
    return "\n".join([digest, os.path.abspath(str(directory)), ""])


def check_commands(install_missing):
    """Raise SetUpError where a command is missing or too old, after an attempt to install it."""
    absent = missing()
    if absent and install_missing and os.geteuid() == 0 and shutil.which("apt-get"):
        apt_install(*(PACKAGES[name] for name in absent))
        absent = missing()
    if absent:
        packages = " ".join(PACKAGES[name] for name in absent)
        raise SetUpError(
            f"{', '.join(absent)} missing, for the test of .gitlab-ci.yml: install Node {OLDEST} "
            "or newer with npm, and rsync (on Debian: apt-get install --no-install-recommends "
            f"{packages})"
        )
    version = subprocess.check_output(["node", "--version"], text=True).strip()
    if int(version.lstrip("v").split(".", maxsplit=1)[0]) < OLDEST:
        raise SetUpError(
            f"Node {OLDEST} or newer is needed, and {shutil.which('node')} is {version}: install a "
            "newer one, or put it first in PATH"
        )


def missing():
    return [name for name in PACKAGES if not shutil.which(name)]


if __name__ == "__main__":
    main()
