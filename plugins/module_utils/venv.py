# Copyright: (c) 2026, The jgi.jaws engineers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Virtual environments that never change: each is named by what goes into it, and built once.

The path says the version and a digest of everything that determines the content. So the command of
a program names its code, and an environment that is there needs no work and no network.
"""

from __future__ import annotations

import base64
import glob
import hashlib
import itertools
import json
import os
import re
import shutil
import subprocess
import zipfile
import zlib
from functools import lru_cache
from typing import Any, Dict, Iterable, Iterator, Mapping, Sequence

from .errors import JawsError
from .files import umask
from .locks import locked_file

MARKER = "jgi-jaws.json"
INPUTS = ".inputs"
IDENTIFY = (
    "import json, os, sys; "
    "print(json.dumps([os.path.realpath(sys.executable), '%d.%d.%d' % sys.version_info[:3]]))"
)
LOAD = 'for m in $JGI_JAWS_MODULES; do module load "$m" || exit 1; done; exec "$0" "$@"'
CREDENTIALS = re.compile(r"(https?://)[^/@\s]+@")
NO_ENSUREPIP = re.compile(r"ensurepip is not\s+available|No module named .?ensurepip")
CREATE = "create the virtual environment"
LAST_LINES = 12
NOT_THERE = "cannot %s: %s: %s. Correct its path, or install it."
LATE = (
    "cannot %s: %s did not end within %g s and was killed. What runs now is untouched; look at the "
    "package index and at the machine's load, or raise timeout; then run this again.\n%s"
)
CHANGED = (
    "%s was changed by hand. It is left as it is; a new environment is built beside it, and what "
    "uses it is restarted."
)

Spec = Dict[str, Any]


def wheel_digest(path: str) -> str:
    """Return the SHA-256 of a wheel's members, so that the time of a build does not count.

    :raises JawsError: it is not a whole wheel (bad_wheel).
    """
    total = hashlib.sha256()
    try:
        with zipfile.ZipFile(path) as wheel:
            for name in sorted(wheel.namelist()):
                content = hashlib.sha256(wheel.read(name)).digest()
                total.update(b"%s\0%s\0" % (name.encode(), content))
    except (OSError, EOFError, RuntimeError, zipfile.BadZipFile, zlib.error) as error:
        raise JawsError(
            f"{path} is not a whole wheel: {error}. Build it again.", "bad_wheel"
        ) from error
    return total.hexdigest()


def refuse_credentials(spec: Spec) -> None:
    """Refuse user names and passwords in urls: pip and git would show them in `ps`.

    :raises JawsError: names the environment and the option (bad_option).
    """
    for option in ("requirements", "pip_arguments"):
        if any(CREDENTIALS.search(text) for text in spec.get(option) or []):
            raise JawsError(
                f"{spec['name']}: a url in {option} holds credentials, which every user of the "
                "host would see in `ps`. Put them into ~/.netrc there, which pip and git read.",
                reason="bad_option",
            )


def version_of(spec: Spec) -> str:
    """Return the version to show: of the first wheel, or of the first pinned requirement."""
    for wheel in spec["wheels"]:
        return str(wheel["name"]).split("-")[1]
    first = " ".join(spec["requirements"][:1])
    found = re.search(r"==\s*([\w.+!]+)", first) or re.search(r"@([\w.+-]+)(?:#|\s|$)", first)
    return found.group(1) if found else "0"


def digest(spec: Spec, interpreter: Sequence[str]) -> str:
    """Return 12 hexadecimal digits of the SHA-256 of all that determines an environment."""
    inputs = [
        sorted((wheel["name"].split("-")[0], wheel["digest"]) for wheel in spec["wheels"]),
        spec["requirements"],
        spec["constraints"],
        spec["pip_arguments"],
        list(interpreter),
    ]
    return hashlib.sha256(json.dumps(inputs, sort_keys=True).encode()).hexdigest()[:12]


class Environment:
    """A directory that holds an environment, in whatever state."""

    def __init__(self, path: str) -> None:
        self.path = path
        self._marker = os.path.join(path, MARKER)

    @property
    def record(self) -> dict[str, Any] | None:
        """What was recorded when it was complete; None where it never was."""
        try:
            with open(self._marker, encoding="utf-8") as stream:
                found: dict[str, Any] = json.load(stream)
        except (FileNotFoundError, ValueError):
            return None
        return found

    @property
    def intact(self) -> bool:
        """Whether it is complete, and its files are as they were then."""
        record = self.record
        return record is not None and record.get("files") == self._fingerprint()

    def complete(self, **record: Any) -> None:
        """Record that it is complete, in one step."""
        with open(self._marker + ".new", "w", encoding="utf-8") as stream:
            json.dump(dict(record, files=self._fingerprint()), stream)
        os.rename(self._marker + ".new", self._marker)

    def _fingerprint(self) -> str:
        """Return a digest of the files' names, modes, sizes and times: a look, not a reading."""
        return hashlib.sha256(json.dumps(sorted(self._files())).encode()).hexdigest()

    def _files(self) -> Iterator[list[Any]]:
        for folder, folders, names in os.walk(self.path):
            folders[:] = [name for name in folders if name != "__pycache__"]
            for name in names:
                path = os.path.join(folder, name)
                if not path.startswith(self._marker):
                    found = os.lstat(path)
                    yield [path, found.st_mode, found.st_size, int(found.st_mtime)]


