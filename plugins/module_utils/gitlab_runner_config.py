# Copyright: (c) 2026, The jgi.jaws engineers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The core of the gitlab_runner_config module: a config.toml with one runner of our own.

People and the runner itself write to the file too: what only they have written is kept. What we
have written ourselves is noted by its names next to it, because the runner drops comments, and is
removed when it is not stated any more.
"""

from __future__ import annotations

import json
import os
import stat
from contextlib import suppress
from typing import Any

from . import toml
from .system.files import has_acl, ours, read_text, refuse_foreign, write
from .toml import Table

MODE = 0o600
HEADER = "# Written by jgi.jaws, which keeps what the inventory does not say.\n"
# What the runner itself writes, so that nobody needs to know about it.
ITS_OWN = (
    "connection_max_age",
    "session_server",
    "shutdown_timeout",
    "runners.cache",
    "runners.custom_build_dir",
    "runners.docker",
    "runners.feature_flags",
    "runners.id",
    "runners.token_expires_at",
    "runners.token_obtained_at",
)
UNKNOWN = (
    "%s has %s, which the inventory does not say. They are kept; to remove one, remove it there by "
    "hand, and to make sure of it, add it to the inventory."
)
OTHERS = "%s has other runners too: %s. They are kept and run with it; to remove one, run %s."


def manage(params: dict[str, Any], check_mode: bool) -> dict[str, Any]:
    """Write the file if it does not mean what it should; see the gitlab_runner_config module.

    :raises JawsError: it cannot be understood (unreadable_file), is another user's (foreign_owner)
        or cannot be written (cannot_write).
    """
    path = os.path.realpath(params["path"])
    refuse_foreign(path, ours())
    found = toml.parse(read_text(path) or "", path)
    stated = toml.parse(params["content"], "content")
    note = f"{path}.written"
    kept = without_dropped(stated, found, noted(note))
    wanted = combined(stated, kept, params["keep_token"])
    changed = wanted != found or not is_closed(path)
    if changed and not check_mode:
        write(path, HEADER + toml.dump(wanted), MODE)
    if noted(note) != names(stated) and not check_mode:
        write(note, json.dumps(names(stated)), MODE)
    return dict(changed=changed, warn=warnings(path, stated, kept))


def noted(path: str) -> dict[str, list[list[str]]]:
    """Return the names of what an earlier run has written; nothing if that is unknown.

    :raises JawsError: as C(manage).
    """
    refuse_foreign(path, ours())
    with suppress(ValueError):
        return dict(json.loads(read_text(path) or "{}"))
    return {}


def names(stated: Table) -> dict[str, list[list[str]]]:
    """Return the names of what is stated, globally and for the runner."""
    (own,) = stated["runners"]
    others = {name: value for name, value in stated.items() if name != "runners"}
    return {"global": toml.names(others), "runner": toml.names(own)}


def without_dropped(stated: Table, found: Table, before: dict[str, list[list[str]]]) -> Table:
    """Return what the file means without what we have written and is not stated any more."""
    now = names(stated)
    gone = {part: [n for n in before.get(part, []) if n not in now[part]] for part in now}
    runners = list(found.get("runners", []))
    number = number_of(stated["runners"][0], runners)
    if number is not None:
        runners[number] = toml.without(runners[number], gone["runner"])
    others = {name: value for name, value in found.items() if name != "runners"}
    return {**toml.without(others, gone["global"]), **({"runners": runners} if runners else {})}


def is_closed(path: str) -> bool:
    """Whether the file exists, and nobody else may read it."""
    try:
        return stat.S_IMODE(os.stat(path).st_mode) == MODE and not has_acl(path)
    except FileNotFoundError:
        return False


def combined(stated: Table, found: Table, keep_token: bool) -> Table:
    """Return what the file should mean.

    :param stated: global settings, and one runner.
    :param found: what the file means now.
    :param keep_token: whether the runner's token in the file is better than the stated one.
    """
    (own,) = stated["runners"]
    runners = list(found.get("runners", []))
    number = number_of(own, runners)
    known = runners[number] if number is not None else {}
    kept = {"token": known["token"]} if keep_token and "token" in known else {}
    runner = toml.merged({**own, **kept}, known, "runners.")
    if number is None:
        runners.append(runner)
    else:
        runners[number] = runner
    others = {name: value for name, value in stated.items() if name != "runners"}
    return {**toml.merged(others, found), "runners": runners}


def number_of(own: Table, runners: list[Table]) -> int | None:
    """Return which runner of a file is ours: the one with our token, or else with our name."""
    for name in ("token", "name"):
        for number, runner in enumerate(runners):
            if all(is_same(runner, own, key) for key in ("url", name)):
                return number
    return None


def is_same(one: Table, other: Table, name: str) -> bool:
    """Whether a text is the same in two tables; a slash at the end does not count."""
    return toml.text_of(one, name).rstrip("/") == toml.text_of(other, name).rstrip("/")


def warnings(path: str, stated: Table, found: Table) -> list[str]:
    """Return what a reader should know about what is kept."""
    (own,) = stated["runners"]
    runners = found.get("runners", [])
    number = number_of(own, runners)
    names = toml.only_in({**found, "runners": []}, stated)
    if number is not None:
        names += toml.only_in(runners[number], own, "runners.")
    unknown = [name for name in names if not f"{name}.".startswith(tuple(f"{n}." for n in ITS_OWN))]
    others = [toml.text_of(one, "name") or "?" for at, one in enumerate(runners) if at != number]
    told = [UNKNOWN % (path, ", ".join(unknown))] if unknown else []
    return told + [OTHERS % (path, ", ".join(others), "`gitlab-runner unregister`")] * bool(others)
