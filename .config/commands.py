# SPDX-License-Identifier: GPL-3.0-or-later
"""Say which commands are missing, and which package brings them; install them as root on Debian.

    python3 commands.py [--install] COMMAND...

Fails if a command is missing. With --install, it only installs what it can as root on Debian: what
needs a command that is still missing reports that itself.
"""

import argparse
import os
import shutil
import sys

# The script next to this one, which hides the standard library's venv here.
from venv import SetUpError, run

# The package of Debian that brings each command.
PACKAGES = {
    "chromium": "chromium",
    "node": "nodejs",
    "npm": "npm",
    "rsync": "rsync",
    "ssh": "openssh-client",
    "systemd-analyze": "systemd",
}


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("names", nargs="+", choices=sorted(PACKAGES), metavar="COMMAND")
    parser.add_argument("--install", action="store_true", help="as root, by apt-get")
    options = parser.parse_args()
    try:
        install(options.names) if options.install else require(options.names)
    except SetUpError as error:
        sys.exit(str(error))


def missing(names):
    return [name for name in names if not shutil.which(name)]


def require(names):
    """Raise SetUpError if a command is missing."""
    absent = missing(names)
    if absent:
        packages = " ".join(PACKAGES[name] for name in absent)
        raise SetUpError(
            f"{', '.join(absent)} missing: install {packages} (on Debian, as root: "
            f"apt-get install --no-install-recommends {packages})"
        )


def install(names):
    """Install the packages of the commands that are missing, as root on Debian."""
    absent = missing(names)
    if absent and os.geteuid() == 0 and shutil.which("apt-get"):
        packages = [PACKAGES[name] for name in absent]
        print(f"Installing {' '.join(packages)}", flush=True)
        os.environ["DEBIAN_FRONTEND"] = "noninteractive"
        run("apt-get", "-qq", "update")
        run("apt-get", "-qq", "install", "--yes", "--no-install-recommends", *packages)


if __name__ == "__main__":
    main()
