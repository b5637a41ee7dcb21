# SPDX-License-Identifier: GPL-3.0-or-later
"""The validation of a whole inventory, as an operator runs it: without connecting to any host."""

from __future__ import annotations

import json
import re
import shutil
from pathlib import Path
from typing import Any

import pytest
import yaml

from ansible_collections.jgi.jaws.plugins.module_utils.system.files import umask
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


def secrets() -> dict[str, str]:
    """Return a value for each secret of Cori's."""
    names = yaml.safe_load(SECRETS.read_text())
    return {name: "a-secret" for name in names if name.startswith("vault_")}


def findings(output: str) -> list[str]:
    """Return the sentences of the last screen, and further up those that it has no room for."""
    found: list[str] = []
    # Below an empty line is what is true after any failure of the play.
    for line in output.partition(HEADING)[2].partition("\n\n")[0].splitlines()[1:]:
        if line.endswith("more lines further up) ..."):
            further_up = output.partition("more of: FAILED")[2].partition("\n\n")[0]
            found += further_up.splitlines()[1:]
        else:
            found.append(line)
    return [line.strip() for line in found if line != "  findings:"]


def test_an_inventory_is_valid_without_a_connection(tmp_path: Path) -> None:
    # No such host can be reached from here; neither can it be missed.
    code, output = validate(tmp_path, CORI, **secrets(), ansible_connection="ssh")
    assert code == 0, output
    assert "cori_dev_jaws" in output
    code, output = validate(tmp_path, CLONE / "inventories/local")
    assert code == 0, output
    assert not (tmp_path / "site" / "jaws-supervisord").exists()


def test_the_example_of_a_site_with_the_real_jaws_is_valid(tmp_path: Path) -> None:
    site = Site(tmp_path)
    page = (CLONE / "docs/jaws.md").read_text().partition("\n## The inventory\n")[2]
    (example,) = re.findall(r"^```yaml\n(.*?)^```", page, re.M | re.S)
    (site.directory / "group_vars/all/site.yml").write_text(f"ansible_connection: ssh\n{example}")
    code, output = validate(tmp_path, site.directory, **secrets())
    assert code == 0, output


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
        both + "site_db_host: 'site_database' is undefined",
        both + "deployment_rest_port must be a whole number, not a port.",
        both + "jaws_log_level must be one of DEBUG, INFO, WARNING, ERROR, CRITICAL, not QUIET.",
    ]


@pytest.mark.fault(11)
def test_each_missing_secret_is_named_with_what_it_is_for(tmp_path: Path) -> None:
    wanted = secrets()
    del wanted["vault_site_db_password"], wanted["vault_jtm_rmq_password"]
    code, output = validate(tmp_path, CORI, **wanted)
    assert code != 0
    assert findings(output) == [
        "cori_dev_jaws: vault_site_db_password is missing: Password of the site's database.",
        "cori_dev_jtm: vault_jtm_rmq_password is missing: JTM's password for RabbitMQ.",
    ]
    assert not [value for value in wanted.values() if len(str(value)) > 5 and str(value) in output]


@pytest.mark.fault(11)
def test_the_placeholders_of_an_example_are_refused(tmp_path: Path) -> None:
    code, output = validate(tmp_path, CORI, "-e", f"@{SECRETS}")
    assert code != 0
    refused = [line for line in findings(output) if "is a placeholder, not a secret." in line]
    assert len(refused) == len(findings(output)) == len(secrets())


class Site:
    """A site with one deployment on this machine, whose files a test writes."""

    def __init__(self, home: Path) -> None:
        self.home = home
        self.directory = home / "here"
        shutil.copytree(CLONE / "inventories/local", self.directory)

    def write(self, name: str, **variables: Any) -> Path:
        """Write a file of variables, and return its path."""
        path = self.directory / name
        path.parent.mkdir(exist_ok=True)
        path.write_text(yaml.safe_dump(variables))
        return path

    def check(self, *arguments: str) -> tuple[list[str], str]:
        """Return what the validation finds wrong, and all output."""
        code, output = validate(self.home, self.directory, *arguments)
        assert (code == 0) == (HEADING not in output), output
        return findings(output), output


@pytest.fixture
def site(tmp_path: Path) -> Site:
    return Site(tmp_path)


def test_a_value_that_the_wiring_overrides_is_named_in_every_file(site: Site) -> None:
    everywhere = site.write(
        "group_vars/all/the_rest.yml", jaws_log_level="INFO", jaws_java="java17"
    )
    instances = site.write("group_vars/supervisord.yml", jaws_instance="mine", jaws_window=4)
    # This is also found in a file of hosts.
    hosts = yaml.safe_load((site.directory / "hosts.yml").read_text())
    hosts["dev"]["vars"] = {"supervisord_user": "joe"}
    site.write("hosts.yml", **hosts)
    found, _output = site.check()
    assert sorted(found) == [
        f"jaws_instance has no effect in {instances}: it follows from instance_name. To override "
        "it for one host, use host_vars.",
        f"jaws_log_level has no effect in {everywhere}: set deployment_log_level.",
        f"supervisord_user has no effect in {site.directory} (group dev): set instance_user.",
    ]


