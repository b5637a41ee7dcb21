# SPDX-License-Identifier: GPL-3.0-or-later
"""Directories, files and links of the own user: what is right, what is refused, what is made."""

from __future__ import annotations

import errno
import grp
import hashlib
import os
import stat
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from ansible_collections.jgi.jaws.plugins.module_utils import tree
from ansible_collections.jgi.jaws.plugins.module_utils.errors import JawsError
from ansible_collections.jgi.jaws.plugins.module_utils.system.files import has_acl, make_directory

STRANGER = 4_000_000_000


def item(path: Path, **given: Any) -> dict[str, Any]:
    return {
        "path": str(path),
        "mode": "0755",
        "group": None,
        "content": None,
        "target": None,
        "acl_groups": None,
        "source": None,
        "url": None,
        "sha256": None,
        "name": None,
        "list": False,
    } | given


def make(*items: dict[str, Any], check: bool = False) -> dict[str, Any]:
    return tree.manage({"paths": list(items)}, check)


def mode(path: Path) -> int:
    return stat.S_IMODE(path.lstat().st_mode)


def own(monkeypatch: pytest.MonkeyPatch, place: Path, uid: int) -> None:
    """Make a path belong to another user, as the code under test sees it."""
    real = os.lstat

    def seen(path: Any, *rest: Any, **options: Any) -> os.stat_result:
        found = list(real(path, *rest, **options))
        found[stat.ST_UID] = uid if str(path) == str(place) else found[stat.ST_UID]
        return os.stat_result(found)

    monkeypatch.setattr(os, "lstat", seen)


modes = st.sampled_from(["0700", "0711", "0755", "2770", "1777", "0640"])
kinds = st.sampled_from([{}, {"content": "#!/bin/sh\nä\r\n"}, {"target": "/nowhere"}])


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], max_examples=40)
@given(kinds, modes, st.sampled_from([0, 0o022, 0o077]))
def test_what_was_made_is_right_and_made_once(
    tmp_path_factory: pytest.TempPathFactory, kind: dict[str, Any], wanted: str, umask: int
) -> None:
    wish = item(tmp_path_factory.mktemp("t") / "a", mode=wanted, **kind)
    before = os.umask(umask)
    try:
        assert make(wish, check=True)["paths"] == make(wish)["paths"] == [wish["path"]]
        assert make(wish) == make(wish, check=True)
        assert make(wish)["changed"] is False
    finally:
        os.umask(before)


def test_a_group_is_given_with_its_setgid_bit(tmp_path: Path) -> None:
    gid = 1 if os.geteuid() == 0 else [os.getegid(), *os.getgroups()][-1]
    wish = tree.understood(item(tmp_path / "d", mode="2770")) | {"group": gid}
    tree._make(wish)
    assert ((tmp_path / "d").stat().st_gid, mode(tmp_path / "d")) == (gid, 0o2770)
    assert tree.is_right(wish)


def test_a_directory_is_closed_until_its_group_is_right(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    seen = []
    monkeypatch.setattr(os, "chown", lambda path, *_: seen.append(mode(Path(path))))
    before = os.umask(0)
    try:
        make_directory(str(tmp_path / "d"), 0o755, os.getegid() + 1)
    finally:
        os.umask(before)
    assert seen == [0o700]


def test_parents_can_be_passed_through_with_any_umask(tmp_path: Path) -> None:
    before = os.umask(0o077)
    try:
        make(item(tmp_path / "a" / "b" / "c", mode="2750"))
    finally:
        os.umask(before)
    assert [mode(tmp_path / part) for part in ("a", "a/b", "a/b/c")] == [0o711, 0o711, 0o2750]


def test_a_link_moves_and_a_file_changes_in_one_step(tmp_path: Path) -> None:
    link, file = tmp_path / "l", tmp_path / "f"
    make(item(link, target="/one"), item(file, content="one"))
    (tmp_path / "l.new").symlink_to("/litter")
    assert make(item(link, target="/two"), item(file, content="two"))["changed"]
    assert (os.readlink(link), file.read_text()) == ("/two", "two")
    assert sorted(path.name for path in tmp_path.iterdir()) == ["f", "l"]


def test_a_dry_run_writes_nothing(tmp_path: Path) -> None:
    result = make(item(tmp_path / "d"), item(tmp_path / "d" / "f", content="x"), check=True)
    assert result["paths"] == [str(tmp_path / "d"), str(tmp_path / "d" / "f")]
    assert result["diff"] == {"before": "", "after": "".join(p + "\n" for p in result["paths"])}
    assert not list(tmp_path.iterdir())


# --- refused ----------------------------------------------------------------------------------


@pytest.mark.parametrize("whose", ["ours", "a stranger's"])
def test_a_directory_that_comes_up_meanwhile_is_ours_or_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, whose: str
) -> None:
    real = os.mkdir

    def late(path: str, *rest: Any) -> None:
        real(path)
        if whose != "ours":
            own(monkeypatch, Path(path), STRANGER)
        real(path, *rest)

    monkeypatch.setattr(os, "mkdir", late)
    if whose == "ours":
        assert make(item(tmp_path / "a" / "b", mode="0711"))["changed"]
        assert mode(tmp_path / "a" / "b") == 0o711
    else:
        with pytest.raises(JawsError, match=f"uid {STRANGER}"):
            make(item(tmp_path / "a", mode="0711"))


