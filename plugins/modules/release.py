#!/usr/bin/python
# Copyright: (c) 2026, The jgi.jaws engineers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
module: release
short_description: Prepare and activate releases of the programs under one supervisord
version_added: 0.1.0
description:
  - A release is the part of a C(supervisord.conf) that defines programs, together with the
    immutable files that these use.
  - V(prepared) publishes the files, validates the new configuration with Supervisor's own parser,
    and finds and tries the commands of changed programs; what runs is untouched.
  - V(active) replaces the programs' part of the C(supervisord.conf) in one step, applies exactly
    what differs, and verifies it. Every changed program must stay C(RUNNING) with one process
    throughout a window, and pass its health check. Otherwise the instance is put back to what it
    ran before, the release is marked bad, and the module fails. A program that ends twice before
    its C(startsecs) has failed, whatever its C(startretries), and the programs after it are not
    started.
  - V(rolled_back) switches in the same way to an earlier good release. That release keeps its place
    among the deploys, so a second rollback goes back further. A release that is marked bad, or was
    never in use, is refused.
  - V(reverted) undoes the switch of one deploy because another instance of the deploy failed.
    The release is not marked bad.
  - V(verified) checks that everything that runs is stable throughout the window and passes the
    health checks of the current release. It changes nothing, unless O(restart_unhealthy) is set.
  - After a successful switch, old releases are removed, together with what no other release
    uses and no process runs from.
  - O(state=rolled_back), O(state=reverted) and O(state=verified) were added in version 0.2.0.
  - The same inputs give the same release, so a second run changes nothing.
  - Programs that have died are started. Programs that an operator has stopped stay stopped, with
    their new definition, and do not run meanwhile if their command is a file of the release.
  - Programs that a release no longer has are removed once the others are verified.
  - A run of V(active) that changes nothing warns of programs that run but do not pass their health
    check.
  - A published file that was changed by hand is repaired. Running programs keep what they have
    read.
