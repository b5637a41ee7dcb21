# Copyright: (c) 2026, The jgi.jaws engineers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The filter that turns services and their configurations into a release."""

from __future__ import annotations

from typing import Any

from ..plugin_utils.filters import filter_module
from ..plugin_utils.release_plan import Context, plan_release

DOCUMENTATION = r"""
name: release_plan
short_description: Turn services and configurations into a release
version_added: 0.1.0
description:
  - Returns what M(jgi.jaws.release) takes, with C(files), C(programs), C(links) and C(health).
  - Every file's name carries a digest of its content.
  - C(@NAME@) in a service is replaced by the path of the configuration or artifact C(NAME),
    C(@log@) by the service's own log file, C(@logs@) by the directory of logs, and C(@current@) by
    the directory of the links to the virtual environments.
  - A command of C(health) is run in the environment of its service, with its interpreter and
    environment modules; the variable C(PROGRAM_PID) has the pid of the service.
positional: _input, configs
options:
  _input:
    description: The services by name, as P(jgi.jaws.services#filter) returns them.
    type: dict
    required: true
  configs:
    description: >-
      The configurations by name, each with its C(data) and its C(format), V(ini),
      V(ini_environment), V(ini_extended) or V(hocon).
    type: dict
    required: true
  directory:
    description: The instance's own directory.
    type: path
    required: true
  environments:
    description: The virtual environments by component, as M(jgi.jaws.venv) returns them.
    type: dict
    required: true
  python:
    description: >-
      A Python interpreter on the host that needs no environment module. Programs are started
      through it, so that they end with their supervisord even if that is killed.
    type: path
    required: true
  artifacts:
    description: Paths of other files that commands use.
    type: dict
    default: {}
  scripts:
    version_added: 1.0.0
    description: >-
      By name, the content of scripts for health checks. A script that a service names as C(@NAME@)
      is published with the release.
    type: dict
    default: {}
  modules:
    description: >-
      Environment modules to load for the services whose virtual environment does not say with
      which ones it was built.
    type: list
    elements: str
    default: []
  variables:
    version_added: 1.0.0
    description: >-
      Environment variables of every service, for example of a proxy. Those of a service have
      precedence.
    type: dict
    default: {}
  confidential:
    description:
      - Texts that are not shown where the log of a service is quoted. Those that the services or
        configurations have are listed in a file of the release, which C(programs) names in a
        comment.
      - Values of keys such as C(password), C(secret) and C(token), and passwords in urls, are
        listed in any case.
    type: list
    elements: raw
    default: []
    version_added: 1.0.0
author:
  - The jgi.jaws engineers (@JGI-Bioinformatics)
seealso:
  - plugin: jgi.jaws.configs
    plugin_type: filter
  - plugin: jgi.jaws.environments
    plugin_type: filter
  - plugin: jgi.jaws.services
    plugin_type: filter
  - module: jgi.jaws.release
"""

EXAMPLES = r"""
release: >-
  {{ services | jgi.jaws.release_plan(configs, directory='/tmp/jaws-dev/jaws',
     environments=built.environments, python='/tmp/jaws-supervisord/venv/bin/python') }}
"""

RETURN = r"""
_value:
  description: The release.
  type: dict
  sample: {files: [], programs: '', links: {}, health: {}}
"""

Data = dict[str, Any]


def release_plan(
    services: Data,
    configs: Data,
    directory: str,
    environments: Data,
    python: str,
    artifacts: dict[str, str] | None = None,
    modules: list[str] | None = None,
    scripts: dict[str, str] | None = None,
    confidential: list[Any] | None = None,
    variables: Data | None = None,
) -> Data:
    """Return a release; the documentation above describes the options."""
    paths = {name: environment["path"] for name, environment in environments.items()}
    own = {name: found["modules"] for name, found in environments.items() if "modules" in found}
    context = Context(
        directory,
        paths,
        artifacts or {},
        python,
        modules or [],
        own,
        confidential or [],
        scripts or {},
        variables or {},
    )
    return plan_release(services, configs, context)


FilterModule = filter_module(release_plan=release_plan)
