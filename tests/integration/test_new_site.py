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