options:
  state:
    description: What to do.
    type: str
    choices: [prepared, active, rolled_back, reverted, verified]
    required: true
  config:
    required: true
  directory:
    description:
      - The instance's own directory. The records of releases are in its subdirectory C(releases/),
        which must exist.
    type: path
    required: true
  python:
    description: The Python interpreter that has Supervisor installed.
    type: path
    required: true
  group:
    description: The unix group of what is written. By default that of the directory.
    type: str
  id:
    description:
      - The release, as O(state=prepared) returned it. Required with V(active), V(rolled_back) and
        V(reverted).
    type: str
  deploy:
    version_added: 0.2.0
    description:
      - The number of the deploy. It is the same on all instances of the deploy, and higher than the
        numbers of earlier deploys. Use the highest number that O(state=prepared) returned.
      - By default, O(state=active) uses the next number of this instance. O(state=reverted) needs
        it.
    type: int
  postpone:
    version_added: 1.0.0
    description:
      - With V(active) and V(rolled_back), whether to switch even if no supervisord runs. The
        release is then the current one, but unproven, until a supervisord has started it.
      - Whatever starts the supervisord must then run the program C(prove.pyz) in O(directory), by
        O(python), with the path of this program and of those of the instances that go back with
        this one. The program does what V(active) does after the switch, and puts everything back
        if one of the releases fails. It removes itself. Its exit status is not 0 if it must run
        again.
    type: bool
    default: false
  plan:
    version_added: 0.2.0
    description:
      - With O(state=prepared), the content of the release. P(jgi.jaws.release_plan#filter) makes it
        from a catalogue.
    type: dict
    suboptions:
      programs:
        description: The sections of the programs.
        type: str
        required: true
      files:
        description:
          - Files to publish. They are never changed afterwards, so their names must depend on their
            content.
        type: list
        elements: dict
        default: []
        suboptions:
          path:
            description: Absolute path.
            type: path
            required: true
          content:
            description: The whole content. It may hold secrets.
            type: str
            required: true
          mode:
            description: The mode, octal.
            type: str
            default: "0640"
      links:
        description: Symbolic links to set when the release becomes active, from path to target.
        type: dict
        default: {}
      health:
        description:
          - Health checks by program. Each has one of C(tcp) (V(host:port)), C(http) (a url) or
            C(command) (a list of words; it must exit with status 0). The variable C(PROGRAM_PID)
            has the pid of the program for such a command.
          - With C(http), C(status) is the list of the accepted codes, by default only 200.
        type: dict
        default: {}
      holds:
        description:
          - For how many seconds a program must keep running, by its name, if that is longer than
            O(window). The longest of the changed programs counts for all of them.
        type: dict
        default: {}
        version_added: 1.0.0
      one_shot:
        description:
          - The programs that end by themselves. They need C(startsecs=0) and
            C(autorestart=false). Programs with a higher C(priority) are started when they have
            ended successfully.
          - They run if their definition is new. They do not run if an earlier release comes back.
        type: list
        elements: str
        default: []
        version_added: 1.0.0
      commands:
        description:
          - How to find the command of each program before the switch, by the name of the program.
          - C(word) is the command's first word, C(setup) the bash code that sets up its
            environment, in a login shell if C(login) is true, and C(directory) its working
            directory.
          - C(files) are files that it reads. They must exist, and not be empty.
          - C(trial) are arguments with which it ends at once. It is run with these if its code is
            in an C(environment) that the current release does not use.
          - This is done for programs that differ from those of the current release.
        type: dict
        default: {}
        version_added: 1.0.0
  uses:
    version_added: 0.2.0
    description:
      - What the release uses besides its own files, such as virtual environments. These paths must
        exist.
    type: list
    elements: path
    default: []
  packages:
    description: The packages in them, for the record.
    type: list
    elements: str
    default: []
  author:
    description: Who deploys, for the record.
    type: str
    default: ""
  ci_job:
    description: The url of the CI job that deploys, for the record.
    type: str
    default: ""
  commit:
    version_added: 1.0.0
    description: The commit that the CI job deploys, for the record.
    type: str
    default: ""
  pipeline:
    version_added: 1.0.0
    description: The id of the pipeline that it belongs to, for the record.
    type: str
    default: ""
  comment:
    version_added: 1.0.0
    description: What the deploy is for, for the record.
    type: str
    default: ""
  window:
    description:
      - How many seconds the changed programs must keep running with one process each, from when all
        of them are RUNNING. Choose more than their C(startsecs).
    type: int
    default: 10
  health_timeout:
    description: How many seconds the health checks may take until they succeed.
    type: int
    default: 60
  programs:
    version_added: 1.0.0
    description: With O(state=verified), the programs to check. By default all that run.
    type: list
    elements: str
  restart_unhealthy:
    version_added: 1.0.0
    description:
      - With O(state=verified), whether to restart, once, what has been C(RUNNING) for a while but
        does not pass its health check, and to warn about it.
      - If a command ends with status 75, what the program needs is away, such as its database. Then
        a restart does not help, and the program is left alone.
    type: bool
    default: false
  timeout:
    description:
      - How many seconds a step may take, in addition to the programs' own C(startsecs) and
        C(stopwaitsecs).
    type: int
    default: 60
  lock_timeout:
    description: How many seconds to wait for another run that works on the same instance.
    type: int
    default: 300
  keep:
    version_added: 0.2.0
    description: How many good releases to keep, those that were deployed last.
    type: int
    default: 5
  grace:
    version_added: 0.2.0
    description: How many days everything is kept after it was last prepared or switched to.
    type: int
    default: 14
  prune:
    version_added: 0.2.0
    description:
      - Directories that hold only what releases use. What no kept release uses is removed from them
        if it is older than O(grace). Symbolic links stay.
    type: list
    elements: path
    default: []
extends_documentation_fragment:
  - jgi.jaws.supervisord
  - jgi.jaws.attributes
  - jgi.jaws.attributes.action_group
  - jgi.jaws.attributes.posix
attributes:
  check_mode:
    support: full
    details: Predicts what would change, and changes nothing.
  diff_mode:
    support: partial
    details: >-
      Shows the paths of the files to be published, never their content, and the programs'
      part of the C(supervisord.conf) before and after.
requirements:
  - Supervisor 3.3 or later in the environment of O(python), and a running supervisord
author:
  - The jgi.jaws engineers (@JGI-Bioinformatics)
seealso:
  - module: jgi.jaws.release_info
  - module: jgi.jaws.venv
  - module: jgi.jaws.supervisord_config
  - plugin: jgi.jaws.release_plan
    plugin_type: filter
"""

EXAMPLES = r"""
- name: Publish a release, while the old one serves
  jgi.jaws.release:
    state: prepared
    config: /tmp/jaws-supervisord/supervisord-jaws.conf
    directory: /tmp/jaws-dev/jaws
    python: /tmp/jaws-supervisord/venv/bin/python
    plan:
      programs: |
        [program:jaws-site-daemon]
        command=/tmp/jaws-dev/jaws/shims/jaws-site-daemon-0123456789ab
      files:
        - path: /tmp/jaws-dev/jaws/shims/jaws-site-daemon-0123456789ab
          mode: "0750"
          content: |
            #!/bin/sh
            exec sleep 1000
  register: prepared

- name: Switch to it
  jgi.jaws.release:
    state: active
    id: "{{ prepared.id }}"
    config: /tmp/jaws-supervisord/supervisord-jaws.conf
    directory: /tmp/jaws-dev/jaws
    python: /tmp/jaws-supervisord/venv/bin/python

- name: Go back to an earlier one
  jgi.jaws.release:
    state: rolled_back
    id: 20261121T130000Z-4567cdef
    config: /tmp/jaws-supervisord/supervisord-jaws.conf
    directory: /tmp/jaws-dev/jaws
    python: /tmp/jaws-supervisord/venv/bin/python
"""

RETURN = r"""
id:
  description: The release.
  returned: success, and if the switch failed
  type: str
  sample: 20261122T130000Z-0123abcd
current:
  description: With O(state=prepared), the current release; null if there is none.
  returned: success
  type: str
  sample: 20261121T130000Z-4567cdef
deploy:
  version_added: 0.2.0
  description: >-
    With O(state=prepared), a number for the next deploy, greater than all known ones, in Unix
    seconds.
  returned: success
  type: int
  sample: 1790000000
differs:
  description: With O(state=prepared), whether the release differs from the current one.
  returned: success
  type: bool
  sample: true
published:
  description: With O(state=prepared), the files that were written.
  returned: success
  type: list
  elements: str
  sample: [/tmp/jaws-dev/jaws/configs/jaws-site-0123456789ab.conf]
affected:
  description:
    - With O(state=prepared), the programs that it defines differently from the current release.
    - With the other states, the programs that were started, restarted or removed.
  returned: success
  type: list
  elements: str
  sample: [jaws-central-rest]
before:
  version_added: 1.0.0
  description: >-
    With O(state=active) and O(state=rolled_back), the release that ran before; null if there was
    none.
  returned: success
  type: str
  sample: 20261121T130000Z-4567cdef
changes:
  version_added: 1.0.0
  description:
    - What differs from the current release, or from the one before. What holds a secret has no
      C(before) and no C(after).
    - C(item) is where it is, C(change) one of V(added), V(removed) and V(changed), and C(programs)
      are those that use it.
  returned: with O(state=prepared), O(state=active) and O(state=rolled_back)
  type: list
  elements: dict
  sample:
    - item: jaws-site.conf [LOCAL_RPC_SERVER] num_threads
      change: changed
      before: "5"
      after: "6"
      programs: [jaws-site-jtm-rpc]
actions:
  version_added: 1.0.0
  description:
    - What was done to each program, in check mode what would be done. C(action) is one of
      V(restart), V(start), V(remove) and V(leave).
    - C(down) is for how many seconds the program was not C(RUNNING); null if that is unknown.
  returned: >-
    with O(state=active) and O(state=rolled_back), and in check mode with O(state=prepared)
  type: list
  elements: dict
  sample:
    - {program: jaws-central-rest, action: leave, why: nothing that it uses has changed, down: null}
    - {program: jaws-site-jtm-rpc, action: restart, why: "", down: 3.4}
postponed:
  version_added: 1.0.0
  description: Whether the release is unproven until a supervisord has started it.
  returned: with O(postpone), if no supervisord runs
  type: bool
  sample: true
outdated:
  version_added: 1.0.0
  description: Whether supervisord runs from another installation than that of O(python).
  returned: as RV(actions)
  type: bool
  sample: false
programs:
  description: With O(state=active), every program, as M(jgi.jaws.supervisorctl) returns them.
  returned: success, not in check mode
  type: list
  elements: dict
  sample:
    - name: jaws-central-rest
      group: jaws-central-rest
      state: RUNNING
      pid: 4711
      start_time: 1790000000
      exit_status: null
      spawn_error: null
      log_file: /tmp/jaws-dev/jaws/logs/jaws-central-rest.out
      error_log_file: null
leftovers:
  version_added: 1.0.0
  description:
    - What programs had left running, and was ended before and after the switch, as with
      the option O(jgi.jaws.supervisorctl#module:end_leftovers).
  returned: with O(state=active) and O(state=rolled_back)
  type: list
  elements: str
  sample: ["jaws-jtm: /usr/bin/python3 /tmp/jtm manager (pid 4712, 4713)"]
pruned:
  version_added: 0.2.0
  description: What old releases had left and was removed.
  returned: with O(state=active) and O(state=rolled_back), if the release was switched to
  type: list
  elements: str
  sample: [/tmp/jaws-dev/jaws/venvs/site-2.5.0-89abcdef0123]
reverted_to:
  description: The release that was put back; null if there was none before.
  returned: if the switch failed, and with O(state=reverted)
  type: str
  sample: 20261121T130000Z-4567cdef
put_back:
  version_added: 1.0.0
  description: Whether everything that ran before the switch runs again.
  returned: if the switch failed
  type: bool
  sample: true
reason:
  description:
    - One word for the cause of a failure, for example
      V(broken_conf), V(incomplete_release), V(program_failed), V(unhealthy).
    - The page C(docs/reasons.md) of the collection lists all of them.
  returned: failure
  type: str
  sample: unstable
held:
  version_added: 0.2.0
  description: Whether all changed programs were stable and healthy.
  returned: success, with O(state=active) and O(state=rolled_back)
  type: bool
  sample: true
failed_programs:
  description: The programs that failed, or were not stable or healthy.
  returned: if the switch failed
  type: list
  elements: str
  sample: [jaws-central-rest]
"""

from ansible.module_utils.basic import AnsibleModule

from ..module_utils.module import run
from ..module_utils.release import manage

FILE = dict(
    path=dict(type="path", required=True),
    content=dict(type="str", required=True, no_log=True),
    mode=dict(type="str", default="0640"),
)
PLAN = dict(
    programs=dict(type="str", required=True),
    files=dict(type="list", elements="dict", default=[], options=FILE, no_log=False),
    links=dict(type="dict", default={}),
    health=dict(type="dict", default={}),
    holds=dict(type="dict", default={}),
    one_shot=dict(type="list", elements="str", default=[]),
    commands=dict(type="dict", default={}),
)

OPTIONS = dict(
    state=dict(
        type="str",
        required=True,
        choices=["prepared", "active", "rolled_back", "reverted", "verified"],
    ),
    config=dict(type="path", required=True),
    directory=dict(type="path", required=True),
    python=dict(type="path", required=True),
    group=dict(type="str"),
    id=dict(type="str"),
    deploy=dict(type="int"),
    postpone=dict(type="bool", default=False),
    plan=dict(type="dict", options=PLAN),
    uses=dict(type="list", elements="path", default=[]),
    packages=dict(type="list", elements="str", default=[]),
    author=dict(type="str", default=""),
    ci_job=dict(type="str", default=""),
    commit=dict(type="str", default=""),
    pipeline=dict(type="str", default=""),
    comment=dict(type="str", default=""),
    window=dict(type="int", default=10),
    health_timeout=dict(type="int", default=60),
    programs=dict(type="list", elements="str"),
    restart_unhealthy=dict(type="bool", default=False),
    timeout=dict(type="int", default=60),
    lock_timeout=dict(type="int", default=300),
    keep=dict(type="int", default=5),
    grace=dict(type="int", default=14),
    prune=dict(type="list", elements="path", default=[]),
)


def main() -> None:
    module = AnsibleModule(
        argument_spec=OPTIONS,
        required_if=[
            ("state", "prepared", ["plan"]),
            ("state", "active", ["id"]),
            ("state", "rolled_back", ["id"]),
            ("state", "reverted", ["id", "deploy"]),
        ],
        supports_check_mode=True,
    )
    run(module, manage)


if __name__ == "__main__":
    main()
