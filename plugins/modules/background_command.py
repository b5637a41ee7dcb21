#!/usr/bin/python
# Copyright: (c) 2026, The jgi.jaws engineers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
module: background_command
short_description: Keep a command running in the background
version_added: 0.1.0
description:
  - Starts, stops, restarts and reloads one long-running command, without root and without a service
    manager. It is what C(nohup COMMAND &) was meant to be.
  - The command runs in a session and process group of its own, with an environment of its own, its
    input closed and its output appended to a log, so that it survives the play, the ssh session and
    the CI job that started it.
  - It is found again by its pid, start time and boot id in the pid file, so another process that
    was given the same pid later is never taken for it, nor signalled. When the pid file is lost, it
    is found by variables in its own environment, C(JGI_JAWS_BACKGROUND) with the O(id) and
    C(JGI_JAWS_BACKGROUND_PID) with its pid.
options:
  id:
    description:
      - A unique name for the command. Use the same one in every task about it; each user can run
        one process per name on a host.
    type: str
    required: true
  state:
    description:
      - With V(started), it runs. A second start is no change.
      - With V(stopped), it does not run, and neither do others with the same O(id).
      - With V(restarted), it is stopped, waited for, and started.
      - With V(reloaded), it is sent O(reload_signal), or started if it does not run.
    type: str
    choices: [started, stopped, restarted, reloaded]
    default: started
  argv:
    description:
      - The command and its arguments. No shell reads it. Required unless O(state=stopped).
    type: list
    elements: str
    default: []
  chdir:
    description: The directory to run it in.
    type: path
    default: /
  umask:
    description: Its umask, in octal digits, quoted.
    type: str
    default: '027'
  environment:
    description:
      - Its environment variables. It gets these, C(HOME), C(USER), C(LOGNAME), C(SHELL), C(PATH)
        where they are not given, and nothing of the environment of the play.
      - Its own user can read them in C(/proc). Give secrets in a file instead.
    type: dict
    default: {}
  revision:
    description:
      - Any text that changes when the command has to be started anew though O(argv) stays the same,
        as the digest of its executable. It is compared with C(JGI_JAWS_BACKGROUND_REVISION) in the
        environment of what runs.
    type: str
    default: ''
  restart_on_change:
    description:
      - Whether O(state=started) restarts a command that runs with another O(argv), O(chdir),
        O(umask), O(environment), O(log) or O(revision). Otherwise that is only reported.
      - A command that the play itself runs in is never restarted. RV(deferred) says so.
    type: bool
    default: false
  inside:
    description:
      - Says that the play runs inside the command, where that cannot be seen from the host, as when
        a CI job under the command comes back to it by ssh. It is seen by itself where the command
        is an ancestor of this module's process.
    type: bool
    default: false
  pid_file:
    description:
      - The pid file, with a lock that makes callers take turns. Its directory must belong to the
        user and be writable by nobody else; it is made if missing.
      - A directory or file there that another user made is refused, with the name of its owner.
    type: path
    required: true
  log:
    description:
      - The file that its output is appended to. Its directory must exist. Required unless
        O(state=stopped).
    type: path
  log_max_bytes:
    description: A log of this size or more is rotated at a start. V(0) never rotates.
    type: int
    default: 10485760
  log_backups:
    description: How many rotated logs are kept, as C(LOG.1) and so on.
    type: int
    default: 5
  by_hand:
    description:
      - Command lines by which people start the same thing without this module, each a list like
        O(argv) with the whole path of the executable. A process that was started so, also as
        C(./COMMAND) in the directory, is recognised instead of doubled.
    type: list
    elements: list
    default: []
  reload_files:
    description:
      - Files that it reads again at O(reload_signal). With O(state=started) it is sent the signal
        when one of them was written since.
    type: list
    elements: path
    default: []
  reload_signal:
    description: The signal that makes it read its files again.
    type: str
    default: HUP
  stop_signal:
    description: The signal that makes it end.
    type: str
    default: TERM
  stop_timeout:
    description:
      - How many seconds it may take to end. After that the task fails, and the next one goes on
        waiting; with O(kill) it is killed instead.
    type: float
    default: 10
  stop_group:
    description:
      - Whether the whole process group is signalled and waited for. Without it, only the process
        itself.
    type: bool
    default: true
  kill:
    description: Whether what has not ended after O(stop_timeout) is killed.
    type: bool
    default: false
  startsecs:
    description: How many seconds it must run for its start to be a success.
    type: float
    default: 1
  lock_timeout:
    description: How many seconds to wait for another task that starts or stops the same command.
    type: float
    default: 30
extends_documentation_fragment:
  - jgi.jaws.attributes
  - jgi.jaws.attributes.linux
attributes:
  check_mode:
    support: full
    details: Predicts, and signals or writes nothing.
  diff_mode:
    support: full
    details: Shows the command before and after, without its environment.
