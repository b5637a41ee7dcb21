# SPDX-License-Identifier: GPL-3.0-or-later
"""Keeps the modules as Ansible packs them for a target, which takes it longer than most tasks do.

Ansible looks for packed modules in a directory that it makes for each run. Here that is a link to
a directory below .cache, whose name is a digest of the modules' sources.
"""

from __future__ import annotations

import gc
import hashlib
import os
from contextlib import suppress
from importlib import import_module
from importlib.util import find_spec
from pathlib import Path

from ansible import constants
from ansible.executor import module_common
from ansible.plugins.callback import CallbackBase

CLONE = Path(__file__).parents[3]


def sources() -> str:
    """Return a digest of what modules are made of: a look, not a reading."""
    places = [CLONE / "plugins", Path(module_common.__file__).parents[1] / "module_utils"]
    found = [path for place in places for path in place.rglob("*.py")]
    looks = [(str(path), path.stat().st_mtime_ns, path.stat().st_size) for path in sorted(found)]
    return hashlib.sha256(repr(looks).encode()).hexdigest()


class CallbackModule(CallbackBase):
    """Acts at the start of a playbook, before Ansible forks its workers."""

    CALLBACK_VERSION = 2.0
    CALLBACK_TYPE = "aggregate"
    CALLBACK_NAME = "keep_modules"
    CALLBACK_NEEDS_ENABLED = True

    def v2_playbook_on_start(self, _playbook: object) -> None:
        """Lay the link, and keep templates too."""
        # What counts templates sees them compiled; before ansible-core 2.19, Jinja computes with
        # constants when it compiles, and their filters may have changed since.
        if "COUNTED" not in os.environ and find_spec("ansible._internal"):
            import_module("kept_templates").install()
        kept = CLONE / ".cache/modules" / sources()
        with suppress(OSError):
            kept.mkdir(parents=True, exist_ok=True)
            os.symlink(kept, Path(constants.DEFAULT_LOCAL_TMP, "ansiballz_cache"))
        gc.freeze()
