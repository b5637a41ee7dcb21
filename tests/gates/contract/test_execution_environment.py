# SPDX-License-Identifier: GPL-3.0-or-later
"""Facts about execution-environment.yml, from which ansible-builder makes an image for AWX."""

from __future__ import annotations

import ast
import re
import shutil
import subprocess
import sys
import tarfile
from fnmatch import fnmatch
from pathlib import Path

import pytest
from packaging.requirements import Requirement

import collection
from collection import ROOT

NAME = "execution-environment.yml"
FILE = "Containerfile"
INSTALLS = "RUN ansible-galaxy collection install --offline"


@pytest.fixture(scope="module")
def context(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """What ansible-builder passes to podman: the built collection, then the image's description."""
    folder = tmp_path_factory.mktemp("image")
    shutil.copy(ROOT / NAME, folder)
    build = ["ansible-galaxy", "collection", "build", str(ROOT), "--output-path", "build"]
    # By default, the name depends on whether this machine has podman or docker.
    create = ["ansible-builder", "create", "--verbosity", "3", "--output-filename", FILE]
    for command in (build, create):
        done = subprocess.run(command, cwd=folder, capture_output=True, text=True, check=False)
        assert done.returncode == 0, done.stdout + done.stderr
    return folder / "context"


def test_ansible_builder_accepts_it_and_installs_the_collection(context: Path) -> None:
    steps = (context / FILE).read_text().splitlines()
    [step] = [step for step in steps if step.startswith(INSTALLS)]
    [archive] = (context / "_build/collections").iterdir()
    assert fnmatch(f"/build/collections/{archive.name}", step.split()[-1])
    with tarfile.open(archive) as packed:
        assert "MANIFEST.json" in packed.getnames()


def test_the_image_has_the_locked_ansible() -> None:
    wanted = collection.load(ROOT / NAME)["dependencies"]
    lines = re.findall(r"^(ansible-core==.*) \\$", (ROOT / "requirements.txt").read_text(), re.M)
    assert lines
    python = wanted["python_interpreter"]["package_system"].removeprefix("python")
    here = {"python_full_version": f"{python}.0"}
    locked = [
        f"{found.name}{found.specifier}"
        for found in map(Requirement, lines)
        if found.marker is None or found.marker.evaluate(here)
    ]
    assert locked == [wanted["ansible_core"]["package_pip"]]


def test_the_image_holds_nothing_else_of_a_checkout(context: Path) -> None:
    build = context / "_build"
    found = {str(path.relative_to(build)) for path in build.rglob("*") if path.is_file()}
    others = {name for name in found if not name.startswith(("scripts/", "collections/jgi-jaws-"))}
    assert others == {"bindep.txt", "requirements.yml"}


def test_the_image_has_what_runs_on_the_control_node_imports() -> None:
    controlling = ("action", "become", "callback", "filter", "plugin_utils", "vars")
    sources = collection.paths(*(f"plugins/{kind}/*.py" for kind in controlling))
    nodes = [node for path in sources for node in ast.walk(ast.parse(path.read_text()))]
    named = [alias.name for node in nodes if isinstance(node, ast.Import) for alias in node.names]
    froms = [node for node in nodes if isinstance(node, ast.ImportFrom) and not node.level]
    found = {name.partition(".")[0] for name in [*named, *(node.module or "" for node in froms)]}
    assert found - sys.stdlib_module_names <= {"ansible", "jinja2", "yaml"}
