# Copyright: (c) 2026, The jgi.jaws engineers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Why a run of a playbook failed, on one screen.

Pure functions on the control node.
"""

from __future__ import annotations

import textwrap
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any, NamedTuple

from .progress import listed
from .text import plain, width_of

KINDS = ("FAILED", "UNREACHABLE", "INTERRUPTED")
PRINTED_LINES = 8  # of each output of a command
STREAMS = ("module_stderr", "module_stdout", "stderr", "stdout")
SIMPLE = (str, int, float)
# What the screen shows elsewhere, or what helps nobody to find the cause.
USUAL = {
    *STREAMS, *(f"{stream}_lines" for stream in STREAMS), "attempts", "censored", "changed", "cmd",
    "delta", "deprecations", "diff", "end", "exception", "failed", "failed_programs",
    "failed_when_result", "id", "invocation", "item", "msg", "not_running", "put_back", "rc",
    "results", "retries", "reverted_to", "skip_reason", "skipped", "start",
    "unhealthy", "unreachable", "warnings",
}  # fmt: skip
NO_REASON = "The result has no message; run this again with -v to see all of it."
# Variables of a play: what is true after any failure in it, and if it was interrupted.
NOTE, INTERRUPTED_NOTE = "progress_note", "progress_interrupted"
LEAST = 4  # lines of a failure that still say something
MOST_ROWS = 4  # of one line, if the width is unknown


class Failure(NamedTuple):
    """A task that failed on a host; C(kind) is one of C(KINDS), C(play) a number."""

    kind: str
    host: str
    task: str
    play: int
    lines: tuple[str, ...]


class Screen(NamedTuple):
    """The lines to show last, and before them, what does not fit there."""

    lines: list[str]
    left_out: list[str]


class Paper(NamedTuple):
    """How much there is room for; C(wraps) says whether lines are to be no longer than that."""

    columns: int
    lines: int
    wraps: bool

    def laid_out(self, line: str, indent: str) -> list[str]:
        """Return a line in pieces. Only a line of many rows is divided where nobody wraps it."""
        width = self.columns if self.wraps else MOST_ROWS * self.columns
        if width_of(indent + line) <= width:
            return [indent + line]
        own = indent + line[: len(line) - len(line.lstrip())]
        return textwrap.wrap(
            line.strip(), width, initial_indent=own, subsequent_indent=own, break_on_hyphens=False
        )

    def height(self, line: str) -> int:
        """Return how many lines of the screen one line takes."""
        return max(1, -(-width_of(line) // self.columns))


class Failures:
    """What has failed in a run, each with the result that Ansible reported."""

    def __init__(self) -> None:
        self.kept: list[tuple[Failure, Any]] = []
        self.plays = 0
        self._variables: list[Mapping[str, Any]] = []

    def begin_play(self, play: Any) -> None:
        """Note that a play begins."""
        self.plays += 1
        self._variables.append(play.get_vars())

    def keep(self, kind: str, result: Any) -> None:
        """Keep what a task has reported."""
        why = cause(result._result, getattr(result, "exception", None))
        host, name = result._host.get_name(), task_name(result._task)
        self.kept.append((Failure(kind, host, name, self.plays, why), result))

    def divided(self, stats: Any) -> tuple[list[Failure], list[Failure]]:
        """Return the failures that the run ends with, and those that were rescued.

        :param stats: Ansible's, of the whole run.
        """
        counts = {host: stats.summarize(host) for host in stats.processed}
        lost = {host: count["failures"] + count["unreachable"] for host, count in counts.items()}
        return divide([failure for failure, _result in self.kept], lost)

    def screen(self, ending: Sequence[Failure], paper: Paper) -> Screen:
        """Return the screen for the failures that the run ends with."""
        return last_screen(ending, paper, self._note(ending[-1]) if ending else "")

    def _note(self, last: Failure) -> str:
        given = self._variables[last.play - 1]
        own = given.get(INTERRUPTED_NOTE) if last.kind == "INTERRUPTED" else None
        return str(own or given.get(NOTE, ""))


def action_of(task: Any) -> str:
    """Return the full name of a task's action, if Ansible has resolved it."""
    return str(getattr(task, "resolved_action", None) or task.action)


def task_name(task: Any) -> str:
    """Return a task's own name, without the role and the file that come before it."""
    name = (task.name or task.get_name()).strip()
    return plain(name.rpartition(" | ")[2] or name)


def cause(result: Mapping[str, Any], exception: Any = None) -> tuple[str, ...]:
    """Return why a task failed: its message, its findings, and the end of what its command printed.

    :param exception: what ansible-core 2.19 or later knows about it, which may say more.
    """
    items = [item for item in _listed(result.get("results")) if _has_failed(item)]
    if items:
        return tuple(line for item in items for line in _of_item(item))
    lines = _lines(result.get("msg") or result.get("censored"))
    origin = "" if "censored" in result else _origin(exception)
    if origin not in "\n".join(lines):
        lines += _lines(origin)
    lines += _others(result, lines)
    if "rc" in result:
        lines.append(f"exit status {result['rc']}")
    for stream in STREAMS:
        printed = [line for line in _lines(result.get(stream)) if line.strip()]
        if printed and printed[-1] not in "\n".join(lines):
            last = printed[-PRINTED_LINES:]
            lines += [f"last lines of {stream}:", *("  " + line for line in last)]
    return tuple(lines) or (NO_REASON,)


