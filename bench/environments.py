# SPDX-License-Identifier: GPL-3.0-or-later
"""What the environments of two components cost that need the same 60 packages, as JAWS does.

The floor is what pip does in a new environment. Caches of packages are warm: each is filled before.
"""

from __future__ import annotations

import base64
import os
import resource
import shutil
import subprocess
import sys
import tempfile
import time
import zipfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

from ansible_collections.jgi.jaws.plugins.module_utils import venv

ROOT = Path(__file__).parents[1]
NEEDED = """
amqpstorm boto3 click connexion<4 Flask globus-sdk jinja2 jsonschema marshmallow
mysql-connector-python pandas<3 parsl prometheus-client pymysql python-dateutil
python-json-logger PyYAML requests SQLAlchemy<2 tabulate tqdm
"""
COMPONENTS = ("site", "central")
Sample = dict[str, Any]


class Cost(NamedTuple):
    """Seconds of the clock, and of the processors: only the latter mean something under load."""

    clock: float
    processors: float


def spent() -> Cost:
    usage = [resource.getrusage(who) for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN)]
    return Cost(time.monotonic(), sum(one.ru_utime + one.ru_stime for one in usage))


def since(begun: Cost) -> Cost:
    now = spent()
    return Cost(now.clock - begun.clock, now.processors - begun.processors)


class Contender:
    """One way to build environments, with directories of its own."""

    def __init__(self, folder: Path, pins: list[str], layers: bool, uv: list[str]) -> None:
        self.pins = pins
        self.uv = uv
        self.folder = folder
        self.paths = {"directory": str(folder / "venvs"), "layers": ""}
        if layers:
            self.paths["layers"] = str(folder / "layers")
        folder.mkdir()

    def build(self, code: str, *more: str) -> Cost:
        """Build both environments with this code in their wheels."""
        specs, contents = [], {}
        for component in COMPONENTS:
            path = wheel(self.folder, component, code)
            digest = specs.wheel_digest(str(path))
            contents[digest] = base64.b64encode(path.read_bytes()).decode()
            specs.append(specification(component, path.name, digest, [*self.pins, *more]))
        options = {"environments": specs, "contents": contents, "uv": self.uv, "timeout": 1800}
        begun = spent()
        venv.manage({**self.paths, **options}, check_mode=False)
        return since(begun)


def specification(name: str, wheel_name: str, digest: str, pins: list[str]) -> Sample:
    given = {"wheels": [{"name": wheel_name, "digest": digest}], "requirements": pins}
    fixed = {"constraints": "", "pip_arguments": [], "modules": [], "tolerated": []}
    return {"name": name, "python": sys.executable, "umask": "027", **given, **fixed}


def wheel(folder: Path, component: str, code: str) -> Path:
    """Write a wheel of a component that declares no requirement, and return its path."""
    path = folder / f"jaws_{component}-1.0-py3-none-any.whl"
    metadata = f"Metadata-Version: 2.1\nName: jaws_{component}\nVersion: 1.0\n"
    tags = "Wheel-Version: 1.0\nRoot-Is-Purelib: true\nTag: py3-none-any\n"
    with zipfile.ZipFile(path, "w") as stream:
        stream.writestr(f"jaws_{component}.py", f"code = {code!r}\n")
        for name, text in (("METADATA", metadata), ("WHEEL", tags), ("RECORD", "")):
            stream.writestr(f"jaws_{component}-1.0.dist-info/{name}", text)
    return path


def pip_alone(folder: Path, pins: list[str]) -> Cost:
    """Make an environment for each component as a script would."""
    (folder / "pins.txt").write_text("\n".join(pins) + "\n")
    begun = spent()
    for component in COMPONENTS:
        path = folder / component
        subprocess.run([sys.executable, "-I", "-m", "venv", path], check=True)
        install = [path / "bin/pip", "install", "--quiet", "--disable-pip-version-check"]
        given = ["--require-hashes", "--requirement", folder / "pins.txt"]
        subprocess.run([*install, *given], check=True, stderr=subprocess.DEVNULL)
    cost = since(begun)
    for component in COMPONENTS:
        shutil.rmtree(folder / component)
    return cost


def resolved() -> list[str]:
    """Return the newest versions of what is needed, with everything that it needs and hashes."""
    command = ["uv", "pip", "compile", "--quiet", "--no-header", "--no-annotate", "-"]
    command += ["--generate-hashes", "--python", sys.executable]
    text = "\n".join(NEEDED.split())
    environ = {**os.environ, "UV_SYSTEM_CERTS": "true"}
    told = subprocess.check_output(command, input=text, env=environ, text=True)
    return told.splitlines()


def measure(options: Any) -> Iterator[Sample]:
    """Yield what both environments together cost, by what has changed."""
    pins = resolved()
    uv = (ROOT / "roles/jaws/files/uv.txt").read_text().splitlines()
    rounds = range(min(options.repeat, 3))
    folder = Path(tempfile.mkdtemp(prefix="jaws-bench-"))
    try:
        pip_alone(folder, pins)  # fills its cache
        alone = [pip_alone(folder, pins) for _ in rounds]
        for row in ("their wheels changed", "everything changed"):
            yield from samples(row, "floor", alone)
        for column, layers, lines in (
            ("by itself", False, []),
            ("layers, pip", True, []),
            ("layers, uv", True, uv),
        ):
            contender = Contender(folder / column.replace(" ", ""), pins, layers, lines)
            contender.build("first")
            wheels = [contender.build(f"{number}") for number in rounds]
            yield from samples("their wheels changed", column, wheels)
            everything = [contender.build("all", f"# {number}") for number in rounds]
            yield from samples("everything changed", column, everything)
    finally:
        shutil.rmtree(folder)


def samples(row: str, column: str, costs: list[Cost]) -> Iterator[Sample]:
    title = f"environments of {' and '.join(COMPONENTS)}"
    for table, values in (
        (title, [cost.clock for cost in costs]),
        (f"{title}, processors", [cost.processors for cost in costs]),
    ):
        yield {"table": table, "row": row, "column": column, "unit": "s", "values": values}
