# SPDX-License-Identifier: GPL-3.0-or-later
"""Environment variables of a site, above all those of a proxy."""

from __future__ import annotations

from typing import Any

import pytest

from ansible_collections.jgi.jaws.plugins.plugin_utils.proxies import wrong_environment

PROXY = "http://me:secret@proxy.example.org:3128"


@pytest.mark.parametrize(
    "variables",
    [
        {},
        {"OMP_NUM_THREADS": 1, "DEBUG": True, "EMPTY": ""},
        {"no_proxy": "elsewhere"},
        {"http_proxy": "", "HTTPS_PROXY": ""},
        {"http_proxy": PROXY, "no_proxy": "example.org, localhost ,127.0.0.1"},
        {"HTTPS_PROXY": PROXY, "NO_PROXY": "*"},
    ],
)
def test_an_environment_that_leaves_the_machine_itself_alone_is_right(variables: Any) -> None:
    assert wrong_environment(variables) == []


@pytest.mark.parametrize(
    "name", ["http_proxy", "https_proxy", "all_proxy", "HTTP_PROXY", "Https_Proxy"]
)
@pytest.mark.parametrize(
    ("spared", "missing", "variable"),
    [
        ({}, "localhost and 127.0.0.1", "no_proxy"),
        ({"no_proxy": "localhost"}, "127.0.0.1", "no_proxy"),
        ({"NO_PROXY": "127.0.0.1,xlocalhost"}, "localhost", "NO_PROXY"),
        ({"NO_PROXY": "*", "no_proxy": "127.0.0.1"}, "localhost", "no_proxy"),
    ],
)
def test_a_proxy_that_would_be_asked_for_the_machine_itself_is_named_without_its_password(
    name: str, spared: Any, missing: str, variable: str
) -> None:
    assert wrong_environment({name: PROXY, **spared}) == [
        f"jaws_environment: with {name}, services would ask the proxy for what runs on their own "
        f"machine, such as Cromwell. Add {missing} to {variable}."
    ]


@pytest.mark.parametrize(
    ("variables", "why"),
    [
        ({"http-proxy": "x"}, "http-proxy cannot be the name of an environment variable."),
        ({"2X": "x"}, "2X cannot be the name of an environment variable."),
        ({"X": ["a"]}, "X cannot be a list or a mapping, or without a value."),
        ({"X": None}, "X cannot be a list or a mapping, or without a value."),
        ({"X": "a\nb"}, "X cannot be a text of several lines."),
    ],
)
def test_what_cannot_be_an_environment_variable_is_named(variables: Any, why: str) -> None:
    assert wrong_environment(variables) == [f"jaws_environment: {why}"]
