# Copyright: (c) 2026, The jgi.jaws engineers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The filter that merges a catalogue of services with a site's changes."""

from __future__ import annotations

from ..plugin_utils.catalogue import services_of
from ..plugin_utils.filters import filter_module

DOCUMENTATION = r"""
name: services
short_description: Merge a catalogue of services with a site's changes
version_added: 0.1.0
description:
  - Returns the services of one instance, each with every key set, and with the instance that it has
    in the catalogue as C(origin).
  - A misspelt key is an error that suggests the name that was probably meant.
positional: _input, overrides, instance, series, names
options:
  _input:
    description: The catalogue, services by name.
    type: dict
    required: true
  overrides:
    description: Changes by name; keys to change, a whole new service, or null to drop one.
    type: dict
    required: true
  instance:
    description: The instance whose services are wanted.
    type: str
    required: true
  series:
    description: The series of JAWS that is deployed.
    type: str
    required: true
  names:
    description: The services that the instance has. By default, those that name it as theirs.
    type: list
    elements: str
    default: []
    version_added: 1.0.0
author:
  - The jgi.jaws engineers (@JGI-Bioinformatics)
seealso:
  - plugin: jgi.jaws.configs
    plugin_type: filter
  - plugin: jgi.jaws.environments
    plugin_type: filter
  - plugin: jgi.jaws.release_plan
    plugin_type: filter
"""

EXAMPLES = r"""
services: "{{ catalogue | jgi.jaws.services({'jaws-central-auth': None}, 'jaws', '2') }}"
"""

RETURN = r"""
_value:
  description: The services by name.
  type: dict
  sample: {jaws-jtm: {instance: jtm, command: [jtm, manager], priority: 100}}
"""

FilterModule = filter_module(services=services_of)
