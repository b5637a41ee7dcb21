# SPDX-License-Identifier: GPL-3.0-or-later
"""The pure parts of the measurements: gaps, targets, configurations of the old order of work."""

from __future__ import annotations

import configparser
import socket
import subprocess
import time
from collections import Counter
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import deploy
import downtime
import growth
import pytest
import run
import yaml

from benchlib import old_order, processes
from benchlib.probe import INTERVAL, Probe, Sample, gaps

STAYS = [Sample(0.0, 7), Sample(0.5, 7), Sample(1.0, 7)]


def test_a_service_that_stays_up_has_no_gap() -> None:
    assert gaps(STAYS) == []


def test_a_gap_reaches_from_the_last_moment_up_to_the_first_one_up_again() -> None:
    assert gaps([*STAYS, Sample(1.5, 0), Sample(2.0, 0), Sample(2.5, 7)]) == [1.5]


def test_another_process_was_down_in_between_though_nobody_saw_it() -> None:
    assert gaps([*STAYS, Sample(1.5, 8), Sample(2.0, 8)]) == [0.5]


def test_gaps_are_kept_separate() -> None:
    samples = [Sample(float(at), up) for at, up in enumerate([1, 0, 1, 1, 0, 0, 1])]
    assert gaps(samples) == [2.0, 3.0]


def test_a_service_that_never_comes_back_is_down_to_the_end() -> None:
    assert gaps([*STAYS, Sample(1.5, 0), Sample(9.0, 0)]) == [8.0]


def test_a_service_that_is_down_at_first_counts_from_then() -> None:
    assert gaps([Sample(1.0, 0), Sample(2.0, 0), Sample(3.0, 5)]) == [2.0]
    assert gaps([Sample(1.0, 0), Sample(2.0, 0)]) == [1.0]


def test_the_probe_sees_a_port_go_and_come_back() -> None:
    listener = socket.create_server(("127.0.0.1", 0))
    port = listener.getsockname()[1]
    with Probe([], {"one": port}) as probe:
        wait_until_seen(probe, 1)
        listener.close()
        wait_until_seen(probe, 0)
        with socket.create_server(("127.0.0.1", port)):
            wait_until_seen(probe, 1)
    assert len(probe.gaps()["one"]) in (1, 2)  # the last answer may come after the port is closed
    assert min(probe.gaps()["one"]) >= INTERVAL / 2


def wait_until_seen(probe: Probe, up: int) -> None:
    deadline = time.monotonic() + 30
    while probe.samples.get("one", [Sample(0, -1)])[-1].up != up:
        assert time.monotonic() < deadline
        time.sleep(INTERVAL / 5)


@pytest.mark.parametrize(
    ("about", "shown"),
    [
        ({}, "2.00"),
        ({"ratio": 1.5}, "2.00 (1.50)"),
        ({"at_most": 2.0}, "2.00 within 2.00"),
        ({"at_most": 1.9}, "2.00 MISSES 1.90"),
        ({"at_most": 0.0, "note": "3 stay down"}, "2.00 MISSES 0.00 3 stay down"),
    ],
)
def test_a_cell_says_whether_the_target_is_reached(about: run.Sample, shown: str) -> None:
    assert run.cell({"median": 2.0, **about}) == shown


def test_a_ratio_is_to_the_floor_of_the_same_row() -> None:
    about = {"table": "t", "unit": "s"}
    samples: list[run.Sample] = [
        {**about, "row": "a", "column": "floor", "values": [1.0, 2.0, 9.0]},
        {**about, "row": "a", "column": "x", "values": [3.0]},
        {**about, "row": "b", "column": "x", "values": [3.0]},
    ]
    run.add_ratios(samples)
    assert [sample.get("ratio") for sample in samples] == [1.0, 1.5, None]


def test_the_worst_service_is_the_one_that_exceeds_its_own_limit_most() -> None:
    observed = downtime.Measured(9.0, {"slow": [8.0], "quick": [1.0, 3.5]}, set(), ["quick"])
    limits = {"slow": 10.0, "quick": 4.0}
    case = downtime.Case("a case")
    found = downtime.downtime(case, "changed", {"slow", "quick"}, "x", [observed], limits)
    assert (found["values"], found["at_most"], found["note"]) == ([4.5], 4.0, "1 stay down")
    unchanged = downtime.downtime(case, "unchanged", {"slow"}, "x", [observed], limits)
    assert (unchanged["at_most"], unchanged["note"]) == (0.0, "")
    failing = downtime.Case("a case", fails=True)
    assert downtime.downtime(failing, "all", {"slow"}, "x", [observed], limits)["at_most"] == 20.0


def test_a_value_replaces_the_previous_one() -> None:
    text = downtime.changed("[A]\nkey = 1\nother = 2\n[B]\nmore = 3\n", {"A": {"key": 4}})
    parser = configparser.ConfigParser()
    parser.read_string(downtime.changed(text, {"C": {"new": 5}}))
    assert {name: dict(parser[name]) for name in parser.sections()} == {
        "A": {"key": "4", "other": "2"},
        "B": {"more": "3"},
        "C": {"new": "5"},
    }


@pytest.mark.parametrize("reached", [{"a": 7, "b": 7}, {"a": 2, "b": 5}, {"jaws": 1}])
def test_the_floor_reaches_each_host_as_often_as_the_deploy_does(reached: dict[str, int]) -> None:
    floor = Counter[str]()
    for play in yaml.safe_load(deploy.as_often(reached)):
        for host in play["hosts"].split(":"):
            floor[host] += len(play["tasks"])
    assert floor == reached


def test_the_two_hosts_of_a_machine_are_counted_one_after_the_other(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Ansible prints the address, which they share."""

    def play(_fleet: growth.Fleet, _verbosity: str, _limit: str, host: str) -> Any:
        line = "<machine1> EXEC /bin/sh -c '/usr/bin/python3 && sleep 0'\n"
        return SimpleNamespace(stdout=line * {"m1_jaws": 7, "m1_jtm": 8}[host])

    monkeypatch.setattr(growth.Fleet, "play", play)
    assert growth.Fleet(tmp_path, 10).reached() == {"jaws": 7, "jtm": 8}


def test_a_growth_that_is_linear_has_one_slope() -> None:
    medians = {1: {"deploy": 3.0}, 50: {"deploy": 101.0}, 10: {"deploy": 21.0}}
    found = {sample["row"]: sample["values"] for sample in growth.slopes(medians)}
    assert found == {"1 to 10 machines": [2.0], "10 to 50 machines": [2.0]}


def test_the_old_order_runs_the_services_of_the_catalogue() -> None:
    catalogue = yaml.safe_load(growth.CATALOGUE.read_text())["__jaws_catalogue"]
    for instance, commands in old_order.COMMANDS.items():
        wanted = {
            name
            for name, service in catalogue.items()
            if service["instance"] == instance and "2" in service.get("series", ["2"])
        }
        assert set(commands) == wanted


def interrupted(started: list[subprocess.Popen[bytes]]) -> None:
    with processes.workshop() as root:
        started.append(subprocess.Popen(["sleep", "1000"], env={"OF": f"{root}/"}))
        raise KeyboardInterrupt(str(root))


def test_what_is_left_is_ended_with_its_directory() -> None:
    started: list[subprocess.Popen[bytes]] = []
    with pytest.raises(KeyboardInterrupt) as caught:
        interrupted(started)
    assert started[0].wait(timeout=30) == -9
    assert not Path(str(caught.value)).exists()
