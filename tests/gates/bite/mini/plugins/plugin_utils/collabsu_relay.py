# SPDX-License-Identifier: GPL-3.0-or-later
"""What runs with the oldest Python of a target."""


def relay(words):
    """Return the words in one line."""
    return " ".join(words)
