# SPDX-License-Identifier: GPL-3.0-or-later
"""Facts about .config/pip_wheel.py, which fetches pip for a Python without it."""

from __future__ import annotations

import base64
import hashlib
import importlib.util
import re
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest

from collection import ROOT

WHEEL = "pip-1.0-py3-none-any.whl"
CONTENT = b"a wheel"


def load() -> Any:
    spec = importlib.util.spec_from_file_location("pip_wheel", ROOT / ".config/pip_wheel.py")
    assert spec
    assert spec.loader
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


class Index(ThreadingHTTPServer):
    """A package index that requires a user name and a password, or nothing."""

    daemon_threads = True

    def __init__(self, password: str = "") -> None:
        super().__init__(("127.0.0.1", 0), Handler)
        token = base64.b64encode(f"me:{password}".encode()).decode()
        self.wanted = f"Basic {token}" if password else None
        self.asked: list[str] = []

    def url(self, credentials: str = "") -> str:
        return f"http://{credentials}127.0.0.1:{self.server_port}/simple"


class Handler(BaseHTTPRequestHandler):
    server: Index

    def do_GET(self) -> None:
        self.server.asked.append(self.path)
        page = f'<a href="../../files/{WHEEL}#sha256=00">{WHEEL}</a><a name="x">'.encode()
        known = {"/simple/pip/": page, f"/files/{WHEEL}": CONTENT}
        refused = self.server.wanted not in (None, self.headers["Authorization"])
        self.send_response(401 if refused else 200 if self.path in known else 404)
        self.end_headers()
        self.wfile.write(b"" if refused else known.get(self.path, b""))

    def log_message(self, format: str, *args: Any) -> None:
        """Say nothing."""


@contextmanager
def serving(password: str = "") -> Iterator[Index]:
    with Index(password) as server:
        thread = threading.Thread(target=server.serve_forever, args=(0.02,))
        thread.start()
        try:
            yield server
        finally:
            server.shutdown()
            thread.join()


class Clone:
    """The script, with a pinned pip, and without this machine's configuration."""

    def __init__(self, folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        self.folder = folder
        self.conf = folder / "pip.conf"
        self.script = load()
        self.monkeypatch = monkeypatch
        self.pin(CONTENT)
        monkeypatch.setattr(self.script, "configuration_files", lambda: [self.conf])
        monkeypatch.setenv("HOME", str(folder))
        monkeypatch.setenv("no_proxy", "127.0.0.1")
        for name in [name for name in self.script.os.environ if name.startswith("PIP_")]:
            monkeypatch.delenv(name)

    def pin(self, content: bytes) -> None:
        digest = hashlib.sha256(content).hexdigest()
        text = f"pip==1.0 \\\n    --hash=sha256:{'0' * 64} \\\n    --hash=sha256:{digest}\n"
        (self.folder / "pip.txt").write_text(text)

    def fetch(self, **variables: str) -> bytes:
        for name, value in variables.items():
            self.monkeypatch.setenv(f"PIP_{name}", value)
        path: Path = self.script.fetch(self.folder / "pip.txt", self.folder)
        assert path == self.folder / WHEEL
        return path.read_bytes()


@pytest.fixture
def clone(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Clone:
    return Clone(tmp_path, monkeypatch)


def test_the_wheel_comes_from_the_index_that_the_environment_names(clone: Clone) -> None:
    with serving() as index:
        assert clone.fetch(INDEX_URL=index.url()) == CONTENT
    assert index.asked == ["/simple/pip/", f"/files/{WHEEL}"]


def test_the_wheel_comes_from_the_index_that_pip_conf_names(clone: Clone) -> None:
    with serving() as index:
        clone.conf.write_text(f"[global]\nindex-url = {index.url()}/\n")
        assert clone.fetch() == CONTENT


@pytest.mark.parametrize("place", ["url", "netrc"])
def test_an_index_gets_its_credentials(clone: Clone, place: str) -> None:
    with serving("p@ss") as index:
        if place == "netrc":
            (clone.folder / ".netrc").write_text("machine 127.0.0.1 login me password p@ss\n")
            (clone.folder / ".netrc").chmod(0o600)
        credentials = "me:p%40ss@" if place == "url" else ""
        assert clone.fetch(INDEX_URL=index.url(credentials)) == CONTENT


def test_a_refusal_names_the_page_without_the_credentials(clone: Clone) -> None:
    with serving("secret") as index, pytest.raises(OSError, match=WHEEL) as told:
        clone.fetch(INDEX_URL=index.url("me:wr0ng@"))
    assert re.search(r"http://\*\*\*@127\.0\.0\.1:\d+/simple/pip/: .*401", str(told.value))
    assert "wr0ng" not in str(told.value)


@pytest.mark.parametrize("as_url", [False, True])
def test_the_wheel_comes_from_a_directory(clone: Clone, as_url: bool) -> None:
    folder = clone.folder / "some wheels"
    folder.mkdir()
    (folder / WHEEL).write_bytes(CONTENT)
    (folder / "other-1.0-py3-none-any.whl").write_bytes(b"another one")
    clone.conf.write_text(f"[global]\nfind-links =\n    {folder.as_uri()}\n")
    if not as_url:
        folder = folder.rename(clone.folder / "wheels")
        clone.conf.write_text(f"[global]\nfind-links = {folder}\n")
    assert clone.fetch(NO_INDEX="1") == CONTENT


def test_the_wheel_comes_from_an_index_in_a_directory(clone: Clone) -> None:
    page = clone.folder / "simple/pip"
    page.mkdir(parents=True)
    (page / "index.html").write_text(f'<a href="{WHEEL}">{WHEEL}</a>')
    (page / WHEEL).write_bytes(CONTENT)
    assert clone.fetch(INDEX_URL=(clone.folder / "simple").as_uri()) == CONTENT


def test_a_wheel_with_another_hash_is_refused_and_the_next_index_asked(clone: Clone) -> None:
    bad, good = clone.folder / "bad", clone.folder / "good"
    for folder, content in ((bad, b"an evil wheel"), (good, CONTENT)):
        folder.mkdir()
        (folder / WHEEL).write_bytes(content)
    with pytest.raises(OSError, match=f"a {WHEEL} does not have the pinned hash"):
        clone.fetch(NO_INDEX="1", FIND_LINKS=str(bad))
    assert not (clone.folder / WHEEL).exists()
    assert clone.fetch(FIND_LINKS=f"{bad} {good}") == CONTENT


def test_the_pinned_pip_is_what_the_lock_file_exports() -> None:
    name, hashes = load().pinned(ROOT / ".config/pip.txt")
    assert re.fullmatch(r"pip-[\d.]+-py3-none-any\.whl", name)
    assert hashes
