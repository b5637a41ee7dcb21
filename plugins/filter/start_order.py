# Copyright: (c) 2026, The jgi.jaws engineers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The filter that says in which order the instances of a deployment start."""

from __future__ import annotations

from ..plugin_utils.filters import filter_module
from ..plugin_utils.instances import start_order

DOCUMENTATION = r"""
name: start_order
short_description: Say in which order the instances of a deployment start
version_added: 1.0.0
description:
  - Returns the instances that belong to the same deployment as a host, in the order in which a boot
    starts them. It stops them in the reverse order, which is that of the inventory.
positional: _input, host
options:
  _input:
    description:
      - By host, C(group), which the instances of one deployment have in common, and C(boot), a
        mapping. The group of an instance that a boot cannot start is empty.
    type: dict
    required: true
  host:
    description: The host.
    type: str
    required: true
author:
  - The jgi.jaws engineers (@JGI-Bioinformatics)
seealso:
  - plugin: jgi.jaws.by_host
    plugin_type: filter
"""

EXAMPLES = r"""
order: "{{ instances | jgi.jaws.start_order(inventory_hostname) }}"
"""

RETURN = r"""
_value:
  description: The C(hosts), and the mappings C(boot) of these hosts as C(instances).
  type: dict
  sample: {hosts: [site_dev_jtm, site_dev_jaws], instances: [{name: jtm}, {name: jaws}]}
"""

FilterModule = filter_module(start_order=start_order)
