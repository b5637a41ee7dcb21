# SPDX-License-Identifier: GPL-3.0-or-later
"""The user's systemd units of a deployment: how long a stop may take."""

from __future__ import annotations

import json
import re
from pathlib import Path

from tests.integration.conftest import ansible

PLAY = """\
- hosts: localhost
  gather_facts: false
  roles: [jgi.jaws.boot]
"""
CONF = """\
[supervisord]
[program:slow]
command=/bin/true
stopwaitsecs=3600
[program:usual]
command=/bin/true
"""
UNKNOWN, MARGIN = 300, 60


def test_a_stop_may_take_as_long_as_the_services_may_take_together(tmp_path: Path) -> None:
    root = tmp_path / "supervisord"
    root.mkdir()
    (root / "supervisord-jaws.conf").write_text(CONF)
    (tmp_path / "play.yml").write_text(PLAY)
    instances = [
        {"name": name, "run_dir": str(tmp_path / name), "directory": str(tmp_path / name)}
        for name in ("jtm", "jaws")
    ]
    variables = {
        "ansible_connection": "local",
        "boot_script": str(tmp_path / "start.sh"),
        "boot_supervisord_root": str(root),
        "boot_instances": instances,
        "boot_unit": "jawsdev",
    }
    call = (str(tmp_path / "play.yml"), "-i", "localhost,", "-e", json.dumps(variables))

    def seconds() -> int:
        run = ansible("playbook", *call, home=tmp_path)
        assert run.returncode == 0, run.stdout
        unit = (tmp_path / ".config/systemd/user/jawsdev-stop.service").read_text()
        return int(re.findall(r"^TimeoutStopSec=(\d+)$", unit, re.MULTILINE)[0])

    # supervisord stops one after the other; an instance that is not deployed yet counts too.
    assert seconds() == 3601 + 11 + UNKNOWN + MARGIN
    (root / "supervisord-jtm.conf").write_text("[supervisord]\n")
    assert seconds() == 3601 + 11 + MARGIN
