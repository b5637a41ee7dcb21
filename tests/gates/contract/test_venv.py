# SPDX-License-Identifier: GPL-3.0-or-later
"""Facts about .config/venv.py, by which every environment of a clone is set up."""

from __future__ import annotations

import importlib.util
import re
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest

from collection import ROOT

SCRIPT = ROOT / ".config/venv.py"


def script() -> Any:
    spec = importlib.util.spec_from_file_location("venv_script", SCRIPT)
    assert spec
    assert spec.loader
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


class Recorded:
    """The script's functions, with the commands that they would run."""

    def __init__(self) -> None:
        self.script = script()
        self.script.run = self.run
        self.commands: list[str] = []

    def run(self, *command: object) -> None:
        words = [str(word) for word in command]
        self.commands.append(" ".join(words))
        if words[1:3] == ["-m", "venv"]:
            python = Path(words[3]) / "bin/python"
            python.parent.mkdir(parents=True)
            python.symlink_to(sys.executable)


@pytest.fixture
def recorded() -> Recorded:
    return Recorded()


@pytest.fixture
def requirements(tmp_path: Path) -> Path:
    path = tmp_path / "requirements.txt"
    path.write_text("one==1 --hash=sha256:00\n")
    return path


def set_up(recorded: Recorded, directory: Path, requirements: Path) -> list[str]:
    """Set the directory up, and return the commands that it took."""
    recorded.commands.clear()
    recorded.script.set_up(directory, requirements, False)
    return recorded.commands.copy()


def test_an_environment_is_made_with_hashes(
    recorded: Recorded, tmp_path: Path, requirements: Path
) -> None:
    made, filled = set_up(recorded, tmp_path / "venv", requirements)
    assert made.endswith(f"-m venv {tmp_path}/venv")
    assert f"--require-hashes --requirement {requirements}" in filled


def test_an_environment_that_fits_is_left_alone(
    recorded: Recorded, tmp_path: Path, requirements: Path
) -> None:
    assert set_up(recorded, tmp_path / "venv", requirements)
    assert not set_up(recorded, tmp_path / "venv", requirements)


def test_changed_requirements_are_set_up_again(
    recorded: Recorded, tmp_path: Path, requirements: Path
) -> None:
    set_up(recorded, tmp_path / "venv", requirements)
    requirements.write_text("one==2 --hash=sha256:00\n")
    assert set_up(recorded, tmp_path / "venv", requirements)


def test_a_moved_environment_is_set_up_again(
    recorded: Recorded, tmp_path: Path, requirements: Path
) -> None:
    set_up(recorded, tmp_path / "venv", requirements)
    (tmp_path / "venv").rename(tmp_path / "moved")
    assert set_up(recorded, tmp_path / "moved", requirements)


def test_an_environment_whose_interpreter_is_gone_is_set_up_again(
    recorded: Recorded, tmp_path: Path, requirements: Path
) -> None:
    set_up(recorded, tmp_path / "venv", requirements)
    (tmp_path / "venv/bin/python").unlink()
    assert set_up(recorded, tmp_path / "venv", requirements)


def test_an_interrupted_set_up_is_done_again(
    recorded: Recorded, tmp_path: Path, requirements: Path
) -> None:
    def interrupted(*command: object) -> None:
        if "pip" in command:
            raise KeyboardInterrupt
        recorded.run(*command)

    recorded.script.run = interrupted
    with pytest.raises(KeyboardInterrupt):
        set_up(recorded, tmp_path / "venv", requirements)
    recorded.script.run = recorded.run
    assert len(set_up(recorded, tmp_path / "venv", requirements)) == 2


def test_an_old_python_is_refused_in_words(
    recorded: Recorded, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sys, "version_info", (3, 9, 18))
    with pytest.raises(recorded.script.SetUpError, match=r"Python 3\.11 or newer is needed"):
        recorded.script.check_version()


@pytest.fixture
def without_ensurepip(recorded: Recorded, monkeypatch: pytest.MonkeyPatch) -> Recorded:
    """A Python as Debian installs it, run by root, before python3-venv is there."""
    monkeypatch.setattr(recorded.script, "has_ensurepip", lambda: bool(recorded.commands))
    monkeypatch.setattr(recorded.script.shutil, "which", lambda name: f"/usr/bin/{name}")
    monkeypatch.setattr(recorded.script.os, "geteuid", lambda: 0)
    return recorded


def test_a_python_without_ensurepip_is_refused_in_words(without_ensurepip: Recorded) -> None:
    with pytest.raises(without_ensurepip.script.SetUpError, match=r"apt-get install python3\.\d+"):
        without_ensurepip.script.check_ensurepip(False)
    assert not without_ensurepip.commands


def test_root_installs_it_on_debian_where_it_may(without_ensurepip: Recorded) -> None:
    without_ensurepip.script.check_ensurepip(True)
    version = "{}.{}".format(*sys.version_info)
    assert without_ensurepip.commands[-1].endswith(f"python{version}-venv")


def test_nobody_but_root_installs_anything(
    without_ensurepip: Recorded, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(without_ensurepip.script.os, "geteuid", lambda: 1000)
    with pytest.raises(without_ensurepip.script.SetUpError):
        without_ensurepip.script.check_ensurepip(True)
    assert not without_ensurepip.commands


def test_a_failure_ends_in_one_sentence_and_leaves_no_stamp(tmp_path: Path) -> None:
    requirements = tmp_path / "requirements.txt"
    requirements.write_text("a-package-without-its-hash==1\n")
    command = [sys.executable, str(SCRIPT), str(tmp_path / "venv"), str(requirements)]
    done = subprocess.run(command, check=False, capture_output=True, text=True)
    assert done.returncode == 1
    assert "failed, for the reason above" in done.stderr.splitlines()[-1]
    assert not (tmp_path / "venv/.complete").exists()


def test_two_at_once_wait_for_each_other(recorded: Recorded, tmp_path: Path) -> None:
    code = f"import sys; sys.path[:0] = ['{SCRIPT.parent}']; import venv as script"
    second = [sys.executable, "-c", f"{code}\nfrom pathlib import Path"]
    second[-1] += f"\nwith script.one_at_a_time(Path('{tmp_path}/venv')): print('in')"
    with recorded.script.one_at_a_time(tmp_path / "venv"):
        waiting = subprocess.Popen(second, stdout=subprocess.PIPE, text=True)
        blocked = re.compile(rf"-> FLOCK .* {waiting.pid} ")
        while waiting.poll() is None and not blocked.search(Path("/proc/locks").read_text()):
            time.sleep(0.02)
        assert waiting.poll() is None
    assert waiting.communicate(timeout=60)[0] == "in\n"
