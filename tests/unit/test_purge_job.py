# SPDX-License-Identifier: GPL-3.0-or-later
"""Which job runs the weekly purge, and which one should."""

from __future__ import annotations

import json
import subprocess
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ansible_collections.jgi.jaws.plugins.plugin_utils.purge_job import purge_job

DEFINITION = ["'/x y/purge'", [{"path": "~/ä"}], "sun", "02:00"]


def files(*names: str) -> list[dict[str, Any]]:
    """Return what the module find returns for a directory with these files."""
    return [{"path": f"/srv/jaws.dev/purge/{name}", "mode": "0640"} for name in names]


def test_the_first_deploy_has_a_job_to_note_and_none_to_remove() -> None:
    found = purge_job(files("purge", "purge.py"), "cron", DEFINITION)
    assert found["note"].startswith("cron.")
    assert (found["schedules"], found["obsolete"], found["is_noted"]) == ([], [], False)


def test_what_is_noted_is_recognised() -> None:
    note = purge_job([], "cron", DEFINITION)["note"]
    found = purge_job(files("purge", note), "cron", DEFINITION)
    assert found == {"schedules": ["cron"], "note": note, "obsolete": [], "is_noted": True}


def test_another_definition_and_another_schedule_are_another_job() -> None:
    note = purge_job([], "cron", DEFINITION)["note"]
    later = purge_job(files(note), "cron", [*DEFINITION[:3], "03:00"])
    assert (later["obsolete"], later["is_noted"]) == ([note], False)
    timer = purge_job(files(note), "systemd_user", DEFINITION)
    assert (timer["schedules"], timer["obsolete"]) == (["cron"], [note])
    assert timer["note"] == note.replace("cron", "systemd_user")


def test_without_a_schedule_what_is_noted_is_obsolete() -> None:
    found = purge_job(files("cron.0123456789ab", "systemd_user.1"), "", DEFINITION)
    assert found["schedules"] == ["cron", "systemd_user"]
    assert found["obsolete"] == ["cron.0123456789ab", "systemd_user.1"]
    assert (found["note"], found["is_noted"]) == ("", False)
    assert purge_job(files("purge.py"), "", DEFINITION)["is_noted"] is True


@pytest.mark.parametrize("name", ["purge", "purge.py", "cron", ".cron.1", "crontab.1"])
def test_other_files_are_not_notes(name: str) -> None:
    assert purge_job(files(name), "", DEFINITION)["obsolete"] == []


def test_a_note_of_an_earlier_version_is_still_the_note() -> None:
    text = json.dumps(DEFINITION)
    digest = subprocess.run(["sha256sum"], input=text, capture_output=True, text=True, check=True)
    assert purge_job([], "cron", DEFINITION)["note"] == f"cron.{digest.stdout[:12]}"


@given(st.sampled_from(["", "cron", "systemd_user"]), st.lists(st.text(max_size=3), max_size=3))
def test_noting_what_is_wanted_and_removing_what_is_obsolete_is_enough(
    schedule: str, definition: list[str]
) -> None:
    before = {"cron.0123456789ab", "systemd_user.1", "purge"}
    found = purge_job(files(*before), schedule, definition)
    after = (before - set(found["obsolete"])) | ({found["note"]} - {""})
    assert purge_job(files(*after), schedule, definition)["is_noted"] is True
