#!/usr/bin/python
# Copyright: (c) 2026, The jgi.jaws engineers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
module: supervisord
short_description: Start, stop, restart or reload a supervisord, or make it open its logs again
version_added: 0.1.0
description:
  - Manages the supervisord daemon of one configuration, without root and without a service manager
    of the operating system.
  - It is started in its own session, in the directory of O(config), so that it survives the
    play. No variable of its starter reaches a service. It gets C(PATH), the locale, and what a
    login gives the account (C(HOME), C(USER), C(LOGNAME), C(SHELL)), C(SUPERVISORD_CONFIG), which
    identifies its orphans, and the variables in O(environment).
  - Its umask is O(umask), or what O(config) says, or Supervisor's default of 022.
  - With C(nodaemon=true) it stays in the foreground of that session, and the module ends when it
    answers.
  - The daemon itself is asked whether it runs; a pid file is never trusted.
  - What runs is known from the kernel, even if the configuration, the socket or the pid file has
    been removed or replaced. Nothing that still runs is started a second time.
  - Before a start, processes that a killed predecessor left behind are found by their environment
    and ended, so that nothing runs twice. Only the instance's own user and root can find them.
  - In a restart or a reload, programs keep their states. One that had been stopped stays
    stopped, although Supervisor starts it for a moment if it has C(autostart); one with
    C(autostart=false) that had been started runs again. The task fails and names each program
    that ran before and does not run or is not defined any more.
  - One run at a time changes an instance; the others wait for at most O(timeout) seconds. The lock
    is a file that only the accounts of the instance can open, in the directory of the pid file or
    of O(config). Where everybody may write there, it is in the account's home directory.
options:
  state:
    description:
      - V(started) starts it if it is down. Programs whose command does not exist do not prevent
        others from starting; there is a warning for each.
      - V(stopped) stops it and all its programs, including those that a killed daemon has left.
      - V(restarted) stops it, if it runs, and starts it.
      - V(reloaded) makes it read its whole configuration again, which restarts every program. Its
        umask, its limits and its version of Supervisor stay.
      - V(killed), since 1.0.0, is the last resort. Without asking supervisord, it ends by signals
        all that runs with O(config), which need not exist. The daemon gets SIGTERM, with O(timeout)
        seconds and its programs' C(stopwaitsecs) to stop them, and then SIGKILL; then what it has
        left gets the same. Use it if the message of another state proposes it, for example if a
        daemon has another key than the file, is suspended, or cannot signal a program. It must run
        as the instance's user or as root.
      - V(stopped), V(restarted) and V(reloaded) are refused, with everything still running, if
        supervisord cannot signal one of its programs, which would go on running together with its
        successor.
      - V(started) and V(reloaded) are refused if two daemons run with O(config); V(restarted)
        leaves one.
      - V(restarted) and V(reloaded) are refused, with everything still running, if Supervisor's
        own parser refuses the configuration, if a program's command does not exist, or if
        the daemon would not come back for another reason that can be known in advance.
      - V(reopened), from 1.0.0 on, makes it open its log and those of its programs again if the
        files that it writes to are no longer at their paths, because something else has rotated
        them. Nothing restarts. If all logs are in place, or it is down, there is nothing to do.
    type: str
    choices: [started, stopped, restarted, reloaded, reopened, killed]
    default: started
  config:
    required: true
  supervisord_path:
    description:
      - The C(supervisord) to start.
      - Without it, the one that the running daemon was started from, or else the one in C(PATH).
    type: path
  python:
    description:
      - The Python interpreter that has Supervisor installed, whose parser validates the
        configuration.
      - By default, the one in the first line of O(supervisord_path). For V(reloaded), it is always
        the one that the daemon runs with.
    type: path
  user:
    description:
      - The only user that the instance may run as. If it must be started and the module runs as
        another user, or if it runs as another user already, the module fails and says who must
        do what.
      - By default, the C(user) in the C([supervisord]) section of O(config), if there is one. Root
        may start that, because supervisord then becomes this user.
    type: str
  owner:
    description:
      - The user who writes O(config), if that is not the one that the instance runs as.
      - Before a start, O(config) and its directory must belong to this user, to the one that the
        module runs as, or to root, because what the file says is run.
    type: str
  timeout:
    description: How many seconds a step may take, in addition to the programs' C(stopwaitsecs).
    type: int
    default: 60
  identity:
    description:
      - What the instance is, at whatever path its configuration is, for example the name of a
        deployment. The daemon and everything that it runs have it in their environment, as
        C(SUPERVISORD_IDENTITY).
      - A start is refused while a supervisord of the same account has the same identity and another
        O(config), because the instance was moved and both would do the same work.
    type: str
    default: ""
    version_added: 1.0.0
  umask:
    description:
      - The umask that it is started with, octal. It applies to its log and its programs' files.
      - Without it, the C(umask) in the C([supervisord]) section of O(config), or 022.
    type: str
    version_added: 1.0.0
  environment:
    description:
      - Variables that it is started with, and that its programs inherit, in addition to those of
        every start. Secrets do not belong here.
      - When it is V(restarted), there is a warning with the names of those that it had from
        the user who started it, and will not have any more.
    type: dict
    default: {}
    version_added: 1.0.0
