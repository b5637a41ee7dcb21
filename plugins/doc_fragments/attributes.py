# Copyright: (c) 2026, The jgi.jaws engineers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Documentation of the attributes of modules."""

from __future__ import annotations


class ModuleDocFragment:
    """What the attributes mean; each module adds how far it supports them, and details."""

    DOCUMENTATION = r"""
options: {}
attributes:
  check_mode:
    description: In check mode, the task predicts what it would change, and changes nothing.
  diff_mode:
    description: With C(--diff), the task shows what it changes, or would change in check mode.
  platform:
    description: The systems that the task can run on.
    support: full
"""

    INFO = r"""
options: {}
attributes:
  check_mode:
    support: full
    details: The task never changes anything.
  diff_mode:
    support: N/A
    details: The task never changes anything.
"""

    ACTION = r"""
options: {}
attributes:
  action:
    description: An action plugin does at least part of the work on the control node.
    support: full
"""

    POSIX = r"""
options: {}
attributes:
  platform:
    platforms: posix
"""

    LINUX = r"""
options: {}
attributes:
  platform:
    platforms: linux
    details: It reads C(/proc).
"""

    ACTION_GROUP = r"""
options: {}
attributes:
  action_group:
    description: >-
      With C(group/jgi.jaws.supervisord) in C(module_defaults), options such as C(config) are set
      once for all modules of the group.
    support: full
    membership: [jgi.jaws.supervisord]
"""
