# Copyright: (c) 2026, The jgi.jaws engineers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What is wrong with the environment variables of a site, above all with those of a proxy.

Pure functions on the control node.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from typing import Any

NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")
PROXIES = ("http_proxy", "https_proxy", "all_proxy")
# By these names, services and health checks ask what runs on the same machine, such as Cromwell.
HERE = ("localhost", "127.0.0.1")


def wrong_environment(variables: Mapping[str, Any]) -> list[str]:
    """Return a sentence for each invalid variable, or about a proxy that is asked for too much."""
    found = [
        f"jaws_environment: {name} cannot be {what}."
        for name, value in variables.items()
        for what in _refusals(str(name), value)
    ]
    return found or list(_proxied(variables))


def _refusals(name: str, value: Any) -> Iterator[str]:
    if not NAME.fullmatch(name):
        yield "the name of an environment variable"
    elif value is None or isinstance(value, list | Mapping):
        yield "a list or a mapping, or without a value"
    elif re.search(r"[\r\n\0]", str(value)):
        yield "a text of several lines"


def _proxied(variables: Mapping[str, Any]) -> Iterator[str]:
    """Yield a sentence if a program would ask a proxy for what runs on its own machine.

    Programs differ in which of no_proxy and NO_PROXY they read if both are given.
    """
    proxies = [name for name in variables if name.lower() in PROXIES and variables[name]]
    spared = {name: _listed(variables[name]) for name in variables if name.lower() == "no_proxy"}
    for name, hosts in (spared or {"no_proxy": []}).items() if proxies else ():
        missing = [host for host in HERE if host not in hosts and "*" not in hosts]
        if missing:
            yield (
                f"jaws_environment: with {proxies[0]}, services would ask the proxy for what runs "
                f"on their own machine, such as Cromwell. Add {' and '.join(missing)} to {name}."
            )


def _listed(value: Any) -> list[str]:
    return [part.strip() for part in str(value).split(",")]
