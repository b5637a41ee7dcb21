# SPDX-License-Identifier: GPL-3.0-or-later
"""The manager: one process and six children, all of them idle."""

from __future__ import annotations

import logging
import multiprocessing
import os
import signal
import sys
import time
from multiprocessing.process import BaseProcess
from typing import List

from .standin import StandInError, log, service
from .standin.behaviour import Behaviour
from .standin.ini import Ini, flag
from .standin.outside import LOOK_SECONDS, Broker

# What the real manager's children do, and the one that is asked for tasks.
CHILDREN = ("worker-heartbeats", "task-kill", "worker-cleanup", "results", "commands", "queries")
CONSUMER = "commands"
PROCESSES = 1 + len(CHILDREN)
GRACE_SECONDS = 5.0


def manage(ini: Ini, log_dir: str, debug: bool) -> int:
    """Run until SIGTERM, then end all children and exit 1, as the real one does."""
    logger = log.setup(_log_file(log_dir), _level(ini, debug))
    behaviour = Behaviour.from_ini(ini)
    log.announce(logger, ini.path, ini.value("MYSQL", "password", str))
    service.require_database(ini, "MYSQL")
    broker = service.broker_of(ini, "RMQ")
    children = _start(behaviour, logger, broker, ini.value("JTM", "jtm_task_request_q", str))
    _serve_status(ini, behaviour)
    behaviour.arm(logger, lambda: _kill(children))

    def state() -> str:
        return f"manager, {1 + sum(child.is_alive() for child in children)} processes"

    try:
        return service.stay_alive(logger, behaviour, state)
    finally:
        _end(children)
        logger.info("ended, with %d children", len(children))


def _serve_status(ini: Ini, behaviour: Behaviour) -> None:
    """Consume the queue of series 2 that asks for the manager's status."""
    section, work = "JTM_RPC_SERVER", service.Work(behaviour)
    broker = service.broker_of(ini, section) if ini.has(section) else None
    if broker and not broker.is_away:
        number = ini.value(section, "num_threads", int, 5)
        work.consume(broker, ini.value(section, "queue", str), number)
        service.watch(broker, work.end)


def _level(ini: Ini, debug: bool) -> str:
    return "DEBUG" if debug or ini.value("SITE", "debug", flag) else "INFO"


def _log_file(log_dir: str) -> str:
    folder = os.path.join(log_dir, "manager")
    try:
        os.makedirs(folder, exist_ok=True)
    except OSError as error:
        raise StandInError(f"log directory {folder} cannot be made: {error.strerror}") from None
    return os.path.join(folder, "jtm.log")


def _start(
    behaviour: Behaviour, logger: logging.Logger, broker: Broker, queue: str
) -> List[BaseProcess]:
    """Start the children; an unhealthy manager runs without them."""
    # Forked, so that `ps` shows seven equal command lines, which is what JTM itself counts.
    context = multiprocessing.get_context("fork")
    names = () if behaviour.unhealthy else CHILDREN
    ignore = behaviour.ignore_sigterm
    children: List[BaseProcess] = [
        context.Process(
            target=_idle, args=(ignore, broker, queue if name == CONSUMER else ""), name=name
        )
        for name in names
    ]
    # A SIGTERM between two forks must find all children, and no child may have our handler.
    signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGTERM})
    signal.signal(signal.SIGTERM, _stop)
    for child in children:
        child.start()
        logger.debug("%s pid = %d", child.name, child.pid)
    if ignore:
        signal.signal(signal.SIGTERM, signal.SIG_IGN)
    signal.pthread_sigmask(signal.SIG_UNBLOCK, {signal.SIGTERM})
    return children


def _idle(ignore_sigterm: bool, broker: Broker, queue: str) -> None:
    """Stay, and consume the queue until the broker is away; the real one does not reconnect."""
    signal.signal(signal.SIGINT, signal.SIG_DFL)
    signal.signal(signal.SIGTERM, signal.SIG_IGN if ignore_sigterm else signal.SIG_DFL)
    signal.pthread_sigmask(signal.SIG_UNBLOCK, {signal.SIGTERM})
    if queue and not broker.is_away:
        with broker.consume(queue):
            while not broker.is_away:
                time.sleep(LOOK_SECONDS)
    while True:
        signal.pause()


def _stop(*_: object) -> None:
    # A second signal must not interrupt the ending of the children.
    signal.signal(signal.SIGTERM, signal.SIG_IGN)
    sys.exit(1)


def _end(children: List[BaseProcess]) -> None:
    for child in children:
        child.terminate()
    deadline = time.monotonic() + GRACE_SECONDS
    for child in children:
        child.join(max(0.0, deadline - time.monotonic()))
    _kill([child for child in children if child.is_alive()])


def _kill(children: List[BaseProcess]) -> None:
    for child in children:
        child.kill()