def test_an_exception_of_one_host_or_one_run_has_effect(site: Site) -> None:
    site.write("host_vars/local_dev_jaws.yml", jaws_log_level="ERROR")
    site.write("group_vars/dev.yml", deployment_log_level="WARNING", deployment_rest_port=5999)
    assert site.check("-e", "jaws_wheels=/w")[0] == []
    show = ("-m", "ansible.builtin.debug", "-a", "msg={{ jaws_log_level }}-{{ jaws_rest_port }}")
    call = ("--playbook-dir", "playbooks", "-i", str(site.directory), *show, "supervisord")
    shown = ansible("adhoc", *call, home=site.home).stdout
    assert "ERROR-5999" in shown
    assert "WARNING-5999" in shown


def test_other_peoples_variables_are_left_alone(site: Site) -> None:
    theirs = {
        "vault_become_password": "x",
        "site_name": "x",
        "gitlab_runner_coordinator_url": "x",
        "boot_disk": "x",
    }
    site.write("host_vars/local_dev_jaws.yml", **theirs)
    site.write("host_vars/elsewhere.yml", purge_logs="x", **theirs)
    hosts = yaml.safe_load((site.directory / "hosts.yml").read_text())
    site.write("hosts.yml", **hosts, databases={"hosts": {"elsewhere": None}})
    found, output = site.check()
    assert found == []
    warning = f"jgi.jaws has no variable {', '.join(sorted(theirs))}."
    assert warning in " ".join(output.split())
    assert "purge_logs" not in output


def test_the_file_that_contains_a_wrong_value_is_named(site: Site) -> None:
    wrong = {"site_rqm_host": "x", "site_series": "5", "jaws_window": "long"}
    path = site.write("group_vars/all/the_rest.yml", **wrong)
    found = site.check()[0]
    misspelt = "site_rqm_host is not a variable of jgi.jaws; did you mean site_rmq_host?"
    assert found[0] == f"{path}: {misspelt}"
    assert {sentence.partition(":")[0] for sentence in found} == {str(path)}
    assert f"{path}: site_series must be one of 1, 2, 3, not 5." in found
    assert f"{path}: jaws_window must be a whole number, not long." in found
    assert len(found) == len(wrong)


def test_wrong_services_and_configurations_are_named_in_the_words_of_the_site(site: Site) -> None:
    path = site.write(
        "group_vars/all/the_rest.yml",
        site_configs={"jaws-sit.conf": {}, "nosuch.conf": {}},
        jaws_components={"sit": {}},
    )
    assert site.check()[0] == [
        f"{path}: jaws_components: there is no component sit; did you mean site?",
        f"{path}: site_configs: there is no file jaws-sit.conf; did you mean jaws-site.conf?",
        f"{path}: site_configs: there is no file nosuch.conf; there are cromwell.conf, "
        "jaws-central.conf, jaws-jtm.conf, jaws-site.conf.",
    ]
    path = site.write(
        "group_vars/all/the_rest.yml",
        site_services={"jaws-cromwel": None, "jaws-jtm": {"stopwaitsec": 5}},
    )
    assert site.check()[0] == [
        f"{path}: site_services: there is no service jaws-cromwel; did you mean jaws-cromwell?",
        f"{path}: site_services: jaws-jtm: there is no key stopwaitsec; did you mean stopwaitsecs?",
    ]


def test_a_misspelt_token_or_key_and_a_value_that_would_not_arrive_are_named_once(
    site: Site,
) -> None:
    path = site.write(
        "group_vars/all/the_rest.yml",
        site_configs={"jaws-jtm.conf": {"SLURM": {"partitoin": "x"}}},
        site_services={"jaws-jtm": {"command": ["jtm", "--config=@jaws-jmt.conf@"]}},
    )
    found, output = site.check()
    assert found == [
        f"{path}: site_services: jaws-jtm: there is no token @jaws-jmt.conf@; did you mean "
        "@jaws-jtm.conf@?",
        f"{path}: site_configs: jaws-jtm.conf: SLURM: there is no key partitoin; did you mean "
        "partition?",
    ]
    assert output.count("there is no token") == 1
    site.write("group_vars/all/the_rest.yml", site_configs={"jaws-jtm.conf": {"JTM": {"x": " y"}}})
    # One that is too long for a line goes on in the next one.
    assert " ".join(site.check()[0]) == (
        f"{path}: site_configs: jaws-jtm.conf: [JTM] x would not arrive as given: the service's "
        "parser drops leading and trailing spaces and lines that begin with # or ;, ends a line at "
        "a carriage return, and splits a key at = or :. Change it."
    )


