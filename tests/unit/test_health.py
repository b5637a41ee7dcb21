# SPDX-License-Identifier: GPL-3.0-or-later
"""Health checks, against real sockets and processes."""

from __future__ import annotations

import os
import signal
import socket
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import closing, contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest

from ansible_collections.jgi.jaws.plugins.module_utils.errors import JawsError
from ansible_collections.jgi.jaws.plugins.module_utils.releases import health
from ansible_collections.jgi.jaws.plugins.module_utils.releases.health import (
    attempt,
    failing,
    refuse_wrong,
)


class Handler(BaseHTTPRequestHandler):
    """Answers with the status that the query names; at one path, it does not answer at all."""

    def do_GET(self) -> None:
        if self.path == "/nonsense":
            self.wfile.write(b"no http\r\n\r\n")
            return
        self.send_response(int(self.path.partition("?")[2] or 404))
        self.end_headers()

    def log_message(self, format: str, *args: Any) -> None:
        """Say nothing."""


@contextmanager
def serving() -> Iterator[str]:
    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        thread = threading.Thread(target=server.serve_forever, args=(0.02,))
        thread.start()
        try:
            yield f"127.0.0.1:{server.server_port}"
        finally:
            server.shutdown()
            thread.join()


@contextmanager
def silent() -> Iterator[str]:
    """Listen, but never accept or answer."""
    with closing(socket.create_server(("127.0.0.1", 0))) as listener:
        yield "127.0.0.1:%d" % listener.getsockname()[1]


def test_a_service_that_answers_as_it_should_is_healthy() -> None:
    with serving() as address:
        assert attempt({"tcp": address}) is None
        assert attempt({"http": f"http://{address}/a/b?200"}) is None
        assert attempt({"http": f"http://{address}/?401", "status": ["401", 200]}) is None


def test_an_unexpected_status_is_reported_with_the_expected_one() -> None:
    with serving() as address:
        url = f"http://{address}/api?500"
        assert attempt({"http": url}) == f"{url} answers 500 instead of 200"


def test_a_redirection_is_not_followed() -> None:
    with serving() as address:
        assert "answers 302" in str(attempt({"http": f"http://{address}/?302"}))


def test_a_port_that_nobody_listens_on_is_reported() -> None:
    with silent() as address:
        pass
    assert attempt({"tcp": address}) == f"{address}: [Errno 111] Connection refused"
    assert "Connection refused" in str(attempt({"http": f"http://{address}/"}))


def test_a_service_that_accepts_and_never_answers_is_reported_in_time(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(health, "ATTEMPT_SECONDS", 0.5)
    with silent() as address:
        assert "timed out" in str(attempt({"http": f"http://{address}/"}))


def test_an_answer_that_is_not_http_is_reported() -> None:
    with serving() as address:
        url = f"http://{address}/nonsense"
        assert attempt({"http": url}) == f"{url}: no http"


def test_an_invalid_address_is_reported() -> None:
    assert attempt({"tcp": "127.0.0.1:port"}) is not None
    assert attempt({"http": "http://127.0.0.1:port/"}) is not None


def test_a_command_succeeds_with_0_and_fails_with_its_last_words() -> None:
    assert attempt({"command": ["true"]}) is None
    told = attempt({"command": ["sh", "-c", "echo much; echo why >&2; exit 3"]})
    assert told == "sh ended with 3: much\nwhy"


def test_a_missing_command_of_a_check_is_reported() -> None:
    assert "No such file" in str(attempt({"command": ["/no/such/command"]}))


def test_a_command_that_does_not_end_is_ended_with_its_children(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    pid_file = tmp_path / "pid"
    code = f"sleep 1000 & echo $! > {pid_file}; wait"
    # On a busy machine, the command may be ended before it has a child.
    patience = iter((0.5, 5.0, 50.0))
    while not pid_file.exists() or not pid_file.read_text():
        seconds = next(patience)
        monkeypatch.setattr(health, "COMMAND_SECONDS", seconds)
        told = attempt({"command": ["sh", "-c", code]})
        assert told == f"sh did not end within {seconds:g} s"
    stat = Path(f"/proc/{pid_file.read_text().strip()}/stat")
    deadline = time.monotonic() + 30
    while has_not_ended(stat):
        assert time.monotonic() < deadline
        time.sleep(0.01)


def has_not_ended(stat: Path) -> bool:
    try:
        return " Z " not in stat.read_text()
    except OSError:
        return False


def test_a_child_that_a_command_leaves_behind_is_not_waited_for() -> None:
    code = "import subprocess; print(subprocess.Popen(['sleep', '1000']).pid); raise SystemExit(1)"
    told = attempt({"command": [sys.executable, "-c", code]})
    os.kill(int(str(told).rpartition(" ")[2]), signal.SIGKILL)


def test_only_what_fails_is_returned() -> None:
    checks = {"good": {"command": ["true"]}, "bad": {"command": ["false"]}}
    assert failing(checks) == {"bad": "false ended with 1: "}
    assert failing({}) == {}


@pytest.mark.parametrize(
    "check",
    [
        {},
        {"status": [200]},
        {"tcp": "a:1", "http": "http://a"},
        {"htp": "x"},
        {"tcp": "a:1", "x": 1},
        {"tcp": "a"},
        {"http": "https://a"},
    ],
)
def test_a_check_that_can_never_succeed_is_refused_by_its_program(check: dict[str, Any]) -> None:
    with pytest.raises(
        JawsError,
        match=r"^health of rest(: (http|tcp) must be| must have exactly| has unknown)",
    ):
        refuse_wrong({"auth": {"tcp": "a:1"}, "rest": check})
