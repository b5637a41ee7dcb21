#!/usr/bin/python
# Copyright: (c) 2026, The jgi.jaws engineers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
module: gitlab_runner_config
short_description: Write one runner into a config.toml, and keep what else is in it
version_added: 1.0.0
description:
  - Merges settings into the C(config.toml) of a gitlab-runner, table by table. Other runners in the
    file, other tables and other keys are kept, because people and the runner itself write there
    too. A warning names them, except for what every runner writes.
  - What an earlier run has written is removed if it is not stated any more. The file
    C(PATH.written), next to O(path), has the names of what was written, without values.
  - The file is only written if it would mean something else. Then comments in it are lost.
  - The runner in the file that has the same address and token is changed, or else the one with
    the same address and name. If there is none, one is added.
options:
  path:
    description: The file. Its directory must exist.
    type: path
    required: true
  content:
    description:
      - The global settings and one runner, as TOML. P(jgi.jaws.runner_config#filter) makes it from
        two dictionaries.
    type: str
    required: true
  keep_token:
    description:
      - Whether the token that the file has for the runner stays, as after a rotation. See
        RV(jgi.jaws.gitlab_runner_info#module:kept_token).
    type: bool
    default: false
extends_documentation_fragment:
  - jgi.jaws.attributes
  - jgi.jaws.attributes.posix
attributes:
  check_mode:
    support: full
    details: Predicts whether the file would be written, and writes nothing.
  diff_mode:
    support: none
    details: The file holds tokens.
author:
  - The jgi.jaws engineers (@JGI-Bioinformatics)
seealso:
  - module: jgi.jaws.gitlab_runner_info
  - module: jgi.jaws.background_command
  - plugin: jgi.jaws.runner_config
    plugin_type: filter
"""

EXAMPLES = r"""
- name: Configure a runner
  jgi.jaws.gitlab_runner_config:
    path: /home/jaws/.gitlab-runner/config.toml
    content: "{{ settings | jgi.jaws.runner_config({'concurrent': 4}) }}"
  vars:
    settings:
      name: cori
      url: https://gitlab.example.org
      token: "{{ vault_gitlab_runner_token }}"
      executor: shell
"""

RETURN = r"""
reason:
  description:
    - One word for the cause of a failure, for example V(unreadable_file), V(foreign_owner).
    - The page C(docs/reasons.md) of the collection lists all of them.
  returned: failure
  type: str
  sample: unreadable_file
"""

from ansible.module_utils.basic import AnsibleModule

from ..module_utils.gitlab_runner_config import manage
from ..module_utils.module import run

OPTIONS = dict(
    path=dict(type="path", required=True),
    content=dict(type="str", required=True, no_log=True),
    keep_token=dict(type="bool", default=False, no_log=False),
)


def main() -> None:
    module = AnsibleModule(argument_spec=OPTIONS, supports_check_mode=True)
    run(module, manage)


if __name__ == "__main__":
    main()
