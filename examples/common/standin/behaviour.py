# SPDX-License-Identifier: GPL-3.0-or-later
"""Misbehaviour on request, for tests of deployments that go wrong."""

from __future__ import annotations

import logging
import math
import os
import signal
import threading
from dataclasses import dataclass
from typing import Any, Callable, Dict, Mapping, Optional

from . import StandInError
from .ini import Ini, flag

SECTION = "STANDIN"
_KINDS: Dict[str, Callable[[str], Any]] = {
    "crash_after": float,
    "exit_status": int,
    "ignore_sigterm": flag,
    "unhealthy": flag,
    "second": float,
}
_JSON_TYPES: Dict[str, Any] = {
    "crash_after": (int, float),
    "exit_status": int,
    "ignore_sigterm": bool,
    "unhealthy": bool,
    "second": (int, float),
}


@dataclass(frozen=True)
class Behaviour:
    """How a stand-in misbehaves; the default is not at all. `crash_after` is in seconds.

    A service that tries something again waits as long as the real one, in units of `second`.
    """

    crash_after: Optional[float] = None
    exit_status: int = 1
    ignore_sigterm: bool = False
    unhealthy: bool = False
    second: float = 1.0

    @classmethod
    def from_ini(cls, ini: Ini) -> Behaviour:
        """Read section [STANDIN], which the real services ignore."""
        if not ini.has(SECTION):
            return cls()
        where = f"{ini.path}: [{SECTION}]"
        _refuse_unknown(where, ini.keys(SECTION))
        return _checked(
            where, {key: ini.value(SECTION, key, _KINDS[key]) for key in ini.keys(SECTION)}
        )

    @classmethod
    def from_json(cls, where: str, given: object) -> Behaviour:
        """Read an object of the same keys; `where` names it in errors."""
        if not isinstance(given, dict):
            raise StandInError(f"{where} must be an object")
        _refuse_unknown(where, given)
        for key, value in given.items():
            kinds = _JSON_TYPES[key]
            # In Python a bool is an int, in JSON it is not.
            if not isinstance(value, kinds) or isinstance(value, bool) != (kinds is bool):
                raise StandInError(f"{where} {key} has a value of the wrong type")
        return _checked(where, given)

    def arm(self, logger: logging.Logger, before_exit: Callable[[], None] = lambda: None) -> None:
        """Ignore SIGTERM and start the timer of the crash, if configured."""
        if self.ignore_sigterm:
            signal.signal(signal.SIGTERM, signal.SIG_IGN)
        if self.crash_after is None:
            return

        def crash() -> None:
            logger.error("ending with status %d because [STANDIN] says so", self.exit_status)
            before_exit()
            os._exit(self.exit_status)

        timer = threading.Timer(self.crash_after, crash)
        timer.daemon = True
        timer.start()


def _refuse_unknown(where: str, keys: Any) -> None:
    unknown = sorted(set(keys) - set(_KINDS))
    if unknown:
        raise StandInError(f"{where} does not know {', '.join(unknown)}; it knows {list(_KINDS)}")


def _checked(where: str, given: Mapping[str, Any]) -> Behaviour:
    for key in ("crash_after", "second"):
        seconds = given.get(key, 0)
        if not math.isfinite(seconds) or not 0 <= seconds <= threading.TIMEOUT_MAX:
            raise StandInError(f"{where} {key} must be a number of seconds, 0 or more")
    if not 0 <= given.get("exit_status", 1) <= 255:
        raise StandInError(f"{where} exit_status must be from 0 to 255")
    return Behaviour(**given)
