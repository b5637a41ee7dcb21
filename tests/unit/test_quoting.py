# SPDX-License-Identifier: GPL-3.0-or-later
"""What is quoted: without secrets, however they are written, and what a terminal obeys is shown."""

from __future__ import annotations

import base64
import html
import json
import shlex
import signal
import subprocess
import unicodedata
from collections.abc import Callable, Iterator
from pathlib import Path
from urllib.parse import quote, quote_plus

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from ansible_collections.jgi.jaws.plugins.module_utils import errors
from ansible_collections.jgi.jaws.plugins.module_utils.errors import (
    HIDDEN,
    JawsError,
    in_urls,
    keep_named_secrets,
    keep_secret,
    quoted,
    withhold,
)
from ansible_collections.jgi.jaws.plugins.module_utils.releases import commands, health
from ansible_collections.jgi.jaws.plugins.module_utils.supervisor import conf
from ansible_collections.jgi.jaws.plugins.module_utils.supervisor.endpoint import SupervisordConf
from ansible_collections.jgi.jaws.plugins.module_utils.system import files
from ansible_collections.jgi.jaws.plugins.module_utils.system.processes import Process
from ansible_collections.jgi.jaws.plugins.plugin_utils.formats import render
from ansible_collections.jgi.jaws.plugins.plugin_utils.release_plan import secrets_of

Form = Callable[[str], str]


def in_base64(text: str) -> str:
    return base64.b64encode(text.encode()).decode()


def in_lines(text: str) -> str:
    """Return base64 in lines, of which the first ends in the middle of the text."""
    before = "x" * (57 - min(len(text.encode()) // 2, 50))
    return base64.encodebytes(f"{before}{text}".encode()).decode().strip()


def sed(text: str) -> str:
    """Return the text as bash's set -x shows a word with a quote."""
    return "'" + text.replace("'", "'\\''") + "'"


FORMS: dict[str, Form] = {
    "plain": str,
    "shell": shlex.quote,
    "set -x": sed,
    "url": quote,
    "url, all": lambda text: quote(text, safe=""),
    "form": quote_plus,
    "lower url": lambda text: quote(text, safe="").replace("%C3", "%c3").replace("%2F", "%2f"),
    "url twice": lambda text: quote(quote(text, safe=""), safe=""),
    "json": json.dumps,
    "json, utf-8": lambda text: json.dumps(text, ensure_ascii=False),
    "json in json": lambda text: json.dumps(json.dumps(text)),
    "repr": repr,
    "repr of bytes": lambda text: repr(text.encode()),
    "ascii": ascii,
    "html": html.escape,
    "ini": lambda text: text.replace("%", "%%").replace("\n", "\n\t"),
    "extended ini": lambda text: text.replace("$", "$$").replace("\n", "\n\t"),
    "sql": lambda text: text.replace("'", "''"),
    "base64": in_base64,
    "base64 of user:secret": lambda text: in_base64(f"jaws:{text}"),
    "base64 of another user": lambda text: in_base64(f"me:{text}"),
    "base64 in lines": in_lines,
    "base64 in lines, indented": lambda text: in_lines(text).replace("\n", "\r\n    "),
    "base64 in lines, in json": lambda text: json.dumps(in_lines(text)),
    "base64 in lines, in json in json": lambda text: json.dumps(json.dumps(in_lines(text))),
    "url-safe base64": lambda text: base64.urlsafe_b64encode(f"x:{text}".encode()).decode(),
}
# Without asterisks, of which the hidden text consists, and what no program prints as it is.
characters = st.characters(exclude_categories=["Cs", "Cn", "Co"], exclude_characters="*")
texts = st.text(characters, min_size=4, max_size=24).filter(lambda text: len(text.strip()) >= 4)
awkward = st.text(st.sampled_from("ab1 %$'\"\\\n&<>+=/é世🎉:@#;{}"), min_size=4, max_size=16)
secrets = st.one_of(texts, awkward).filter(lambda text: len(text.strip()) >= 4)


@pytest.fixture(autouse=True)
def forgotten() -> Iterator[None]:
    errors.forget_secrets()
    yield
    errors.forget_secrets()


@pytest.mark.fault(37)
@pytest.mark.parametrize("form", FORMS)
@settings(max_examples=40)
@given(secrets, st.sampled_from(["", "error: ", "password=", "(", "x"]))
@example("hunter2!", "")
@example("100%", "")
@example('it\'s "100%" $HOME\\n', "password=")
@example("Grüße, 世界 🎉", "")
@example("first\nsecond line", "")
def test_no_form_of_a_secret_is_quoted(form: str, secret: str, before: str) -> None:
    errors.forget_secrets()
    keep_secret(secret)
    written = FORMS[form](secret)
    told = quoted(f"{before} {written} and more")
    assert HIDDEN in told
    assert secret not in told
    bare = written.strip("'\"")
    assert len(bare) < 4 or bare not in told
    assert told.startswith(f"{before} ") or form.startswith("base64")
    assert told.endswith("and more")


@settings(max_examples=20)
@given(st.lists(secrets, min_size=20, max_size=20), st.data())
def test_of_twenty_secrets_in_one_text_none_is_quoted(
    hidden: list[str], data: st.DataObject
) -> None:
    errors.forget_secrets()
    keep_secret(*hidden)
    forms = [FORMS[data.draw(st.sampled_from([*FORMS]))] for _secret in hidden]
    told = quoted("\n".join(form(secret) for form, secret in zip(forms, hidden, strict=True)))
    assert not [secret for secret in hidden if secret in told]


def obeyed(text: str) -> list[str]:
    """Return the characters that a terminal obeys, except new lines and tabs."""
    unseen = errors.UNSEEN
    return [one for one in text if unicodedata.category(one) in unseen and one not in "\n\t"]


@given(st.text(st.characters(exclude_characters="/@")))
def test_a_text_without_secrets_is_quoted_as_it_is_except_for_what_a_terminal_obeys(
    text: str,
) -> None:
    errors.forget_secrets()
    keep_secret("a secret that is not in it, 0123456789")
    told = quoted(text)
    plain = text.replace("\r\n", "\n")
    if not obeyed(plain):
        assert told == plain
    assert not obeyed(told)


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("\x1b]0;title\x07\x1b[31mred", r"\x1b]0;title\x07\x1b[31mred"),
        ("a\rb", r"a\rb"),
        ("a\r\nb\tc", "a\nb\tc"),
        ("\x9b2J\x7f", r"\x9b2J\x7f"),
        ("abc\u202edef\u2066", r"abc\u202edef\u2066"),
        ("a\x0bb\x85c\u2028d", r"a\x0bb\x85c\u2028d"),
        ("Grüße 世界", "Grüße 世界"),
    ],
)
def test_a_control_character_is_shown_and_not_obeyed(text: str, shown: str) -> None:
    assert quoted(text) == shown


