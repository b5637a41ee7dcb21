# Copyright: (c) 2026, The jgi.jaws engineers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What is asked of an environment, and what identifies it."""

from __future__ import annotations

import hashlib
import json
import re
import zipfile
import zlib
from typing import Any, Dict, Sequence

from ..errors import JawsError, in_urls

Spec = Dict[str, Any]


def wheel_digest(path: str) -> str:
    """Return the SHA-256 of a wheel's members, so that the time of a build does not count.

    :raises JawsError: it is not a whole wheel (bad_wheel).
    """
    total = hashlib.sha256()
    try:
        with zipfile.ZipFile(path) as wheel:
            for name in sorted(wheel.namelist()):
                content = hashlib.sha256(wheel.read(name)).digest()
                total.update(b"%s\0%s\0" % (name.encode(), content))
    except (OSError, EOFError, RuntimeError, zipfile.BadZipFile, zlib.error) as error:
        raise JawsError(
            f"{path} is not a whole wheel: {error}. Build it again.", "bad_wheel"
        ) from error
    return total.hexdigest()


def refuse_credentials(spec: Spec) -> None:
    """Refuse user names and passwords in urls: pip and git would show them in `ps`.

    :raises JawsError: names the environment and the option (bad_option).
    """
    for option in ("requirements", "pip_arguments"):
        if any(in_urls(text) for text in spec.get(option) or []):
            raise JawsError(
                f"{spec['name']}: a url in {option} holds credentials, which every user of the "
                "host would see in `ps`. Put them into ~/.netrc there, which pip and git read.",
                reason="bad_option",
            )


def version_of(spec: Spec) -> str:
    """Return the version to show: that of the first wheel or the first pinned requirement."""
    for wheel in spec["wheels"]:
        return str(wheel["name"]).split("-")[1]
    first = " ".join(spec["requirements"][:1])
    found = re.search(r"==\s*([\w.+!]+)", first) or re.search(r"@([\w.+-]+)(?:#|\s|$)", first)
    return found.group(1) if found else "0"


def digest(spec: Spec, interpreter: Sequence[str]) -> str:
    """Return 12 hexadecimal digits of the SHA-256 of everything that determines an environment."""
    inputs = [
        sorted((wheel["name"].split("-")[0], wheel["digest"]) for wheel in spec["wheels"]),
        spec["requirements"],
        spec["constraints"],
        spec["pip_arguments"],
        list(interpreter),
    ]
    return hashlib.sha256(json.dumps(inputs, sort_keys=True).encode()).hexdigest()[:12]
