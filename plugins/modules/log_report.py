#!/usr/bin/python
# Copyright: (c) 2026, The jgi.jaws engineers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
module: log_report
short_description: Show the lines of the logs of all instances, ordered by time
version_added: 1.0.0
description:
  - Returns the lines of several instances, interleaved by time, each with the name of its program.
  - The callback P(jgi.jaws.progress#callback) shows them at the end of a run; others show them as
    the result of the task.
options:
  instances:
    description: What M(jgi.jaws.log_info) returned, by instance name.
    type: dict
    required: true
  programs:
    description: >-
      The programs to show, by instance name, as P(jgi.jaws.chosen_programs#filter) returns them. By
      default all.
    type: dict
extends_documentation_fragment:
  - jgi.jaws.attributes
  - jgi.jaws.attributes.info
  - jgi.jaws.attributes.action
  - jgi.jaws.attributes.posix
author:
  - The jgi.jaws engineers (@JGI-Bioinformatics)
seealso:
  - module: jgi.jaws.log_info
"""

EXAMPLES = r"""
- name: Show the logs of one instance
  jgi.jaws.log_report:
    instances:
      jaws: "{{ logs }}"
"""

RETURN = r"""
stdout_lines:
  description: The lines.
  returned: always
  type: list
  elements: str
  sample:
    - "jaws-jtm    | 2026-09-21 14:13:20,250 ERROR no broker at rmq.example:5672"
    - "supervisord | 2026-09-21 14:13:21,004 INFO gave up: jaws-jtm entered FATAL state"
"""
