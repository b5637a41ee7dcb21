# SPDX-License-Identifier: GPL-3.0-or-later
"""Words."""

from __future__ import annotations


def greet(name: str, loud: bool) -> str:
    """Return the greeting."""
    greeting = f"Hello {name}"
    if loud:
        return greeting.upper()
    return greeting
