# Copyright: (c) 2026, The jgi.jaws engineers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The filter that makes a config.toml from dictionaries."""

from __future__ import annotations

from ..plugin_utils.filters import filter_module
from ..plugin_utils.runner import runner_config

DOCUMENTATION = r"""
name: runner_config
short_description: Make a config.toml of gitlab-runner from dictionaries
version_added: 1.0.0
description:
  - Returns TOML with the global settings and one runner. A dictionary in a dictionary is a table, a
    list of dictionaries an array of tables. A setting without a value (null) is left out.
positional: _input, global_settings
options:
  _input:
    description: The settings in C([[runners]]).
    type: dict
    required: true
  global_settings:
    description: The settings outside of it.
    type: dict
    required: true
seealso:
  - module: jgi.jaws.gitlab_runner_config
author:
  - The jgi.jaws engineers (@JGI-Bioinformatics)
"""

EXAMPLES = r"""
content: "{{ {'name': 'cori', 'executor': 'shell'} | jgi.jaws.runner_config({'concurrent': 4}) }}"
"""

RETURN = r"""
_value:
  description: The text.
  type: str
  sample: "concurrent = 4"
"""

FilterModule = filter_module(runner_config=runner_config)
