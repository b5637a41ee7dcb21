#!/usr/bin/python
# Copyright: (c) 2026, The jgi.jaws engineers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
module: release_report
short_description: Show the releases of all instances as one table
version_added: 0.2.0
description:
  - Returns one table of the releases of all given instances. Below each release is when it was
    deployed, by whom, from which commit and what for, and its packages, or why it is bad.
  - The callback P(jgi.jaws.progress#callback) shows the table at the end of a run; others show it
    as the result of the task.
options:
  instances:
    description: What M(jgi.jaws.release_info) returned, by instance name.
    type: dict
    required: true
  packages:
    description: A regular expression; only packages that match it are shown. By default all.
    type: str
  release:
    description: >-
      Show only what differs between this release and the one that M(jgi.jaws.release_info) has
      compared it with.
    type: str
    version_added: 1.0.0
extends_documentation_fragment:
  - jgi.jaws.attributes
  - jgi.jaws.attributes.info
  - jgi.jaws.attributes.action
  - jgi.jaws.attributes.posix
author:
  - The jgi.jaws engineers (@JGI-Bioinformatics)
seealso:
  - module: jgi.jaws.release_info
"""

EXAMPLES = r"""
- name: Show the releases of one instance
  jgi.jaws.release_report:
    instances:
      jaws: "{{ found }}"
    packages: ^jaws
"""

RETURN = r"""
stdout_lines:
  description: The lines of the table.
  version_added: 1.0.0
  returned: always
  type: list
  elements: str
  sample:
    - INSTANCE  RELEASE                    STATE    DEPLOY
    - jaws      20261122T130141Z-95a2e45f  current  1790000000
    - "  3d04h ago by jsmith, commit 2c26b46b, pipeline 4711: Use more threads"
    - "  jaws-site==2.6.0 (2c26b46b)"
"""
