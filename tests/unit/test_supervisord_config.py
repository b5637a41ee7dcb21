# SPDX-License-Identifier: GPL-3.0-or-later
"""What supervisord_config decides without a daemon: the key, what needs a reload, modes, groups."""

from __future__ import annotations

import re

import pytest

from ansible_collections.jgi.jaws.plugins.module_utils.errors import JawsError
from ansible_collections.jgi.jaws.plugins.module_utils.supervisor import conf
from ansible_collections.jgi.jaws.plugins.module_utils.supervisor.conf import ConfText
from ansible_collections.jgi.jaws.plugins.module_utils.supervisord_config import (
    in_force,
    known_key,
    secret_mode,
)

KEY = "A-Za-z0-9_" + "x" * 20
SECTIONS: dict[str, dict[str, str]] = {
    "unix_http_server": {"file": "/s"},
    "supervisord": {"minfds": "1024"},
    "supervisorctl": {"serverurl": "unix:///s", "prompt": "a"},
}


def ours(key: str = KEY, sections: conf.Sections = SECTIONS) -> ConfText:
    return ConfText(conf.daemon_sections(sections, "jaws", key), "")


# --- the key ----------------------------------------------------------------------------------


def test_a_key_that_was_generated_here_is_kept() -> None:
    assert known_key(ours()) == KEY


@pytest.mark.parametrize("key", ["x" * 21, "with a blank in it, but long", "", "x" * 30 + "%%"])
def test_a_key_of_less_than_128_bits_or_with_other_characters_is_not_kept(key: str) -> None:
    assert known_key(ConfText(ours().daemon.replace(KEY, key), "")) is None


def test_a_key_that_people_chose_is_not_kept_however_long_it_is() -> None:
    assert known_key(ConfText(ours().daemon.replace(conf.BANNER, ""), "")) is None
    assert known_key(ConfText("", "")) is None


# --- what needs a reload ----------------------------------------------------------------------


@pytest.mark.parametrize(
    ("section", "option", "value"),
    [
        ("unix_http_server", "file", "/other"),
        ("supervisord", "minfds", "2048"),
        ("supervisord", "loglevel", "debug"),
    ],
)
def test_what_the_daemon_reads_needs_a_reload(section: str, option: str, value: str) -> None:
    changed = {**SECTIONS, section: {**SECTIONS[section], option: value}}
    assert in_force(ours()) != in_force(ours(sections=changed))


def test_a_new_key_needs_a_reload() -> None:
    assert in_force(ours()) != in_force(ours("y" * 30))


def test_what_people_read_needs_none() -> None:
    changed = {**SECTIONS, "supervisorctl": {"serverurl": "unix:///s", "prompt": "b"}}
    assert in_force(ours()) == in_force(ours(sections=dict(reversed(changed.items()))))
    without_comments = re.sub("(?m)^;.*$", "; another text", ours().daemon)
    assert in_force(ours()) == in_force(ConfText(without_comments, "[program:a]"))


@pytest.mark.parametrize("text", ["nonsense", "[supervisord", "a=b"])
def test_what_cannot_be_read_is_in_force_nowhere(text: str) -> None:
    assert in_force(ConfText(text, "")) is None


# --- the mode ---------------------------------------------------------------------------------


@pytest.mark.parametrize("text", ["0644", "0660", "0650", "0740", "2640", "0641"])
def test_a_secrets_mode_lets_the_group_read_at_most(text: str) -> None:
    assert secret_mode("0640") == 0o640
    with pytest.raises(JawsError, match="the key"):
        secret_mode(text)
