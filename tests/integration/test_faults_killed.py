# SPDX-License-Identifier: GPL-3.0-or-later
"""Every module is killed with -9 at each of its steps: what runs continues, a rerun converges."""

from __future__ import annotations

import base64
import os
import shutil
import stat
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from ansible_collections.jgi.jaws.plugins.module_utils.environments.specs import wheel_digest
from ansible_collections.jgi.jaws.plugins.module_utils.supervisor.endpoint import SupervisordConf
from tests.integration.conftest import Daemon, Result, Run, wait_until
from tests.integration.killing import Killer
from tests.integration.test_release import SLEEP, Site
from tests.integration.test_supervisord import BIN, daemons, programs
from tests.integration.test_supervisord_config import one_of_two_keys_works, pid_by, sections
from tests.integration.test_venv import demo_version, make_wheel


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


@pytest.mark.fault(1)
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
    """An instance whose programs are RUNNING at once and are not watched after that."""
    daemon.write("")
    daemon.start()
    found = Site(daemon, run_module)
    found.limits["window"] = 0
    return found


def scripts(number: int) -> dict[str, str]:
    """Return a release in which one program depends on the number."""
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


@pytest.mark.fault(1)
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


@pytest.mark.fault(2)
@pytest.mark.fault(3)
@pytest.mark.fault(4)
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


# ---- A virtual environment


@pytest.fixture
def build(tmp_path: Path, quick_python: str) -> Callable[[str], Result]:
    """Return the options that build one environment in a directory."""
    wheel = make_wheel(tmp_path)
    digest = wheel_digest(str(wheel))

    def options(name: str) -> Result:
        (tmp_path / name).mkdir(exist_ok=True)
        spec = {
            "name": "site",
            "python": quick_python,
            "pip_arguments": ["--no-index"],
            "wheels": [{"name": wheel.name, "digest": digest}],
        }
        contents = {digest: base64.b64encode(wheel.read_bytes()).decode()}
        return {"directory": str(tmp_path / name), "environments": [spec], "contents": contents}

    return options


def worth_a_build(steps: list[str]) -> list[int]:
    """Return the numbers of the steps around commands and renames, and each sixth."""
    near = [
        number + beside
        for number, step in enumerate(steps, 1)
        if step.startswith(("os.rename", "subprocess", "the command runs"))
        for beside in (0, 1)
    ]
    return sorted({*near, *range(1, len(steps), 6)})


@pytest.mark.fault(1)
def test_an_environment_is_never_used_half_built(
    killer: Killer, tmp_path: Path, build: Callable[[str], Result], run_module: Run
) -> None:
    """It is killed at later and later steps; a rerun completes what the last run left."""
    steps = killer.run(0, "venv", **build("unharmed")).steps
    assert steps.count("the command runs") > 2, steps
    for number in worth_a_build(steps):
        end = killer.run(number, "venv", **build("venvs"))
        predicted = run_module("venv", check=True, **build("venvs"))
        path = Path(predicted["environments"]["site"]["path"])
        assert predicted["changed"] or demo_version(path) == "1.0", end.step
        if not predicted["changed"]:
            shutil.rmtree(tmp_path / "venvs")
        elif number % 3 == 0:
            result = run_module("venv", **build("venvs"))
            assert (result["changed"], demo_version(path)) == (True, "1.0"), (end.step, result)
            assert os.listdir(tmp_path / "venvs") == [path.name], end.step
            shutil.rmtree(tmp_path / "venvs")


# ---- The daemon's sections and the key


@pytest.mark.fault(3)
def test_a_key_is_rotated_and_the_daemon_never_lost(
    killer: Killer, instance: Daemon, run_module: Run
) -> None:
    options = {"config": str(instance.conf), "python": sys.executable}
    options["sections"] = sections(instance.root)
    assert run_module("supervisord_config", **options)["changed"]
    pid, steps = instance.start(), []

    for end in killer.ends("supervisord_config", lambda _: {**options, "rotate_key": True}):
        wait_until(lambda: pid in one_of_two_keys_works(instance), f"a way in: {end.step}")
        kept = SupervisordConf(str(instance.conf)).endpoint.password
        assert not run_module("supervisord_config", **options).get("failed"), end.step
        endpoint = SupervisordConf(str(instance.conf)).endpoint
        assert (pid_by(endpoint), endpoint.password) == (pid, kept), end.step
        assert run_module("supervisord_config", **options)["changed"] is False
        assert [path.name for path in instance.root.glob("*conf*")] == ["supervisord.conf"], (
            end.step
        )
        steps.append(end.step or "")
    assert "under way: restart" in steps, steps


# ---- The daemon


@pytest.mark.fault(4)
@pytest.mark.parametrize("state", ["started", "restarted"])
def test_a_daemon_is_started_once(
    killer: Killer, instance: Daemon, run_module: Run, state: str
) -> None:
    instance.write("[program:a]\ncommand=/bin/sleep 1000\nstartsecs=0\n")
    options = {"config": str(instance.conf), "supervisord_path": f"{BIN}/supervisord"}
    steps = []
    for end in killer.ends("supervisord", lambda _: {**options, "state": state}):
        result = run_module("supervisord", **options)
        assert result.get("running"), (end.step, result)
        assert daemons(instance) == [result["pid"]], end.step
        wait_until(lambda: len(programs(instance)) == 1, f"one program: {end.step}")
        if state == "started":
            assert run_module("supervisord", **options, state="stopped")["changed"]
        steps.append(end.step or "")
    assert "the command runs" in steps, steps
