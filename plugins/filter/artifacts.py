# Copyright: (c) 2026, The jgi.jaws engineers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The filter that lists the files that services need, such as a jar or an image."""

from __future__ import annotations

from typing import Any

from ..plugin_utils.catalogue import artifacts_of
from ..plugin_utils.filters import filter_module

DOCUMENTATION = r"""
name: artifacts
short_description: List the files that services need, such as a jar or an image
version_added: 1.0.0
description:
  - Returns the files that a service names as C(@NAME@), as O(jgi.jaws.tree#module:paths) takes
    them. Each gets a path that contains the digest of its content.
positional: _input, changes
options:
  _input:
    description: The services by name, as P(jgi.jaws.services#filter) returns them.
    type: dict
    required: true
  changes:
    description: >-
      The files by name, each with its C(path) on the host or its C(url), and with C(sha256), which
      a C(url) needs.
    type: dict
    required: true
  directory:
    description: The directory that holds them.
    type: path
    required: true
author:
  - The jgi.jaws engineers (@JGI-Bioinformatics)
seealso:
  - plugin: jgi.jaws.services
    plugin_type: filter
  - plugin: jgi.jaws.release_plan
    plugin_type: filter
  - module: jgi.jaws.tree
"""

EXAMPLES = r"""
paths: >-
  {{ services | jgi.jaws.artifacts({'cromwell.jar': {'path': '/opt/cromwell.jar'}},
     directory='/tmp/jaws-dev/jtm/artifacts') }}
"""

RETURN = r"""
_value:
  description: The files.
  type: list
  elements: dict
  sample:
    - name: cromwell.jar
      path: /tmp/jaws-dev/jtm/artifacts/cromwell-@sha256@.jar
      source: /opt/cromwell.jar
      mode: "0640"
"""

Data = dict[str, Any]


def artifacts(services: Data, changes: Data, directory: str) -> list[Data]:
    """Return the files; the documentation above describes the options."""
    return artifacts_of(changes, services, directory)


FilterModule = filter_module(artifacts=artifacts)
