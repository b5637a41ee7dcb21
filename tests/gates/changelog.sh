#!/usr/bin/env bash
# SPDX-License-Identifier: GPL-3.0-or-later
# Make the changelog from its fragments, in a copy (in_copy.sh). The version in galaxy.yml is made again, from all
# fragments that do not belong to another version; the others are read again.
#   changelog.sh --write HOME-OF-THE-RESULT    copy the result back
#   changelog.sh --check HOME-OF-THE-RESULT    fail if what is there is not the result
set -euo pipefail
date=$(python - <<'PYTHON'
from datetime import date
from pathlib import Path

import yaml

path = Path("changelogs/changelog.yaml")
version = yaml.safe_load(Path("galaxy.yml").read_text())["version"]
made = {"release_date": str(date.today())}
if path.exists():
    changelog = yaml.safe_load(path.read_text())
    made = changelog["releases"].pop(version, made)
    path.write_text(yaml.safe_dump(changelog))
print(made["release_date"])
PYTHON
)
arguments=(--date "$date" --reload-plugins)
if [[ -e changelogs/changelog.yaml ]]; then
    arguments+=(--refresh-plugins prevent-removal --refresh-fragments without-archives)
fi
antsibull-changelog release "${arguments[@]}"
for file in CHANGELOG.md changelogs/changelog.yaml; do
    if [[ $1 = --write ]]; then
        cp "$file" "$2/$file"
    elif ! diff -u "$2/$file" "$file"; then
        echo "$file is not what the fragments and plugins say: run make changelog" >&2
        exit 1
    fi
done
