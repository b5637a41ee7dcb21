# SPDX-License-Identifier: GPL-3.0-or-later
"""The status file, for other programs to read."""

from __future__ import annotations

import json
from html.parser import HTMLParser
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from prometheus_client.parser import text_string_to_metric_families

from ansible_collections.jgi.jaws.plugins.plugin_utils.status_file import WHERE, content

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


@given(st.lists(st.text(), min_size=4, max_size=4))
def test_prometheus_reads_whatever_the_names_are(names: list[str]) -> None:
    row = dict(ROWS[0], **dict(zip(WHERE, names, strict=True)))
    text = content("status.prom", [row], 1790000000)
    families = {family.name: family for family in text_string_to_metric_families(text)}
    assert all(family.documentation for family in families.values())
    assert {family.type for family in families.values()} == {"gauge"}
    labels = {family.samples[0].name: family.samples[0].labels for family in families.values()}
    assert len(labels) == 6
    assert [labels["jaws_program_up"][key] for key in WHERE] == [written(name) for name in names]


def written(text: str) -> str:
    """Return a text as a file in UTF-8 can have it."""
    return text.encode("utf-8", "backslashreplace").decode()


class Page(HTMLParser):
    """The elements of a page with their attributes, and its texts."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.elements: list[tuple[str, list[str]]] = []
        self.texts: list[str] = []
        self.feed(text)
        self.close()

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.elements.append((tag, [name for name, _value in attrs]))

    def handle_data(self, data: str) -> None:
        self.texts.append(data)


LAID_OUT = [{**row, "mark": mark} for row, mark in zip(ROWS, ("well", "wrong"), strict=True)]


def test_a_page_has_everything_about_each_program_and_what_is_wrong_first() -> None:
    deployed = {"activated": 1789989000, "author": "jane", "ci_job": "https://gitlab.example/1"}
    text = content("status.html", [{**LAID_OUT[0], **deployed}, LAID_OUT[1]], 1790000000)
    page = " ".join(" ".join(Page(text).texts).split())
    assert "✗ 1 of 2 are not well" in page
    assert "Written 2026-09-21 14:13:20 UTC" in page
    assert "Release r1, deployed 3h03m ago by jane (https://gitlab.example/1)" in page
    assert "✓ jaws-jtm RUNNING ok 2 4711 1h00m -" in page
    places = [page.index(part) for part in ("FATAL, exit", "CORI · dev", "✓ jaws-jtm", "✗ a")]
    assert places == sorted(places)
    healthy = " ".join(Page(content("status.html", LAID_OUT[:1], 0)).texts)
    assert "All is well" in healthy


def test_a_page_needs_nothing_but_itself() -> None:
    elements = Page(content("status.html", LAID_OUT, 0)).elements
    used = {tag for tag, _attributes in elements}
    assert not used & {"script", "link", "img", "iframe", "object", "form", "a", "base"}
    given = {name for _tag, attributes in elements for name in attributes}
    assert given <= {"aria-hidden", "charset", "class", "content", "data-name", "datetime",
                     "http-equiv", "lang", "name", "scope"}  # fmt: skip


@given(st.text("<>\"'&/=-! ax;\x00\x1b\u202e\ud800{}%#", min_size=1))
def test_no_text_becomes_a_part_of_the_page(text: str) -> None:
    keys = ("site", "deployment", "instance", "program", "release", "author", "note")
    rows = [{**LAID_OUT[1], **dict.fromkeys(keys, word), "activated": 1} for word in (text, "word")]
    hostile, harmless = (Page(content("status.html", [row], 0)) for row in rows)
    assert hostile.elements == harmless.elements


@pytest.mark.parametrize("path", ["status", "status.htm", "status.JSON", ".json"])
def test_a_name_that_does_not_say_the_format_is_refused(path: str) -> None:
    with pytest.raises(ValueError, match=r"does not end in \.json or \.prom or \.html"):
        content(path, ROWS, 0)
