# SPDX-License-Identifier: GPL-3.0-or-later
"""The output of a playbook in a terminal, in a log, and in a job of GitLab."""

from __future__ import annotations

import json
import os
import pty
import re
import signal
import subprocess
import sys
from codecs import getincrementaldecoder
from contextlib import suppress
from pathlib import Path

import pytest

from tests.integration.conftest import CLONE, ansible, surroundings, wait_until

# Each host prints and waits until the test has seen what it waits for.
PLAYBOOK = """
- name: Try everything
  hosts: all
  gather_facts: false
  tasks:
    - name: files | Leave out
      ansible.builtin.command: "true"
      when: false
    - name: files | Wait for a sign
      ansible.builtin.command: sh -c 'while ! test -e {sign}; do sleep 0.1; done'
      changed_when: false
    - name: Rescue what fails
      block:
        - name: Fail first
          ansible.builtin.command: sh -c 'echo the real $0 >&2; exit 3' cause
          when: inventory_hostname == 'two'
      rescue:
        - name: Go on
          ansible.builtin.meta: noop
    - name: Loop
      ansible.builtin.debug:
        msg: "{{{{ item }}}}"
      loop: [x, y]
    - name: Tolerate
      ansible.builtin.command: "false"
      failed_when: false
      changed_when: false
    - name: Give up
      ansible.builtin.fail:
        msg: The play failed on two, for the reason above.
      when: broken | default(false) | bool
"""
FOREVER = "while :; do sleep 0.1; done"
HOST = "{{ inventory_hostname }}"
ESCAPES = re.compile(r"\x1b\[[0-9;]*[A-Za-z]")


@pytest.fixture
def call(tmp_path: Path) -> list[str]:
    """The arguments of a run on two hosts of this machine, which waits for the file `sign`."""
    (tmp_path / "hosts").write_text("one ansible_connection=local\ntwo ansible_connection=local\n")
    (tmp_path / "play.yml").write_text(PLAYBOOK.format(sign=tmp_path / "sign"))
    return [str(tmp_path / "play.yml"), "-i", str(tmp_path / "hosts")]


class Terminal:
    """A run in a terminal of 80 columns and 24 lines, and everything that it has shown."""

    def __init__(self, call: list[str], home: Path) -> None:
        self.pid, self.handle = pty.fork()
        if self.pid == 0:
            os.chdir(CLONE)
            os.environ.clear()
            os.environ.update(surroundings(home, TERM="xterm", COLUMNS="80", LINES="24"))
            os.execv(sys.executable, [sys.executable, "-m", "ansible", "playbook", *call])
        os.set_blocking(self.handle, False)
        self.shown = ""
        self._decoder = getincrementaldecoder("utf-8")()  # a read may end within a character

    def read(self) -> str:
        with suppress(OSError):  # there is nothing now, or it has ended
            while data := os.read(self.handle, 65536):
                self.shown += self._decoder.decode(data)
        return self.shown

    def end(self) -> int:
        """Read on until the run has ended; return its exit status."""
        status: list[int] = []

        def has_ended() -> bool:
            self.read()
            pid, code = os.waitpid(self.pid, os.WNOHANG)
            status.extend([code] if pid else [])
            return bool(pid)

        wait_until(has_ended, "the end of the run")
        self.read()
        os.close(self.handle)
        return os.waitstatus_to_exitcode(status[0])


def test_a_terminal_has_one_line_that_is_updated_and_ends_with_why(
    call: list[str], tmp_path: Path
) -> None:
    terminal = Terminal([*call, "-e", "broken=true"], tmp_path)
    line = r"Wait for a sign on one, two, (\d+:\d\d)"
    wait_until(lambda: len({*re.findall(line, terminal.read())}) > 1, "the line, updated")
    (tmp_path / "sign").touch()
    assert terminal.end() == 2
    shown = terminal.shown.replace("\r\n", "\n")
    assert "Leave out" not in re.sub("Leave out on (one|two)", "", shown)
    plain = [ESCAPES.sub("", text.rpartition("\r")[2]) for text in shown.splitlines()]
    recap = next(number for number, text in enumerate(plain) if text.startswith("PLAY RECAP"))
    assert [text.split(" :")[0].strip() for text in plain[recap + 1 : recap + 3]] == ["one", "two"]
    assert plain[recap + 4 :] == [
        "FAILED on two: Fail first",
        "  non-zero return code",
        "  exit status 3",
        "  last lines of stderr:",
        "    the real cause",
        "",
        "FAILED on one, two: Give up",
        "  The play failed on two, for the reason above.",
    ]
    assert shown.count("the real cause") == 1


