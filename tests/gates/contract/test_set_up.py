# SPDX-License-Identifier: GPL-3.0-or-later
"""Facts about .config/*.py, which set up everything that a clone needs."""

from __future__ import annotations

import importlib.util
import re
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from types import ModuleType
from typing import Any
from unittest import mock

import pytest

from collection import ROOT

SCRIPT = ROOT / ".config/venv.py"
Call = Callable[[], None]


def load(name: str) -> Any:
    spec = importlib.util.spec_from_file_location(f"{name}_script", ROOT / f".config/{name}.py")
    assert spec
    assert spec.loader
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


class Recorded:
    """The script venv.py, with the commands that it would run, and a Python with ensurepip."""

    def __init__(self) -> None:
        self.script = load("venv")
        self.script.run = self.run
        self.script.has_ensurepip = lambda: True
        self.commands: list[str] = []

    def run(self, *command: object) -> None:
        words = [str(word) for word in command]
        self.commands.append(" ".join(words))
        if words[1:3] == ["-m", "venv"]:
            python = Path(words[-1]) / "bin/python"
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
    """Set the directory up, and return the commands that were needed."""
    recorded.commands.clear()
    recorded.script.set_up(directory, requirements)
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


def test_an_old_python_is_refused_with_a_message(
    recorded: Recorded, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sys, "version_info", (3, 9, 18))
    with pytest.raises(recorded.script.SetUpError, match=r"Python 3\.10 or newer is needed"):
        recorded.script.check_version()


def test_a_python_without_ensurepip_gets_the_pinned_pip(
    recorded: Recorded, tmp_path: Path, requirements: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fetch(pinned: Path, directory: Path) -> Path:
        assert pinned == ROOT / ".config/pip.txt"
        (directory / "pip.whl").touch()
        return directory / "pip.whl"

    fetching = ModuleType("pip_wheel")
    vars(fetching)["fetch"] = fetch
    monkeypatch.setitem(sys.modules, "pip_wheel", fetching)
    recorded.script.has_ensurepip = lambda: False
    made, piped, filled = set_up(recorded, tmp_path / "venv", requirements)
    assert made.endswith(f"-m venv --without-pip {tmp_path}/venv")
    assert piped.endswith(f"install --quiet --no-index {tmp_path}/venv/pip.whl")
    assert filled.startswith(f"{tmp_path}/venv/bin/python -m pip ")
    assert not (tmp_path / "venv/pip.whl").exists()


@pytest.fixture
def call(
    recorded: Recorded, tmp_path: Path, requirements: Path, monkeypatch: pytest.MonkeyPatch
) -> Call:
    """Call the script as make does, but with a lock file that cannot be written."""
    words = ["venv.py", str(tmp_path / "venv"), str(requirements)]
    monkeypatch.setattr(sys, "argv", words)
    (tmp_path / "venv.lock").mkdir()
    main: Call = recorded.script.main
    return main


def test_an_environment_that_fits_needs_no_write(
    recorded: Recorded, tmp_path: Path, requirements: Path, call: Call
) -> None:
    set_up(recorded, tmp_path / "venv", requirements)
    recorded.commands.clear()
    call()
    assert not recorded.commands


def test_a_user_who_may_not_set_it_up_learns_who_may(call: Call, tmp_path: Path) -> None:
    with pytest.raises(SystemExit, match=f"Ask the owner of {tmp_path} to do it, or name"):
        call()


def test_a_command_is_silent_unless_it_fails(capfd: pytest.CaptureFixture[str]) -> None:
    script = load("venv")
    code = "import sys; print('1\\n2', flush=True); print('3', file=sys.stderr); sys.exit(%d)"
    script.run(sys.executable, "-c", code % 0)
    with pytest.raises(script.SetUpError, match=r"this failed: .*\n1\n2\n3$"):
        script.run(sys.executable, "-c", code % 1)
    assert capfd.readouterr() == ("", "")


def test_a_failure_ends_in_one_sentence_and_leaves_no_stamp(
    recorded: Recorded, tmp_path: Path, call: Call
) -> None:
    def failing(*command: object) -> None:
        if "install" in command:
            raise recorded.script.SetUpError("there is no index")
        recorded.run(*command)

    (tmp_path / "venv.lock").rmdir()
    recorded.script.run = failing
    with pytest.raises(SystemExit, match=f"^{tmp_path}/venv: there is no index$"):
        call()
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


# ---- Commands of the system


class Debian:
    """The script commands.py, root on Debian, and what apt-get would bring."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        with mock.patch.dict(sys.modules, {"venv": load("venv")}):
            self.script = load("commands")
        self.present = {"apt-get", "rsync"}
        self.commands: list[str] = []
        monkeypatch.setattr(self.script, "run", self.run)
        monkeypatch.setattr(self.script.shutil, "which", lambda name: name in self.present)
        self.uid = 0
        monkeypatch.setattr(self.script.os, "geteuid", lambda: self.uid)

    def run(self, *command: str) -> None:
        self.commands.append(" ".join(command))


@pytest.fixture
def debian(monkeypatch: pytest.MonkeyPatch) -> Debian:
    return Debian(monkeypatch)


def test_root_installs_what_is_missing_on_debian(debian: Debian) -> None:
    debian.script.install(["node", "rsync", "ssh"])
    update, install = debian.commands
    assert update.endswith(" update")
    assert install.endswith(" --no-install-recommends nodejs openssh-client")


def test_only_root_on_debian_installs_anything(debian: Debian) -> None:
    debian.uid = 1000
    debian.script.install(["ssh"])
    debian.uid = 0
    debian.present.clear()
    debian.script.install(["ssh"])
    assert not debian.commands


def test_a_missing_command_is_named_with_its_package(debian: Debian) -> None:
    debian.script.require(["rsync"])
    with pytest.raises(debian.script.SetUpError) as told:
        debian.script.require(["rsync", "ssh", "systemd-analyze"])
    assert str(told.value) == (
        "ssh, systemd-analyze missing: install openssh-client systemd (on Debian, as root: "
        "apt-get install --no-install-recommends openssh-client systemd)"
    )


# ---- The locale


@pytest.mark.parametrize("broken", [{"LC_ALL": "C"}, {"LANG": "xx_YY"}, {"LC_TIME": "xx_YY"}])
def test_make_gives_every_target_a_locale_that_ansible_accepts(
    broken: dict[str, str], tmp_path: Path
) -> None:
    variables = {"PATH": "/usr/local/bin:/usr/bin:/bin", "LANG": "C.UTF-8", **broken}
    shown = tmp_path / "shown.mk"
    shown.write_text("shown:\n\t@echo $$LC_ALL\n")
    command = ["make", "--file", str(ROOT / "Makefile"), "--file", str(shown), "shown"]
    done = subprocess.run(
        command, cwd=ROOT, env=variables, check=True, capture_output=True, text=True
    )
    assert done.stdout == "C.UTF-8\n"
