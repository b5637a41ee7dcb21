# SPDX-License-Identifier: GPL-3.0-or-later
"""Copy the files that git has or would add, and no others, to another place.

python copy_tree.py DESTINATION [DIRECTORY TO LEAVE OUT]...
"""

from __future__ import annotations

import shutil
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]


def files(root: Path = ROOT) -> list[Path]:
    """Return the files, relative to the root: tracked or new, neither ignored nor deleted.

    Raises CalledProcessError outside of a git checkout, and RuntimeError if git lists nothing.
    """
    command = ["git", "ls-files", "-z", "--cached", "--others", "--exclude-standard"]
    listed = subprocess.run(command, cwd=root, check=True, capture_output=True, text=True).stdout
    found = sorted({Path(name) for name in listed.split("\0") if name})
    present = [name for name in found if (root / name).is_symlink() or (root / name).is_file()]
    if not present:
        raise RuntimeError(f"git lists no file in {root}: there is nothing to check")
    return present


def copy_tree(destination: Path, without: list[str]) -> None:
    """Copy them, except those in the directories to leave out; links stay links."""
    for name in files():
        if name.parts[0] in without:
            continue
        target = destination / name
        target.parent.mkdir(parents=True, exist_ok=True)
        shutil.copy2(ROOT / name, target, follow_symlinks=False)


if __name__ == "__main__":
    copy_tree(Path(sys.argv[1]), sys.argv[2:])
