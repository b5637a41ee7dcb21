#!/usr/bin/python
# Copyright: (c) 2026, The jgi.jaws engineers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
module: status_report
short_description: Print the states of programs as one table
version_added: 0.1.0
description:
  - Prints one table of the programs of all given instances, and fails if any of them is not
    C(RUNNING) or has done its work. The result contains the lines too.
  - A gitlab-runner has a row too. If it is not online, a note below the table has GitLab's report.
options:
  instances:
    description: The instances, in the order in which they are shown.
    type: list
    elements: dict
    required: true
    suboptions:
      name: {description: The name to show., type: str, required: true}
      status: {description: What M(jgi.jaws.supervisorctl_info) returned., type: dict}
      release: {description: The current release., type: str}
      runner:
        version_added: 0.2.0
        description: A gitlab-runner, instead of an instance.
        type: dict
        suboptions:
          process: {description: What M(jgi.jaws.background_command) returned., type: dict}
          gitlab: {description: What M(jgi.jaws.gitlab_runner_info) returned., type: dict}
extends_documentation_fragment:
  - jgi.jaws.attributes
  - jgi.jaws.attributes.info
  - jgi.jaws.attributes.action
  - jgi.jaws.attributes.posix
author:
  - The jgi.jaws engineers (@JGI-Bioinformatics)
seealso:
  - module: jgi.jaws.supervisorctl_info
  - module: jgi.jaws.release_report
"""

EXAMPLES = r"""
- name: Show one instance
  jgi.jaws.status_report:
    instances:
      - name: jaws
        status: "{{ services }}"
        release: 20261122T130000Z-0123abcd
"""

RETURN = r"""
not_running:
  description: The programs that are not running, each with its instance.
  returned: always
  type: list
  elements: str
  sample: [local_dev_jtm jaws-cromwell]
stdout_lines:
  description: The printed lines, for programs such as AWX that show the results of tasks.
  version_added: 0.3.0
  returned: always
  type: list
  elements: str
  sample:
    - INSTANCE        PROGRAM        STATE  PID  UPTIME  RELEASE
    - local_dev_jtm   jaws-cromwell  FATAL  -    -       20261122T130250Z-ea814ff6
"""
