# Copyright: (c) 2026, The jgi.jaws engineers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The filter that says what a supervisord needs to call a command when a program is FATAL."""

from __future__ import annotations

from ..plugin_utils.filters import filter_module
from ..plugin_utils.notifier import notifier

DOCUMENTATION = r"""
name: notifier
short_description: Say what a supervisord needs to call a command when a program becomes FATAL
version_added: 1.0.0
description:
  - Returns an event listener, with the files that it needs. It runs in the supervisord that it
    watches, and reads the command from a file for each call, so another command restarts nothing.
positional: _input, daemon
options:
  _input:
    description: The command, in words. It gets a JSON object on its standard input.
    type: list
    elements: str
    required: true
  daemon:
    description:
      - The instance's C(name), C(config) (its C(supervisord.conf)), C(group) and C(log_dir), the
        C(directory) of all instances, Supervisor's C(python), and C(about), a mapping that becomes
        part of the JSON object.
    type: dict
    required: true
author:
  - The jgi.jaws engineers (@JGI-Bioinformatics)
seealso:
  - module: jgi.jaws.supervisord_config
  - module: jgi.jaws.tree
"""

EXAMPLES = r"""
sections: "{{ command | jgi.jaws.notifier(daemon=instance) }}"
"""

RETURN = r"""
_value:
  description:
    - C(paths), for M(jgi.jaws.tree), and C(sections), for M(jgi.jaws.supervisord_config); both are
      empty if there is no command.
  type: dict
  sample: {paths: [], sections: {}}
"""

FilterModule = filter_module(notifier=notifier)
