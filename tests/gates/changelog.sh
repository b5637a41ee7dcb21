#!/usr/bin/env bash
# SPDX-License-Identifier: GPL-3.0-or-later
# Release the version that galaxy.yml names, in a copy (in_copy.sh), and bring the result home. A
# version that stands there already is made again, from all fragments that no other version has.
#   changelog.sh HOME-OF-THE-RESULT
set -euo pipefail
python - <<'PYTHON'
from pathlib import Path

import yaml

path = Path("changelogs/changelog.yaml")
if path.exists():
    changelog = yaml.safe_load(path.read_text())
    changelog["releases"].pop(yaml.safe_load(Path("galaxy.yml").read_text())["version"], None)
    path.write_text(yaml.safe_dump(changelog))
PYTHON
antsibull-changelog release --reload-plugins
cp CHANGELOG.md "$1/"
cp changelogs/changelog.yaml "$1/changelogs/"
