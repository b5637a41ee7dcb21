# SPDX-License-Identifier: GPL-3.0-or-later
"""A config.toml of gitlab-runner: it is read, changed and written, and nothing in it is lost."""

from __future__ import annotations

import sys
from datetime import datetime, timezone
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ansible_collections.jgi.jaws.plugins.module_utils import toml
from ansible_collections.jgi.jaws.plugins.module_utils.errors import JawsError
from ansible_collections.jgi.jaws.plugins.module_utils.gitlab_runner_config import (
    combined,
    manage,
    warnings,
)
from ansible_collections.jgi.jaws.plugins.plugin_utils.runner import runner_config

if sys.version_info >= (3, 11):
    import tomllib
else:
    import tomli as tomllib

# As gitlab-runner writes it after a rotation of the first token, and what people have added.
WRITTEN = """\
concurrent = 4
listen_address = ":9252"  # for Prometheus
connection_max_age = "15m0s"

[session_server]
  session_timeout = 1800

[[runners]]
  name = "cori"
  url = "https://gitlab.example.org/"
  id = 7
  token = "glrt-rotated"
  token_obtained_at = 2026-01-31T08:00:00Z
  token_expires_at = 0001-01-01T00:00:00Z
  executor = 'shell'
  environment = ["A=1", "B=#2]",
    "C=3"]
  pre_build_script = '''
echo "[[not a table]]"
'''
  [runners.custom_build_dir]
    enabled = true
  [runners.cache]
    MaxUploadedArchiveSize = 0
    [runners.cache.s3]
      "Secret Key" = "x\\"y"
  [[runners.machine.autoscaling]]
    Periods = ["* * 9-17 * * mon-fri *"]

[[runners]]
  name = "of another project"
  url = "https://gitlab.example.org/"
  token = "glrt-other"
  executor = "shell"
"""
OURS = {
    "name": "cori",
    "url": "https://gitlab.example.org",
    "token": "glrt-of-the-vault",
    "executor": "shell",
    "request_concurrency": 2,
    "custom_build_dir": {"enabled": False, "more": "x"},
}


def written(keep_token: bool = False, text: str = WRITTEN, **own: Any) -> Any:
    """Return what the file means when ours was merged into it."""
    stated = toml.parse(runner_config({**OURS, **own}, {"concurrent": 2}), "content")
    return tomllib.loads(toml.dump(combined(stated, toml.parse(text, "f"), keep_token)))


def test_a_file_means_the_same_when_it_was_read_and_written() -> None:
    assert tomllib.loads(toml.dump(toml.parse(WRITTEN, "f"))) == tomllib.loads(WRITTEN)


def test_only_what_is_stated_changes_and_nothing_else_is_lost() -> None:
    found, before = written(), tomllib.loads(WRITTEN)
    assert found["runners"][1] == before["runners"][1]
    ours, old = found["runners"][0], before["runners"][0]
    tables = {"enabled": False, "more": "x"}
    changed = {"token": OURS["token"], "request_concurrency": 2, "custom_build_dir": tables}
    assert ours == {**old, "url": OURS["url"], **changed}
    del found["runners"], before["runners"]
    assert found == {**before, "concurrent": 2}


def test_a_token_is_kept_if_it_is_better_than_the_vault_s() -> None:
    assert written(keep_token=True)["runners"][0]["token"] == "glrt-rotated"
    assert written(keep_token=True, text="")["runners"][0]["token"] == OURS["token"]


def test_a_runner_is_known_by_its_token_or_else_by_its_name() -> None:
    renamed = written(name="new name", token="glrt-other")
    assert [one["name"] for one in renamed["runners"]] == ["cori", "new name"]
    added = written(name="new name")
    assert [one["name"] for one in added["runners"]] == ["cori", "of another project", "new name"]
    elsewhere = written(url="https://elsewhere.example.org")
    assert [one["token"] for one in elsewhere["runners"]][-1] == OURS["token"]


def test_what_already_means_the_same_is_not_written_again() -> None:
    found = toml.parse(WRITTEN, "f")
    same = {"name": "cori", "url": "https://gitlab.example.org/", "token": "glrt-rotated"}
    content = runner_config({**same, "executor": "shell", "id": 7}, {"concurrent": 4})
    assert combined(toml.parse(content, "content"), found, False) == found


