# SPDX-License-Identifier: GPL-3.0-or-later
"""Fetch community.general.supervisorctl, which tests compare with our module.

    python peer.py FILE

It is one file of the package that peer.txt names with its hash. Nothing of the package is installed
or run.
"""

import argparse
import os
import sys
import tempfile
import zipfile
from pathlib import Path

# The script next to this one; it hides the standard library's venv here.
from venv import SetUpError, one_at_a_time, run

PINNED = Path(__file__).resolve().parent / "peer.txt"
MODULE = "ansible_collections/community/general/plugins/modules/supervisorctl.py"


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("file", type=Path)
    file = parser.parse_args().file
    try:
        with one_at_a_time(file.parent):
            if not file.exists() or file.stat().st_mtime < PINNED.stat().st_mtime:
                fetch(file)
    except (SetUpError, OSError) as error:
        sys.exit(f"{file}: {error}")


def fetch(file):
    file.parent.mkdir(exist_ok=True)
    print(f"Fetching {file.name} of community.general", flush=True)
    with tempfile.TemporaryDirectory(dir=file.parent) as folder:
        wanted = ("--no-deps", "--require-hashes", "--requirement", PINNED)
        run(sys.executable, "-m", "pip", "download", "--quiet", "--dest", folder, *wanted)
        (wheel,) = Path(folder).glob("*.whl")
        with zipfile.ZipFile(wheel) as content:
            part = Path(folder) / "part"
            part.write_bytes(content.read(MODULE))
        os.replace(part, file)


if __name__ == "__main__":
    main()
