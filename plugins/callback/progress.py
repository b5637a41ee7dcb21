# Copyright: (c) 2026, The jgi.jaws engineers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
name: progress
type: stdout
short_description: Show what a playbook waits for, and end with why it failed
version_added: 1.0.0
author: The jgi.jaws engineers (@JGI-Bioinformatics)
description:
  - Shows the results of tasks as P(ansible.builtin.default#callback) does, and what is running.
  - In a terminal, the last line names the task that is running, the hosts that have not finished
    it, and the time since it started. It is replaced, so it does not add to the output.
  - Without a terminal, a task is named after half a second, and every O(interval) seconds there is
    a line of this kind.
  - In a job of GitLab, each play and each task is a section, which can be collapsed and shows how
    long it took. Colours are used there, unless C(NO_COLOR) is set.
  - A run that fails ends with one screen that says what failed, on which host and why. So a
    failure is only announced when it happens, unless C(-v) is given. A failure that was rescued is
    shown there too if the play failed afterwards, because it is probably the cause; otherwise it is
    shown in full before the recap.
  - If the play that failed has a variable C(progress_note), that is the last line. It says what is
    true after any failure of the play, such as what runs now.
  - A run that is interrupted, by Ctrl-C or because a job is cancelled, ends with what it was doing,
    on which hosts and for how long. The last line is the play's variable C(progress_interrupted),
    or C(progress_note).
  - The table of M(jgi.jaws.status_report) and of similar modules is shown at the end.
options:
  interval:
    description: Without a terminal, how many seconds pass until it is shown again what is running.
    type: float
    default: 30
    env:
      - name: JGI_JAWS_PROGRESS_INTERVAL
    ini:
      - {section: callback_progress, key: interval}
extends_documentation_fragment:
  - default_callback
  - result_format_callback
requirements:
  - to be set as C(stdout_callback) in the section C([defaults]) of C(ansible.cfg)
seealso:
  - plugin: ansible.builtin.default
    plugin_type: callback
"""

import atexit
import os
import signal
import sys
from collections.abc import Callable
from contextlib import suppress
from functools import wraps
from importlib import import_module
from typing import Any

from ansible import constants
from ansible.plugins.callback.default import CallbackModule as Default
from ansible.utils import color

from ..plugin_utils.failures import KINDS, Failure, Failures, action_of, task_name
from ..plugin_utils.output import Output, Ticker, in_gitlab, updates_lines, wants_colour
from ..plugin_utils.progress import Waiting, clock_time
from ..plugin_utils.table import wrong_lines
from ..plugin_utils.text import plain

# Tasks run in forks of this process: what their filters import is there already.
for _name in ("notifier", "release_plan", "rollback", "runner"):
    import_module(f"..plugin_utils.{_name}", __package__)

TICK_SECONDS = 0.5
LOG_COLUMNS = 200
SEE_THE_END = "(the reason is at the end)"
TITLES = tuple(f"{kind} on " for kind in KINDS)
SIMULTANEOUS = ("free", "host_pinned")  # with these strategies, tasks overlap


def _safely(method: Callable[..., None]) -> Callable[..., None]:
    """If the method fails, do what the default callback does, so that no result is lost."""

    @wraps(method)
    def call(self: CallbackModule, *arguments: Any, **options: Any) -> None:
        try:
            method(self, *arguments, **options)
        except Exception as error:  # noqa: BLE001  # whatever it is, the result is shown
            self._display.warning(f"The callback jgi.jaws.progress failed: {error!r}")
            getattr(Default, method.__name__)(self, *arguments, **options)

    return call


class CallbackModule(Default):
    """The default callback, with a line that says what is running, and the failures at the end."""

    CALLBACK_VERSION = 2.0
    CALLBACK_TYPE = "stdout"
    CALLBACK_NAME = "jgi.jaws.progress"

    def __init__(self) -> None:
        super().__init__()
        self._output = Output(self._display, updates_lines(os.environ, sys.stdout.isatty()))
        self._ticker = Ticker(self._tick, TICK_SECONDS)
        self._waiting = Waiting()
        self._named: dict[str, Any] = {}
        self._told: dict[str, int] = {}
        self._untold: Any = None
        self._overlapping = False
        self._sections: list[str] = []
        self._failures = Failures()
        self._reports: list[list[str]] = []
        self._wrong: set[str] = set()

    # ---- What is running

    @_safely
    def v2_playbook_on_start(self, playbook: Any) -> None:
        refused, forced = map(_setting, ("ANSIBLE_NOCOLOR", "ANSIBLE_FORCE_COLOR"))
        color.ANSIBLE_COLOR = wants_colour(os.environ, color.ANSIBLE_COLOR, refused, forced)
        atexit.register(self._tell_untold, os.getpid())
        self._end_by_signal()
        self._ticker.start()
        super().v2_playbook_on_start(playbook)

    @_safely
    def v2_playbook_on_play_start(self, play: Any) -> None:
        self._failures.begin_play(play)
        self._overlapping = play.strategy.rpartition(".")[2] in SIMULTANEOUS
        # Its banner comes with the first task that shows one: most sites have nothing to do in some
        # plays, such as those for Slurm.
        self._play = self._untold = play

    @_safely
    def v2_playbook_on_no_hosts_matched(self) -> None:
        self._untold = None

    @_safely
    def v2_playbook_on_include(self, included_file: Any) -> None:
        self._show_play()
        super().v2_playbook_on_include(included_file)

    def _show_play(self) -> None:
        if self._untold:
            play, self._untold = self._untold, None
            self._begin_section(0, f"play_{self._failures.plays}")
            super().v2_playbook_on_play_start(play)

    def _task_start(self, task: Any, prefix: str | None = None) -> None:
        self._told.pop(task._uuid, None)
        self._waiting.begin(task._uuid, task_name(task))
        super()._task_start(task, prefix)

    @_safely
    def v2_runner_on_start(self, host: Any, task: Any) -> None:
        super().v2_runner_on_start(host, task)
        self._named[task._uuid] = task
        self._waiting.begin(task._uuid, task_name(task), host.get_name())
        self._show_line()

    def _returned(self, result: Any) -> None:
        self._waiting.end(result._task._uuid, result._host.get_name())

    def _show_line(self) -> None:
        self._output.show(self._waiting.line(self._output.columns()))

    def _tick(self) -> None:
        with self._output.lock:
            if self._output.updating:
                self._show_line()
            else:
                self._log_line()

    def _log_line(self) -> None:
        """Name a task that has no result yet, and say from time to time that it still runs."""
        task = self._waiting.longest()
        if task is None or self._waiting.seconds(task) < TICK_SECONDS:
            return
        if task.key not in self._told:
            self._told[task.key] = 0
            self._print_task_banner(self._named[task.key])
        rounds = int(self._waiting.seconds(task) // self.get_option("interval"))
        if rounds > self._told[task.key]:
            self._told[task.key] = rounds
            self._display.display(f"... {self._waiting.line(LOG_COLUMNS)}")

    # ---- Sections

    def _print_task_banner(self, task: Any) -> None:
        with self._output.lock:
            if self._last_task_banner == task._uuid:
                return
            self._show_play()
            if not self._overlapping:
                self._begin_section(1, f"task_{task._uuid}")
            super()._print_task_banner(task)

    def _begin_section(self, depth: int, name: str) -> None:
        if in_gitlab(os.environ):
            self._end_sections(depth)
            self._sections.append(f"{name}_{os.getpid()}")
            self._output.begin_section(self._sections[-1])

    def _end_sections(self, depth: int = 0) -> None:
        while len(self._sections) > depth:
            self._output.end_section(self._sections.pop())

    # ---- Results

    @_safely
    def v2_runner_on_ok(self, result: Any) -> None:
        self._returned(result)
        self._keep_report(result)
        super().v2_runner_on_ok(result)

    @_safely
    def v2_runner_on_skipped(self, result: Any) -> None:
        self._returned(result)
        super().v2_runner_on_skipped(result)

    @_safely
    def v2_runner_on_failed(self, result: Any, ignore_errors: bool = False) -> None:
        self._returned(result)
        self._keep_report(result)
        if not ignore_errors:
            self._failures.keep("FAILED", result)
        if ignore_errors or self._display.verbosity:
            super().v2_runner_on_failed(result, ignore_errors)
        elif not (result._task.loop and "results" in result._result):
            self._announce(f"fatal: [{self.host_label(result)}]: FAILED! {SEE_THE_END}", result)

    @_safely
    def v2_runner_item_on_failed(self, result: Any) -> None:
        if self._display.verbosity or result._task_fields.get("ignore_errors"):
            super().v2_runner_item_on_failed(result)
            return
        item = plain(str(self._get_item_label(result._result)))
        where = self.host_label(result)
        self._announce(f"failed: [{where}] (item={item}) {SEE_THE_END}", result)

    @_safely
    def v2_runner_on_unreachable(self, result: Any) -> None:
        self._returned(result)
        self._keep_report(result)
        ignored = result._task_fields.get("ignore_unreachable")
        if not ignored:
            self._failures.keep("UNREACHABLE", result)
        if ignored or self._display.verbosity:
            super().v2_runner_on_unreachable(result)
        else:
            where = self.host_label(result)
            self._announce(f"fatal: [{where}]: UNREACHABLE! {SEE_THE_END}", result)

    def _announce(self, text: str, result: Any) -> None:
        if self._last_task_banner != result._task._uuid:
            self._print_task_banner(result._task)
        self._handle_warnings(result._result)
        to_stderr = self.get_option("display_failed_stderr")
        self._display.display(text, color=_setting("COLOR_ERROR"), stderr=to_stderr)

    def _keep_report(self, result: Any) -> None:
        """Keep the table that a task reports, to show it at the end."""
        action = action_of(result._task)
        lines = result._result.get("stdout_lines")
        if lines and action.startswith("jgi.jaws.") and action.endswith("_report"):
            shown = [plain(str(line)) for line in lines]
            self._reports.append(shown)
            self._wrong.update(wrong_lines(shown, result._result))
            if not self._display.verbosity:
                result._result.pop("_ansible_verbose_always", None)

    # ---- The end

    def v2_playbook_on_stats(self, stats: Any) -> None:
        try:
            before, after = self._ending(stats)
        except Exception as error:  # noqa: BLE001  # the results are shown nevertheless
            self._display.warning(f"The callback jgi.jaws.progress failed: {error!r}")
            before, after = self._in_full(), []
        self._stop()
        for line in before:
            self._display.display(line)
        super().v2_playbook_on_stats(stats)
        for line in after:
            is_wrong = line.startswith(TITLES) or line in self._wrong
            self._display.display(line, color=_setting("COLOR_ERROR") if is_wrong else None)
        self._failures = Failures()

    def _ending(self, stats: Any) -> tuple[list[str], list[str]]:
        """Return the lines before the recap, and those after it."""
        ending, rescued = self._failures.divided(stats)
        screen = self._failures.screen(ending, self._output.paper())
        after = [line for report in self._reports for line in [*report, ""]] + screen.lines
        if self._display.verbosity:  # everything has been shown when it happened
            return [], after
        return self._in_full(rescued) + screen.left_out, after

    def _in_full(self, chosen: list[Failure] | None = None) -> list[str]:
        """Return failures as the default callback shows them."""
        return [
            f"{failure.kind} on {failure.host}: {failure.task} => "
            f"{self._dump_results(result._result)}"
            for failure, result in self._failures.kept
            if chosen is None or failure in chosen
        ]

    def _stop(self) -> None:
        self._ticker.stop()
        self._waiting.forget()
        self._output.show("")
        self._end_sections()

    def _end_by_signal(self) -> None:
        """Show what was going on when SIGTERM ends the run, as when a job is cancelled."""
        earlier = signal.getsignal(signal.SIGTERM) or signal.SIG_DFL
        main = os.getpid()

        def end(number: int, _frame: Any) -> None:
            self._tell_untold(main)
            signal.signal(number, earlier)
            os.kill(os.getpid(), number)

        with suppress(ValueError):  # only the main thread may
            signal.signal(signal.SIGTERM, end)

    def _tell_untold(self, main: int) -> None:
        """Show what a run that did not get to its end was doing, and what had failed."""
        if os.getpid() != main:
            return
        with suppress(Exception):
            screen = self._failures.screen(self._interrupted(), self._output.paper())
            self._stop()
            for line in [] if self._display.verbosity else self._in_full():
                self._display.display(line)
            for line in ["", *screen.lines] if screen.lines else []:
                self._display.display(line)
            self._failures = Failures()

    def _interrupted(self) -> list[Failure]:
        task = self._waiting.longest()
        if task is None:
            return []
        why = (f"after {clock_time(self._waiting.seconds(task))}",)
        play = self._failures.plays
        return [Failure("INTERRUPTED", host, task.name, play, why) for host in task.hosts]


def _setting(name: str) -> Any:
    return constants.config.get_config_value(name)
