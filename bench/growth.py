# SPDX-License-Identifier: GPL-3.0-or-later
"""How the time of a deploy grows with the machines, compared with as many tasks without effect.

A machine is a pair of instances with directories of their own, on local connections. Each instance
is a real supervisord that runs one small program, or with C(--catalogue) its part of the catalogue,
as stand-ins.
"""

from __future__ import annotations

import argparse
import itertools
import shutil
import statistics
import subprocess
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import yaml
from deploy import as_often, tasks_by_host

from benchlib.processes import workshop
from benchlib.site import INSTANCES, ROOT, StandIns, play, timed

DEPLOY = "playbooks/deploy.yml"
CATALOGUE = ROOT / "roles/jaws/vars/main/catalogue.yml"
# With 50 machines, one run takes minutes.
ONCE_FROM = 50
# Below those that the kernel assigns; a machine of the local site needs three.
FIRST_PORT, PORTS = 20000, 10
PARTNER = dict(globus_endpoint="none", globus_host_path="/", uploads_dir="/tmp", max_ram_gb=5)
# Ways to run the same deploy, on a medium number of machines.
SETTINGS = {
    "as they are": ([], {}),
    "forks 2": (["--forks", "2"], {}),
    "forks 5, Ansible's default": (["--forks", "5"], {}),
    "forks 50": (["--forks", "50"], {}),
    "without pipelining": ([], {"ANSIBLE_PIPELINING": "false"}),
    "strategy free": ([], {"ANSIBLE_STRATEGY": "ansible.builtin.free"}),
    "strategy host_pinned": ([], {"ANSIBLE_STRATEGY": "ansible.builtin.host_pinned"}),
    "one machine, --limit": (["--limit", "m1_*"], {}),
}

Sample = dict[str, Any]


class Fleet:
    """A growing inventory of machines; new ones are deployed at once."""

    def __init__(self, root: Path, forks: int, catalogue: bool = False) -> None:
        self.root, self.forks = root, forks
        self.inventory = root / "inventory"
        facts = self.inventory / "group_vars/all"
        shutil.copytree(ROOT / "inventories/local/group_vars/all", facts)
        services = {} if catalogue else small_programs()
        stated = dict(site_services=services, site_wheels_command=[], jaws_window=4)
        if catalogue:
            stated["site_wheels"] = str(StandIns(root).dist)
        # Ansible reads the files in the order of their names, and the last one counts.
        (facts / "zz_bench.yml").write_text(yaml.dump(stated))
        self.machines = 0

    def grow(self, machines: int) -> None:
        """Add machines until there are that many."""
        new = [f"m{number}_*" for number in range(self.machines + 1, machines + 1)]
        self.machines = machines
        hosts = {instance: self._hosts(instance) for instance in INSTANCES}
        children = {name: dict(hosts=found) for name, found in hosts.items()}
        everyone = dict(hosts=dict.fromkeys(name for found in hosts.values() for name in found))
        text = yaml.dump(dict(supervisord=dict(children=children), dev=everyone))
        (self.inventory / "hosts.yml").write_text(text)
        done = self.play("--limit", ",".join(new))
        if done.returncode:
            raise RuntimeError(done.stdout + done.stderr)

    def _hosts(self, instance: str) -> dict[str, Any]:
        return {
            f"m{number}_{instance}": dict(
                ansible_host=f"machine{number}",
                site_root=str(self.root / f"m{number}"),
                site_id=f"M{number}",
                site_configs={"jaws-central.conf": {f"SITE:M{number}": PARTNER}},
                local_first_port=FIRST_PORT + PORTS * number,
            )
            for number in range(1, self.machines + 1)
        }

    def play(self, *arguments: str) -> subprocess.CompletedProcess[str]:
        return play(DEPLOY, *self._forks, *arguments, inventory=self.inventory)

    def reached(self) -> dict[str, int]:
        """Return how often a deploy reaches the hosts of each group.

        One host at a time, because Ansible reports addresses, and a machine has two hosts.
        """
        found = {}
        for instance in INSTANCES:
            printed = self.play("-vvv", "--limit", f"m1_{instance}").stdout
            found[instance] = tasks_by_host(printed)["machine1"]
        return found

    def timed(self, playbook: str | Path, *arguments: str, **more: str) -> float:
        return timed(playbook, *self._forks, *arguments, inventory=self.inventory, **more)

    @property
    def _forks(self) -> list[str]:
        return ["--forks", str(self.forks)]


def small_programs() -> dict[str, Any]:
    """Return the services of a site that runs one small program in each instance."""
    services: dict[str, Any] = dict.fromkeys(
        yaml.safe_load(CATALOGUE.read_text())["__jaws_catalogue"]
    )
    for instance in INSTANCES:
        sleeper = dict(instance=instance, command=["/bin/sleep", "1000000"])
        services[f"sleep-{instance}"] = sleeper
    return services


def measure(options: argparse.Namespace) -> Iterator[Sample]:
    """Yield the seconds for each number of machines, and for one more machine."""
    with workshop() as root:
        fleet = Fleet(root, options.forks, options.catalogue)
        medians: dict[int, dict[str, float]] = {}
        programs = "the whole catalogue, " if options.catalogue else ""
        for machines in sorted(options.machines):
            fleet.grow(machines)
            found = against_no_ops(fleet, 1 if machines >= ONCE_FROM else min(options.repeat, 3))
            medians[machines] = {name: statistics.median(found[name]) for name in found}
            for column, values in found.items():
                yield dict(
                    table=f"growth, {programs}no change, {options.forks} forks",
                    row=f"{machines} machines",
                    column=column,
                    unit="s",
                    values=values,
                )
            if options.settings and machines == min(10, max(options.machines)):
                yield from settings(fleet)
    yield from slopes(medians)


def against_no_ops(fleet: Fleet, repeat: int) -> dict[str, list[float]]:
    """Return the seconds of the deploy and of as many tasks without effect, in turns."""
    no_ops = fleet.root / "no-ops.yml"
    no_ops.write_text(as_often(fleet.reached()))
    found: dict[str, list[float]] = {"floor": [], "deploy": []}
    for _turn in range(repeat):
        for column, playbook in (("floor", no_ops), ("deploy", DEPLOY)):
            found[column].append(round(fleet.timed(playbook), 3))
            print(f"{fleet.machines} machines, {column}: {found[column][-1]:.1f} s", flush=True)
    return found


def slopes(medians: Mapping[int, Mapping[str, float]]) -> Iterator[Sample]:
    """Yield the seconds of one more machine, between each number of machines and the next.

    Growth is linear if they stay the same.
    """
    for (few, before), (many, after) in itertools.pairwise(sorted(medians.items())):
        for column in after:
            seconds = round((after[column] - before[column]) / (many - few), 3)
            row = f"{few} to {many} machines"
            yield dict(
                table="growth, a machine more", row=row, column=column, unit="s", values=[seconds]
            )


def settings(fleet: Fleet) -> Iterator[Sample]:
    """Yield the seconds of the same deploy under other settings."""
    for row, (arguments, environment) in SETTINGS.items():
        yield dict(
            table=f"settings, {fleet.machines} machines",
            row=row,
            column="deploy",
            unit="s",
            values=[round(fleet.timed(DEPLOY, *arguments, **environment), 3)],
        )