def place(directory: str, name: str) -> tuple[Environment, list[str]]:
    """Return the environment to use, and the paths of those that were changed by hand.

    What was changed by hand is left to what runs from it; the next one is built beside it.
    """
    base = os.path.join(directory, name)
    known = [base, *sorted(glob.glob(glob.escape(base) + ".[0-9]*"))]
    for path in known:
        if Environment(path).intact:
            return Environment(path), []
    changed = [path for path in known if Environment(path).record is not None]
    numbered = (f"{base}.{number}" for number in itertools.count(1))
    free = (path for path in itertools.chain([base], numbered) if path not in changed)
    return Environment(next(free)), changed


class Builder:
    """Builds one environment below C(directory).

    :param directory: absolute path of the directory of all environments.
    :param spec: one item of the venv module's option C(environments).
    :param timeout: seconds to wait for another run that builds it, and for each of our commands.
    """

    def __init__(self, directory: str, spec: Spec, timeout: float) -> None:
        self.spec = spec
        self.timeout = timeout
        self.interpreter = identify(spec["python"], tuple(spec["modules"]))
        name = f"{spec['name']}-{version_of(spec)}-{digest(spec, self.interpreter)}"
        self.environment, self.changed = place(directory, name)
        self.due = not self.environment.intact
        self.python = [os.path.join(self.environment.path, "bin", "python"), "-I"]
        self.pip = [*self.python, "-m", "pip"]

    def build(self, contents: Mapping[str, str]) -> None:
        """Build it, unless another run has done so; a failed build leaves nothing.

        :param contents: the wheels in base64, by digest.
        :raises JawsError: with the last lines of pip's output (build_failed).
        """
        path = self.environment.path
        try:
            lock_path = path + ".lock"
            with umask(int(self.spec["umask"], 8)), locked_file(lock_path, self.timeout) as lock:
                if not self.environment.intact:
                    self._build(contents, lock)
        except OSError as error:
            raise JawsError(
                f"cannot build {path}: {error}. What runs now is untouched; correct the cause "
                "and run this again.",
                reason="build_failed",
            ) from error

    def _build(self, contents: Mapping[str, str], lock: int) -> None:
        self._remove()
        try:
            self._install(contents, lock)
        except BaseException:
            self._remove()
            raise

    def _install(self, contents: Mapping[str, str], lock: int) -> None:
        path = self.environment.path
        inputs = os.path.join(path, INPUTS)
        os.mkdir(path)
        os.mkdir(inputs, 0o700)
        arguments = self._inputs(inputs, contents)
        self._create(path, lock)
        if arguments:
            self._pip(lock, "install", *self.spec["pip_arguments"], *arguments)
        shutil.rmtree(inputs)
        self._pip(lock, "check")
        listed = self._pip(lock, "list", "--format=freeze")
        packages = re.findall(r"^\S+==\S+$", listed, re.MULTILINE)
        self.environment.complete(packages=packages, interpreter=self.interpreter)

    def _create(self, path: str, lock: int) -> None:
        command = [self.spec["python"], "-I", "-m", "venv", path]
        try:
            self._create_with_pip(command, lock)
        except JawsError as error:
            # Debian installs Python without ensurepip; an environment made of it may have pip.
            if not NO_ENSUREPIP.search(str(error)) or not self._lend_pip(lock):
                raise
            self._run([*command, "--without-pip"], CREATE, lock)

    def _create_with_pip(self, command: list[str], lock: int) -> None:
        try:
            self._run(command, CREATE, lock)
        except JawsError as error:
            if "'ensurepip'" not in str(error):
                raise
            # venv keeps to itself what ensurepip said, a full disk for example.
            self._run([*self.python, "-m", "ensurepip", "--default-pip"], CREATE, lock)

    def _lend_pip(self, lock: int) -> bool:
        """Install by the interpreter's own pip, which can work for another one since 22.3."""
        lent = [self.spec["python"], "-I", "-m", "pip", "--python"]
        try:
            self._run([*lent, self.spec["python"], "--version"], "look for pip", lock)
        except JawsError:
            return False
        self.pip = [*lent, self.python[0]]
        return True

    def _inputs(self, folder: str, contents: Mapping[str, str]) -> list[str]:
        """Write what pip is to read, and return its arguments."""
        arguments = []
        requirements = "".join(line + "\n" for line in self.spec["requirements"])
        for option, text in (("--constraint", self.spec["constraints"]), ("-r", requirements)):
            if text:
                path = os.path.join(folder, option.strip("-") + ".txt")
                write(path, text.encode())
                arguments += [option, path]
        for wheel in self.spec["wheels"]:
            path = os.path.join(folder, os.path.basename(wheel["name"]))
            write(path, base64.b64decode(contents[wheel["digest"]]))
            if wheel_digest(path) != wheel["digest"]:
                raise JawsError(f"{wheel['name']} arrived damaged: run this again.", "bad_wheel")
            arguments.append(path)
        return arguments

    def _pip(self, lock: int, *arguments: str) -> str:
        options = ["--no-input", "--disable-pip-version-check"]
        return self._run([*self.pip, *options, *arguments], f"pip {arguments[0]}", lock)

    def _run(self, command: Sequence[str], what: str, lock: int) -> str:
        # A command that outlives us still writes: it holds the lock for as long.
        what = f"{what} for {self.spec['name']}"
        return run(command, what, self.spec["modules"], (lock,), self.timeout)

    def _remove(self) -> None:
        if os.path.lexists(self.environment.path):
            shutil.rmtree(self.environment.path)


