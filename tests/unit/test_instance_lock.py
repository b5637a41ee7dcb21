# SPDX-License-Identifier: GPL-3.0-or-later
"""The lock of an instance is in a directory where only its accounts can make or open it."""

from __future__ import annotations

import os
import pwd
from pathlib import Path
from typing import Any

import pytest

from ansible_collections.jgi.jaws.plugins.module_utils.errors import JawsError
from ansible_collections.jgi.jaws.plugins.module_utils.supervisor import instance_lock
from ansible_collections.jgi.jaws.plugins.module_utils.supervisor.instance_lock import lock_path

OURS = [os.geteuid()]


@pytest.fixture
def places(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> dict[str, Path]:
    """Directories of the pid file, of the configuration, of the account and of everyone."""
    found = {name: tmp_path / name for name in ("run", "etc", "home", "tmp")}
    for folder in found.values():
        folder.mkdir(0o755)
    account = pwd.getpwuid(os.geteuid())
    record: Any = pwd.struct_passwd([*account[:5], str(found["home"]), account[6]])
    monkeypatch.setattr(pwd, "getpwuid", lambda _uid: record)
    monkeypatch.setattr(instance_lock, "TEMPORARY", str(found["tmp"]))
    return found


def folder_of(places: dict[str, Path], pid_file: bool = True) -> str:
    pid = str(places["run"] / "pid") if pid_file else None
    return Path(lock_path(str(places["etc"] / "supervisord.conf"), pid, OURS)).parent.name


@pytest.mark.parametrize(
    ("open_to_all", "chosen"),
    [([], "run"), (["run"], "etc"), (["run", "etc"], "home")],
)
def test_it_is_in_the_first_directory_that_is_not_writable_for_everyone(
    places: dict[str, Path], open_to_all: list[str], chosen: str
) -> None:
    for name in open_to_all:
        places[name].chmod(0o1777)
    assert folder_of(places) == chosen


def test_without_a_pid_file_it_is_beside_the_configuration(places: dict[str, Path]) -> None:
    assert folder_of(places, pid_file=False) == "etc"
    places["run"].rmdir()
    assert folder_of(places) == "etc"


def test_a_directory_of_a_stranger_is_not_used(places: dict[str, Path]) -> None:
    path = lock_path(str(places["etc"] / "c"), str(places["run"] / "pid"), [4_000_000_000])
    assert Path(path).parent == places["home"]


def test_an_account_without_a_home_has_a_closed_directory(
    places: dict[str, Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("run", "etc", "home"):
        places[name].chmod(0o1777)
    assert folder_of(places) == f".supervisord-{os.geteuid()}"
    own = places["tmp"] / f".supervisord-{os.geteuid()}"
    assert own.stat().st_mode & 0o777 == 0o700
    monkeypatch.setattr(os, "geteuid", lambda: 4_000_000_000)
    (places["tmp"] / ".supervisord-4000000000").mkdir()
    with pytest.raises(JawsError, match="supervisord-4000000000 belongs to") as caught:
        folder_of(places)
    assert caught.value.reason == "foreign_owner"


def test_each_instance_has_its_own_however_its_path_is_spelt(places: dict[str, Path]) -> None:
    pid = str(places["run"] / "pid")
    (places["home"] / "link").symlink_to(places["etc"])
    paths = ["etc/a.conf", "etc/b.conf", "home/a.conf", "home/link/a.conf"]
    found = [lock_path(str(places["etc"].parent / path), pid, OURS) for path in paths]
    assert found[0] == found[3]
    assert len(set(found)) == 3
