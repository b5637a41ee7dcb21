# SPDX-License-Identifier: GPL-3.0-or-later
"""The tree module as Ansible runs it."""

from __future__ import annotations

import json
import os
import stat
from pathlib import Path
from typing import Any

import pytest

from tests.integration.conftest import Result, Run, Spawn

NOBODY = 65534


@pytest.fixture
def make(run_module: Run) -> Run:
    def run(*paths: Result, **options: Any) -> Result:
        return run_module("tree", paths=[dict(path) for path in paths], **options)

    return run


def wishes(root: Path) -> tuple[Result, ...]:
    return (
        dict(path=f"{root}/d", mode="0711"),
        dict(path=f"{root}/d/run", mode="2770"),
        dict(path=f"{root}/d/bin"),
        dict(path=f"{root}/d/bin/tool", mode="0755", content="#!/bin/sh\n"),
        dict(path=f"{root}/d/venv", target="venvs/1"),
    )


def test_everything_is_made_in_one_call_and_nothing_in_the_next(tmp_path: Path, make: Run) -> None:
    predicted = make(*wishes(tmp_path), check=True, diff=True)
    assert not list(tmp_path.iterdir())
    result = make(*wishes(tmp_path), diff=True)
    for key in ("changed", "paths", "diff"):
        assert predicted[key] == result[key]
    assert result["paths"] == [wish["path"] for wish in wishes(tmp_path)]
    found = [
        stat.S_IMODE((tmp_path / "d" / name).stat().st_mode) for name in (".", "run", "bin/tool")
    ]
    assert found == [0o711, 0o2770, 0o755]
    assert os.readlink(tmp_path / "d" / "venv") == "venvs/1"
    assert make(*wishes(tmp_path))["changed"] is False


@pytest.mark.fault(13)
def test_four_that_make_the_same_at_once_all_succeed(tmp_path: Path, spawn_module: Spawn) -> None:
    runs = [spawn_module("tree", paths=list(wishes(tmp_path))) for _number in range(4)]
    results = [json.loads(run.communicate()[0]) for run in runs]
    assert not [result for result in results if result.get("failed")]
    assert sorted(path.name for path in (tmp_path / "d").iterdir()) == ["bin", "run", "venv"]


@pytest.mark.fault(43)
def test_what_was_changed_by_hand_is_corrected_and_named(tmp_path: Path, make: Run) -> None:
    make(*wishes(tmp_path))
    (tmp_path / "d" / "run").chmod(0o777)
    (tmp_path / "d" / "bin" / "tool").write_text("#!/bin/sh\nrm -rf /\n")
    result = make(*wishes(tmp_path))
    assert result["paths"] == [f"{tmp_path}/d/run", f"{tmp_path}/d/bin/tool"]
    assert (tmp_path / "d" / "bin" / "tool").read_text() == "#!/bin/sh\n"


@pytest.mark.fault(21)
def test_a_strangers_path_fails_the_task(
    tmp_path: Path, make: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "d").mkdir()
    if os.geteuid() == 0:
        os.chown(tmp_path / "d", NOBODY, -1)
    else:
        monkeypatch.setattr(os, "geteuid", lambda: NOBODY)
    result = make(*wishes(tmp_path))
    assert (result["failed"], result["reason"]) == (True, "foreign_owner"), result
    assert f"{tmp_path}/d " in result["msg"]
    assert "nobody" in result["msg"]
    assert not list((tmp_path / "d").iterdir())
