# Copyright: (c) 2026, The jgi.jaws engineers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""An event listener of supervisord, which calls a command when programs have become FATAL.

It is a program of its own, run by Supervisor's Python. Facts from Supervisor 4.3.0: events go to a
listener's standard input, one after the other, each once the one before it was answered on standard
output; nobody waits for the answer, and at most C(buffer_size) events are kept meanwhile.
"""

from __future__ import annotations

import json
import os
import queue
import re
import signal
import subprocess
import sys
import threading
import time
from contextlib import suppress
from typing import Any, BinaryIO, Mapping, Sequence

from ..errors import JawsError, forget_secrets
from ..system.files import read_text
from ..system.processes import clean_environment
from . import daemon_log
from .conf import split
from .diagnosis import described
from .endpoint import SupervisordConf
from .programs import Program, group_of, namespec, process_of

EVENT = re.compile(r"processname:(.+) groupname:(.+) from_state:")


class Notifier:
    """Calls the command that a file names, for all programs that failed since the last call.

    :param path: of the file, in JSON: C(command), its words, and C(limit), how many seconds it may
        take; C(settle), for how many seconds to wait for what fails together; C(about), what to
        report in addition; C(config), the supervisord.conf. It is read for each call.
    """

    def __init__(self, path: str) -> None:
        self.path = path
        self.fallen: queue.Queue[str] = queue.Queue()
        self.process: subprocess.Popen[bytes] | None = None

    def listen(self, given: BinaryIO, answers: BinaryIO) -> None:
        """Note what fails, until supervisord ends. It never waits for the command."""
        answers.write(b"READY\n")
        answers.flush()
        for header in iter(given.readline, b""):
            event = given.read(int(header.rpartition(b":")[2]))
            found = EVENT.match(event.decode("utf-8", "replace"))
            if found:
                self.fallen.put(namespec(found[2], found[1]))
            answers.write(b"RESULT 2\nOKREADY\n")
            answers.flush()

    def work(self) -> None:
        """Call the command for what was noted, again and again; one call at a time."""
        while True:
            names = [self.fallen.get()]
            try:
                time.sleep(self._task()["settle"])
                names += [self.fallen.get() for _one in range(self.fallen.qsize())]
                names = list(dict.fromkeys(names))
                self._call(names, self._task())
            except Exception as error:  # noqa: BLE001  # the next one may succeed
                log(f"{', '.join(names)}: the command was not called: {error}")

    def _task(self) -> dict[str, Any]:
        found: dict[str, Any] = json.loads(read_text(self.path) or "")
        return found

    def _call(self, names: Sequence[str], task: Mapping[str, Any]) -> None:
        told = self._tell(notice(names, task["config"]), task)
        log(f"{', '.join(names)}: the command {told}")

    def relay(self, given: BinaryIO) -> None:
        """Call the command for a report of another program, about a deploy that has failed."""
        log(f"the command {self._tell(json.load(given), self._task())}")

    def _tell(self, report: Mapping[str, Any], task: Mapping[str, Any]) -> str:
        """Call the command; return what became of it."""
        self.process = start(task["command"], sys.stderr, clean_environment())
        text = json.dumps({**task["about"], **report})
        return finish(self.process, text, task["limit"])[1]


def start(
    command: Sequence[str], output: Any, environment: Mapping[str, str] | None = None
) -> subprocess.Popen[bytes]:
    """Start a command that reads a report from its standard input.

    :raises OSError: it cannot be run.
    """
    return subprocess.Popen(
        command,
        stdin=subprocess.PIPE,
        stdout=output,
        stderr=output,
        env=environment,
        start_new_session=True,
    )


def finish(process: subprocess.Popen[bytes], text: str, limit: float) -> tuple[int, str]:
    """Hand over the report, and wait; return the status of the command, and what became of it."""
    try:
        process.communicate(text.encode(), timeout=limit)
        return process.returncode, f"ended with status {process.returncode}"
    except subprocess.TimeoutExpired:
        kill(process)
        return process.returncode, f"did not end within {limit:g} s, and was killed"


def kill(process: subprocess.Popen[bytes]) -> None:
    """Kill a command, with what it has started, and wait for it."""
    with suppress(ProcessLookupError):
        os.killpg(process.pid, signal.SIGKILL)
    process.wait()


def notice(names: Sequence[str], config: str) -> dict[str, Any]:
    """Return the report about programs that have failed."""
    forget_secrets()  # a deploy may have changed them
    told: dict[str, Any] = {"event": "program_fatal", "programs": list(names), "release": None}
    told["message"] = f"supervisord has given up on {', '.join(names)}."
    try:
        conf = SupervisordConf(config)  # which notes the secrets that must not be shown
        told["release"] = split(read_text(config) or "").release
        known = daemon_log.read(conf.log_file) or []
        causes = described([failed(name, conf, known) for name in names])
        told["message"] = "\n".join([told["message"], *causes.values()])
    except JawsError as error:
        told["message"] += f" Its log is not shown: {error}"
    return told


def failed(name: str, conf: SupervisordConf, known: Sequence[daemon_log.Event]) -> Program:
    """Return what the logs and the configuration say about a program that is FATAL.

    supervisord is not asked: it answers nobody else meanwhile.
    """
    own = process_of(name)
    kinds = [event.kind for event in known if event.name == own]
    ended = daemon_log.last_end(known, own) or ""
    status = re.match(r"exit status (\d+)", ended)
    refusals = [event.detail for event in known if event.kind == "spawnerr"]
    never_ran = "exited" not in kinds
    return Program(
        name=name,
        group=group_of(name),
        state="FATAL",
        start_time=int(daemon_log.last_start(known, own)) or None,
        exit_status=None if never_ran else int(status[1]) if status else -1,
        spawn_error=refusals[-1] if never_ran and refusals else None,
        log_file=_log_file(conf, name, "stdout_logfile"),
        error_log_file=_log_file(conf, name, "stderr_logfile"),
    )


def _log_file(conf: SupervisordConf, name: str, option: str) -> str | None:
    for section in (f"program:{process_of(name)}", f"program:{group_of(name)}"):
        with suppress(JawsError):  # only supervisord can expand it
            path = conf.get(section, option)
            if path and os.path.isabs(path):
                return path
    return None


def log(text: str) -> None:
    """Write a line to the log, which is standard error."""
    sys.stderr.write(f"{time.strftime('%Y-%m-%d %H:%M:%S')} {text}\n")
    sys.stderr.flush()


def main() -> None:
    """Listen to supervisord until it ends, or ends this; with C(tell), call the command once."""
    notifier = Notifier(sys.argv[1])
    if sys.argv[3:] == ["tell"]:
        notifier.relay(sys.stdin.buffer)
        return

    def end(*_signal: object) -> None:
        if notifier.process and notifier.process.poll() is None:
            kill(notifier.process)
        os._exit(0)  # without waiting for the other thread

    signal.signal(signal.SIGTERM, end)
    threading.Thread(target=notifier.work, daemon=True).start()
    notifier.listen(sys.stdin.buffer, sys.stdout.buffer)
    end()