def _others(result: Mapping[str, Any], shown: Sequence[str]) -> list[str]:
    """Return the lines of the other values of a result, such as findings, if they are simple."""
    found: list[str] = []
    known = "\n".join(shown)
    for key, value in result.items():
        parts = value if isinstance(value, list) else [value]
        is_simple = all(isinstance(part, SIMPLE) for part in parts)
        text = [line for part in parts if is_simple for line in _lines(part) if line not in known]
        if text and key not in USUAL and not key.startswith(("_", "ansible_")):
            is_short = len(text) == 1 and not isinstance(value, list)
            found += [f"{key}: {text[0]}"] if is_short else [f"{key}:", *("  " + t for t in text)]
    return found


def _origin(exception: Any) -> str:
    """Return the message that a chain of exceptions began with; empty if it is unknown."""
    event: Any = getattr(exception, "event", None)
    while getattr(event, "chain", None):
        event = event.chain.event
    return str(getattr(event, "msg", ""))


def _of_item(item: Mapping[str, Any]) -> list[str]:
    label = item.get("_ansible_item_label", item.get(item.get("ansible_loop_var", "item"), ""))
    return [f"{plain(str(label))}:", *("  " + line for line in cause(item))]


def _listed(value: Any) -> list[Mapping[str, Any]]:
    items = value if isinstance(value, list) else []
    return [item for item in items if isinstance(item, Mapping)]


def _has_failed(item: Mapping[str, Any]) -> bool:
    return bool(item.get("failed_when_result", item.get("failed")) or item.get("unreachable"))


def _lines(value: Any) -> list[str]:
    if value is None or value == "":
        return []
    parts = value if isinstance(value, list) else [value]
    return [plain(line.rstrip()) for part in parts for line in str(part).rstrip().split("\n")]


def divide(
    failures: Sequence[Failure], lost: Mapping[str, int]
) -> tuple[list[Failure], list[Failure]]:
    """Return the failures that a run ends with, and those that were rescued and did no harm.

    A failure that was rescued, in a play that failed afterwards, is its cause.

    :param lost: by host, how many failures were not rescued: its last ones.
    """
    left, plays = dict(lost), set()
    for failure in reversed(failures):
        if left.get(failure.host, 0) > 0:
            left[failure.host] -= 1
            plays.add(failure.play)
    ending = [failure for failure in failures if failure.play in plays]
    return ending, [failure for failure in failures if failure.play not in plays]


def last_screen(failures: Iterable[Failure], paper: Paper, note: str = "") -> Screen:
    """Return the screen that a failed run ends with: what failed, where, and why.

    :param note: what is true after it, such as what runs now.
    """
    end = ["", *paper.laid_out(note, "")] if note else []
    blocks = [_block(hosts, failure, paper) for failure, hosts in _merged(failures)]
    most = max(1, paper.lines // LEAST)
    shown, others = blocks[:most], blocks[most:]
    room = paper.lines - len(shown) + 1 - bool(others) - sum(map(paper.height, end))
    wanted = [sum(map(paper.height, block)) for block in shown]
    lines: list[str] = []
    left_out: list[str] = []
    for block, share in zip(shown, shares(wanted, room), strict=True):
        kept, rest = shorten(block, share, paper.height)
        lines += ["", *kept]
        left_out += [f"more of: {block[0]}", *rest] if rest else []
    if others:
        lines.append(f"{len(others)} more failed; see further up.")
    lines += end if blocks else []
    return Screen(lines[1:], left_out + [line for block in others for line in block])


def _merged(failures: Iterable[Failure]) -> list[tuple[Failure, list[str]]]:
    """Return each failure once, with all hosts that it happened on."""
    found: dict[tuple[object, ...], tuple[Failure, list[str]]] = {}
    for failure in failures:
        key = (failure.kind, failure.task, failure.lines)
        found.setdefault(key, (failure, []))[1].append(failure.host)
    return list(found.values())


def _block(hosts: Sequence[str], failure: Failure, paper: Paper) -> list[str]:
    where = listed(list(dict.fromkeys(hosts)), paper.columns // 2)
    title = paper.laid_out(plain(f"{failure.kind} on {where}: {failure.task}"), "")
    return title + [piece for line in failure.lines for piece in paper.laid_out(line, "  ")]


def shares(wanted: Sequence[int], total: int) -> list[int]:
    """Divide lines equally; what one does not want goes to the others."""
    given = [0] * len(wanted)
    smallest_first = sorted(range(len(wanted)), key=lambda index: wanted[index])
    for rank, index in enumerate(smallest_first):
        given[index] = min(wanted[index], total // (len(wanted) - rank))
        total -= given[index]
    return given


def shorten(
    lines: Sequence[str], room: int, height: Callable[[str], int]
) -> tuple[list[str], list[str]]:
    """Return the beginning and the end of some lines, which fit, and those left out between them.

    The end has the last lines of a log and what became of the instance.
    """
    if sum(map(height, lines)) <= room:
        return list(lines), []
    first = _fitting(lines, max(1, room // 3), height)
    room -= 1 + sum(map(height, lines[:first]))
    last = _fitting(lines[:first:-1], room, height)
    left_out = lines[first : len(lines) - last]
    note = f"  ... ({len(left_out)} more lines further up) ..."
    return [*lines[:first], note, *lines[len(lines) - last :]], list(left_out)


def _fitting(lines: Sequence[str], room: int, height: Callable[[str], int]) -> int:
    """Return how many of the first lines fit; the first one counts even if it does not."""
    taken = used = 0
    for line in lines:
        used += height(line)
        if used > room and taken:
            break
        taken += 1
    return taken