@pytest.mark.parametrize("short", ["", "a", "12", "dev", "   x   "])
def test_a_short_secret_hides_nothing(short: str) -> None:
    keep_secret(short, None)
    text = "deployment dev of 12 None"
    assert quoted(text) == text


def test_each_line_of_a_private_key_is_hidden() -> None:
    keep_secret("-----BEGIN KEY-----\nMIIEvQIBADANBg\nabc\n-----END KEY-----\n")
    assert quoted("12:00 MIIEvQIBADANBg\n12:01 abc") == f"12:00 {HIDDEN}\n12:01 abc"


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("amqp://jaws:p@ss@host/x", f"amqp://{HIDDEN}@host/x"),
        ("https://glpat-1@host, http://host/a@b", f"https://{HIDDEN}@host, http://host/a@b"),
    ],
)
def test_who_logs_in_by_a_url_is_never_quoted(text: str, shown: str) -> None:
    assert quoted(text) == shown


def test_the_password_of_a_url_is_a_secret_elsewhere_too() -> None:
    assert in_urls("a=https://me:p%40ss@host b=ssh://git@host http://token@host") == [
        "p%40ss", "token", "p@ss",
    ]  # fmt: skip
    keep_named_secrets({"PIP_INDEX_URL": "https://me:p%40ssword@host", "API_TOKEN": "abcdef"})
    assert quoted("401 for me and p@ssword: abcdef") == f"401 for me and {HIDDEN}: {HIDDEN}"


def test_a_secret_at_the_edge_of_what_is_read_of_a_log_is_not_cut(tmp_path: Path) -> None:
    secret = "abcdefghij" * 4
    keep_secret(secret)
    log = tmp_path / "log"
    for length in range(files.TAIL_BYTES - len(secret), files.TAIL_BYTES + 2, 7):
        log.write_text("x" * 100 + " " + secret + " " + "y" * (length - 1))
        told = files.tail(str(log))
        assert told
        assert not [part for part in ("fghij", "abcde") if part in "".join(told)]


PIECES = ["y", "abc0+/", "word_", "-", "\\", "\n", " ", "a\n", "abcd\n  ", "abcd\\n", "\\r\\n",
          "'", "%25", "$", "&#x0", "a://", "http://a:", "a:b@"]  # fmt: skip


@pytest.fixture
def in_seconds() -> Iterator[None]:
    """What grows with the square of a text's length would take minutes."""

    def stop(*_event: object) -> None:
        raise TimeoutError

    before = signal.signal(signal.SIGALRM, stop)
    signal.alarm(20)
    yield
    signal.alarm(0)
    signal.signal(signal.SIGALRM, before)


