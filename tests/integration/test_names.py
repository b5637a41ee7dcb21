# SPDX-License-Identifier: GPL-3.0-or-later
"""Names as Supervisor accepts them, several programs at a time, and programs that end."""

from __future__ import annotations

import functools
import os
import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from tests.integration.conftest import Daemon, Result, Run, wait_until

Ctl = Callable[..., Result]


@pytest.fixture
def ctl(daemon: Daemon, run_module: Run) -> Ctl:
    def run(state: str, *name: str, **options: Any) -> Result:
        given = {"config": str(daemon.conf), "name": list(name) or None, **options}
        return run_module("supervisorctl", state=state, **given)

    return run


def states(result: Result) -> dict[str, str]:
    return {one["name"]: one["state"] for one in result["programs"]}


def pids(result: Result) -> dict[str, int]:
    return {one["name"]: one["pid"] for one in result["programs"]}


def idle(name: str, *lines: str) -> str:
    head = [f"[program:{name}]", "command=/bin/sleep 1000", "startsecs=0", "autostart=false"]
    return "\n".join([*head, *lines]) + "\n"


# --- names ------------------------------------------------------------------------------------

ODD = [
    idle("with.dots"),
    idle("wörter-ñ"),
    idle("ψ", "numprocs=2", "process_name=%(program_name)s_%(process_num)02d"),
    idle("labelled", "process_name=%(ENV_LABEL)s"),
    idle("colon", "process_name=%(ENV_COLON)s"),
    idle("twin", "process_name=same"),
    idle("other", "process_name=same"),
    idle("g"),
    idle("y"),
    "[group:g]\nprograms=g,y\n",
    idle("star*"),
    idle("starless"),
    "[eventlistener:l]\ncommand=/bin/cat\nevents=TICK_5\nstartsecs=0\nautostart=false\n",
]
NAMES = {
    "with.dots": ["with.dots"],
    "wörter-ñ": ["wörter-ñ"],
    "ψ:ψ_01": ["ψ:ψ_01"],
    "ψ_0?": ["ψ:ψ_00", "ψ:ψ_01"],
    "my worker, no. 1": ["labelled:my worker, no. 1"],
    "labelled:my worker, no. 1": ["labelled:my worker, no. 1"],
    "colon:a:b": ["colon:a:b"],
    "a:b": ["colon:a:b"],
    "twin:same": ["twin:same"],
    "*:same": ["other:same", "twin:same"],
    "g": ["g"],
    "g:": ["g", "g:y"],
    "star*": ["star*"],
    "star[*]": ["star*"],
    "star?*": ["star*", "starless"],
    "l": ["l"],
}


