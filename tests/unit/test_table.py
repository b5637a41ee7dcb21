# SPDX-License-Identifier: GPL-3.0-or-later
"""Tables for people."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ansible_collections.jgi.jaws.plugins.plugin_utils.table import (
    duration,
    fitting,
    format_table,
)


def test_columns_are_as_wide_as_their_widest_cell() -> None:
    second: dict[str, Any] = {"name": "a", "pid": None, "other": 1}
    rows: list[dict[str, Any]] = [{"name": "jaws-central-rest", "pid": 7}, second]
    assert format_table(("name", "pid"), rows).splitlines() == [
        "NAME               PID",
        "jaws-central-rest  7",
        "a                  -",
    ]


def test_a_table_without_rows_is_its_heading() -> None:
    assert format_table(("name", "state"), []) == "NAME  STATE"


def test_a_table_that_is_too_wide_loses_what_can_be_spared_in_order() -> None:
    rows = [{"name": "rest", "pid": 4711, "release": "20261122T130141Z"}]
    columns = ("name", "pid", "release")
    spared = ("release", "pid")
    assert fitting(columns, rows, 80, spared) == ["name", "pid", "release"]
    assert fitting(columns, rows, 28, spared) == ["name", "pid", "release"]
    assert fitting(columns, rows, 27, spared) == ["name", "pid"]
    assert fitting(columns, rows, 9, spared) == ["name"]
    assert fitting(columns, rows, 2, spared) == ["name"]


def test_what_is_not_known_is_a_dash_and_a_zero_is_a_zero() -> None:
    row = {"a": None, "b": "", "c": 0}
    assert format_table(("a", "b", "c", "d"), [row]).splitlines()[1].split() == ["-", "-", "0", "-"]


@pytest.mark.parametrize(
    ("seconds", "text"),
    [
        (None, None),
        (-5, "0s"),
        (0.9, "0s"),
        (59, "59s"),
        (60, "1m00s"),
        (3599, "59m59s"),
        (3600, "1h00m"),
        (86399, "23h59m"),
        (86400, "1d00h"),
        (273 * 3600, "11d09h"),
    ],
)
def test_a_duration_has_two_units_at_most(seconds: float | None, text: str | None) -> None:
    assert duration(seconds) == text


@given(st.floats(0, 1e9), st.floats(0, 1e9))
def test_a_longer_duration_never_looks_shorter(one: float, two: float) -> None:
    sizes = {"d": 86400, "h": 3600, "m": 60, "s": 1}

    def shown(seconds: float) -> int:
        text = duration(seconds) or ""
        number, total = "", 0
        for letter in text:
            if letter.isdigit():
                number += letter
            else:
                total, number = total + int(number) * sizes[letter], ""
        return total

    assert (one <= two) <= (shown(one) <= shown(two))
