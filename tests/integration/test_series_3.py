# SPDX-License-Identifier: GPL-3.0-or-later
"""JAWS of today, deployed as one instance: the stand-ins of series 3."""

from __future__ import annotations

import hashlib
import json
import re
import socket
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from tests.integration.conftest import CLONE, ansible, end_all
from tests.integration.ports import reserve_port

HOSTS = """
supervisord:
  hosts:
    today:
      deployment_name: dev
"""
SERVICES = ("rpc-server", "run-daemon", "transfer-daemon", "message-consumer")
SITE = {
    "ansible_connection": "local",
    "ansible_python_interpreter": "{{ ansible_playbook_python }}",
    "site_id": "TODAY",
    "site_series": 3,
    "site_supervisord_root": "{{ site_root }}/supervisord",
    "site_jaws_root": "{{ site_root }}/jaws-dev",
    "site_wheels": "{{ site_root }}/dist",
    "site_scratch_dir": "{{ site_root }}/scratch",
    "site_globus_endpoint_id": "endpoint",
    "site_db_host": "localhost",
    "site_rmq_host": "localhost",
    # What the parsers of the site and shells would change.
    "vault_site_db_password": "a$HOME%(b)s-${PATH}$",
    "vault_site_rmq_password": "c$$%d",
    "deployment_log_level": "DEBUG",
    "jaws_window": 4,
    # Longer than the 5 seconds that it takes a daemon to end here.
    "site_services": {f"jaws-site-{name}-daemon": {"holds": 10} for name in ("run", "transfer")},
    "site_configs": {
        "jaws-site.conf": {
            "SITE": {"max_ram_gb": 5, "max_cpu": 1, "max_time": 60},
            "STANDIN": {"second": 0.5},
        }
    },
}


class Today:
    """A site with its inventory, in a directory of its own."""

    def __init__(self, root: Path, home: Path, python: str) -> None:
        self.root, self.home, self.port = root, home, reserve_port()
        build = [sys.executable, CLONE / "examples/build.py", "--output", root / "dist"]
        subprocess.run(build, check=True, stdout=subprocess.DEVNULL)
        facts = {**SITE, "site_root": str(root), "site_python": python, "jaws_db_port": self.port}
        self.inventory = root / "inventory"
        (self.inventory / "group_vars").mkdir(parents=True)
        (self.inventory / "hosts.yml").write_text(HOSTS)
        (self.inventory / "group_vars/all.yml").write_text(json.dumps(facts))

    def deploy(self) -> tuple[int, str]:
        words = ["playbooks/deploy.yml", "-i", str(self.inventory)]
        done = ansible("playbook", *words, home=self.home)
        return done.returncode, done.stdout

    @contextmanager
    def only(self, password: str) -> Iterator[None]:
        """Let the database accept one password, as the stand-ins see it."""
        digest = hashlib.sha256(password.encode()).hexdigest()[:32]
        with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as right:
            right.bind(f"\0jaws-stand-in/right/localhost:{self.port}/{digest}")
            yield


@pytest.fixture
def today(short_tmp: Path, tmp_path: Path, quick_python: str) -> Iterator[Today]:
    yield Today(short_tmp, tmp_path, quick_python)
    end_all(short_tmp)


def test_a_wrong_password_of_the_database_arrives_as_given_and_never_becomes_a_good_release(
    today: Today,
) -> None:
    with today.only("another"):
        code, output = today.deploy()
    assert code != 0
    # Either daemon may be seen to end first; its own words do not name the cause.
    said = r"jaws-site-(run|transfer)-daemon: what it needs is away: database jaws_today_dev at "
    assert re.search(said, output), output
    assert "The instance was put back to what it ran before." in output
    given = hashlib.sha256(str(SITE["vault_site_db_password"]).encode()).hexdigest()
    for name in SERVICES:
        logged = (today.root / f"jaws-dev/jaws/logs/jaws-site-{name}.log").read_text()
        assert f"DB password sha256 {given}" in logged
