# SPDX-License-Identifier: GPL-3.0-or-later
"""LRC's two deployments: old commands word by word, boots, and recovery."""

from __future__ import annotations

import os
import subprocess
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path
from typing import Any

import pytest
from testinfra.host import Host
from waiting import wait_until

CLONE = Path(__file__).parents[3]
HOME = "/global/home/groups-sw/lr_jgicloud"
JAWS_HOME = "/home/jaws"
FIRST, SECOND = "lrc-services.lbl.gov", "lrc-second.lbl.gov"
PROGRAMS = {
    "jaws": {
        "jaws-central-auth",
        "jaws-central-rest",
        "jaws-central-rpc",
        "jaws-site-central-rpc",
        "jaws-site-daemon",
        "jaws-site-jtm-rpc",
    },
    "jtm": {"jaws-cromwell", "jaws-jtm"},
}
DEPLOYMENTS = ("dev", "prod")
# Seconds between two looks at a deployment.
PAUSE = 1

Login = Callable[[str], Host]


class Site:
    """The host, with the commands that jaws types."""

    def __init__(self, jaws: Host) -> None:
        self.jaws = jaws

    def user(self, command: str) -> str:
        """Run a command that needs the user's systemd, with the environment of a login."""
        return self.jaws.check_output(f"export XDG_RUNTIME_DIR=/run/user/$(id -u); {command}")

    def control(self, command: str, *deployments: str) -> str:
        """Run a supervisorctl command for each instance; lines begin with the deployment."""
        typed = [
            f"{root}/bin/supervisorctl -c {root}/supervisord-{instance}.conf {command}"
            f" | sed 's/^/{deployment} /'"
            for deployment in deployments
            for root in [f"{HOME}/{deployment}/jaws-supervisord"]
            for instance in ("jaws", "jtm")
        ]
        return self.jaws.run("; ".join(typed)).stdout

    def pids(self, *deployments: str) -> dict[str, dict[str, str]]:
        """Return the pids of what is RUNNING, by deployment and program."""
        found: dict[str, dict[str, str]] = {name: {} for name in deployments}
        for words in map(str.split, self.control("status", *deployments).splitlines()):
            if words[2:3] == ["RUNNING"]:
                found[words[0]][words[1]] = words[4].rstrip(",")
        return found

    def runs(self, *deployments: str) -> bool:
        wanted = PROGRAMS["jaws"] | PROGRAMS["jtm"]
        return all(set(pids) == wanted for pids in self.pids(*deployments).values())

    def await_all(self, *deployments: str) -> None:
        for one in deployments:  # they start together, and each look starts two programs for each
            wait_until(partial(self.runs, one), f"{one} runs", pause=PAUSE)

    def stop(self, *deployments: str) -> None:
        self.control("shutdown", *deployments)
        pattern = f"^{HOME}/({'|'.join(deployments)})/jaws-"
        wait_until(lambda: self.jaws.run("pgrep -f %s", pattern).failed, "its end")


@pytest.fixture
def any_site(login: Login) -> Site:
    """The site as the last test has left it, because a stop and a start take 15 seconds."""
    return Site(login("jaws"))


@pytest.fixture
def site(any_site: Site) -> Site:
    """Both deployments, running."""
    if not any_site.runs(*DEPLOYMENTS):
        scripts = [f"{HOME}/{name}/jtm-service-{name}.sh" for name in DEPLOYMENTS]
        any_site.jaws.run(f"{'& '.join(scripts)}& wait")
        any_site.await_all(*DEPLOYMENTS)
    return any_site


def reboot() -> None:
    command = [str(CLONE / "molecule/bin/container"), "reboot", FIRST]
    subprocess.run(command, check=True, env=dict(os.environ), stdout=subprocess.DEVNULL)


def test_the_units_start_what_is_down_every_time(site: Site) -> None:
    for _time in range(2):  # a first start must not prevent the second one from checking
        site.stop(*DEPLOYMENTS)
        site.user("systemctl --user start jawsdev jawsprod")
        site.await_all(*DEPLOYMENTS)


def test_the_scripts_start_what_is_down_and_are_what_the_units_call(site: Site) -> None:
    scripts = {name: f"{HOME}/{name}/jtm-service-{name}.sh" for name in DEPLOYMENTS}
    site.stop(*DEPLOYMENTS)
    for deployment, script in scripts.items():
        called = site.user(f"systemctl --user show jaws{deployment} --property=ExecStart --value")
        assert f"path={script} ;" in called
        site.jaws.check_output(script)
    site.await_all(*DEPLOYMENTS)
    for deployment, script in scripts.items():
        before = site.pids(deployment)
        told = site.jaws.check_output(script)
        assert told.splitlines() == ["supervisord jtm is running", "supervisord jaws is running"]
        assert site.pids(deployment) == before


def test_stopping_the_unit_stops_that_deployment_alone_and_waits(site: Site) -> None:
    prod = site.pids("prod")
    site.user("systemctl --user start jawsdev")
    site.user("systemctl --user stop jawsdev")
    assert site.jaws.run("pgrep -f %s", f"^{HOME}/dev/jaws-").failed
    assert site.pids("prod") == prod


