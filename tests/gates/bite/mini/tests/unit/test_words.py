# SPDX-License-Identifier: GPL-3.0-or-later
"""Facts about words."""

from __future__ import annotations

from ansible_collections.jgi.jaws.plugins.module_utils.words import greet


def test_a_greeting_names_whom_it_greets() -> None:
    assert greet("world", loud=False) == "Hello world"


def test_a_loud_greeting_is_in_capitals() -> None:
    assert greet("world", loud=True) == "HELLO WORLD"
