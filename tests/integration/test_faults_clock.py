# SPDX-License-Identifier: GPL-3.0-or-later
"""The clock is set forwards or back while a release is switched to: the result is the same."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from tests.integration.conftest import PATIENCE, Daemon, Run, Spawn, wait_until
from tests.integration.test_release import SLEEP, Site

# The clock of a process and its threads, which is off by the number of seconds in a file.
CLOCK = """
import time
real = time.time
def wrong():
    with open({path!r}) as stream:
        return real() + float(stream.read())
time.time = wrong
"""
SUPERVISORD = "from supervisor.supervisord import main\nmain()\n"
DAY = 86400


@pytest.fixture
def clock(short_tmp: Path) -> Path:
    """A file with the number of seconds by which the clock is wrong."""
    path = short_tmp / "clock"
    path.write_text("0")
    return path


def set_clock(clock: Path, seconds: int) -> None:
    new = clock.with_suffix(".new")
    new.write_text(str(seconds))
    new.replace(clock)


@pytest.fixture
def site(daemon: Daemon, run_module: Run, clock: Path) -> Site:
    """An instance whose supervisord uses that clock."""
    daemon.write("")
    daemon.start(CLOCK.format(path=str(clock)) + SUPERVISORD)
    return Site(daemon, run_module)


@pytest.mark.fault(41)
@pytest.mark.parametrize("moment", ["at its start", "in its window"])
@pytest.mark.parametrize("seconds", [DAY, -DAY, 2, -2])
def test_a_clock_that_is_set_during_a_deploy_does_not_change_its_result(
    site: Site, spawn_module: Spawn, clock: Path, tmp_path: Path, seconds: int, moment: str
) -> None:
    site.deploy({"stays": SLEEP, "changes": SLEEP})
    stays = site.pids()["stays"]
    new = {"stays": SLEEP, "changes": f"echo $$ > {tmp_path}/pid\n{SLEEP}"}
    release = site.prepare(new)["id"]
    limits = {**site.limits, "window": 3}
    options = {**site.common, **limits, "state": "active", "id": release}
    run = spawn_module("release", hook=CLOCK.format(path=str(clock)), **options)
    wait_until((tmp_path / "pid").exists, "the new program")
    if moment == "in its window":
        wait_until(lambda: site.states().get("changes") == "RUNNING", "RUNNING")
    set_clock(clock, seconds)
    result = json.loads(run.communicate(timeout=PATIENCE)[0].splitlines()[-1])
    assert (result.get("failed"), result.get("affected")) == (None, ["changes"]), result
    assert site.states() == {"stays": "RUNNING", "changes": "RUNNING"}
    assert site.pids() == {"stays": stays, "changes": int((tmp_path / "pid").read_text())}
    assert site.statuses()[release] == "good"
    assert site.deploy(new)["changed"] is False


@pytest.mark.fault(41)
def test_a_release_that_crashes_is_taken_back_whatever_the_clock_says(
    site: Site, spawn_module: Spawn, clock: Path, tmp_path: Path
) -> None:
    good = site.deploy({"one": SLEEP})
    crash = f"touch {tmp_path}/runs\nsleep 1.5\nexit 4\n"
    release = site.prepare({"one": crash})["id"]
    options = {**site.common, **site.limits, "window": 5, "state": "active", "id": release}
    run = spawn_module("release", hook=CLOCK.format(path=str(clock)), **options)
    wait_until((tmp_path / "runs").exists, "the new program")
    set_clock(clock, DAY)  # it is RUNNING at once
    result = json.loads(run.communicate(timeout=PATIENCE)[0].splitlines()[-1])
    assert (result["failed"], result["reverted_to"]) == (True, good["id"]), result
    assert (site.states(), site.releases()["current"]) == ({"one": "RUNNING"}, good["id"])
