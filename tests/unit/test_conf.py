# SPDX-License-Identifier: GPL-3.0-or-later
"""supervisord.conf as text: written so that Supervisor reads it back, split, redacted, replaced."""

from __future__ import annotations

import errno
import io
import os
import stat
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st
from supervisor.options import UnhosedConfigParser

from ansible_collections.jgi.jaws.plugins.module_utils import conf
from ansible_collections.jgi.jaws.plugins.module_utils.conf import Candidate
from ansible_collections.jgi.jaws.plugins.module_utils.errors import JawsError

KEY = "a-key_0123456789-0123456789"
in_files = settings(deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])


def parsed(text: str) -> UnhosedConfigParser:
    parser = UnhosedConfigParser()
    parser.read_file(io.StringIO(text))
    return parser


def sections(text: str) -> dict[str, dict[str, str]]:
    return {name: dict(parsed(text).items(name)) for name in parsed(text).sections()}


# --- written ----------------------------------------------------------------------------------


@pytest.mark.fault(12)
@given(st.text(st.characters(exclude_categories=["Cs"]), min_size=1))
@example("100%")
@example("%(here)s and %(ENV_HOME)s")
@example("a;b#c")
@example("a ;b")
@example(" outer")
@example("two\nlines")
@example("\x1f")
@example("'quoted' \"twice\" \\ $HOME")
def test_a_value_is_read_back_as_it_was_given_or_refused(value: str) -> None:
    try:
        text = conf.section("supervisord", {"identifier": value})
    except JawsError as error:
        assert error.reason == "bad_option"
        assert "[supervisord] identifier" in str(error)
        return
    assert parsed(text).saneget("supervisord", "identifier") == value


@pytest.mark.parametrize("value", ["a ;b", "a\n[program:x]", " a", "a ", "#a", "a\tb\t#c"])
def test_a_value_that_cannot_be_read_back_is_refused(value: str) -> None:
    with pytest.raises(JawsError):
        conf.section("supervisord", {"identifier": value})


@pytest.mark.parametrize("name", ["a]\n[program:x", "", " a", "a]", "#a"])
def test_a_name_cannot_bring_another_section(name: str) -> None:
    with pytest.raises(JawsError):
        conf.section(name, {"a": "b"})
    with pytest.raises(JawsError):
        conf.section("supervisord", {name: "b"})


def test_an_option_without_a_value_is_left_out() -> None:
    text = conf.section("supervisord", {"user": "", "umask": None, "minfds": 0, "strip_ansi": True})
    assert text == "[supervisord]\nminfds=0\nstrip_ansi=true\n"


def test_the_key_is_where_supervisor_wants_it() -> None:
    text = conf.daemon_sections(
        {
            "unix_http_server": {"file": "/s"},
            "inet_http_server": {"port": "127.0.0.1:9001"},
            "supervisord": {"minfds": 100},
            "supervisorctl": {"serverurl": "unix:///s"},
            "rpcinterface:supervisor": {"supervisor.rpcinterface_factory": "a:b"},
        },
        "jaws",
        KEY,
    )
    found = sections(text)
    secured = {name for name, options in found.items() if options.get("password") == KEY}
    assert secured == {"unix_http_server", "inet_http_server", "supervisorctl"}
    assert {name for name, options in found.items() if options.get("username")} == secured
    assert found["supervisord"] == {"minfds": "100"}


@pytest.mark.fault(28)
@pytest.mark.parametrize(
    ("name", "options", "named"),
    [
        ("supervisord", {"logfle": "/l"}, "logfle"),
        ("supervisord", {"nodaemon": "true"}, "nodaemon"),
        ("unix_http_server", {"password": "mine"}, "password"),
        ("supervisrod", {}, "supervisrod"),
        ("include", {"files": "*.conf"}, "include"),
        ("program:x", {"command": "x"}, "program:x"),
        ("inet_http_server", {"port": "0.0.0.0:9001"}, "0.0.0.0:9001"),
        ("inet_http_server", {"port": "*:9001"}, "*:9001"),
        ("inet_http_server", {"port": 9001}, "9001"),
        ("inet_http_server", {"port": "127.0.0.1:9001\n"}, "127.0.0.1"),
        ("inet_http_server", {}, "port"),
        ("supervisord", "minfds=1", "supervisord"),
    ],
)
def test_what_supervisor_would_ignore_or_open_to_all_is_refused_by_name(
    name: str, options: Any, named: str
) -> None:
    with pytest.raises(JawsError, match=r"\[") as caught:
        conf.daemon_sections({name: options}, "jaws", KEY)
    assert caught.value.reason == "bad_option"
    assert named in str(caught.value)


