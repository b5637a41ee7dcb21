# SPDX-License-Identifier: GPL-3.0-or-later
"""Make a virtual environment hold exactly what a requirements file with hashes names.

    python3 venv.py DIRECTORY REQUIREMENTS

Does nothing, and writes nothing, if the directory fits already: same requirements, same place,
same interpreter. The stamp is written last and removed first, so the next run repeats an
interrupted one; two runs at once wait for each other. A Python without ensurepip, as on Debian,
gets the pip that pip.txt pins. Runs on Python 3.6 too, to refuse that version with a message.
"""

import argparse
import configparser
import fcntl
import hashlib
import os
import shlex
import shutil
import subprocess
import sys
from contextlib import contextmanager
from pathlib import Path

OLDEST = (3, 10)
PIP = Path(__file__).resolve().parent / "pip.txt"
# The code that builds environments on hosts knows which settings of the user count.
SURROUNDINGS = PIP.parent.parent / "plugins/module_utils/environments"
# Lines of a failed command's output that are shown.
LAST_LINES = 12


class SetUpError(Exception):
    """What prevents the setup, in one sentence, with the remedy."""


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("directory", type=Path)
    parser.add_argument("requirements", type=Path)
    options = parser.parse_args()
    try:
        check_version()
        if not fits(options.directory, identity(options.directory, options.requirements)):
            with one_at_a_time(options.directory):
                set_up(options.directory, options.requirements)
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
    """Hold the lock next to the directory; the kernel frees it when the process dies."""
    with lock_file(directory) as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield


def lock_file(directory):
    try:
        directory.parent.mkdir(parents=True, exist_ok=True)
        return Path(f"{directory}.lock").open("w")
    except OSError as error:
        raise SetUpError(
            f"not set up for {sys.executable} ({sys.version.split()[0]}), and this user cannot do "
            f"that: {error}. Ask the owner of {directory.absolute().parent} to do it, or name the "
            "Python that it is set up for: make PYTHON=/path/to/python3 ..."
        ) from error


def set_up(directory, requirements):
    stamp = directory / ".complete"
    wanted = identity(directory, requirements)
    if fits(directory, wanted):
        return
    print(f"Setting up {directory}", flush=True)
    if stamp.exists():
        stamp.unlink()
    if directory.exists():
        shutil.rmtree(str(directory))
    directory.mkdir()
    with settings_of_pip(directory / "settings.conf"):
        pip = make(directory)
        run(*pip, "install", "--quiet", "--require-hashes", "--requirement", requirements)
    stamp.write_text(wanted)


@contextmanager
def settings_of_pip(config):
    """Let pip read where packages come from, but not where the user wants them installed."""
    sys.path.insert(0, str(SURROUNDINGS))
    from surroundings import for_pip, pip_config, without_python

    before = dict(os.environ)
    try:
        text = pip_config(before)
    except configparser.Error as error:
        raise SetUpError(f"pip's configuration cannot be read: {error}") from error
    config.touch(0o600)
    config.write_text(text)
    os.environ.clear()
    os.environ.update(for_pip(without_python(before), str(config)))
    try:
        yield
    finally:
        os.environ.clear()
        os.environ.update(before)
        config.unlink()


def identity(directory, requirements):
    """The content, the place (because scripts contain it), and the interpreter."""
    digest = hashlib.sha256(requirements.read_bytes()).hexdigest()
    return "\n".join([digest, os.path.abspath(str(directory)), sys.version, ""])


def fits(directory, wanted):
    # The interpreter it was made from may be gone: then its link is broken.
    python, stamp = directory / "bin" / "python", directory / ".complete"
    return python.exists() and stamp.exists() and stamp.read_text() == wanted


def make(directory):
    """Make an environment, and return the command of its pip."""
    python = directory / "bin" / "python"
    options = ["--disable-pip-version-check"]
    if has_ensurepip():
        run(sys.executable, "-m", "venv", directory)
        return [python, "-m", "pip", *options]
    # Not before the version is checked: it is written for that one.
    from pip_wheel import fetch

    run(sys.executable, "-m", "venv", "--without-pip", directory)
    wheel = fetch(PIP, directory)
    run(python, wheel / "pip", "install", "--quiet", "--no-index", wheel)
    wheel.unlink()
    return [python, "-m", "pip", *options]


def has_ensurepip():
    command = [sys.executable, "-c", "import ensurepip; ensurepip.version()"]
    return subprocess.call(command, stderr=subprocess.DEVNULL) == 0


def run(*command):
    """Run a command whose output is shown only if it fails."""
    words = [str(word) for word in command]
    streams = {"stdin": subprocess.DEVNULL, "stdout": subprocess.PIPE, "stderr": subprocess.STDOUT}
    done = subprocess.run(words, check=False, **streams)
    if done.returncode:
        output = done.stdout.decode("utf-8", "replace").strip().splitlines()
        raise SetUpError("\n".join([f"this failed: {shlex.join(words)}", *output[-LAST_LINES:]]))


if __name__ == "__main__":
    main()
