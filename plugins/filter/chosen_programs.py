# Copyright: (c) 2026, The jgi.jaws engineers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The filter that finds programs by name on several instances."""

from __future__ import annotations

from ..plugin_utils.filters import filter_module
from ..plugin_utils.play import chosen_programs

DOCUMENTATION = r"""
name: chosen_programs
short_description: Find programs by name on several instances
version_added: 1.0.0
description:
  - Returns which of the named programs each instance has, so that one command can act on all
    instances. A name that no instance has is reported as a problem.
positional: _input, wanted
options:
  _input:
    description: What M(jgi.jaws.supervisorctl_info) returned, by host.
    type: dict
    required: true
  wanted:
    description: Names of programs, as a list or separated by commas, or V(all).
    type: raw
    required: true
  keep_stopped:
    description: >-
      V(all) does not include programs that are STOPPED. A program that is named is always included.
    type: bool
    default: false
seealso:
  - plugin: jgi.jaws.by_host
    plugin_type: filter
  - module: jgi.jaws.supervisorctl
author:
  - The jgi.jaws engineers (@JGI-Bioinformatics)
"""

EXAMPLES = r"""
chosen: "{{ instances | jgi.jaws.chosen_programs('jaws-jtm,jaws-cromwell') }}"
"""

RETURN = r"""
_value:
  description: >-
    C(programs), by host the names of those of its programs that were named; and C(problem), a
    sentence that says which names no instance has, or empty.
  type: dict
  sample: {programs: {one_jaws: [], one_jtm: [jaws-jtm, jaws-cromwell]}, problem: ''}
"""

FilterModule = filter_module(chosen_programs=chosen_programs)
