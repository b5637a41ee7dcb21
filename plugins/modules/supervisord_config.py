#!/usr/bin/python
# Copyright: (c) 2026, The jgi.jaws engineers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
module: supervisord_config
short_description: Write the daemon's own sections and the key of a supervisord.conf
version_added: 0.1.0
description:
  - Writes the sections that concern supervisord itself, and its key, which is generated on the host
    and kept.
  - The sections of programs are left as they are, unless O(sections) has some of the same name;
    M(jgi.jaws.release) writes them.
  - Files that the old one includes stay included, unless O(sections) has C(include), which may be
    empty.
  - The new file is validated by Supervisor's own parser before it replaces the old one in one step.
  - A running supervisord is then reloaded if it must read a change, because it cannot do so
    otherwise. That restarts its programs. Its umask, its limits and its user only change with a
    restart.
  - A file that was written in another way is taken over, with a new key. The daemon that runs with
    it is reloaded with the old key.
  - If no file says how to reach a running daemon, because the file was removed or its key or
    its C([supervisorctl]) section was damaged, the daemon is found by its command line or its
    socket, and made to read the new file by SIGHUP. Only the instance's own user and root can do
    that; other users get its pid in the message.
  - In a reload, programs keep their states, as with M(jgi.jaws.supervisord).
  - If a run is killed before the reload, the old file is next to the new one as
    C(FILE.previous), and the next run completes the change.
options:
  config:
    required: true
  sections:
    description:
      - The sections and their options, in the order in which they are written. An option without a
        value is left out.
      - C(username) and C(password) are added to the sections of servers and to C(supervisorctl).
      - Every kind of section that Supervisor knows may be given. There is no reload for what
        supervisord reads without one, such as programs and event listeners; use
        M(jgi.jaws.supervisorctl) for these. Only the event listener C(jgi-jaws-notify) (see
        P(jgi.jaws.notifier#filter)) is added, restarted or removed at once.
      - Names that Supervisor expands, such as C(%(ENV_HOME\)s), C(%(here\)s) and
        C(%(process_num\)02d), are left to it. Any other percent sign is taken literally.
      - An option that Supervisor would ignore is refused, and so is a port at another address than
        127.0.0.1.
    type: dict
    required: true
  username:
    description: The user name that goes with the key.
    type: str
    default: jaws
  rotate_key:
    description: Generate a new key even if there is one.
    type: bool
    default: false
  group:
    description:
      - The unix group that may read the file, and so control the instance. By default that of the
        directory.
    type: str
  mode:
    description:
      - The file's mode, octal. It may let only the owner and the group read the file.
    type: str
    default: "0640"
  python:
    description: The Python interpreter that has Supervisor installed.
    type: path
    required: true
  ask:
    version_added: 1.0.0
    description:
      - Also ask whether supervisord runs, and return its answer as RV(daemon).
      - It fails, as M(jgi.jaws.supervisord) does, if the daemon runs twice or as another user than
        the file says.
    type: bool
    default: false
  timeout:
    description: How many seconds a reload may take, in addition to the programs' C(stopwaitsecs).
    type: int
    default: 60
extends_documentation_fragment:
  - jgi.jaws.supervisord
  - jgi.jaws.supervisord.trust
  - jgi.jaws.attributes
  - jgi.jaws.attributes.action_group
  - jgi.jaws.attributes.linux
attributes:
  check_mode:
    support: full
    details: Predicts; does not write anything, and asks the daemon only with O(ask).
  diff_mode:
    support: full
    details: Shows the daemon's sections without the key.
requirements:
  - Supervisor 3.3 or later in the environment of O(python)
author:
  - The jgi.jaws engineers (@JGI-Bioinformatics)
seealso:
  - module: jgi.jaws.supervisord
  - module: jgi.jaws.release
"""

EXAMPLES = r"""
- name: Configure one instance that listens on a unix socket
  jgi.jaws.supervisord_config:
    config: /tmp/jaws-supervisord/supervisord-jaws.conf
    python: /tmp/jaws-supervisord/venv/bin/python
    group: jaws
    sections:
      unix_http_server:
        file: /tmp/jaws-supervisord/run/jaws/socket
        chmod: "0770"
      supervisord:
        logfile: /tmp/jaws-supervisord/log/jaws/supervisord.log
        pidfile: /tmp/jaws-supervisord/run/jaws/pid
      rpcinterface:supervisor:
        supervisor.rpcinterface_factory: supervisor.rpcinterface:make_main_rpcinterface
      supervisorctl:
        serverurl: unix:///tmp/jaws-supervisord/run/jaws/socket
"""

RETURN = r"""
config:
  description: The file.
  returned: success
  type: str
  sample: /tmp/jaws-supervisord/supervisord-jaws.conf
new_key:
  description: Whether a key was generated. The key itself is never returned.
  returned: success
  type: bool
  sample: false
reloaded:
  description: Whether a running supervisord was reloaded.
  returned: success
  type: bool
  sample: false
daemon:
  version_added: 1.0.0
  description:
    - What M(jgi.jaws.supervisord) returns about a running daemon. If it is down, C(pid) is null.
  returned: success, with O(ask=true)
  type: dict
  sample:
    pid: 4711
    version: 4.3.0
    user: jaws_jtm
    outdated: false
    url: unix:///tmp/jaws-supervisord/run/jtm/socket
pids:
  version_added: 1.0.0
  description: The process ids that the message is about.
  returned: failure, if processes of the instance run
  type: list
  elements: int
  sample: [4711]
failed_programs:
  version_added: 1.0.0
  description: The programs that ran before a reload and do not run after it.
  returned: failure, with the reasons V(program_failed) and V(timed_out)
  type: list
  elements: str
  sample: [jaws-jtm]
reason:
  description:
    - One word for the cause of a failure, for example
      V(bad_option), V(broken_conf), V(address_taken).
    - The page C(docs/reasons.md) of the collection lists all of them.
  returned: failure
  type: str
  sample: broken_conf
"""

from ansible.module_utils.basic import AnsibleModule

from ..module_utils.module import TRUST_OPTION, run
from ..module_utils.supervisord_config import manage


def main() -> None:
    module = AnsibleModule(
        argument_spec=dict(
            config=dict(type="path", required=True),
            sections=dict(type="dict", required=True),
            username=dict(type="str", default="jaws"),
            rotate_key=dict(type="bool", default=False, no_log=False),
            group=dict(type="str"),
            mode=dict(type="str", default="0640"),
            python=dict(type="path", required=True),
            ask=dict(type="bool", default=False),
            timeout=dict(type="int", default=60),
            **TRUST_OPTION,
        ),
        supports_check_mode=True,
    )
    run(module, manage)


if __name__ == "__main__":
    main()
