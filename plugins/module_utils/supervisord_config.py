# Copyright: (c) 2026, The jgi.jaws engineers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The daemon's own sections and the key of one supervisord.conf, put in force without losing the way in.

While a new file is not in force yet, the old one lies beside it as C(FILE.previous), since only its
key and address open the running daemon. A run that was killed in between leaves it for the next one.
"""

from __future__ import annotations

import grp
import os
import re
import secrets
from typing import Any, Dict, Optional

from ansible_collections.jgi.jaws.plugins.module_utils import conf
from ansible_collections.jgi.jaws.plugins.module_utils.conf import Candidate, Conf
from ansible_collections.jgi.jaws.plugins.module_utils.daemon import Daemon
from ansible_collections.jgi.jaws.plugins.module_utils.errors import JawsError
from ansible_collections.jgi.jaws.plugins.module_utils.supervisor import Supervisor, read_conf, read_endpoint

KEY = re.compile(r"^[A-Za-z0-9_-]{22,}$")  # 128 bits and more
KEY_BYTES = 32  # 256 bits; written with the letters that Supervisor reads unescaped: [A-Za-z0-9_-]


class ConfigFile:
    """One supervisord.conf and how it is put in force.

    :param params: the supervisord_config module's options.
    """

    def __init__(self, params: Dict[str, Any]) -> None:
        self.params = params
        self.path = os.path.abspath(params["config"])
        self.previous = self.path + ".previous"
        text = conf.read_text(self.path)
        self.old: Optional[Conf] = None if text is None else conf.split(text)
        key = self._known_key()
        self.new_key = key is None or bool(params["rotate_key"])
        fresh = secrets.token_urlsafe(KEY_BYTES) if self.new_key else key
        daemon = conf.daemon_sections(params["sections"], params["username"], str(fresh))
        self.new = Conf(daemon, self.old.programs if self.old else "")

    def _known_key(self) -> Optional[str]:
        if self.old is None:
            return None
        key = read_conf(self.path).get("supervisorctl", "password", fallback="")
        # A password that people chose, as the old scripts had it, is replaced.
        return key if KEY.match(key) else None

    @property
    def interrupted(self) -> bool:
        """Whether an earlier run was killed before its file was in force."""
        return os.path.exists(self.previous)

    @property
    def differs(self) -> bool:
        """Whether the file's text or its access differs from what is wanted."""
        return self.old is None or self.new.text != self.old.text or self._access() != self._wanted_access()

    def _access(self) -> Any:
        found = os.stat(self.path)
        return found.st_mode & 0o7777, found.st_gid

    def _wanted_access(self) -> Any:
        gid = group_id(self.params["group"])
        return int(self.params["mode"], 8), os.stat(self.path).st_gid if gid is None else gid

    def apply(self) -> bool:
        """Write the file if it differs, and make a running daemon use it; return whether it reloaded."""
        if self.differs:
            self._write()
        if not self.interrupted:
            return False
        reloaded = self._put_in_force()
        os.unlink(self.previous)
        return reloaded

    def _write(self) -> None:
        gid = group_id(self.params["group"])
        with Candidate(self.path, self.new.text, int(self.params["mode"], 8), gid) as candidate:
            conf.validate(candidate.path, self.params["python"])
            needs_reload = self.old is not None and self.new.daemon != self.old.daemon
            if needs_reload and not self.interrupted:
                with Candidate(self.previous, self.old.text, 0o600) as old:  # type: ignore[union-attr]
                    old.commit()
            candidate.commit()

    def _put_in_force(self) -> bool:
        """Reload the daemon through whichever of the two files opens it; False where it is down."""
        daemon = Daemon(self.path, python=self.params["python"], timeout=self.params["timeout"])
        for path in (self.path, self.previous):
            client = Supervisor(read_endpoint(path), daemon.client.timeout)
            try:
                client.call("supervisor.getState")
            except JawsError as error:
                if error.reason not in ("down", "wrong_key"):
                    raise
                continue
            daemon.restart_in_place(client)
            return True
        return False


def group_id(name: Optional[str]) -> Optional[int]:
    """Return a group's id, or None for no name.

    :raises JawsError: no such group, or this user's process is not a member of it.
    """
    if name is None:
        return None
    try:
        gid = grp.getgrnam(name).gr_gid
    except KeyError:
        raise JawsError("there is no unix group %s here: correct the inventory." % name, "bad_option") from None
    if os.geteuid() != 0 and gid not in (*os.getgroups(), os.getegid()):
        raise JawsError(
            "this process is not a member of the unix group %s. Add the user to it; if it is a member since "
            "lately, end its old sessions (and ssh control masters) and log in again." % name,
            reason="not_a_member",
        )
    return gid


def manage(params: Dict[str, Any], check_mode: bool) -> Dict[str, Any]:
    """Bring one supervisord.conf's daemon sections to what is wanted.

    :raises JawsError: as the module's documentation lists under C(reason).
    """
    group_id(params["group"])
    file = ConfigFile(params)
    changed = file.differs or file.interrupted
    reloaded = file.apply() if changed and not check_mode else False
    before = conf.redact(file.old.daemon) if file.old else ""
    return dict(
        changed=changed,
        reloaded=reloaded,
        new_key=file.new_key,
        config=file.path,
        diff=dict(before=before, after=conf.redact(file.new.daemon), before_header=file.path, after_header=file.path),
    )
