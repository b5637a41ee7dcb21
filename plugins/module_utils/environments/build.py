# Copyright: (c) 2026, The jgi.jaws engineers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Builds an environment, from a layer if there may be one, and checks that it is whole."""

from __future__ import annotations

import base64
import configparser
import glob
import hashlib
import json
import os
import shutil
import subprocess
from pathlib import Path
from typing import Any, Iterable, Iterator, Mapping, Sequence

from ..errors import JawsError, in_urls, keep_secret, quoted
from ..system.locks import locked_file
from . import installed, layers, surroundings, uv
from .commands import NO_ENSUREPIP, Variables, attempt, failed, identified
from .places import Environment, place
from .specs import Spec, digest, version_of, wheel_digest

INPUTS = ".inputs"
CREATE = "create the virtual environment"
NO_PIP = "%s has neither ensurepip nor pip: install python3-venv, or load a module that has one."
# More would only wait for the disk, and a login node may have hundreds of cores.
WORKERS = max(2, min(8, len(os.sched_getaffinity(0))))
CHANGED = (
    "%s was changed by hand. It is left as it is; a new environment is built next to it, and what "
    "uses it is restarted."
)
INCOMPLETE = (
    "%s was marked complete without %s. It is left as it is; a new environment is built next to it."
)
UNSOUND = (
    "the environment for %s is not sound: %s. What runs now is untouched. Correct what is to be "
    "installed, or name what is harmless in `tolerated`: the whole sentence, or the package's name."
)
ELSEWHERE = (
    "the environment for %s is incomplete: %s, although pip reported success. What runs now is "
    "untouched. Look for what makes pip install elsewhere, such as an option in pip_arguments."
)
BY_PIP = "%s was built by pip, which took longer, because uv failed: %s"
WHOLE = "%s was built without a layer, which took longer, because the layer cannot be built: %s"

Asked = installed.Asked


