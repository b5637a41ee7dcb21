# SPDX-License-Identifier: GPL-3.0-or-later
"""Places that somebody else may have taken before us: paths, sockets, ports, and the lock."""

from __future__ import annotations

import errno
import os
import socket
import stat
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest

from ansible_collections.jgi.jaws.plugins.module_utils import places
from ansible_collections.jgi.jaws.plugins.module_utils.errors import JawsError
from ansible_collections.jgi.jaws.plugins.module_utils.supervisor import Endpoint

STRANGER = 4_000_000_000


def endpoint(url: str) -> Endpoint:
    return Endpoint(url, "jaws", "hush", "a file")


def own(monkeypatch: pytest.MonkeyPatch, place: Path, uid: int) -> None:
    """Make a path somebody else's, as the code under test sees it."""
    for name in ("stat", "lstat"):
        real = getattr(os, name)

        def seen(path: Any, *rest: Any, real: Any = real, **options: Any) -> os.stat_result:
            found = list(real(path, *rest, **options))
            found[stat.ST_UID] = uid if str(path) == str(place) else found[stat.ST_UID]
            return os.stat_result(found)

        monkeypatch.setattr(os, name, seen)


@pytest.mark.parametrize("mode", [0o700, 0o1777])
def test_what_is_ours_is_taken(tmp_path: Path, mode: int) -> None:
    tmp_path.chmod(mode)
    places.refuse_foreign(str(tmp_path / "none"))
    (tmp_path / "f").touch()
    places.refuse_foreign(str(tmp_path / "f"))
    places.refuse_foreign(str(tmp_path / "no" / "directory"))


def test_a_strangers_directory_is_refused_unless_he_is_trusted(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    own(monkeypatch, tmp_path, STRANGER)
    with pytest.raises(
        JawsError, match=f"{tmp_path} is there already and belongs to uid {STRANGER}"
    ) as caught:
        places.refuse_foreign(str(tmp_path / "f"))
    assert caught.value.reason == "somebody_elses"
    places.refuse_foreign(str(tmp_path / "f"), [STRANGER])


def test_in_a_closed_directory_of_ours_whoever_was_let_in_may_make_files(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "f"
    path.touch()
    own(monkeypatch, path, STRANGER)
    tmp_path.chmod(0o2770)
    places.refuse_foreign(str(path))
    tmp_path.chmod(0o1777)
    with pytest.raises(JawsError, match=f"{path} is there already and belongs to uid {STRANGER}"):
        places.refuse_foreign(str(path))
    places.refuse_foreign(str(path), [STRANGER])


def test_a_link_is_refused_whoever_made_it(tmp_path: Path) -> None:
    (tmp_path / "f").symlink_to("/etc/passwd")
    with pytest.raises(JawsError, match="symbolic link"):
        places.refuse_foreign(str(tmp_path / "f"))


def test_users_are_known_by_name_and_by_number() -> None:
    assert places.user_name(0) == "root"
    assert places.user_name(STRANGER) == "uid 4000000000"
    assert places.user_id("root") == {0}
    assert places.user_id("1234") == {1234}
    assert places.user_id("no-such-user") == places.user_id(None) == places.user_id("") == set()


# --- sockets ----------------------------------------------------------------------------------


def test_a_socket_path_has_at_most_99_bytes_not_letters() -> None:
    places.refuse_long_socket("/" + "x" * 98)
    for path, length in (("/" + "x" * 99, 100), ("/" + "ä" * 50, 101)):
        with pytest.raises(JawsError, match=f"{length} bytes.*99") as caught:
            places.refuse_unusable_socket(path)
        assert caught.value.reason == "bad_option"


def test_a_place_for_a_socket_is_left_as_it_was(tmp_path: Path) -> None:
    if len(str(tmp_path)) < 95:
        places.refuse_unusable_socket(str(tmp_path / "s"))
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("error", [errno.EPERM, errno.EOPNOTSUPP, errno.EMLINK])
def test_a_filesystem_without_hard_links_is_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, error: int
) -> None:
    def link(*_paths: str) -> None:
        raise OSError(error, os.strerror(error))

    monkeypatch.setattr(os, "link", link)
    monkeypatch.setattr(places, "SOCKET_BYTES", 1000)
    with pytest.raises(JawsError, match="hard links") as caught:
        places.refuse_unusable_socket(str(tmp_path / "s"))
    assert caught.value.reason == "unusable_directory"
    assert not list(tmp_path.iterdir())


def test_a_directory_that_is_not_there_is_no_place_for_a_socket() -> None:
    with pytest.raises(JawsError, match="/none: No such file"):
        places.refuse_unusable_socket("/none/s")


# --- listeners --------------------------------------------------------------------------------


@pytest.fixture
def port() -> Iterator[int]:
    with socket.create_server(("127.0.0.1", 0)) as server:
        yield server.getsockname()[1]


def test_the_kernel_says_who_listens_at_a_port(port: int) -> None:
    for host in ("127.0.0.1", "localhost"):
        assert places.listeners(endpoint(f"http://{host}:{port}")) == {os.geteuid()}
    assert places.listeners(endpoint("http://elsewhere.example:9001")) == set()
    assert places.listeners(endpoint("http://127.0.0.1:nonsense")) == set()


def test_who_is_connected_to_a_port_does_not_listen_at_it(tmp_path: Path) -> None:
    row = "   0: 0100007F:{:04X} 00000000:0000 {} 00000000:00000000 00:00000000 00000000 {} 0 1"
    rows = ["  sl  local_address rem_address   st tx_queue rx_queue tr tm->when retrnsmt uid"]
    rows += [row.format(*found) for found in ((9001, "0A", 1001), (9001, "01", 1002))]
    rows += [row.format(9000, "0A", 1003)]
    (tmp_path / "net").mkdir()
    (tmp_path / "net" / "tcp").write_text("\n".join(rows) + "\n")
    assert places.listeners(endpoint("http://127.0.0.1:9001"), str(tmp_path)) == {1001}
    six = "   0: 00000000000000000000000001000000:2329 0:0 0A 0:0 0:0 0  1004        0\n"
    (tmp_path / "net" / "tcp6").write_text("head\n" + six)
    assert places.listeners(endpoint("http://127.0.0.1:9001"), str(tmp_path)) == {1001, 1004}


def test_a_key_goes_to_nobody_but_the_trusted(monkeypatch: pytest.MonkeyPatch) -> None:
    where = endpoint("http://jaws:hush@127.0.0.1:9001")
    monkeypatch.setattr(places, "listeners", lambda *_: {STRANGER, os.geteuid()})
    with pytest.raises(JawsError, match="uid 4000000000") as caught:
        places.refuse_foreign_listener(where)
    assert caught.value.reason == "somebody_elses"
    assert "hush" not in str(caught.value)
    places.refuse_foreign_listener(where, [STRANGER])


def test_an_address_is_taken_while_somebody_accepts_there(tmp_path: Path, port: int) -> None:
    assert places.is_taken(endpoint(f"http://127.0.0.1:{port}"))
    with closing(socket.socket(socket.AF_UNIX)) as server:
        path = os.path.relpath(tmp_path / "s")
        assert not places.is_taken(endpoint(f"unix://{path}"))
        server.bind(path)
        assert not places.is_taken(endpoint(f"unix://{path}"))
        server.listen()
        assert places.is_taken(endpoint(f"unix://{path}"))
    with socket.create_server(("127.0.0.1", 0)) as gone:
        free = gone.getsockname()[1]
    assert not places.is_taken(endpoint(f"http://127.0.0.1:{free}"))
