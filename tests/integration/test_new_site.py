# SPDX-License-Identifier: GPL-3.0-or-later
"""A new site, made as docs/sites.md says: copy a directory, change facts, and check them."""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.integration.conftest import CLONE, ansible, end_all
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
        assert code or "newsite_dev_" in output
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
site_id: ANYSITE
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
    given = {**dict.fromkeys(NEEDED, "x"), "site_scratch_dir": "/scratch"}
    code, output = validate(tmp_path, directory, **where, **given)
    assert code == 0, output


def test_the_site_of_the_page_is_complete_in_sixty_lines(tmp_path: Path) -> None:
    page = (CLONE / "docs/sites.md").read_text()
    hosts, site, vault, pool, services = re.findall(r"^```yaml\n(.*?)^```", page, re.M | re.S)
    assert len((hosts + site).splitlines()) <= 60
    directory = tmp_path / "newsite"
    (directory / "group_vars/all").mkdir(parents=True)
    (directory / "hosts.yml").write_text(hosts)
    (directory / "group_vars/all/site.yml").write_text(site)
    (directory / "group_vars/all/vault.yml").write_text(vault)
    where = {"site_root": "/srv/{{ deployment_name }}", "ansible_connection": "ssh"}
    found = findings(validate(tmp_path, directory, **where)[1])
    assert [finding for finding in found if "is a placeholder" not in finding] == []
    assert len(found) == 2
    # With secrets, and the page's third instance.
    (directory / "group_vars/all/vault.yml").write_text(vault.replace("...", "a-secret"))
    (directory / "pool.yml").write_text(pool)
    (directory / "group_vars/all/pool.yml").write_text(services)
    code, output = validate(tmp_path, directory, **where)
    assert code == 0, output


PROXY = "http://jaws:a-proxys-password@127.0.0.1:9"
SERVICES = ["message-consumer", "rpc-server", "run-daemon", "transfer-daemon"]
# What comes from another repository, as an image: it is listed last, so it stops last.
APPTAINER = str(CLONE / "tests/integration/apptainer/apptainer")
MANAGER = {"instance": "pool", "command": [APPTAINER, "run", "--cleanenv", "@pool.sif@"]}
POOL_PROGRAMS = {
    "pool-manager": MANAGER,
    "neighbour": {"instance": "pool", "command": ["sleep", "1000"]},
}
STOPPED = re.compile(r"^(\S+ \S+) \w+ stopped: ", re.M)
SHORT = {f"jaws-site-{name}": {"holds": 0} for name in ("run-daemon", "transfer-daemon")}


class Today:
    """A site of today on this machine: its inventory, with other paths and the stand-ins."""

    def __init__(self, name: str, root: Path, python: str) -> None:
        self.name, self.root = name, root
        self.host = f"{name}_dev"
        self.inventory = root / "inventory"
        shutil.copytree(CLONE / "inventories" / name, self.inventory, dirs_exist_ok=True)
        vault = self.inventory / "group_vars/all/vault.yml"
        vault.write_text(
            vault.with_suffix(".yml.example").read_text().replace("change-me", "a-secret")
        )
        build = [sys.executable, CLONE / "examples/build.py", "--output", root / "dist"]
        subprocess.run(build, check=True, stdout=subprocess.DEVNULL)
        self.variables: dict[str, Any] = {
            "ansible_connection": "local",
            "ansible_become": False,
            "ansible_python_interpreter": sys.executable,
            **dict.fromkeys(("site_jaws_user", "site_jaws_group"), ""),
            "site_root": f"{root}/{{{{ deployment_name }}}}",
            "site_supervisord_run_dir": f"{root}/run-{{{{ deployment_name }}}}",
            "site_scratch_dir": f"{root}/scratch",
            "site_python": python,
            "site_environment_modules": [],
            "site_environment": {"http_proxy": PROXY, "NO_PROXY": "localhost,127.0.0.1"},
            "site_instances_in_order": True,
            "site_services": {**SHORT, **POOL_PROGRAMS},
            "site_artifacts": {"pool.sif": {"path": f"{root}/pool.sif"}},
            "jaws_wheels": f"{root}/dist",
            "jaws_window": 4,
        }

    def supervisorctl(self, *words: str, instance: str = "jaws") -> str:
        """Return what an instance answers."""
        command = [self.root / "dev/supervisord/bin/supervisorctl", "-c"]
        command += [self.root / f"dev/supervisord/supervisord-{instance}.conf", *words]
        return subprocess.run(command, check=True, capture_output=True, text=True).stdout.strip()

    def log(self, instance: str) -> str:
        """Return the log of an instance's supervisord."""
        return (self.root / f"dev/supervisord/log/{instance}/supervisord.log").read_text()

    def play(self, playbook: str, *arguments: str, **variables: Any) -> str:
        """Run a playbook on the deployment dev, and return its output."""
        extra = ("-e", json.dumps({**self.variables, **variables}))
        call = ("-i", str(self.inventory), "--limit", f"{self.name}_dev*", *extra)
        done = ansible("playbook", f"playbooks/{playbook}.yml", *call, *arguments, home=self.root)
        assert done.returncode == 0, done.stdout
        return done.stdout


