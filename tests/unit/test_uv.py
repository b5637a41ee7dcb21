# SPDX-License-Identifier: GPL-3.0-or-later
"""What pip's settings and arguments are in uv's words, and when uv cannot take pip's place."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

import pytest

from ansible_collections.jgi.jaws.plugins.module_utils.environments import surroundings, uv

if sys.version_info >= (3, 11):
    import tomllib
else:
    import tomli as tomllib

ALWAYS = {"pip.index-strategy": "unsafe-best-match", "pip.link-mode": "copy"}


@pytest.fixture(autouse=True)
def host(monkeypatch: pytest.MonkeyPatch) -> None:
    """A host without a configuration of pip."""
    monkeypatch.setattr(surroundings, "OF_HOST", "/no/such/pip.conf")


def plan(*arguments: str, **environ: str) -> uv.Plan:
    found = uv.plan({"HOME": "/no/home", "XDG_CONFIG_DIRS": "/no/xdg", **environ}, arguments)
    assert found is not None
    return found


def config(text: str) -> dict[str, Any]:
    read = tomllib.loads(text)
    table = {f"pip.{key}": value for key, value in read.pop("pip").items()}
    return {**read, **table}


def test_without_settings_uv_chooses_among_all_indexes_and_links_to_nothing() -> None:
    found = plan()
    assert (config(found.config), found.arguments) == (ALWAYS, [])


def test_settings_from_files_and_variables_count_and_credentials_are_not_arguments(
    tmp_path: Path,
) -> None:
    (tmp_path / "pip.conf").write_text(
        "[global]\nindex-url = https://me:hunter2@host/simple\ntrusted-host = a b\nuser = true\n"
        "[install]\nextra-index-url =\n    https://one/simple\n    https://two/simple\n"
    )
    found = plan(
        PIP_CONFIG_FILE=str(tmp_path / "pip.conf"),
        PIP_FIND_LINKS="/wheels",
        PIP_NO_BINARY=":none:,x",
        PIP_CONSTRAINT="/c.txt",
        PIP_CERT="/ca.pem",
        PIP_PROXY="http://proxy:1",
        PIP_DEFAULT_TIMEOUT="180",
    )
    assert config(found.config) == {
        **ALWAYS,
        "allow-insecure-host": ["a", "b"],
        "pip.index-url": "https://me:hunter2@host/simple",
        "pip.extra-index-url": ["https://one/simple", "https://two/simple"],
        "pip.find-links": ["/wheels"],
        "pip.no-binary": [":none:", "x"],
    }
    assert found.arguments == ["--constraint", "/c.txt"]
    names = ("SSL_CERT_FILE", "ALL_PROXY", "UV_HTTP_TIMEOUT")
    assert [found.environ[name] for name in names] == ["/ca.pem", "http://proxy:1", "180"]


def test_arguments_override_settings_or_are_added_to_them_as_pip_does() -> None:
    arguments = ["--no-index", "--find-links=/a", "-f", "/b", "--no-deps", "-i", "https://two"]
    found = plan(*arguments, "-r", "/r.txt", PIP_FIND_LINKS="/wheels", PIP_INDEX_URL="https://one")
    assert config(found.config) == {
        **ALWAYS,
        "pip.find-links": ["/wheels", "/a", "/b"],
        "pip.index-url": "https://two",
        "pip.no-deps": True,
        "pip.no-index": True,
    }
    assert found.arguments == ["--requirement", "/r.txt"]


def test_a_flag_that_is_set_to_no_is_off() -> None:
    assert config(plan(PIP_NO_INDEX="no").config)["pip.no-index"] is False


def test_with_hashes_constraints_have_nothing_to_decide() -> None:
    found = plan("--require-hashes", "--constraint", "/c.txt", PIP_CONSTRAINT="/d.txt")
    assert found.arguments == []
    assert config(found.config)["pip.require-hashes"] is True


@pytest.mark.parametrize(
    "environ",
    [{"PIP_PREFER_BINARY": "1"}, {"PIP_UPLOADED_PRIOR_TO": "2026-01-01"}, {"PIP_PRE": "1"}],
)
def test_pip_is_used_if_a_setting_has_no_equivalent(environ: dict[str, str]) -> None:
    assert uv.plan({"PIP_CONFIG_FILE": "/dev/null", **environ}, []) is None


@pytest.mark.parametrize("argument", ["--target=/x", "--upgrade", "-e", "demo", "--pre"])
def test_pip_is_used_if_an_argument_is_not_known(argument: str) -> None:
    assert uv.plan({"PIP_CONFIG_FILE": "/dev/null"}, [argument]) is None


def test_the_user_s_settings_for_uv_and_where_to_install_have_no_effect() -> None:
    found = plan(UV_INDEX_URL="https://x", UV_CACHE_DIR="/c", PIP_USER="1", PIP_TARGET="/t")
    assert "UV_INDEX_URL" not in found.environ
    assert found.environ["UV_CACHE_DIR"] == "/c"
    assert config(found.config) == ALWAYS


@pytest.mark.parametrize("name", ["REQUESTS_CA_BUNDLE", "CURL_CA_BUNDLE"])
def test_certificates_that_pip_takes_from_the_environment_count(name: str) -> None:
    assert plan(**{name: "/ca.pem"}).environ["SSL_CERT_FILE"] == "/ca.pem"
    assert plan(**{name: "/ca.pem", "PIP_CERT": "/own.pem"}).environ["SSL_CERT_FILE"] == "/own.pem"
