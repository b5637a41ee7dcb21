# Copyright: (c) 2026, The jgi.jaws engineers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Which releases a rollback goes to, over all instances of a deployment.

Pure functions on the control node. A deploy may change some instances and leave the others as they
were, so a rollback undoes deploys, not each instance's last release. A release that a rollback goes
back to keeps its place among the deploys, so a second rollback goes back further.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator, Mapping
from typing import Any

from ..module_utils.errors import JawsError

Record = Mapping[str, Any]
# What M(jgi.jaws.release_info) returned about one instance.
Instance = Mapping[str, Any]


def choose(
    instances: Mapping[str, Instance],
    deployments: Mapping[str, str],
    release: str = "",
    sites: Mapping[str, str] | None = None,
) -> dict[str, Any]:
    """Return C(targets), as rollback_targets does, and C(problem), which says why there are none.

    :param sites: by host: the site that its deployment belongs to, if there are several sites.
    :raises JawsError: an instance was not asked, because steps of the playbook were left out.
    """
    silent = [host for host in deployments if host not in instances]
    if silent:
        raise JawsError(
            f"{', '.join(silent)} did not say in this run which releases there are. Nothing was "
            "changed. Run the playbook from its start, without --start-at-task."
        )
    of_sites = sites or {}
    names = {host: f"{of_sites.get(host, '')} {deployments[host]}".strip() for host in instances}
    try:
        return {"targets": rollback_targets(instances, names, release), "problem": ""}
    except JawsError as error:
        return {"targets": {}, "problem": str(error)}


def rollback_targets(
    instances: Mapping[str, Instance], deployments: Mapping[str, str], release: str = ""
) -> dict[str, str]:
    """Return the release that each instance goes back to; an instance that stays is left out.

    :param instances: by host.
    :param deployments: the name of the deployment that each belongs to, by host.
    :param release: the release to go back to; without it, the state before the last deploy.
    :raises JawsError: there is nothing to go back to, or that release cannot be gone back to.
    """
    groups: dict[str, dict[str, Instance]] = {}
    for host, instance in instances.items():
        groups.setdefault(deployments[host], {})[host] = instance
    if release:
        named = groups[deployments[_owner(release, instances)]]
        return _as_of(named, float(_find(release, named)["deploy"]))
    targets: dict[str, str] = {}
    for name, group in groups.items():
        targets.update(_before_the_last(group, name))
    return targets


def _owner(release: str, instances: Mapping[str, Instance]) -> str:
    """Return the host that has a release."""
    for host, instance in instances.items():
        if any(record["id"] == release for record in instance["releases"]):
            return host
    known = "; ".join(
        f"{host}: {', '.join(record['id'] for record in instance['releases']) or 'none'}"
        for host, instance in instances.items()
    )
    raise JawsError(f"there is no release {release}. The releases are: {known}.")


def _find(release: str, instances: Mapping[str, Instance]) -> Record:
    records = [record for one in instances.values() for record in one["releases"]]
    record: Record = next(record for record in records if record["id"] == release)
    if record["status"] == "bad":
        raise JawsError(f"release {release} is marked bad: {record['why']}. Choose another one.")
    if record["status"] == "unproven":
        raise JawsError(
            f"release {release} is current, but the switch to it was interrupted. Deploy again to "
            "complete it, or choose another one."
        )
    if record["status"] != "good":
        raise JawsError(
            f"release {release} was never in use, so nobody knows whether it works. Choose one "
            "that the playbook releases calls good."
        )
    return record


def _good(instance: Instance) -> Iterator[Record]:
    return (record for record in instance["releases"] if record["status"] == "good")


def _deploy_of_current(instance: Instance) -> float:
    """Return the number of the deploy that made the current release current.

    A deploy that did not succeed, as after a killed run, is later than all others. A rollback that
    was killed counts as done.
    """
    numbers = (
        record["deploy"]
        for record in instance["releases"]
        if record["id"] == instance["current"] and record["status"] in ("good", "unproven")
    )
    is_open = bool(instance.get("unproven_deploy"))
    return math.inf if is_open else next(numbers, None) or math.inf


def _before_the_last(instances: Mapping[str, Instance], deployment: str) -> dict[str, str]:
    """Return what each instance ran before the last deploy, if it ran anything."""
    numbers = {host: _deploy_of_current(one) for host, one in instances.items()}
    last = max(numbers.values())
    changed = {host: _before(one) for host, one in instances.items() if numbers[host] == last}
    targets = {host: record["id"] for host, record in changed.items() if record}
    if not targets:
        raise JawsError(
            f"{deployment} has nothing to go back to: it has no earlier good release. The playbook "
            "releases lists all releases."
        )
    stay = {host: one["current"] for host, one in instances.items() if host not in changed}
    return {**targets, **{host: current for host, current in stay.items() if current}}


def _before(instance: Instance) -> Record | None:
    """Return the good release that ran before the current one was deployed, or None."""
    deploys = {
        int(number): before
        for record in instance["releases"]
        for number, before in (record.get("deploys") or {}).items()
    }
    number = _last_deploy(instance)
    # Releases that were marked bad since then, or were removed, are skipped.
    while number in deploys:
        number = deploys[number]
        if number is None:
            return None
        for record in _good(instance):
            if number == record["deploy"] or str(number) in (record.get("deploys") or {}):
                return record
    return _newest(_good(instance), number - 1)


def _last_deploy(instance: Instance) -> Any:
    """Return the number of the deploy of the current release, even if it did not succeed."""
    current = (record for record in instance["releases"] if record["id"] == instance["current"])
    known = [int(number) for record in current for number in record.get("deploys") or {}]
    number = _deploy_of_current(instance)
    return number if number != math.inf else max(known, default=math.inf)


def _as_of(instances: Mapping[str, Instance], number: float) -> dict[str, str]:
    """Return what each instance ran when a deploy was the last one, except for later instances."""
    newest = {host: _newest(_good(one), number) for host, one in instances.items()}
    return {host: record["id"] for host, record in newest.items() if record}


def _newest(records: Iterable[Record], number: float) -> Record | None:
    known = [record for record in records if record["deploy"] <= number]
    return max(known, key=lambda record: (record["deploy"], record["id"]), default=None)
