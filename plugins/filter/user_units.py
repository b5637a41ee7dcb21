# Copyright: (c) 2026, The jgi.jaws engineers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The filter that lists the files that make up a user's systemd units."""

from __future__ import annotations

from ..plugin_utils.filters import filter_module
from ..plugin_utils.units import user_units

DOCUMENTATION = r"""
name: user_units
short_description: List the files that make up a user's systemd units
version_added: 1.0.0
description:
  - Returns the unit files, and the link that C(systemctl --user enable) would make; that command
    needs a running systemd of that user.
positional: _input, target
options:
  _input:
    description: The text of each unit, by its name. Without units, there are no files.
    type: dict
    required: true
  target:
    description: The target that wants the unit, for example V(default.target).
    type: str
    required: true
  enabled:
    description: The name of the unit to enable. Empty for none.
    type: str
    default: ""
  directory:
    description: The directory of the user's units.
    type: path
    default: ~/.config/systemd/user
  mode:
    description: The mode of the units. A unit that may hold a secret needs V(0600).
    type: str
    default: "0644"
seealso:
  - module: jgi.jaws.tree
author:
  - The jgi.jaws engineers (@JGI-Bioinformatics)
"""

EXAMPLES = r"""
paths: >-
  {{ {'jaws.service': text} | jgi.jaws.user_units('default.target', enabled='jaws.service') }}
"""

RETURN = r"""
_value:
  description: The files, as O(jgi.jaws.tree#module:paths) takes them.
  type: list
  elements: dict
  sample: [{path: ~/.config/systemd/user/default.target.wants, mode: "0755"}]
"""

FilterModule = filter_module(user_units=user_units)
