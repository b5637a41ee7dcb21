# SPDX-License-Identifier: GPL-3.0-or-later
"""A new site, made as docs/sites.md says: copy a directory, change facts, and check them."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from tests.integration.conftest import CLONE
from tests.integration.test_validate_inventory import findings, validate

ORIGINS = ("cori", "lrc")


def replace(path: Path, old: str, new: str) -> None:
    """Change a fact, which must exist."""
    text = path.read_text()
    assert old in text, f"{path}: no {old}"
    path.write_text(text.replace(old, new))


class NewSite:
    """A copy of a site's directory under the name newsite, with facts of its own."""

    def __init__(self, origin: str, home: Path) -> None:
        self.home = home
        self.directory = home / "newsite"
        shutil.copytree(CLONE / "inventories" / origin, self.directory)
        self.hosts = self.directory / "hosts.yml"
        self.facts = self.directory / "group_vars/all/site.yml"
        self.vault = self.directory / "group_vars/all/vault.yml"
        # 1. hosts.yml
        replace(self.hosts, f"{origin}_", "newsite_")
        # 2. the site's facts
        ids = {"cori": "NERSC", "lrc": "LRC"}
        replace(self.facts, f"site_id: {ids[origin]}", "site_id: NEW")
        # 3. the vault, which need not be encrypted here
        shutil.copy(self.vault.with_name("vault.yml.example"), self.vault)
        replace(self.vault, "change-me", "a-secret")

    def check(self) -> list[str]:
        """Return what the validation finds wrong: nothing if it succeeds."""
        facts = {"site_root": "/srv/jaws/{{ deployment_name }}", "ansible_connection": "ssh"}
        code, output = validate(self.home, self.directory, **facts)
        found = findings(output)
        assert (code == 0) == (not found), output
        assert code or "newsite_dev_jaws" in output
        return found


@pytest.mark.parametrize("origin", ORIGINS)
def test_a_copy_with_other_facts_is_valid(origin: str, tmp_path: Path) -> None:
    assert NewSite(origin, tmp_path).check() == []


@pytest.mark.parametrize("origin", ORIGINS)
def test_what_is_wrong_in_a_copy_is_named(origin: str, tmp_path: Path) -> None:
    site = NewSite(origin, tmp_path)
    replace(site.facts, "site_rmq_host:", "site_rqm_host:")
    replace(site.vault, "vault_central_db_password:", "# vault_central_db_password:")
    told = "\n".join(site.check())
    assert "site_rqm_host is not a variable of jgi.jaws; did you mean site_rmq_host?" in told
    assert "vault_central_db_password is missing: Password of central's database." in told


def test_a_port_that_another_deployment_has_is_named(tmp_path: Path) -> None:
    site = NewSite("lrc", tmp_path)
    # What differs in one deployment is stated once, for both instances.
    (site.directory / "group_vars/prod.yml").write_text("deployment_rest_port: 5001\n")
    found = site.check()
    assert len(found) == 1, found
    assert found[0].endswith("both have port 5001 on lrc-services.lbl.gov.")
    assert "newsite_dev_jaws (deployment_rest_port)" in found[0]
    assert "newsite_prod_jaws (deployment_rest_port)" in found[0]


POOL = """
supervisord:
  hosts:
    newsite_dev_pool:
      deployment_name: dev
      instance_name: pool
      instance_user: condor
      instance_port: 64120
"""
SERVICE = "site_services: { pool-manager: { instance: pool, command: [pool, start] } }\n"


def test_a_third_instance_takes_inventory_data_only(tmp_path: Path) -> None:
    site = NewSite("cori", tmp_path)
    (site.directory / "pool.yml").write_text(POOL)
    (site.directory / "group_vars/all/pool.yml").write_text(SERVICE)
    assert site.check() == []
    # What the other instances are called, and have, is still theirs.
    replace(
        site.directory / "pool.yml", "instance_name: pool", "instance_services: [jaws-cromwell]"
    )
    found = site.check()
    for thing in ("the service jaws-cromwell", "supervisord-jaws.conf"):
        assert [line for line in found if thing in line and "newsite_dev_pool" in line], found


ONE = """
supervisord:
  hosts:
    newsite:
      deployment_name: try
      instance_services: [jaws-site-central-rpc]
"""
FACTS = """
ansible_host: newsite.example.org
site_id: ANYSITE_OF_TODAY
site_supervisord_root: "{{ site_root }}/supervisord"
site_jaws_root: "{{ site_root }}/jaws-{{ deployment_name }}"
site_wheels: /wheels
"""
NEEDED = {
    "site_db_host": "Host of the databases.",
    "site_globus_client_id": "JAWS's client id at Globus.",
    "site_globus_endpoint_id": "The site's endpoint at Globus.",
    "site_rmq_host": "Host of RabbitMQ between central and sites.",
    "site_scratch_dir": "Scratch directory of the services.",
    "vault_central_rmq_password": "Central's password for RabbitMQ.",
    "vault_globus_client_secret": "JAWS's secret at Globus.",
    "vault_site_db_password": "Password of the site's database.",
    "vault_site_rmq_password": "The site's password for RabbitMQ.",
}


def test_a_site_is_asked_only_for_what_its_services_need(tmp_path: Path) -> None:
    directory = tmp_path / "newsite"
    (directory / "group_vars").mkdir(parents=True)
    (directory / "hosts.yml").write_text(ONE)
    (directory / "group_vars/all.yml").write_text(FACTS)
    where = {"site_root": "/srv/jaws", "ansible_connection": "ssh"}
    code, output = validate(tmp_path, directory, **where)
    assert code != 0
    assert sorted(findings(output)) == [
        f"newsite: {name} is missing: {meaning}" for name, meaning in sorted(NEEDED.items())
    ]
    code, output = validate(tmp_path, directory, **where, **dict.fromkeys(NEEDED, "x"))
    assert code == 0, output