class Images:
    """The images of the instance pool, and what runs them."""

    def __init__(self, site: Today) -> None:
        self.site = site
        self.folder = site.root / "dev/jaws-dev/pool/artifacts"

    def write(self, version: int) -> None:
        (self.site.root / "pool.sif").write_text(f"import time\ntime.sleep(1000 + {version})\n")

    def play(self, playbook: str, **variables: Any) -> tuple[set[str], list[str]]:
        """Run a playbook for the instance; return what it has restarted, and the images there."""
        before = self._pids()
        self.site.play(playbook, "--limit", f"{self.site.host}_pool", **variables)
        after = self._pids()
        restarted = {name for name in before if before[name] != after[name]}
        return restarted, sorted(path.read_text() for path in self.folder.iterdir())

    def running(self) -> str:
        """Return the image that the manager runs."""
        words = Path(f"/proc/{self._pids()['pool-manager']}/cmdline").read_text().split("\0")
        return (self.folder / words[-2].removeprefix("Apptainer runtime parent: ")).read_text()

    def _pids(self) -> dict[str, str]:
        return {
            name: self.site.supervisorctl("pid", name, instance="pool") for name in POOL_PROGRAMS
        }


@pytest.fixture(scope="module")
def machine() -> Iterator[Path]:
    """A directory in which one site after the other is deployed, as if it were the first."""
    root = Path(tempfile.mkdtemp(prefix="js", dir="/tmp"))
    yield root
    shutil.rmtree(root)


@pytest.fixture(params=["tahoma", "dori", "jgi"], ids="{}@today".format)
def today(request: pytest.FixtureRequest, machine: Path, quick_python: str) -> Iterator[Today]:
    yield Today(request.param, machine, quick_python)
    end_all(machine)
    # The next site finds only environments, which take longest and are the same for all.
    for folder, names, files in os.walk(machine):
        links = [name for name in names if Path(folder, name).is_symlink()]
        for name in (*files, *links):
            Path(folder, name).unlink()
        names[:] = set(names) - {"venvs", "layers", *links}


def test_a_site_of_today_is_deployed_as_it_is_described(today: Today) -> None:
    images = Images(today)
    images.write(1)
    pool = {f"{today.host}_pool": {"instance_name": "pool"}}
    (today.inventory / "pool.yml").write_text(json.dumps({"dev": {"hosts": pool}}))
    output = today.play("deploy", "-vvv", "--diff")
    shown = today.play("status")
    for name in SERVICES:
        assert re.search(rf"^{today.host} +jaws-site-{name} +RUNNING ", shown, re.M), shown
    for name in POOL_PROGRAMS:
        assert re.search(rf"^{today.host}_pool +{name} +RUNNING ", shown, re.M), shown
    assert len(re.findall(r" RUNNING ", shown)) == 6

    # The proxy reaches the services, and its password stays in files that only the account reads.
    pid = today.supervisorctl("pid", "jaws-site-run-daemon")
    assert f"http_proxy={PROXY}" in Path(f"/proc/{pid}/environ").read_text().split("\0")
    assert "a-proxys-password" not in output + shown
    files = [path for path in today.root.rglob("*") if path.is_file() and not path.is_symlink()]
    holders = [path for path in files if b"a-proxys-password" in path.read_bytes()]
    assert holders
    assert {path.stat().st_mode & 0o007 for path in holders} == {0}

    if today.name == "jgi":
        an_image_follows_the_rules_of_releases(images)

    # What the inventory lists first stops first.
    today.play("stop")
    first, last = (max(STOPPED.findall(today.log(name))) for name in ("jaws", "pool"))
    assert first < last


def an_image_follows_the_rules_of_releases(images: Images) -> None:
    first = images.running()
    images.write(2)
    restarted, both = images.play("deploy")
    assert (restarted, len(both)) == ({"pool-manager"}, 2)
    assert images.running() != first
    assert images.play("rollback") == ({"pool-manager"}, both)
    assert images.running() == first
    images.write(3)
    restarted, left = images.play("deploy", jaws_keep_releases=1, jaws_grace_days=0)
    assert (restarted, left) == ({"pool-manager"}, [images.running()])