def test_the_script_starts_nothing_in_another_users_directory(
    any_site: Site, login: Login, machine: Host
) -> None:
    site = any_site
    site.stop("dev")
    machine.check_output("rm -r /tmp/jaws-supervisord-dev")
    login("stranger").check_output("mkdir -m 777 -p /tmp/jaws-supervisord-dev/jtm")
    try:
        refused = site.jaws.run(f"{HOME}/dev/jtm-service-dev.sh")
        assert refused.failed
        assert "/tmp/jaws-supervisord-dev belongs to stranger" in refused.stderr
        assert site.jaws.run("pgrep -f %s", f"^{HOME}/dev/jaws-").failed
    finally:
        machine.check_output("rm -r /tmp/jaws-supervisord-dev")


def test_limit_prod_leaves_dev_as_it_is(site: Site, operator: Any) -> None:
    before = site.pids(*DEPLOYMENTS)
    played = operator.play("restart", "--limit=prod", "--extra-vars=programs=jaws-jtm")
    assert played.succeeded, played.output
    after = site.pids(*DEPLOYMENTS)
    assert after["dev"] == before["dev"]
    prod = before["prod"]
    assert {name for name in prod if after["prod"][name] != prod[name]} == {"jaws-jtm"}


@pytest.mark.fault(20)
def test_a_boot_brings_everything_back_by_itself(site: Site, login: Login) -> None:
    assert login("jaws").check_output("loginctl show-user jaws --property=Linger") == "Linger=yes"
    reboot()
    site.await_all(*DEPLOYMENTS)
    state = "systemctl --user is-active gitlab-runner"
    wait_until(lambda: site.user(f"{state} || true") == "active", "the runner")


@pytest.mark.fault(20)
def test_recover_brings_everything_back_without_an_enabled_unit(site: Site, operator: Any) -> None:
    units = "jawsdev jawsprod gitlab-runner"
    site.user(f"systemctl --user disable {units}")
    try:
        reboot()
        assert not any(site.pids(*DEPLOYMENTS).values())
        assert site.jaws.run("ls -d /tmp/jaws-supervisord-*").failed
        played = operator.play("recover")
        assert played.succeeded, played.output
        assert site.runs(*DEPLOYMENTS)
        assert "lrc_runner gitlab-runner RUNNING" in played.said
    finally:
        site.user(f"systemctl --user enable {units}")


class Node:
    """A second node with the homes of the first, and the same accounts."""

    def __init__(self) -> None:
        for verb in (["remove", SECOND], ["create", SECOND, "bookworm", "systemd", FIRST]):
            container(*verb)
        for file in ("passwd", "group", "shadow"):
            known = inside(FIRST, "root", f"cat /etc/{file}").stdout
            inside(SECOND, "root", f"cat >/etc/{file}", known)
        inside(SECOND, "root", "loginctl enable-linger jaws")
        state = "systemctl --user is-system-running || true"
        wait_until(lambda: self.user(state).stdout.strip() in ("running", "degraded"), "systemd")

    def user(self, command: str) -> subprocess.CompletedProcess[str]:
        """Run a command as jaws, with the environment of a login."""
        environment = f"export XDG_RUNTIME_DIR=/run/user/$(id -u) HOME={JAWS_HOME}"
        return inside(SECOND, "jaws", f"{environment}; {command}")


def container(*words: str) -> str:
    command = [str(CLONE / "molecule/bin/container"), *words]
    return subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True).stdout.strip()


def inside(host: str, user: str, command: str, given: str = "") -> subprocess.CompletedProcess[str]:
    engine = [str(CLONE / "molecule/bin/engine"), "exec", "--interactive", "--user", user]
    return subprocess.run(
        [*engine, container("name", host), "sh", "-c", command],
        input=given,
        capture_output=True,
        text=True,
        check=False,
    )


@pytest.fixture
def second() -> Iterator[Node]:
    yield Node()
    container("remove", SECOND)


@pytest.mark.fault(55)
def test_a_second_node_with_the_same_home_starts_nothing_and_says_so(
    site: Site, second: Node
) -> None:
    units = "jawsdev jawsprod gitlab-runner"
    show = f"systemctl --user show {units} --property=ConditionResult --property=ActiveState"
    for command in ("true", f"systemctl --user start {units}"):
        assert second.user(command).returncode == 0
        shown = second.user(show).stdout.split()
        assert sorted(shown) == ["ActiveState=inactive"] * 3 + ["ConditionResult=no"] * 3
    path = "systemctl --user show %s -p ExecStart --value | sed 's/.*path=//; s/ ;.*//'"
    for unit, word in {"jawsdev": "deployment", "gitlab-runner": "runner"}.items():
        program = second.user(path % unit).stdout.strip()
        told = second.user(f"{program} {'run' if word == 'runner' else ''}")
        assert told.returncode == 1
        assert f"This {word} runs on lrc-services, and this is lrc-second" in told.stderr
    assert second.user("pgrep -f '[s]upervisord|[g]itlab-runner run'").stdout == ""
    assert site.runs(*DEPLOYMENTS)


def test_recover_on_a_healthy_site_changes_nothing_in_twelve_tasks(
    site: Site, operator: Any
) -> None:
    before = site.pids(*DEPLOYMENTS)
    played = operator.play("recover")
    assert played.succeeded, played.output
    assert not any(played.changed.values()), played.output
    instances = [host for host in played.tasks if host.endswith(("_jaws", "_jtm"))]
    assert len(instances) == 4
    # Two of them run once for all hosts and reach none.
    assert max(played.tasks[host] for host in instances) <= 12
    assert site.pids(*DEPLOYMENTS) == before
    assert "lrc_runner gitlab-runner RUNNING" in played.said