# --- split ------------------------------------------------------------------------------------

DAEMON = ["unix_http_server", "supervisord", "supervisorctl", "rpcinterface:supervisor", "include"]
PROGRAMS = ["program:a", "program:b", "group:jaws-dev", "eventlistener:e", "fcgi-program:f"]
bodies = st.lists(
    st.sampled_from(
        [
            "command=/bin/a b",
            "environment=A=\"x\",\n  B='[y]'",
            "files = a\n\n  b",
            "password = x",
            "programs=a,b",
            "umask=022 ; why",
            "; [program:c]",
            "; a comment",
            "",
        ]
    ),
    max_size=4,
).map("\n".join)
chunks = st.tuples(st.sampled_from(DAEMON + PROGRAMS), bodies)


def written(parts: list[tuple[str, str]], newline: str = "\n") -> str:
    return "".join(f"[{name}]\n{body}\n" for name, body in parts).replace("\n", newline)


@given(st.lists(chunks), st.sampled_from(["", "; a head\n"]), st.sampled_from(["\n", "\r\n"]))
def test_programs_and_the_rest_come_apart_however_they_were_mixed(
    parts: list[tuple[str, str]], head: str, newline: str
) -> None:
    text = head + written(parts, newline)
    found = conf.split(text)
    assert found.programs == written([part for part in parts if part[0] in PROGRAMS], newline)
    rest = [part for part in parts if part[0] not in PROGRAMS]
    assert found.daemon == head + written(rest, newline)


@given(st.lists(chunks), st.lists(chunks))
def test_what_we_wrote_is_cut_at_the_divider(
    before: list[tuple[str, str]], after: list[tuple[str, str]]
) -> None:
    daemon = conf.BANNER + written([part for part in before if part[0] not in PROGRAMS])
    programs = conf.DIVIDER + "; release: 20260101-abc\n\n"
    programs += written([part for part in after if part[0] in PROGRAMS])
    found = conf.split(daemon + programs)
    assert found == conf.Conf(daemon, programs)
    assert found.text == daemon + programs
    assert found.release == "20260101-abc"


def test_a_daemons_section_that_somebody_added_at_the_end_is_none_of_the_release() -> None:
    ours = conf.BANNER + "[supervisord]\n" + conf.DIVIDER + "[program:a]\ncommand=a\n"
    found = conf.split(ours + "[inet_http_server]\nport=*:9001\n[program:b]\ncommand=b\n")
    assert "inet_http_server" in found.daemon
    assert found.programs == conf.DIVIDER + "[program:a]\ncommand=a\n[program:b]\ncommand=b\n"


def test_sections_that_are_indented_are_sections_to_supervisor_and_to_us() -> None:
    text = "  [supervisord]\n  minfds=10\n  [program:a]\n  command=a\n"
    assert conf.split(text) == ("  [supervisord]\n  minfds=10\n", "  [program:a]\n  command=a\n")


def test_a_conf_without_a_release_has_none() -> None:
    assert conf.split("[supervisord]\n").release is None
    assert conf.split("").text == ""


# --- redacted ---------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "line",
    [
        "password=%s",
        "PASSWORD = %s",
        "  password: %s",
        ";password=%s",
        "# password = %s",
        "password=\n   %s",
        "password=x\n\n\t%s",
        "environment=A='1',DB_PASSWORD='%s'",
        "environment=A='1',\n  B='2',\n  C='%s'",
        "api_token=%s",
        "serverurl=http://jaws:%s@localhost:9001",
    ],
)
def test_a_secret_shows_in_no_diff(line: str) -> None:
    text = conf.redact("[a]\nfile=/s\n" + line % KEY + "\nlogfile=/l\n[b]\nchmod=0700\n")
    assert KEY not in text
    for kept in ("[a]\nfile=/s\n", "\nlogfile=/l\n[b]\nchmod=0700\n"):
        assert kept in text


# --- validated --------------------------------------------------------------------------------

MINIMAL = "[supervisord]\nlogfile=/tmp/l\npidfile=/tmp/p\n"


def write(folder: Path, text: str) -> str:
    path = folder / "supervisord.conf"
    path.write_text(text)
    return str(path)


def test_supervisors_own_parser_says_which_programs_there_are(tmp_path: Path) -> None:
    text = MINIMAL + "[program:a]\ncommand=/bin/sleep '1 2'\nstopwaitsecs=7\nstopsignal=INT\n"
    text += "[program:b]\ncommand=sleep 1\nnumprocs=2\nprocess_name=%(program_name)s%(process_num)d"
    found = conf.validate(write(tmp_path, text), sys.executable)
    assert [(p["group"], p["name"], p["command"]) for p in found] == [
        ("a", "a", "/bin/sleep"),
        ("b", "b0", "sleep"),
        ("b", "b1", "sleep"),
    ]
    assert (found[0]["stopwaitsecs"], found[0]["stopsignal"]) == (7, 2)


