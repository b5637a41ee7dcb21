# SPDX-License-Identifier: GPL-3.0-or-later
"""Files: who owns them, how they are read and replaced, and the end of a log."""

from __future__ import annotations

import errno
import grp
import itertools
import os
import stat
import struct
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from ansible_collections.jgi.jaws.plugins.module_utils import tree
from ansible_collections.jgi.jaws.plugins.module_utils.errors import JawsError
from ansible_collections.jgi.jaws.plugins.module_utils.releases.store import Store
from ansible_collections.jgi.jaws.plugins.module_utils.supervisor.log_lines import is_own_file
from ansible_collections.jgi.jaws.plugins.module_utils.system import files
from ansible_collections.jgi.jaws.plugins.module_utils.system.files import (
    Candidate,
    file_mode,
    group_id,
    tail,
)

KEY = "a-key_0123456789-0123456789"
STRANGER = 4_000_000_000
in_files = settings(deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])

# --- owners -----------------------------------------------------------------------------------


def own(monkeypatch: pytest.MonkeyPatch, place: Path, uid: int) -> None:
    """Make a path belong to another user, as the code under test sees it."""
    for name in ("stat", "lstat"):
        real = getattr(os, name)

        def seen(path: Any, *rest: Any, real: Any = real, **options: Any) -> os.stat_result:
            found = list(real(path, *rest, **options))
            found[stat.ST_UID] = uid if str(path) == str(place) else found[stat.ST_UID]
            return os.stat_result(found)

        monkeypatch.setattr(os, name, seen)


@pytest.mark.parametrize("mode", [0o700, 0o1777])
def test_our_own_paths_are_accepted(tmp_path: Path, mode: int) -> None:
    tmp_path.chmod(mode)
    files.refuse_unsafe(str(tmp_path / "none"))
    (tmp_path / "f").touch()
    files.refuse_unsafe(str(tmp_path / "f"))
    files.refuse_unsafe(str(tmp_path / "no" / "directory"))


