# SPDX-License-Identifier: GPL-3.0-or-later
"""Supervisor's own parser: what it finds, what it refuses, and what of that is shown."""

from __future__ import annotations

import os
import sys
from pathlib import Path

import pytest

from ansible_collections.jgi.jaws.plugins.module_utils.errors import JawsError
from ansible_collections.jgi.jaws.plugins.module_utils.supervisor import conf, parser
from ansible_collections.jgi.jaws.plugins.module_utils.system import processes

KEY = "a-key_0123456789-0123456789"
MINIMAL = "[supervisord]\nlogfile=/tmp/l\npidfile=/tmp/p\n"


def write(folder: Path, text: str) -> str:
    path = folder / "supervisord.conf"
    path.write_text(text)
    return str(path)


def test_supervisors_own_parser_says_which_programs_there_are(tmp_path: Path) -> None:
    text = MINIMAL + "[program:a]\ncommand=/bin/sleep '1 2'\nstopwaitsecs=7\nstopsignal=INT\n"
    text += "[program:b]\ncommand=sleep 1\nnumprocs=2\nprocess_name=%(program_name)s%(process_num)d"
    found = parser.validate(write(tmp_path, text), sys.executable)
    assert [(p.group, p.name, p.word) for p in found] == [
        ("a", "a", "/bin/sleep"),
        ("b", "b0", "sleep"),
        ("b", "b1", "sleep"),
    ]
    assert (found[0].stopwaitsecs, found[0].stopsignal) == (7, 2)


@pytest.mark.parametrize("command", ["/nowhere/a", "no-such-command", "/etc/passwd", "/", "'a"])
def test_a_command_that_cannot_run_is_named(tmp_path: Path, command: str) -> None:
    path = write(tmp_path, MINIMAL + f"[program:a]\ncommand={command}\n")
    assert parser.parse(path, sys.executable)[0].usable is False
    with pytest.raises(JawsError, match=r"^these.*a: ") as caught:
        parser.validate(path, sys.executable)
    assert command in str(caught.value)


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("[program:a]\ncommand=a\n", "supervisord section"),
        (MINIMAL + f"[unix_http_server]\nfile=/s\nusername=j\npassword={KEY}%\n", "password"),
        (MINIMAL + f"[unix_http_server]\nfile=/s\npassword={KEY}\n", "username"),
        (MINIMAL + f"{KEY}\n", "line 4"),
        (f"{KEY}\n", "line 1"),
        (MINIMAL + f"[program:a]\ncommand=a\nenvironment=A='{KEY}\n", "program:a"),
        (MINIMAL + f"[program:a]\ncommand=a\nenvironment=A=%({KEY})s\n", "environment"),
        (MINIMAL.replace("/tmp/l", "/nowhere/l"), "/nowhere/l"),
        (MINIMAL + "[program:my app]\ncommand=a\n", "it does not allow ' ' in the name 'my app'"),
        (MINIMAL + f"environment=A='{KEY}%%'\n", "supervisord.environment cannot be expanded: wr"),
        (MINIMAL + f"environment=A='{KEY}%%'\n", "write a percent sign as %%%%. Nothing"),
        (
            MINIMAL + "[program:a]\ncommand=a\nstdout_logfile=/%%x\n",
            "program:a.stdout_logfile cannot be expanded: write a percent sign as %%%%. Nothing",
        ),
    ],
)
def test_a_refusal_says_where_and_never_the_value(tmp_path: Path, text: str, told: str) -> None:
    path = write(tmp_path, text)
    with pytest.raises(JawsError) as caught:
        parser.parse(path, sys.executable)
    assert caught.value.reason == "broken_conf"
    assert path in str(caught.value)
    assert told in str(caught.value)
    assert KEY not in str(caught.value)


@pytest.mark.parametrize(
    ("code", "told"),
    [
        ("import no_such_module", "ModuleNotFoundError: No module named 'no_such_module'"),
        ("import os; os.write(2, b'lib.so: cannot open\\n'); os._exit(127)", "lib.so: cannot open"),
    ],
)
def test_a_supervisor_that_cannot_run_is_not_taken_for_a_broken_file(
    tmp_path: Path, code: str, told: str
) -> None:
    (tmp_path / "supervisor").mkdir()
    (tmp_path / "supervisor/__init__.py").touch()
    (tmp_path / "supervisor/options.py").write_text(code)
    environment = {**processes.clean_environment(), "PYTHONPATH": str(tmp_path)}
    with pytest.raises(JawsError) as caught:
        parser.resolve(write(tmp_path, MINIMAL), sys.executable, environment)
    assert caught.value.reason == "not_installed"
    assert f"cannot run Supervisor's parser: {told}. Nothing was changed." in str(caught.value)


def test_percent_signs_are_read_back_even_if_supervisor_expands_twice(tmp_path: Path) -> None:
    log = f"{tmp_path}/100% of %(program_name)s"
    text = MINIMAL + conf.section("supervisord", {"environment": 'A="50% of %(here)s"'})
    options = {"command": "a", "stdout_logfile": log, "environment": 'B="5%"'}
    (found,) = parser.parse(
        write(tmp_path, text + conf.section("program:a", options)), sys.executable
    )
    assert found.environment == {"A": f"50% of {tmp_path}", "B": "5%"}
    assert found.logs[0] == log.replace("%(program_name)s", "a")


def test_the_parser_sees_no_variable_of_ours(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("CI_JOB_TOKEN", "hush")
    path = write(tmp_path, MINIMAL + "[program:a]\ncommand=/bin/echo %(ENV_CI_JOB_TOKEN)s\n")
    with pytest.raises(JawsError) as caught:
        parser.parse(path, sys.executable)
    assert "hush" not in str(caught.value)


def test_a_parser_that_hangs_is_given_up(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    slow = tmp_path / "python"
    slow.write_text("#!/bin/sh\nexec sleep 1000\n")
    slow.chmod(0o755)
    monkeypatch.setattr(parser, "VALIDATE_SECONDS", 0.1)
    with pytest.raises(JawsError) as caught:
        parser.parse(write(tmp_path, MINIMAL), str(slow))
    assert caught.value.reason == "timed_out"


def test_a_user_without_a_name_has_a_home(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(os, "geteuid", lambda: 4_000_000_000)
    assert processes.clean_environment()["HOME"] == "/"
