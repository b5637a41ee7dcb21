# SPDX-License-Identifier: GPL-3.0-or-later
"""Logging to a file and to standard error, as the real services do."""

from __future__ import annotations

import hashlib
import logging
from logging.handlers import RotatingFileHandler
from typing import List, Optional

from . import StandInError

NAME = "jaws"
LEVELS = ("DEBUG", "INFO", "WARNING", "ERROR", "CRITICAL")
# The real ones rotate at the same size.
_ROTATE_BYTES = 100_000_000


def setup(path: Optional[str], level: str) -> logging.Logger:
    """Return the logger, writing to standard error and, when given, to the file `path`.

    Raise StandInError when the file cannot be opened.
    """
    handlers: List[logging.Handler] = [logging.StreamHandler()]
    if path is not None:
        try:
            handlers.append(
                RotatingFileHandler(path, maxBytes=_ROTATE_BYTES, backupCount=3, encoding="utf-8")
            )
        except OSError as error:
            raise StandInError(f"log file {path} cannot be opened: {error.strerror}") from None
    logger = logging.getLogger(NAME)
    logger.setLevel(level)
    for handler in handlers:
        handler.setFormatter(logging.Formatter("%(asctime)s - %(levelname)s - %(message)s"))
        logger.addHandler(handler)
    return logger


def fingerprint(password: str) -> str:
    """Return the sha256 of a password in hex: shows that it arrived, without showing it."""
    return hashlib.sha256(password.encode("utf-8", "surrogatepass")).hexdigest()


def announce(logger: logging.Logger, config: str, password: Optional[str]) -> None:
    """Log which file is in force and, at DEBUG, the fingerprint of the database's password."""
    logger.info("Config using %s", config)
    if password is not None:
        logger.debug("DB password sha256 %s", fingerprint(password))
