#!/usr/bin/python
# Copyright: (c) 2026, The jgi.jaws engineers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
module: log_follow
short_description: Show the lines of the programs' logs as they are written
version_added: 1.0.0
description:
  - Shows what M(jgi.jaws.log_info) returns, and then, once a second, what was written since then,
    on all hosts of the play at the same time. It does not end by itself, but by Ctrl-C.
  - It is refused if Ansible does not run in a terminal, and if it may not act on all hosts of the
    play at once.
options:
  config:
    description: As for M(jgi.jaws.log_info).
    type: path
    required: true
  python:
    description: As for M(jgi.jaws.log_info).
    type: path
    required: true
  lines:
    description: How many lines of each log to show first.
    type: int
    default: 10
  since:
    description: As for M(jgi.jaws.log_info), for the lines that are shown first.
    type: str
    default: ""
  programs:
    description: The programs to show. By default all.
    type: list
    elements: str
extends_documentation_fragment:
  - jgi.jaws.attributes
  - jgi.jaws.attributes.info
  - jgi.jaws.attributes.action
  - jgi.jaws.attributes.posix
author:
  - The jgi.jaws engineers (@JGI-Bioinformatics)
seealso:
  - module: jgi.jaws.log_info
  - module: jgi.jaws.log_report
"""

EXAMPLES = r"""
- name: Show what one program writes
  jgi.jaws.log_follow:
    config: /tmp/jaws-supervisord/supervisord-jaws.conf
    python: /tmp/jaws-supervisord/venv/bin/python
    programs: [jaws-central-rest]
"""

RETURN = r"""
unreadable:
  description: Logs that do not exist or that this user may not read, if that ended it.
  returned: failure
  type: list
  elements: str
  sample: []
"""
