# SPDX-License-Identifier: GPL-3.0-or-later
"""java [-X...] [-Dkey=value ...] -jar FILE [ARGUMENT ...], for the stand-in cromwell.jar alone."""

from __future__ import annotations

import os
import sys
import zipfile
from typing import List, Optional, Tuple

from .standin import StandInError, service


def split(argv: List[str]) -> Tuple[str, List[str], List[str]]:
    """Return the jar, the -D properties and the jar's own arguments; raise StandInError."""
    properties: List[str] = []
    for index, argument in enumerate(argv):
        if argument == "-jar" and len(argv) > index + 1:
            return argv[index + 1], properties, argv[index + 2 :]
        if argument.startswith("-D"):
            properties.append(argument)
        elif not argument.startswith("-X"):
            raise StandInError(f"this stand-in for java does not know the option {argument}")
    raise StandInError("usage: java [-X...] [-Dkey=value ...] -jar FILE [ARGUMENT ...]")


def check(jar: str) -> None:
    """Raise StandInError unless Python can run `jar`."""
    try:
        with zipfile.ZipFile(jar) as archive:
            runnable = "__main__.py" in archive.namelist()
    except (OSError, zipfile.BadZipFile) as error:
        raise StandInError(f"the jar {jar} cannot be read: {error}") from None
    if not runnable:
        raise StandInError(f"{jar} is a real jar, but this java is a stand-in: use a real java")


def execute(argv: List[str]) -> int:
    """Become the jar's process, so that its pid and its signals stay the same."""
    jar, properties, arguments = split(argv)
    check(jar)
    os.execv(sys.executable, [sys.executable, jar, *properties, *arguments])


def main(argv: Optional[List[str]] = None) -> int:
    """Console script java."""
    given = sys.argv[1:] if argv is None else argv
    return service.run(lambda: execute(given))
