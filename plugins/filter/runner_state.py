# Copyright: (c) 2026, The jgi.jaws engineers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The filter that finds the state of a gitlab-runner, and what to do with its unit."""

from __future__ import annotations

from ..plugin_utils.filters import filter_module
from ..plugin_utils.runner import runner_state

DOCUMENTATION = r"""
name: runner_state
short_description: Find the state of a gitlab-runner, and what to do with its unit
version_added: 1.0.0
description:
  - Returns whether a runner runs, whether it must end before its unit is started again, and after
    which time it must have contacted GitLab.
positional: _input, restarts, main_pid, reload
options:
  _input:
    description: >-
      What M(jgi.jaws.background_command) returned about it, the latest result last. A skipped task
      does not count.
    type: list
    elements: dict
    required: true
  restarts:
    description: Whether what keeps the runner running starts it again when it ends.
    type: bool
    default: true
  main_pid:
    description: The runner's pid according to its unit. Omit it if the runner has no unit.
    type: int
  reload:
    description: Whether the configuration has changed.
    type: bool
    default: false
  acted:
    description: Whether the unit was started, reloaded or restarted after the last result.
    type: bool
    default: false
seealso:
  - module: jgi.jaws.background_command
  - plugin: jgi.jaws.runner_obstacles
    plugin_type: filter
author:
  - The jgi.jaws engineers (@JGI-Bioinformatics)
"""

EXAMPLES = r"""
state: "{{ [found] | jgi.jaws.runner_state(main_pid=4711) }}"
"""

RETURN = r"""
_value:
  description: >-
    C(running); C(due), whether it must end, because it was not started by the unit or is outdated;
    C(new), whether its state must be read again; C(unit_state), V(started), V(reloaded) or
    V(restarted); and C(since), the time of its last reload or of its start, or empty.
  type: dict
  sample: {running: true, due: false, new: false, unit_state: started, since: ''}
"""

FilterModule = filter_module(runner_state=runner_state)
