# SPDX-License-Identifier: GPL-3.0-or-later
"""What is reported of a program that is FATAL and of a deploy that fails, and what that needs."""

from __future__ import annotations

import io
import json
import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from ansible_collections.jgi.jaws.plugins.callback import notify
from ansible_collections.jgi.jaws.plugins.module_utils.supervisor import notifier as listener
from ansible_collections.jgi.jaws.plugins.module_utils.supervisor.programs import NOTIFIER
from ansible_collections.jgi.jaws.plugins.plugin_utils.notifier import notifier
from ansible_collections.jgi.jaws.plugins.plugin_utils.play import chosen_programs
from tests.unit.test_progress_callback import Play, Result, Stats, Task
from tests.unit.test_structure import FILE_GRAPH

INSTANCE = {
    "name": "jaws", "directory": "/s", "config": "/s/supervisord-jaws.conf", "group": "jaws",
    "log_dir": "/s/log", "python": "/s/venv/bin/python", "about": {"deployment": "dev"},
}  # fmt: skip


def written(command: list[str], **changed: str) -> dict[str, Any]:
    return notifier(command, {**INSTANCE, **changed})


def test_an_instance_without_a_command_gets_no_file_and_no_section() -> None:
    assert written([]) == {"paths": [], "sections": {}}


def test_another_command_changes_a_file_and_not_the_section() -> None:
    one, other = written(["/bin/a"]), written(["/bin/b"])
    assert one["sections"] == other["sections"]
    differing = [a for a, b in zip(one["paths"], other["paths"], strict=True) if a != b]
    assert [path["path"] for path in differing] == ["/s/notify/jaws.json"]
    assert (differing[0]["mode"], differing[0]["group"]) == ("0640", "jaws")
    assert written(["/bin/a"], group="")["paths"][-1]["mode"] == "0600"


def test_the_code_of_the_listener_is_what_it_imports() -> None:
    found: set[str] = set()
    due = {"supervisor/notifier"}
    while due:
        found |= due
        due = set().union(*(FILE_GRAPH[name] for name in due)) - found
    prefix, paths = "/s/notify/", [path["path"] for path in written(["/bin/a"])["paths"]]
    code = {path.removeprefix(prefix) for path in paths if path.endswith(".py")}
    packages = {f"module_utils{folder}/__init__.py" for folder in ("", "/supervisor", "/system")}
    assert code == {"__main__.py"} | packages | {f"module_utils/{name}.py" for name in found}


