# Copyright: (c) 2026, The jgi.jaws engineers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Which deploys made a release current, and what ran before each of them.

A deploy has a number, which is greater than the numbers of earlier deploys. A release that was
deployed several times has several numbers; C(deploy) is the one that counts while it is current. A
rollback adds no number: it makes an earlier one count again, so a second rollback goes back further
and the next deploy knows what ran before it.
"""

from __future__ import annotations

from typing import Any, Dict, Mapping, Optional

Record = Mapping[str, Any]
# By the number of a deploy, as text: the number of the deploy before it, or None.
Deploys = Dict[str, Optional[int]]


def deploys(record: Record) -> Deploys:
    """Return the deploys of a release, including one that switched to it and is not verified."""
    found = dict(record.get("deploys") or {})
    replaced = record.get("replaced") or {}
    if record["status"] != "good" and "after" in replaced:
        found[str(replaced["by"])] = replaced["after"]
    return found


def number(record: Record | None) -> int | None:
    """Return the number of the deploy that a later release would go back to.

    :param record: of the current release; if it was never verified, what ran before it
        counts.
    """
    if record is None:
        return None
    if record["status"] == "good":
        return int(record["deploy"])
    unproven = record.get("replaced") or {}
    after: int | None = unproven.get("after")
    return after


def proven(record: Record, deploy: int) -> dict[str, Any]:
    """Return what a successful deploy adds to the record of its release."""
    after = (record.get("replaced") or {}).get("after")
    return dict(deploy=deploy, deploys={**(record.get("deploys") or {}), str(deploy): after})


def counting_again(record: Record, current: Record | None) -> dict[str, Any]:
    """Return what a rollback from the current release changes in the record of its target."""
    before = deploys(current).get(str(_number_of(current))) if current else None
    return dict(deploy=before if str(before) in deploys(record) else record["deploy"])


def _number_of(record: Record) -> int | None:
    """Return the number of the deploy that made a current release current."""
    unproven = record["status"] != "good" and record.get("replaced")
    found: int | None = unproven["by"] if unproven else record.get("deploy")
    return found
