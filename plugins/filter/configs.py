# Copyright: (c) 2026, The jgi.jaws engineers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The filter that merges configurations with a site's changes."""

from __future__ import annotations

from ..plugin_utils.catalogue import configs_of
from ..plugin_utils.filters import filter_module

DOCUMENTATION = r"""
name: configs
short_description: Merge configurations with a site's changes
version_added: 0.1.0
description:
  - Returns the configurations that services use, that is, those that their commands name as
    C(@NAME@).
  - A section C(X:*) is merged into every section C(X:NAME) that a site gives.
positional: _input, changes
options:
  _input:
    description: The configurations by file, section and key.
    type: dict
    required: true
  changes:
    description: A site's changes by file, section and key; null drops a key or a section.
    type: dict
    required: true
  formats:
    description: The format of every configuration.
    type: dict
    required: true
  services:
    description: The services by name, as P(jgi.jaws.services#filter) returns them.
    type: dict
    required: true
author:
  - The jgi.jaws engineers (@JGI-Bioinformatics)
seealso:
  - plugin: jgi.jaws.services
    plugin_type: filter
  - plugin: jgi.jaws.release_plan
    plugin_type: filter
"""

EXAMPLES = r"""
configs: >-
  {{ defaults | jgi.jaws.configs({}, formats={'jaws-site.conf': 'ini'}, services=services) }}
"""

RETURN = r"""
_value:
  description: The configurations by name, each with its C(format) and C(data).
  type: dict
  sample: {jaws-site.conf: {format: ini, data: {SITE: {id: NERSC}}}}
"""

FilterModule = filter_module(configs=configs_of)
