# SPDX-License-Identifier: GPL-3.0-or-later
"""Run the measurements next to this file, print tables of medians, and write results.json.

Every other module here has C(measure(options)), which yields samples: dictionaries of C(table),
C(row), C(column), C(unit) and C(values). If a row has a column C(floor), ratios to it are shown.
A sample may have C(at_most), the target for its median, and a C(note).
"""

from __future__ import annotations

import argparse
import importlib
import json
import os
import platform
import signal
import statistics
import sys
import time
from pathlib import Path
from typing import Any

HERE = Path(__file__).parent
FLOOR = "floor"
Sample = dict[str, Any]


def main() -> None:
    options = parse_arguments()
    modules = sorted(path.stem for path in HERE.glob("*.py") if path.stem != Path(__file__).stem)
    chosen = [name for name in modules if not options.only or name in options.only]
    sys.path[:0] = [str(HERE), str(HERE.parent / ".collections")]
    # Like Ctrl-C, so that what was started ends.
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    samples: list[Sample] = []
    for name in chosen:
        samples += importlib.import_module(name).measure(options)
    add_ratios(samples)
    for title in dict.fromkeys(sample["table"] for sample in samples):
        print("\n" + table(title, [sample for sample in samples if sample["table"] == title]))
    options.output.write_text(json.dumps({**surroundings(), "samples": samples}, indent=1) + "\n")
    print(f"\nwritten to {options.output}")


def parse_arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--only", nargs="*", help="modules to run; without it, all of them")
    parser.add_argument(
        "--peer",
        action="store_true",
        help="measure community.general.supervisorctl too: installs Ansible's community package "
        "into .cache/bench and takes about half an hour more",
    )
    parser.add_argument("--repeat", type=int, default=5, help="runs of each fast contender")
    parser.add_argument("--sizes", type=int, nargs="*", default=[5, 50, 200, 1000])
    parser.add_argument("--cases", nargs="*", help="for downtime: words in the cases' titles")
    parser.add_argument("--machines", type=int, nargs="*", default=[1, 10, 50], help="for growth")
    parser.add_argument("--forks", type=int, default=10, help="for growth")
    parser.add_argument(
        "--catalogue", action="store_true", help="for growth: all of JAWS's services"
    )
    parser.add_argument("--settings", action="store_true", help="for growth: other settings too")
    parser.add_argument("--output", type=Path, default=HERE / "results.json")
    return parser.parse_args()


def add_ratios(samples: list[Sample]) -> None:
    """Add the median of each sample, and its ratio to the floor of its row."""
    floors = {}
    for sample in samples:
        sample["median"] = round(statistics.median(sample["values"]), 3)
        if sample["column"] == FLOOR:
            floors[sample["table"], sample["row"]] = sample["median"]
    for sample in samples:
        floor = floors.get((sample["table"], sample["row"]))
        if floor is not None:
            sample["ratio"] = round(sample["median"] / floor, 3)


def table(title: str, samples: list[Sample]) -> str:
    """Return one table: the median of each cell and, in brackets, its ratio to the floor."""
    columns = list(dict.fromkeys(sample["column"] for sample in samples))
    cells = {(sample["row"], sample["column"]): cell(sample) for sample in samples}
    rows = list(dict.fromkeys(sample["row"] for sample in samples))
    lines = [[f"{title} [{samples[0]['unit']}]", *columns]]
    lines += [[row, *(cells.get((row, column), "-") for column in columns)] for row in rows]
    widths = [max(len(line[number]) for line in lines) for number in range(len(lines[0]))]
    return "\n".join(
        "  ".join(text.ljust(width) for text, width in zip(line, widths, strict=True)).rstrip()
        for line in lines
    )


def cell(sample: Sample) -> str:
    """Return the median, its ratio to the floor, and whether it is within its target."""
    words = [f"{sample['median']:.2f}"]
    if "ratio" in sample:
        words.append(f"({sample['ratio']:.2f})")
    if "at_most" in sample:
        missed = sample["median"] > sample["at_most"]
        words.append(f"{'MISSES' if missed else 'within'} {sample['at_most']:.2f}")
    if sample.get("note"):
        words.append(sample["note"])
    return " ".join(words)


def surroundings() -> dict[str, Any]:
    return {
        "date": time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime()),
        "python": platform.python_version(),
        "cores": os.cpu_count(),
        "load": [round(load, 2) for load in os.getloadavg()],
    }


if __name__ == "__main__":
    main()
