# SPDX-License-Identifier: GPL-3.0-or-later
"""A site without a network, set up as docs/offline.md says."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from pathlib import Path

from copy_tree import copy_tree
from tests.integration.conftest import CLONE, KEPT

PAGE = (CLONE / "docs/offline.md").read_text()
ALONE = ["unshare", "--net", *(["--user", "--map-root-user"] if os.geteuid() else [])]


def block(beginning: str) -> str:
    """Return the commands of the page from a line to the end of its block."""
    lines = PAGE[PAGE.index(f"    {beginning}") :].partition("\n\n")[0]
    return re.sub("^    ", "", lines, flags=re.MULTILINE)


def test_a_site_without_a_network_is_set_up_from_the_bundle(tmp_path: Path) -> None:
    clone, home = tmp_path / "clone", tmp_path / "home"
    home.mkdir()
    copy_tree(clone, ["tests", "molecule", "bench"])
    path = f"{Path(sys.executable).parent}:/usr/local/bin:/usr/bin:/bin"
    surroundings = {**KEPT, "HOME": str(home), "LANG": "C.UTF-8", "PATH": path}

    def run(commands: str, *before: str, where: Path = clone) -> str:
        call = [*before, "bash", "-euxc", commands]
        done = subprocess.run(
            call, cwd=where, env=surroundings, capture_output=True, text=True, check=False
        )
        assert done.returncode == 0, done.stdout + done.stderr
        return done.stdout

    run(block("mkdir bundle"))
    run(f"ansible-galaxy collection build --output-path {clone}/bundle")
    arguments = ["--no-index", "--find-links", str(clone / "bundle")]
    variables = {"site_root": str(tmp_path / "site"), "site_pip_arguments": arguments}
    (clone / "variables.json").write_text(json.dumps(variables))
    deploy = ".venv/bin/ansible-playbook playbooks/deploy.yml --tags install -e @variables.json"
    shown = run(f"{block('export PIP_NO_INDEX')}\n{deploy}", *ALONE)
    assert len(re.findall(r"^local_dev_j\w+ .* failed=0 ", shown, re.MULTILINE)) == 2
    assert (tmp_path / "site/jaws-supervisord/bin/supervisord").exists()
    (home / "bundle").symlink_to(clone / "bundle")
    run(block("ansible-galaxy collection install").splitlines()[0], *ALONE, where=home)
    installed = home / ".ansible/collections/ansible_collections/jgi/jaws/MANIFEST.json"
    assert installed.exists()
