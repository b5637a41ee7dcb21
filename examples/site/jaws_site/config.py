# SPDX-License-Identifier: GPL-3.0-or-later
"""What jaws-site.conf must contain, by series: 1 has [AMQP], 2 the RPC sections, 3 [RMQ]."""

from __future__ import annotations

import configparser
import os
from typing import Any, Dict, Optional

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
SERIES_3: Wanted = {
    "DB": _DB,
    "RMQ": {"vhost": str},
    "GLOBUS": {"endpoint_id": str, "host_path": str},
    "SITE": {"id": str, "deployment": str, "inputs_dir": str},
    "CROMWELL": {"url": str},
    "AWS": {},
}
# As long as the column that holds it in the real database.
SITE_ID_LENGTH = 16
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
    number = _series(ini)
    ini.require({1: SERIES_1, 2: SERIES_2, 3: SERIES_3}[number])
    if number == 3:
        _check_newest(ini)
    if number != 2:
        return ini
    ini.require({RPC_SECTION[command]: {"queue": str}})
    ini.allow(dict.fromkeys(RPC_SECTION.values(), _NUMBERS))
    return ini


def _check_newest(ini: Ini) -> None:
    """Raise StandInError for what the services of series 3 cannot use."""
    ini.allow({"RMQ": {**_NUMBERS, "ttl": int}})
    if len(ini.value("SITE", "id", str)) > SITE_ID_LENGTH:
        raise StandInError(
            f"{ini.path}: [SITE] id: a site's id has at most {SITE_ID_LENGTH} characters"
        )


def series(path: str) -> int:
    """Return 1, 2 or 3: what the file is for. A file that cannot be read is refused later."""
    try:
        return _series(_read(path))
    except StandInError:
        return 2


class _Expanding(configparser.BasicInterpolation):
    """Replaces variables of the environment too, as all values are read at series 3."""

    def before_get(self, *arguments: Any) -> str:
        return os.path.expandvars(super().before_get(*arguments))


def _read(path: str) -> Ini:
    found = Ini(path, configparser.BasicInterpolation())
    return Ini(path, _Expanding()) if _series(found) == 3 else found


def _series(ini: Ini) -> int:
    if ini.has("AMQP"):
        return 1
    return 3 if ini.has("RMQ") else 2


def broker_section(ini: Ini, command: str) -> Optional[str]:
    """Return the section of the connection; the daemon of series 1 has none."""
    if _series(ini) == 3:
        return "RMQ"
    if _series(ini) == 2:
        return RPC_SECTION[command]
    return None if command == "daemon" else "AMQP"


def consumers(ini: Ini, command: str) -> int:
    """Return how many consumers an RPC server starts; 5 if the file does not say."""
    sections = {**RPC_SECTION, "server": "RPC", "rpc-server": "RMQ"}
    return ini.value(sections[command], "num_threads", int, 5)


def queue(ini: Ini, section: str) -> str:
    """Return the queue of an RPC server; at series 3, it has the name of the site."""
    return ini.value("SITE", "id", str) if section == "RMQ" else ini.value(section, "queue", str)