def test_a_strangers_directory_is_refused_unless_he_is_trusted(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    own(monkeypatch, tmp_path, STRANGER)
    with pytest.raises(JawsError, match=f"{tmp_path} belongs to uid {STRANGER}") as caught:
        files.refuse_unsafe(str(tmp_path / "f"))
    assert caught.value.reason == "foreign_owner"
    files.refuse_unsafe(str(tmp_path / "f"), files.ours(STRANGER))


def test_in_our_closed_directory_everybody_who_has_access_may_make_files(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "f"
    path.touch()
    own(monkeypatch, path, STRANGER)
    tmp_path.chmod(0o2770)
    files.refuse_unsafe(str(path))
    tmp_path.chmod(0o1777)
    with pytest.raises(JawsError, match=f"{path} belongs to uid {STRANGER}"):
        files.refuse_unsafe(str(path))
    files.refuse_unsafe(str(path), files.ours(STRANGER))


def test_a_link_is_refused_even_if_it_is_ours(tmp_path: Path) -> None:
    (tmp_path / "f").symlink_to("/etc/passwd")
    with pytest.raises(JawsError, match="symbolic link"):
        files.refuse_unsafe(str(tmp_path / "f"))


def test_links_of_trusted_accounts_are_followed_where_we_do_not_replace_them(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    theirs = tmp_path / "theirs"
    theirs.mkdir()
    (tmp_path / "f").symlink_to("g")
    (tmp_path / "g").symlink_to(theirs / "log")
    files.refuse_unsafe(str(tmp_path / "f"), follow=True)  # what is not there will be made
    own(monkeypatch, theirs, STRANGER)
    with pytest.raises(JawsError, match=f"{theirs} belongs to uid {STRANGER}"):
        files.refuse_unsafe(str(tmp_path / "f"), follow=True)
    files.refuse_unsafe(str(tmp_path / "f"), files.ours(STRANGER), follow=True)
    own(monkeypatch, tmp_path / "g", STRANGER)
    with pytest.raises(JawsError, match=f"g is a symbolic link of uid {STRANGER}"):
        files.refuse_unsafe(str(tmp_path / "f"), follow=True)


@pytest.mark.parametrize("target", ["/dev/stdout", "/dev/fd/1", "/proc/self/fd/1", "loop"])
def test_what_each_process_has_of_its_own_and_a_loop_are_not_followed(
    tmp_path: Path, target: str
) -> None:
    (tmp_path / "loop").symlink_to("loop")
    (tmp_path / "f").symlink_to(target)
    files.refuse_unsafe(str(tmp_path / "f"), follow=True)
    assert tail(str(tmp_path / "f")) is None
    assert is_own_file(str(tmp_path / "f")) is (target == "loop")
    assert not is_own_file("syslog")


def test_a_log_is_read_through_a_link_of_its_owner_of_root_and_of_our_own(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "log").write_text("a line\n")
    (tmp_path / "link").symlink_to("log")
    assert tail(str(tmp_path / "link")) == ["a line"]
    owners: dict[int, int] = {}
    real = os.fstat

    def seen(handle: int) -> os.stat_result:
        status = real(handle)
        found = list(status)
        found[stat.ST_UID] = owners.get(status.st_ino, status.st_uid)
        return os.stat_result(found)

    monkeypatch.setattr(os, "fstat", seen)
    owners[os.lstat(tmp_path / "link").st_ino] = STRANGER
    assert tail(str(tmp_path / "link")) is None
    owners[os.lstat(tmp_path / "log").st_ino] = STRANGER
    assert tail(str(tmp_path / "link")) == ["a line"]


def test_users_are_known_by_name_and_by_number() -> None:
    assert files.user_name(0) == "root"
    assert files.user_name(STRANGER) == "uid 4000000000"
    assert files.user_id("root") == {0}
    assert files.user_id("1234") == {1234}
    assert files.user_id("no-such-user") == files.user_id(None) == files.user_id("") == set()


# --- modes and groups -------------------------------------------------------------------------


def test_a_group_is_known_by_its_name() -> None:
    assert group_id(None) is None
    own = grp.getgrgid(os.getegid())
    assert group_id(own.gr_name) == own.gr_gid


def test_a_group_that_this_process_lacks_is_named_with_the_remedy(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(os, "geteuid", lambda: 1000)
    monkeypatch.setattr(os, "getegid", lambda: 1000)
    monkeypatch.setattr(os, "getgroups", lambda: [1000])
    with pytest.raises(JawsError, match=r"unix group root.*log in again") as caught:
        group_id("root")
    assert caught.value.reason == "not_a_member"
    monkeypatch.setattr(os, "getgroups", lambda: [1000, 0])
    assert group_id("root") == 0


@pytest.mark.parametrize(("text", "number"), [("0640", 0o640), ("755", 0o755), ("2770", 0o2770)])
def test_a_mode_is_octal(text: str, number: int) -> None:
    assert file_mode(text) == number


# --- read and replaced ------------------------------------------------------------------------


def test_a_text_is_read_byte_for_byte(tmp_path: Path) -> None:
    path = tmp_path / "f"
    path.write_bytes("a\r\nb\rc\né".encode())
    assert files.read_text(str(path)) == "a\r\nb\rc\né"
    assert files.read_text(str(tmp_path / "none")) is None


@pytest.mark.parametrize("content", [b"\xe9", None])
def test_what_cannot_be_read_is_named(tmp_path: Path, content: bytes | None) -> None:
    path = tmp_path / "f"
    path.mkdir() if content is None else path.write_bytes(content)
    with pytest.raises(JawsError, match="/f: ") as caught:
        files.read_text(str(path))
    assert caught.value.reason == "unreadable_conf"


@in_files
@given(st.text(st.characters(exclude_categories=["Cs"])))
def test_a_candidate_is_written_byte_for_byte(tmp_path: Path, text: str) -> None:
    with Candidate(str(tmp_path / "f"), text) as candidate:
        candidate.commit()
    assert (tmp_path / "f").read_bytes() == text.encode()


def modes(folder: Path) -> list[int]:
    return [stat.S_IMODE(path.stat().st_mode) for path in folder.iterdir()]


def test_a_candidate_is_closed_to_others_until_its_text_and_group_are_there(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    seen: list[tuple[str, list[int]]] = []
    for name in ("fchown", "fchmod"):
        real = getattr(os, name)

        def look(*arguments: Any, name: str = name, real: Any = real) -> None:
            seen.append((name, modes(tmp_path)))
            real(*arguments)

        monkeypatch.setattr(os, name, look)
    monkeypatch.setattr(os, "umask", lambda _mask: 0)
    group = next((gid for gid in os.getgroups() if gid != os.getegid()), os.getegid() + 1)
    if os.geteuid() != 0 and group not in os.getgroups():
        monkeypatch.setattr(os, "fchown", lambda *_: seen.append(("fchown", modes(tmp_path))))
    with Candidate(str(tmp_path / "f"), KEY, 0o640, group) as candidate:
        candidate.commit()
    assert seen == [("fchown", [0o600]), ("fchmod", [0o600])]
    assert modes(tmp_path) == [0o640]


def test_what_is_not_committed_leaves_nothing(tmp_path: Path) -> None:
    (tmp_path / "f").write_text("old")
    with Candidate(str(tmp_path / "f"), "new"):
        assert len(list(tmp_path.iterdir())) == 2
    assert [path.read_text() for path in tmp_path.iterdir()] == ["old"]


@pytest.mark.parametrize("call", ["fsync", "fchmod", "fchown"])
@pytest.mark.parametrize("error", [errno.ENOSPC, errno.EDQUOT, errno.EPERM])
def test_a_text_that_cannot_be_written_leaves_the_old_one(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, call: str, error: int
) -> None:
    def fail(*_arguments: Any) -> None:
        raise OSError(error, os.strerror(error))

    (tmp_path / "f").write_text("old")
    monkeypatch.setattr(os, "fchown", lambda *_: None)
    monkeypatch.setattr(os, call, fail)
    with pytest.raises(JawsError, match="unchanged") as caught:
        Candidate(str(tmp_path / "f"), "new", 0o640, os.getegid() + 1)
    assert caught.value.reason == "cannot_write"
    for told in (str(tmp_path / "f"), "0640", f"gid {os.getegid() + 1}", os.strerror(error)):
        assert told in str(caught.value)
    assert [path.read_text() for path in tmp_path.iterdir()] == ["old"]


def test_a_place_that_cannot_be_written_is_named(tmp_path: Path) -> None:
    with pytest.raises(JawsError, match="No such file") as caught:
        Candidate(str(tmp_path / "none" / "f"), "new")
    assert caught.value.reason == "cannot_write"
    (tmp_path / "d" / "full").mkdir(parents=True)
    with Candidate(str(tmp_path / "d"), "new") as candidate, pytest.raises(JawsError):
        candidate.commit()
    assert [path.name for path in tmp_path.iterdir()] == ["d"]


def test_a_text_that_is_not_utf_8_is_refused(tmp_path: Path) -> None:
    with pytest.raises(JawsError, match="UTF-8"):
        Candidate(str(tmp_path / "f"), "\udce9")
    assert not list(tmp_path.iterdir())


DIE_WITH_A_CANDIDATE = f"""\
import os, sys
from {files.__name__} import Candidate
left = Candidate(sys.argv[1], "new")
os.kill(os.getpid(), 9)
"""


def test_the_next_run_removes_what_a_killed_one_left(tmp_path: Path) -> None:
    path = str(tmp_path / "f")
    subprocess.run(
        [sys.executable, "-c", DIE_WITH_A_CANDIDATE, path],
        env=dict(os.environ, PYTHONPATH=os.pathsep.join(sys.path)),
        check=False,
    )
    assert len(list(tmp_path.iterdir())) == 1
    with Candidate(path, "new") as candidate:
        candidate.commit()
    assert [path.name for path in tmp_path.iterdir()] == ["f"]


def test_a_living_writers_candidate_is_left_alone(tmp_path: Path) -> None:
    path = str(tmp_path / "f")
    with Candidate(path, "one") as one, Candidate(path, "two") as two:
        one.commit()
        two.commit()
    assert (tmp_path / "f").read_text() == "two"


def test_a_candidate_that_is_swept_before_it_is_locked_is_written_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    real = tempfile.mkstemp

    def swept(*arguments: Any) -> tuple[int, str]:
        monkeypatch.setattr(tempfile, "mkstemp", real)
        handle, path = real(*arguments)
        os.unlink(path)
        return handle, path

    monkeypatch.setattr(tempfile, "mkstemp", swept)
    with Candidate(str(tmp_path / "f"), "new") as candidate:
        candidate.commit()
    assert (tmp_path / "f").read_text() == "new"


def test_a_neighbours_file_is_left_alone(tmp_path: Path) -> None:
    for name in (".g.abcdefgh.new", ".f.abcdefgh", "f.abcdefgh.new", ".f.new"):
        (tmp_path / name).write_text("theirs")
    Candidate(str(tmp_path / "f"), "new").discard()
    assert len(list(tmp_path.iterdir())) == 4


@pytest.mark.parametrize("error", [errno.EINVAL, errno.EACCES])
def test_a_filesystem_that_cannot_sync_a_directory_is_accepted(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, error: int
) -> None:
    def fail(_handle: int) -> None:
        raise OSError(error, "no")

    monkeypatch.setattr(os, "fsync", fail)
    files.sync_folder(str(tmp_path))


def test_storage_that_fails_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(_handle: int) -> None:
        raise OSError(errno.EIO, "Input/output error")

    monkeypatch.setattr(os, "fsync", fail)
    with pytest.raises(JawsError, match="may not survive"):
        files.sync_folder(str(tmp_path))


# --- access control lists -------------------------------------------------------------------

# As `setfacl -m u::rw,g::r,g:GID:r,m::r,o::-` makes it: a version, then tag, permissions and id.
USER, GROUP_OBJ, GROUP, MASK, OTHER = 1, 4, 8, 16, 32
NOBODY = 0xFFFFFFFF


def set_acl(path: Path, name: str = "access") -> None:
    """Let a foreign group read a file, or by default what is made in a directory."""
    entries = ((USER, 6, NOBODY), (GROUP_OBJ, 4, NOBODY), (GROUP, 4, 12345), (MASK, 4, NOBODY))
    packed = [struct.pack("<HHI", *entry) for entry in (*entries, (OTHER, 0, NOBODY))]
    try:
        os.setxattr(path, f"system.posix_acl_{name}", struct.pack("<I", 2) + b"".join(packed))
    except OSError as error:
        assert error.errno == errno.ENOTSUP, "the filesystem has them, and refuses one"
        pytest.skip(f"the filesystem of {path} has no access control lists")


@pytest.mark.fault(53)
def test_a_file_in_a_directory_whose_files_others_may_read_is_closed_all_the_time(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    set_acl(tmp_path, "default")
    (tmp_path / "made by another program").touch(0o640)
    assert files.has_acl(str(tmp_path / "made by another program"))
    seen: list[bool] = []
    monkeypatch.setattr(os, "fsync", lambda handle: seen.append(files.has_acl(handle)))
    files.write(str(tmp_path / "f"), KEY, 0o640)
    assert seen[0] is False
    assert not files.has_acl(str(tmp_path / "f"))
    assert stat.S_IMODE((tmp_path / "f").stat().st_mode) == 0o640


@pytest.mark.fault(53)
def test_an_access_control_list_that_cannot_be_removed_is_refused_by_name(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(*_arguments: Any) -> None:
        raise PermissionError(errno.EPERM, "Operation not permitted")

    set_acl(tmp_path, "default")
    monkeypatch.setattr(os, "removexattr", refuse)
    with pytest.raises(JawsError, match=f"cannot write {tmp_path}/f .*not permitted") as told:
        files.write(str(tmp_path / "f"), KEY, 0o640)
    assert told.value.reason == "cannot_write"
    assert list(tmp_path.iterdir()) == []


def test_a_filesystem_without_access_control_lists_is_accepted(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(*_arguments: Any) -> None:
        raise OSError(errno.ENOTSUP, "Operation not supported")

    monkeypatch.setattr(os, "removexattr", refuse)
    monkeypatch.setattr(os, "getxattr", refuse)
    files.write(str(tmp_path / "f"), KEY)
    assert (tmp_path / "f").read_text() == KEY


@pytest.mark.fault(53)
def test_a_file_that_got_an_access_control_list_later_is_written_again(tmp_path: Path) -> None:
    store = Store(str(tmp_path), str(tmp_path / "supervisord.conf"))
    path = str(tmp_path / "f")
    store.publish(path, KEY, 0o640)
    item = tree.understood(dict.fromkeys(("group", "target", "source", "url", "sha256"), None) | {
        "path": path, "mode": "0640", "content": KEY,
    })  # fmt: skip
    assert store.is_published(path, KEY, 0o640)
    assert tree.is_right(item)
    set_acl(Path(path))
    os.chmod(path, 0o640)
    assert not store.is_published(path, KEY, 0o640)
    assert not tree.is_right(item)


# --- the end of a log -------------------------------------------------------------------------


@given(st.lists(st.text("ab é", max_size=300), max_size=40), st.integers(1, 30))
def test_a_tail_is_the_end_of_the_log(
    tmp_path_factory: pytest.TempPathFactory, lines: list[str], number: int
) -> None:
    path = tmp_path_factory.getbasetemp() / "log"
    path.write_text("".join(line + "\n" for line in lines), encoding="utf-8")
    told = tail(str(path), max_lines=number)
    assert told is not None
    assert len(told) <= number
    assert sum(len(line.encode()) for line in told) <= files.TAIL_BYTES + 8  # a cut character
    for mine, theirs in itertools.islice(zip(reversed(told), reversed(lines), strict=False), 5):
        assert mine == theirs or theirs.endswith(mine.lstrip("\ufffd"))


def test_a_log_that_is_not_a_file_is_not_waited_for(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe")
    assert tail(str(tmp_path / "pipe")) is None
    assert tail(str(tmp_path)) is None
    assert tail("/dev/null") is None
    assert tail(str(tmp_path / "none")) is None


@pytest.mark.parametrize(("text", "mask"), [("027", 0o27), ("0002", 2), ("0", 0), (None, None)])
def test_a_umask_is_octal(text: str | None, mask: int | None) -> None:
    assert files.mask_of(text) == mask


@pytest.mark.parametrize("text", ["23", "18", "rwx", "0o22", "00022", ""])
def test_what_yaml_makes_of_a_umask_without_quotes_is_refused(text: str) -> None:
    with pytest.raises(JawsError, match="in quotes, as '027'"):
        files.mask_of(text)
