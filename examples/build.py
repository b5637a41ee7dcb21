# SPDX-License-Identifier: GPL-3.0-or-later
"""Build the stand-ins: three wheels and cromwell.jar, from the sources next to this file.

The same sources always give the same bytes, on any machine. A wheel is a zip file with modules and
three texts (PEP 427), so no build backend is needed. Runs on the control node, on Python 3.10 or
later, with only the standard library and without a network.
"""

from __future__ import annotations

import argparse
import base64
import configparser
import hashlib
import io
import json
import os
import sys
import zipfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

DISTRIBUTIONS = ("site", "central", "jtm")
COMMON = Path("common", "standin")
# Stand-ins for libraries, which each wheel brings because the real ones come with JAWS's.
LIBRARIES = Path("libraries")
LIBRARY_PACKAGES = ("amqpstorm", "mysql/connector")
STAMP = ".stamp.json"
# The oldest time that a zip file can hold. Not SOURCE_DATE_EPOCH: with the time of a commit, every
# commit would change the wheels, and a deploy of unchanged sources would restart services.
ZIP_TIME = (1980, 1, 1, 0, 0, 0)


def python_files(folder: Path) -> list[Path]:
    """Return the modules below `folder`, sorted, without what Python caches there."""
    return sorted(path for path in folder.rglob("*.py") if "__pycache__" not in path.parts)


def digest(sources: Path) -> str:
    """Return the sha256 in hex of everything that the output depends on, including this file."""
    total = hashlib.sha256()
    folders = ("common", "libraries", *DISTRIBUTIONS, "cromwell")
    files = [path for name in folders for path in python_files(sources / name)]
    files += [sources / name / "setup.cfg" for name in DISTRIBUTIONS]
    labelled = [(path.relative_to(sources).as_posix(), path) for path in files]
    for label, path in [("build.py", Path(__file__)), *labelled]:
        data = path.read_bytes()
        total.update(f"{label}\0{len(data)}\0".encode() + data)
    return total.hexdigest()


def package(sources: Path, folder: str, name: str) -> dict[str, bytes]:
    """Return the files of package `name` in `folder`, with the common modules inside it."""
    found = {}
    for root, prefix in ((sources / folder / name, name), (sources / COMMON, f"{name}/standin")):
        for path in python_files(root):
            found[f"{prefix}/{path.relative_to(root).as_posix()}"] = path.read_bytes()
    return found


def libraries(sources: Path) -> dict[str, bytes]:
    """Return the files of the libraries, each with the module that it asks for what is outside."""
    root = sources / LIBRARIES
    found = {path.relative_to(root).as_posix(): path.read_bytes() for path in python_files(root)}
    outside = (sources / COMMON / "outside.py").read_bytes()
    return {**found, **{f"{name}/outside.py": outside for name in LIBRARY_PACKAGES}}


def archive(files: Mapping[str, bytes]) -> bytes:
    """Return a zip file whose bytes depend only on `files`."""
    buffer = io.BytesIO()
    # Stored, not compressed: compressed bytes differ between versions of zlib.
    with zipfile.ZipFile(buffer, "w", zipfile.ZIP_STORED) as output:
        for name in sorted(files):
            entry = zipfile.ZipInfo(name, ZIP_TIME)
            entry.create_system = 3  # Unix, wherever it is built.
            entry.external_attr = 0o100644 << 16
            output.writestr(entry, files[name])
    return buffer.getvalue()


def metadata(project: Mapping[str, Mapping[str, str]]) -> dict[str, bytes]:
    """Return METADATA, WHEEL and entry_points.txt from what a setup.cfg says."""
    named = project["metadata"]
    about = [
        "Metadata-Version: 2.1",
        f"Name: {named['name']}",
        f"Version: {named['version']}",
        f"Summary: {named['description']}",
        "License: GPL-3.0-or-later",
        f"Requires-Python: {project['options']['python_requires']}",
    ]
    tags = ["Wheel-Version: 1.0", "Generator: jgi.jaws examples", "Root-Is-Purelib: true"]
    scripts = sorted(project["options.entry_points"]["console_scripts"].split("\n")[1:])
    texts = {
        "METADATA": about,
        "WHEEL": [*tags, "Tag: py3-none-any"],
        "entry_points.txt": ["[console_scripts]", *scripts],
    }
    return {name: "\n".join([*lines, ""]).encode() for name, lines in texts.items()}