class Builder:
    """Builds one environment below C(directory).

    :param directory: absolute path of the directory of all environments.
    :param spec: one item of the venv module's option C(environments).
    :param environ: the environment variables of its commands, as C(begin) returns them.
    :param timeout: seconds to wait for another run that builds it, and for each of our commands.
    :param layers: absolute path of the directory of all layers; empty to build without them.
    :param uv: the requirements of uv, which then builds the layers; empty for pip.
    """

    def __init__(
        self,
        directory: str,
        spec: Spec,
        environ: Variables,
        timeout: float,
        layers: str = "",
        uv: Sequence[str] = (),
    ) -> None:
        self.spec = spec
        self.layers = layers
        self.uv = uv if layers else ()
        self.from_layers: list[str] = []
        self.timeout = timeout
        self.users = environ
        self.environ = surroundings.for_pip(environ)
        self.wheels = [installed.of_wheel(wheel["name"]) for wheel in spec["wheels"]]
        self.asked = [*self.wheels, *installed.of_requirements(spec["requirements"])]
        self.interpreter = identified(spec["python"], self.environ)
        wanted = [one.name for one in self.asked if one.name and not one.conditional]
        self.environment, unusable = place(directory, self._name(), wanted)
        self.warnings = [_unusable(path, wanted) for path in unusable]
        self.due = not self.environment.intact
        self.python = [os.path.join(self.environment.path, "bin", "python"), "-I"]
        self.pip = [*self.python, "-m", "pip"]

    def _name(self) -> str:
        spec = self.spec
        return f"{spec['name']}-{version_of(spec)}-{digest(spec, self.interpreter)}"

    def build(self, contents: Mapping[str, str]) -> None:
        """Build it, unless another run has done so; a failed build leaves nothing behind.

        The umask is the caller's, because it belongs to the whole process.

        :param contents: the wheels in base64, by digest.
        :raises JawsError: with the last lines of pip's output (build_failed).
        """
        path = self.environment.path
        try:
            lock_path = path + ".lock"
            with locked_file(lock_path, self.timeout) as lock:
                if not self.environment.intact:
                    self._build(contents, lock)
        except (OSError, configparser.Error) as error:
            # A broken configuration of pip is quoted, with its credentials.
            raise JawsError(
                f"cannot build {path}: {quoted(str(error))}. What runs now is untouched. Correct "
                "the cause, then run this again.",
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
        wheels = self._write_wheels(inputs, contents)
        modules = {name: installed.modules(file) for name, file in zip(self.wheels, wheels)}
        told = self._fill(inputs, wheels, lock)
        shutil.rmtree(inputs)
        self._compile(lock)
        self._complete(modules, told, lock)

    def _fill(self, inputs: str, wheels: Sequence[str], lock: int) -> str:
        """Make the environment, install what was asked for, and return pip's output."""
        needed = layers.requirements(self.spec, wheels) if wheels else []
        layer = self._layer(needed) if self.layers else None
        if layer is None:
            self._create(self.environment.path, lock)
        else:
            self._copy(layer, lock)
        arguments = self._inputs(inputs, wheels)
        if layer is not None and layer.spec["requirements"]:
            rest = self._inputs(inputs, wheels, requirements=[])
            arguments = ["--no-deps", "--force-reinstall", *rest]
        elif wheels or not self._uv_install(arguments, inputs, lock):
            return self._pip_install(arguments, inputs, lock)
        else:
            arguments = []
        # What is conditional was left to the layer or to uv, so pip does not say what it ignored.
        self.asked = [one for one in self.asked if not one.conditional]
        return self._pip_install(arguments, inputs, lock)

    def _layer(self, needed: Sequence[str]) -> Layer:
        """Return the layer with these requirements, or the one with none if that cannot be built.

        It cannot if a package of the index requires one of the wheels.
        """
        layer = Layer(self, needed, self.uv)
        try:
            layer.build({})
        except JawsError as error:
            if not needed:
                raise
            self.warnings.append(WHOLE % (self.environment.path, error))
            return self._layer([])
        self.warnings += layer.warnings
        return layer

    def _copy(self, layer: Layer, lock: int) -> None:
        path, record = self.environment.path, layer.environment.record or {}
        layers.copy(layer.environment.path, path, record.get("mentions", []))
        self.from_layers = [layer.environment.path, *record.get("layers", [])]
        pip = glob.glob(os.path.join(glob.escape(path), "lib", "python*", "site-packages", "pip"))
        if not pip and not self._lend_pip(lock):
            raise JawsError(NO_PIP % self.spec["python"], "build_failed")

    def _uv_install(self, arguments: Sequence[str], inputs: str, lock: int) -> bool:
        """Install by uv, and return whether that was possible."""
        hashes = ["--require-hashes"] if layers.requires_hashes(self.spec) else []
        plan = uv.plan(self.users, [*self.spec["pip_arguments"], *hashes, *arguments])
        if not (self.uv and arguments and plan):
            return False
        layer = Layer(self, self.uv, uv=())
        try:
            layer.build({})
        except JawsError:
            return False  # it is not in the user's index, or not for this machine
        config = os.path.join(inputs, "uv.toml")
        _write(config, os.fsencode(plan.config))
        command = [os.path.join(layer.environment.path, "bin", "uv"), "--config-file", config]
        command += ["pip", "install", "--python", self.python[0], *plan.arguments]
        try:
            self._run(command, "uv pip install", lock, plan.environ)
        except JawsError as error:
            self.warnings.append(BY_PIP % (self.environment.path, error))
            return False
        self.from_layers += [layer.environment.path]
        return True

    def _pip_install(self, arguments: Sequence[str], inputs: str, lock: int) -> str:
        """Install, and return pip's output."""
        if not arguments:
            return ""
        config, text = os.path.join(inputs, "pip.conf"), surroundings.pip_config(self.users)
        keep_secret(*in_urls(text))
        _write(config, os.fsencode(text))
        environ = surroundings.for_pip(self.environ, config)
        options = ["install", "--no-compile", *self.spec["pip_arguments"]]
        command = self._pip_command(*options, *arguments)
        return self._run(command, "pip install", lock, environ)

    def _compile(self, lock: int) -> None:
        """Compile the bytecode on several cores; pip uses one.

        Tests of packages are half of it, and nobody runs them. Some packages have broken samples.
        """
        folders = glob.glob(os.path.join(glob.escape(self.environment.path), "lib", "python*"))
        command = [*self.python, "-m", "compileall", "-q", "-x", "site-packages/.*/tests/"]
        command += ["-j", str(WORKERS), *folders]
        self._attempt(command, "compile the bytecode", lock, self.environ)

    def _complete(self, modules: Mapping[Asked, list[str]], told: str, lock: int) -> None:
        """Check that it is complete, and record that.

        :param modules: the modules of each wheel.
        :param told: pip's output.
        """
        names = [name for found in modules.values() for name in found]
        probed = self._run(
            [*self.python, "-c", installed.PROBE, *names], "import what was installed", lock
        )
        paths, faults = json.loads(probed.splitlines()[-1])
        packages = installed.packages(paths)
        found = installed.versions(packages)
        absent = list(installed.missing(self.asked, installed.passed_over(told), found))
        if absent:
            raise JawsError(ELSEWHERE % (self.spec["name"], "; ".join(absent)), "build_failed")
        tolerated = self._judge([*self._check(lock), *_unimportable(modules, faults)])
        self.environment.complete(
            packages=packages,
            interpreter=self.interpreter,
            tolerated=tolerated,
            layers=self.from_layers,
            **self._of_copies(),
        )

    def _of_copies(self) -> dict[str, Any]:
        """Return what the record needs for copies of it."""
        return {}

    def _check(self, lock: int) -> list[str]:
        """Return what C(pip check) finds."""
        command = self._pip_command("check")
        done = self._attempt(command, "pip check", lock, self.environ)
        findings = quoted(os.fsdecode(done.stdout).strip()).splitlines()
        if done.returncode and not findings:
            raise failed(command, f"pip check for {self.spec['name']}", done)
        return findings if done.returncode else []

    def _judge(self, findings: Sequence[str]) -> list[str]:
        """Return the findings, if all of them are tolerated.

        :raises JawsError: names the others (build_failed).
        """
        tolerated = {entry.strip() for entry in self.spec.get("tolerated", [])}
        names = {installed.normal(entry) for entry in tolerated}
        others = [
            finding
            for finding in findings
            if finding not in tolerated and installed.normal(finding.split()[0]) not in names
        ]
        if others:
            told = UNSOUND % (self.spec["name"], "; ".join(others))
            raise JawsError(told, "build_failed", findings=others)
        return list(findings)

    def _create(self, path: str, lock: int) -> None:
        command = [self.spec["python"], "-I", "-m", "venv", path]
        try:
            self._create_with_pip(command, lock)
        except JawsError as error:
            # Debian installs Python without ensurepip; an environment made from it may have pip.
            if not NO_ENSUREPIP.search(str(error)) or not self._lend_pip(lock):
                raise
            self._run([*command, "--without-pip"], CREATE, lock)

    def _create_with_pip(self, command: list[str], lock: int) -> None:
        try:
            self._run(command, CREATE, lock)
        except JawsError as error:
            if "'ensurepip'" not in str(error):
                raise
            # venv hides the output of ensurepip, for example about a full disk.
            self._run([*self.python, "-m", "ensurepip", "--default-pip"], CREATE, lock)

    def _lend_pip(self, lock: int) -> bool:
        """Install with the interpreter's own pip, which can work for another one since 22.3."""
        lent = [self.spec["python"], "-I", "-m", "pip", "--python"]
        try:
            self._run([*lent, self.spec["python"], "--version"], "look for pip", lock)
        except JawsError:
            return False
        self.pip = [*lent, self.python[0]]
        return True

    def _write_wheels(self, folder: str, contents: Mapping[str, str]) -> list[str]:
        """Write the wheels that were sent, and return their paths."""
        paths = []
        for wheel in self.spec["wheels"]:
            path = os.path.join(folder, os.path.basename(wheel["name"]))
            _write(path, base64.b64decode(contents[wheel["digest"]]))
            if wheel_digest(path) != wheel["digest"]:
                raise JawsError(f"{wheel['name']} arrived damaged: run this again.", "bad_wheel")
            paths.append(path)
        return paths

    def _inputs(
        self, folder: str, wheels: Sequence[str], requirements: Sequence[str] | None = None
    ) -> list[str]:
        """Write the files for pip, and return its arguments."""
        lines = list(self.spec["requirements"] if requirements is None else requirements)
        arguments = []
        if layers.requires_hashes(self.spec):
            # Then pip requires a hash for everything; the control node sends those of these wheels.
            lines += [_hashed(path) for path in wheels]
            wheels = []
        joined = "".join(line + "\n" for line in lines)
        for option, text in (("--constraint", self.spec["constraints"]), ("-r", joined)):
            if text:
                path = os.path.join(folder, option.strip("-") + ".txt")
                _write(path, text.encode())
                arguments += [option, path]
        return [*arguments, *wheels]

    def _pip_command(self, *arguments: str) -> list[str]:
        return [*self.pip, "--isolated", "--no-input", "--disable-pip-version-check", *arguments]

    def _run(
        self, command: Sequence[str], what: str, lock: int, environ: Variables | None = None
    ) -> str:
        done = self._attempt(command, what, lock, environ or self.environ)
        if done.returncode:
            raise failed(command, f"{what} for {self.spec['name']}", done)
        return os.fsdecode(done.stdout)

    def _attempt(
        self, command: Sequence[str], what: str, lock: int, environ: Variables
    ) -> subprocess.CompletedProcess[bytes]:
        # A command that outlives us still writes, so it keeps holding the lock.
        what = f"{what} for {self.spec['name']}"
        return attempt(command, what, environ, (lock,), self.timeout)

    def _remove(self) -> None:
        if os.path.lexists(self.environment.path):
            shutil.rmtree(self.environment.path)


class Layer(Builder):
    """Builds a layer: what an environment needs besides its own wheels, or nothing but pip.

    The checks are left to what is made from it, with which it may become sound.
    """

    def __init__(self, above: Builder, needed: Sequence[str], uv: Sequence[str]) -> None:
        spec = dict(above.spec, name="layer", wheels=[], requirements=list(needed))
        if not needed:
            spec.update(constraints="", pip_arguments=[])
        below = above.layers if needed else ""
        super().__init__(above.layers, spec, above.users, above.timeout, below, uv)

    def _name(self) -> str:
        # The umask is in the modes of its files, which all copies share.
        return f"layer-{digest(self.spec, [*self.interpreter, self.spec['umask']])}"

    def _check(self, _lock: int) -> list[str]:
        return []

    def _of_copies(self) -> dict[str, Any]:
        return {"mentions": layers.mentions(self.environment.path)}


def _unusable(path: str, wanted: Iterable[str]) -> str:
    if Environment(path).intact:
        return INCOMPLETE % (path, ", ".join(Environment(path).lacks(wanted)))
    return CHANGED % path


def _unimportable(
    modules: Mapping[Asked, Iterable[str]], faults: Mapping[str, str]
) -> Iterator[str]:
    for wheel, names in modules.items():
        for name in names:
            if name in faults:
                fault = quoted(faults[name])
                yield f"{wheel.name} {wheel.version} cannot be imported: {name}: {fault}"


def _hashed(path: str) -> str:
    """Return a line for a requirements file that installs a wheel, with its hash."""
    content = hashlib.sha256(Path(path).read_bytes()).hexdigest()
    return f"{Path(path).as_uri()} --hash=sha256:{content}"


def _write(path: str, content: bytes) -> None:
    """Write a file."""
    with open(path, "wb") as stream:
        stream.write(content)
