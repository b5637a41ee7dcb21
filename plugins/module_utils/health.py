# Copyright: (c) 2026, The jgi.jaws engineers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Health checks: whether a service answers, which RUNNING does not prove."""

from __future__ import annotations

import http.client
import socket
import subprocess
import time
from typing import Any, Dict, List, Optional
from urllib.parse import urlsplit

Check = Dict[str, Any]

ATTEMPT_SECONDS = 5.0
OUTPUT_BYTES = 300


def failing(checks: Dict[str, Check], timeout: float) -> List[str]:
    """Return why each program in C(checks) is not healthy, after at most C(timeout) seconds together.

    :param checks: by program: C(tcp) (host:port), C(http) (url, with C(status), a list of accepted codes), or
        C(command) (a list); the first attempt that succeeds is enough.
    """
    deadline = time.monotonic() + timeout
    pending = dict(checks)
    while True:
        reasons = {name: attempt(check) for name, check in pending.items()}
        pending = {name: check for name, check in pending.items() if reasons[name]}
        if not pending or time.monotonic() > deadline:
            return ["%s: %s" % (name, reasons[name]) for name in pending]
        time.sleep(0.2)


def attempt(check: Check) -> Optional[str]:
    """Return None where the service answers as it should, otherwise what was seen instead."""
    try:
        if check.get("tcp"):
            return _tcp(check["tcp"])
        if check.get("http"):
            return _http(check["http"], check.get("status") or [200])
        return _command(check["command"])
    except (OSError, http.client.HTTPException, subprocess.TimeoutExpired) as error:
        where = check.get("tcp") or check.get("http") or " ".join(check["command"])
        return "%s: %s" % (where, error)


def _tcp(address: str) -> None:
    host, port = address.rsplit(":", 1)
    socket.create_connection((host, int(port)), ATTEMPT_SECONDS).close()


def _http(url: str, accepted: List[int]) -> Optional[str]:
    parts = urlsplit(url)
    connection = http.client.HTTPConnection(parts.hostname or "", parts.port or 80, timeout=ATTEMPT_SECONDS)
    try:
        connection.request("GET", parts.path or "/")
        status = connection.getresponse().status
    finally:
        connection.close()
    return None if status in accepted else "%s answers %d, not %s" % (url, status, accepted)


def _command(command: List[str]) -> Optional[str]:
    done = subprocess.run(
        command,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        timeout=ATTEMPT_SECONDS * 2,
        check=False,
    )
    told = done.stdout[-OUTPUT_BYTES:].decode("utf-8", "replace").strip()
    return None if done.returncode == 0 else "%s ended with %d: %s" % (command[0], done.returncode, told)
