# SPDX-License-Identifier: GPL-3.0-or-later
"""The clock is set forwards or back while a release is switched to: the result is the same."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from ansible_collections.jgi.jaws.plugins.module_utils.supervisor.client import Supervisor
from ansible_collections.jgi.jaws.plugins.module_utils.supervisor.endpoint import SupervisordConf
from ansible_collections.jgi.jaws.plugins.plugin_utils.catalogue import SERVICE_KEYS
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


SERVICE = """\
[program:service]
command=/bin/sh -c 'test ! -e {root}/away && exec sleep 1000'
startsecs={startsecs}
startretries={startretries}
"""


class Service:
    """A service that ends at once while its database is away, with the settings of the catalogue.

    The clock of its supervisord only moves when the test turns it.
    """

    def __init__(self, daemon: Daemon, clock: Path) -> None:
        self.away = daemon.root / "away"
        self.clock = clock
        self.seconds = 0
        daemon.write(SERVICE.format(root=daemon.root, **SERVICE_KEYS))
        self.away.touch()
        daemon.start(CLOCK.format(path=str(clock)) + SUPERVISORD)
        self.client = Supervisor(SupervisordConf(str(daemon.conf)).endpoint)

    def state(self) -> str:
        with self.client as client:
            return str(client.call("supervisor.getProcessInfo", "service")["statename"])

    def pass_time(self, seconds: int, *until: str) -> str:
        """Let time pass, but at most until one of these states; return the state."""
        end = self.seconds + seconds
        while (state := self.state()) not in until and self.seconds < end:
            if state == "BACKOFF" or not self.away.exists():  # otherwise it is about to end
                self.seconds += 1
                set_clock(self.clock, self.seconds)
        return state


@pytest.fixture
def service(daemon: Daemon, clock: Path) -> Service:
    return Service(daemon, clock)


@pytest.mark.fault(62)
def test_a_service_is_back_by_itself_after_its_database_was_away_for_half_a_minute(
    service: Service,
) -> None:
    assert service.pass_time(30, "FATAL") != "FATAL"
    service.away.unlink()
    assert service.pass_time(60, "RUNNING", "FATAL") == "RUNNING"
    assert service.seconds < 60


@pytest.mark.fault(62)
def test_a_service_is_given_up_in_an_outage_of_ten_minutes_and_started_by_a_command_after_it(
    service: Service, daemon: Daemon, run_module: Run
) -> None:
    assert service.pass_time(600, "FATAL") == "FATAL"
    assert 55 <= service.seconds <= 70  # 1 + 2 + ... + 10 seconds between its starts
    service.away.unlink()
    service.seconds = 600
    set_clock(service.clock, 600)
    assert service.state() == "FATAL"
    options = {"config": str(daemon.conf), "name": "service"}
    run_module("supervisorctl", state="started", wait=False, **options)
    assert service.pass_time(60, "RUNNING") == "RUNNING"
