# Copyright: (c) 2026, The jgi.jaws engineers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The filters that turn the catalogue of services into a release."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from ansible.errors import AnsibleFilterError

from ..module_utils.errors import JawsError
from ..plugin_utils.catalogue import (
    configs_of,
    environments_of,
    services_of,
)
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
positional: _input, configs
options:
  _input:
    description: The services by name, as P(jgi.jaws.services#filter) returns them.
    type: dict
    required: true
  configs:
    description: >-
      The configurations by name, each with its C(data) and its C(format), V(ini),
      V(ini_extended) or V(hocon).
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
      through it, so that they end with their supervisord also where that is killed.
    type: path
    required: true
  artifacts:
    description: Paths of other files that commands use.
    type: dict
    default: {}
  modules:
    description: Environment modules that services load which have a virtual environment.
    type: list
    elements: str
    default: []
author:
  - The jgi.jaws engineers (@JGI-Bioinformatics)
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
) -> Data:
    """Return a release; see the documentation above."""
    paths = {name: environment["path"] for name, environment in environments.items()}
    context = Context(directory, paths, artifacts or {}, python, modules or [])
    planned: Data = _guarded(plan_release, services, configs, context)
    return planned


def services(catalogue: Data, overrides: Data, instance: str, series: str) -> Data:
    """Return one instance's services; see services.yml beside this file."""
    found: Data = _guarded(services_of, catalogue, overrides, instance, series)
    return found


def environments(
    catalogue: Data, changes: Data, services: Data, wheels: str = "", **defaults: Any
) -> list[Data]:
    """Return the virtual environments of services; see environments.yml beside this file."""
    found: list[Data] = _guarded(environments_of, catalogue, changes, services, wheels, defaults)
    return found


def configs(defaults: Data, changes: Data, formats: dict[str, str], services: Data) -> Data:
    """Return the configurations of services; see configs.yml beside this file."""
    found: Data = _guarded(configs_of, defaults, changes, formats, services)
    return found


def _guarded(function: Callable[..., Any], *arguments: Any) -> Any:
    try:
        return function(*arguments)
    except JawsError as error:
        raise AnsibleFilterError(str(error)) from error


class FilterModule:
    """The collection's filters."""

    def filters(self) -> dict[str, Callable[..., Any]]:
        """Return the filters by name."""
        return {
            "configs": configs,
            "environments": environments,
            "release_plan": release_plan,
            "services": services,
        }