MISTAKES: dict[str, tuple[dict[str, Any], str]] = {
    "not a mapping": (
        {"site_services": ["jaws-jtm"]},
        "site_services must be a mapping, not ['jaws-jtm'].",
    ),
    "no signal": (
        {"site_services": {"jaws-jtm": {"stopsignal": "TREM"}}},
        "site_services: jaws-jtm: stopsignal TREM is not a signal; write it as TERM or 15.",
    ),
    "nothing to install": (
        {"jaws_components": {"jtm": {"wheels": None}}},
        "jaws_components: jtm has nothing to install. Set its wheels or its requirements.",
    ),
}


@pytest.mark.parametrize("mistake", MISTAKES)
def test_a_mistake_is_named_once_in_the_words_of_the_site_and_not_by_each_task_that_it_breaks(
    site: Site, mistake: str
) -> None:
    given, sentence = MISTAKES[mistake]
    path = site.write("group_vars/all/the_rest.yml", **given)
    found, output = site.check()
    assert found == [f"{path}: {sentence}"]
    assert " ".join(output.split()).count(sentence) == 1
    assert "Finalization" not in output
    assert "Task failed" not in output


def test_a_file_of_variables_for_no_host_or_group_is_named(site: Site) -> None:
    host = site.write("host_vars/local_dev_jwas.yml", jaws_window=4)
    group = site.write("group_vars/devel.yml", jaws_window=4)
    site.write("group_vars/dev.yml.bak", jaws_window=4)
    assert site.check()[0] == [
        f"{host} has no effect: there is no host local_dev_jwas; did you mean local_dev_jaws?",
        f"{group} has no effect: there is no group devel; did you mean dev?",
    ]


@pytest.mark.parametrize("jar", ["none.jar", "."])
def test_a_jar_that_is_not_on_this_machine_is_named_before_anything_is_built(
    site: Site, jar: str
) -> None:
    artifacts = {"cromwell.jar": {"path": f"{site.home}/{jar}"}}
    path = site.write("group_vars/all/the_rest.yml", site_artifacts=artifacts)
    facts = site.directory / "group_vars/all/site.yml"
    lines = yaml.safe_load(facts.read_text())
    del lines["site_wheels_command"], lines["site_artifacts"]
    facts.write_text(yaml.safe_dump(lines))
    (found,) = site.check()[0]
    assert found.startswith(f"{path}: site_artifacts: cromwell.jar: {site.home}/{jar} ")


def test_an_address_that_was_copied_from_another_site_is_named(tmp_path: Path) -> None:
    inventories = tmp_path / "inventories"
    shutil.copytree(CORI, inventories / "cori")
    shutil.copytree(CORI, inventories / "newsite")
    facts = inventories / "newsite/group_vars/all/site.yml"
    facts.write_text(facts.read_text().replace("site_id: NERSC", "site_id: NEW"))
    # The other site's vault is encrypted with another password.
    vault = "$ANSIBLE_VAULT;1.1;AES256\n" + "61" * 40 + "\n"
    (inventories / "cori/group_vars/all/vault.yml").write_text(vault)
    # And somebody has not finished a third one.
    (inventories / "unfinished/group_vars").mkdir(parents=True)
    (inventories / "unfinished/hosts.yml").write_text("all: {hosts: {one: }}\n")
    (inventories / "unfinished/group_vars/all.yml").write_text("site_id: {{ site }}/\n")
    code, output = validate(tmp_path, inventories / "newsite", **secrets())
    assert code != 0
    assert findings(output) == [
        f"ansible_host is cori20.nersc.gov, as at site NERSC in {inventories}/cori. Change it to "
        "the address of site NEW, whose services would be deployed there."
    ]
    facts.write_text(facts.read_text().replace("cori20.", "perlmutter."))
    assert validate(tmp_path, inventories / "newsite", **secrets())[0] == 0


def test_a_runner_is_checked_without_the_variables_of_the_instances(tmp_path: Path) -> None:
    inventory = tmp_path / "cori"
    shutil.copytree(CORI, inventory)
    vault = inventory / "group_vars/all/vault.yml"
    vault.write_text("vault_gitlab_runner_token: change-me\n")
    call = ("playbooks/gitlab_runner.yml", "-i", str(inventory), "--check")
    local = ("-e", "ansible_connection=local", "-e", "ansible_become=false")
    refused = ansible("playbook", *call, *local, home=tmp_path)
    assert findings(refused.stdout) == [
        f"{vault}: vault_gitlab_runner_token is a placeholder, not a secret. Replace it, and "
        "encrypt the file."
    ]
    vault.write_text("vault_gitlab_runner_token: glrt-a-token-0123\n")
    passed = ansible("playbook", *call, *local, "--list-tasks", home=tmp_path)
    assert "Check what the inventory says about the runners" in passed.stdout