@lru_cache(maxsize=None)
def identify(python: str, modules: tuple[str, ...]) -> list[str]:
    """Return the path and the version of an interpreter, the same for all that lead to it.

    :raises JawsError: there is none (build_failed).
    """
    told = run([python, "-I", "-c", IDENTIFY], "find the Python interpreter", modules)
    found: list[str] = json.loads(told.splitlines()[-1])  # a login shell may print before it
    return found


def run(
    command: Sequence[str],
    what: str,
    modules: Iterable[str] = (),
    descriptors: Iterable[int] = (),
    timeout: float = 0,
) -> str:
    """Return a command's standard output.

    :param modules: environment modules to load first.
    :param descriptors: open files that the command inherits.
    :param timeout: seconds that it may take; 0: as long as it does.
    :raises JawsError: it fails; with the last lines that it printed (build_failed).
    """
    names = " ".join(modules)
    try:
        done = subprocess.run(
            ["bash", "-lc", LOAD, *command] if names else command,
            env=dict(os.environ, JGI_JAWS_MODULES=names),
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
    if done.returncode:
        told = _last(done.stdout + done.stderr)
        raise JawsError(_explain(command, what, done.returncode, told), "build_failed")
    return done.stdout.decode()


def _explain(command: Sequence[str], what: str, code: int, told: str) -> str:
    remedy = "What runs now is untouched; correct the cause and run this again."
    if "(from versions: none)" in told:  # all that pip says, also where the index is down
        remedy = (
            "What runs now is untouched; the package index is down, answers with an error, or does "
            "not have it: look at the index, and run this again."
        )
    if NO_ENSUREPIP.search(told):
        remedy = "This Python lacks ensurepip: install python3-venv, or load a module that has it."
    return f"cannot {what}: {command[0]} ended with {code}. {remedy}\n{told}"


def _last(output: bytes) -> str:
    """Return the last lines, after pip's own word for the cause: a traceback may follow it."""
    text = output.decode("utf-8", "replace").strip()
    lines = CREDENTIALS.sub(r"\1***@", text).splitlines()
    errors = [line for line in lines[:-LAST_LINES] if line.startswith("ERROR: ")]
    return "\n".join(errors[-1:] + lines[-LAST_LINES:])


def write(path: str, content: bytes) -> None:
    """Write a file."""
    with open(path, "wb") as stream:
        stream.write(content)


def manage(params: dict[str, Any], check_mode: bool) -> dict[str, Any]:
    """Build what is missing; see the venv module for the options.

    :raises JawsError: as the module's documentation lists under C(reason).
    """
    directory, timeout = params["directory"], params["timeout"]
    builders = [Builder(directory, spec, timeout) for spec in params["environments"]]
    due = [builder for builder in builders if builder.due]
    needed = {wheel["digest"] for builder in due for wheel in builder.spec["wheels"]}
    lacking = sorted(needed.difference(params["contents"]))
    if not check_mode and not lacking:
        for builder in due:
            builder.build(params["contents"])
    paths = [builder.environment.path for builder in due]
    return dict(
        changed=bool(due),
        lacking=lacking,
        environments={builder.spec["name"]: _describe(builder.environment) for builder in builders},
        diff=dict(before="", after="".join(path + "\n" for path in paths)),
        warn=[CHANGED % path for builder in due for path in builder.changed],
    )


def _describe(environment: Environment) -> dict[str, Any]:
    record = environment.record or {}
    return dict(path=environment.path, packages=record.get("packages", []))
