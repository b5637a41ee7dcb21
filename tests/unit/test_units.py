# SPDX-License-Identifier: GPL-3.0-or-later
"""The files of a user's systemd units."""

from __future__ import annotations

from pathlib import Path

from jinja2 import Template

from ansible_collections.jgi.jaws.plugins.plugin_utils.units import user_units

BOOT = Path(__file__).parents[2] / "roles/boot/templates/unit.service.j2"
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


def test_the_unit_of_a_deployment_starts_the_units_that_it_wants() -> None:
    given = {"boot_unit": "jawsdev", "boot_script": "/s", "boot_supervisord_root": "/r"}
    for wanted, line in {
        (): "Wants=jawsdev-stop.service",
        ("gitlab-runner.service",): "Wants=jawsdev-stop.service gitlab-runner.service",
    }.items():
        text = Template(BOOT.read_text()).render(given, boot_wanted_units=list(wanted))
        assert line in text.splitlines()
