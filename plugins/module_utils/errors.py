# Copyright: (c) 2026, The jgi.jaws engineers
# SPDX-License-Identifier: GPL-3.0-or-later
"""The one error that utilities raise; only a module's main() turns it into fail_json."""

from __future__ import annotations


class JawsError(Exception):
    """What failed, where, why, and what to do next, as one message for an operator."""
