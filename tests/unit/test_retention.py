# SPDX-License-Identifier: GPL-3.0-or-later
"""What old releases leave, and which of it may be removed."""

from __future__ import annotations

import json
import os
import time
from functools import partial
from pathlib import Path
from typing import Any

import pytest

from ansible_collections.jgi.jaws.plugins.module_utils.releases import retention
from tests.unit.conftest import Proc


def record(name: str, deploy: int | None = None, status: str = "good") -> dict[str, Any]:
    return {"id": name, "deploy": deploy, "status": status, "files": [f"/f/{name}"], "uses": []}


OLD = [record("r1", 1), record("r2", 2), record("r3", 3), record("bad", None, "bad")]


def ids(records: list[dict[str, Any]]) -> list[str]:
    return [found["id"] for found in records]


def test_the_good_ones_that_were_deployed_last_are_kept() -> None:
    times = dict.fromkeys(ids(OLD), 0.0)
    assert ids(retention.expired(OLD, times, "r3", 2, 100)) == ["r1", "bad"]
    assert retention.expired(OLD, times, "bad", 3, 100) == []


def test_the_current_one_is_kept_however_old_it_is() -> None:
    times = dict.fromkeys(ids(OLD), 0.0)
    assert ids(retention.expired(OLD, times, "r1", 1, 100)) == ["r2", "bad"]


def test_the_layers_of_an_environment_are_used_as_long_as_it_is(tmp_path: Path) -> None:
    for name, layers in (("new", ["/l/2", "/l/base"]), ("old", ["/l/1", "/l/base"])):
        (tmp_path / name).mkdir()
        (tmp_path / name / "jgi-jaws.json").write_text(json.dumps({"layers": layers}))
    (tmp_path / "of-0.2.0").mkdir()
    (tmp_path / "of-0.2.0/jgi-jaws.json").write_text("{}")
    (tmp_path / "conf").write_text("")
    uses = [str(tmp_path / name) for name in ("new", "of-0.2.0", "gone")]
    kept = dict(record("r3"), files=[str(tmp_path / "conf")], uses=uses)
    assert retention.used_by([kept]) == {*kept["files"], *uses, "/l/2", "/l/base"}


def test_a_release_that_was_wanted_recently_is_kept() -> None:
    times = {**dict.fromkeys(ids(OLD), 0.0), "bad": 100.0}
    assert ids(retention.expired(OLD, times, "r3", 1, 100)) == ["r1", "r2"]


def test_only_old_and_unused_entries_are_left_over(tmp_path: Path) -> None:
    for name in ("used", "old", "young"):
        (tmp_path / name).touch()
    (tmp_path / "link").symlink_to("old")
    for name in ("used", "old", "link"):
        os.utime(tmp_path / name, (0, 0), follow_symlinks=False)
    folders = [str(tmp_path), str(tmp_path / "none")]
    assert retention.leftovers(folders, {str(tmp_path / "used")}, 100) == [str(tmp_path / "old")]


@pytest.mark.parametrize("name", retention.SEARCHED)
def test_a_path_that_a_process_names_is_in_use(proc: Proc, name: str) -> None:
    proc.add(7)
    (proc.root / "7" / name).write_bytes(b"x\0/v/a/bin/python\0")
    assert retention.running_from(["/v/a", "/v/b"], str(proc)) == {"/v/a"}


def test_a_path_is_in_use_by_what_was_started_a_moment_ago(
    proc: Proc, monkeypatch: pytest.MonkeyPatch
) -> None:
    proc.add(7, cmdline="")
    later = partial(proc.add, 7, cmdline="/v/a/bin/python\0")
    monkeypatch.setattr(time, "sleep", lambda _seconds: later())
    assert retention.running_from(["/v/a", "/v/b"], str(proc)) == {"/v/a"}


def test_a_directory_is_removed_as_a_whole_even_after_a_killed_run(tmp_path: Path) -> None:
    (tmp_path / ".env.removed" / "half").mkdir(parents=True)
    (tmp_path / "env" / "bin").mkdir(parents=True)
    (tmp_path / "file").touch()
    for name in (".env.removed", "env", "file", "gone"):
        retention.remove(str(tmp_path / name))
    assert list(tmp_path.iterdir()) == []
