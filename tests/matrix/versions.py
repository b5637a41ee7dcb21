# SPDX-License-Identifier: GPL-3.0-or-later
"""Every ansible-core that meta/runtime.yml promises, and an environment with each of them.

The pins are the groups ansible-2-17 and so on of pyproject.toml, locked in uv.lock.
"""

from __future__ import annotations

import os
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

ROOT = Path(__file__).resolve().parents[2]
# The Pythons that each runs on as a control node. The first one that this machine has is used, so
# that together they cover every Python.
PYTHONS = {
    "2.17": ("3.10", "3.11", "3.12"),
    "2.18": ("3.11", "3.12", "3.13"),
    "2.19": ("3.13", "3.12", "3.11"),
    "2.20": ("3.12", "3.13", "3.14"),
    "2.21": ("3.14", "3.13", "3.12"),
}
ENDS = ("2.17", "2.21")


class Version(NamedTuple):
    """An ansible-core, installed."""

    name: str
    python: Path
    ansible: str
    interpreter: str

    def described(self) -> dict[str, str]:
        """Return the version as data for JSON."""
        return {key: str(value) for key, value in self._asdict().items()}


def interpreter(name: str) -> Path | None:
    """Return the first Python that this machine has for an ansible-core, or None."""
    return next((path for python in PYTHONS[name] for path in _candidates(python)), None)


def missing(name: str) -> list[str]:
    """Return the Pythons that this ansible-core runs on and this machine does not have."""
    return [python for python in PYTHONS[name] if not any(_candidates(python))]


def _candidates(python: str) -> Iterator[Path]:
    found = shutil.which(f"python{python}")
    pyenv = Path(os.environ.get("PYENV_ROOT") or Path.home() / ".pyenv")
    installed = sorted(pyenv.glob(f"versions/{python}.*/bin/python"), reverse=True)
    for path in [*([Path(found)] if found else []), *installed]:
        # pyenv puts a command in PATH for each version, but only that of the chosen one works.
        if (
            subprocess.run([path, "-c", "import venv"], check=False, capture_output=True).returncode
            == 0
        ):
            yield path


def install(name: str, python: Path, cache: Path) -> Version:
    """Install an ansible-core as uv.lock says."""
    directory = cache / "matrix" / name
    group = f"ansible-{name.replace('.', '-')}"
    command = ["uv", "sync", "--frozen", "--quiet", "--only-group", group, "--python", str(python)]
    settings = {
        "UV_PROJECT_ENVIRONMENT": str(directory),
        "UV_PYTHON_DOWNLOADS": "never",
        "UV_SYSTEM_CERTS": "true",
    }
    subprocess.run(command, cwd=ROOT, env={**os.environ, **settings}, check=True)
    return found(name, directory / "bin/python")


def found(name: str, python: Path) -> Version:
    """Return what an environment has; it must be the ansible-core of that name."""
    code = "import ansible.release as a, platform as p; print(a.__version__, p.python_version())"
    told = subprocess.run([python, "-c", code], check=True, capture_output=True, text=True)
    ansible, version = told.stdout.split()
    if not ansible.startswith(f"{name}."):
        raise RuntimeError(f"{python} has ansible-core {ansible}, not {name}")
    return Version(name, python, ansible, version)
