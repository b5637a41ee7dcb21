# SPDX-License-Identifier: GPL-3.0-or-later
"""Every module killed with -9 at each of its steps: what runs goes on, and a rerun converges."""

from __future__ import annotations

import os
import stat
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.integration.conftest import Daemon, Result, Run
from tests.integration.killing import Killer
from tests.integration.test_release import SLEEP, Site


@pytest.fixture
def killer() -> Iterator[Killer]:
    with Killer() as found:
        yield found


def listing(folder: Path) -> dict[str, tuple[str, str]]:
    """Return each path below a directory with its mode and its content or target."""
    found = {}
    for path in sorted(folder.rglob("*")):
        mode = stat.filemode(path.lstat().st_mode)
        is_link, is_file = path.is_symlink(), path.is_file()
        content = os.readlink(path) if is_link else path.read_text() if is_file else ""
        found[str(path.relative_to(folder))] = (mode, content)
    return found


# ---- Directories, files and links


def wishes(root: Path) -> dict[str, Any]:
    return {
        "paths": [
            {"path": f"{root}/a/b/run", "mode": "0770"},
            {"path": f"{root}/a/tool", "mode": "0750", "content": "#!/bin/sh\n"},
            {"path": f"{root}/a/current", "target": "venvs/2"},
        ]
    }


def test_directories_files_and_links_are_whole_after_a_rerun(
    killer: Killer, tmp_path: Path, run_module: Run
) -> None:
    run_module("tree", **wishes(tmp_path / "unharmed"))
    wanted = listing(tmp_path / "unharmed")
    steps = []
    for number, end in enumerate(killer.ends("tree", lambda n: wishes(tmp_path / str(n))), 1):
        assert not run_module("tree", **wishes(tmp_path / str(number))).get("failed")
        assert listing(tmp_path / str(number)) == wanted, end.step
        assert run_module("tree", **wishes(tmp_path / str(number)))["changed"] is False
        steps.append(end.step)
    assert len(steps) > 10, steps


# ---- A release


@pytest.fixture
def site(daemon: Daemon, run_module: Run) -> Site:
    """An instance whose programs are taken for RUNNING at once, and watched no longer."""
    daemon.write("")
    daemon.start()
    found = Site(daemon, run_module)
    found.limits["window"] = 0
    return found


def scripts(number: int) -> dict[str, str]:
    """Return a release of which one program changes with the number."""
    return {"stays": SLEEP, "changes": f"# {number}\n{SLEEP}", "idle": SLEEP}


RUNNING = {"changes": "RUNNING", "idle": "STOPPED", "stays": "RUNNING"}


def inputs(site: Site, number: int) -> Result:
    link = f"{site.directory}/current"
    found = site.inputs(scripts(number), lines="startsecs=0\n", links={link: f"/v/{number}"})
    return dict(found, state="prepared")


def litter(site: Site) -> list[str]:
    names = [path.name for path in site.daemon.root.rglob("*")]
    return [name for name in names if ".new" in name or name == "unfinished"]


def running(site: Site) -> dict[str, int | None]:
    return {program.name: program.pid for program in site.observe().programs}


def test_a_preparation_touches_nothing_that_runs_and_a_rerun_completes_it(
    killer: Killer, site: Site
) -> None:
    first = site.run_module("release", **inputs(site, 0))
    assert site.activate(first["id"])["changed"]
    pids, conf = running(site), site.conf()
    steps = []
    for number, end in enumerate(killer.ends("release", lambda n: inputs(site, n)), 1):
        assert (running(site), site.conf()) == (pids, conf), end.step
        again = site.run_module("release", **inputs(site, number))
        assert "failed" not in again, again
        assert site.statuses()[again["id"]] == "prepared"
        assert (site.conf(), litter(site)) == (conf, []), end.step
        steps.append(end.step or "")
    assert any(step.startswith("subprocess.Popen") for step in steps), steps


@pytest.mark.parametrize("then", ["the same release", "the release before it"])
def test_an_activation_leaves_the_old_or_the_new_release_and_any_deploy_completes_it(
    killer: Killer, site: Site, then: str
) -> None:
    ids = [site.run_module("release", **inputs(site, 0))["id"]]
    site.activate(ids[0])
    site.stop("idle")
    pids = site.pids()

    def next_one(number: int) -> Result:
        ids.append(site.run_module("release", **inputs(site, number))["id"])
        return {**site.common, **site.limits, "state": "active", "id": ids[-1]}

    steps, switched = [], []
    for end in killer.ends("release", next_one):
        current = site.releases()["current"]
        wanted = ids[-1] if then == "the same release" else ids[0]
        assert current in (ids[-1], ids[-2] if then == "the same release" else ids[0]), end.step
        assert running(site)["stays"] == pids["stays"], end.step
        assert running(site) == pids or current == ids[-1], end.step
        result = site.activate(wanted)
        assert "failed" not in result, (end.step, result)
        assert (site.releases()["current"], site.statuses()[wanted]) == (wanted, "good")
        assert site.states() == RUNNING, end.step
        assert (site.pids()["stays"], litter(site)) == (pids["stays"], []), end.step
        pids = site.pids()
        steps.append(end.step or "")
        switched.append(current == ids[-1])
    assert switched == sorted(switched), "there is one step that switches"
    for method in ("stopProcess", "removeProcessGroup", "addProcessGroup"):
        assert f"under way: {method}" in steps, steps
