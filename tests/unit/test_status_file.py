# SPDX-License-Identifier: GPL-3.0-or-later
"""The status file, for other programs to read."""

from __future__ import annotations

import json
import re
from typing import Any

import pytest

from ansible_collections.jgi.jaws.plugins.plugin_utils.status_file import content

ROWS: list[dict[str, Any]] = [
    {
        "site": "CORI",
        "deployment": "dev",
        "instance": "cori_dev_jtm",
        "program": "jaws-jtm",
        "state": "RUNNING",
        "health": "ok",
        "restarts": 2,
        "pid": 4711,
        "uptime_seconds": 12345678,
        "release": "r1",
        "uptime": "1h00m",
    },
    {"instance": "odd", "program": 'a"b\\c\nd', "state": "FATAL", "note": "exit status 1"},
]


def test_a_file_of_json_has_everything_about_each_program() -> None:
    found = json.loads(content("/x/status.json", ROWS, 1790000000.5))
    assert found["time"] == 1790000000
    first, second = found["programs"]
    assert first == {key: ROWS[0].get(key) for key in first}
    assert (first["site"], first["uptime_seconds"], "uptime" in first) == ("CORI", 12345678, False)
    assert (second["state"], second["pid"], second["note"]) == ("FATAL", None, "exit status 1")


def test_a_file_for_prometheus_has_a_value_for_what_is_known() -> None:
    lines = content("status.prom", ROWS, 1790000000.5).splitlines()
    labels = 'site="CORI",deployment="dev",instance="cori_dev_jtm",program="jaws-jtm"'
    odd = r'site="",deployment="",instance="odd",program="a\"b\\c\nd"'
    assert [line for line in lines if not line.startswith("#")] == [
        "jaws_status_time_seconds 1790000000",
        f"jaws_program_up{{{labels}}} 1",
        f"jaws_program_up{{{odd}}} 0",
        f"jaws_program_healthy{{{labels}}} 1",
        f"jaws_program_restarts{{{labels}}} 2",
        f"jaws_program_uptime_seconds{{{labels}}} 12345678",
        f'jaws_program_info{{{labels},state="RUNNING",release="r1"}} 1',
        f'jaws_program_info{{{odd},state="FATAL",release=""}} 1',
    ]
    described = re.findall(r"^# HELP (\w+) \S.*\n# TYPE (\w+) gauge$", "\n".join(lines), re.M)
    assert len(described) == 6
    assert all(one == other for one, other in described)


@pytest.mark.parametrize("path", ["status", "status.html", "status.JSON", ".json"])
def test_a_name_that_does_not_say_the_format_is_refused(path: str) -> None:
    with pytest.raises(ValueError, match=r"does not end in \.json or \.prom"):
        content(path, ROWS, 0)