@pytest.mark.parametrize("kind", [{}, {"content": "x"}, {"target": "/x"}])
def test_what_a_stranger_made_first_is_refused_by_name(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, kind: dict[str, Any]
) -> None:
    (tmp_path / "a").mkdir()
    own(monkeypatch, tmp_path / "a", STRANGER)
    with pytest.raises(JawsError, match=f"{tmp_path}/a .*uid {STRANGER}") as caught:
        make(item(tmp_path / "first"), item(tmp_path / "a", **kind))
    assert caught.value.reason == "foreign_owner"
    assert not (tmp_path / "first").exists()


def test_a_strangers_link_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "ours").mkdir()
    (tmp_path / "a").symlink_to(tmp_path / "ours")
    own(monkeypatch, tmp_path / "a", STRANGER)
    with pytest.raises(JawsError, match=f"uid {STRANGER}"):
        make(item(tmp_path / "a", mode="0777"))


def test_a_link_of_ours_to_a_directory_of_ours_is_a_directory(tmp_path: Path) -> None:
    (tmp_path / "scratch").mkdir()
    (tmp_path / "a").symlink_to(tmp_path / "scratch")
    assert make(item(tmp_path / "a", mode="0711"))["changed"]
    assert mode(tmp_path / "scratch") == 0o711
    assert make(item(tmp_path / "a", mode="0711"))["changed"] is False


def test_a_link_of_ours_to_a_strangers_directory_is_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "theirs").mkdir()
    (tmp_path / "a").symlink_to(tmp_path / "theirs")
    own(monkeypatch, tmp_path / "theirs", STRANGER)
    with pytest.raises(JawsError, match=f"{tmp_path}/theirs .*uid {STRANGER}"):
        make(item(tmp_path / "a"))


@pytest.mark.parametrize("open_to_all", [True, False])
def test_a_strangers_directory_on_the_way_is_refused_where_everybody_may_make_one(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, open_to_all: bool
) -> None:
    (tmp_path / "theirs" / "deep").mkdir(parents=True)
    tmp_path.chmod(0o1777 if open_to_all else 0o755)
    own(monkeypatch, tmp_path / "theirs", STRANGER)
    wish = item(tmp_path / "theirs" / "deep" / "ours")
    if open_to_all:
        with pytest.raises(JawsError, match=f"{tmp_path}/theirs .*uid {STRANGER}"):
            make(wish)
    else:
        assert make(wish)["changed"]


@pytest.mark.parametrize(
    "given",
    [
        {"path": "relative"},
        {"content": "x", "target": "/x"},
        {"secret_content": "x", "target": "/x"},
        {"secret_content": "x", "content": "x"},
        {"source": "/etc/passwd", "content": "x"},
        {"source": "/etc/passwd", "target": "/x"},
        {"content": "x", "sha256": "0" * 64},
        {"mode": "rwx"},
        {"mode": "755\n"},
        {"group": "no-such-group"},
    ],
)
def test_an_inconsistent_item_is_refused(tmp_path: Path, given: dict[str, Any]) -> None:
    with pytest.raises(JawsError) as caught:
        make(item(tmp_path / "a") | given)
    assert caught.value.reason == "bad_option"
    assert not list(tmp_path.iterdir())


