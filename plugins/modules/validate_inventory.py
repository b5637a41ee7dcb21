#!/usr/bin/python
# Copyright: (c) 2026, The jgi.jaws engineers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
module: validate_inventory
short_description: Find what is wrong with an inventory before anything connects
version_added: 0.1.0
description:
  - Checks the variables of every host in the inventory, on the control node; connects to no host.
  - It names misspelt variables, missing facts and secrets, values of the wrong type or without
    effect, wrong changes to services and configurations, and paths, ports or databases that two
    instances would share. Each sentence names the file of the inventory that states the variable,
    or else the hosts that have it.
  - For an unknown name that begins like a variable of this collection but is not similar to any,
    there is a warning, on hosts that use its roles.
  - A host uses a role if it states one of the options that the role requires.
  - It reports files in C(host_vars) and C(group_vars) that are for no host or group, and an
    C(ansible_host) that an inventory next to this one has for another site.
  - It reports hosts whose groups make them two instances or put them in two deployments, and
    several inventories (C(-i) twice) whose variables would apply to each other's instances.
options:
  extra_vars:
    description:
      - The variables that the playbook takes from C(-e).
      - A variable given by C(-e) is refused if it is one of them misspelt, or one of them without a
        value.
    type: list
    elements: str
    default: []
    version_added: 1.0.0
  tags:
    description:
      - The tags that the playbook has, each with the list of the tags of what it needs in the same
        run. An empty dictionary means that the playbook has no tags.
      - C(--tags) and C(--skip-tags) are refused if they would leave out what is needed, or
        everything, or name a tag that the playbook does not have.
      - By default, this is not checked. The task itself needs the tag C(always).
    type: dict
    version_added: 1.0.0
  hosts:
    description:
      - The hosts whose variables are checked, for example C(ansible_play_hosts_all) in a play for
        gitlab-runners. By default all hosts of the inventory, which must have an instance.
    type: list
    elements: str
    version_added: 1.0.0
  files:
    description:
      - Whether to look for files that a deploy needs, on hosts with the connection C(local).
    type: bool
    default: false
    version_added: 1.0.0
  notify:
    description:
      - The event that the callback P(jgi.jaws.notify#callback) reports to the inventory's
        C(site_notify_command) if the playbook fails. By default, it reports nothing.
      - It reports nothing with C(--check) and with C(--tags inventory).
    type: str
    default: ""
    version_added: 1.0.0
extends_documentation_fragment:
  - jgi.jaws.attributes
  - jgi.jaws.attributes.info
  - jgi.jaws.attributes.action
  - jgi.jaws.attributes.posix
author:
  - The jgi.jaws engineers (@JGI-Bioinformatics)
seealso:
  - module: ansible.builtin.validate_argument_spec
"""

EXAMPLES = r"""
- name: Refuse a wrong inventory
  jgi.jaws.validate_inventory:
  run_once: true

- name: Refuse a wrong inventory, and a misspelt -e program=NAME
  jgi.jaws.validate_inventory:
    extra_vars: [programs]
  run_once: true

- name: Refuse --tags activate, which would leave out what it needs
  jgi.jaws.validate_inventory:
    tags: {prepare: [], activate: [prepare]}
  run_once: true
  tags: always
"""

RETURN = r"""
notify:
  description: The command, the O(notify) event, and the deployment of each host.
  returned: with O(notify), unless nothing would be deployed
  type: dict
  sample: {command: [/usr/local/bin/tell], event: deploy_failed, deployments: {cori_dev_jaws: dev}}
findings:
  description: One sentence for each thing that is wrong.
  returned: always
  type: list
  elements: str
  sample:
    - >-
      jaws_log_level has no effect in inventories/cori/group_vars/all/site.yml: set
      deployment_log_level.
    - "cori_dev_jaws: vault_site_db_password is missing: Password of the site's database."
"""
