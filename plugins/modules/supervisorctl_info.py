#!/usr/bin/python
# Copyright: (c) 2026, The jgi.jaws engineers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
module: supervisorctl_info
short_description: List the programs under supervisord
version_added: 0.1.0
description:
  - Returns the programs of one supervisord with their states. A program that is stopped or has
    failed is a result, not an error.
options:
  name:
    description:
      - The programs or groups, or patterns of them, as for M(jgi.jaws.supervisorctl). Without it,
        every program.
    type: list
    elements: str
  python:
    version_added: 0.2.0
    description:
      - The Python interpreter of the installation that the daemon should run from. With it,
        RV(outdated) says whether it does.
    type: path
  explain:
    version_added: 1.0.0
    description:
      - Whether to also look at the logs. Each program then has RV(programs[].restarts),
        RV(programs[].ended) and RV(programs[].last_line). The files are read, supervisord is not
        asked for them; what this user may not read is null. It needs O(config).
    type: bool
    default: false
extends_documentation_fragment:
  - jgi.jaws.supervisord
  - jgi.jaws.supervisord.client
  - jgi.jaws.supervisord.trust
  - jgi.jaws.supervisord.programs
  - jgi.jaws.attributes
  - jgi.jaws.attributes.info
  - jgi.jaws.attributes.action_group
  - jgi.jaws.attributes.posix
seealso:
  - module: jgi.jaws.supervisorctl
  - module: jgi.jaws.status_report
"""

EXAMPLES = r"""
- name: Look at one instance
  jgi.jaws.supervisorctl_info:
    config: /tmp/jaws-supervisord/supervisord-jaws.conf
  register: services

- name: Stop the play if something does not run
  ansible.builtin.assert:
    that: services.programs | rejectattr('state', 'eq', 'RUNNING') | length == 0
"""

RETURN = r"""
programs:
  description: The programs, with the same keys as those that M(jgi.jaws.supervisorctl) returns.
  returned: success
  type: list
  elements: dict
  contains:
    restarts:
      version_added: 1.0.0
      description: How often the program has ended by itself and was started again in the last hour.
      returned: with O(explain)
      type: int
    ended:
      version_added: 1.0.0
      description: How it ended last, if it is neither C(RUNNING) nor C(STOPPED).
      returned: with O(explain)
      type: str
    last_line:
      version_added: 1.0.0
      description:
        - The last line of its log, if it is neither C(RUNNING) nor C(STOPPED).
        - In C(STARTING), what the process before this one said last, if the times in the log tell.
      returned: with O(explain)
      type: str
  sample:
    - name: jaws-jtm
      group: jaws-jtm
      state: RUNNING
      pid: 4711
      start_time: 1790000000
      exit_status: null
      spawn_error: null
      log_file: /tmp/jaws-dev/jtm/logs/jaws-jtm.out
      error_log_file: null
done:
  version_added: 1.0.0
  description: >-
    The names of the programs that have done their work: one-shot programs (C(startsecs=0)) that are
    C(EXITED) with one of their C(exitcodes).
  returned: success
  type: list
  elements: str
  sample: []
now:
  version_added: 1.0.0
  description: The time on the host, in Unix seconds, by the clock that the start times are from.
  returned: success
  type: int
  sample: 1790003600
outdated:
  version_added: 0.2.0
  description: >-
    Whether the daemon was started from another installation than that of O(python), so that a
    restart is due; null without O(python), or if that is unknown.
  returned: success
  type: bool
  sample: false
reason:
  description:
    - One word for the cause of a failure, for example V(down), V(wrong_key).
    - The page C(docs/reasons.md) of the collection lists all of them.
  returned: failure
  type: str
  sample: down
"""

from ansible.module_utils.basic import AnsibleModule

from ..module_utils.module import CLIENT_OPTIONS, run
from ..module_utils.supervisorctl_info import inform


def main() -> None:
    module = AnsibleModule(
        argument_spec=dict(
            CLIENT_OPTIONS,
            name=dict(type="list", elements="str"),
            python=dict(type="path"),
            explain=dict(type="bool", default=False),
        ),
        required_if=[("explain", True, ["config"])],
        supports_check_mode=True,
    )
    run(module, inform)


if __name__ == "__main__":
    main()