def test_a_log_names_the_running_task_says_that_it_runs_and_ends_with_why(
    call: list[str], tmp_path: Path
) -> None:
    log = tmp_path / "log"
    command = [sys.executable, "-m", "ansible", "playbook", *call, "-e", "broken=true"]
    env = surroundings(tmp_path, JGI_JAWS_PROGRESS_INTERVAL="1")
    with log.open("w") as file, subprocess.Popen(command, cwd=CLONE, env=env, stdout=file) as run:
        line = re.compile(r"^\.\.\. Wait for a sign on one, two, \d+:\d\d$", re.MULTILINE)
        wait_until(lambda: len(line.findall(log.read_text())) > 1, "two lines")
        (tmp_path / "sign").touch()
        assert run.wait() == 2
    shown = log.read_text()
    assert "\x1b" not in shown
    assert "\r" not in shown
    assert "Leave out" not in shown
    task = shown.index("TASK [files | Wait for a sign]")
    assert task < shown.index("... Wait for a sign") < shown.index("ok: [one]")
    assert shown.count("TASK [files | Wait for a sign]") == 1
    assert shown.count("the real cause") == 1
    assert shown.endswith("  The play failed on two, for the reason above.\n")


def test_what_was_rescued_is_shown_and_the_run_ends_with_the_recap(
    call: list[str], tmp_path: Path
) -> None:
    (tmp_path / "sign").touch()
    done = ansible("playbook", *call, home=tmp_path)
    assert done.returncode == 0, done.stdout
    assert done.stdout.count("the real cause") == 1
    assert done.stdout.rstrip().splitlines()[-1].startswith("two ")
    assert re.search(r"^two +: ok=\d+ .* failed=0 .* rescued=1 ", done.stdout, re.M)


def test_a_job_of_gitlab_has_sections_and_colours(call: list[str], tmp_path: Path) -> None:
    (tmp_path / "sign").touch()
    job = {"GITLAB_CI": "true", "TERM": "xterm"}
    shown = ansible("playbook", *call, home=tmp_path, **job).stdout
    started = re.findall(r"section_start:\d+:(\S+)", shown)
    ended = re.findall(r"section_end:\d+:(\S+)", shown)
    assert sorted(started) == sorted(ended)
    assert len([name for name in started if name.startswith("play_")]) == 1
    assert "\x1b[0;32mok: [one]" in shown
    plain = ansible("playbook", *call, home=tmp_path, NO_COLOR="please", **job).stdout
    assert "section_start" in plain
    assert not re.search(r"\x1b\[[0-9;]*m", plain)


def test_a_cancelled_run_says_what_had_failed(call: list[str], tmp_path: Path) -> None:
    script = f"test $0 = two || {{ printf 'the real %s' cause >&2; exit 3; }}; {FOREVER}"
    task = {"name": "Try", "ansible.builtin.command": {"argv": ["sh", "-c", script, HOST]}}
    play = {"name": "Try", "hosts": "all", "gather_facts": False, "tasks": [task]}
    (tmp_path / "play.yml").write_text(json.dumps([play]))
    command = [sys.executable, "-m", "ansible", "playbook", *call]
    with (
        (tmp_path / "log").open("w") as log,
        subprocess.Popen(
            command, cwd=CLONE, env=surroundings(tmp_path), stdout=log, start_new_session=True
        ) as run,
    ):
        wait_until(lambda: "fatal: [one]" in (tmp_path / "log").read_text(), "the failure")
        run.terminate()
        run.wait()
        with suppress(ProcessLookupError):
            os.killpg(run.pid, signal.SIGKILL)
    shown = (tmp_path / "log").read_text()
    assert run.returncode == -signal.SIGTERM
    assert shown.count("the real cause") == 1
