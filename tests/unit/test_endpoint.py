# SPDX-License-Identifier: GPL-3.0-or-later
"""Sockets and ports: what supervisord can use, and who listens there."""

from __future__ import annotations

import errno
import os
import socket
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest

from ansible_collections.jgi.jaws.plugins.module_utils.errors import JawsError
from ansible_collections.jgi.jaws.plugins.module_utils.supervisor import endpoint
from ansible_collections.jgi.jaws.plugins.module_utils.supervisor.endpoint import Endpoint

STRANGER = 4_000_000_000


def at(url: str) -> Endpoint:
    return Endpoint(url, "jaws", "hush", "a file")


# --- sockets ----------------------------------------------------------------------------------


def test_a_socket_path_has_at_most_99_bytes_not_characters() -> None:
    endpoint.refuse_long_socket("/" + "x" * 98)
    for path, length in (("/" + "x" * 99, 100), ("/" + "ä" * 50, 101)):
        with pytest.raises(JawsError, match=f"{length} bytes.*99") as caught:
            endpoint.refuse_unusable_socket(path)
        assert caught.value.reason == "bad_option"


def test_a_place_for_a_socket_is_left_as_it_was(tmp_path: Path) -> None:
    if len(str(tmp_path)) < 95:
        endpoint.refuse_unusable_socket(str(tmp_path / "s"))
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("error", [errno.EPERM, errno.EOPNOTSUPP, errno.EMLINK])
def test_a_filesystem_without_hard_links_is_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, error: int
) -> None:
    def link(*_paths: str) -> None:
        raise OSError(error, os.strerror(error))

    monkeypatch.setattr(os, "link", link)
    monkeypatch.setattr(endpoint, "SOCKET_BYTES", 1000)
    with pytest.raises(JawsError, match="hard links") as caught:
        endpoint.refuse_unusable_socket(str(tmp_path / "s"))
    assert caught.value.reason == "unusable_directory"
    assert not list(tmp_path.iterdir())


def test_a_socket_in_a_missing_directory_is_refused() -> None:
    with pytest.raises(JawsError, match="/none: No such file"):
        endpoint.refuse_unusable_socket("/none/s")


# --- listeners --------------------------------------------------------------------------------


@pytest.fixture
def port() -> Iterator[int]:
    with socket.create_server(("127.0.0.1", 0)) as server:
        yield server.getsockname()[1]


def test_the_kernel_says_who_listens_at_a_port(port: int) -> None:
    for host in ("127.0.0.1", "localhost"):
        assert endpoint.listeners(at(f"http://{host}:{port}")) == {os.geteuid()}
    assert endpoint.listeners(at("http://elsewhere.example:9001")) == set()
    assert endpoint.listeners(at("http://127.0.0.1:nonsense")) == set()


def test_who_is_connected_to_a_port_does_not_listen_at_it(tmp_path: Path) -> None:
    row = "   0: 0100007F:{:04X} 00000000:0000 {} 00000000:00000000 00:00000000 00000000 {} 0 1"
    rows = ["  sl  local_address rem_address   st tx_queue rx_queue tr tm->when retrnsmt uid"]
    rows += [row.format(*found) for found in ((9001, "0A", 1001), (9001, "01", 1002))]
    rows += [row.format(9000, "0A", 1003)]
    (tmp_path / "net").mkdir()
    (tmp_path / "net" / "tcp").write_text("\n".join(rows) + "\n")
    assert endpoint.listeners(at("http://127.0.0.1:9001"), str(tmp_path)) == {1001}
    six = "   0: 00000000000000000000000001000000:2329 0:0 0A 0:0 0:0 0  1004        0\n"
    (tmp_path / "net" / "tcp6").write_text("head\n" + six)
    assert endpoint.listeners(at("http://127.0.0.1:9001"), str(tmp_path)) == {1001, 1004}


def test_a_key_goes_to_trusted_accounts_only(monkeypatch: pytest.MonkeyPatch) -> None:
    where = at("http://jaws:hush@127.0.0.1:9001")
    monkeypatch.setattr(endpoint, "listeners", lambda *_: {STRANGER, os.geteuid()})
    with pytest.raises(JawsError, match="uid 4000000000") as caught:
        endpoint.refuse_foreign_listener(where, [os.geteuid()])
    assert caught.value.reason == "foreign_owner"
    assert "hush" not in str(caught.value)
    endpoint.refuse_foreign_listener(where, [os.geteuid(), STRANGER])


def test_an_address_is_taken_while_somebody_accepts_there(tmp_path: Path, port: int) -> None:
    assert endpoint.is_taken(at(f"http://127.0.0.1:{port}"))
    with closing(socket.socket(socket.AF_UNIX)) as server:
        path = os.path.relpath(tmp_path / "s")
        assert not endpoint.is_taken(at(f"unix://{path}"))
        server.bind(path)
        assert not endpoint.is_taken(at(f"unix://{path}"))
        server.listen()
        assert endpoint.is_taken(at(f"unix://{path}"))
    with socket.create_server(("127.0.0.1", 0)) as gone:
        free = gone.getsockname()[1]
    assert not endpoint.is_taken(at(f"http://127.0.0.1:{free}"))