notes:
  - A session of its own does not leave a control group. Where systemd ends those with the login, by
    C(KillUserProcesses=yes), or with the service that a CI job ran under, use the user's systemd
    instead.
  - A program that overwrites its own environment to show a title cannot be found when its pid file
    is lost.
seealso:
  - module: ansible.builtin.systemd_service
  - module: jgi.jaws.supervisorctl
author:
  - The jgi.jaws engineers (@JGI-Bioinformatics)
"""

EXAMPLES = r"""
- name: Keep the runner running
  jgi.jaws.background_command:
    id: gitlab-runner
    argv: [/opt/runner/gitlab-runner, run]
    chdir: /opt/runner
    pid_file: /opt/runner/run/gitlab-runner.pid
    log: /opt/runner/gitlab-runner.log
    reload_files: [/home/jaws/.gitlab-runner/config.toml]

- name: Stop it when its jobs have ended, within half an hour
  jgi.jaws.background_command:
    id: gitlab-runner
    state: stopped
    pid_file: /opt/runner/run/gitlab-runner.pid
    stop_signal: QUIT
    stop_timeout: 1800
    stop_group: false
"""

RETURN = r"""
running:
  description: Whether it runs.
  returned: success
  type: bool
  sample: true
pid:
  description: Its pid.
  returned: success
  type: int
  sample: 4711
started_at:
  description: When it was started, in UTC.
  returned: success
  type: str
  sample: '2026-01-31T08:00:00Z'
reloaded_at:
  description: When this module last sent it O(reload_signal), in UTC, or null.
  returned: success
  type: str
  sample: '2026-01-31T09:00:00Z'
stopping:
  version_added: 0.2.0
  description: The signal that was sent to stop it, and when; null if none was, or if it has ended.
  returned: success
  type: str
  sample: SIGQUIT at 2026-01-31T09:00:00Z
command:
  description: The command that runs, or would run.
  returned: success
  type: list
  elements: str
  sample: [/opt/runner/gitlab-runner, run]
log:
  description: The file that its output is appended to.
  returned: success
  type: str
  sample: /opt/runner/gitlab-runner.log
pid_file:
  description: The pid file.
  returned: success
  type: str
  sample: /opt/runner/run/gitlab-runner.pid
found_by:
  description: How a running command was recognised, one of V(pid_file), V(environment) and
    V(by_hand), or null.
  returned: success
  type: str
  sample: pid_file
actions:
  description: What was done, or would be in check mode, of V(start), V(stop), V(reload) and
    V(record).
  returned: success
  type: list
  elements: str
  sample: [stop, start]
outdated:
  description: In what it ran otherwise than asked for, of V(command), V(definition) and
    V(revision).
  returned: success
  type: list
  elements: str
  sample: [revision]
inside:
  description: Whether this play ran inside the command.
  returned: success
  type: bool
  sample: false
deferred:
  description: What was left for later because the play runs inside the command, or null.
  returned: success
  type: str
  sample: null
reason:
  description:
    - One word for the cause of a failure, for example
      V(bad_option), V(ended_at_once), V(runs_this_play).
    - The page C(docs/reasons.md) of the collection lists all of them.
  returned: failure
  type: str
  sample: still_running
"""

from typing import Any

from ansible.module_utils.basic import AnsibleModule

from ..module_utils.background_command import manage
from ..module_utils.module import run

STATES = ["started", "stopped", "restarted", "reloaded"]
OPTIONS: dict[str, Any] = dict(
    id=dict(type="str", required=True),
    state=dict(type="str", choices=STATES, default="started"),
    argv=dict(type="list", elements="str", default=[]),
    chdir=dict(type="path", default="/"),
    umask=dict(type="str", default="027"),
    environment=dict(type="dict", default={}),
    revision=dict(type="str", default=""),
    restart_on_change=dict(type="bool", default=False),
    inside=dict(type="bool", default=False),
    pid_file=dict(type="path", required=True),
    log=dict(type="path"),
    log_max_bytes=dict(type="int", default=10 * 1024 * 1024),
    log_backups=dict(type="int", default=5),
    by_hand=dict(type="list", elements="list", default=[]),
    reload_files=dict(type="list", elements="path", default=[]),
    reload_signal=dict(type="str", default="HUP"),
    stop_signal=dict(type="str", default="TERM"),
    stop_timeout=dict(type="float", default=10),
    stop_group=dict(type="bool", default=True),
    kill=dict(type="bool", default=False),
    startsecs=dict(type="float", default=1),
    lock_timeout=dict(type="float", default=30),
)


def main() -> None:
    run(AnsibleModule(argument_spec=OPTIONS, supports_check_mode=True), manage)


if __name__ == "__main__":
    main()
