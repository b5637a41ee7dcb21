# Copyright: (c) 2026, The jgi.jaws engineers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Health checks: whether a service answers, because RUNNING does not prove that.

A check is a mapping with one of C(tcp) (HOST:PORT), C(http) (a url; C(status) lists the accepted
codes, by default only 200) or C(command) (a list of words; it must exit with status 0, and finds
the program's pid in the variable C(PROGRAM_PID)).
"""

from __future__ import annotations

import http.client
import os
import re
import signal
import socket
import subprocess
import tempfile
import threading
from contextlib import closing, suppress
from typing import Any, Mapping, Sequence
from urllib.parse import urlsplit

from ..errors import JawsError, quoted
from .differences import DIGEST

Check = Mapping[str, Any]

KINDS = ("tcp", "http", "command")
KEYS = (*KINDS, "status")
ATTEMPT_SECONDS = 5.0
COMMAND_SECONDS = 10.0
READ_BYTES = 4096
SHOWN = 300  # characters of what a command has printed
# With this status (EX_TEMPFAIL), a command says that something else is at fault.
NEEDS_STATUS = 75
NEEDS = "what it needs is away: "


def refuse_wrong(checks: Mapping[str, Check]) -> None:
    """Refuse a check that could never succeed.

    :raises JawsError: names the program (bad_option).
    """
    for name, check in checks.items():
        refuse_check(f"health of {name}", check)


def refuse_check(what: str, check: Check) -> None:
    """Refuse a check that could never succeed; the catalogue of services calls this too.

    :param what: the name of the check, for messages.
    :raises JawsError: says what is wrong (bad_option).
    """
    unknown = ", ".join(sorted(set(check) - set(KEYS)))
    if unknown:
        raise JawsError(
            f"{what} has unknown keys: {unknown}. Known are {', '.join(KEYS)}.", "bad_option"
        )
    kinds = [key for key in KINDS if check.get(key)]
    if len(kinds) != 1:
        raise JawsError(f"{what} must have exactly one of tcp, http and command.", "bad_option")
    if kinds == ["http"] and not str(check["http"]).startswith("http://"):
        raise JawsError(f"{what}: http must be an address that begins with http://.", "bad_option")
    if kinds == ["tcp"] and not re.fullmatch(r".+:\d+", str(check["tcp"])):
        raise JawsError(f"{what}: tcp must be HOST:PORT.", "bad_option")


def failing(
    checks: Mapping[str, Check], pids: Mapping[str, int | None] | None = None
) -> dict[str, str]:
    """Try every check once, all at the same time, and return by program why its check failed.

    :param pids: by program: its process.
    """
    seen: dict[str, str | None] = {}

    def look(name: str) -> None:
        seen[name] = attempt(checks[name], (pids or {}).get(name))

    threads = [threading.Thread(target=look, args=(name,)) for name in checks]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    found = ((name, seen[name]) for name in checks)
    told = {name: quoted(reason) for name, reason in found if reason is not None}
    return {
        name: re.sub(rf"^{re.escape(name)}\.health ", "its check ", why)
        for name, why in told.items()
    }


def attempt(check: Check, pid: int | None = None) -> str | None:
    """Return None if the service answers as expected, otherwise what it did instead."""
    try:
        if check.get("tcp"):
            return _tcp(check["tcp"])
        if check.get("http"):
            return _http(check["http"], check.get("status") or [200])
        return _command(check["command"], pid)
    except (OSError, ValueError, http.client.HTTPException) as error:
        where = check.get("tcp") or check.get("http") or check["command"][0]
        return f"{where}: {str(error).strip() or type(error).__name__}"


def _tcp(address: str) -> str | None:
    host, port = address.rsplit(":", 1)
    socket.create_connection((host.strip("[]"), int(port)), ATTEMPT_SECONDS).close()
    return None


def _http(url: str, accepted: Sequence[Any]) -> str | None:
    parts = urlsplit(url)
    target = (parts.path or "/") + ("?" + parts.query if parts.query else "")
    host, port = parts.hostname or "", parts.port or 80
    with closing(http.client.HTTPConnection(host, port, timeout=ATTEMPT_SECONDS)) as connection:
        connection.request("GET", target)
        status = connection.getresponse().status
    wanted = [str(code) for code in accepted]
    expected = " or ".join(wanted)
    return None if str(status) in wanted else f"{url} answers {status} instead of {expected}"


def _command(command: list[str], pid: int | None) -> str | None:
    # The output goes to a file: a child that it leaves behind may hold a pipe open forever.
    with tempfile.TemporaryFile() as output:
        process = subprocess.Popen(
            command,
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=subprocess.STDOUT,
            env={**os.environ, "PROGRAM_PID": str(pid or "")},
            start_new_session=True,
        )
        try:
            code = process.wait(COMMAND_SECONDS)
        except subprocess.TimeoutExpired:
            with suppress(ProcessLookupError):
                os.killpg(process.pid, signal.SIGKILL)
            process.wait()
            return f"{command[0]} did not end within {COMMAND_SECONDS:g} s"
        output.seek(max(0, output.tell() - READ_BYTES))
        printed = quoted(output.read().decode("utf-8", "replace").strip())[-SHOWN:]
    name = DIGEST.sub("", os.path.basename(command[0]))
    why = f"{name} ended with {code}: {printed}"
    return None if code == 0 else NEEDS + printed if code == NEEDS_STATUS else why
