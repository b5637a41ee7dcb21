# Copyright: (c) 2026, The jgi.jaws engineers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The filter that greets."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from ..module_utils.words import greet

DOCUMENTATION = r"""
name: greeted
short_description: Greet by name
version_added: 0.1.0
description: Returns a greeting for the name.
positional: _input, loud
options:
  _input:
    description: The name.
    type: str
    required: true
  loud:
    description: Whether to shout.
    type: bool
    required: true
author: The jgi.jaws engineers (@jgi)
"""

EXAMPLES = r"""
greeting: "{{ 'world' | jgi.jaws.greeted(false) }}"
"""

RETURN = r"""
_value:
  description: The greeting.
  type: str
  sample: Hello world
"""


class FilterModule:
    """The filter, by its name."""

    def filters(self) -> dict[str, Callable[..., Any]]:
        """Return the filter."""
        return {"greeted": greet}
