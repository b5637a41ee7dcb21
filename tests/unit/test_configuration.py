# SPDX-License-Identifier: GPL-3.0-or-later
"""What we read from a supervisord.conf without Supervisor is what its own parser reads."""

from __future__ import annotations

import os
import pwd
import sys
from collections.abc import Mapping
from pathlib import Path
from unittest import mock

import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st
from supervisor.options import ServerOptions

from ansible_collections.jgi.jaws.plugins.module_utils.errors import JawsError
from ansible_collections.jgi.jaws.plugins.module_utils.supervisor import parser
from ansible_collections.jgi.jaws.plugins.module_utils.supervisor.endpoint import SupervisordConf
from ansible_collections.jgi.jaws.plugins.module_utils.system.processes import clean_environment

ME = pwd.getpwuid(os.geteuid())
in_files = settings(
    deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture], max_examples=150
)

paths = st.tuples(
    st.sampled_from(["", "/", "~/", "%(here)s/", "%(ENV_HOME)s/", "./", "~root/", "%(ENV_NONE)s/"]),
    st.sampled_from(["s", "../s", "a%%b", "s ; a comment", "two words", "%"]),
).map("".join)
ports = st.sampled_from(["9001", "*:9001", "127.0.0.1:9001", ":9001", "LocalHost:%(ENV_PORT)s"])
users = st.sampled_from([ME.pw_name, str(ME.pw_uid), "%(ENV_USER)s", "nobody", "no-such-user"])
owners = st.sampled_from(["nobody", "%(ENV_USER)s", "0:0", "nobody:no-such-group", "1"])


def option(name: str, values: st.SearchStrategy[str]) -> st.SearchStrategy[str]:
    return st.just("") | values.map(lambda value: f"{name} = {value}\n")


unix = st.tuples(option("file", paths), option("chown", owners))
texts = st.tuples(
    st.just("") | unix.map(lambda options: "[unix_http_server]\n" + "".join(options)),
    option("port", ports).map(lambda line: line and "[inet_http_server]\n" + line),
    st.tuples(option("pidfile", paths), option("user", users)).map(
        lambda options: "[supervisord]\n" + "".join(options)
    ),
).map("".join)


def as_supervisord_reads(path: Path, environment: Mapping[str, str]) -> ServerOptions | None:
    options = ServerOptions()
    options.environ_expansions = {f"ENV_{name}": text for name, text in environment.items()}
    with mock.patch.dict(os.environ, environment, clear=True), mock.patch.object(sys, "stderr"):
        try:
            options.realize(["-c", str(path)], doc="")
        except SystemExit:
            return None
    return options


@in_files
@given(text=texts)
@example("[unix_http_server]\nfile=%(ENV_HOME)s/s\n[supervisord]\nuser=%(ENV_USER)s\npidfile=~/p\n")
@example("[inet_http_server]\nport=*:9001\n[supervisord]\n")
@example("[unix_http_server]\nfile=s\nchown=0:0\n[supervisord]\n")
def test_what_is_read_without_supervisor_is_what_its_parser_says(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, text: str
) -> None:
    path = tmp_path / "supervisord.conf"
    path.write_text(text)
    environment = {**clean_environment(), "HOME": str(tmp_path), "PORT": "9001"}
    monkeypatch.chdir(tmp_path)
    theirs = as_supervisord_reads(path, environment)
    ours = SupervisordConf(str(path), environment=environment)
    if theirs is None:
        return  # a start is refused with its message
    assert ours.server_url == (theirs.serverurl or "")
    if "pidfile" in text:
        assert ours.pid_file == theirs.pidfile
    uid = None if ours.user is None else pwd.getpwnam(ours.user).pw_uid
    assert uid == theirs.uid
    owners = {config["chown"][0] for config in theirs.server_configs if "chown" in config} - {-1}
    assert ours.trusted.named == owners | ({uid} - {None})


def test_the_parser_runs_in_the_directory_of_the_file_with_the_environment_of_the_account(
    tmp_path: Path,
) -> None:
    path = tmp_path / "supervisord.conf"
    path.write_text(
        "[unix_http_server]\nfile=s\nchown=nobody\n[supervisord]\nuser=%(ENV_USER)s\n"
        "logfile=%(ENV_LOGS)s/l\n"
        "[include]\nfiles=sub/*.ini\n"
    )
    (tmp_path / "sub").mkdir()
    (tmp_path / "sub/a.ini").write_text(
        "[program:a]\ncommand=%(here)s/a\nuser=nobody\nenvironment=NODE='%(host_node_name)s'\n"
    )
    environment = {**clean_environment(), "LOGS": str(tmp_path)}
    found = parser.resolve(str(path), sys.executable, environment)
    assert (found.logfile, found.pidfile) == (f"{tmp_path}/l", f"{tmp_path}/supervisord.pid")
    assert (found.user, found.umask, found.nodaemon) == (ME.pw_uid, 0o22, False)
    nobody = pwd.getpwnam("nobody").pw_uid
    assert [(server.path, server.uid) for server in found.servers] == [(f"{tmp_path}/s", nobody)]
    (program,) = found.programs
    assert (program.command, program.user) == (f"{tmp_path}/sub/a", nobody)
    assert program.environment == {"NODE": os.uname().nodename}


