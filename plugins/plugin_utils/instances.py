# Copyright: (c) 2026, The jgi.jaws engineers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""In which order the instances of a deployment start and stop.

Pure functions on the control node.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any


def start_order(instances: Mapping[str, Mapping[str, Any]], host: str) -> dict[str, Any]:
    """Return the instances of a host's deployment, in the order in which they start.

    What the inventory lists first stops first, and starts last.

    :param instances: by host: C(group), which the instances of a deployment have in common, empty
        for one that a boot cannot start, and C(boot), what the boot script needs.
    """
    group = instances[host]["group"]
    peers = [name for name, one in instances.items() if group and one["group"] == group]
    hosts = peers[::-1]
    return {"hosts": hosts, "instances": [instances[name]["boot"] for name in hosts]}
