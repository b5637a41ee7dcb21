#!/usr/bin/python
# Copyright: (c) 2026, The jgi.jaws engineers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
module: release_info
short_description: List the releases of the programs under one supervisord
version_added: 0.1.0
description:
  - Returns the releases that M(jgi.jaws.release) has prepared on a host, and which one is current.
options:
  config:
    required: true
  directory:
    description: The instance's own directory, as for M(jgi.jaws.release).
    type: path
    required: true
  health:
    version_added: 1.0.0
    description:
      - Whether to run the health checks of the current release, those of all running programs at
        the same time. A check that fails is run again, because once may be chance.
    type: bool
    default: false
  release:
    description: A release to compare with O(against).
    type: str
    version_added: 1.0.0
  against:
    description: The release to compare it with. By default the current one.
    type: str
    version_added: 1.0.0
extends_documentation_fragment:
  - jgi.jaws.supervisord
  - jgi.jaws.attributes
  - jgi.jaws.attributes.info
  - jgi.jaws.attributes.action_group
  - jgi.jaws.attributes.posix
author:
  - The jgi.jaws engineers (@JGI-Bioinformatics)
seealso:
  - module: jgi.jaws.release
  - module: jgi.jaws.release_report
"""

EXAMPLES = r"""
- name: Look at the releases of one instance
  jgi.jaws.release_info:
    config: /tmp/jaws-supervisord/supervisord-jaws.conf
    directory: /tmp/jaws-dev/jaws
"""

RETURN = r"""
current:
  description: The current release; null if there is none.
  returned: success
  type: str
  sample: 20261122T130000Z-0123abcd
deploy:
  version_added: 0.2.0
  description: A number for the next deploy, greater than all known ones, in Unix seconds.
  returned: success
  type: int
  sample: 1790000000
state:
  version_added: 1.0.0
  description: The RV(releases[].status) of the current release; null if there is none.
  returned: success
  type: str
  sample: good
title:
  version_added: 1.0.0
  description: The current release, with its state if that is not V(good); null if there is none.
  returned: success
  type: str
  sample: 20261122T130000Z-0123abcd (unproven)
frozen:
  version_added: 1.0.0
  description: >-
    Who has frozen the instance, when and why: what the file C(frozen) in O(directory) has;
    null if there is none.
  returned: success
  type: str
  sample: "jane since 2026-11-30 10:00 UTC: the database is being moved"
health:
  version_added: 1.0.0
  description: >-
    With O(health), by program that runs and has a health check, why it fails; null if it succeeds.
    Nothing if supervisord does not answer.
  returned: success
  type: dict
  sample: {jaws-central-rest: null, jaws-jtm: "what it needs is away: no broker at rmq.example"}
stop_seconds:
  version_added: 1.0.0
  description: >-
    How many seconds the supervisord may take to shut down. It stops one program after the other,
    and kills one that has not ended after its C(stopwaitsecs).
  returned: success
  type: int
  sample: 224
unproven_deploy:
  version_added: 1.0.0
  description: >-
    The number of the deploy that switched to the current release, if it was interrupted, so that
    nobody knows if the release holds; otherwise null.
  returned: success
  type: int
  sample: null
releases:
  description: The releases, newest first.
  returned: success
  type: list
  elements: dict
  contains:
    id:
      description: Its id.
      type: str
      sample: 20261122T130000Z-0123abcd
    status:
      description: >-
        One of V(prepared), V(good) and V(bad), or V(unproven) if it is current, but the run that
        switched to it was interrupted, or no supervisord ran.
      type: str
      sample: good
    state:
      description: >-
        RV(releases[].status) as people see it, that is V(current) for a good release that is
        current, and V(rolled back) for one that a rollback has left.
      version_added: 1.0.0
      type: str
      sample: current
    created:
      description: When it was prepared, in Unix seconds.
      type: int
      sample: 1790000000
    deploy:
      description: The number of the last deploy that switched to it successfully; null if none did.
      type: int
      sample: 1790000000
    deploys:
      description: >-
        For each deploy that switched to it, by its number, what ran before it on this instance: the
        number of an earlier deploy, or null.
      type: dict
      sample: {"1790000000": 1780000000}
    activated:
      description: When it was last switched to successfully, in Unix seconds; null if it never was.
      type: float
      sample: 1790000060.5
    author:
      description: Who deployed it.
      type: str
      sample: jaws
    ci_job:
      description: The url of the CI job that deployed it.
      type: str
      sample: https://gitlab.example.org/jaws/-/jobs/1234
    commit:
      description: The commit that the CI job deployed; null if it was none.
      version_added: 1.0.0
      type: str
      sample: 2c26b46b
    pipeline:
      description: The id of its pipeline; null if there was none.
      version_added: 1.0.0
      type: str
      sample: "4711"
    comment:
      description: What the deploy was for; null if nobody has said so.
      version_added: 1.0.0
      type: str
      sample: Use more threads
    rollback:
      description:
        - C(author), C(ci_job), C(commit), C(pipeline) and C(comment) of the rollback that has
          switched to it last; null if that was a deploy.
      version_added: 1.0.0
      type: dict
      sample: {author: jane, ci_job: null, commit: null, pipeline: "4712", comment: slow}
    packages:
      description: Its packages with their versions.
      type: list
      elements: str
      sample: [jaws-site==2.6.0]
    why:
      description: Why it is bad; empty if it is not.
      type: str
      sample: jaws-central-rest ended with status 1
compared:
  version_added: 1.0.0
  description: >-
    With O(release), both releases, and what differs between them as M(jgi.jaws.release) returns it;
    null if the instance does not have both.
  returned: success
  type: dict
  sample:
    releases: [20261121T130000Z-4567cdef, 20261122T130000Z-0123abcd]
    changes:
      - item: jaws-site.conf [LOCAL_RPC_SERVER] num_threads
        change: changed
        before: "5"
        after: "6"
        programs: [jaws-site-jtm-rpc]
"""

from ansible.module_utils.basic import AnsibleModule

from ..module_utils.module import run
from ..module_utils.release_info import inform


def main() -> None:
    module = AnsibleModule(
        argument_spec=dict(
            config=dict(type="path", required=True),
            directory=dict(type="path", required=True),
            health=dict(type="bool", default=False),
            release=dict(type="str"),
            against=dict(type="str"),
        ),
        supports_check_mode=True,
    )
    run(module, inform)


if __name__ == "__main__":
    main()
