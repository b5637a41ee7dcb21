# Copyright: (c) 2026, The jgi.jaws engineers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What a deploy or a rollback has done, or would do, and the history of all deploys, in words.

Pure functions on the control node. What is done and what would be done differ only in their tense.
"""

from __future__ import annotations

import os
import re
import shlex
import textwrap
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from ..module_utils.errors import SECRET_NAME
from .table import duration, format_table
from .text import cut, plain

Result = Mapping[str, Any]

VERBS = {
    "restart": ("restarted", "would restart"),
    "start": ("started", "would start"),
    "remove": ("removed", "would remove"),
    "leave": ("left alone", "would leave alone"),
}
HISTORY = ("instance", "release", "state", "deploy")
ORIGIN = {"author": "by", "commit": "commit", "pipeline": "pipeline", "ci_job": ""}
UNKNOWN = "its definition has changed"
MOST_REASONS = 5
MOST_VALUE = 60  # columns
OUTDATED = (
    "supervisord runs from an older installation; the playbook upgrade_supervisor restarts it"
)
POSTPONED = "unproven: nothing runs yet; what starts next proves it, or takes it back"
PLURAL = {"it is": "they are", "it was": "they were", "it uses": "they use", "it has": "they have"}
# Options of ansible-playbook that another run of it needs too.
GIVEN = {
    "inventory": "-i",
    "subset": "--limit",
    "vault_ids": "--vault-id",
    "vault_password_files": "--vault-password-file",
}
ASKED = {"become_ask_pass": "-K", "ask_vault_pass": "-J"}


def summary(instances: Mapping[str, Result], is_plan: bool, undo: str, width: int) -> list[str]:
    """Return the lines about all instances.

    :param instances: by host: what M(jgi.jaws.release) returned.
    :param undo: the command that undoes it.
    """
    lines = [
        part for host, found in instances.items() for part in _of_instance(host, found, is_plan)
    ]
    lines += [
        f"due on {host}: {OUTDATED}" for host, one in instances.items() if one.get("outdated")
    ]
    if any(_before(one) not in (None, one["id"]) for one in instances.values()):
        lines.append(f"to undo this: {undo}")
    return [piece for line in lines for piece in _laid_out(line, width)]


def _before(found: Result) -> str | None:
    """Return the release before: V(active) and V(prepared) call it differently."""
    release: str | None = found.get("before", found.get("current"))
    return release


def _of_instance(host: str, found: Result, is_plan: bool) -> list[str]:
    before, known = _before(found), found.get("changes", [])
    after = "a new release" if is_plan and found.get("published") else found["id"]
    is_same = before == found["id"]
    title = f"{before}, unchanged" if is_same else f"{before or 'nothing'} → {after}"
    done = _sentences(found.get("actions", []), known, is_plan, is_same)
    down = [
        f"{one['program']} {one['down']:g} s" for one in found.get("actions", []) if one.get("down")
    ]
    acted = {one["program"] for one in found.get("actions", []) if one["action"] != "leave"}
    idle = [described(one) for one in known if not acted & {*one["programs"]}]
    return [
        f"{host}: {title}",
        *([f"  {POSTPONED}"] if found.get("postponed") else []),
        *(f"  {sentence}" for sentence in done),
        *([f"  without a restart: {_few(idle)}"] if idle else []),
        *([f"  down: {', '.join(down)}"] if down else []),
    ]


def _sentences(
    done: Sequence[Result], known: Sequence[Result], is_plan: bool, is_same: bool
) -> list[str]:
    """Return one sentence for all programs to which the same was done for the same reason."""
    found: dict[tuple[str, str], list[str]] = {}
    for one in done:
        is_idle = one["action"] == "leave" and "stopped" not in one["why"]
        if not (is_same and is_idle):
            found.setdefault((one["action"], _why(one, known)), []).append(one["program"])
    order = list(VERBS)
    ordered = sorted(found.items(), key=lambda item: order.index(item[0][0]))
    return [
        f"{VERBS[action][is_plan]} {', '.join(programs)}{_because(why, len(programs))}"
        for (action, why), programs in ordered
    ]


def _because(why: str, count: int) -> str:
    for one, several in PLURAL.items() if count > 1 else ():
        why = re.sub(rf"\b{one}\b", several, why)
    return f" because {why}" if why else ""


def _why(one: Result, known: Sequence[Result]) -> str:
    if one["action"] != "restart":
        return str(one["why"])
    return (
        _few([described(each) for each in known if one["program"] in each["programs"]]) or UNKNOWN
    )


def _few(told: Sequence[str]) -> str:
    left = len(told) - MOST_REASONS
    return "; ".join(told[:MOST_REASONS]) + (f"; and {left} more" if left > 0 else "")


def described(change: Result) -> str:
    """Return one difference between two releases in words."""
    item, kind = plain(change["item"]), change["change"]
    before, after = (cut(plain(change[key] or ""), MOST_VALUE) for key in ("before", "after"))
    if kind == "changed" and (before or after):
        return f"{item} {before or '(empty)'} → {after or '(empty)'}"
    value = {"added": after, "removed": before}.get(kind, "")
    return f"{item} {kind}" + (f" ({value})" if value else "")


def _laid_out(line: str, width: int) -> list[str]:
    own = line[: len(line) - len(line.lstrip())]
    return textwrap.wrap(
        line.strip(),
        width,
        initial_indent=own,
        subsequent_indent=own + "    ",
        break_on_hyphens=False,
        break_long_words=False,
    )


def comparison(instances: Mapping[str, Result], width: int) -> list[str]:
    """Return what differs between two releases, on the instances that have both."""
    lines = []
    for host, found in instances.items():
        pair = found.get("compared")
        if pair:
            told = [f"  {described(change)}" for change in pair["changes"]]
            lines += [f"{host}: {' → '.join(pair['releases'])}", *(told or ["  nothing differs"])]
    return [piece for line in lines for piece in _laid_out(line, width)]


def history(instances: Mapping[str, Result], packages: str, now: float, width: int) -> list[str]:
    """Return the table of releases; below each row is what it has no room for.

    :param packages: a regular expression: which packages are shown.
    """
    known = [(host, one) for host, found in instances.items() for one in found["releases"]]
    rows = [_row(host, one, instances[host]["current"]) for host, one in known]
    heading, *lines = format_table(HISTORY, rows).splitlines()
    found = [heading]
    for line, (_host, one) in zip(lines, known, strict=True):
        why = cut(one["why"] or "", 2 * width) or _packages(one, packages)
        told = filter(None, (*_origins(one, now), why))
        found += [line, *(piece for text in told for piece in _laid_out(f"  {text}", width))]
    return found


def _row(host: str, release: Result, current: str | None) -> Result:
    state, is_current = release["state"], release["id"] == current
    standing = f"{state}, current" if is_current and state in ("bad", "prepared") else state
    return {
        "instance": host,
        "release": release["id"],
        "state": standing,
        "deploy": release["deploy"],
    }


def _origins(release: Result, now: float) -> Iterable[str]:
    """Yield who deployed a release, and who has gone back to it last."""
    at, back = release["activated"], release.get("rollback")
    since = release["deploy"] if back else at  # the number of a deploy is its time
    if since:
        yield _origin("deployed", now - since, release)
    else:
        yield _origin("prepared", now - release["created"], release)
    if back and at:
        yield _origin("gone back to", now - at, back)


def _origin(what: str, age: float, known: Result) -> str:
    """Return when that was done to a release, by whom, from what, and what for."""
    facts = [
        f"{what} {duration(age)} ago",
        *(f"{word} {known[key]}".strip() for key, word in ORIGIN.items() if known.get(key)),
    ]
    told = f": {known['comment']}" if known.get("comment") else ""
    return plain(", ".join(facts).replace(", by ", " by ", 1) + told)


def _packages(release: Result, shown: str) -> str:
    return " ".join(one for one in release["packages"] or [] if re.search(shown, one))


def undoing(arguments: Mapping[str, Any], folder: str, python: str, release: str = "") -> str:
    """Return the command that goes back to what ran before.

    :param arguments: those of ansible-playbook, as Ansible has parsed them.
    :param folder: the directory that it was called in.
    :param python: the interpreter that runs it.
    :param release: what to go to; without it, the last deploy is undone.
    """
    playbook = next(iter(arguments.get("args") or ["deploy"]))
    words = [
        _program(python, folder),
        re.sub(r"\w+(?=(\.ya?ml)?$)", "rollback", _relative(playbook, folder), count=1),
    ]
    for name, option in GIVEN.items():
        value = arguments.get(name) or []
        for one in [value] if isinstance(value, str) else value:
            words += [option, _relative(one, folder)]
    words += [flag for name, flag in ASKED.items() if arguments.get(name)]
    words += [part for one in arguments.get("extra_vars") or [] for part in _variables(one)]
    words += ["-e", f"release={release}"] if release else []
    return shlex.join(words)


def _program(python: str, folder: str) -> str:
    """Return how ansible-playbook is called: in a clone, which sets it up, by its path."""
    path = _relative(os.path.join(os.path.dirname(python), "ansible-playbook"), folder)
    return "ansible-playbook" if os.path.isabs(path) else path


def _variables(given: str) -> Iterable[str]:
    """Yield the option for variables, unless they may hold a secret or are about one run."""
    name = given.partition("=")[0].strip()
    if given.startswith("@") or (name.isidentifier() and not SECRET_NAME.search(given)):
        yield from [] if name in ("message", "release") else ["-e", given]
    else:
        yield from ["-e", "..."]


def _relative(path: str, folder: str) -> str:
    found = os.path.relpath(path, folder) if os.path.isabs(path) else path
    return path if found.startswith("..") else found