def test_a_file_instead_of_a_directory_is_named(tmp_path: Path) -> None:
    (tmp_path / "a").write_text("x")
    with pytest.raises(JawsError, match=f"{tmp_path}/a.*not a directory") as caught:
        make(item(tmp_path / "a"))
    assert caught.value.reason == "cannot_write"
    assert (tmp_path / "a").read_text() == "x"


@pytest.mark.parametrize("kind", [{"content": "x"}, {"target": "/x"}])
def test_a_directory_instead_of_something_else_is_named(
    tmp_path: Path, kind: dict[str, Any]
) -> None:
    (tmp_path / "a").mkdir()
    with pytest.raises(JawsError, match=f"{tmp_path}/a") as caught:
        make(item(tmp_path / "a", **kind))
    assert caught.value.reason == "cannot_write"
    assert [path.name for path in tmp_path.iterdir()] == ["a"]


@pytest.mark.parametrize("call", ["chmod", "chown"])
def test_a_mode_or_group_that_is_refused_is_named(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, call: str
) -> None:
    def refuse(path: str, *_rest: Any) -> None:
        raise PermissionError(errno.EPERM, "Operation not permitted", path)

    wish = tree.understood(item(tmp_path / "d", mode="2770")) | {"group": os.getegid() + 1}
    monkeypatch.setattr(os, call, refuse)
    monkeypatch.setattr(tree, "understood", lambda _item: wish)
    with pytest.raises(JawsError, match=f"cannot make {tmp_path}/d: Operation not permitted"):
        make(wish)


