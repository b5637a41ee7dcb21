#!/usr/bin/env bash
# SPDX-License-Identifier: GPL-3.0-or-later
# Check that git has no secret. Words like "password" only count in what is shipped: tests are full of
# invented passwords. To mark a false alarm, add to its line: pragma: allowlist secret
set -euo pipefail
python - <<'PYTHON' >/dev/null
import sys
sys.path.insert(0, "tests/gates")
from copy_tree import files
files()
PYTHON
list() { git ls-files -z --cached --others --exclude-standard -- "$@"; }
failed=0
list ':!*.lock' ':!requirements.txt' ':!roles/jaws/files/uv.txt' ':!.config/pip.txt' ':!.config/node' ':!tests' ':!molecule' ':!bench' \
    | xargs -0 detect-secrets-hook --no-verify --exclude-lines 'sha256' || failed=1
list tests molecule bench \
    | xargs -0 -r detect-secrets-hook --no-verify --exclude-lines 'sha256' \
        --disable-plugin KeywordDetector --disable-plugin BasicAuthDetector \
        --disable-plugin Base64HighEntropyString --disable-plugin HexHighEntropyString || failed=1
exit "$failed"
