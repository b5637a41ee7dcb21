# SPDX-License-Identifier: GPL-3.0-or-later
"""The files of a user's systemd units."""

from __future__ import annotations

from ansible_collections.jgi.jaws.plugins.plugin_utils.units import user_units

UNITS = {"jaws.service": "[Unit]\n", "jaws.timer": "[Timer]\n"}


def test_units_are_written_and_one_is_enabled_by_a_link_in_the_directory_of_its_target() -> None:
    assert user_units(
        UNITS, "timers.target", enabled="jaws.timer", directory="/u", mode="0600"
    ) == [
        {"path": "/u/timers.target.wants", "mode": "0755"},
        {"path": "/u/jaws.service", "mode": "0600", "content": "[Unit]\n"},
        {"path": "/u/jaws.timer", "mode": "0600", "content": "[Timer]\n"},
        {"path": "/u/timers.target.wants/jaws.timer", "target": "../jaws.timer"},
    ]


def test_a_unit_that_is_not_enabled_has_no_link() -> None:
    assert [path for path in user_units(UNITS, "default.target") if "target" in path] == []


def test_without_units_there_are_no_files() -> None:
    assert user_units({}, "default.target", enabled="jaws.service") == []
