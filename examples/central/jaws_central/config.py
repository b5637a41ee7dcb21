# SPDX-License-Identifier: GPL-3.0-or-later
"""What jaws-central.conf must contain, by series: 2 has [RPC_SERVER] and [HTTP], 1 neither."""

from __future__ import annotations

import configparser
from typing import List

from .standin import StandInError
from .standin.ini import Ini, Wanted, port

SITE_PREFIX = "SITE:"
# The width of the column that holds it in the real database.
SITE_ID_LENGTH = 8

_DB = {"user": str, "password": str, "db": str}
SERIES_1: Wanted = {"DB": _DB, "GLOBUS": {"client_id": str}}
SERIES_2: Wanted = {
    "DB": _DB,
    "GLOBUS": {"client_id": str, "client_secret": str},
    "RPC_SERVER": {"user": str, "password": str, "vhost": str},
}
_SITE_1 = (
    "amqp_host",
    "amqp_user",
    "amqp_password",
    "amqp_queue",
    "globus_endpoint",
    "globus_basepath",
    "staging_subdir",
    "max_ram_gb",
)
_SITE_2 = (
    "host",
    "user",
    "password",
    "vhost",
    "queue",
    "globus_endpoint",
    "globus_host_path",
    "uploads_dir",
    "max_ram_gb",
)


def load(path: str, command: str) -> Ini:
    """Return the file after checking it for `command`; raise StandInError for what is wrong."""
    ini = Ini(path, configparser.BasicInterpolation())
    first = series(ini, command) == 1
    ini.require(SERIES_1 if first else SERIES_2)
    for section in ini.sections():
        if section.startswith(SITE_PREFIX):
            if len(section) > len(SITE_PREFIX) + SITE_ID_LENGTH:
                raise StandInError(
                    f"{path}: section [{section}]: a site's id has at most"
                    f" {SITE_ID_LENGTH} characters"
                )
            ini.require({section: dict.fromkeys(_SITE_1 if first else _SITE_2, str)})
    ini.allow({"DB": {"port": int}, "HTTP": {"auth_port": port, "rest_port": port}})
    ini.allow({"RPC_SERVER": {"port": int, "num_threads": int, "max_retries": int}})
    return ini


def series(ini: Ini, command: str) -> int:
    """Return 1 or 2."""
    if command == "rpc" or ini.has("RPC_SERVER") or ini.has("HTTP"):
        return 2
    return 1


def sites(ini: Ini) -> List[str]:
    """Return the ids of the configured sites."""
    prefixed = [section for section in ini.sections() if section.startswith(SITE_PREFIX)]
    return [section[len(SITE_PREFIX) :].upper() for section in prefixed]