@pytest.mark.parametrize("quote", ['"', "'", ""])
def test_the_path_of_a_program_says_where_its_command_is_found(tmp_path: Path, quote: str) -> None:
    (tmp_path / "bin").mkdir()
    (tmp_path / "bin/my-web").touch(0o755)
    path = tmp_path / "supervisord.conf"
    path.write_text(
        "[supervisord]\n[program:a]\ncommand=my-web --port 1\n"
        f"environment=A=1,PATH={quote}{tmp_path}/bin:/usr/bin{quote}\n"
        "[program:b]\ncommand=my-web\n"
    )
    mine, other = parser.parse(str(path), sys.executable)
    assert (mine.executable, mine.path) == (
        f"{tmp_path}/bin/my-web",
        [f"{tmp_path}/bin", "/usr/bin"],
    )
    assert "can't find command 'my-web'" in str(other.problem)


def test_a_relative_command_is_looked_for_where_supervisord_works(tmp_path: Path) -> None:
    (tmp_path / "work").mkdir()
    for folder in (tmp_path, tmp_path / "work"):
        (folder / "run").touch(0o755)
    path = tmp_path / "supervisord.conf"
    places = {"": tmp_path, "directory=%(here)s/work\n": tmp_path / "work"}
    for option, place in places.items():
        path.write_text(f"[supervisord]\n{option}[program:a]\ncommand=./run\n")
        (program,) = parser.parse(str(path), sys.executable)
        assert program.executable == f"{place}/run"


def test_what_a_plugin_prints_and_what_lies_beside_the_file_does_not_matter(tmp_path: Path) -> None:
    (tmp_path / "json.py").write_text("raise SystemExit('the wrong json')\n")
    (tmp_path / "plugin.py").write_text("print('hello')\ndef make(*_args, **_options): ...\n")
    path = tmp_path / "supervisord.conf"
    path.write_text(
        "[supervisord]\n[rpcinterface:x]\nsupervisor.rpcinterface_factory=plugin:make\n"
    )
    environment = {**clean_environment(), "PYTHONPATH": str(tmp_path)}
    (tmp_path / "json.py").unlink()
    assert parser.resolve(str(path), sys.executable, environment).interfaces == ["x"]
    (tmp_path / "json.py").write_text("raise SystemExit('the wrong json')\n")
    path.write_text("[supervisord]\n")
    assert parser.resolve(str(path), sys.executable).programs == []


@pytest.mark.parametrize(
    "text",
    [
        "[supervisord]\nlogfile=%(ENV_NO_SUCH_THING)s/l\n",
        "[supervisord]\n[program:a]\ncommand=%(ENV_NO_SUCH_THING)s/a\n",
        "[supervisord]\n[program:a]\ncommand=a\nenvironment=A=%(ENV_NO_SUCH_THING)s\n",
    ],
)
def test_a_variable_that_is_not_set_is_named(tmp_path: Path, text: str) -> None:
    path = tmp_path / "supervisord.conf"
    path.write_text(text)
    with pytest.raises(JawsError, match=r"the environment has no NO_SUCH_THING") as caught:
        parser.parse(str(path), sys.executable)
    assert "option environment" in str(caught.value)
    assert "%%" not in str(caught.value)


def test_a_name_that_is_not_expanded_there_is_named(tmp_path: Path) -> None:
    path = tmp_path / "supervisord.conf"
    path.write_text("[supervisord]\nlogfile=/tmp/%(program_name)s\n")
    with pytest.raises(JawsError, match=r"logfile.* uses %\(program_name\)s, which Supervisor"):
        parser.parse(str(path), sys.executable)


def test_supervisor_is_found_where_the_environment_says(tmp_path: Path) -> None:
    site = tmp_path / "site"
    site.mkdir()
    real = Path(sys.modules["supervisor"].__file__ or "").parent
    (site / "supervisor").symlink_to(real)
    bare = tmp_path / "python"
    bare.write_text(f'#!/bin/sh\nexec "{sys.executable}" -S "$@"\n')
    bare.chmod(0o755)
    path = tmp_path / "supervisord.conf"
    path.write_text("[supervisord]\n")
    with pytest.raises(JawsError, match="has no Supervisor"):
        parser.parse(str(path), str(bare))
    environment = {**clean_environment(), "PYTHONPATH": str(site)}
    assert parser.resolve(str(path), str(bare), environment).programs == []
