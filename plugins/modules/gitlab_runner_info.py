#!/usr/bin/python
# Copyright: (c) 2026, The jgi.jaws engineers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
module: gitlab_runner_info
short_description: Ask GitLab about a runner, and find what the runner uses on its host
version_added: 0.1.0
description:
  - Asks GitLab whether a runner's authentication token is valid, and whether the runner is online.
  - Returns where gitlab-runner looks for its configuration if this user starts it, and whether the
    user's services continue after logout.
  - If GitLab does not answer, or does not know the token, the module succeeds and returns that,
    unless O(wait_for) is set.
options:
  url:
    description:
      - GitLab's address, without C(/api). It must be https, because the tokens are sent there;
        plain http is accepted only for a loopback address, or with O(allow_http).
    type: str
    required: true
  token:
    description: The runner's authentication token.
    type: str
    required: true
  api_token:
    description:
      - An access token with the scope C(read_api), of a user who may read the runner. With the
        runner's own token, GitLab does not report whether it is online.
    type: str
    default: ''
  ca_file:
    description: Certificates to trust instead of the system's, in one PEM file.
    type: path
  environment:
    version_added: 1.0.0
    description: Environment variables, a mapping, for example of a proxy on the way to GitLab.
    type: json
  wait_for:
    description:
      - What GitLab must report within O(timeout). Otherwise the task fails with its last answer.
      - V(valid) means that the token is valid. V(online) means the green dot, and needs
        O(api_token).
    type: str
    choices: [nothing, valid, online]
    default: nothing
  since:
    description:
      - The runner counts as online only if it contacted GitLab after this time, for example
        V(2026-01-31T08:00:00Z), by this host's clock. GitLab shows a runner as online for a long
        time after it has ended.
    type: str
    default: ''
  name:
    description:
      - The runner's name in its configuration. If it is given and GitLab refuses O(token), the
        token that the configuration has for this name and O(url) is tried, because a runner
        rotates its token itself.
    type: str
    default: ''
    version_added: 1.0.0
  config_file:
    description: >-
      The runner's configuration. By default the one that gitlab-runner uses if this user starts it.
    type: path
    version_added: 1.0.0
  allow_http:
    description: Whether the tokens may be sent over plain http, as in a closed network.
    type: bool
    default: false
    version_added: 1.0.0
  command:
    description: The runner's executable, to look for in the user's systemd units.
    type: path
  timeout:
    description: How many seconds to wait.
    type: int
    default: 60
extends_documentation_fragment:
  - jgi.jaws.attributes
  - jgi.jaws.attributes.info
  - jgi.jaws.attributes.linux
seealso:
  - module: jgi.jaws.background_command
author:
  - The jgi.jaws engineers (@JGI-Bioinformatics)
"""

EXAMPLES = r"""
- name: Check whether the runner's token is valid
  jgi.jaws.gitlab_runner_info:
    url: https://gitlab.example.org
    token: "{{ vault_gitlab_runner_token }}"
  register: runner

- name: Wait for the green dot
  jgi.jaws.gitlab_runner_info:
    url: https://gitlab.example.org
    token: "{{ vault_gitlab_runner_token }}"
    api_token: "{{ vault_gitlab_runner_api_token }}"
    wait_for: online
"""

RETURN = r"""
valid:
  description: Whether the token is valid, or null if GitLab did not answer.
  returned: success
  type: bool
  sample: true
runner_id:
  description: The runner's number in GitLab, or null.
  returned: success
  type: int
  sample: 42
kept_token:
  description:
    - Whether the token in the configuration is better than O(token), because GitLab accepts only
      that one, or because GitLab did not answer.
  returned: success
  type: bool
  sample: false
  version_added: 1.0.0
online:
  description: Whether the runner is online, or null if that is not known.
  returned: success
  type: bool
  sample: true
contacted_at:
  description: The runner's last contact by GitLab's clock, or null if that is not known.
  returned: success
  type: str
  sample: '2026-01-31T08:00:03.000Z'
saw:
  description: What GitLab reported, as a sentence.
  returned: success
  type: str
  sample: https://gitlab.example.org reports runner 42 as online.
user:
  description: The user that the module ran as.
  returned: success
  type: str
  sample: jaws
home:
  description: The user's home directory.
  returned: success
  type: str
  sample: /home/jaws
config_file:
  description: Where gitlab-runner looks for its configuration if this user starts it.
  returned: success
  type: str
  sample: /home/jaws/.gitlab-runner/config.toml
unit_directory:
  description: Where the user's systemd looks for the user's own units.
  returned: success
  type: str
  sample: /home/jaws/.config/systemd/user
units:
  description: The units there that contain O(command).
  returned: success
  type: list
  elements: str
  sample: [/home/jaws/.config/systemd/user/gitlab-runner.service]
lingering:
  description: Whether the user's systemd services start at boot and continue after logout.
  returned: success
  type: bool
  sample: true
node:
  description: The name of the host, as its kernel has it, without a domain.
  returned: success
  type: str
  sample: cori20
  version_added: 1.0.0
runtime_directory:
  description: The directory in which C(systemctl --user) finds the user's systemd.
  returned: success
  type: str
  sample: /run/user/1001
reason:
  description:
    - One word for the cause of a failure, for example V(bad_option), V(timed_out).
    - The page C(docs/reasons.md) of the collection lists all of them.
  returned: failure
  type: str
  sample: timed_out
"""

from typing import Any

from ansible.module_utils.basic import AnsibleModule

from ..module_utils.gitlab_runner_info import look
from ..module_utils.module import ENVIRONMENT_VARIABLES, run

OPTIONS: dict[str, Any] = dict(
    url=dict(type="str", required=True),
    token=dict(type="str", required=True, no_log=True),
    api_token=dict(type="str", default="", no_log=True),
    ca_file=dict(type="path"),
    environment=ENVIRONMENT_VARIABLES,
    wait_for=dict(type="str", choices=["nothing", "valid", "online"], default="nothing"),
    since=dict(type="str", default=""),
    name=dict(type="str", default=""),
    config_file=dict(type="path"),
    allow_http=dict(type="bool", default=False),
    command=dict(type="path"),
    timeout=dict(type="int", default=60),
)


def main() -> None:
    run(AnsibleModule(argument_spec=OPTIONS, supports_check_mode=True), look)


if __name__ == "__main__":
    main()
