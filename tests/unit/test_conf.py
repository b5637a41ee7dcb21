# SPDX-License-Identifier: GPL-3.0-or-later
"""supervisord.conf as text: written so that Supervisor reads it back, split, redacted."""

from __future__ import annotations

import io
from typing import Any

import pytest
from hypothesis import HealthCheck, assume, example, given, settings
from hypothesis import strategies as st
from supervisor.options import UnhosedConfigParser

from ansible_collections.jgi.jaws.plugins.module_utils.errors import JawsError
from ansible_collections.jgi.jaws.plugins.module_utils.supervisor import conf

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
@example("%(here) and %(home)s and %d")
@example("%%(here)s")
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
    assume(not conf.EXPANDED.search(value.replace("%", "%%")))
    assert parsed(text).saneget("supervisord", "identifier") == value


def test_what_supervisor_expands_is_left_to_it() -> None:
    value = "100% of %(here)s/%(ENV_HOME)s%(process_num)02d-%(ENV)s"
    text = conf.section("program:a", {"command": value})
    expansions = {"here": "/h", "ENV_HOME": "/home/me", "process_num": 3}
    found = parsed(text).saneget("program:a", "command", expansions=expansions)
    assert found == "100% of /h//home/me03-%(ENV)s"


@pytest.mark.parametrize("value", ["a ;b", "a\n[program:x]", " a", "a ", "#a", "a\tb\t#c"])
def test_a_value_that_cannot_be_read_back_is_refused(value: str) -> None:
    with pytest.raises(JawsError):
        conf.section("supervisord", {"identifier": value})


@pytest.mark.parametrize(
    ("name", "option", "value", "told"),
    [
        ("include", "files", ["conf.d/*.conf"], "write it as one text"),
        ("group:g", "programs", ("a", "b"), "write it as one text"),
        ("program:a", "environment", {"A": "b"}, "write it as one text"),
        (
            "unix_http_server",
            "chmod",
            0o770,
            "in quotes, as '0770'; without them, YAML has made 504",
        ),
        ("supervisord", "umask", 0o27, "made 23 of it"),
        ("fcgi-program:a", "socket_mode", True, "in quotes"),
    ],
)
def test_what_yaml_has_made_of_a_value_is_not_written_as_another_one(
    name: str, option: str, value: Any, told: str
) -> None:
    with pytest.raises(JawsError, match=rf"\[{name}\] {option}: ") as caught:
        conf.section(name, {option: value})
    assert told in str(caught.value)


@pytest.mark.parametrize("name", ["a]\n[program:x", "", " a", "a]", "#a"])
def test_a_name_cannot_bring_another_section(name: str) -> None:
    with pytest.raises(JawsError):
        conf.section(name, {"a": "b"})
    with pytest.raises(JawsError):
        conf.section("supervisord", {name: "b"})


def test_an_option_without_a_value_is_left_out() -> None:
    text = conf.section("supervisord", {"user": "", "umask": None, "minfds": 0, "strip_ansi": True})
    assert text == "[supervisord]\nminfds=0\nstrip_ansi=true\n"


def test_every_section_that_supervisor_knows_may_be_given() -> None:
    given: conf.Sections = {
        "unix_http_server:b": {"file": "/b"},
        "supervisord": {"nodaemon": True, "silent": True},
        "rpcinterface:x": {"supervisor.rpcinterface_factory": "a:b", "any": "thing"},
        "ctlplugin:x": {"supervisor.ctl_factory": "a:b"},
        "program:a": {"command": "a", "numprocs": 2, "process_name": "%(process_num)d"},
        "group:g": {"programs": "a"},
        "eventlistener:mail": {"command": "mail", "events": "PROCESS_STATE"},
        "fcgi-program:f": {"command": "f", "socket": "tcp://localhost:9002"},
        "include": {"files": "*.ini"},
    }
    found = sections(conf.daemon_sections(given, "jaws", KEY))
    assert set(found) == set(given)
    assert found["program:a"]["process_name"] == "%(process_num)d"
    assert found["unix_http_server:b"]["password"] == KEY


def test_an_include_may_be_left_out() -> None:
    assert "include" not in conf.daemon_sections({"include": {}}, "jaws", KEY)


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
        ("supervisord", {"command": "x"}, "command"),
        ("unix_http_server", {"password": "mine"}, "password"),
        ("supervisrod", {}, "supervisrod"),
        ("include", {"file": "*.conf"}, "include"),
        ("program:x", {"autorestrat": "true"}, "autorestrat"),
        ("program", {"command": "x"}, "program"),
        ("eventlistener:x", {"socket": "x"}, "socket"),
        ("inet_http_server:b", {"port": "*:9001"}, "*:9001"),
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
    assert found == conf.ConfText(daemon, programs)
    assert found.text == daemon + programs
    assert found.release == "20260101-abc"


def test_a_section_of_the_daemon_that_was_added_at_the_end_is_not_part_of_the_release() -> None:
    ours = conf.BANNER + "[supervisord]\n" + conf.DIVIDER + "[program:a]\ncommand=a\n"
    found = conf.split(ours + "[inet_http_server]\nport=*:9001\n[program:b]\ncommand=b\n")
    assert "inet_http_server" in found.daemon
    assert found.programs == conf.DIVIDER + "[program:a]\ncommand=a\n[program:b]\ncommand=b\n"


def test_programs_that_were_written_with_the_daemons_sections_stay_there() -> None:
    daemon = conf.BANNER + "[supervisord]\n[eventlistener:mail]\ncommand=mail\n"
    programs = conf.DIVIDER + "[program:a]\ncommand=a\n"
    assert conf.split(daemon + programs) == (daemon, programs)


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
