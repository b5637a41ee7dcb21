# SPDX-License-Identifier: GPL-3.0-or-later
"""What jaws-central.conf must contain, by series: 2 has [RPC_SERVER] and [HTTP], 1 neither."""

from __future__ import annotations

import configparser
from typing import List

from .standin import StandInError
from .standin.ini import Ini, Wanted, port
from .standin.outside import Broker
from .standin.service import broker_of

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


def load(path: str) -> Ini:
    """Return the file after checking it; raise StandInError for what is wrong."""
    ini = _read(path)
    first = _series(ini) == 1
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


def series(path: str) -> int:
    """Return 1 or 2: what the file is for. A file that cannot be read is refused later."""
    try:
        return _series(_read(path))
    except StandInError:
        return 2


def _read(path: str) -> Ini:
    return Ini(path, configparser.BasicInterpolation())


def _series(ini: Ini) -> int:
    return 2 if ini.has("RPC_SERVER") or ini.has("HTTP") else 1


def brokers(ini: Ini) -> List[Broker]:
    """Return the connections of REST to the sites."""
    prefix = "amqp_" if _series(ini) == 1 else ""
    return [broker_of(ini, f"{SITE_PREFIX}{site}", prefix) for site in sites(ini)]


def sites(ini: Ini) -> List[str]:
    """Return the ids of the configured sites."""
    prefixed = [section for section in ini.sections() if section.startswith(SITE_PREFIX)]
    return [section[len(SITE_PREFIX) :] for section in prefixed]