def test_every_name_that_supervisor_accepts_is_accepted_and_means_the_same(
    daemon: Daemon, ctl: Ctl, run_module: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("LABEL", "my worker, no. 1")
    monkeypatch.setenv("COLON", "a:b")
    daemon.write("".join(ODD))
    daemon.start()
    for name, meant in NAMES.items():
        config = str(daemon.conf)
        shown = run_module("supervisorctl_info", config=config, name=[name])["programs"]
        assert [one["name"] for one in shown] == meant
        started = ctl("started", name)
        assert started["affected"] == meant, name
        assert {one for one, state in states(started).items() if state == "RUNNING"} == set(meant)
        assert ctl("restarted", name)["affected"] == meant
        assert ctl("signalled", name, signal="CONT")["affected"] == meant
        assert ctl("stopped", name)["affected"] == meant
    assert ctl("started", "same")["reason"] == "ambiguous_program"


SIGNALS = {"USR1": "10", "sigusr2": "12", "SIGHUP": "1", "1": "1", " 10 ": "10", "Winch": "28"}


def test_a_signal_goes_by_its_name_with_or_without_sig_or_by_its_number(
    daemon: Daemon, ctl: Ctl
) -> None:
    code = (
        "import signal, time; "
        "[signal.signal(n, lambda n, f: print(int(n), flush=True)) for n in (1, 10, 12, 28)]; "
        "print('ready', flush=True); "
        "[time.sleep(1) for n in range(1000)]"
    )
    daemon.write(f'[program:a]\ncommand=python3 -c "{code}"\nstartsecs=0\n')
    daemon.start()
    log = Path(wait_until(lambda: ctl("started", "a")["programs"][0]["log_file"], "a log"))
    expected = ["ready"]
    for name, number in SIGNALS.items():
        wait_until(lambda: log.read_text().split() == expected, f"signals {expected}")
        assert ctl("signalled", "a", signal=name)["changed"] is True
        expected.append(number)
    wait_until(lambda: log.read_text().split() == expected, f"signals {expected}")


# --- a few at a time --------------------------------------------------------------------------

# The third of them fails once a file says so.
WORKER = """\
[program:worker]
command=/bin/sh -c 'test -e fail -a $SUPERVISOR_PROCESS_NAME = worker_02 || exec sleep 1000'
directory={root}
numprocs=5
process_name=%(program_name)s_%(process_num)02d
startretries=0
{more}
"""


def served(daemon: Daemon, ctl: Ctl, more: str = "") -> dict[str, int]:
    daemon.write(WORKER.format(root=daemon.root, more=more))
    daemon.start()
    return pids(ctl("started", "all"))


def test_workers_restart_two_at_a_time_while_the_others_serve(daemon: Daemon, ctl: Ctl) -> None:
    before = served(daemon, ctl)
    log = daemon.root / "supervisord.log"
    written = len(log.read_text())
    result = ctl("restarted", "worker_*", serial="2")
    assert set(states(result).values()) == {"RUNNING"}
    assert not set(before.values()) & set(pids(result).values())
    words = [line.split("INFO ")[-1] for line in log.read_text()[written:].splitlines()]
    down, most = 0, 0
    for line in words:
        down += line.startswith("stopped:") or "WARN stopped:" in line
        down -= line.startswith("success:")
        most = max(most, down)
    assert (down, most) == (0, 2)
    assert result["affected"] == sorted(before)


def test_a_rolling_restart_ends_at_the_first_failure_and_names_what_is_left(
    daemon: Daemon, ctl: Ctl
) -> None:
    before = served(daemon, ctl, more="startsecs=5")  # the one that fails does so earlier
    (daemon.root / "fail").touch()
    result = ctl("restarted", "worker:", serial="40%")
    assert (result["failed"], result["reason"]) == (True, "program_failed")
    assert result["failed_programs"] == ["worker:worker_02"]
    assert result["not_restarted"] == ["worker:worker_04"]
    assert "Not restarted: worker:worker_04." in result["msg"]
    after = pids(result)
    kept = {name for name in before if before[name] == after[name]}
    assert kept == {"worker:worker_04"}
    assert states(result)["worker:worker_02"] == "FATAL"
    assert states(result)["worker:worker_03"] == "RUNNING"


def test_a_group_that_differs_on_disk_is_not_rolled(daemon: Daemon, ctl: Ctl) -> None:
    before = served(daemon, ctl)
    daemon.write(WORKER.format(root=daemon.root, more="stopwaitsecs=9"))
    result = ctl("restarted", "worker:", serial="2")
    assert (result["failed"], result["reason"]) == (True, "partial_group")
    assert pids(ctl("started", "all")) == before
    assert ctl("updated", "worker")["changed"] is True
    assert ctl("restarted", "worker:", serial="2")["changed"] is True


def test_serial_is_for_a_restart_that_waits(daemon: Daemon, ctl: Ctl) -> None:
    before = served(daemon, ctl)
    for state, options in (("stopped", {}), ("restarted", {"wait": False})):
        result = ctl(state, "all", serial="1", **options)
        assert (result["failed"], result["reason"]) == (True, "bad_option")
    assert ctl("restarted", "all", serial="none", check=True)["reason"] == "bad_option"
    assert pids(ctl("started", "all")) == before


# --- programs that are expected to end --------------------------------------------------------

MIGRATE = """\
[program:migrate]
command=/bin/sh -c '{command}'
directory={root}
priority=1
startsecs={startsecs}
autostart={autostart}
autorestart={autorestart}
startretries=0
exitcodes=0,3
[program:serve]
command=/bin/sh -c 'test -e migrated && exec sleep 1000'
directory={root}
priority=2
autostart={autostart}
startretries=0
"""
COMMAND = "rm -f migrated; sleep 0.5; {end}"


def migration(daemon: Daemon, end: str, **more: Any) -> str:
    settings = {"startsecs": 0, "autostart": "false", "autorestart": "false", **more}
    return MIGRATE.format(root=daemon.root, command=COMMAND.format(end=end), **settings)


@pytest.mark.parametrize("end", ["touch migrated", "touch migrated; exit 3"])
@pytest.mark.parametrize("state", ["started", "updated", "restarted"])
def test_a_migration_ends_before_the_service_starts(
    daemon: Daemon, ctl: Ctl, end: str, state: str
) -> None:
    daemon.write(migration(daemon, end) if state == "started" else "")
    daemon.start()
    daemon.write(migration(daemon, end, autostart="false" if state == "started" else "true"))
    task = functools.partial(ctl, state, *([] if state == "updated" else ["all"]))
    result = task(one_shot=["migrate"], diff=True)
    assert "failed" not in result, result
    assert states(result) == {"migrate": "EXITED", "serve": "RUNNING"}
    assert result["diff"]["after"] == "migrate EXITED\nserve RUNNING\n"


def test_the_service_does_not_start_after_a_migration_that_failed(daemon: Daemon, ctl: Ctl) -> None:
    daemon.write(migration(daemon, "echo no table >&2; exit 4"))
    daemon.start()
    result = ctl("started", "migrate", "serve", one_shot=["mig*"])
    assert (result["failed"], result["reason"]) == (True, "program_failed")
    assert result["failed_programs"] == ["migrate", "serve"]
    assert states(result) == {"migrate": "EXITED", "serve": "STOPPED"}
    for words in ("could not finish migrate", "exit status 4", "no table", "waits for migrate"):
        assert words in result["msg"]


def test_a_migration_that_is_running_already_is_waited_for_and_not_started_again(
    daemon: Daemon, ctl: Ctl
) -> None:
    gate = daemon.root / "gate"
    os.mkfifo(gate)
    daemon.write(migration(daemon, "read x <gate; touch migrated"))
    daemon.start()
    ctl("started", "migrate")
    with subprocess.Popen(["/bin/sh", "-c", f"sleep 2; echo go >{gate}"]):
        result = ctl("started", "migrate", "serve", one_shot=["migrate"])
    assert states(result) == {"migrate": "EXITED", "serve": "RUNNING"}
    assert result["affected"] == ["serve"]


NEEDS = {
    "autorestart=false": dict(autorestart="true"),
    "startsecs=0": dict(startsecs=30),
}


@pytest.mark.parametrize("needed", NEEDS)
def test_a_one_shot_program_whose_settings_do_not_let_it_end_is_refused_with_the_right_ones(
    daemon: Daemon, ctl: Ctl, needed: str
) -> None:
    daemon.write(migration(daemon, "touch migrated", **NEEDS[needed]))
    daemon.start()
    result = ctl("started", "migrate", one_shot=["migrate"])
    assert result["failed"] is True
    assert f"it needs {needed}" in result["msg"] or f"needs {needed}" in result["msg"]


def test_a_migration_that_takes_too_long_has_failed(daemon: Daemon, ctl: Ctl) -> None:
    daemon.write(migration(daemon, "sleep 1000"))
    daemon.start()
    result = ctl("started", "all", one_shot=["migrate"], timeout=1)
    assert (result["reason"], result["failed_programs"]) == ("timed_out", ["migrate", "serve"])
    assert states(result) == {"migrate": "RUNNING", "serve": "STOPPED"}