def test_the_code_is_the_same_if_a_loader_gives_bytes_as_ansibles_does(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    loader: Any = listener.__spec__.loader
    before, source = written(["/bin/a"]), loader.get_source
    monkeypatch.setattr(loader, "get_source", lambda name: source(name).encode())
    assert written(["/bin/a"]) == before


def test_the_listener_needs_no_ansible(tmp_path: Path) -> None:
    for path in written(["/bin/true"], directory=str(tmp_path))["paths"]:
        if "content" in path:
            Path(path["path"]).parent.mkdir(parents=True, exist_ok=True)
            Path(path["path"]).write_text(path["content"])
    code = "import sys; sys.modules['ansible'] = None; sys.argv = sys.argv[1:]; import runpy; "
    code += "runpy.run_path(sys.argv[0], run_name='__main__')"
    run = [sys.executable, "-B", "-c", code, str(tmp_path / "notify"), str(tmp_path / "none")]
    done = subprocess.run(run, input=b"", capture_output=True, check=False)
    assert (done.returncode, done.stdout, done.stderr) == (0, b"READY\n", b"")


def test_every_event_is_answered_at_once_and_its_program_noted() -> None:
    events = [b"processname:a groupname:a from_state:BACKOFF", b"processname:b groupname:g from_"]
    events[1] += b"state:BACKOFF"
    sent = b"".join(b"ver:3.0 server:x serial:1 len:%d\n%s" % (len(e), e) for e in events)
    answers, found = io.BytesIO(), listener.Notifier("")
    found.listen(io.BytesIO(sent), answers)
    assert answers.getvalue() == b"READY\n" + 2 * b"RESULT 2\nOKREADY\n"
    assert [found.fallen.get_nowait() for _event in events] == ["a", "g:b"]


LOG = """\
2026-11-30 10:00:00,000 INFO spawned: 'a' with pid 1
2026-11-30 10:00:01,000 WARN exited: a (exit status 7; not expected)
2026-11-30 10:00:02,000 INFO spawned: 'a' with pid 2
2026-11-30 10:00:03,000 WARN exited: a (terminated by SIGKILL; not expected)
2026-11-30 10:00:04,000 INFO spawnerr: can't find command '/no'
2026-11-30 10:00:05,000 INFO gave up: b entered FATAL state, too many start retries too quickly
"""


@pytest.mark.parametrize(
    ("name", "sentence"),
    [
        ("a", "a is FATAL, ended by a signal\n  last lines of {folder}/a.log:\n    2026-11-30 10"),
        ("b", "b is FATAL, can't find command '/no'"),
        ("c", "c is FATAL"),
    ],
)
def test_a_program_that_failed_is_described_from_files(
    tmp_path: Path, name: str, sentence: str
) -> None:
    (tmp_path / "d.log").write_text(LOG)
    lines = ["2026-11-30 10:00:01 of an earlier start", "2026-11-30 10:00:02 of the last"]
    (tmp_path / "a.log").write_text("\n".join(lines))
    conf = tmp_path / "s.conf"
    conf.write_text(
        f"[supervisord]\nlogfile={tmp_path}/d.log\n[supervisorctl]\nserverurl=unix:///s\n"
        f"[program:a]\nstdout_logfile={tmp_path}/a.log\n; release: r1\n"
    )
    told = listener.notice([name], str(conf))
    expected = {"event": "program_fatal", "release": "r1", "programs": [name]}
    assert {key: told[key] for key in expected} == expected
    head, _newline, rest = told["message"].partition("\n")
    assert head == f"supervisord has given up on {name}."
    assert rest.startswith(sentence.format(folder=tmp_path))
    assert "earlier" not in rest


def test_without_the_configuration_nothing_is_quoted_but_the_command_is_called(
    tmp_path: Path,
) -> None:
    told = listener.notice(["a"], str(tmp_path / "none"))
    assert "supervisord has given up on a. Its log is not shown: cannot read" in told["message"]


@pytest.mark.parametrize(("state", "chosen"), [("RUNNING", ["web"]), ("FATAL", [NOTIFIER, "web"])])
def test_all_does_not_mean_the_notifier_unless_it_is_down(state: str, chosen: list[str]) -> None:
    programs = [{"name": NOTIFIER, "state": state}, {"name": "web", "state": "RUNNING"}]
    assert chosen_programs({"h": {"programs": programs}}, "all") == {
        "programs": {"h": chosen},
        "problem": "",
    }


# ---- A deploy that fails


class Run:
    """The callback, and a command that keeps what it reads."""

    def __init__(self, told: Path, command: list[str] | None = None) -> None:
        self.told = told
        self.warned: list[str] = []
        self.callback = notify.CallbackModule()
        self.callback._display = SimpleNamespace(warning=self.warned.append)  # type: ignore[assignment]  # which shows nothing
        self.callback.v2_playbook_on_play_start(Play("Deploy", progress_note="All is as before."))
        command = command or ["sh", "-c", f"cat >>{told}; echo >>{told}"]
        deployments = {"a": "dev", "b": "dev"}
        self.known = {"notify": {"event": "deploy_failed", "command": command,
                                 "deployments": deployments}}  # fmt: skip

    def look(self, **more: Any) -> Result:
        task = Task("Check the inventory", "jgi.jaws.validate_inventory")
        return Result("a", task, {**self.known, **more})

    def notices(self) -> list[dict[str, Any]]:
        return [*map(json.loads, self.told.read_text().splitlines())] if self.told.exists() else []


@pytest.fixture
def run(tmp_path: Path) -> Run:
    return Run(tmp_path / "told")


def test_one_failed_deploy_is_one_call_with_the_last_screen(run: Run) -> None:
    run.callback.v2_runner_on_ok(run.look())
    failed = {"msg": "release r2 failed", "failed_programs": ["web"], "id": "r2"}
    for host in ("a", "b"):
        run.callback.v2_runner_on_failed(Result(host, Task("Switch"), dict(failed)))
    run.callback.v2_playbook_on_stats(Stats(a=1, b=1))
    assert run.notices() == [
        {
            "event": "deploy_failed",
            "instances": ["a", "b"],
            "deployment": "dev",
            "release": "r2",
            "programs": ["web"],
            "message": "FAILED on a, b: Switch\n  release r2 failed\n\nAll is as before.",
        }
    ]
    assert run.warned == []


def test_a_wrong_inventory_and_a_host_that_cannot_be_reached_are_told_too(run: Run) -> None:
    run.callback.v2_runner_on_failed(run.look(msg="The inventory is wrong"))
    run.callback.v2_playbook_on_stats(Stats(a=1))
    assert "The inventory is wrong" in run.notices()[0]["message"]
    run.callback.v2_runner_on_unreachable(Result("b", Task("Ask"), {"msg": "no route"}))
    run.callback.v2_playbook_on_stats(Stats(a=1, b=1))
    assert "UNREACHABLE on b: Ask\n  no route" in run.notices()[1]["message"]


def test_what_was_rescued_and_what_no_deploy_has_asked_for_is_not_told(run: Run) -> None:
    run.callback.v2_runner_on_failed(Result("a", Task("Status"), {"msg": "unhealthy"}))
    run.callback.v2_playbook_on_stats(Stats(a=1))
    run.callback.v2_runner_on_ok(run.look())
    run.callback.v2_playbook_on_stats(Stats(a=0))
    assert run.notices() == []


@pytest.mark.parametrize(
    ("command", "sentence"),
    [
        (["sh", "-c", "exit 9"], "ended with status 9"),
        (["/no/such/command"], "cannot be run: "),
        (["sh", "-c", "sleep 999 & sleep 999"], "did not end within 1 s, and was killed"),
    ],
)
def test_a_command_that_fails_or_hangs_is_a_warning(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, command: list[str], sentence: str
) -> None:
    monkeypatch.setattr(notify, "COMMAND_SECONDS", 1)
    run = Run(tmp_path / "told", command)
    run.callback.v2_runner_on_failed(run.look(msg="The inventory is wrong"))
    run.callback.v2_playbook_on_stats(Stats(a=1))
    assert len(run.warned) == 1
    assert f"The command that reports failures (site_notify_command) {sentence}" in run.warned[0]
