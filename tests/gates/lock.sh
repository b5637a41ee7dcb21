#!/usr/bin/env bash
# SPDX-License-Identifier: GPL-3.0-or-later
# Check that uv.lock fits pyproject.toml, and that the files for pip are what uv exports from it.
#   lock.sh [--write]
set -euo pipefail
export_for_pip() { uv export --quiet --frozen --no-header --format requirements-txt "$@"; }
runtime=(--only-group control)
bootstrap=(--only-group bootstrap --no-annotate)
pip=(--only-group pip --no-annotate)

if [[ ${1-} = --write ]]; then
    uv lock
    export_for_pip "${runtime[@]}" --output-file requirements.txt >/dev/null
    export_for_pip "${bootstrap[@]}" --output-file roles/jaws/files/uv.txt >/dev/null
    export_for_pip "${pip[@]}" --output-file .config/pip.txt >/dev/null
    exit
fi

uv lock --check
failed=0
diff -u requirements.txt <(export_for_pip "${runtime[@]}") || failed=1
diff -u roles/jaws/files/uv.txt <(export_for_pip "${bootstrap[@]}") || failed=1
diff -u .config/pip.txt <(export_for_pip "${pip[@]}") || failed=1
others=$(grep -Eo 'https?://[^/"]+|file://[^"]*' uv.lock | sort -u \
    | grep -Ev '^https://(pypi\.org|files\.pythonhosted\.org)$' || true)
if [[ -n $others ]]; then
    echo "uv.lock names an address that others cannot reach: $others" >&2
    failed=1
fi
if [[ -e .config/node/package-lock.json ]] && grep '"resolved"' .config/node/package-lock.json >&2; then
    echo "package-lock.json names addresses of this machine: run npm with --omit-lockfile-registry-resolved" >&2
    failed=1
fi
if [[ $failed = 1 ]]; then
    echo "The lock files do not agree: run make lock" >&2
fi
exit "$failed"
