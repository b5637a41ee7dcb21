# SPDX-License-Identifier: GPL-3.0-or-later
"""Which values an inventory may give to options and facts."""

from __future__ import annotations

from typing import Any

import pytest

from ansible_collections.jgi.jaws.plugins.plugin_utils.inventory import read_spec
from ansible_collections.jgi.jaws.plugins.plugin_utils.values import misfit, specified

INT, TEXT, PATH = {"type": "int"}, {"type": "str"}, {"type": "path"}
WORDS, PATHS = {"type": "list", "elements": "str"}, {"type": "list", "elements": "path"}


@pytest.mark.parametrize(
    ("name", "option", "right", "wrong"),
    [
        ("site_port", INT, [1, 65535, "8080"], [0, -1, 65536]),
        ("jaws_window", INT, [0, 10, "5"], [-1, "-5"]),
        ("site_mode", TEXT, ["0700", "770", "2770"], [504, 770, "0o770", "u=rwx", "999", "77"]),
        ("purge_time", TEXT, ["02:00", "2:00", "23:59"], ["24:00", "2", "02:60", "2:00 PM"]),
        (
            "site_db_host",
            TEXT,
            ["db", "db.lbl.gov", "127.0.0.1", "::1", "fe80::1", ""],
            ["db:3306", "mysql://db", "me@db", "db db", "db/jaws"],
        ),
        ("site_id", TEXT, ["TAHOMA", "nmdc-2", "a_b", 7], ["TA HOMA", "a/b", "a:b", "a.b", False]),
        ("supervisord_instance", TEXT, ["jtm", "pool-manager"], ["my instance", "../x"]),
        ("deployment_name", TEXT, ["dev"], ["a/b"]),
        ("jaws_site_id", TEXT, ["TAHOMA"], ["TA HOMA"]),
        ("vault_key", TEXT, ["a", "yes", "0123"], [True, 83, 1.5, ["a"], {"a": 1}]),
        ("site_root", PATH, ["/a", "~/a", "", None], ["a", "./a", "a/b", " /a"]),
        ("site_wheels", PATH, ["dist", "../dist", "/dist"], []),
        ("site_command", WORDS, [["a", "b"], [], "a", "a,b"], ["a b", "mail -s x", "[a]"]),
        ("site_directories", PATHS, [["/a", "~/b"], []], [["/a", "b"]]),
        ("site_environment", {"type": "dict"}, [{}, {"site_port": -1}], []),
        ("site_python", TEXT, ["python3", "3", 3], [["python3"], {"a": 1}]),
        # NO for Norway, and off, without quotes.
        ("site_jaws_group", TEXT, ["off", "NO"], [False, True]),
    ],
)
def test_a_value_that_cannot_work_is_refused_and_no_other(
    name: str, option: dict[str, Any], right: list[Any], wrong: list[Any]
) -> None:
    assert {
        str(value): misfit(name, value, option) for value in right if misfit(name, value, option)
    } == {}
    assert [value for value in wrong if not misfit(name, value, option)] == []


def test_each_default_of_an_option_is_a_value_that_it_may_have() -> None:
    plain = {
        name: option
        for name, option in read_spec().known.items()
        if "default" in option and "{{" not in str(option["default"])
    }
    assert plain
    told = {name: misfit(name, option["default"], option) for name, option in plain.items()}
    assert {name: kind for name, kind in told.items() if kind} == {}


def test_a_choice_of_nothing_is_named() -> None:
    assert specified({"choices": ["", "cron"]}) == "one of nothing, cron"