@pytest.mark.parametrize("command", ["/nowhere/a", "no-such-command", "/etc/passwd", "/", "'a"])
def test_a_command_that_cannot_run_is_named(tmp_path: Path, command: str) -> None:
    path = write(tmp_path, MINIMAL + f"[program:a]\ncommand={command}\n")
    assert conf.parse(path, sys.executable)[0]["usable"] is False
    with pytest.raises(JawsError, match=r"^these.*a: ") as caught:
        conf.validate(path, sys.executable)
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
    ],
)
def test_a_refusal_says_where_and_never_the_value(tmp_path: Path, text: str, told: str) -> None:
    path = write(tmp_path, text)
    with pytest.raises(JawsError) as caught:
        conf.parse(path, sys.executable)
    assert caught.value.reason == "broken_conf"
    assert path in str(caught.value)
    assert told in str(caught.value)
    assert KEY not in str(caught.value)


def test_the_parser_sees_no_variable_of_ours(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("CI_JOB_TOKEN", "hush")
    path = write(tmp_path, MINIMAL + "[program:a]\ncommand=/bin/echo %(ENV_CI_JOB_TOKEN)s\n")
    with pytest.raises(JawsError) as caught:
        conf.parse(path, sys.executable)
    assert "hush" not in str(caught.value)


def test_a_parser_that_hangs_is_given_up(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    slow = tmp_path / "python"
    slow.write_text("#!/bin/sh\nexec sleep 1000\n")
    slow.chmod(0o755)
    monkeypatch.setattr(conf, "VALIDATE_SECONDS", 0.1)
    with pytest.raises(JawsError) as caught:
        conf.parse(write(tmp_path, MINIMAL), str(slow))
    assert caught.value.reason == "timed_out"


def test_a_user_without_a_name_has_a_home(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(os, "geteuid", lambda: 4_000_000_000)
    assert conf.clean_environment()["HOME"] == "/"


# --- read and replaced ------------------------------------------------------------------------


def test_a_text_is_read_byte_for_byte(tmp_path: Path) -> None:
    path = tmp_path / "f"
    path.write_bytes("a\r\nb\rc\né".encode())
    assert conf.read_text(str(path)) == "a\r\nb\rc\né"
    assert conf.read_text(str(tmp_path / "none")) is None


@pytest.mark.parametrize("content", [b"\xe9", None])
def test_what_cannot_be_read_is_named(tmp_path: Path, content: bytes | None) -> None:
    path = tmp_path / "f"
    path.mkdir() if content is None else path.write_bytes(content)
    with pytest.raises(JawsError, match="/f: ") as caught:
        conf.read_text(str(path))
    assert caught.value.reason == "unreadable_conf"


@in_files
@given(st.text(st.characters(exclude_categories=["Cs"])))
def test_a_candidate_is_written_byte_for_byte(tmp_path: Path, text: str) -> None:
    with Candidate(str(tmp_path / "f"), text) as candidate:
        candidate.commit()
    assert (tmp_path / "f").read_bytes() == text.encode()


def modes(folder: Path) -> list[int]:
    return [stat.S_IMODE(path.stat().st_mode) for path in folder.iterdir()]


def test_a_candidate_is_closed_to_others_until_its_text_and_group_are_there(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    seen: list[tuple[str, list[int]]] = []
    for name in ("fchown", "fchmod"):
        real = getattr(os, name)

        def look(*arguments: Any, name: str = name, real: Any = real) -> None:
            seen.append((name, modes(tmp_path)))
            real(*arguments)

        monkeypatch.setattr(os, name, look)
    monkeypatch.setattr(os, "umask", lambda _mask: 0)
    group = next((gid for gid in os.getgroups() if gid != os.getegid()), os.getegid() + 1)
    if os.geteuid() != 0 and group not in os.getgroups():
        monkeypatch.setattr(os, "fchown", lambda *_: seen.append(("fchown", modes(tmp_path))))
    with Candidate(str(tmp_path / "f"), KEY, 0o640, group) as candidate:
        candidate.commit()
    assert seen == [("fchown", [0o600]), ("fchmod", [0o600])]
    assert modes(tmp_path) == [0o640]


def test_what_is_not_committed_leaves_nothing(tmp_path: Path) -> None:
    (tmp_path / "f").write_text("old")
    with Candidate(str(tmp_path / "f"), "new"):
        assert len(list(tmp_path.iterdir())) == 2
    assert [path.read_text() for path in tmp_path.iterdir()] == ["old"]


@pytest.mark.parametrize("call", ["fsync", "fchmod", "fchown"])
@pytest.mark.parametrize("error", [errno.ENOSPC, errno.EDQUOT, errno.EPERM])
def test_a_text_that_cannot_be_written_leaves_the_old_one(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, call: str, error: int
) -> None:
    def fail(*_arguments: Any) -> None:
        raise OSError(error, os.strerror(error))

    (tmp_path / "f").write_text("old")
    monkeypatch.setattr(os, "fchown", lambda *_: None)
    monkeypatch.setattr(os, call, fail)
    with pytest.raises(JawsError, match="untouched") as caught:
        Candidate(str(tmp_path / "f"), "new", 0o640, os.getegid() + 1)
    assert caught.value.reason == "cannot_write"
    for told in (str(tmp_path / "f"), "0640", f"gid {os.getegid() + 1}", os.strerror(error)):
        assert told in str(caught.value)
    assert [path.read_text() for path in tmp_path.iterdir()] == ["old"]


def test_a_place_that_cannot_be_written_is_named(tmp_path: Path) -> None:
    with pytest.raises(JawsError, match="No such file") as caught:
        Candidate(str(tmp_path / "none" / "f"), "new")
    assert caught.value.reason == "cannot_write"
    (tmp_path / "d" / "full").mkdir(parents=True)
    with Candidate(str(tmp_path / "d"), "new") as candidate, pytest.raises(JawsError):
        candidate.commit()
    assert [path.name for path in tmp_path.iterdir()] == ["d"]


def test_a_text_that_is_no_utf_8_is_refused(tmp_path: Path) -> None:
    with pytest.raises(JawsError, match="UTF-8"):
        Candidate(str(tmp_path / "f"), "\udce9")
    assert not list(tmp_path.iterdir())


DIE_WITH_A_CANDIDATE = f"""\
import os, sys
from {conf.__name__} import Candidate
left = Candidate(sys.argv[1], "new")
os.kill(os.getpid(), 9)
"""


def test_the_next_run_removes_what_a_killed_one_left(tmp_path: Path) -> None:
    path = str(tmp_path / "f")
    subprocess.run(
        [sys.executable, "-c", DIE_WITH_A_CANDIDATE, path],
        env=dict(os.environ, PYTHONPATH=os.pathsep.join(sys.path)),
        check=False,
    )
    assert len(list(tmp_path.iterdir())) == 1
    with Candidate(path, "new") as candidate:
        candidate.commit()
    assert [path.name for path in tmp_path.iterdir()] == ["f"]


def test_a_living_writers_candidate_is_left_alone(tmp_path: Path) -> None:
    path = str(tmp_path / "f")
    with Candidate(path, "one") as one, Candidate(path, "two") as two:
        one.commit()
        two.commit()
    assert (tmp_path / "f").read_text() == "two"


def test_a_candidate_that_is_swept_before_it_is_locked_is_written_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    real = tempfile.mkstemp

    def swept(*arguments: Any) -> tuple[int, str]:
        monkeypatch.setattr(tempfile, "mkstemp", real)
        handle, path = real(*arguments)
        os.unlink(path)
        return handle, path

    monkeypatch.setattr(tempfile, "mkstemp", swept)
    with Candidate(str(tmp_path / "f"), "new") as candidate:
        candidate.commit()
    assert (tmp_path / "f").read_text() == "new"


def test_a_neighbours_file_is_left_alone(tmp_path: Path) -> None:
    for name in (".g.abcdefgh.new", ".f.abcdefgh", "f.abcdefgh.new", ".f.new"):
        (tmp_path / name).write_text("theirs")
    Candidate(str(tmp_path / "f"), "new").discard()
    assert len(list(tmp_path.iterdir())) == 4


@pytest.mark.parametrize("error", [errno.EINVAL, errno.EACCES])
def test_a_filesystem_that_cannot_sync_a_directory_will_do(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, error: int
) -> None:
    def fail(_handle: int) -> None:
        raise OSError(error, "no")

    monkeypatch.setattr(os, "fsync", fail)
    conf.sync_folder(str(tmp_path))


def test_storage_that_fails_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(_handle: int) -> None:
        raise OSError(errno.EIO, "Input/output error")

    monkeypatch.setattr(os, "fsync", fail)
    with pytest.raises(JawsError, match="may not survive"):
        conf.sync_folder(str(tmp_path))