extends_documentation_fragment:
  - jgi.jaws.supervisord
  - jgi.jaws.supervisord.trust
  - jgi.jaws.attributes
  - jgi.jaws.attributes.action_group
  - jgi.jaws.attributes.linux
attributes:
  check_mode:
    support: full
    details: Asks supervisord and predicts; changes nothing.
  diff_mode:
    support: full
    details: Shows whether the daemon runs, before and after.
requirements:
  - Supervisor 4 on the host
author:
  - The jgi.jaws engineers (@JGI-Bioinformatics)
seealso:
  - module: jgi.jaws.supervisorctl
  - module: jgi.jaws.supervisord_config
"""

EXAMPLES = r"""
- name: Make sure that the instance for users' workloads runs
  jgi.jaws.supervisord:
    config: /tmp/jaws-supervisord/supervisord-jtm.conf
    supervisord_path: /tmp/jaws-supervisord/bin/supervisord
    python: /tmp/jaws-supervisord/venv/bin/python
    user: jaws_jtm
    owner: jaws

- name: Make it write to new logs, after something else has moved the old ones
  jgi.jaws.supervisord:
    config: /tmp/jaws-supervisord/supervisord-jtm.conf
    state: reopened

- name: Stop it with everything that it runs
  jgi.jaws.supervisord:
    config: /tmp/jaws-supervisord/supervisord-jtm.conf
    state: stopped

- name: End it if nothing else can, and start it again
  jgi.jaws.supervisord:
    config: /tmp/jaws-supervisord/supervisord-jtm.conf
    state: "{{ item }}"
  loop: [killed, started]
"""

RETURN = r"""
running:
  description: Whether the daemon runs after the task.
  returned: success
  type: bool
  sample: true
pid:
  description: Its process id.
  returned: success
  type: int
  sample: 4711
version:
  description: The version of Supervisor that it runs.
  returned: success
  type: str
  sample: 4.3.0
user:
  description: The user that it runs as, if the system shows it.
  returned: success
  type: str
  sample: jaws_jtm
outdated:
  version_added: 0.2.0
  description: >-
    Whether it was started from another installation than that of O(python), so that a restart is
    due; null if that is unknown.
  returned: success
  type: bool
  sample: false
url:
  description: Where it listens.
  returned: success
  type: str
  sample: unix:///tmp/jaws-supervisord/run/jtm/socket
cleared:
  description: >-
    The process ids that were ended before a start, by V(killed), after V(stopped), or beside a
    daemon that runs.
  returned: success
  type: dict
  contains:
    orphans:
      description: What a killed predecessor had left behind.
      type: list
      elements: int
      sample: []
    unreachable:
      description: A daemon with this configuration that had lost its socket.
      type: list
      elements: int
      sample: []
pids:
  version_added: 1.0.0
  description: The process ids that the message is about.
  returned: failure, if processes of the instance run
  type: list
  elements: int
  sample: [4711]
failed_programs:
  version_added: 1.0.0
  description: The programs that ran before a restart or a reload and do not run after it.
  returned: failure, with the reasons V(program_failed) and V(timed_out)
  type: list
  elements: str
  sample: [jaws-jtm]
reason:
  description:
    - One word for the cause of a failure, for example
      V(may_not_start), V(broken_conf), V(foreign_owner).
    - The page C(docs/reasons.md) of the collection lists all of them.
  returned: failure
  type: str
  sample: may_not_start
"""

from ansible.module_utils.basic import AnsibleModule

from ..module_utils.module import TRUST_OPTION, run
from ..module_utils.supervisord import manage

STATES = ["started", "stopped", "restarted", "reloaded", "reopened", "killed"]


def main() -> None:
    module = AnsibleModule(
        argument_spec=dict(
            state=dict(type="str", default="started", choices=STATES),
            config=dict(type="path", required=True),
            supervisord_path=dict(type="path"),
            python=dict(type="path"),
            user=dict(type="str"),
            owner=dict(type="str"),
            timeout=dict(type="int", default=60),
            umask=dict(type="str"),
            identity=dict(type="str", default=""),
            environment=dict(type="dict", default={}),
            **TRUST_OPTION,
        ),
        supports_check_mode=True,
    )
    run(module, manage)


if __name__ == "__main__":
    main()
