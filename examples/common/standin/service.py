# SPDX-License-Identifier: GPL-3.0-or-later
"""The frame of a stand-in: command line, exit status, worker threads, heartbeat."""

from __future__ import annotations

import argparse
import logging
import os
import threading
import time
from typing import Callable, Dict, Iterable, Mapping, Tuple

from . import StandInError
from .behaviour import Behaviour
from .log import LEVELS, NAME

HEARTBEAT_SECONDS = 5.0


def arguments(
    package: str, description: str, commands: Mapping[str, str]
) -> Tuple[argparse.ArgumentParser, Dict[str, argparse.ArgumentParser]]:
    """Return the parser of jaws-site or jaws-central, and one parser for each of its commands.

    As with the real ones, JAWS_SITE_LOG and the like are used if an option is not given, and
    without both a file in the working directory that is named after the package.
    """
    parser = argparse.ArgumentParser(
        prog=package.replace("_", "-"), description=description, allow_abbrev=False
    )
    for option, what in (("config", "Config INI file"), ("log", "Log file")):
        suffix = "conf" if option == "config" else "log"
        fallback = os.path.join(os.getcwd(), f"{package}.{suffix}")
        default = os.environ.get(f"{package.upper()}_{option.upper()}", fallback)
        parser.add_argument(f"--{option}", default=default, metavar="FILE", help=what)
    parser.add_argument("--log-level", default="INFO", choices=LEVELS, help="Logging level")
    choices = parser.add_subparsers(dest="command", required=True)
    return parser, {
        name: choices.add_parser(name, help=text, description=text)
        for name, text in commands.items()
    }


def run(body: Callable[[], int]) -> int:
    """Return the exit status of `body`; a StandInError is one line on standard error and 1."""
    try:
        return body()
    except StandInError as error:
        # If the logger has no handlers yet, logging itself writes this to standard error.
        logging.getLogger(NAME).critical("%s", error)
        return 1
    except KeyboardInterrupt:
        return 130


def start_threads(names: Iterable[str], behaviour: Behaviour) -> None:
    """Start one idle thread per name; an unhealthy service runs without them."""
    if behaviour.unhealthy:
        return
    for name in names:
        threading.Thread(target=threading.Event().wait, name=name, daemon=True).start()


def stay_alive(
    logger: logging.Logger,
    behaviour: Behaviour,
    state: Callable[[], str],
    seconds: float = HEARTBEAT_SECONDS,
) -> int:
    """Log `state` every few seconds until a signal ends the process; unhealthy is silent."""
    while True:
        if not behaviour.unhealthy:
            logger.info("heartbeat: %s", state())
        time.sleep(seconds)
