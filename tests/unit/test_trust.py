# SPDX-License-Identifier: GPL-3.0-or-later
"""Which accounts we trust with one supervisord: docs/reliability.md's table, row by row."""

from __future__ import annotations

import os
import pwd
import re
import stat
from pathlib import Path

import pytest

from ansible_collections.jgi.jaws.plugins.module_utils.errors import JawsError
from ansible_collections.jgi.jaws.plugins.module_utils.supervisor import trust
from ansible_collections.jgi.jaws.plugins.module_utils.supervisor.trust import Trust
from collection import ROOT

APP, OPERATOR, STRANGER = 4_000_000_001, 4_000_000_002, 4_000_000_003
CONF = "/etc/supervisord.conf"
WAYS = {
    "root": Trust(CONF),
    "ourselves": Trust(CONF),
    "the caller trusts it": Trust(CONF, 0, caller=frozenset([APP])),
    "the configuration's owner": Trust(CONF, APP),
    "the configuration names it": Trust(CONF, 0, named=frozenset([APP])),
    "it runs this configuration, and root asks": Trust(CONF, 0),
}


@pytest.mark.parametrize("why", WAYS)
def test_each_account_is_trusted_in_its_own_way_and_a_stranger_in_none(
    monkeypatch: pytest.MonkeyPatch, why: str
) -> None:
    me = 0 if "root asks" in why else OPERATOR
    monkeypatch.setattr(os, "geteuid", lambda: me)
    monkeypatch.setattr(trust, "may_read", lambda path, uid: (path, uid) == (CONF, APP))
    monkeypatch.setattr(trust, "runs_with", lambda path, uid: (path, uid) == (CONF, APP))
    uid = {"root": 0, "ourselves": me}.get(why, APP)
    assert WAYS[why].why(uid) == why
    assert uid in WAYS[why]
    assert STRANGER not in WAYS[why]


@pytest.mark.parametrize(
    ("me", "reads", "runs"), [(OPERATOR, True, True), (0, False, True), (0, True, False)]
)
def test_what_runs_a_configuration_is_trusted_by_root_alone_if_it_has_the_key_anyway(
    monkeypatch: pytest.MonkeyPatch, me: int, reads: bool, runs: bool
) -> None:
    monkeypatch.setattr(os, "geteuid", lambda: me)
    monkeypatch.setattr(trust, "may_read", lambda *_: reads)
    monkeypatch.setattr(trust, "runs_with", lambda *_: runs)
    assert APP not in Trust(CONF, 0)
    assert APP not in Trust(None, 0)


def test_the_documentation_has_every_way() -> None:
    text = (ROOT / "docs/reliability.md").read_text()
    table = text[text.index("## Whose daemon it is") :].split("\n## ")[0]
    assert set(re.findall(r"^\| `(.*?)` \|", table, re.MULTILINE)) == set(WAYS)


def let_in(path: Path) -> None:
    """Let every user access the contents of a directory."""
    for folder in (path, *path.parents):
        if folder.stat().st_uid == os.geteuid():
            folder.chmod(folder.stat().st_mode | stat.S_IXOTH | stat.S_IXGRP)


def test_who_may_read_a_file_is_known_by_owner_groups_and_modes(tmp_path: Path) -> None:
    path = tmp_path / "f"
    path.touch()
    let_in(tmp_path)
    nobody = pwd.getpwnam("nobody").pw_uid
    for mode, others in ((0o644, True), (0o640, False), (0o600, False)):
        path.chmod(mode)
        assert trust.may_read(str(path), os.geteuid())
        assert trust.may_read(str(path), nobody) is others
    path.chmod(0o644)
    tmp_path.chmod(0o700)
    assert not trust.may_read(str(path), nobody)
    assert not trust.may_read(str(tmp_path / "none"), nobody)


def test_a_member_of_a_file_s_group_may_read_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    let_in(tmp_path)
    path = tmp_path / "f"
    path.touch(0o640)
    path.chmod(0o640)
    nobody = pwd.getpwnam("nobody").pw_uid
    monkeypatch.setattr(os, "getgrouplist", lambda *_: [path.stat().st_gid])
    assert trust.may_read(str(path), nobody)


def test_an_account_is_trusted_by_name_or_by_number() -> None:
    assert trust.uids_of(["root", "1234"]) == {0, 1234}
    with pytest.raises(JawsError, match="trusted_users: there is no account no-such-user"):
        trust.uids_of(["root", "no-such-user"])
