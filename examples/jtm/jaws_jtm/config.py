# SPDX-License-Identifier: GPL-3.0-or-later
"""What jaws-jtm.conf must contain, by series: 2 adds two RPC sections and the status queues."""

from __future__ import annotations

import configparser
import os
from typing import Optional

from .standin import StandInError
from .standin.ini import Ini, Wanted, flag

DEFAULT_FILE = "jtm.ini"

_BROKER = {"host": str, "port": int, "user": str, "password": str, "vhost": str}
_TEXTS = (
    "cluster",
    "run_mode",
    "log_dir",
    "env_activation",
    "jtm_task_request_q",
    "jtm_task_result_q",
    "jtm_inner_request_q",
    "jtm_inner_result_q",
    "jtm_task_kill_q",
    "worker_hb_q_postfix",
    "jgi_jtm_main_exch",
    "jtm_inner_main_exch",
    "jtm_worker_hb_exch",
    "jtm_task_kill_exch",
)
_SECONDS = (
    "client_hb_recv_interval",
    "worker_hb_recv_interval",
    "result_receive_interval",
    "worker_info_update_wait",
    "runs_info_update_wait",
    "task_kill_interval",
    "worker_kill_interval",
)
_COUNTS = ("num_workers_per_node", "worker_hb_check_max_count", "jtminterface_max_trial")

SERIES_1: Wanted = {
    "SITE": {"jtm_host_name": str, "user_name": str, "debug": flag},
    "RMQ": _BROKER,
    "MYSQL": {"host": str, "port": int, "user": str, "password": str, "db": str},
    "SLURM": {
        **dict.fromkeys(("ncpus", "nnodes"), int),
        **dict.fromkeys(("mempernode", "constraint", "charge_accnt", "qos"), str),
    },
    "JTM": {
        **dict.fromkeys(_TEXTS, str),
        **dict.fromkeys(_SECONDS, float),
        **dict.fromkeys(_COUNTS, int),
    },
}
SERIES_2: Wanted = {
    **SERIES_1,
    "SITE_RPC_CLIENT": {**_BROKER, "queue": str},
    "JTM_RPC_SERVER": {"host": str, "user": str, "password": str, "vhost": str, "queue": str},
    "SLURM": {**SERIES_1["SLURM"], "partition": str},
    "JTM": {
        **SERIES_1["JTM"],
        "jtm_status_request_q": str,
        "jtm_status_result_q": str,
        "heartbeat_message_count": int,
    },
}


def find(given: Optional[str]) -> str:
    """Return the file of --config, else of JTM_CONFIG_FILE, else ./jtm.ini; or StandInError."""
    found = given or os.environ.get("JTM_CONFIG_FILE")
    if not found and os.path.isfile(DEFAULT_FILE):
        found = DEFAULT_FILE
    if not found:
        raise StandInError(
            f"no configuration: give --config=FILE or JTM_CONFIG_FILE; {DEFAULT_FILE} is not in"
            f" {os.getcwd()}"
        )
    return found


def load(path: str) -> Ini:
    """Return the file after checking it; raise StandInError for what is wrong."""
    ini = _read(path)
    ini.require(SERIES_2 if _series(ini) == 2 else SERIES_1)
    ini.allow({"JTM_RPC_SERVER": {"port": int, "num_threads": int, "max_retries": int}})
    return ini


def series(given: Optional[str]) -> int:
    """Return 1 or 2: what the file is for. A file that cannot be read is refused later."""
    try:
        return _series(_read(find(given)))
    except StandInError:
        return 2


def _read(path: str) -> Ini:
    return Ini(path, configparser.ExtendedInterpolation())


def _series(ini: Ini) -> int:
    newer = ini.has("SITE_RPC_CLIENT") or ini.has("JTM_RPC_SERVER")
    return 2 if newer or (ini.has("JTM") and "jtm_status_request_q" in ini.keys("JTM")) else 1
