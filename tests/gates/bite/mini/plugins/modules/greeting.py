#!/usr/bin/python
# Copyright: (c) 2026, The jgi.jaws engineers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
module: greeting
short_description: Greet
version_added: 0.1.0
description: Returns a greeting.
author: The jgi.jaws engineers (@jgi)
options:
  loud:
    description: Whether to shout.
    type: bool
    default: false
extends_documentation_fragment: jgi.jaws.words
seealso:
  - module: ansible.builtin.debug
attributes:
  action_group:
    support: full
    description: The module is in an action group.
    membership: [jgi.jaws.greetings]
  check_mode:
    support: full
    description: The module never changes anything.
  diff_mode:
    support: none
    description: There is nothing to show.
  platform:
    support: full
    description: The systems that the module runs on.
    platforms: posix
"""

EXAMPLES = r"""
- name: Greet
  jgi.jaws.greeting:
    who: world
    loud: true
"""

RETURN = r"""
greeting:
  description: What was said.
  returned: success
  type: str
  sample: Hello world
"""

from ansible.module_utils.basic import AnsibleModule

from ansible_collections.jgi.jaws.plugins.module_utils.words import greet


def main() -> None:
    module = AnsibleModule(
        argument_spec=dict(
            name=dict(type="str", required=True, aliases=["who"]),
            loud=dict(type="bool", default=False),
        ),
        supports_check_mode=True,
    )
    module.exit_json(changed=False, greeting=greet(module.params["name"], module.params["loud"]))


if __name__ == "__main__":
    main()
