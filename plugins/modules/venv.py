#!/usr/bin/python
# Copyright: (c) 2026, The jgi.jaws engineers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
module: venv
short_description: Build virtual environments that are named by their content
version_added: 0.1.0
description:
  - Builds Python virtual environments, each in a directory whose name contains its version and a
    digest of everything that goes into it. Such an environment is never changed afterwards, so the
    old one serves while the new one is built.
  - Nothing is built, sent or downloaded if the environment exists already.
  - A build that fails or is killed leaves nothing that looks complete. An environment counts as
    complete when each wheel and requirement is installed in it, in its version, when the modules
    of the wheels can be imported, and when C(pip check) finds nothing.
  - Where packages come from is the user's business, so pip's settings for that count, from its
    configuration files and from variables such as E(PIP_INDEX_URL), as do proxies, certificates and
    C(~/.netrc). All others are ignored, such as C(user), C(target), C(prefix), C(root) and
    C(dry-run), as are E(PYTHONPATH) and the like.
  - An environment that was changed by hand is left alone, and the next one is built next to it.
options:
  directory:
    description:
      - Absolute path of the directory that holds the environments. If it is missing, it is made
        with the mode 0755; those above it that are missing, with 0711.
      - It is refused where another user could replace it, as M(jgi.jaws.tree) does.
    type: path
    required: true
  layers:
    description:
      - Absolute path of a directory for layers, made like O(directory). Without it, every
        environment is built by itself.
      - A layer holds what the wheels of an environment need, and is named by that. It is built
        once; each environment that needs the same is a copy of it, into which only the wheels are
        installed. So a new wheel takes seconds, however many packages it needs.
      - The copies are hard links if the directory is on the filesystem of O(directory). Files in a
        layer or an environment must not be written to, as always, but can be replaced.
      - An unpinned requirement is resolved when its layer is built.
      - The M(jgi.jaws.release) module removes layers that no kept release uses, if its option
        O(jgi.jaws.release#module:prune) names this directory.
    type: path
    default: ""
    version_added: 1.0.0
  uv:
    description:
      - The requirement for uv, with its hashes, for example from a file that
        C(uv export) has written. With it, uv installs what is in layers, which takes a fraction of
        the time, and pip only the wheels. It needs O(layers), where it is installed too.
      - It gets pip's settings and arguments. If one of them has no equivalent, if uv cannot be
        installed, or if it fails, pip takes its place. The packages are the same.
    type: list
    elements: str
    default: []
    version_added: 1.0.0
  environments:
    description: The environments.
    type: list
    elements: dict
    required: true
    suboptions:
      name:
        description: The first part of its directory's name.
        type: str
        required: true
      wheels:
        description:
          - Patterns of wheels on the control node, for example V(/builds/jaws/site/dist/*.whl).
            Each must match one wheel.
          - Their content counts, not the time at which they were built.
        type: list
        elements: raw
        default: []
      optional_wheels:
        description: The same for wheels that may be missing.
        type: list
        elements: raw
        default: []
      requirements:
        description:
          - Requirements as in pip's requirements files, pinned. C(--hash) is supported, as are git
            URLs with a commit.
          - They can be given with O(environments[].wheels). If one has a hash, all need one;
            the wheels get theirs from the control node.
          - A moving reference (a branch, an unpinned name) is resolved once, when the
            environment or its layer is built.
          - URLs must not contain credentials; pip and git read C(~/.netrc) on the host.
        type: list
        elements: str
        default: []
      constraints:
        description: A constraints file for pip on the control node.
        type: str
        default: ""
      pip_arguments:
        description: More arguments for C(pip install), for example V(--no-index) or V(--no-deps).
        type: list
        elements: str
        default: []
      python:
        description: The Python interpreter to build with.
        type: str
        default: python3
      modules:
        description:
          - Environment modules to load first, by name, or commands of C(module) in their order, for
            example V(purge), V(unload python), V(swap gcc intel) and V(use /site/modulefiles).
          - They start from a new login shell, without what the play has loaded, as services
            do. Whatever C(module load) returns, the build fails if the module is not loaded after
            it. This holds for Environment Modules 3.2, 4 and 5 and for Lmod.
        type: list
        elements: str
        default: []
      tolerated:
        description:
          - Problems of C(pip check), or of the import of a wheel's module, that do not fail the
            build. Each is the whole sentence, or the name of a package for all of its problems.
          - The build warns of what was tolerated, and RV(environments) has it.
        type: list
        elements: str
        default: []
        version_added: 1.0.0
      umask:
        description: The umask to build with, octal. Use V(022) if nothing in it is private.
        type: str
        default: "027"
  contents:
    description: The content of the wheels that the host lacks. The action plugin sets it.
    type: dict
    default: {}
  environment:
    version_added: 1.0.0
    description:
      - Environment variables of the build, a mapping, for example of a proxy.
      - Unlike those of the keyword C(environment), they are not among the arguments of a command,
        where every user of the host would see a password.
    type: json
  timeout:
    description:
      - How many seconds to wait for another run that builds the same environment, and for each
        command of a build, such as a download from a very slow index.
    type: int
    default: 1800
extends_documentation_fragment:
  - jgi.jaws.attributes
  - jgi.jaws.attributes.action
  - jgi.jaws.attributes.posix
attributes:
  check_mode:
    support: full
    details: Reports what would be built, and writes nothing.
  diff_mode:
    support: full
    details: Shows the paths of the environments to be built.
  action:
    details: It finds the wheels on the control node, and sends those that the host lacks.
requirements:
  - Python 3.8 or later with venv on the host, and ensurepip or pip 22.3 or later
author:
  - The jgi.jaws engineers (@JGI-Bioinformatics)
seealso:
  - module: ansible.builtin.pip
  - module: jgi.jaws.tree
  - module: jgi.jaws.release
"""

EXAMPLES = r"""
- name: Build the environment of jaws-site from the wheels that CI has just made
  jgi.jaws.venv:
    directory: /tmp/jaws-dev/jaws/venvs
    environments:
      - name: site
        wheels: [/builds/jaws/site/dist/*.whl]
        modules: [python]
  register: built

- name: Build it from local wheels, and from pinned requirements with their hashes
  jgi.jaws.venv:
    directory: /tmp/jaws-dev/jaws/venvs
    environments:
      - name: site
        wheels: [/builds/jaws/site/dist/*.whl, /builds/jaws/rpc/dist/*.whl]
        requirements: "{{ lookup('ansible.builtin.file', 'requirements.txt').splitlines() }}"
        pip_arguments: [--no-deps]
        modules: [purge, use /site/modulefiles, python/3.8]
        tolerated:
          - jaws-site 2.6.0 requires jaws-common, which is not installed.

- name: Show its path
  ansible.builtin.debug:
    var: built.environments.site.path
"""

RETURN = r"""
environments:
  description:
    - The environments by name. In check mode, one that is not there has no packages, and the builds
      are those of its wheels.
    - C(builds) are the packages again, each from a wheel or a URL with the beginning of its digest
      or commit; C(tolerated) is what was found and tolerated; C(modules) are those it was built
      with.
  returned: success
  type: dict
  sample:
    site:
      path: /tmp/jaws-dev/jaws/venvs/site-2.6.0-0123456789ab
      packages: [jaws-site==2.6.0, PyYAML==6.0.2]
      builds: [jaws-site==2.6.0 (2c26b46b), PyYAML==6.0.2]
      tolerated: []
      modules: [python]
lacking:
  description: The digests of the wheels whose content is needed. The action plugin sends them.
  returned: to the action plugin only
  type: list
  elements: str
  sample: [2c26b46b68ffc68ff99b453c1d30413413422d706483bfa0f98a5e886266e7ae]
findings:
  description: What C(pip check) and the import of the wheels' modules found and is not tolerated.
  returned: failure, where that is its cause
  type: list
  elements: str
  sample: ["jaws-site 2.6.0 has requirement jaws-rpc<2, but you have jaws-rpc 2.6.0."]
reason:
  description:
    - One word for the cause of a failure, for example V(no_wheels), V(build_failed).
    - The page C(docs/reasons.md) of the collection lists all of them.
  returned: failure
  type: str
  sample: build_failed
"""

from ansible.module_utils.basic import AnsibleModule

from ..module_utils.module import ENVIRONMENT_VARIABLES, run
from ..module_utils.venv import manage

ENVIRONMENT = dict(
    name=dict(type="str", required=True),
    wheels=dict(type="list", elements="raw", default=[]),
    optional_wheels=dict(type="list", elements="raw", default=[]),
    requirements=dict(type="list", elements="str", default=[]),
    constraints=dict(type="str", default=""),
    pip_arguments=dict(type="list", elements="str", default=[]),
    python=dict(type="str", default="python3"),
    modules=dict(type="list", elements="str", default=[]),
    tolerated=dict(type="list", elements="str", default=[]),
    umask=dict(type="str", default="027"),
)


def main() -> None:
    module = AnsibleModule(
        argument_spec=dict(
            directory=dict(type="path", required=True),
            layers=dict(type="path", default=""),
            uv=dict(type="list", elements="str", default=[]),
            environments=dict(type="list", elements="dict", required=True, options=ENVIRONMENT),
            # Large, not secret: kept out of syslog.
            contents=dict(type="dict", default={}, no_log=True),
            environment=ENVIRONMENT_VARIABLES,
            timeout=dict(type="int", default=1800),
        ),
        supports_check_mode=True,
    )
    run(module, manage)


if __name__ == "__main__":
    main()
