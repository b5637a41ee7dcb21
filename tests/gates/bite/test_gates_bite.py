# SPDX-License-Identifier: GPL-3.0-or-later
"""A gate that has never been seen to fail may not be one: plant a defect for each, and check.

The defects go into a small collection (mini/), which is checked with this project's configuration
of all tools; without a defect it passes every gate.
"""

from __future__ import annotations

import os
import re
import shutil
import subprocess
from pathlib import Path
from typing import Any

import pytest

from bite.defects import CONTRACT, GATES, Defect
from copy_tree import files

ROOT = Path(__file__).resolve().parents[3]
MINI = Path(__file__).parent / "mini"
CACHE = Path(os.environ.get("GATES_CACHE", ROOT / ".cache"))

# What the small collection has of its own, instead of what the real one has.
OWN = {
    "CHANGELOG.md",
    "CONTRIBUTING.md",
    "README.md",
    "bench",
    "changelogs/changelog.yaml",
    "docs",
    "examples",
    "inventories",
    "meta",
    "molecule",
    "playbooks",
    "plugins",
    "roles",
}
# Contracts of this project's own tools, not of a collection.
OURS = {"test_commands.py", "test_faults.py", "test_set_up.py", "test_stages.py"}


def make(tree: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    """Run make in a copy as a user would, with the tools that are set up already."""
    return run(tree, "make", "CACHE=.cache", *arguments)


def run(tree: Path, *command: str) -> subprocess.CompletedProcess[str]:
    foreign = ("COV", "MAKE", "MFLAGS", "PYTEST")
    environment = {key: value for key, value in os.environ.items() if not key.startswith(foreign)}
    return subprocess.run(
        command,
        cwd=tree,
        env=environment,
        check=False,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )


def is_tooling(name: Path) -> bool:
    own = name.parts[0] in OWN or name.is_relative_to("changelogs/fragments")
    own = own or name in (Path("changelogs/changelog.yaml"), Path("meta/runtime.yml"))
    own = own or name in {Path("tests/gates/contract", test) for test in OURS}
    return not own and (name.parts[0] != "tests" or name.parts[:3] in KEPT)


KEPT = {("tests", "gates", name.name) for name in (ROOT / "tests/gates").iterdir()} - {
    ("tests", "gates", "bite")
}


@pytest.fixture(scope="session")
def sound(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The small collection without a defect, in a directory whose name has a space."""
    tree = tmp_path_factory.mktemp("a clone") / "jaws"
    for name in filter(is_tooling, files()):
        target = tree / name
        target.parent.mkdir(parents=True, exist_ok=True)
        shutil.copy2(ROOT / name, target, follow_symlinks=False)
    shutil.copytree(MINI, tree, dirs_exist_ok=True, ignore=shutil.ignore_patterns("__pycache__"))
    # The version in which its module was added.
    galaxy = tree / "galaxy.yml"
    galaxy.write_text(re.sub(r"(?m)^version: .*", "version: 0.1.0", galaxy.read_text()))
    for path in sorted(ROOT.glob("playbooks/*.yml")):
        if path.stem != "deploy":
            shutil.copy(tree / "playbooks/deploy.yml", tree / "playbooks" / path.name)
    (tree / ".cache").mkdir()
    for name in ("home", "tools", "uv"):
        (CACHE / name).mkdir(exist_ok=True)
        (tree / ".cache" / name).symlink_to(CACHE / name)
    subprocess.run(["git", "init", "--quiet"], cwd=tree, check=True)
    done = make(tree, "changelog")
    assert done.returncode == 0, done.stdout
    return tree


@pytest.fixture
def tree(sound: Path, tmp_path: Path) -> Path:
    """A copy of it to damage."""
    copy = tmp_path / "a clone"
    shutil.copytree(sound, copy, symlinks=True)
    return copy


def plant(tree: Path, defect: Defect) -> None:
    path = tree / defect.file
    if defect.new is None:
        shutil.rmtree(path) if path.is_dir() else path.unlink()
        return
    path.parent.mkdir(parents=True, exist_ok=True)
    text = path.read_text() if path.exists() else ""
    assert defect.old in text, f"the defect finds no place: {defect.old}"
    path.write_text(text.replace(defect.old, defect.new) if defect.old else text + defect.new)


def identity(defect: Defect) -> str:
    return f"{defect.gate}: {defect.name}"


def together(gate: str) -> Any:
    """Tests of one gate on one worker: ansible-test's runs share environments that they make."""
    return pytest.mark.xdist_group(gate) if gate == "lint-sanity" else ()


@pytest.mark.parametrize(
    "gate",
    [pytest.param(gate, marks=together(gate)) for gate in dict.fromkeys(d.gate for d in GATES)],
)
def test_a_sound_collection_passes(gate: str, tree: Path) -> None:
    for target in gate.split():
        done = make(tree, target)
        assert done.returncode == 0, done.stdout


@pytest.mark.parametrize(
    "defect",
    [pytest.param(defect, id=identity(defect), marks=together(defect.gate)) for defect in GATES],
)
def test_a_gate_fails_on(defect: Defect, tree: Path) -> None:
    plant(tree, defect)
    *before, gate = defect.gate.split()
    for target in before:
        assert make(tree, target).returncode == 0
    done = make(tree, gate)
    assert done.returncode != 0, done.stdout
    assert defect.says in done.stdout


@pytest.mark.parametrize("defect", CONTRACT, ids=identity)
def test_a_contract_fails_on(defect: Defect, tree: Path) -> None:
    plant(tree, defect)
    done = run(tree, ".cache/tools/bin/pytest", "tests/gates/contract")
    assert done.returncode == 1, done.stdout
    assert f"::{defect.gate}" in done.stdout
    assert defect.says in done.stdout


def test_a_sanity_run_that_checks_nothing_fails(tree: Path, tmp_path: Path) -> None:
    """In that case, ansible-test itself succeeds, with one line that says so."""
    stand_in = tmp_path / "bin/ansible-test"
    stand_in.parent.mkdir()
    stand_in.write_text("#!/bin/sh\necho 'WARNING: All targets skipped.'\n")
    stand_in.chmod(0o755)
    path = f"PATH={stand_in.parent}:{tree}/.cache/tools/bin:{os.environ['PATH']}"
    done = run(tree, "env", path, "tests/gates/sanity.sh", str(tmp_path / "home"))
    assert done.returncode == 1
    assert "found no file to check" in done.stdout


def test_one_failing_gate_fails_them_all_after_all_have_run(tree: Path) -> None:
    plant(tree, next(defect for defect in GATES if defect.gate == "lint-oldest-python"))
    done = make(tree, "lint", "GATES=lint-oldest-python lint-python")
    assert done.returncode != 0
    assert done.stdout.splitlines()[-2] == "1 passed, 1 failed, 0 skipped"


def test_a_stage_that_cannot_run_does_not_stop_the_others(tree: Path) -> None:
    with (tree / "Makefile").open("a") as stream:
        stream.write("\nnothing:\n\t@echo tool missing >&2; exit 1\n")
    done = make(tree, "test", "GATES=", "STAGES=lint-secrets:nothing lint-python")
    assert done.returncode != 0
    assert "lint-secrets could not run:\n    tool missing\n" in done.stdout
    assert "lint-python: started" in done.stdout


def test_a_run_without_any_test_is_not_a_success(tree: Path) -> None:
    done = make(tree, "test", "GATES=lint-python", "STAGES=", "ARGS=-k nothing")
    assert done.returncode != 0
