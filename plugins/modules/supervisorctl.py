#!/usr/bin/python
# Copyright: (c) 2026, The jgi.jaws engineers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
module: supervisorctl
short_description: Manage the states of programs under supervisord
version_added: 0.1.0
description:
  - Starts, stops, restarts, signals, adds and removes programs under supervisord, and applies a
    changed configuration.
  - Every task that was written for M(community.general.supervisorctl) works with this module
    too.
  - It waits until the programs have reached their state, all of them at once. A program that fails
    makes the task fail, with its exit status and the last lines of its log, and does not stop
    other programs from starting.
options:
  name:
    description:
      - The programs or groups. V(group:program) is a program, V(group), V(group:) and V(group:*)
        are all programs of a group, and V(all) is every program.
      - A program of a group may be named without its group if the name is not ambiguous.
      - A name may be a pattern with C(*), C(?) and C([…]), for example V(worker_*),
        V(group:worker_*) or V(web*:). A pattern without a colon means the programs that it matches
        with or without their group, and those of the groups that it matches.
      - O(state=absent) takes names as they are written, as M(community.general.supervisorctl) does.
        There a group needs its colon, a program of a group its group, and a pattern matches either
        programs without a group or, with a colon, those with one.
      - An empty list means no program.
      - Required unless O(state=updated), where it defaults to V(all).
    type: list
    elements: str
  state:
    description:
      - V(started) starts programs that are not running.
      - V(stopped) stops programs that run, start, or wait to be started again.
      - V(restarted) applies what differs on disk, like V(updated), then restarts the programs that
        this has not restarted already. The task does not fail for a program that O(name) does not
        match. If such a program does not start, or does not stop for its new definition, there is
        a warning.
      - V(updated) applies exactly what differs on disk, once. Groups that are new on disk are
        added, changed groups are restarted with their new definition, and groups that are gone are
        stopped and removed. The rest is left alone.
      - V(present) adds groups that are on disk but not active yet.
      - V(absent) removes groups. Running ones are refused, unless O(stop_before_removing=true).
        If no supervisord runs, or O(config) does not exist, no program is active, so the task
        succeeds with a warning. It fails if a supervisord with that configuration still runs.
      - V(signalled) sends O(signal) to the programs that run.
    type: str
    required: true
    choices: [present, absent, started, stopped, restarted, signalled, updated]
  stop_before_removing:
    description: With O(state=absent), stop the programs first.
    type: bool
    default: false
  signal:
    description:
      - With O(state=signalled), the signal's name, with or without C(SIG), or its number, for
        example V(USR1), V(SIGUSR1) or V(10).
    type: str
  serial:
    description:
      - With O(state=restarted), how many programs restart at a time, as a number or as a
        percentage of everything that O(name) matches, rounded down to at least one.
      - The next ones are stopped once these run. If one fails, the task ends there, and
        RV(not_restarted) names the programs that were left as they were.
      - Programs of a lower C(priority) come first. A group that differs on disk restarts as a
        whole, which is refused if it has more programs than that.
    type: str
    version_added: 1.0.0
  strict_order:
    description:
      - Whether a C(priority) is a dependency. If a program cannot be started, those of a later
        C(priority) are not started either, and the message names them. By default they are, as
        Supervisor does.
      - Without O(wait), it has no effect.
    type: bool
    default: false
    version_added: 1.0.0
  one_shot:
    description:
      - Programs that are expected to end, named as in O(name). Of these, the ones that the
        task starts, or finds running with O(state=started), are waited for until they have ended,
        and have succeeded when their exit status is among their C(exitcodes).
      - If one fails, programs of a later C(priority) are not started. If it takes longer than
        O(timeout), in addition to what its C(startsecs) and C(startretries) allow, it has failed.
      - Such a program needs C(startsecs=0) and C(autorestart=false) in the configuration.
      - Without O(wait), or with another O(state) than V(present), V(started), V(restarted) or
        V(updated), it has no effect.
    type: list
    elements: str
    version_added: 1.0.0
  end_leftovers:
    description:
      - End what the programs that O(name) matches have left running, before they are started and
        after they are stopped. It gets SIGTERM and, after ten seconds, SIGKILL.
      - These are members of the process group of a program whose first process has ended, for
        example because it was killed. supervisord does not know them, and starts the program again
        beside them. What has started a process group or a session of its own is left alone, because
        it was meant to outlive the program. So are processes of other users; a warning names them.
      - What was ended is in RV(leftovers) and in a warning.
    type: bool
    default: false
    version_added: 1.0.0
  wait:
    description:
      - Wait until the programs have reached their final state.
      - Without it, a failing program is not noticed. A program that must stop before it is removed
        or started again is always waited for.
    type: bool
    default: true
  timeout:
    description:
      - How many seconds to wait for each step, in addition to what the programs' own C(startsecs),
        C(startretries) and C(stopwaitsecs) allow.
      - A program whose definition changes or disappears gets ten more minutes to stop, because
        supervisord does not report its old C(stopwaitsecs).
    type: int
    default: 60
extends_documentation_fragment:
  - jgi.jaws.supervisord
  - jgi.jaws.supervisord.client
  - jgi.jaws.supervisord.trust
  - jgi.jaws.supervisord.programs
  - jgi.jaws.attributes
  - jgi.jaws.attributes.action_group
  - jgi.jaws.attributes.posix
