# Copyright: (c) 2026, The jgi.jaws engineers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The model of an instance's releases: the state of each, what changes it, and what ran before.

A release is
  prepared: its files are there; it was never current, or the deploy that switched to it was undone,
  unproven: it is current, but nobody knows if it holds, because the run that switched to it did
            not end, or no supervisord ran,
  good: it has held, or
  bad: it did not hold, and what ran before it came back.

C(switched) and C(returned) make a release the current one, by a deploy or by a rollback. It is
unproven until C(held) makes it good, C(failed) makes it bad, or C(undone) makes it what it was.

A deploy has a number, which is greater than the numbers of earlier deploys. A release that was
deployed several times has several numbers; C(deploy) is the one that counts while it is current. A
rollback adds no number: it makes an earlier one count again, so a second rollback goes back further
and the next deploy knows what ran before it.

Pure functions. A record's C(replaced) is about the last switch to it: C(by), the number of the
deploy; C(after), the deploy before it; C(programs) and C(links), what ran; C(was), its own state
before; C(returning), whether this was a rollback; C(pending), whether it is not known if it holds.
"""

from __future__ import annotations

import itertools
from typing import Any, Collection, Dict, Iterator, Mapping, Optional, Sequence

Record = Dict[str, Any]
# By the number of a deploy, as text: the number of the deploy before it, or None.
Deploys = Dict[str, Optional[int]]

OWN_STATE = ("status", "deploy", "deploys", "activated")


def state(record: Record, current: str | None) -> str:
    """Return the state of a release.

    :param current: the id of the current release.
    """
    status = str(record["status"])
    is_open = status == "prepared" or (status == "good" and _pending(record))
    return "unproven" if is_open and record["id"] == current else status


def standing(record: Record, current: Record | None, known: Sequence[Record]) -> str:
    """Return the state of a release as people see it: also C(current), and C(rolled back).

    The latter is a good release that no rollback would return to any more.

    :param current: the record of the current release, if there is one.
    :param known: all records.
    """
    found = state(record, current["id"] if current else None)
    if found != "good" or current is None:
        return found
    if record["id"] == current["id"]:
        return "current"
    chain = [*_chain(open_deploy(current) or current.get("deploy"), current, known)]
    own = [int(number) for number in record.get("deploys") or {}]
    is_past = not own or not chain or {*own} & {*chain} or min(own) < min(chain)
    return "good" if is_past else "rolled back"


def told(record: Record, number: int, about: Mapping[str, str]) -> Record:
    """Return the record with what is known about the deploy of that number, such as its author.

    If it is a rollback, it has a value C(rollback).
    """
    known, key = record.get("about") or {}, str(number)
    # What proves a rollback later does not know that it is one.
    return dict(record, about={**known, key: {**known.get(key, {}), **about}})


def about(record: Record) -> Mapping[str, str]:
    """Return what is known about the deploy of a release that counts, or about its last one."""
    every = (record.get("about") or {}).items()
    known = {number: found for number, found in every if not found.get("rollback")}
    last = max(known, key=int, default="")
    return known.get(str(record.get("deploy"))) or known.get(last) or {}


def rollback(record: Record) -> Mapping[str, str] | None:
    """Return what is known about the rollback that has switched to a release last, if one has."""
    found = (record.get("about") or {}).get(str(_replaced(record).get("by"))) or {}
    return found if found.get("rollback") else None


def is_sound(record: Record) -> bool:
    """Whether a release held when it was switched to last."""
    return bool(record["status"] == "good") and not _replaced(record).get("pending")


def switched(record: Record, current: Record | None, programs: str, number: int) -> Record:
    """Return the record of a release that is about to become the current one in a deploy.

    :param current: the record of the release that it replaces, if there is one.
    :param programs: what runs, as in the configuration.
    :param number: of the deploy.
    """
    after = last_number(current)
    again = current is not None and current["id"] == record["id"]  # it was changed by hand
    if again and _pending(record):
        return continued(record, number)
    # Over a deploy that was interrupted, what ran before it comes back.
    back = (again and record["status"] == "good") or str(after) in deploys(record, False)
    replaced = _replacing(record, current, programs, number)
    counts = after if back else record.get("deploy")
    # A bad release that is tried again is not known to be bad.
    status = "good" if record["status"] == "good" else "prepared"
    replaced["returning"] = back
    return dict(record, replaced=replaced, deploy=counts, status=status)


def returned(
    record: Record, current: Record | None, programs: str, number: int, known: Sequence[Record]
) -> Record:
    """Return the record of a release that is about to become the current one in a rollback.

    :param known: all records; the other parameters are those of C(switched).
    """
    again = current is not None and current["id"] == record["id"]
    counts = record["deploy"] if again else _counting_again(record, current, known)
    replaced = _replacing(record, current, programs, number)
    return dict(record, replaced=dict(replaced, returning=True), deploy=counts)


def _replacing(
    record: Record, current: Record | None, programs: str, number: int
) -> dict[str, Any]:
    return dict(
        by=number,
        after=last_number(current),
        programs=programs,
        links=current["links"] if current else {},
        was={key: record.get(key) for key in OWN_STATE},
        pending=True,
    )


def continued(record: Record, number: int) -> Record:
    """Return the record of an unproven release for the deploy that completes the switch to it."""
    replaced = _replaced(record)
    return dict(record, replaced=dict(replaced, by=number)) if replaced else record


def held(record: Record, number: int, now: float) -> Record:
    """Return the record of a current release that has held.

    :param number: of the deploy, for a record that does not have it yet.
    """
    replaced = _replaced(record)
    good = dict(record, status="good", activated=round(now, 3), why="")
    if replaced:
        good["replaced"] = dict(replaced, pending=False)
    if replaced.get("returning"):
        return good
    by = replaced.get("by", number)
    known = {**(record.get("deploys") or {}), str(by): replaced.get("after")}
    return dict(good, deploy=by, deploys=known)


def failed(record: Record, why: str) -> Record:
    """Return the record of a release that did not hold."""
    return dict(record, status="bad", why=why)


def undone(record: Record) -> Record:
    """Return the record of a release as it was before the last switch to it."""
    was = _replaced(record)["was"]
    return {key: value for key, value in {**record, **was}.items() if key != "replaced"}


def deploys(record: Record, is_current: bool) -> Deploys:
    """Return the deploys of a release, including one that switched to it and is not verified."""
    found = dict(record.get("deploys") or {})
    replaced = _replaced(record)
    if is_current and _is_open_deploy(record) and "after" in replaced:
        found[str(replaced["by"])] = replaced["after"]
    return found


def open_deploy(record: Record | None) -> int | None:
    """Return the number of the deploy of a current release that is not verified, or None."""
    is_open = record is not None and _is_open_deploy(record)
    return int(_replaced(record)["by"]) if record and is_open else None


def last_number(record: Record | None) -> int | None:
    """Return the number of the deploy that a later release would go back to.

    :param record: of the current release; if it was never verified, what ran before it counts.
    """
    if record is None:
        return None
    replaced = _replaced(record)
    is_good = record["status"] == "good"
    counts = is_good and (replaced.get("returning") or not replaced.get("pending"))
    found: int | None = record["deploy"] if counts else replaced.get("after")
    return found


def _counting_again(record: Record, current: Record | None, known: Sequence[Record]) -> Any:
    """Return the number of the deploy that counts after a rollback from the current release.

    It is the last one of the release before what runs now; or the one that counted last.
    """
    number = (open_deploy(current) or current.get("deploy")) if current else None
    own = deploys(record, False)
    earlier = itertools.islice(_chain(number, current, known), 1, None)
    return next((one for one in earlier if str(one) in own), record["deploy"])


def _chain(number: int | None, current: Record | None, known: Sequence[Record]) -> Iterator[int]:
    """Yield the number of a deploy, and of those before it that a rollback goes through."""
    before: Deploys = {}
    for one in known:
        before.update(deploys(one, current is not None and one["id"] == current["id"]))
    while number is not None:
        yield number
        number = before.get(str(number))


def _replaced(record: Record) -> Mapping[str, Any]:
    return record.get("replaced") or {}


def _pending(record: Record) -> bool:
    """Whether the last switch to a current release is not verified."""
    replaced = _replaced(record)
    return bool(replaced) and (bool(replaced.get("pending")) or record["status"] != "good")


def _is_open_deploy(record: Record) -> bool:
    return _pending(record) and not _replaced(record).get("returning")


def last_good(records: Sequence[Record], other_than: str) -> Record | None:
    """Return the sound release that was activated last, or None."""
    good = [record for record in records if is_sound(record) and record["id"] != other_than]
    return max(good, key=lambda record: float(record.get("activated") or 0), default=None)


def next_deploy(records: Sequence[Record], now: float) -> int:
    """Return a number for a new deploy: Unix seconds, but greater than any known number.

    The clock may have been set back.
    """
    known = [record.get("deploy") or 0 for record in records]
    known += [_replaced(record).get("by") or 0 for record in records]
    return max([int(now), *(number + 1 for number in known)])


def spliced(kept: Sequence[Record], gone: Collection[Record]) -> Iterator[Record]:
    """Yield the kept records that change if others are removed, so that a rollback finds its way.

    What ran before a removed release is then what ran before those after it.
    """
    lost = {
        int(number): after
        for record in gone
        for number, after in (record.get("deploys") or {}).items()
    }
    for record in kept:
        known = record.get("deploys") or {}
        found = {number: _found(after, lost) for number, after in known.items()}
        replaced = dict(_replaced(record))
        if "after" in replaced:
            replaced["after"] = _found(replaced["after"], lost)
        if found != known or replaced != _replaced(record):
            yield dict(record, deploys=found, replaced=replaced)


def _found(number: int | None, lost: Mapping[int, int | None]) -> int | None:
    while number is not None and number in lost:
        number = lost[number]
    return number
