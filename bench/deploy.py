# SPDX-License-Identifier: GPL-3.0-or-later
"""How long a deploy takes that changes nothing, compared with as many tasks that do nothing.

The floor is a play that reaches each of the two hosts as often as the deploy does, each time with
ansible.builtin.ping; the row says how often that is.
"""

from __future__ import annotations

import argparse
import re
from collections import Counter
from collections.abc import Iterator, Mapping
from typing import Any

from benchlib.processes import workshop
from benchlib.site import Site, StandIns, play, timed

# One line for each module that reaches a host, as Ansible reports it at -vvv.
REACHES = re.compile(r"^<(\S+)> EXEC .*python", re.MULTILINE)
PLAY = """\
- hosts: {hosts}
  gather_facts: false
  tasks:
"""
TASK = "    - ansible.builtin.ping:\n"


def measure(options: argparse.Namespace) -> Iterator[dict[str, Any]]:
    """Yield a deploy that changes nothing, and as many tasks that do nothing."""
    with workshop() as root:
        site = Site(root, StandIns(root))
        site.set_up()
        reached = tasks_by_host(play("playbooks/deploy.yml", "-vvv", *site.extra()).stdout)
        no_ops = root / "no-ops.yml"
        no_ops.write_text(as_often(reached))
        values: dict[str, list[float]] = {"floor": [], "deploy": []}
        for _turn in range(options.repeat):
            values["floor"].append(timed(no_ops, *site.extra()))
            values["deploy"].append(timed("playbooks/deploy.yml", *site.extra()))
    row = ", ".join(f"{host} {number} tasks" for host, number in sorted(reached.items()))
    for column, seconds in values.items():
        yield dict(table="deploy, no change", row=row, column=column, unit="s", values=seconds)


def tasks_by_host(printed: str) -> Counter[str]:
    """Return how many modules reached each host, according to -vvv."""
    return Counter(REACHES.findall(printed))


def as_often(reached: Mapping[str, int]) -> str:
    """Return a playbook that reaches hosts, or patterns of hosts, as often as it says.

    All of them at once as often as each of them, and then the others alone.
    """
    common = min(reached.values())
    plays = [(":".join(reached), common)]
    plays += [(hosts, number - common) for hosts, number in reached.items() if number > common]
    return "".join(PLAY.format(hosts=hosts) + TASK * number for hosts, number in plays)
