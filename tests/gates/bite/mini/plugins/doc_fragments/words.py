# SPDX-License-Identifier: GPL-3.0-or-later
"""Options that modules share."""

from __future__ import annotations


class ModuleDocFragment:
    """The name to greet."""

    DOCUMENTATION = r"""
options:
  name:
    description: Whom to greet.
    type: str
    required: true
    aliases: [who]
"""