attributes:
  check_mode:
    support: full
    details: >-
      Asks, predicts, and changes nothing. With O(state=present) or O(state=updated), it predicts as
      if an earlier task of the play had written what is not on disk yet, and had started a
      supervisord that does not run.
  diff_mode:
    support: full
    details: Shows the programs' states before and after, and which ones restart or get a signal.
notes:
  - Programs start in ascending order of C(priority) and stop in descending order. Each priority
    waits for the one before; programs of the same priority start and stop in parallel.
  - A program in C(BACKOFF) is waited for until supervisord has started it or given up
    (C(FATAL)).
  - A program with C(startsecs=0) has started when it has been spawned, however it ends, as for
    supervisord itself. O(one_shot) says that its exit status counts.
seealso:
  - module: jgi.jaws.supervisorctl_info
  - module: jgi.jaws.supervisord
  - module: community.general.supervisorctl
"""

EXAMPLES = r"""
- name: Restart everything in one instance
  jgi.jaws.supervisorctl:
    name: all
    state: restarted
    config: /tmp/jaws-supervisord/supervisord-jaws.conf

- name: Start two programs and wait until they run
  jgi.jaws.supervisorctl:
    name: [jaws-jtm, jaws-cromwell]
    state: started
    config: /tmp/jaws-supervisord/supervisord-jtm.conf
    timeout: 120

- name: Restart all workers, two at a time
  jgi.jaws.supervisorctl:
    name: worker_*
    state: restarted
    serial: 2
    config: /home/me/supervisord.conf

- name: Migrate the database, and serve once that has succeeded
  jgi.jaws.supervisorctl:
    name: [migrate, serve]  # migrate has the lower priority
    state: started
    one_shot: migrate
    config: /home/me/supervisord.conf
    timeout: 600

- name: Apply what has changed in the configuration, and nothing else
  jgi.jaws.supervisorctl:
    state: updated
    config: /tmp/jaws-supervisord/supervisord-jaws.conf
"""

RETURN = r"""
programs:
  description: Every program of the instance, whether the task named it or not, after the task.
  returned: success, and if a program failed or timed out
  type: list
  elements: dict
  contains:
    name:
      description: The program's name, with its group if the two differ.
      type: str
      sample: jaws-jtm
    group:
      description: Its group.
      type: str
      sample: jaws-jtm
    state:
      description: Its state, as supervisord calls it.
      type: str
      sample: RUNNING
    pid:
      description: Its process id; null if it does not run.
      type: int
      sample: 4711
    start_time:
      description: When it was last started, in Unix seconds; null if it never was.
      type: int
      sample: 1790000000
    exit_status:
      description:
        - The exit status of an C(EXITED) program, -1 if a signal ended it. supervisord forgets
          it in every other state.
      type: int
      sample: 1
    spawn_error:
      description: Why supervisord could not start it, or that it ended badly.
      type: str
      sample: Exited too quickly (process log may have details)
    log_file:
      description: The file that its standard output goes to.
      type: str
      sample: /tmp/jaws-dev/jtm/logs/jaws-jtm.out
    error_log_file:
      description: The file that its standard error goes to, if it is a different one.
      type: str
      sample: null
affected:
  description: The programs that the task started, stopped, signalled, added or removed.
  returned: success
  type: list
  elements: str
  sample: [jaws-jtm]
name:
  description:
    - The option O(name), as a string if it is one name, without the colon of a group.
  returned: always
  type: raw
  sample: jaws-jtm
state:
  description: The option O(state).
  returned: always
  type: str
  sample: restarted
reason:
  description:
    - One word for the cause of a failure, for example
      V(down), V(wrong_key), V(unknown_program), V(program_failed).
    - The page C(docs/reasons.md) of the collection lists all of them.
  returned: failure
  type: str
  sample: program_failed
failed_programs:
  description: The programs that did not reach their state.
  returned: when a program failed or timed out
  type: list
  elements: str
  sample: [jaws-jtm]
leftovers:
  description: What the programs had left running, and was ended.
  returned: when O(end_leftovers=true)
  type: list
  elements: str
  version_added: 1.0.0
  sample: ["jaws-jtm: /usr/bin/python3 /tmp/jtm manager (pid 4712, 4713)"]
not_restarted:
  description: The programs that were not restarted because another one failed before.
  returned: when a program failed or timed out and O(serial) is set
  type: list
  elements: str
  version_added: 1.0.0
  sample: ["worker:worker_02", "worker:worker_03"]
"""

from ansible.module_utils.basic import AnsibleModule

from ..module_utils.module import CLIENT_OPTIONS, run
from ..module_utils.supervisorctl import manage

STATES = ["present", "absent", "started", "stopped", "restarted", "signalled", "updated"]


def main() -> None:
    module = AnsibleModule(
        argument_spec=dict(
            CLIENT_OPTIONS,
            name=dict(type="list", elements="str"),
            state=dict(type="str", required=True, choices=STATES),
            stop_before_removing=dict(type="bool", default=False),
            signal=dict(type="str"),
            wait=dict(type="bool", default=True),
            timeout=dict(type="int", default=60),
            serial=dict(type="str"),
            strict_order=dict(type="bool", default=False),
            one_shot=dict(type="list", elements="str"),
            end_leftovers=dict(type="bool", default=False),
        ),
        required_if=[("state", "signalled", ["signal"])]
        + [("state", state, ["name"]) for state in STATES if state != "updated"],
        supports_check_mode=True,
    )
    run(module, manage)


if __name__ == "__main__":
    main()
