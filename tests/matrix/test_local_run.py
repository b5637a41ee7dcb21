# SPDX-License-Identifier: GPL-3.0-or-later
"""A local site from its first deploy to its removal, with every ansible-core."""

from __future__ import annotations

import re
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.integration.conftest import ansible, bearing, wait_until
from tests.integration.test_deploy import Deployment, Run, changes, differing
from tests.matrix.conftest import MATRIX, NEIGHBOURS, PYTHONS

NOTHING = {"local_dev_jaws": 0, "local_dev_jtm": 0}
# Ansible's own warnings are about how we use it; of Python's, only those of our own code count.
OURS = re.compile(r"\[(DEPRECATION )?WARNING\]|ansible_collections/jgi/.*Warning: ")
CHANGE = {"jaws-central.conf": {"JAWS": {"docs_url": "elsewhere"}}}


class Site(Deployment):
    """The local site, with the playbooks run by one ansible-core or another."""

    def __init__(self, root: Path) -> None:
        # The names of environments depend on the Python that they are built with.
        super().__init__(root, sys.executable)

    def play_with(self, version: str, playbook: str, **variables: Any) -> dict[str, int]:
        """Run a playbook with an ansible-core; return the number of changed tasks by host."""
        done: Run = ansible(
            "playbook",
            *self.arguments(playbook, **variables),
            home=self.home,
            python=PYTHONS[version],
            ANSIBLE_DEPRECATION_WARNINGS="true",
            PYTHONWARNINGS="default",
        )
        assert not OURS.search(done.stdout), done.stdout
        return changes(done)

    def files(self) -> dict[str, bytes]:
        """Return what was rendered, by path; names carry a digest of the content."""
        found = [
            path
            for pattern in ("jaws-dev/*/configs/*", "jaws-dev/*/shims/*", "jaws-supervisord/bin/*")
            for path in self.site.glob(pattern)
        ]
        assert found
        return {str(path): path.read_bytes() for path in found}


@pytest.fixture
def site() -> Iterator[Site]:
    """A site with a short path, because of the sockets in it."""
    found = Site(Path(tempfile.mkdtemp(prefix="jm", dir="/tmp")))
    yield found
    found.end()


# make test only has time for one first deploy.
@pytest.mark.parametrize("version", [*PYTHONS][: 1 if MATRIX["ends"] else None])
def test_another_ansible_core_changes_nothing_of_a_site(version: str, site: Site) -> None:
    assert site.play_with(version, "deploy").keys() == NOTHING.keys()
    pids, files = site.pids(), site.files()
    assert site.play_with(NEIGHBOURS[version], "deploy") == NOTHING
    assert (site.pids(), site.files()) == (pids, files)
    if not MATRIX["ends"]:
        assert site.play_with(version, "deploy") == NOTHING
        operate(site, version)
        site.play_with(version, "remove", really="dev")
        assert {path.name for path in site.site.iterdir()} <= {"secrets", "scratch"}


def operate(site: Site, version: str) -> None:
    """Use every playbook that an operator uses."""
    confs, pids = site.confs(), site.pids()
    assert site.play_with(version, "status") == NOTHING
    site.play_with(version, "restart", programs="jaws-jtm")
    assert differing(pids, site.pids()) == ["jaws-jtm"]
    site.play_with(version, "deploy", jaws_configs=CHANGE)
    assert site.confs() != confs
    site.play_with(version, "rollback")
    assert site.confs() == confs
    site.play_with(version, "rotate_key")
    assert differing(confs, site.confs()) == ["jaws", "jtm"]
    pids = site.pids()
    for instance in confs:
        assert site.supervisorctl(instance, "shutdown").returncode == 0
    wait_until(lambda: not bearing(str(site.site)), "the end of the daemons")
    site.play_with(version, "recover")
    assert differing(pids, site.pids()) == sorted(pids)
