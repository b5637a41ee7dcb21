# Copyright: (c) 2026, The jgi.jaws engineers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Virtual environments that never change: each is named by what goes into it, and built once.

The path says the version and a digest of everything that determines the content, so the command of a
program names its code, and an environment that is there and marked complete needs no work, no network.
"""

from __future__ import annotations

import base64
import fcntl
import hashlib
import json
import os
import re
import shutil
import subprocess
import tempfile
import zipfile
from contextlib import contextmanager
from typing import Any, Dict, Iterator, List, Optional, Sequence

from ansible_collections.jgi.jaws.plugins.module_utils.errors import JawsError

MARKER = "jgi-jaws.json"
IDENTIFY = (
    "import json, os, sys; "
    "json.dump([os.path.realpath(sys.executable), '%d.%d.%d' % sys.version_info[:3]], sys.stdout)"
)
LOAD = 'for m in $JGI_JAWS_MODULES; do module load "$m" || exit 1; done; exec "$0" "$@"'
CREDENTIALS = re.compile(r"(://)[^/@\s]+@")

Spec = Dict[str, Any]


def wheel_digest(path: str) -> str:
    """Return the SHA-256 of a wheel's members, so that the time of a build does not count.

    :raises JawsError: it is not a wheel.
    """
    total = hashlib.sha256()
    try:
        with zipfile.ZipFile(path) as wheel:
            for name in sorted(wheel.namelist()):
                total.update(b"%s\0%s\0" % (name.encode(), hashlib.sha256(wheel.read(name)).digest()))
    except (OSError, zipfile.BadZipFile) as error:
        raise JawsError("%s is not a whole wheel: %s. Build it again." % (path, error), "bad_wheel") from error
    return total.hexdigest()


def version_of(spec: Spec) -> str:
    """Return the version to show in the path: of the first wheel, or of the first pinned requirement."""
    for wheel in spec["wheels"]:
        return str(wheel["name"]).split("-")[1]
    found = re.search(r"==\s*([A-Za-z0-9.+!]+)", " ".join(spec["requirements"][:1]))
    return found.group(1) if found else "0"


def digest(spec: Spec, interpreter: Sequence[str]) -> str:
    """Return the first 12 hexadecimal digits of the SHA-256 of all that determines an environment."""
    inputs = [
        sorted((wheel["name"].split("-")[0], wheel["digest"]) for wheel in spec["wheels"]),
        spec["requirements"],
        spec["constraints"],
        spec["pip_arguments"],
        list(interpreter),
    ]
    return hashlib.sha256(json.dumps(inputs, sort_keys=True).encode()).hexdigest()[:12]


class Builder:
    """Builds one environment below C(directory).

    :param directory: absolute path of the directory of all environments.
    :param spec: one item of the venv module's option C(environments).
    """

    def __init__(self, directory: str, spec: Spec) -> None:
        self.spec = spec
        self.interpreter = self._identify()
        name = "%s-%s-%s" % (spec["name"], version_of(spec), digest(spec, self.interpreter))
        self.path = os.path.join(directory, name)

    @property
    def complete(self) -> bool:
        """Whether it was built to its end."""
        return os.path.exists(os.path.join(self.path, MARKER))

    @property
    def lacks_wheels(self) -> bool:
        """Whether the content of a wheel is needed and was not sent."""
        return not self.complete and any(wheel.get("content") is None for wheel in self.spec["wheels"])

    def build(self) -> None:
        """Build it, unless somebody else has by now; a failed build leaves nothing.

        :raises JawsError: with the last lines of pip's output.
        """
        with umask(self.spec["umask"]), locked(self.path + ".lock"):
            if self.complete:
                return
            self._remove()
            try:
                self._install()
            except BaseException:
                self._remove()
                raise

    def packages(self) -> List[str]:
        """Return the installed packages as C(name==version), as recorded when it was built."""
        with open(os.path.join(self.path, MARKER), encoding="utf-8") as stream:
            packages: List[str] = json.load(stream)["packages"]
        return packages

    def _identify(self) -> List[str]:
        found: List[str] = json.loads(self._run(["-c", IDENTIFY], "find the interpreter"))
        return found

    def _install(self) -> None:
        self._run(["-m", "venv", self.path], "create the virtual environment")
        with tempfile.TemporaryDirectory(prefix="jgi-jaws-") as folder:
            arguments = self._pip_arguments(folder)
            if arguments:
                self._pip("install", *self.spec["pip_arguments"], *arguments)
        self._pip("check")
        packages = self._pip("list", "--format=freeze").split()
        marker = os.path.join(self.path, MARKER)
        with open(marker + ".tmp", "w", encoding="utf-8") as stream:
            json.dump({"packages": packages, "interpreter": self.interpreter}, stream)
            stream.flush()
            os.fsync(stream.fileno())
        os.rename(marker + ".tmp", marker)

    def _pip_arguments(self, folder: str) -> List[str]:
        arguments = []
        for name, text in (("constraints", self.spec["constraints"]), ("requirements", self._requirements())):
            if text:
                path = os.path.join(folder, name + ".txt")
                with open(path, "w", encoding="utf-8") as stream:
                    stream.write(text)
                arguments += ["--%s" % name[:-1], path] if name == "constraints" else ["-r", path]
        for wheel in self.spec["wheels"]:
            path = os.path.join(folder, os.path.basename(wheel["name"]))
            with open(path, "wb") as stream:
                stream.write(base64.b64decode(wheel["content"]))
            if wheel_digest(path) != wheel["digest"]:
                raise JawsError("%s arrived damaged: run this again." % wheel["name"], "bad_wheel")
            arguments.append(path)
        return arguments

    def _requirements(self) -> str:
        return "".join(line + "\n" for line in self.spec["requirements"])

    def _pip(self, *arguments: str) -> str:
        python = os.path.join(self.path, "bin", "python")
        command = [python, "-m", "pip", "--no-input", "--disable-pip-version-check", *arguments]
        return run(command, "pip %s for %s" % (arguments[0], self.spec["name"]))

    def _run(self, arguments: Sequence[str], what: str) -> str:
        command = [self.spec["python"], *arguments]
        what = "%s for %s" % (what, self.spec["name"])
        if not self.spec["modules"]:
            return run(command, what)
        modules = dict(os.environ, JGI_JAWS_MODULES=" ".join(self.spec["modules"]))
        return run(["bash", "-lc", LOAD, *command], what, modules)

    def _remove(self) -> None:
        if os.path.lexists(self.path):
            shutil.rmtree(self.path)


def run(command: Sequence[str], what: str, environment: Optional[Dict[str, str]] = None) -> str:
    """Return a command's standard output.

    :raises JawsError: it fails; with the last lines that it printed, credentials in urls removed.
    """
    try:
        done = subprocess.run(
            command,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            env=environment,
            check=False,
        )
    except OSError as error:
        raise JawsError("cannot %s: %s: %s." % (what, command[0], error.strerror), "build_failed") from error
    if done.returncode:
        told = (done.stderr or done.stdout).decode("utf-8", "replace").strip()
        raise JawsError(_explain(command, what, done.returncode, told), "build_failed")
    return done.stdout.decode()


def _explain(command: Sequence[str], what: str, code: int, told: str) -> str:
    last = "\n".join(CREDENTIALS.sub(r"\1***@", line) for line in told.splitlines()[-12:])
    remedy = "What runs now is untouched; correct the cause and run this again."
    if "ensurepip" in told:
        remedy = "This Python lacks ensurepip: install python3-venv, or load a module with a whole Python."
    return "cannot %s: %s ended with %d. %s\n%s" % (what, command[0], code, remedy, last)


@contextmanager
def umask(octal: str) -> Iterator[None]:
    """Create files with this umask for a while."""
    old = os.umask(int(octal, 8))
    try:
        yield
    finally:
        os.umask(old)


@contextmanager
def locked(path: str) -> Iterator[None]:
    """Hold an exclusive lock that the kernel releases when we die; the file goes with its last holder."""
    while True:
        with open(path, "a", encoding="utf-8") as stream:
            fcntl.flock(stream, fcntl.LOCK_EX)
            # The holder before us may have removed the file that we waited for.
            if not _is_at(stream.fileno(), path):
                continue
            try:
                yield
            finally:
                os.unlink(path)
            return


def _is_at(descriptor: int, path: str) -> bool:
    try:
        return os.path.samestat(os.fstat(descriptor), os.stat(path))
    except FileNotFoundError:
        return False


def manage(params: Dict[str, Any], check_mode: bool) -> Dict[str, Any]:
    """Build what is missing; see the venv module for the options.

    :raises JawsError: as the module's documentation lists under C(reason).
    """
    builders = [Builder(params["directory"], spec) for spec in params["environments"]]
    due = [builder for builder in builders if not builder.complete]
    lacking = sorted(builder.spec["name"] for builder in due if builder.lacks_wheels)
    if not check_mode and not lacking:
        for builder in due:
            builder.build()
    return dict(
        changed=bool(due),
        lacking=lacking,
        environments={builder.spec["name"]: _describe(builder) for builder in builders},
        diff=dict(before="", after="".join(builder.path + "\n" for builder in due)),
    )


def _describe(builder: Builder) -> Dict[str, Any]:
    return dict(path=builder.path, packages=builder.packages() if builder.complete else [])
