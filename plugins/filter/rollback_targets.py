# Copyright: (c) 2026, The jgi.jaws engineers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The filter that chooses the releases of a rollback."""

from __future__ import annotations

from ..plugin_utils.filters import filter_module
from ..plugin_utils.rollback import choose

DOCUMENTATION = r"""
name: rollback_targets
short_description: Choose the releases that a rollback goes to
version_added: 0.2.0
description:
  - Undoes the last deploy of each deployment. An instance that it did not change stays as it is. A
    second rollback goes further back; it never returns to what the first one left.
  - With O(release), all instances of its deployment go back to what they ran when it was deployed.
positional: _input, deployments
options:
  _input:
    description: What M(jgi.jaws.release_info) returned, by host.
    type: dict
    required: true
  deployments:
    description: The name of the deployment that the instance belongs to, by host.
    type: dict
    required: true
  release:
    description: The release to go back to.
    type: str
    default: ""
  sites:
    description: >-
      The site that the deployment belongs to, by host. Deployments with the same name at different
      sites are different. Not needed if the names of deployments are unique.
    type: dict
    version_added: 1.0.0
seealso:
  - plugin: jgi.jaws.by_host
    plugin_type: filter
  - module: jgi.jaws.release_info
author:
  - The jgi.jaws engineers (@JGI-Bioinformatics)
"""

EXAMPLES = r"""
chosen: "{{ instances | jgi.jaws.rollback_targets({'one_jaws': 'one', 'one_jtm': 'one'}) }}"
"""

RETURN = r"""
_value:
  description: >-
    C(targets), by host the id of the release to go to, without the hosts that stay as they are;
    and C(problem), a sentence that says why there are none, or empty.
  type: dict
  sample: {targets: {one_jaws: 20261122T130000Z-0123abcd}, problem: ''}
"""

FilterModule = filter_module(rollback_targets=choose)
