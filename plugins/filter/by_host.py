# Copyright: (c) 2026, The jgi.jaws engineers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The filter that collects a variable of several hosts."""

from __future__ import annotations

from ..plugin_utils.filters import filter_module
from ..plugin_utils.play import by_host

DOCUMENTATION = r"""
name: by_host
short_description: Collect a variable of several hosts
version_added: 1.0.0
description:
  - Returns the value of one variable on each of several hosts, for example of a registered result.
  - A host that does not have the variable is left out. Variables that a role defines for itself are
    not among a host's variables.
positional: _input, name, hosts
options:
  _input:
    description: The variables of all hosts, which Ansible provides as C(hostvars).
    type: dict
    required: true
  name:
    description: The name of the variable.
    type: str
    required: true
  hosts:
    description: The hosts, for example C(ansible_play_hosts).
    type: list
    elements: str
    required: true
author:
  - The jgi.jaws engineers (@JGI-Bioinformatics)
"""

EXAMPLES = r"""
found: "{{ hostvars | jgi.jaws.by_host('services', ansible_play_hosts) }}"
"""

RETURN = r"""
_value:
  description: The values, by host.
  type: dict
  sample: {one: {changed: false}, other: {changed: true}}
"""

FilterModule = filter_module(by_host=by_host)
