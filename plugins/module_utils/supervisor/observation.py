# Copyright: (c) 2026, The jgi.jaws engineers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What a supervisord reports: its programs, and the configuration that it has read."""

from __future__ import annotations

import xmlrpc.client
from typing import Any, Mapping, NamedTuple

from ..errors import JawsError
from .client import CANT_REREAD, Supervisor
from .conf import complaint
from .programs import NOTIFIER, Change, Program, Setting, from_info, namespec


class Observation(NamedTuple):
    """What a supervisord reports: its programs and, if asked for, what differs on disk."""

    programs: list[Program]
    change: Change


def observe(client: Supervisor, reread: bool = False) -> Observation:
    """Return the programs and, with C(reread), what differs on disk, in one round trip.

    :raises JawsError: no answer, or supervisord cannot read its configuration (broken_conf).
    """
    calls = ["supervisor.getAllProcessInfo"] + (["supervisor.reloadConfig"] if reread else [])
    answers = client.batch([(call,) for call in calls])
    programs = [from_info(info) for info in _checked(client, answers[0])]
    change = Change(*_reread(client, answers[1])[0]) if reread else Change([], [], [])
    return Observation(programs, change)


def observe_release(client: Supervisor, reread: bool = False) -> Observation:
    """Return the same as C(observe), without the notifier, which is not part of a release.

    :raises JawsError: as C(observe).
    """
    programs, change = observe(client, reread)
    return Observation([p for p in programs if p.name != NOTIFIER], change.without([NOTIFIER]))


def _reread(client: Supervisor, answer: Any) -> Any:
    if isinstance(answer, xmlrpc.client.Fault) and answer.faultCode == CANT_REREAD:
        raise JawsError(
            f"supervisord at {client.endpoint.address} cannot read its configuration: "
            f"{complaint(answer.faultString)}. Nothing was changed. Correct the file, then run "
            "this again.",
            reason="broken_conf",
        )
    return _checked(client, answer)


def _checked(client: Supervisor, answer: Any) -> Any:
    if isinstance(answer, xmlrpc.client.Fault):
        raise JawsError(
            f"supervisord at {client.endpoint.address} refused the request: "
            f"{complaint(answer.faultString)}.",
            reason="refused_by_supervisord",
        )
    return answer


def settings(client: Supervisor) -> dict[str, Setting]:
    """Return the settings that supervisord last read, by namespec, in one round trip.

    :raises JawsError: no answer.
    """
    infos = _checked(client, client.batch([("supervisor.getAllConfigInfo",)])[0])
    return {namespec(info["group"], info["name"]): _setting(info) for info in infos}


def _setting(info: Mapping[str, Any]) -> Setting:
    # Supervisor 3 returns only the first three; the rest are its defaults.
    return Setting(
        info["group"],
        info["autostart"],
        (info["group_prio"], info["process_prio"]),
        info.get("startsecs", 1),
        info.get("startretries", 3),
        info.get("stopwaitsecs", 10),
        info.get("exitcodes", [0]),
    )
