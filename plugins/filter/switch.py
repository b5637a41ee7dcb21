# Copyright: (c) 2026, The jgi.jaws engineers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The filter that says whether a switch of several instances succeeded."""

from __future__ import annotations

from ..plugin_utils.filters import filter_module
from ..plugin_utils.play import switch

DOCUMENTATION = r"""
name: switch
short_description: Say whether a switch of several instances succeeded
version_added: 1.0.0
description:
  - A switch of several instances succeeds only if it succeeds on each of them. If one fails or is
    unreachable, all of them must switch back.
positional: _input, results
options:
  _input:
    description: >-
      What M(jgi.jaws.release) with O(jgi.jaws.release#module:state=prepared), or
      M(jgi.jaws.release_info), returned before the switch, by host.
    type: dict
    required: true
  results:
    description: What the switch returned, by host, on the hosts that are still reachable.
    type: dict
    required: true
  hosts:
    description: The hosts that switch. Without them, all hosts of O(_input).
    type: list
    elements: str
  host:
    description: The host that asks. It switches even if it is not in O(_input).
    type: str
    default: ""
    version_added: 1.0.0
  reverted:
    description: What going back returned, by host, once that was done.
    type: dict
    version_added: 1.0.0
seealso:
  - plugin: jgi.jaws.by_host
    plugin_type: filter
  - plugin: jgi.jaws.rollback_targets
    plugin_type: filter
  - module: jgi.jaws.release
author:
  - The jgi.jaws engineers (@JGI-Bioinformatics)
"""

EXAMPLES = r"""
deployed: "{{ prepared | jgi.jaws.switch(switched) }}"
"""

RETURN = r"""
_value:
  description: >-
    C(hosts), those that switch; C(deploy), the number of the deploy that they have in common;
    C(unheld), those that failed or did not answer; C(problem), why there is nothing to switch to,
    or empty; and C(summary), what each of them runs after a switch that failed.
  type: dict
  sample:
    hosts: [one_jaws, one_jtm]
    deploy: 1796000000
    unheld: [one_jtm]
    problem: ""
    summary: |-
      The switch failed on one_jtm, for the reason above.
      one_jaws runs 20261121T130000Z-4567cdef, as before.
      one_jtm runs 20261121T130001Z-89abcdef, as before.
"""

FilterModule = filter_module(switch=switch)