@pytest.mark.parametrize(
    "name", ["hosts.yml", "group_vars/all/site.yml", "host_vars/local_dev_jtm.yml"]
)
def test_yaml_that_cannot_be_parsed_is_named_with_its_file_and_line(site: Site, name: str) -> None:
    path = site.directory / name
    path.parent.mkdir(exist_ok=True)
    # There is another file of hosts, which can be parsed.
    (site.directory / "more_hosts.yml").write_text("all: {hosts: {x: }}\n")
    path.write_text("a: 1\nb: 2\nc: [3\n")
    code, output = validate(site.home, site.directory)
    assert code != 0
    told = "".join(output.split())
    assert str(path) in told
    assert re.search(r"line[34]|:[34]:", told), output
    assert "changed=1" not in told


@pytest.mark.parametrize(("site", "units"), [("lrc", '["gitlab-runner.service"]'), ("cori", "[]")])
def test_where_the_user_s_systemd_runs_the_runner_a_deployment_starts_it_too(
    site: str, units: str, tmp_path: Path
) -> None:
    shown = ("-m", "ansible.builtin.debug", "-a", "msg={{ boot_wanted_units | to_json }}")
    call = ("--playbook-dir", "playbooks", "-i", f"inventories/{site}", *shown, "jaws")
    done = ansible("adhoc", *call, "-e", "ansible_connection=local", home=tmp_path)
    assert f"msg: '{units}'" in done.stdout


def test_with_an_open_umask_no_directory_can_be_written_by_everybody(tmp_path: Path) -> None:
    with umask(0):
        code, output = validate(tmp_path, CLONE / "inventories/local")
    assert code == 0, output
    made = [tmp_path / "site", *(tmp_path / "site").rglob("*")]
    assert len(made) > 2
    assert [path for path in made if path.stat().st_mode & 0o022] == []


@pytest.fixture
def second(tmp_path: Path) -> Path:
    """A second deployment on this machine, with its own paths but some ports of the first one."""
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


@pytest.mark.parametrize("playbook", ["deploy", "status", "restart"])
def test_a_playbook_does_not_succeed_without_an_instance(tmp_path: Path, playbook: str) -> None:
    hosts = tmp_path / "hosts.yml"
    hosts.write_text("supervisor: {hosts: {one: }}\n")
    done = ansible("playbook", f"playbooks/{playbook}.yml", "-i", str(hosts), home=tmp_path)
    assert done.returncode == 2
    assert "the inventory has no host in the group supervisord" in done.stdout


def local_ports(home: Path, *arguments: str) -> list[list[int]]:
    """Return the ports of each instance of the local site of the user with this home directory."""
    shown = "msg={{ [jaws_auth_port, jaws_rest_port, jaws_cromwell_port] | join(',') }}"
    module = ("-i", "inventories/local", "-m", "ansible.builtin.debug", "-a", shown)
    done = ansible("adhoc", "supervisord", *module, *arguments, home=home)
    found = re.findall(r"\d+,\d+,\d+", done.stdout)
    assert len(found) == 2, done.stdout
    return [[int(port) for port in ports.split(",")] for ports in found]


def test_a_user_of_a_machine_has_ports_that_stay_and_that_one_fact_moves(tmp_path: Path) -> None:
    first, second = local_ports(tmp_path)
    assert first == second == [first[0], first[0] + 1, first[0] + 2]
    assert 20_000 <= first[0] < 30_000
    assert local_ports(tmp_path) == [first, first]
    chosen = tmp_path / ".local/share/jgi-jaws/secrets/first_port"
    chosen.write_text("0007\n")
    assert local_ports(tmp_path) == [[20007, 20008, 20009]] * 2
    assert local_ports(tmp_path, "-e", "local_first_port=31000") == [[31000, 31001, 31002]] * 2


def test_a_template_in_a_host_s_own_file_has_its_value(tmp_path: Path) -> None:
    site = tmp_path / "local"
    shutil.copytree(CLONE / "inventories/local", site)
    (site / "host_vars").mkdir()
    for instance in ("jaws", "jtm"):
        path = site / f"host_vars/local_dev_{instance}.yml"
        path.write_text('deployment_rest_port: "{{ local_first_port | int + 7 }}"\n')
    code, output = validate(tmp_path, site, local_first_port=20000)
    assert code == 0, output
