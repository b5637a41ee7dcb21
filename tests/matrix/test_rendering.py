# SPDX-License-Identifier: GPL-3.0-or-later
"""What a deploy writes is the same, byte for byte, with every ansible-core."""

from __future__ import annotations

import base64
import json
import re
import shutil
from pathlib import Path
from typing import Any

import pytest

from tests.integration.conftest import CLONE, ansible
from tests.matrix.conftest import MATRIX, PYTHONS

HERE = Path(__file__).parent
ROW = re.compile(r"^ok: \[(\S+)\] => (\{.*\})$", re.MULTILINE)
TASK = re.compile(r"^TASK \[(.*)\] \**$", re.MULTILINE)
AWKWARD = ["-i", "tests/matrix/awkward.yml"]
# On the command line, everything is text.
TEXTS = ["jaws_db_port=3308", "supervisord_port=9002", "jaws_version=1.0", "jaws_cromwell_port=1"]


def example(site: str) -> list[str]:
    """Return a site of inventories/, with the secrets of its example."""
    secrets = f"@inventories/{site}/group_vars/all/vault.yml.example"
    return ["-i", f"inventories/{site}", "-e", "jaws_wheels=/wheels", "-e", secrets]


SITES = {
    # By default, its Python is the one that runs Ansible.
    "local": ["-i", "inventories/local", "-e", "site_python=python3"],
    "cori": example("cori"),
    "lrc": example("lrc"),
    "awkward": AWKWARD,
    "given as text": [*AWKWARD, *(word for text in TEXTS for word in ("-e", text))],
}

Files = dict[tuple[str, str], Any]


@pytest.fixture(scope="module")
def playbook(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The playbook, next to the roles' templates and the collection's own playbooks."""
    folder = tmp_path_factory.mktemp("clone") / "playbooks"
    folder.mkdir()
    shutil.copy(HERE / "render.yml", folder)
    (folder / "group_vars").symlink_to(CLONE / "playbooks/group_vars")
    for kind in ("files", "templates"):
        (folder / kind).mkdir()
        # Two roles may have the same file, by a link.
        for name, path in {path.name: path for path in CLONE.glob(f"roles/*/{kind}/*")}.items():
            (folder / kind / name).symlink_to(path)
    return folder / "render.yml"


def rendered(python: Path, playbook: Path, site: list[str], home: Path) -> Files:
    """Return what is written, by host and kind."""
    done = ansible(
        "playbook",
        str(playbook),
        *site,
        "-e",
        f"@{HERE / 'host.yml'}",
        home=home,
        python=python,
        ANSIBLE_CALLBACK_RESULT_FORMAT="json",
        ANSIBLE_CALLBACK_FORMAT_PRETTY="false",
    )
    assert done.returncode == 0, done.stdout
    assert "WARNING" not in done.stdout
    found: Files = {}
    for task, output in zip(*[iter(TASK.split(done.stdout)[1:])] * 2, strict=True):
        for host, result in ROW.findall(output):
            encoded = json.loads(result)["msg"]
            found[host, task] = json.loads(base64.b64decode(encoded))
    return found


# make test only has time for the site that has everything.
@pytest.mark.parametrize("site", ["awkward"] if MATRIX["ends"] else SITES)
def test_every_ansible_core_renders_the_same_files(
    site: str, playbook: Path, tmp_path: Path
) -> None:
    by_version = {
        name: rendered(python, playbook, SITES[site], tmp_path) for name, python in PYTHONS.items()
    }
    newest = by_version[max(by_version)]
    assert {task for _host, task in newest} >= {"Render the daemon's files", "Render the release"}
    for found in by_version.values():
        assert as_written(found) == as_written(newest)


def as_written(files: Files) -> Files:
    """Return the files as they are on the host: Supervisor's options are text there."""
    return {
        key: json.loads(json.dumps(value), parse_int=str) if "sections" in key[1] else value
        for key, value in files.items()
    }
