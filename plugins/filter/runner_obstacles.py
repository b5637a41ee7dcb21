# Copyright: (c) 2026, The jgi.jaws engineers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The filter that says what keeps a gitlab-runner from working."""

from __future__ import annotations

from ..plugin_utils.filters import filter_module
from ..plugin_utils.runner import runner_obstacles

DOCUMENTATION = r"""
name: runner_obstacles
short_description: Say what keeps a gitlab-runner from working
version_added: 1.0.0
description:
  - Returns a sentence for each thing on the host or at GitLab that must be corrected first.
positional: _input
options:
  _input:
    description: What M(jgi.jaws.gitlab_runner_info) returned.
    type: dict
    required: true
  own_units:
    description: The names of the units that are written for this runner.
    type: list
    elements: str
    default: []
  needs_lingering:
    description: Whether the runner would end when its user logs out.
    type: bool
    default: false
  binary:
    description: What M(ansible.builtin.stat) returned about a binary that is already on the host.
    type: dict
  path:
    description: The path of that binary.
    type: path
    default: ""
  sha256:
    description: The digest that it must have. Empty for any.
    type: str
    default: ""
seealso:
  - module: jgi.jaws.gitlab_runner_info
  - plugin: jgi.jaws.runner_state
    plugin_type: filter
author:
  - The jgi.jaws engineers (@JGI-Bioinformatics)
"""

EXAMPLES = r"""
obstacles: "{{ seen | jgi.jaws.runner_obstacles(needs_lingering=true) }}"
"""

RETURN = r"""
_value:
  description: The sentences.
  type: list
  elements: str
  sample: ["/opt/gitlab-runner does not exist or is not executable."]
"""

FilterModule = filter_module(runner_obstacles=runner_obstacles)
