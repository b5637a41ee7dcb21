# Copyright: (c) 2026, The jgi.jaws engineers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""How uv installs what pip would install: pip's settings and arguments in uv's words.

uv does not read pip's configuration. It takes pip's place only if it knows everything that is set.
"""

from __future__ import annotations

import json
import re
from typing import Any, Callable, Dict, Mapping, NamedTuple, Sequence

from .surroundings import sources

Settings = Dict[str, str]

# By pip's name: what the value is, and uv's name for it. A "variable" is one of the environment, an
# "argument" takes a path, and "nothing" makes no difference to what is installed.
OPTIONS = {
    "cache-dir": ("nothing", ""),
    "cert": ("variable", "SSL_CERT_FILE"),
    "client-cert": ("variable", "SSL_CLIENT_CERT"),
    "constraint": ("argument", "--constraint"),
    "default-timeout": ("variable", "UV_HTTP_TIMEOUT"),
    "extra-index-url": ("list", "pip.extra-index-url"),
    "find-links": ("list", "pip.find-links"),
    "index-url": ("text", "pip.index-url"),
    "no-binary": ("list", "pip.no-binary"),
    "no-build-isolation": ("flag", "pip.no-build-isolation"),
    "no-cache-dir": ("flag", "no-cache"),
    "no-deps": ("flag", "pip.no-deps"),
    "no-index": ("flag", "pip.no-index"),
    "only-binary": ("list", "pip.only-binary"),
    "proxy": ("variable", "ALL_PROXY"),
    "pypi-url": ("text", "pip.index-url"),
    "require-hashes": ("flag", "pip.require-hashes"),
    "requirement": ("argument", "--requirement"),
    "resume-retries": ("nothing", ""),
    "retries": ("variable", "UV_HTTP_RETRIES"),
    "timeout": ("variable", "UV_HTTP_TIMEOUT"),
    "trusted-host": ("list", "allow-insecure-host"),
}
SHORT = {
    "c": "constraint",
    "f": "find-links",
    "i": "index-url",
    "no-dependencies": "no-deps",
    "r": "requirement",
}
SEVERAL = ("list", "argument")
# By default, uv takes a package from the first index that has it, and may link into its cache.
ALWAYS = {"pip.index-strategy": "unsafe-best-match", "pip.link-mode": "copy"}
OF_UV = re.compile(r"UV_(?!CACHE_DIR$).*")  # the user's own settings for uv


class Plan(NamedTuple):
    """What uv is called with: the text of its configuration, arguments, environment variables."""

    config: str
    arguments: list[str]
    environ: Settings


def plan(environ: Mapping[str, str], arguments: Sequence[str]) -> Plan | None:
    """Return how uv does what pip would do with these variables and arguments; None if it cannot.

    :raises configparser.Error: a configuration that pip could not read either.
    """
    settings = sources(environ)
    for name, text in _pairs(arguments):
        if OPTIONS.get(name, ("", ""))[0] in SEVERAL:  # pip adds these to what is configured
            text = f"{settings.get(name, '')} {text}"
        settings[name] = text
    if settings.keys() - OPTIONS.keys():
        return None
    if "require-hashes" in settings:  # then all versions are pinned, and uv refuses others
        settings.pop("constraint", None)
    given = [(*OPTIONS[name], text) for name, text in settings.items()]
    files = [(key, text.split()) for kind, key, text in given if kind == "argument"]
    variables = {key: text for kind, key, text in given if kind == "variable"}
    values = {key: READ[kind](text) for kind, key, text in given if kind in READ}
    return Plan(
        _toml({**ALWAYS, **values}),
        [word for key, paths in files for path in paths for word in (key, path)],
        {**_kept(environ), **variables, "UV_PYTHON_DOWNLOADS": "never"},
    )


def _pairs(arguments: Sequence[str]) -> list[tuple[str, str]]:
    """Return pip's arguments as names and values; what is not an option stays as it is."""
    found, words = [], list(arguments)
    while words:
        option, equals, text = words.pop(0).partition("=")
        name = option.lstrip("-") if option.startswith("-") else option
        name = SHORT.get(name, name)
        if OPTIONS.get(name, ("flag", ""))[0] == "flag":
            text = "true"
        elif not equals:
            text = words.pop(0) if words else ""
        found.append((name, text))
    return found


def _kept(environ: Mapping[str, str]) -> Settings:
    bundle = environ.get("REQUESTS_CA_BUNDLE") or environ.get("CURL_CA_BUNDLE")
    kept = {name: value for name, value in environ.items() if not OF_UV.fullmatch(name)}
    return {"SSL_CERT_FILE": bundle, **kept} if bundle else kept


READ: dict[str, Callable[[str], Any]] = {
    "list": lambda text: re.split(r"[\s,]+", text.strip()),
    "text": str.strip,
    "flag": lambda text: text.lower() in ("true", "yes", "on", "1", "y", "t"),
}


def _toml(values: Mapping[str, Any]) -> str:
    """Return the text of a configuration: TOML writes text, lists and truth values as JSON does."""
    return "".join(f"{key} = {json.dumps(values[key])}\n" for key in sorted(values))
