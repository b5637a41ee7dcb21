# SPDX-License-Identifier: GPL-3.0-or-later
"""What jaws-site.conf must contain, by series: 1 has [AMQP] and `server`, 2 the RPC sections."""

from __future__ import annotations

import configparser
from typing import Dict, Optional

from .standin import StandInError
from .standin.ini import Ini, Wanted

_DB = {"user": str, "password": str, "db": str}
# Only for the client: the servers have defaults for everything except the virtual host.
_BROKER = {"host": str, "vhost": str, "user": str, "password": str}

SERIES_1: Wanted = {
    "DB": _DB,
    "AMQP": {**_BROKER, "queue": str},
    "RPC": {"num_threads": int, "max_retries": int},
    "GLOBUS": {"client_id": str, "endpoint_id": str, "root_dir": str},
    "SITE": {"id": str, "staging_subdirectory": str, "results_subdirectory": str},
    "CROMWELL": {"workflows_url": str, "engine_status_url": str},
}
SERIES_2: Wanted = {
    "DB": _DB,
    "LOCAL_RPC_SERVER": {"vhost": str},
    "CENTRAL_RPC_SERVER": {"vhost": str},
    "CENTRAL_RPC_CLIENT": _BROKER,
    "GLOBUS": {"client_id": str, "client_secret": str, "endpoint_id": str, "host_path": str},
    "SITE": {"id": str, "uploads_dir": str},
    "CROMWELL": {"url": str},
}
# The section with the connection of each command of series 2.
RPC_SECTION: Dict[str, str] = {
    "daemon": "CENTRAL_RPC_CLIENT",
    "central-rpc": "CENTRAL_RPC_SERVER",
    "jtm-rpc": "LOCAL_RPC_SERVER",
}
_NUMBERS = {"port": int, "num_threads": int, "max_retries": int}


def load(path: str, command: str) -> Ini:
    """Return the file after checking it for `command`; raise StandInError for what is wrong."""
    ini = _read(path)
    ini.allow({"DB": {"port": int}})
    if _series(ini) == 1:
        ini.require(SERIES_1)
        return ini
    ini.require(SERIES_2)
    ini.require({RPC_SECTION[command]: {"queue": str}})
    ini.allow(dict.fromkeys(RPC_SECTION.values(), _NUMBERS))
    return ini


def series(path: str) -> int:
    """Return 1 or 2: what the file is for. A file that cannot be read is refused later."""
    try:
        return _series(_read(path))
    except StandInError:
        return 2


def _read(path: str) -> Ini:
    return Ini(path, configparser.BasicInterpolation())


def _series(ini: Ini) -> int:
    return 1 if ini.has("AMQP") else 2


def broker_section(ini: Ini, command: str) -> Optional[str]:
    """Return the section of the connection; the daemon of series 1 has none."""
    if _series(ini) == 2:
        return RPC_SECTION[command]
    return None if command == "daemon" else "AMQP"


def consumers(ini: Ini, command: str) -> int:
    """Return how many consumers an RPC server starts; 5 if the file does not say."""
    section = "RPC" if command == "server" else RPC_SECTION[command]
    return ini.value(section, "num_threads", int, 5)
