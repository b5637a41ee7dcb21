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
    manager. It is a reliable C(nohup COMMAND &).
  - The command runs in a session and process group of its own, with an environment of its own, its
    input closed and its output appended to a log. So it survives the play, the ssh session and the
    CI job that started it.
  - The pid file holds its pid, start time and boot id, so a later process with the same pid is
    never mistaken for it or signalled. If the pid file is lost, the command is found by variables
    in its own environment, C(JGI_JAWS_BACKGROUND) with the O(id) and C(JGI_JAWS_BACKGROUND_PID)
    with its pid.
options:
  id:
    description:
      - A unique name for the command. Use the same one in every task about it; each user can run
        one process per name on a host.
    type: str
    required: true
  state:
    description:
      - V(started) starts it unless it runs already.
      - V(stopped) stops it, and any other process with the same O(id).
      - V(restarted) stops it, waits until it has ended, and starts it.
      - V(reloaded) sends it O(reload_signal), or starts it if it does not run.
    type: str
    choices: [started, stopped, restarted, reloaded]
    default: started
  argv:
    description:
      - The command and its arguments, run without a shell. Required unless O(state=stopped).
    type: list
    elements: str
    default: []
  chdir:
    description: The directory to run it in.
    type: path
    default: /
  umask:
    description: Its umask, as octal digits in quotes.
    type: str
    default: '027'
  environment:
    description:
      - Its environment variables. C(HOME), C(USER), C(LOGNAME), C(SHELL) and C(PATH) are added
        unless they are given. It inherits nothing from the environment of the play.
      - Its own user can read them in C(/proc). Pass secrets in a file instead.
    type: dict
    default: {}
  revision:
    description:
      - Any text that changes when the command must be restarted although O(argv) stays the same,
        for example the digest of its executable. It is compared with
        C(JGI_JAWS_BACKGROUND_REVISION) in the environment of the running process.
    type: str
    default: ''
  restart_on_change:
    description:
      - Whether O(state=started) restarts a command that runs with another O(argv), O(chdir),
        O(umask), O(environment), O(log) or O(revision). Otherwise the difference is only reported.
      - A command that the play itself runs in is never restarted; RV(deferred) reports that.
    type: bool
    default: false
  inside:
    description:
      - Whether the play runs inside the command, as when a CI job that the command started comes
        back to this host by ssh. Not needed if the command is an ancestor of this module's process.
    type: bool
    default: false
  pid_file:
    description:
      - The pid file, which is locked, so that only one task at a time acts on the command. Only the
        user may be able to write to its directory, which is made if missing.
      - If the directory or file belongs to another user, the task fails and names the owner.
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
      - Command lines with which people start the same command by hand, each a list like O(argv)
        with the full path of the executable. A process that was started so, or as C(./COMMAND) in
        its directory, is recognised, and no second one is started.
    type: list
    elements: list
    default: []
  reload_files:
    description:
      - Files that it reads again on O(reload_signal). With O(state=started), it is sent the signal
        if one of them was written after it last read them.
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
      - How many seconds it may take to end. After that, the task fails, and the next one continues
        waiting; with O(kill) the command is killed instead.
    type: float
    default: 10
  stop_group:
    description:
      - Whether the whole process group is signalled and waited for, or only the process itself.
    type: bool
    default: true
  kill:
    description: Whether to kill the command if it has not ended after O(stop_timeout).
    type: bool
    default: false
  startsecs:
    description: How many seconds it must run for its start to be considered successful.
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
    details: Predicts what would be done; sends no signal and writes nothing.
  diff_mode:
    support: full
    details: Shows the command before and after, without its environment.
notes:
  - The command stays in the control group that it was started in. If systemd ends that at logout
    (C(KillUserProcesses=yes)) or with the service of a CI job, use the user's systemd instead.
  - A program that overwrites its environment to show a title cannot be found if its pid file is
    lost.
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
  description: How a running command was found, one of V(pid_file), V(environment) and V(by_hand),
    or null.
  returned: success
  type: str
  sample: pid_file
actions:
  description: What was done, or would be done in check mode, among V(start), V(stop), V(reload) and
    V(record).
  returned: success
  type: list
  elements: str
  sample: [stop, start]
outdated:
  description: What was outdated before the task, among V(command), V(definition) and V(revision).
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
