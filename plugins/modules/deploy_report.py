#!/usr/bin/python
# Copyright: (c) 2026, The jgi.jaws engineers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
module: deploy_report
short_description: Show what a deploy or a rollback has done, or would do
version_added: 1.0.0
description:
  - Returns for each instance the release before and after, which programs were restarted, started
    or removed and why, how long each was down, what was left alone and why, and the command
    that undoes it.
  - In check mode, the same in the future tense.
  - The callback P(jgi.jaws.progress#callback) shows it at the end of a run; others show it as the
    result of the task.
options:
  switched:
    description: >-
      What M(jgi.jaws.release) returned with O(jgi.jaws.release#module:state=active) or
      O(jgi.jaws.release#module:state=rolled_back), by instance name.
    type: dict
    required: true
  prepared:
    description: >-
      What it returned with O(jgi.jaws.release#module:state=prepared) in the same run, by instance
      name. In check mode, it has what the switch would do.
    type: dict
extends_documentation_fragment:
  - jgi.jaws.attributes
  - jgi.jaws.attributes.info
  - jgi.jaws.attributes.action
  - jgi.jaws.attributes.posix
author:
  - The jgi.jaws engineers (@JGI-Bioinformatics)
seealso:
  - module: jgi.jaws.release
"""

EXAMPLES = r"""
- name: Show what has changed on one instance
  jgi.jaws.deploy_report:
    switched:
      jaws: "{{ switched }}"
"""

RETURN = r"""
stdout_lines:
  description: The lines.
  returned: always
  type: list
  elements: str
  sample:
    - "jaws: 20261121T130000Z-4567cdef → 20261122T130000Z-0123abcd"
    - "  restarted jaws-site-daemon because jaws-site.conf [LOCAL_RPC_SERVER] num_threads 5 → 6"
    - "  down: jaws-site-daemon 3.4 s"
    - "to undo this: ansible-playbook playbooks/rollback.yml -i inventories/cori"
"""