def test_a_mode_that_the_filesystem_only_pretends_to_apply_is_named(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(os, "chmod", lambda *_: None)
    with pytest.raises(JawsError, match="did not apply the mode 2755"):
        make(item(tmp_path / "d", mode="2755"))


def test_a_secret_text_is_written_as_any_other_and_not_returned(tmp_path: Path) -> None:
    wish = item(tmp_path / "f", mode="0600", secret_content="a secret")
    result = make(wish)
    assert ((tmp_path / "f").read_text(), mode(tmp_path / "f")) == ("a secret", 0o600)
    assert result["changed"]
    assert "a secret" not in str(result)
    assert not make(wish)["changed"]
    assert make(item(tmp_path / "f", mode="0600", secret_content="another"), check=True)["changed"]


# --- access control lists of directories ----------------------------------------------------


@pytest.fixture
def group() -> str:
    """Return the name of a group of this machine that the user need not be a member of."""
    return grp.getgrgid(0).gr_name


def test_what_is_made_in_a_directory_is_open_to_the_groups_of_its_list(
    tmp_path: Path, group: str
) -> None:
    wish = item(tmp_path / "d", mode="0750", acl_groups={group: "rwx"})
    assert make(wish, check=True)["changed"]
    assert make(wish)["changed"]
    (tmp_path / "d/made by a service").touch(0o660)
    (tmp_path / "d/sub").mkdir(0o770)
    for name in ("d", "d/made by a service", "d/sub"):
        assert has_acl(str(tmp_path / name))
    assert mode(tmp_path / "d") == 0o770, "the mode shows the most that a group may do"
    assert not make(wish)["changed"]


def test_a_list_is_what_was_asked_for_last(tmp_path: Path, group: str) -> None:
    other = grp.getgrgid(1).gr_name
    make(item(tmp_path / "d", mode="2750", acl_groups={group: "rx", other: "rwx"}))
    fewer = item(tmp_path / "d", mode="2750", acl_groups={group: "rx"})
    assert make(fewer)["changed"]
    assert not make(fewer)["changed"]
    assert mode(tmp_path / "d") == 0o2750
    assert not make(item(tmp_path / "d", mode="2750"))["changed"], "without the option it stays"
    assert has_acl(str(tmp_path / "d"))
    none = item(tmp_path / "d", mode="2750", acl_groups={})
    assert make(none)["changed"]
    assert not make(none)["changed"]
    assert not has_acl(str(tmp_path / "d"))


def test_a_filesystem_without_lists_is_refused_before_anything_is_made(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, group: str
) -> None:
    def refuse(*_arguments: Any) -> None:
        raise OSError(errno.ENOTSUP, "Operation not supported")

    monkeypatch.setattr(os, "getxattr", refuse)
    wishes = [item(tmp_path / "a"), item(tmp_path / "b/c", acl_groups={group: "rx"})]
    with pytest.raises(JawsError, match=f"{tmp_path}/b/c: the filesystem of {tmp_path} has no"):
        make(*wishes)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("letters", ["", "r-x", "xr", "7", "rxx", 5])
def test_what_a_group_may_do_is_written_as_in_ls(
    tmp_path: Path, group: str, letters: object
) -> None:
    with pytest.raises(JawsError, match=f"acl_groups: {group}: {letters}: write what") as caught:
        make(item(tmp_path / "d", acl_groups={group: letters}))
    assert caught.value.reason == "bad_option"


def test_a_group_of_a_list_must_exist(tmp_path: Path) -> None:
    with pytest.raises(JawsError, match="no unix group nosuchgroup"):
        make(item(tmp_path / "d", acl_groups={"nosuchgroup": "rx"}))
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("kind", [{"content": "x"}, {"target": "/nowhere"}])
def test_only_a_directory_has_such_a_list(tmp_path: Path, group: str, kind: dict[str, Any]) -> None:
    with pytest.raises(JawsError, match="exclude each other"):
        make(item(tmp_path / "d", acl_groups={group: "rx"}, **kind))


# --- copies -----------------------------------------------------------------------------------


def digest(content: bytes) -> str:
    return hashlib.sha256(content).hexdigest()


def test_a_copy_is_named_by_its_content_and_made_once(tmp_path: Path) -> None:
    source, content = tmp_path / "jar", b"\x00\xff" * 1_000_000
    source.write_bytes(content)
    wish = item(tmp_path / "d/c-@sha256@.jar", mode="0640", source=str(source))
    copy = tmp_path / f"d/c-{digest(content)[:12]}.jar"
    wishes = [item(tmp_path / "d", list=True), wish]
    assert make(*wishes, check=True)["listing"] == {str(tmp_path / "d"): []}
    result = make(*wishes)
    assert result["copies"] == {str(source): str(copy)}
    assert result["listing"] == {str(tmp_path / "d"): [copy.name]}
    assert (copy.read_bytes(), mode(copy)) == (content, 0o640)
    assert not make(*wishes)["changed"]
    copy.write_bytes(content[:-1])
    assert make(*wishes)["paths"] == [str(copy)]
    assert copy.read_bytes() == content
    source.write_bytes(b"another")
    assert make(*wishes)["copies"] == {
        str(source): str(tmp_path / f"d/c-{digest(b'another')[:12]}.jar")
    }


@pytest.mark.parametrize(
    ("make_source", "why"),
    [
        (lambda _path: None, "does not exist"),
        (Path.mkdir, "is not a regular file"),
        (Path.touch, "is empty"),
        (os.mkfifo, "is not a regular file"),
    ],
)
def test_a_source_that_cannot_be_copied_is_named_before_anything_is_made(
    tmp_path: Path, make_source: Any, why: str
) -> None:
    make_source(tmp_path / "jar")
    with pytest.raises(JawsError, match=f"{tmp_path}/jar {why} on this host") as caught:
        make(item(tmp_path / "d"), item(tmp_path / "d/c", source=str(tmp_path / "jar")))
    assert caught.value.reason == "unreadable_file"
    assert not (tmp_path / "d").exists()


def test_a_source_that_changes_while_it_is_copied_is_named(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "jar").write_text("one")
    monkeypatch.setattr(tree, "parts", lambda _stream: iter([b"ano", b"ther"]))
    with pytest.raises(JawsError, match=f"from {tmp_path}/jar has the checksum") as caught:
        make(item(tmp_path / "c", source=str(tmp_path / "jar")))
    assert caught.value.reason == "unreadable_file"
    assert os.listdir(tmp_path) == ["jar"]


def test_a_copy_whose_digest_is_given_is_neither_read_nor_needs_its_source_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    source = tmp_path / "image"
    source.write_bytes(b"right")
    wish = item(tmp_path / "i-@sha256@.sif", source=str(source), sha256=digest(b"right").upper())
    (copy,) = make(wish | {"name": "pool.sif"})["copies"].values()
    monkeypatch.setattr(tree, "sha256", lambda path: pytest.fail(f"{path} was read"))
    source.unlink()
    result = make(wish | {"name": "pool.sif"})
    assert (result["changed"], result["copies"]) == (False, {"pool.sif": copy})
    Path(copy).write_bytes(b"")
    with pytest.raises(JawsError, match="image does not exist"):
        make(wish)


def test_a_copy_at_a_path_that_does_not_say_its_digest_is_read_each_time(tmp_path: Path) -> None:
    (tmp_path / "a").write_bytes(b"right")
    wish = item(tmp_path / "b", source=str(tmp_path / "a"))
    make(wish)
    (tmp_path / "b").write_bytes(b"wrong")
    assert make(wish)["changed"] is True
    assert (tmp_path / "b").read_bytes() == b"right"


def test_a_source_with_another_digest_is_refused_before_anything_is_made(tmp_path: Path) -> None:
    (tmp_path / "a").write_bytes(b"wrong")
    wish = item(tmp_path / "d/b-@sha256@", source=str(tmp_path / "a"), sha256=digest(b"right"))
    with pytest.raises(JawsError, match=f"{digest(b'wrong')}, not {digest(b'right')}") as caught:
        make(item(tmp_path / "d"), wish)
    assert caught.value.reason == "unreadable_file"
    assert os.listdir(tmp_path) == ["a"]


@pytest.fixture
def served() -> Iterator[tuple[str, list[str]]]:
    """A server on loopback, and the paths that it was asked for; /short breaks off."""
    asked: list[str] = []

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            asked.append(self.path)
            self.send_response(404 if self.path == "/none" else 200)
            self.send_header("Content-Length", "9" if self.path == "/short" else "5")
            self.end_headers()
            self.wfile.write(b"right")

        def log_message(self, *_unused: Any) -> None:
            pass

    with HTTPServer(("127.0.0.1", 0), Handler) as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        yield f"http://127.0.0.1:{server.server_port}", asked
        server.shutdown()
        thread.join()


def test_a_download_is_checked_made_once_and_predicted(
    tmp_path: Path, served: tuple[str, list[str]]
) -> None:
    url, asked = served
    wish = item(tmp_path / "j-@sha256@", mode="0640", url=f"{url}/j", sha256=digest(b"right"))
    path = tmp_path / f"j-{digest(b'right')[:12]}"
    assert make(wish, check=True)["paths"] == [str(path)]
    assert asked == os.listdir(tmp_path) == []
    assert make(wish)["copies"] == {f"{url}/j": str(path)}
    assert (path.read_bytes(), mode(path)) == (b"right", 0o640)
    assert make(wish)["changed"] is False
    assert asked == ["/j"]


@pytest.mark.fault(8)
@pytest.mark.parametrize(
    ("path", "sha256", "told"),
    [
        ("j", digest(b"wrong"), f"checksum .SHA-256. {digest(b'right')}, not {digest(b'wrong')}"),
        ("none", digest(b"right"), "cannot be downloaded: HTTP Error 404"),
        ("short", digest(b"longer"), "cannot be downloaded|checksum"),
    ],
)
def test_a_download_that_is_not_what_was_meant_leaves_nothing(
    tmp_path: Path, served: tuple[str, list[str]], path: str, sha256: str, told: str
) -> None:
    with pytest.raises(JawsError, match=told) as caught:
        make(item(tmp_path / "j-@sha256@", url=f"{served[0]}/{path}", sha256=sha256))
    assert caught.value.reason == "unreadable_file"
    assert os.listdir(tmp_path) == []


@pytest.mark.fault(8)
def test_a_server_that_is_down_is_named(tmp_path: Path) -> None:
    wish = item(tmp_path / "j", url="http://127.0.0.1:1/j", sha256=digest(b"x"))
    with pytest.raises(JawsError, match=r"127.0.0.1:1/j cannot be downloaded: .*refused"):
        make(wish)


@pytest.mark.parametrize(
    ("given", "why"),
    [
        ({"url": "https://h/j"}, "https://h/j needs sha256"),
        ({"sha256": digest(b"")}, "sha256 needs a source or a url"),
        ({"url": "https://h/j", "source": "/j", "sha256": digest(b"")}, "exclude each other"),
    ],
)
def test_a_copy_without_an_origin_or_a_download_without_a_digest_is_refused(
    tmp_path: Path, given: dict[str, Any], why: str
) -> None:
    with pytest.raises(JawsError, match=why):
        make(item(tmp_path / "j", **given))
