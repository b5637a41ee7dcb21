#!/usr/bin/python
# Copyright: (c) 2026, The jgi.jaws engineers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
module: tree
short_description: Make directories, small files and links, and refuse those of other users
version_added: 0.1.0
description:
  - Makes a list of directories, files, copies and symbolic links in one call.
  - Unlike M(ansible.builtin.file), it refuses a path that another user has made, which matters
    below C(/tmp). Every part of the path that is in a directory where everybody may write must
    belong to the user or to root.
  - A directory may be the user's own symbolic link to a directory of the user's own.
options:
  paths:
    description: The paths, parents first.
    type: list
    elements: dict
    required: true
    suboptions:
      path:
        description: Absolute path.
        type: path
        required: true
      mode:
        description: The mode of a directory or a file, octal.
        type: str
        default: "0755"
      group:
        description: Its unix group. By default the group is left alone.
        type: str
      content:
        description: Makes it a file with this text. It must not be a secret.
        type: str
      secret_content:
        version_added: 0.2.0
        description: The same for a text that is never shown.
        type: str
      target:
        description: Makes it a symbolic link to this path.
        type: str
      acl_groups:
        version_added: 1.0.0
        description:
          - What further groups may do in the directory and in everything that is made in it, as
            V(rx) or V(rwx) by the name of the group. This is the directory's access control list
            and its default one; entries that are not named here are removed, and an empty
            dictionary removes all of them.
          - By default, the lists of a directory are left alone.
          - A filesystem without POSIX access control lists is refused before anything is made.
        type: dict
      source:
        version_added: 1.0.0
        description:
          - Makes it a copy of this file on the host, which must not be empty.
          - C(@sha256@) in the path becomes the first 12 digits of the copy's SHA-256. A copy that
            is there by such a name was put there after it was checked; it is not read again, only
            its size is compared. At any other path, a copy is read each time.
        type: path
      url:
        version_added: 1.0.0
        description: >-
          Makes it a copy of what is at this address, as O(paths[].source). It needs
          O(paths[].sha256).
        type: str
      sha256:
        version_added: 1.0.0
        description:
          - The SHA-256 that a copy must have. If what would be copied has another one, nothing is
            put in its place.
          - With it, O(paths[].source) is only read if it has to be copied.
        type: str
      name:
        version_added: 1.0.0
        description: >-
          What RV(copies) calls a copy. By default, this is O(paths[].source) or O(paths[].url).
        type: str
      list:
        version_added: 1.0.0
        description: Return the names in this directory.
        type: bool
        default: false
  environment:
    version_added: 1.0.0
    description:
      - Environment variables of downloads, a mapping, for example of a proxy.
      - Unlike those of the keyword C(environment), they are not among the arguments of a command,
        where every user of the host would see a password.
    type: json
extends_documentation_fragment:
  - jgi.jaws.attributes
  - jgi.jaws.attributes.posix
attributes:
  check_mode:
    support: full
    details: Predicts what would be made, and writes nothing.
  diff_mode:
    support: partial
    details: Shows which paths differ.
author:
  - The jgi.jaws engineers (@JGI-Bioinformatics)
seealso:
  - module: ansible.builtin.file
  - module: ansible.builtin.copy
"""

EXAMPLES = r"""
- name: Make a directory that is closed to other users
  jgi.jaws.tree:
    paths:
      - path: /tmp/jaws-dev/jaws
        mode: "2750"
        group: jaws

- name: Make a directory whose whole content JAWS's users may read
  jgi.jaws.tree:
    paths:
      - path: /scratch/jaws/results
        mode: "2770"
        group: jaws
        acl_groups:
          genome: rx

- name: Copy a large file to a path that contains its digest
  jgi.jaws.tree:
    paths:
      - path: /tmp/jaws-dev/jtm/artifacts/cromwell-@sha256@.jar
        source: /opt/jars/cromwell.jar
        mode: "0640"
  register: made

- name: Show where the copy is
  ansible.builtin.debug:
    var: made.copies['/opt/jars/cromwell.jar']
"""

RETURN = r"""
paths:
  description: The paths that were made or changed.
  returned: success
  type: list
  elements: str
  sample: [/tmp/jaws-dev/jaws]
copies:
  version_added: 1.0.0
  description: The path of each copy, by its O(paths[].name).
  returned: success
  type: dict
  sample: {/opt/jars/cromwell.jar: /tmp/jaws-dev/jtm/artifacts/cromwell-2c26b46b68ff.jar}
listing:
  version_added: 1.0.0
  description: The names in the directories with O(paths[].list), by their paths.
  returned: success
  type: dict
  sample: {/tmp/jaws-dev/jaws: [configs, logs, venvs]}
reason:
  description:
    - One word for the cause of a failure, for example V(foreign_owner), V(cannot_write).
    - The page C(docs/reasons.md) of the collection lists all of them.
  returned: failure
  type: str
  sample: foreign_owner
"""

from ansible.module_utils.basic import AnsibleModule

from ..module_utils.module import ENVIRONMENT_VARIABLES, run
from ..module_utils.tree import manage

ITEM = dict(
    path=dict(type="path", required=True),
    mode=dict(type="str", default="0755"),
    group=dict(type="str"),
    content=dict(type="str"),
    secret_content=dict(type="str", no_log=True),
    target=dict(type="str"),
    acl_groups=dict(type="dict"),
    source=dict(type="path"),
    url=dict(type="str"),
    sha256=dict(type="str"),
    name=dict(type="str"),
    list=dict(type="bool", default=False),
)


def main() -> None:
    module = AnsibleModule(
        argument_spec=dict(
            paths=dict(type="list", elements="dict", required=True, options=ITEM),
            environment=ENVIRONMENT_VARIABLES,
        ),
        supports_check_mode=True,
    )
    run(module, manage)


if __name__ == "__main__":
    main()
