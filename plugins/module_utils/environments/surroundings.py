# Copyright: (c) 2026, The jgi.jaws engineers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What a build uses of the user's environment and of pip's configuration.

Where packages come from is up to the user: indexes, proxies, certificates. Where they are
installed is up to us.
"""

from __future__ import annotations

import configparser
import os
import re
from typing import Dict, Mapping

Variables = Dict[str, str]

# pip's options for where packages come from and which files to take. It has twice as many others.
SOURCES = {
    "all-releases",
    "build-constraint",
    "cache-dir",
    "cert",
    "client-cert",
    "config-settings",
    "constraint",
    "default-timeout",
    "extra-index-url",
    "find-links",
    "global-option",
    "index-url",
    "keyring-provider",
    "no-binary",
    "no-build-isolation",
    "no-cache-dir",
    "no-index",
    "no-use-pep517",
    "only-binary",
    "only-final",
    "pre",
    "prefer-binary",
    "proxy",
    "pypi-url",
    "resume-retries",
    "retries",
    "timeout",
    "trusted-host",
    "uploaded-prior-to",
    "use-deprecated",
    "use-feature",
    "use-pep517",
}
# The variables that Python, or what runs in an environment, would use.
OF_PYTHON = re.compile(r"PYTHON.*|VIRTUAL_ENV(_PROMPT)?|__PYVENV_LAUNCHER__")
OF_PIP = re.compile(r"_?PIP_.*")
# What is kept if environment modules are loaded again: who, where, and how to reach indexes.
KEPT = re.compile(
    r"HOME|USER|LOGNAME|SHELL|TERM|TZ|LANG|LANGUAGE|TMPDIR|NETRC|KRB5CCNAME"
    r"|DBUS_SESSION_BUS_ADDRESS|REQUESTS_CA_BUNDLE|CURL_CA_BUNDLE"
    r"|(LC|PIP|UV|XDG|SSH|SSL|GIT)_.*|(?i:\w+_proxy)"
)
OF_HOST = "/etc/pip.conf"
PATH = "/usr/local/bin:/usr/bin:/bin"  # a supervisord's, and so its services'


def start(environ: Mapping[str, str], loads: bool) -> Variables:
    """Return the environment variables that a build starts with.

    What the modules that are already loaded have set cannot be separated from the rest, and
    services never get it. So if there are any, or others are to be loaded, a build starts with what
    services start with.

    :param loads: whether environment modules are to be loaded.
    """
    if loads or environ.get("LOADEDMODULES"):
        kept = {name: value for name, value in environ.items() if KEPT.fullmatch(name)}
        return without_python(dict(kept, PATH=PATH))
    return without_python(environ)


def without_python(environ: Mapping[str, str]) -> Variables:
    """Return the variables except those that lead Python to another installation."""
    return {name: value for name, value in environ.items() if not OF_PYTHON.fullmatch(name)}


def for_pip(environ: Mapping[str, str], config: str = os.devnull) -> Variables:
    """Return the variables for a pip that reads one configuration only."""
    others = {name: value for name, value in environ.items() if not OF_PIP.fullmatch(name)}
    return dict(others, PIP_CONFIG_FILE=config)


def pip_config(environ: Mapping[str, str]) -> str:
    """Return a configuration with the user's settings for where packages come from, and no others.

    pip also reads the configuration of the host, so what is set there is set here too, to nothing.

    :raises configparser.Error: a configuration that pip could not read either.
    """
    names = sorted(set().union(*_settings(environ).values()))
    found = sources(environ)
    lines = ["[global]", *(f"{name} =" for name in names), "[install]"]
    for name in names:
        lines.append(f"{name} = {found.get(name, '')}".replace("\n", "\n    "))
    return "\n".join(lines) + "\n"


def sources(environ: Mapping[str, str]) -> Variables:
    """Return the user's settings for where packages come from, by pip's names.

    :raises configparser.Error: as C(pip_config).
    """
    found: Variables = {}
    for options in _settings(environ).values():
        found.update({name: value for name, value in options.items() if value})
    return {name: value for name, value in found.items() if name in SOURCES}


def _settings(environ: Mapping[str, str]) -> dict[str, Variables]:
    """Return the settings by section, in pip's order: each section overrides those before it."""
    found: dict[str, Variables] = {"global": {}, "install": {}, ":env:": {}}
    for path in _files(environ):
        parser = configparser.RawConfigParser()
        parser.read(path, encoding="utf-8")
        for section in ("global", "install"):
            if parser.has_section(section):
                found[section].update((_name(key), text) for key, text in parser.items(section))
    for variable, text in environ.items():
        if variable.startswith("PIP_"):
            found[":env:"][_name(variable[len("PIP_") :])] = text
    return found


def _name(text: str) -> str:
    name = text.lower().replace("_", "-")
    return name[2:] if name.startswith("--") else name


def _files(environ: Mapping[str, str]) -> list[str]:
    """Return the paths of pip's configurations, in its order, except an environment's own."""
    chosen = environ.get("PIP_CONFIG_FILE", "")
    if chosen == os.devnull:
        return []
    home = environ.get("HOME") or os.path.expanduser("~")
    users = environ.get("XDG_CONFIG_HOME") or f"{home}/.config"
    shared = (environ.get("XDG_CONFIG_DIRS") or "/etc/xdg").split(":")
    files = [*(f"{folder}/pip/pip.conf" for folder in shared), OF_HOST]
    if not os.path.exists(chosen):
        files += [f"{home}/.pip/pip.conf", f"{users}/pip/pip.conf"]
    return [*files, chosen] if chosen else files
