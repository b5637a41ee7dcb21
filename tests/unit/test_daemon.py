# SPDX-License-Identifier: GPL-3.0-or-later
"""What the supervisord daemon's module knows without a daemon: command lines, steps, deadlines."""

from __future__ import annotations

import signal
import subprocess
from pathlib import Path

import pytest

from ansible_collections.jgi.jaws.plugins.module_utils.errors import JawsError
from ansible_collections.jgi.jaws.plugins.module_utils.supervisor.daemon import (
    Daemon,
)
from ansible_collections.jgi.jaws.plugins.module_utils.supervisor.installation import (
    config_of,
    interpreter_of,
    started_from,
)
from ansible_collections.jgi.jaws.plugins.module_utils.supervisor.running import (
    Instance,
    stop_limit,
)
from ansible_collections.jgi.jaws.plugins.module_utils.supervisord import plan
from ansible_collections.jgi.jaws.plugins.module_utils.system.processes import read_process

CONF = "/tmp/jaws-supervisord/supervisord-jaws.conf"


@pytest.mark.parametrize(
    ("line", "config"),
    [
        (f"/v/bin/python /v/bin/supervisord -c {CONF}", CONF),
        (f"/v/bin/python3.11 -I -m supervisor.supervisord -c {CONF} -m 027", CONF),
        (f"/v/bin/supervisord -c{CONF}", CONF),
        (f"python3 supervisord -n --configuration={CONF}", CONF),
        (f"python3 supervisord --configuration {CONF}", CONF),
        (f"/usr/bin/python3 /usr/bin/supervisord -nc {CONF}", CONF),
        (f"supervisord -nkc{CONF}", CONF),
        (f"supervisord --conf={CONF} -n", CONF),
        (f"supervisord -i nc --config {CONF}", CONF),
        ("supervisord --childlogdir /c -n", ""),
        (f"python3 -W ignore -X utf8 -u /usr/bin/supervisord -c {CONF}", CONF),
        (f"/opt/bin/pypy3 /usr/bin/supervisord -c {CONF}", CONF),
        ("python3 supervisord -c supervisord.conf", "supervisord.conf"),
        ("/usr/bin/supervisord", ""),
        (f"/usr/bin/vim {CONF}", None),
        (f"tail -f {CONF}", None),
        (f"/v/bin/python /v/bin/supervisorctl -c {CONF}", None),
        (f"/v/bin/python -I -m supervisor.supervisorctl -c {CONF}", None),
        (f"sudo -u jaws supervisord -c {CONF}", None),
        (f"/v/bin/python /tmp/AnsiballZ_supervisord.py -c {CONF}", None),
        ("/bin/sleep 1000", None),
        ("", None),
    ],
)
def test_only_a_supervisord_is_known_by_its_command_line(line: str, config: str | None) -> None:
    assert config_of(tuple(line.split())) == config


@pytest.mark.parametrize(
    ("state", "running", "left", "steps"),
    [
        ("started", False, False, ["start"]),
        ("started", True, False, []),
        ("stopped", False, False, []),
        ("stopped", False, True, ["clear"]),
        ("stopped", True, False, ["stop", "clear"]),
        ("started", True, True, ["tidy"]),
        ("reloaded", True, True, ["reload"]),
        ("restarted", False, False, ["start"]),
        ("restarted", True, False, ["stop", "start"]),
        ("reloaded", False, False, ["start"]),
        ("reloaded", True, False, ["reload"]),
    ],
)
def test_the_steps_from_what_is_to_what_is_wanted(
    state: str, running: bool, left: bool, steps: list[str]
) -> None:
    assert plan(state, running, left) == steps


def test_groups_stop_one_after_the_other_and_their_programs_together() -> None:
    assert stop_limit([("a", 10), ("a", 30), ("b", 5)]) == 35
    assert stop_limit([]) == 0


def test_what_is_started_while_the_rest_ends_is_cleared_too(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, sleeper: subprocess.Popen[bytes]
) -> None:
    conf = tmp_path / "supervisord.conf"
    conf.write_text(
        f"[unix_http_server]\nfile={tmp_path}/s\n[supervisorctl]\nserverurl=unix://{tmp_path}/s\n"
    )
    with subprocess.Popen(["sleep", "1000"]) as first:
        looks = iter([[read_process(first.pid)], [read_process(sleeper.pid)], []])
        monkeypatch.setattr(Instance, "daemons", lambda _self: next(looks))
        cleared = Daemon(str(conf)).clear()
    assert cleared == {"unreachable": [first.pid, sleeper.pid], "orphans": []}
    assert sleeper.wait() == first.returncode == -signal.SIGTERM


LONG = """\
#!/bin/sh
'''exec' "/a very long path/bin/python3" "$0" "$@"
' '''
"""


@pytest.mark.parametrize(
    ("head", "words"),
    [
        ("#!/v/bin/python3.11\n", ["/v/bin/python3.11"]),
        ("#! /usr/bin/python3 -s\n", ["/usr/bin/python3", "-s"]),
        ("#!/usr/bin/env python3\n", ["{path}/python3"]),
        ("#!/usr/bin/env -S python3 -I\n", ["{path}/python3", "-I"]),
        (LONG, ["/a very long path/bin/python3"]),
    ],
)
def test_a_script_says_how_its_python_is_run(tmp_path: Path, head: str, words: list[str]) -> None:
    script = tmp_path / "supervisord"
    script.write_text(head + "import x\n")
    (tmp_path / "python3").touch(0o755)
    found = interpreter_of(str(script), str(tmp_path))
    assert found == [word.format(path=tmp_path) for word in words]


@pytest.mark.parametrize(
    ("line", "python", "script"),
    [
        ("{0}/python {0}/supervisord -c /c", ["{0}/python"], "{0}/supervisord"),
        ("{0}/python -s -E {0}/supervisord -n", ["{0}/python", "-s", "-E"], "{0}/supervisord"),
        ("{0}/python -W x {0}/supervisord", ["{0}/python", "-W", "x"], "{0}/supervisord"),
        ("{0}/python -I -m supervisor.supervisord -c /c", ["{0}/python", "-I"], None),
        ("{0}/python supervisord", ["{0}/python"], None),
        ("python {0}/supervisord", [], "{0}/supervisord"),
        ("{0}/python3.gone {0}/supervisord.gone", [], None),
        ("{0}/supervisord", [], None),
        ("{0}/python", ["{0}/python"], None),
        ("", [], None),
    ],
)
def test_a_command_line_says_what_a_daemon_was_started_from(
    tmp_path: Path, line: str, python: list[str], script: str | None
) -> None:
    for name in ("python", "supervisord"):
        (tmp_path / name).touch(0o755)
    found = started_from(line.format(tmp_path).split())
    assert found[0] == [word.format(tmp_path) for word in python]
    assert found[1] == (script and script.format(tmp_path))


@pytest.mark.parametrize(
    "first", [b"#!/bin/sh", b"#!/usr/bin/env", b"#!/x 'y", b"\x7fELF\xff", b""]
)
def test_a_script_that_does_not_say_its_python_is_named(tmp_path: Path, first: bytes) -> None:
    script = tmp_path / "supervisord"
    script.write_bytes(first)
    with pytest.raises(JawsError, match="option python"):
        interpreter_of(str(script))
