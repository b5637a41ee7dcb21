# SPDX-License-Identifier: GPL-3.0-or-later
"""Add up the reports of all test runs, as the last line of "make test".

python summary.py DIRECTORY
"""

from __future__ import annotations

import sys
from pathlib import Path
from xml.etree import ElementTree


def main() -> None:
    total = dict.fromkeys(("tests", "failures", "errors", "skipped"), 0)
    for report in Path(sys.argv[1]).glob("*.xml"):
        for suite in ElementTree.parse(report).getroot().iter("testsuite"):
            for key in total:
                total[key] += int(suite.get(key, "0"))
    failed = total["failures"] + total["errors"]
    passed = total["tests"] - failed - total["skipped"]
    print(f"{passed} passed, {failed} failed, {total['skipped']} skipped")
    if failed or not passed:
        sys.exit(1)


if __name__ == "__main__":
    main()
