# SPDX-License-Identifier: GPL-3.0-or-later
"""What a build takes over from the user's environment and from pip's configuration."""

from __future__ import annotations

import configparser
from pathlib import Path

import pytest

from ansible_collections.jgi.jaws.plugins.module_utils.environments.surroundings import (
    PATH,
    for_pip,
    pip_config,
    start,
)

MIRROR = "https://mirror.example/simple"


class User:
    """A user with files of pip, and variables."""

    def __init__(self, home: Path) -> None:
        self.home = home
        # Nothing that belongs to this machine.
        self.variables = {"HOME": str(home), "XDG_CONFIG_DIRS": str(home / "xdg")}

    def write(self, path: str, text: str) -> str:
        (self.home / path).parent.mkdir(parents=True, exist_ok=True)
        (self.home / path).write_text(text)
        return str(self.home / path)

    def config(self, **variables: str) -> dict[str, dict[str, str]]:
        """Return what pip is given to read."""
        parser = configparser.RawConfigParser()
        parser.read_string(pip_config({**self.variables, **variables}))
        return {name: dict(parser.items(name)) for name in parser.sections()}

    def settings(self, **variables: str) -> dict[str, str]:
        """Return the settings of the user that have an effect."""
        found = self.config(**variables)["install"]
        return {name: value for name, value in found.items() if value}


ABOUT_WHERE_TO = """
    user target prefix root python require-virtualenv dry-run no-deps requirement editable platform
    quiet log src report something-new
"""
ABOUT_WHERE_FROM = """
    index-url extra-index-url find-links no-index trusted-host cert client-cert proxy timeout
    default-timeout retries cache-dir no-cache-dir constraint only-binary prefer-binary
    keyring-provider use-feature
"""
FOR_PYTHON = """
    PYTHONPATH PYTHONHOME PYTHONUSERBASE PYTHONNOUSERSITE PYTHONPYCACHEPREFIX PYTHONWARNINGS
    VIRTUAL_ENV
"""


def variable(name: str) -> str:
    return "PIP_" + name.upper().replace("-", "_")


@pytest.fixture
def user(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> User:
    folder = "ansible_collections.jgi.jaws.plugins.module_utils.environments.surroundings"
    monkeypatch.setattr(f"{folder}.OF_HOST", str(tmp_path / "etc/pip.conf"))
    return User(tmp_path)


@pytest.mark.parametrize(
    "path", ["xdg/pip/pip.conf", "etc/pip.conf", ".pip/pip.conf", ".config/pip/pip.conf"]
)
@pytest.mark.parametrize("section", ["global", "install"])
def test_settings_of_where_packages_come_from_count_and_others_have_no_effect(
    user: User, path: str, section: str
) -> None:
    lines = ["user = true", "target = /elsewhere", "No_Index = yes", f"index-url = {MIRROR}"]
    user.write(
        path, f"[{section}]\n" + "\n".join([*lines, "dry-run = 1", "find-links =\n /a\n /b"])
    )
    both = "\n/a\n/b"
    assert user.settings() == {"index-url": MIRROR, "no-index": "yes", "find-links": both}
    found = user.config()
    for void in ("user", "target", "dry-run"):
        assert (found["global"][void], found["install"][void]) == ("", "")


@pytest.mark.parametrize("name", ABOUT_WHERE_TO.split())
def test_a_variable_of_pip_that_does_not_say_where_packages_come_from_has_no_effect(
    user: User, name: str
) -> None:
    assert user.settings(**{variable(name): "1", "PIP_INDEX_URL": MIRROR}) == {"index-url": MIRROR}


@pytest.mark.parametrize("name", ABOUT_WHERE_FROM.split())
def test_a_variable_that_says_where_packages_come_from_counts(user: User, name: str) -> None:
    assert user.settings(**{variable(name): "x y"}) == {name: "x y"}


def test_settings_win_over_each_other_as_in_pip(user: User) -> None:
    user.write("etc/pip.conf", "[global]\nproxy = 1\ncert = 1\nretries = 1\n[install]\ntimeout = 1")
    user.write(".pip/pip.conf", "[global]\nproxy = 2\ncert = 2\ntimeout = 2")
    user.write(".config/pip/pip.conf", "[global]\nproxy = 3")
    assert user.settings(PIP_RETRIES="4") == {
        "proxy": "3",
        "cert": "2",
        "timeout": "1",  # a command's own section wins over [global], wherever it is
        "retries": "4",
    }


def test_a_chosen_configuration_replaces_that_of_the_user(user: User) -> None:
    user.write("etc/pip.conf", "[global]\nproxy = 1")
    user.write(".config/pip/pip.conf", "[global]\ncert = 2")
    chosen = user.write("mine.conf", f"[global]\nindex-url = {MIRROR}\nuser = yes")
    assert user.settings(PIP_CONFIG_FILE=chosen) == {"proxy": "1", "index-url": MIRROR}
    assert user.settings(PIP_CONFIG_FILE="/no/such") == {"proxy": "1", "cert": "2"}
    assert user.settings(PIP_CONFIG_FILE="/dev/null") == {}
    users = user.write("conf/pip/pip.conf", "[global]\ncert = 3")
    assert user.settings(XDG_CONFIG_HOME=str(Path(users).parent.parent))["cert"] == "3"


def test_a_configuration_that_pip_could_not_read_is_named(user: User) -> None:
    path = user.write(".pip/pip.conf", "index-url = x\n")
    with pytest.raises(configparser.Error, match=path):
        user.settings()


def test_pip_is_given_one_configuration_and_no_variables() -> None:
    given = {"PIP_TARGET": "/x", "PIP_INDEX_URL": "x", "A": "b", "PIP_CONFIG_FILE": "/x"}
    assert for_pip(given) == {"A": "b", "PIP_CONFIG_FILE": "/dev/null"}
    assert for_pip(given, "/c")["PIP_CONFIG_FILE"] == "/c"


OURS = {"HOME": "/h", "PATH": "/opt/bin", "CFLAGS": "-O3", "HTTPS_PROXY": "p", "no_proxy": "n"}


@pytest.mark.parametrize("name", FOR_PYTHON.split())
def test_variables_that_redirect_python_are_left_out(name: str) -> None:
    assert start({**OURS, name: "/elsewhere"}, loads=False) == OURS


def test_variables_of_loaded_modules_do_not_reach_builds() -> None:
    loaded = {"LOADEDMODULES": "python/2.7", "_LMFILES_": "/m", "LD_LIBRARY_PATH": "/opt/lib"}
    clean = {**OURS, "PATH": PATH, "PIP_CERT": "c"}
    del clean["CFLAGS"]
    assert start({**OURS, **loaded, "PIP_CERT": "c"}, loads=False) == clean
    assert start({**OURS, "PIP_CERT": "c"}, loads=True) == clean
