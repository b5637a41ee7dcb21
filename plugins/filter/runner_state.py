# Copyright: (c) 2026, The jgi.jaws engineers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The filter that says how a gitlab-runner is, and what its unit has to become."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from ..plugin_utils.filters import as_filter
from ..plugin_utils.runner import runner_state

DOCUMENTATION = r"""
name: runner_state
short_description: Say how a gitlab-runner is, and what its unit has to become
version_added: 0.3.0
description:
  - Returns whether a runner runs, whether it has to end before its unit is started anew, and since
    when GitLab has to have heard of it.
positional: _input, main_pid, reload
options:
  _input:
    description: >-
      What M(jgi.jaws.background_command) returned of it, the latest look last. One that was skipped
      says nothing.
    type: list
    elements: dict
    required: true
  main_pid:
    description: The pid that the unit says is the runner's. Without it, no unit keeps the runner.
    type: int
  reload:
    description: Whether the configuration has changed.
    type: bool
    default: false
  acted:
    description: Whether the unit has been started, reloaded or restarted since the last look.
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
    C(running); C(due), whether it has to end, because something else than the unit runs it, or
    because it runs what is outdated; C(new), whether it is to be looked at again; C(unit_state),
    V(started), V(reloaded) or V(restarted); and C(since), the time of its last reload or of its
    start, or empty.
  type: dict
  sample: {running: true, due: false, new: false, unit_state: started, since: ''}
"""


class FilterModule:
    """The filter, by its name."""

    def filters(self) -> dict[str, Callable[..., Any]]:
        """Return the filter."""
        return {"runner_state": as_filter(runner_state)}
