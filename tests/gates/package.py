# SPDX-License-Identifier: GPL-3.0-or-later
"""Check an installed collection against its sources: it has every file, no other, and imports work.

python package.py SOURCES INSTALLED
"""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

from copy_tree import files

NEEDED = ("meta", "playbooks", "plugins", "roles")
# What users have of a package: they read these, or the playbooks of the local site use them.
USEFUL = (*NEEDED, "changelogs", "docs", "examples", "inventories", "LICENSE")
SHOWN = 30
GENERATED = {Path("MANIFEST.json"), Path("FILES.json")}


def main() -> None:
    sources, installed = Path(sys.argv[1]), Path(sys.argv[2])
    faults = [*differences(files(sources), installed), *import_faults(installed)]
    if faults:
        more = [f"and {len(faults) - SHOWN} more"] if len(faults) > SHOWN else []
        sys.exit("\n".join(faults[:SHOWN] + more))


def differences(known: list[Path], installed: Path) -> list[str]:
    """Return what is missing in the package, and what the package has but git does not."""
    found = {path.relative_to(installed) for path in installed.rglob("*") if path.is_file()}
    needed = {path for path in known if path.parts[0] in NEEDED}
    return [
        *(f"missing from the package: {path}" for path in sorted(needed - found)),
        *(f"of no use in the package: {path}" for path in sorted(found) if not useful(path)),
        *(
            f"in the package, but not in git: {path}"
            for path in sorted(found - set(known) - GENERATED)
        ),
    ]


def useful(path: Path) -> bool:
    """Return whether users of a package have any use for the file."""
    page = len(path.parts) == 1 and path.suffix == ".md"
    of_use = page or path.parts[0] in USEFUL or path in GENERATED
    return of_use and path.parts[:2] != ("changelogs", "fragments")


def import_faults(installed: Path) -> list[str]:
    """Import every plugin and module from the installed collection, each in the same process."""
    names = sorted(
        ".".join(path.relative_to(installed).with_suffix("").parts)
        for path in installed.glob("plugins/*/*.py")
    )
    if not any(name.startswith("plugins.modules.") for name in names):
        return ["the package has no module"]
    code = "".join(f"import ansible_collections.jgi.jaws.{name}\n" for name in names)
    environment = dict(os.environ, PYTHONPATH=str(installed.parents[2]))
    done = subprocess.run([sys.executable, "-c", code], env=environment, check=False)
    return ["not importable from the package, see above"] if done.returncode else []


if __name__ == "__main__":
    main()