def wheel(sources: Path, folder: str) -> tuple[str, bytes]:
    """Return the file name and the bytes of one distribution's wheel."""
    project = configparser.ConfigParser(interpolation=None)
    project.read_string((sources / folder / "setup.cfg").read_text("utf-8"))
    name = project["metadata"]["name"].replace("-", "_")
    stem = f"{name}-{project['metadata']['version']}"
    files = {**package(sources, folder, name), **libraries(sources)}
    files.update({f"{stem}.dist-info/{key}": text for key, text in metadata(project).items()})
    record = f"{stem}.dist-info/RECORD"
    lines = [f"{key},sha256={_record_hash(files[key])},{len(files[key])}" for key in sorted(files)]
    files[record] = "\n".join([*lines, f"{record},,", ""]).encode()
    return f"{stem}-py3-none-any.whl", archive(files)


def _record_hash(data: bytes) -> str:
    return base64.urlsafe_b64encode(hashlib.sha256(data).digest()).rstrip(b"=").decode()


def jar(sources: Path) -> tuple[str, bytes]:
    """Return the file name and the bytes of cromwell.jar."""
    files = package(sources, "cromwell", "jaws_cromwell")
    files["__main__.py"] = (sources / "cromwell" / "__main__.py").read_bytes()
    return "cromwell.jar", archive(files)


def replace(path: Path, data: bytes) -> None:
    """Write a file in one step: under another name first, then renamed."""
    part = path.with_name(f".{path.name}.{os.getpid()}.part")
    try:
        with part.open("wb") as stream:
            stream.write(data)
            stream.flush()
            os.fsync(stream.fileno())
        part.replace(path)
    except BaseException:
        part.unlink(missing_ok=True)
        raise


def read_stamp(output: Path) -> dict[str, Any]:
    """Return what the last build recorded; nothing if there was none or it is unreadable."""
    try:
        stamp = json.loads((output / STAMP).read_bytes())
        files = {name: known for name, known in stamp["files"].items() if Path(name).name == name}
        return {"sources": str(stamp["sources"]), "files": files}
    except (OSError, ValueError, KeyError, TypeError, AttributeError):
        return {"sources": "", "files": {}}


def write_stamp(output: Path, sources: str, files: Mapping[str, str]) -> None:
    """Record the digest of the sources and the sha256 of each file built from them."""
    text = json.dumps({"sources": sources, "files": files}, indent=1, sort_keys=True)
    replace(output / STAMP, text.encode())


def file_hash(path: Path) -> str:
    """Return a file's sha256 in hex; an empty string when it cannot be read."""
    try:
        return hashlib.sha256(path.read_bytes()).hexdigest()
    except OSError:
        return ""


def build(sources: Path, output: Path) -> list[Path]:
    """Bring `output` up to date and return the files that were written; raise OSError."""
    stamp, current = read_stamp(output), digest(sources)
    intact = all(file_hash(output / name) == known for name, known in stamp["files"].items())
    if stamp["sources"] == current and intact:
        return []
    wanted = dict([*(wheel(sources, folder) for folder in DISTRIBUTIONS), jar(sources)])
    hashes = {name: hashlib.sha256(data).hexdigest() for name, data in wanted.items()}
    output.mkdir(parents=True, exist_ok=True)
    # Recorded before they exist, so that the next build knows the files of a killed one.
    write_stamp(output, "", {**stamp["files"], **hashes})
    stale = [name for name in wanted if file_hash(output / name) != hashes[name]]
    for name in stale:
        replace(output / name, wanted[name])
    # With two versions of one wheel, the installer would have to choose.
    for name in set(stamp["files"]) - set(wanted):
        (output / name).unlink(missing_ok=True)
    write_stamp(output, current, hashes)
    return [output / name for name in stale]


def main(argv: list[str] | None = None) -> int:
    """Build, print one line per file written, and return the exit status."""
    here = Path(__file__).resolve().parent
    parser = argparse.ArgumentParser(description="Build the stand-ins.")
    parser.add_argument("--output", type=Path, default=here / "dist", metavar="DIR")
    args = parser.parse_args(argv)
    os.umask(0o022)  # What others could write to would be deployed.
    try:
        for path in build(here, args.output):
            print(f"built {path}")
    except OSError as error:
        print(f"build.py: {args.output} cannot be built: {error}", file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