@pytest.mark.usefixtures("in_seconds")
@pytest.mark.parametrize("piece", PIECES)
def test_a_log_may_have_a_line_of_any_length(piece: str) -> None:
    keep_secret(
        " " * 8 + "x", "\\" * 8, "pa ss'w\"ord$%\\&<>", "'" * 8, "%" * 8, "a\nbcdefgh\nijklmn"
    )
    line = piece * (100_000 // len(piece))
    assert in_urls(quoted(line)) == in_urls(line)


def test_what_a_health_check_prints_has_no_secret_even_at_its_edge() -> None:
    keep_secret("abcdefghij" * 4)
    code = f"printf '%s' {'abcdefghij' * 4}; printf '%0280d' 0; exit 1"
    (reason,) = health.failing({"web": {"command": ["sh", "-c", code]}}).values()
    assert "ghij" not in reason


def test_what_new_code_prints_in_a_trial_has_no_secret() -> None:
    keep_secret("hunter2-secret")
    trial = ["-c", "printf hunter2-; echo secret; exit 3"]
    command = {"word": "sh", "setup": "", "login": False, "directory": "", "files": []}
    known = {"web": {**command, "environment": "/new", "trial": trial}}
    with pytest.raises(JawsError, match=r"ended with 3: \n  \*{8}$"):
        commands.refuse_failing(known, ["web"], [])


# ---- Where secrets come from


def test_a_configuration_s_own_secrets_are_known_when_it_is_read(tmp_path: Path) -> None:
    listed = tmp_path / "secrets.json"
    listed.write_text(json.dumps(["a password"]))
    path = tmp_path / "supervisord.conf"
    path.write_text(
        "[unix_http_server]\nfile=/s\nusername=jaws\npassword=the-key%%1\n"
        "[supervisorctl]\nserverurl=unix:///s\n"
        f"; secrets: {listed}\n"
        "[program:a]\ncommand=a amqp://me:in-a-url@h\n"
        'environment=DB_PASSWORD="of the, database",MY_TOKEN=plain,LEVEL=debug\n'
    )
    SupervisordConf(str(path))
    for secret in ("the-key%1", "a password", "in-a-url", "of the, database", "plain"):
        assert quoted(f"({secret})") == f"({HIDDEN})"
    assert quoted("level debug") == "level debug"


def test_without_the_list_of_secrets_nothing_is_quoted(tmp_path: Path) -> None:
    files.keep_secrets_of(str(tmp_path / "none.json"))
    assert quoted("hush") == (
        f"(not shown, because {tmp_path}/none.json, which lists what is secret, cannot be read)"
    )
    withhold("of two reasons")
    assert "hush" not in quoted("hush")


def test_a_release_s_secrets_are_those_of_its_configurations() -> None:
    data = {
        "a.conf": {"DB": {"password": "one-1", "user": "jaws", "port": 3306}},
        "b.conf": {"url": "mysql://jaws:two-2@host/db", "salt": "x three-3 y", "tokens": ["four"]},
    }
    known = ["three-3", "elsewhere", {"deep": ["jaws"]}, 3306, None, True]
    assert secrets_of(data, known) == ["3306", "four", "jaws", "one-1", "three-3", "two-2"]


def test_a_secret_is_found_as_a_configuration_has_it() -> None:
    secret = "1%$ \"x\" 'y' \\ $$HOME Grüße"
    keep_secret(secret)
    for name in ("ini", "ini_environment", "ini_extended", "hocon"):
        text = render("a.conf", name, {"DB": {"password": secret, "user": "jaws"}})
        told = quoted(text)
        assert HIDDEN in told
        assert "Gr" not in told
        assert "jaws" in told


def test_a_shell_s_own_quoting_is_recognised() -> None:
    secret = 'a\'b "c" $d\\e!f'
    keep_secret(secret)
    traced = subprocess.run(
        ["bash", "-xc", 'true "$1"; printf "%q" "$1"', "bash", secret],
        check=True, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True,
    ).stdout  # fmt: skip
    assert quoted(traced).count(HIDDEN) == 3


def test_a_text_names_the_files_of_its_secrets() -> None:
    programs = conf.with_secrets("[program:a]\ncommand=/x/a\n", "/x/secrets-1.json")
    assert conf.secret_files(conf.marked("id", programs)) == ["/x/secrets-1.json"]
    assert conf.with_secrets("x", "") == "x"
    assert conf.differing(programs, "[program:a]\ncommand=/x/a\n") == []


def test_a_command_line_is_shown_without_secrets() -> None:
    keep_secret("open sesame")
    process = Process(1, 2, "boot", 3, 4, 5, 6, ("psql", "--password", "open sesame"))
    assert str(process) == f"pid 1 (psql --password {HIDDEN})"
