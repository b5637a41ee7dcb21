#!/usr/bin/python
# Copyright: (c) 2026, The jgi.jaws engineers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
module: log_info
short_description: Read the last lines of the programs' logs
version_added: 1.0.0
description:
  - Returns the last lines of the logs of all programs of a C(supervisord.conf), ordered by time.
  - The files are read, and supervisord is not asked. So it works while supervisord is down.
  - For a program that supervisord has given up, which is C(FATAL), the lines include what
    supervisord said about it in its own log.
  - A line without a time of its own has that of the line before. A log in which no line has one is
    shown at the time of its last change.
options:
  config:
    required: true
  python:
    description: The Python interpreter that has Supervisor installed, whose parser reads O(config).
    type: path
    required: true
  lines:
    description: How many lines of each log to read, at least 1.
    type: int
    default: 10
  since:
    description:
      - Only lines since then, by the clock of the host. By default all that O(lines) allows.
      - V(start) is the last start of each program. V(90s), V(10m), V(2h) and V(1d) are that long
        ago. Others are V(14:30), V(2026-11-30) and V(2026-11-30 14:30).
    type: str
    default: ""
  after:
    description:
      - Only what was written after the RV(positions) of an earlier call, even if a log was rotated
        since then, and also what supervisord says about programs that run. Of more than 1 MiB in
        one log, only the end is returned.
      - With an empty dictionary, as without it, but without a last line that has no end yet.
    type: dict
extends_documentation_fragment:
  - jgi.jaws.supervisord
  - jgi.jaws.attributes
  - jgi.jaws.attributes.info
  - jgi.jaws.attributes.action_group
  - jgi.jaws.attributes.posix
requirements:
  - Supervisor 3.3 or later in the environment of O(python)
author:
  - The jgi.jaws engineers (@JGI-Bioinformatics)
seealso:
  - module: jgi.jaws.log_report
  - module: jgi.jaws.supervisorctl_info
"""

EXAMPLES = r"""
- name: Read what every program has printed since its last start
  jgi.jaws.log_info:
    config: /tmp/jaws-supervisord/supervisord-jaws.conf
    python: /tmp/jaws-supervisord/venv/bin/python
    lines: 1000
    since: start
  register: logs
"""

RETURN = r"""
entries:
  description: >-
    The lines. C(source) is C(supervisord) for what supervisord said about a program, otherwise the
    program; C(time) is in Unix seconds.
  returned: success
  type: list
  elements: dict
  sample:
    - program: jaws-jtm
      source: jaws-jtm
      time: 1790000000.25
      text: "2026-09-21 14:13:20,250 ERROR no broker at rmq.example:5672"
programs:
  description: Every program. C(state) is V(FATAL) if supervisord has given it up.
  returned: success
  type: list
  elements: dict
  sample:
    - name: jaws-jtm
      state: UNKNOWN
positions:
  description: >-
    By log: its inode, and the offset in bytes at which its last whole line ends, for O(after).
  returned: success
  type: dict
  sample: {/tmp/jaws-dev/jtm/logs/jaws-jtm.out: [130123, 4711]}
unreadable:
  description: Logs that do not exist or that this user may not read.
  returned: success
  type: list
  elements: str
  sample: [/tmp/jaws-dev/jtm/logs/jaws-jtm.err]
reason:
  description:
    - One word for the cause of a failure, for example V(broken_conf), V(bad_option).
    - The page C(docs/reasons.md) of the collection lists all of them.
  returned: failure
  type: str
  sample: bad_option
"""

from ansible.module_utils.basic import AnsibleModule

from ..module_utils.log_info import inform
from ..module_utils.module import run


def main() -> None:
    module = AnsibleModule(
        argument_spec=dict(
            config=dict(type="path", required=True),
            python=dict(type="path", required=True),
            lines=dict(type="int", default=10),
            since=dict(type="str", default=""),
            after=dict(type="dict"),
        ),
        supports_check_mode=True,
    )
    run(module, inform)


if __name__ == "__main__":
    main()
