# SPDX-License-Identifier: GPL-3.0-or-later
"""Run the tests with every ansible-core that is promised, and print what was tested.

    python -m tests.matrix.run CACHE [--ends]

With each: the unit, contract and module tests. Then, with all of them together, tests/matrix: the
files that a deploy renders, and a local site from its first deploy to its removal. --ends uses only
the oldest and the newest, and those tests that use Ansible most: it is a stage of make
test, where everything else runs with the pinned ansible-core.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
from pathlib import Path

from ansible.release import __version__

from tests.gates.stages import Counts, count
from tests.matrix.versions import (
    ENDS,
    PYTHONS,
    ROOT,
    Version,
    found,
    install,
    interpreter,
    missing,
)

EVERY = {
    "unit": ["tests/gates/contract", "tests/unit"],
    "modules": ["-n", "2", "--dist", "worksteal", "tests/integration"],
}
# What Ansible passes to a module and prints of its result, and what plugins do on the control node.
CHOSEN = {
    "chosen": [
        "tests/integration/test_status_report.py",
        "tests/integration/test_supervisorctl_info.py",
        "tests/integration/test_tree.py",
        "tests/unit/test_collabsu.py",
        "tests/unit/test_inventory.py",
    ]
}
ROW = "{:<9}{:<11}{:<10}{:>8}{:>8}{:>9}"


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("cache", type=Path)
    parser.add_argument("--ends", action="store_true")
    options = parser.parse_args()
    names = ENDS if options.ends else tuple(PYTHONS)
    runs = Runs(options.cache, "matrix-ends" if options.ends else "matrix")
    versions = [version for name in names if (version := installed(name, options.cache))]
    for version in versions:
        for part, arguments in (CHOSEN if options.ends else EVERY).items():
            runs.alone(version, part, arguments)
    runs.together(names, versions, options.ends)
    print("\n".join(["", *runs.table(names, versions)]))
    sys.exit(runs.failed)


def installed(name: str, cache: Path) -> Version | None:
    """Return an environment with an ansible-core, if a Python of this machine can run it."""
    python = interpreter(name)
    return install(name, python, cache) if python else None


class Runs:
    """Runs pytest, and collects the reports."""

    def __init__(self, cache: Path, stage: str) -> None:
        self.cache = cache
        self.stage = stage
        self.failed = False
        self.counts: dict[tuple[str, str], Counts] = {}
        for report in (cache / "reports").glob(f"{stage}-*.xml"):
            report.unlink()

    def alone(self, version: Version, part: str, arguments: list[str]) -> None:
        """Run tests with one ansible-core."""
        print(
            f"-- ansible-core {version.ansible}, Python {version.interpreter}: {part}", flush=True
        )
        command = [str(version.python), "-m", "pytest", "-q", *arguments]
        self.counts[version.name, part] = self._pytest(f"{version.name}-{part}", command, version)

    def together(self, names: tuple[str, ...], versions: list[Version], ends: bool) -> None:
        """Run the tests that compare one ansible-core with the others, with the tools' pytest."""
        if len(versions) == 1:  # on few machines; then it is compared with that of the tools
            name = ".".join(__version__.split(".")[:2])
            versions = [*versions, found(name, Path(sys.executable))]
        told = {"names": names, "versions": [version.described() for version in versions]}
        os.environ["JGI_JAWS_MATRIX"] = json.dumps({**told, "ends": ends})
        command = [sys.executable, "-m", "pytest", "-q", "tests/matrix"]
        self.counts["all", "together"] = self._pytest("together", command)

    def _pytest(self, name: str, command: list[str], version: Version | None = None) -> Counts:
        report = self.cache / "reports" / f"{self.stage}-{name}.xml"
        environment = {**os.environ, "HYPOTHESIS_STORAGE_DIRECTORY": str(self.cache / "hypothesis")}
        if version:
            environment["PATH"] = f"{version.python.parent}:{os.environ['PATH']}"
        command = [*command, f"--junit-xml={report}"]
        status = subprocess.run(command, cwd=ROOT, env=environment, check=False).returncode
        counts = count([report] if report.exists() else [], status or not report.exists())
        self.failed = self.failed or counts.failed > 0
        return counts

    def table(self, names: tuple[str, ...], versions: list[Version]) -> list[str]:
        """Return a line for each ansible-core and part, and for each missing Python."""
        by_name = {version.name: version for version in versions}
        lines = [ROW.format("ANSIBLE", "PYTHON", "TESTS", "PASSED", "FAILED", "SKIPPED")]
        for (name, part), counts in self.counts.items():
            version = by_name.get(name)
            which = (version.ansible, version.interpreter) if version else (name, "")
            lines.append(ROW.format(*which, part, *counts))
        pythons = sorted({python for name in names for python in missing(name)})
        if pythons:
            lines.append(f"This machine has no Python {', '.join(pythons)}.")
        return lines


if __name__ == "__main__":
    main()
