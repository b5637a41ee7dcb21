# SPDX-License-Identifier: GPL-3.0-or-later
"""supervisorctl, Supervisor's own client, in this process: one of its own takes far longer."""

from __future__ import annotations

import io
from contextlib import closing, redirect_stdout, suppress
from pathlib import Path
from typing import Any

from supervisor.options import ClientOptions
from supervisor.supervisorctl import Controller


class Options(ClientOptions):  # type: ignore[misc]
    """supervisorctl's, whose connections end with each command."""

    def getServerProxy(self) -> Any:  # the name in Supervisor
        proxy = super().getServerProxy()
        self.proxies = [*getattr(self, "proxies", []), proxy]
        return proxy

    def close(self) -> None:
        for proxy in getattr(self, "proxies", []):
            proxy("close")()


def supervisorctl(conf: Path, command: str) -> str:
    """Have Supervisor's own client carry out a command, and return what it prints."""
    output = io.StringIO()
    with closing(Options()) as options, redirect_stdout(output), suppress(SystemExit):
        options.realize(["-c", str(conf)])
        Controller(options).onecmd(command)
    return output.getvalue()
