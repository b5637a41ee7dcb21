# SPDX-License-Identifier: GPL-3.0-or-later
"""jtm --config=FILE [--debug] COMMAND"""

from __future__ import annotations

import argparse
import os
import re
from typing import Iterator, List, Optional

from . import config
from .manager import PROCESSES, manage
from .standin import StandInError, service
from .tasks import KILLED, QUEUED, Tasks

# What Cromwell's backend passes for a task; accepted but ignored.
_SUBMIT = (
    ("-cl", "--cluster"),
    ("-A", "--account"),
    ("-c", "--ncpu"),
    ("-C", "--constraint"),
    ("-jid", "--cromwell_job_id"),
    ("-N", "--nnodes"),
    ("-nwpn", "--num_worker_per_node"),
    ("-P", "--partition"),
    ("-q", "--qos"),
    ("-s", "--shared"),
)


def job_time(text: str) -> str:
    """Return a time of the form hh:mm:ss; raise ValueError for another."""
    if not re.match(r"\d+:[0-5]\d:[0-5]\d$", text):
        raise ValueError(text)
    return text


def arguments(series: int) -> argparse.ArgumentParser:
    """Return the parser of the subset of jtm's commands that a service or Cromwell calls."""
    parser = argparse.ArgumentParser(
        prog="jtm", description="Stand-in for JTM.", allow_abbrev=False
    )
    parser.add_argument("--config", metavar="FILE", help="Config INI file")
    parser.add_argument("--debug", action="store_true")
    commands = parser.add_subparsers(dest="command", required=True)
    manager = commands.add_parser("manager", help="Start the manager.")
    manager.add_argument("-ld", "--log_dir", help="directory of the log")
    manager.add_argument("-r", "--show_resource_log", action="store_true")
    submit = commands.add_parser("submit", help="Register a task and print its id.")
    what = submit.add_mutually_exclusive_group(required=True)
    what.add_argument("-cmd", "--command", dest="task_command")
    what.add_argument("-f", "--task_file")
    submit.add_argument("-p", "--pool_name", required=True)
    submit.add_argument("-t", "--job_time", type=job_time)
    submit.add_argument("-m", "--memory", type=str if series == 1 else float)
    for names in _SUBMIT:
        submit.add_argument(*names)
    for name in ("kill", "isalive", "status"):
        commands.add_parser(name).add_argument("-tid", "--task_id", type=int, required=True)
    commands.add_parser("check-manager", help="Exit 0 when a manager has its processes.")
    return parser


def dispatch(args: argparse.Namespace) -> int:
    """Run one command and return its exit status; raise StandInError."""
    path = config.find(args.config)
    ini = config.load(path)
    log_dir = ini.value("JTM", "log_dir", str)
    if args.command == "manager":
        return manage(ini, args.log_dir or log_dir, args.debug)
    if args.command == "check-manager":
        return check_manager(path)
    return task(args, Tasks(os.path.join(log_dir, "tasks")))


def task(args: argparse.Namespace, tasks: Tasks) -> int:
    """Submit a task, kill it, or report its state; exit statuses are the real ones."""
    if args.command == "submit":
        # Cromwell finds the id by exactly this text.
        print(f"JTM task ID {tasks.submit()}")
        return 0
    if args.command == "kill":
        return 0 if tasks.kill(args.task_id) else 1
    state = tasks.state(args.task_id)
    if args.command == "isalive":
        print("yes" if state == QUEUED else "no")
    else:
        print(state)
    return 1 if state == KILLED else 0


def check_manager(path: str) -> int:
    """Return 0 if as many processes run with --config of this `path` as a manager has."""
    found = sum(_is_manager(words, path) for words in _command_lines())
    if found != PROCESSES:
        raise StandInError(f"{found} instead of {PROCESSES} manager processes use {path}")
    return 0


def _is_manager(words: List[str], path: str) -> bool:
    return "manager" in words and (f"--config={path}" in words or path in words)


def _command_lines() -> Iterator[List[str]]:
    for entry in os.listdir("/proc"):
        if entry.isdigit():
            try:
                with open(f"/proc/{entry}/cmdline", "rb") as stream:
                    yield os.fsdecode(stream.read()).split("\0")
            except OSError:
                continue  # It ended meanwhile.


def main(argv: Optional[List[str]] = None) -> int:
    """Console script jtm."""
    first = argparse.ArgumentParser(add_help=False, allow_abbrev=False)
    first.add_argument("--config")
    series = config.series(first.parse_known_args(argv)[0].config)
    args = arguments(series).parse_args(argv)
    return service.run(lambda: dispatch(args))
