# Copyright: (c) 2026, The jgi.jaws engineers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The filter that lists the virtual environments that services need."""

from __future__ import annotations

from typing import Any

from ..plugin_utils.catalogue import environments_of
from ..plugin_utils.filters import filter_module

DOCUMENTATION = r"""
name: environments
short_description: List the virtual environments that services need
version_added: 0.1.0
description:
  - Returns the list that O(jgi.jaws.venv#module:environments) takes.
positional: _input, changes
options:
  _input:
    description: >-
      The components by name, each with C(wheels), C(optional_wheels), C(requirements) and so on.
    type: dict
    required: true
  changes:
    description: A site's changes to them.
    type: dict
    required: true
  services:
    description: The services by name, as P(jgi.jaws.services#filter) returns them.
    type: dict
    required: true
  wheels:
    description: >-
      The directory on the control node that holds the wheels, directly or in subdirectories.
    type: path
    default: ""
  python:
    description: The Python interpreter of each environment that does not name one.
    type: str
  modules:
    description: The environment modules of each environment that does not name any.
    type: list
    elements: str
  pip_arguments:
    description: The arguments for pip of each environment that does not name any.
    type: list
    elements: str
author:
  - The jgi.jaws engineers (@JGI-Bioinformatics)
seealso:
  - plugin: jgi.jaws.services
    plugin_type: filter
  - plugin: jgi.jaws.release_plan
    plugin_type: filter
  - module: jgi.jaws.venv
"""

EXAMPLES = r"""
environments: >-
  {{ components | jgi.jaws.environments({}, services=services, wheels='/builds/jaws') }}
"""

RETURN = r"""
_value:
  description: The environments.
  type: list
  elements: dict
  sample: [{name: site, wheels: [/builds/jaws/**/jaws_site-*.whl]}]
"""

Data = dict[str, Any]


def environments(
    catalogue: Data, changes: Data, services: Data, wheels: str = "", **defaults: Any
) -> list[Data]:
    """Return the virtual environments; the documentation above describes the options."""
    return environments_of(catalogue, changes, services, wheels, defaults)


FilterModule = filter_module(environments=environments)
