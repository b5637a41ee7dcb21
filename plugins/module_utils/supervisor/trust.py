# Copyright: (c) 2026, The jgi.jaws engineers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Whom we trust with one supervisord: as its user, as the owner of files, or as a listener.

docs/reliability.md has this as a table. Nothing else decides about trust.
"""

from __future__ import annotations

import os
import pwd
import stat
from dataclasses import dataclass, replace
from typing import Iterable

from ..errors import JawsError
from ..system.files import acting_as, user_id, user_name
from .installation import runs_with

# What the reader of a refusal can do; {owner} is the account, {place} is "path" or "port".
TRUST_ADVICE = (
    "Run this as {owner}; or, if {owner} is the account that the instance runs as, name it in the "
    "option trusted_users. Otherwise choose another {place}."
)


@dataclass(frozen=True)
class Trust:
    """The accounts that one configuration and one caller know; C(uid in trust) is the decision.

    Who is trusted may listen at the address and get the key, and may own the log, the pid file and
    the socket.

    :param config: the path of the configuration, if there is one.
    :param owner: the uid that it belongs to.
    :param named: the uids that it names, as C(user) or in C(chown).
    :param caller: the uids that the caller names.
    """

    config: str | None = None
    owner: int | None = None
    named: frozenset[int] = frozenset()
    caller: frozenset[int] = frozenset()

    def naming(self, uids: Iterable[int]) -> Trust:
        """Return the same, except that the configuration also names these accounts."""
        return replace(self, named=self.named | frozenset(uids))

    def __contains__(self, uid: object) -> bool:
        return isinstance(uid, int) and self.why(uid) is not None

    def why(self, uid: int) -> str | None:
        """Return why an account is trusted, or None if it is not."""
        accounts: dict[str, Iterable[int | None]] = {
            "root": [0],
            "ourselves": [os.geteuid()],
            "the caller trusts it": self.caller,
            "the configuration's owner": [self.owner],
            "the configuration names it": self.named,
        }
        for reason, uids in accounts.items():
            if uid in uids:
                return reason
        if self._runs_what_root_configured(uid):
            return "it runs this configuration, and root asks"
        return None

    def _runs_what_root_configured(self, uid: int) -> bool:
        """Whether, according to the kernel, the account runs a supervisord with root's file.

        Only root can see that reliably. A user who may read the file has the key already.
        """
        if os.geteuid() != 0 or self.config is None:
            return False
        return may_read(self.config, uid) and runs_with(self.config, uid)


def may_read(path: str, uid: int) -> bool:
    """Return whether an account can open a file; unless root asks, by owners and modes alone."""
    try:
        account = pwd.getpwuid(uid)
        groups = set(os.getgrouplist(account.pw_name, account.pw_gid))
    except KeyError:
        groups = set()
    if os.geteuid() == 0 and groups:
        with acting_as(uid, account.pw_gid, sorted(groups)):
            return os.access(path, os.R_OK, effective_ids=True)
    real = os.path.realpath(path)
    try:
        return _has(os.stat(real), uid, groups, stat.S_IROTH) and all(
            _has(os.stat(folder), uid, groups, stat.S_IXOTH) for folder in _folders(real)
        )
    except OSError:
        return False


def refuse_unreadable(path: str, user: str | None, old: str) -> None:
    """Refuse to make a daemon read a file that its account cannot read: it would end.

    :param old: the file that it has read, in case only root knows all of its account's rights.
    :raises JawsError: says what would help (bad_option).
    """
    for uid in user_id(user):
        knows = os.geteuid() == 0 or may_read(old, uid)
        if knows and not may_read(path, uid):
            raise JawsError(
                f"supervisord ({old}) runs as {user_name(uid)}, who could not read the file when "
                "it is reloaded. Nothing was changed: let it belong to one of that account's "
                "groups, with mode 0640 (supervisord_config has the option group).",
                reason="bad_option",
            )


def _folders(path: str) -> Iterable[str]:
    while path != os.path.dirname(path):
        path = os.path.dirname(path)
        yield path


def _has(found: os.stat_result, uid: int, groups: set[int], right: int) -> bool:
    shift = 6 if found.st_uid == uid else 3 if found.st_gid in groups else 0
    return bool(found.st_mode & right << shift)


def uids_of(users: Iterable[str]) -> frozenset[int]:
    """Return the uids of accounts that the caller names, by name or by number.

    :raises JawsError: there is no such account here (bad_option).
    """
    found: set[int] = set()
    for user in users:
        uids = user_id(str(user))
        if not uids:
            raise JawsError(
                f"trusted_users: there is no account {user} on this host. Correct the name, or "
                "give its number.",
                "bad_option",
            )
        found |= uids
    return frozenset(found)
