# SPDX-License-Identifier: GPL-3.0-or-later
"""Configuration files: every value arrives in the service as given, or is refused by its name."""

from __future__ import annotations

import configparser
import json
import os
import re
from collections import UserString
from collections.abc import Mapping
from datetime import date
from pathlib import Path
from typing import Any
from unittest import mock

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from ansible_collections.jgi.jaws.plugins.module_utils.errors import JawsError
from ansible_collections.jgi.jaws.plugins.plugin_utils.formats import (
    DOLLAR,
    HOCON_INCLUDE,
    render,
)

INI = ("ini", "ini_environment", "ini_extended")
SECRET = "hunter2-%$-very-secret"
# What people use in passwords and paths, and what parsers change.
AWKWARD = [
    "100%",
    "%(here)s",
    "%%",
    "$HOME",
    "${DB:password}",
    "${DOLLAR}",
    "$DOLLAR$",
    "${HOME${HOME}",
    "$%HOME",
    "$$",
    'say "hi"',
    "it's",
    "a # b",
    "a ; b",
    "a = b: c",
    "[DB]",
    "back\\slash",
    "Grüße, 世界 🎉",
    "first\nsecond",
    "first\n\n[DB]\npassword = x",
    "@log@",
    "{{ 7 * 7 }}",
    "None",
    "a\u2028b\x85c",
]
# The parsers of the services lose a part of these, so they are refused with a message.
LOST = [" leading", "trailing ", "\n", "a\n# b", "a\n; b", "a\n  b", "a\rb", "\u00a0x"]

texts = st.text(st.characters(exclude_categories=["Cs"]))
# Of the parts of a reference to a variable.
dollars = st.text(st.sampled_from("$${}%()sA_1 \n"))
each_ini = pytest.mark.parametrize("form", INI)


class Expanding(configparser.BasicInterpolation):
    """Replaces variables, of which every one is set that a value names."""

    def before_get(self, *arguments: Any) -> str:
        value = super().before_get(*arguments)
        words = re.findall(r"\w+", value, re.ASCII) + re.findall(r"\{([^}=\0]*)", value)
        variables = {**dict.fromkeys(filter(None, words), "another value"), **DOLLAR}
        with mock.patch.dict(os.environ, variables, clear=True):
            return os.path.expandvars(value)


def parser(form: str) -> configparser.ConfigParser:
    """Return the parser of jaws-site and jaws-central, that of series 3, or that of jtm."""
    kinds: dict[str, type[configparser.Interpolation]] = {
        "ini": configparser.BasicInterpolation,
        "ini_environment": Expanding,
        "ini_extended": configparser.ExtendedInterpolation,
    }
    return configparser.ConfigParser(interpolation=kinds[form]())


def read_back(form: str, text: str, folder: Path) -> dict[str, dict[str, str]]:
    """Return what a service reads from the file."""
    path = folder / "a.conf"
    path.write_bytes(text.encode())
    found = parser(form)
    with path.open(encoding="utf-8") as stream:
        found.read_file(stream)
    return {name: dict(found[name]) for name in found.sections()}


@pytest.mark.fault(12)
@each_ini
@pytest.mark.parametrize("value", AWKWARD)
def test_an_awkward_value_arrives_in_a_python_service(
    form: str, value: str, tmp_path: Path
) -> None:
    data = {"DB": {"password": value, "user": "jaws"}, "HTTP": {"port": "1"}}
    assert read_back(form, render("a.conf", form, data), tmp_path) == data


@pytest.mark.fault(12)
@each_ini
@pytest.mark.parametrize("value", LOST)
def test_a_value_that_would_not_arrive_is_refused_by_its_name(form: str, value: str) -> None:
    with pytest.raises(JawsError, match=r"^jaws-site\.conf: \[DB\] password would not arrive"):
        render("jaws-site.conf", form, {"DB": {"password": value}})


