# SPDX-License-Identifier: GPL-3.0-or-later
"""Locks on files: waiting for them, naming the holder, and release when the holder ends."""

from __future__ import annotations

import errno
import fcntl
import os
import stat
from contextlib import AbstractContextManager
from pathlib import Path

import pytest

from ansible_collections.jgi.jaws.plugins.module_utils.errors import JawsError
from ansible_collections.jgi.jaws.plugins.module_utils.system import locks


def lock(folder: Path, timeout: float) -> AbstractContextManager[int]:
    return locks.locked_file(str(folder / "lock"), timeout)


def test_the_lock_is_free_again_and_leaves_nothing(tmp_path: Path) -> None:
    for _round in range(2):
        with lock(tmp_path, 0):
            pass
    assert not list(tmp_path.iterdir())


def test_who_holds_the_lock_is_named(tmp_path: Path) -> None:
    with (
        lock(tmp_path, 0),
        pytest.raises(JawsError, match=rf"within 0 s: pid {os.getpid()} of ") as caught,
        lock(tmp_path, 0),
    ):
        pass
    assert caught.value.reason == "locked"


@pytest.mark.parametrize("error", [errno.ENOLCK, errno.ENOSYS, errno.EBADF])
def test_a_filesystem_without_locks_is_named_and_nothing_left(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, error: int
) -> None:
    def flock(*_arguments: int) -> None:
        raise OSError(error, os.strerror(error))

    monkeypatch.setattr(fcntl, "flock", flock)
    with pytest.raises(JawsError, match="node-local") as caught, lock(tmp_path, 0):
        pass
    assert caught.value.reason == "cannot_lock"
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize(("folder", "file"), [(0o700, 0o600), (0o755, 0o600), (0o2770, 0o660)])
def test_a_shared_lock_is_for_those_who_may_write_in_its_directory(
    tmp_path: Path, folder: int, file: int
) -> None:
    tmp_path.chmod(folder)
    for mask in (0, 0o077):
        old = os.umask(mask)
        try:
            with locks.locked_file(str(tmp_path / "lock"), 0, shared=True) as held:
                found = os.fstat(held)
        finally:
            os.umask(old)
        assert stat.S_IMODE(found.st_mode) == file
        around = tmp_path.stat()
        assert (found.st_uid, found.st_gid) == (around.st_uid, around.st_gid)


def test_a_missing_file_cannot_be_locked(tmp_path: Path) -> None:
    with pytest.raises(JawsError, match="No such file"), lock(tmp_path / "no", 0):
        pass


def test_a_link_is_not_followed(tmp_path: Path) -> None:
    (tmp_path / "lock").symlink_to("precious")
    with pytest.raises(JawsError, match="cannot lock"), lock(tmp_path, 0):
        pass
    assert [path.name for path in tmp_path.iterdir()] == ["lock"]


def test_a_lock_on_a_file_that_its_last_holder_removed_is_not_enough(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    handles: list[int] = []
    acquire = locks.acquire

    def acquire_late(handle: int, path: str, deadline: float) -> None:
        handles.append(os.fstat(handle).st_ino)
        if len(handles) == 1:
            os.unlink(path)
        acquire(handle, path, deadline)

    monkeypatch.setattr(locks, "acquire", acquire_late)
    with lock(tmp_path, 1) as held:
        assert os.path.samestat(os.fstat(held), os.stat(tmp_path / "lock"))
    assert len(handles) == 2
