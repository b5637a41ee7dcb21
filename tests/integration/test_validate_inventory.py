# SPDX-License-Identifier: GPL-3.0-or-later
"""The validation of a whole inventory, as an operator runs it: without connecting to any host."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
import yaml

from tests.integration.conftest import CLONE, ansible

CORI = CLONE / "inventories/cori"
SECRETS = CORI / "group_vars/all/vault.yml.example"
HEADING = "The inventory is wrong; nothing was done:"


def validate(home: Path, inventory: Path, *arguments: str, **variables: Any) -> tuple[int, str]:
    """Return the exit status and the output; variables are set for all hosts."""
    extra = ("-e", json.dumps({"site_root": str(home / "site"), **variables}))
    inventories = ("-i", str(inventory), *arguments)
    call = ("playbooks/deploy.yml", *inventories, "--tags", "inventory", *extra)
    done = ansible("playbook", *call, home=home)
    return done.returncode, done.stdout


def findings(output: str) -> list[str]:
    """Return the sentences of the message."""
    lines = output.partition(HEADING)[2].partition("Origin: ")[0]
    return [line.strip() for line in lines.splitlines() if line.strip()]


def test_an_inventory_is_valid_without_a_connection(tmp_path: Path) -> None:
    # No such host can be reached from here; neither can it be missed.
    code, output = validate(tmp_path, CORI, "-e", f"@{SECRETS}", ansible_connection="ssh")
    assert code == 0, output
    assert "cori_dev_jaws" in output
    code, output = validate(tmp_path, CLONE / "inventories/local")
    assert code == 0, output
    assert not (tmp_path / "site" / "jaws-supervisord").exists()


@pytest.mark.fault(28)
def test_every_fault_is_one_sentence(tmp_path: Path) -> None:
    code, output = validate(
        tmp_path,
        CLONE / "inventories/local",
        jaws_wheel="/w",
        deployment_rest_port="a port",
        jaws_log_level="QUIET",
        site_db_host="{{ site_database }}",
    )
    assert code != 0
    both = "local_dev_jaws, local_dev_jtm: "
    assert findings(output) == [
        both + "jaws_wheel is not a variable of jgi.jaws; did you mean jaws_wheels?",
        both + "jaws_db_host: no value: 'site_database' is undefined",
        both + "argument 'deployment_rest_port' is of type str and we were unable to convert to "
        "int: \"'a port'\" cannot be converted to an int",
    ]


@pytest.mark.fault(28)
def test_a_value_that_is_none_of_the_choices_is_named(tmp_path: Path) -> None:
    code, output = validate(tmp_path, CLONE / "inventories/local", jaws_log_level="QUIET")
    assert code != 0
    assert [line for line in findings(output) if "jaws_log_level" in line and "QUIET" in line]


@pytest.mark.fault(11)
def test_each_missing_secret_is_named_with_what_it_is_for(tmp_path: Path) -> None:
    secrets = yaml.safe_load(SECRETS.read_text())
    wanted = {name: secrets[name] for name in secrets if name.startswith("vault_")}
    del wanted["vault_site_db_password"], wanted["vault_jtm_rmq_password"]
    code, output = validate(tmp_path, CORI, **wanted)
    assert code != 0
    assert findings(output) == [
        "cori_dev_jaws: vault_site_db_password is missing: Password of the site's database.",
        "cori_dev_jtm: vault_jtm_rmq_password is missing: Password of JTM at RabbitMQ.",
    ]
    assert not [value for value in wanted.values() if len(str(value)) > 5 and str(value) in output]


@pytest.fixture
def second(tmp_path: Path) -> Path:
    """A second deployment on this machine, with paths of its own and some of the first's ports."""
    hosts = {
        "supervisord": {"children": {"jaws": {"hosts": {"local_staging_jaws": None}}}},
        "staging": {"hosts": {"local_staging_jaws": None}},
    }
    path = tmp_path / "second.yml"
    path.write_text(yaml.safe_dump(hosts))
    return path


@pytest.mark.fault(36)
def test_what_two_instances_would_share_is_named(tmp_path: Path, second: Path) -> None:
    local = CLONE / "inventories/local"
    code, output = validate(tmp_path, second, "-i", str(local), deployment_auth_port=3001)
    assert code != 0
    root = f"{tmp_path}/site/jaws-supervisord"
    shared = ["port 3001 on localhost.", f"{root}/supervisord-jaws.conf on localhost."]
    told = findings(output)
    for thing in [*shared, f"{root}/run/jaws on localhost."]:
        assert [line for line in told if line.endswith(f"both have {thing}")], told


def test_an_inventory_without_an_instance_is_named(tmp_path: Path) -> None:
    hosts = tmp_path / "hosts.yml"
    hosts.write_text("supervisor: {hosts: {one: }}\n")
    call = ("-i", str(hosts), "-m", "jgi.jaws.validate_inventory", "one")
    done = ansible("adhoc", *call, home=tmp_path)
    assert done.returncode != 0
    assert "the inventory has no host in the group supervisord" in done.stdout
