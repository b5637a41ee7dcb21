#!/usr/bin/python
# Copyright: (c) 2026, The jgi.jaws engineers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
module: status_report
short_description: Show the states of programs as one table
version_added: 0.1.0
description:
  - Returns one table of the programs of all given instances, and fails if any of them is unhealthy
    or does not run, except those that were stopped on purpose or have done their work.
  - The callback P(jgi.jaws.progress#callback) shows the table at the end of a run; others show it
    as the result of the task.
  - It fits the terminal, or 80 columns if there is none. If it is too wide, the releases are below
    the table, and if necessary the pids are left out.
  - Below the table is the reason for everything that is not well, the worst first.
  - A gitlab-runner has a row too. If it is not online, a note below the table has GitLab's report.
options:
  instances:
    description: The instances, in the order in which they are shown.
    type: list
    elements: dict
    required: true
    suboptions:
      name: {description: The name to show., type: str, required: true}
      status:
        description: What M(jgi.jaws.supervisorctl_info) returned, with C(explain) for the reasons.
        type: dict
      release: {description: The current release., type: str}
      releases:
        version_added: 1.0.0
        description: >-
          What M(jgi.jaws.release_info) returned, instead of C(release); with C(health) for the
          column HEALTH.
        type: dict
      site:
        version_added: 1.0.0
        description: The site of the instance or the runner, for O(file).
        type: str
      deployment:
        version_added: 1.0.0
        description: The deployment, for O(file).
        type: str
      job:
        version_added: 1.0.0
        description:
          - The Slurm job that the instance runs in, with C(state) and C(said), which is shown below
            the table. While its state is V(PENDING), the instance is WAITING, and the task ends as
            if the host had not been reached.
        type: dict
      runner:
        version_added: 0.2.0
        description: A gitlab-runner, instead of an instance.
        type: dict
        suboptions:
          process: {description: What M(jgi.jaws.background_command) returned., type: dict}
          gitlab: {description: What M(jgi.jaws.gitlab_runner_info) returned., type: dict}
  strict:
    version_added: 1.0.0
    description: Whether a program that was stopped on purpose, or does not start by itself, fails.
    type: bool
    default: false
  file:
    version_added: 1.0.0
    description:
      - A file on the control node to write all of this to, for other programs. The end of its name
        is C(.json), C(.html) for one page that needs nothing else, or C(.prom) for the text format
        of Prometheus, as the textfile collector of its node exporter reads it. It is replaced at
        once, and not written in check mode.
    type: path
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
  description:
    - The programs that are not running, each with its instance; with O(strict), also those that
      were stopped on purpose.
  returned: always
  type: list
  elements: str
  sample: [local_dev_jtm jaws-cromwell]
unhealthy:
  description: The programs that are running and do not pass their health checks.
  version_added: 1.0.0
  returned: always
  type: list
  elements: str
  sample: [local_dev_jaws jaws-central-rest]
waiting:
  description: The supervisords whose jobs wait in the queue of Slurm.
  version_added: 1.0.0
  returned: always
  type: list
  elements: str
  sample: []
stdout_lines:
  description: The table, and the notes below it.
  version_added: 1.0.0
  returned: always
  type: list
  elements: str
  sample:
    - INSTANCE       PROGRAM        STATE    HEALTH  RESTARTS  PID   UPTIME
    - local_dev_jtm  jaws-cromwell  FATAL    -       3         -     -
    - local_dev_jtm  jaws-jtm       RUNNING  ok      0         4711  3h02m
    - "local_dev_jtm jaws-cromwell: exit status 1; no such file: cromwell.conf"
    - "local_dev_jtm: release 20261122T130250Z-ea814ff6"
"""