@pytest.mark.fault(12)
@pytest.mark.parametrize("form", INI)
@given(key=texts, value=texts | dollars)
@example(key="password", value=" ")
@example(key="a=b", value="c")
@example(key="a", value="\r")
def test_any_key_and_value_arrives_or_is_refused(
    form: str, key: str, value: str, tmp_path_factory: pytest.TempPathFactory
) -> None:
    data = {"DB": {key: value}, "HTTP": {"port": "1"}}
    try:
        text = render("a.conf", form, data)
    except JawsError:
        return
    found = read_back(form, text, tmp_path_factory.getbasetemp())
    # The parsers of the services ignore the case of keys.
    assert found == {"DB": {key.lower(): value}, "HTTP": {"port": "1"}}


@pytest.mark.parametrize("form", INI)
@given(section=texts)
def test_any_section_arrives_or_is_refused(
    form: str, section: str, tmp_path_factory: pytest.TempPathFactory
) -> None:
    try:
        text = render("a.conf", form, {section: {"a": "b"}})
    except JawsError:
        return
    found = read_back(form, text, tmp_path_factory.getbasetemp())
    assert found == ({} if section == "DEFAULT" else {section: {"a": "b"}})


@given(st.text(st.characters(codec="ascii", categories=["L", "N", "P", "S"]), min_size=1))
def test_a_password_that_people_can_type_arrives_in_every_python_service(password: str) -> None:
    for form in INI:
        found = parser(form)
        found.read_string(render("a.conf", form, {"DB": {"password": f"x{password}"}}))
        assert found.get("DB", "password") == f"x{password}"


@each_ini
@pytest.mark.parametrize("data", [{"": {}}, {"a\nb": {}}, {"A": {"key": 1, "KEY": 2}}])
def test_what_the_parser_would_mix_up_is_refused(form: str, data: dict[str, Any]) -> None:
    with pytest.raises(JawsError, match=r"^a\.conf: the service's parser cannot read it"):
        render("a.conf", form, data)


def test_a_refusal_never_shows_the_value() -> None:
    for data in ({"DB": {"x": f" {SECRET}"}}, {"DB]": {"x\n": SECRET}}, {"DB": {"x": [SECRET]}}):
        with pytest.raises(JawsError) as told:
            render("a.conf", "ini", data)
        assert SECRET not in str(told.value)
        assert told.value.__cause__ is None


def test_only_a_dollar_sign_that_would_begin_a_name_is_written_differently() -> None:
    text = render("a.conf", "ini_environment", {"A": {"x": "$5 costs $ and $$, 100%$", "y": "a$"}})
    assert text == "[A]\nx = ${DOLLAR}5 costs $ and $$, 100%%$\ny = a$\n"


def test_numbers_and_booleans_are_written_as_the_services_write_them() -> None:
    text = render("a.conf", "ini", {"A": {"port": 3306, "on": True, "rate": 0.5}})
    assert text == "[A]\nport = 3306\non = true\nrate = 0.5\n"


def test_null_drops_a_key_and_a_section() -> None:
    assert render("a.conf", "ini", {"A": {"x": None, "y": 1}, "B": None}) == "[A]\ny = 1\n"


@pytest.mark.parametrize("value", [["a"], {"a": "b"}, date(2026, 1, 31)])
def test_an_ini_file_takes_one_value_for_a_key(value: Any) -> None:
    with pytest.raises(JawsError, match=r"\[A\] x must be text, a number, true or false"):
        render("a.conf", "ini", {"A": {"x": value}})


def test_a_section_that_is_not_a_mapping_is_refused_by_its_name() -> None:
    with pytest.raises(JawsError, match=r"\[A\] must be a mapping"):
        render("a.conf", "ini", {"A": "x"})


def test_an_unknown_format_is_refused_with_those_that_there_are() -> None:
    with pytest.raises(JawsError, match=r"format toml\. The formats are hocon, ini, ini_e"):
        render("a.conf", "toml", {})


# ---- HOCON: the file is an include, then the members of one JSON object, which every HOCON parser
# reads in the same way. The stand-in for Cromwell requires that, as the real Cromwell does.


def read_hocon(text: str) -> Any:
    assert text.startswith(HOCON_INCLUDE)
    return json.loads("{" + text[len(HOCON_INCLUDE) :] + "}")


