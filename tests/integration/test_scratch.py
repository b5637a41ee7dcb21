# SPDX-License-Identifier: GPL-3.0-or-later
"""The role scratch on this machine: directories of the user, and those of another user."""

from __future__ import annotations

import getpass
import grp
import json
import os
import stat
from pathlib import Path
from typing import Any

from tests.integration.conftest import ansible

PLAY = """\
- hosts: localhost
  gather_facts: false
  roles: [jgi.jaws.scratch]
"""
GROUP = grp.getgrgid(os.getegid()).gr_name


def play(root: Path, *words: str, **options: Any) -> str:
    (root / "play.yml").write_text(PLAY)
    options.setdefault("ansible_connection", "local")
    call = ("-i", "localhost,", "-e", json.dumps(options), str(root / "play.yml"), *words)
    done = ansible("playbook", *call, home=root)
    assert done.returncode == 0, done.stdout
    return done.stdout


def test_directories_are_made_once_with_their_group_and_what_users_may_do(tmp_path: Path) -> None:
    made = [tmp_path / "scratch/jaws-dev/inputs", tmp_path / "scratch/jaws-dev/results"]
    options: dict[str, Any] = {
        "scratch_directories": [str(path) for path in made],
        "scratch_user": getpass.getuser(),
        "scratch_group": GROUP,
        "scratch_acl_groups": {"daemon": "rx"},
    }
    assert "changed=1 " in play(tmp_path, "--check", **options)
    assert not (tmp_path / "scratch").exists()
    assert "changed=1 " in play(tmp_path, **options)
    for path in made:
        found = path.stat()
        assert (stat.S_IMODE(found.st_mode), found.st_gid) == (0o2770, os.getegid())
        assert set(os.listxattr(path)) >= {"system.posix_acl_access", "system.posix_acl_default"}
    assert "changed=0 " in play(tmp_path, **options)


def test_an_operator_is_asked_for_a_directory_of_another_user(tmp_path: Path) -> None:
    missing, there = tmp_path / "missing", tmp_path / "there"
    there.mkdir()
    paths = [str(missing), str(there)]
    output = " ".join(play(tmp_path, scratch_directories=paths, scratch_user="nobody").split())
    assert f"{missing} must be made by nobody" in output
    assert "--tags scratch --limit localhost -K" in output
    assert f"{there} must" not in output
    assert not missing.exists()
