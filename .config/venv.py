# SPDX-License-Identifier: GPL-3.0-or-later
"""Make a virtual environment hold exactly what a requirements file with hashes names.

    python3 venv.py DIRECTORY REQUIREMENTS [--install-missing]

Does nothing where the directory already fits: same requirements, same place, same interpreter.
The stamp is written last and removed first, so an interrupted run is done again by the next;
two runs at once wait for each other. Reads on Python 3.6 too, to refuse it in words.
"""

import argparse
import fcntl
import hashlib
import os
import shutil
import subprocess
import sys
from contextlib import contextmanager
from pathlib import Path

OLDEST = (3, 10)


class SetUpError(Exception):
    """What stands in the way, in one sentence, with the remedy."""


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("directory", type=Path)
    parser.add_argument("requirements", type=Path)
    parser.add_argument("--install-missing", action="store_true", help="as root, by apt-get")
    options = parser.parse_args()
    try:
        check_version()
        with one_at_a_time(options.directory):
            set_up(options.directory, options.requirements, options.install_missing)
    except (SetUpError, OSError) as error:
        sys.exit(f"{options.directory}: {error}")


def check_version():
    if sys.version_info < OLDEST:
        raise SetUpError(
            f"Python 3.10 or newer is needed, and {sys.executable} is {sys.version.split()[0]}: "
            "install a newer one, or name it: make PYTHON=/path/to/python3.12 ..."
        )


@contextmanager
def one_at_a_time(directory):
    """Hold the lock beside the directory; the kernel frees it when the process dies."""
    directory.parent.mkdir(parents=True, exist_ok=True)
    with Path(f"{directory}.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield


def set_up(directory, requirements, install_missing):
    stamp = directory / ".complete"
    wanted = identity(directory, requirements)
    if fits(directory, stamp, wanted):
        return
    check_ensurepip(install_missing)
    if stamp.exists():
        stamp.unlink()
    if directory.exists():
        shutil.rmtree(str(directory))
    run(sys.executable, "-m", "venv", directory)
    pip = [directory / "bin" / "python", "-m", "pip", "--disable-pip-version-check"]
    run(*pip, "install", "--quiet", "--require-hashes", "--requirement", requirements)
    stamp.write_text(wanted)


def identity(directory, requirements):
    """The content, the place (which scripts name in their first line), and the interpreter."""
    digest = hashlib.sha256(requirements.read_bytes()).hexdigest()
    return "\n".join([digest, os.path.abspath(str(directory)), sys.version, ""])


def fits(directory, stamp, wanted):
    # The interpreter it was made from may be gone: its link then leads nowhere.
    python = directory / "bin" / "python"
    return python.exists() and stamp.exists() and stamp.read_text() == wanted


def check_ensurepip(install_missing):
    if has_ensurepip():
        return
    package = "python{}.{}-venv".format(*sys.version_info)
    if install_missing and os.geteuid() == 0 and shutil.which("apt-get"):
        apt_install(package)
    if not has_ensurepip():
        raise SetUpError(
            f"{sys.executable} cannot make virtual environments without its modules venv and "
            f"ensurepip: install them (on Debian: apt-get install {package})"
        )


def apt_install(*packages):
    os.environ["DEBIAN_FRONTEND"] = "noninteractive"
    run("apt-get", "-qq", "update")
    run("apt-get", "-qq", "install", "--yes", "--no-install-recommends", *packages)


def has_ensurepip():
    command = [sys.executable, "-c", "import ensurepip, venv"]
    return subprocess.call(command, stderr=subprocess.DEVNULL) == 0


def run(*command):
    words = [str(word) for word in command]
    if subprocess.call(words) != 0:
        raise SetUpError("failed, for the reason above: " + " ".join(words))


if __name__ == "__main__":
    main()