@pytest.mark.parametrize("value", AWKWARD + LOST)
def test_an_awkward_value_arrives_in_cromwell(value: str) -> None:
    data = {"database": {"db": {"password": value}}}
    assert read_hocon(render("cromwell.conf", "hocon", data)) == data


json_values = st.recursive(
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats(allow_nan=False, allow_infinity=False)
    | texts,
    lambda inner: st.lists(inner) | st.dictionaries(texts, inner),
    max_leaves=10,
)


def as_hocon_compares(data: Any) -> Any:
    """Return the data with its numbers as text: for HOCON, 1 and "1" are the same value."""
    if isinstance(data, dict):
        return {key: as_hocon_compares(value) for key, value in data.items()}
    if isinstance(data, list):
        return [as_hocon_compares(value) for value in data]
    return str(data) if type(data) in (int, float) else data


@given(st.dictionaries(texts, json_values))
def test_any_data_arrives_in_cromwell(data: dict[str, Any]) -> None:
    found = read_hocon(render("cromwell.conf", "hocon", data))
    assert as_hocon_compares(found) == as_hocon_compares(data)


@given(st.integers() | st.floats(allow_nan=False, allow_infinity=False))
@example(50101)
@example(0)
@example(-0.0)
@example(1e16)
def test_a_number_and_its_text_make_the_same_file(number: float) -> None:
    # Before ansible-core 2.19, templates turn numbers into text: that must not restart Cromwell.
    one, other = (
        render("cromwell.conf", "hocon", {"a": {"b": [value]}}) for value in (number, str(number))
    )
    assert one == other
    assert read_hocon(one) == {"a": {"b": [number]}}


@pytest.mark.parametrize("text", ["1.50", "007", "+1", "1e5", "0x10", "1_000", "NaN", "true", ""])
def test_a_text_that_no_number_is_written_as_stays_text(text: str) -> None:
    assert read_hocon(render("cromwell.conf", "hocon", {"a": text})) == {"a": text}


@pytest.mark.parametrize("form", ["hocon", *INI])
def test_an_encrypted_value_is_written_like_its_text(form: str) -> None:
    # Before ansible-core 2.19, it is an object like this one.
    secrets = [render("a.conf", form, {"A": {"x": kind(SECRET)}}) for kind in (str, UserString)]
    assert secrets[0] == secrets[1]


def test_the_root_has_no_braces_after_the_include_line() -> None:
    text = render("cromwell.conf", "hocon", {"webservice": {"port": 50101}, "docker": {}})
    lines = text.splitlines()
    assert lines[0] == 'include required(classpath("application"))'
    assert lines[1] == '"webservice": {'
    assert lines[-1] == '"docker": {}'


def test_what_belongs_to_cromwell_is_quoted_so_that_hocon_does_not_fill_it_in() -> None:
    text = render("cromwell.conf", "hocon", {"submit": "jtm submit -t ${time}"})
    assert text.splitlines()[1] == '"submit": "jtm submit -t ${time}"'


@pytest.mark.parametrize("value", [float("nan"), float("inf"), object()])
def test_what_json_cannot_hold_is_refused(value: Any) -> None:
    with pytest.raises(JawsError, match=r"^cromwell\.conf: every value must be"):
        render("cromwell.conf", "hocon", {"a": {"b": value}})


def test_the_file_is_ascii_so_that_no_encoding_matters() -> None:
    assert render("cromwell.conf", "hocon", {"a": "Grüße 🎉"}).isascii()


@given(value=st.text(st.sampled_from("a$ {}%:x"), min_size=1).map(str.strip).filter(bool))
def test_a_value_arrives_in_the_section_that_jtm_reads_without_interpolation(value: str) -> None:
    data = {"JTM_RPC_SERVER": {"password": value}, "RMQ": {"password": value}}
    parser = configparser.ConfigParser(interpolation=configparser.ExtendedInterpolation())
    parser.read_string(render("jaws-jtm.conf", "ini_extended", data))
    sections: Mapping[str, Mapping[str, str]] = parser._sections  # type: ignore[attr-defined]
    assert sections["JTM_RPC_SERVER"]["password"] == parser["RMQ"]["password"] == value