@pytest.mark.fault(52)
def test_a_setting_that_was_removed_from_the_inventory_goes_and_what_others_wrote_stays(
    tmp_path: Path,
) -> None:
    path = tmp_path / "config.toml"
    path.write_text(WRITTEN)
    before = tomllib.loads(WRITTEN)

    def write(settings: dict[str, Any], more: dict[str, Any]) -> Any:
        content = runner_config(settings, {"concurrent": 2, **more})
        return manage({"path": str(path), "content": content, "keep_token": False}, False)

    cache = {"cache": {"Type": "s3", "s3": {"BucketName": "b"}}}
    write({**OURS, **cache, "limit": 3}, {"check_interval": 5, "session_server": {"x": "y"}})
    path.write_text(path.read_text().replace("limit = 3", "limit = 3\nnew_key = 1", 1))
    result = write(OURS, {})
    assert result["changed"]
    found = tomllib.loads(path.read_text())
    ours = found["runners"][0]
    assert ("limit" in ours, ours["new_key"], found.get("check_interval")) == (False, 1, None)
    assert ours.get("cache", {}).get("s3") == before["runners"][0].get("cache", {}).get("s3")
    assert not write(OURS, {})["changed"]
    assert "limit" not in str(result["warn"])
    (tmp_path / "config.toml.written").unlink()  # then nothing is known, and all stays
    write({**OURS, "limit": 3}, {})
    (tmp_path / "config.toml.written").write_text("nonsense")
    result = write(OURS, {})
    assert "runners.limit" in str(result["warn"])


def test_a_reader_is_warned_of_what_is_kept_except_for_what_every_runner_writes() -> None:
    stated = toml.parse(runner_config(OURS, {"concurrent": 2}), "content")
    unknown, others = warnings("/c", stated, toml.parse(WRITTEN, "f"))
    assert unknown.startswith(
        "/c has listen_address, runners.environment, runners.pre_build_script, runners.machine,"
    )
    assert others.startswith("/c has other runners too: of another project.")
    assert warnings("/c", stated, stated) == []


@pytest.mark.parametrize(
    ("text", "line"),
    [
        ("a = 1\nnonsense\n", 2),
        ("a = \n", 1),
        ('\n\na = "no end\nb = 1\n', 3),
        ("a = [1,\n2\n", 1),
        ("a = 1\n[a.b]\n", 2),
        ("[a\nb = 1", 1),
    ],
)
def test_a_line_that_cannot_be_understood_is_named(text: str, line: int) -> None:
    with pytest.raises(JawsError, match=f"^/c: line {line} cannot be understood") as told:
        toml.parse(text, "/c")
    assert told.value.reason == "unreadable_file"


def test_more_of_an_inline_table_is_refused_by_its_name() -> None:
    text = WRITTEN.replace("  [runners.custom_build_dir]\n    enabled = true\n", "").replace(
        "  executor = 'shell'\n", "  executor = 'shell'\n  custom_build_dir = {enabled = true}\n"
    )
    with pytest.raises(JawsError, match=r"\[runners\.custom_build_dir\]"):
        written(text=text)


names = st.text(st.characters(exclude_categories=["Cs", "Cc"]), min_size=1, max_size=8)
scalars = st.one_of(
    st.text(st.characters(exclude_categories=["Cs"]), max_size=12),
    st.integers(-(2**40), 2**40),
    st.booleans(),
    st.just(datetime(2026, 1, 31, 8, tzinfo=timezone.utc)),
)
tables = st.recursive(
    st.dictionaries(names, st.one_of(scalars, st.lists(scalars, max_size=3)), max_size=4),
    lambda inner: st.dictionaries(
        names, st.one_of(scalars, inner, st.lists(inner, min_size=1, max_size=2)), max_size=3
    ),
    max_leaves=6,
)


@given(tables, tables)
def test_every_setting_can_be_said_and_arrives(
    runner: dict[str, Any], other: dict[str, Any]
) -> None:
    others = {name: value for name, value in other.items() if name != "runners"}
    text = runner_config(runner, others)
    assert tomllib.loads(text) == {**others, "runners": [runner]}
    assert toml.dump(toml.parse(text, "f")) == text


def test_a_setting_without_a_value_is_left_out() -> None:
    assert runner_config({"a": None, "b": [], "c": {}}, {"d": None}) == (
        "[[runners]]\n  b = []\n  [runners.c]\n"
    )
