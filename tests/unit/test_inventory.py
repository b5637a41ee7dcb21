# SPDX-License-Identifier: GPL-3.0-or-later
"""What can be wrong with an inventory, according to pure functions."""

from __future__ import annotations

import inspect
import re
from pathlib import Path
from typing import Any

import pytest

from ansible_collections.jgi.jaws.plugins.plugin_utils import inventory, proxies
from ansible_collections.jgi.jaws.plugins.plugin_utils.inventory import (
    CHECKS,
    Address,
    Claim,
    Finding,
    Spec,
    Statement,
    ambiguous_hosts,
    catalogues_in,
    claims,
    configs_in,
    conflicts,
    copied_addresses,
    effective,
    first_sentence,
    located,
    marked,
    missing_options,
    misspelt_folders,
    misspelt_names,
    needed,
    other_names,
    overridden,
    placeholders,
    read_role_variables,
    read_spec,
    repeated_keys,
    shared_by_inventories,
    too_long,
    without_effect,
    without_entity,
    without_value,
    wrong_artifacts,
    wrong_changes,
    wrong_extra_variables,
    wrong_value,
)
from ansible_collections.jgi.jaws.plugins.plugin_utils.wiring import Wiring

Data = dict[str, Any]

ROOT = Path(__file__).parents[2]
WIRED: dict[str, Data] = {
    "supervisord": {
        "jaws_rest_port": "{{ deployment_rest_port | default(__deployment.rest_port) }}",
        "jaws_wheels": "{{ site_wheels | default('') }}",
        "jaws_dir": "{{ site_root }}/{{ jaws_instance }}",
    },
    "jaws": {"jaws_instance": "jaws", "jaws_user": "{{ site_jaws_user }}"},
    "jtm": {"jaws_instance": "jtm", "jaws_user": "{{ site_jtm_user }}"},
}
SPEC = Spec(
    roles={
        "jaws": {
            "jaws_instance": {"required": True, "description": "The instance."},
            "jaws_rest_port": {"type": "int", "default": 1, "description": "A port."},
            "jaws_wheels": {"type": "path", "default": "", "description": "A directory."},
            "jaws_dir": {"type": "path", "default": "", "description": "A directory."},
            "jaws_user": {"default": "", "description": "A user."},
        },
        "gitlab_runner": {
            "gitlab_runner_directory": {"required": True, "description": "A directory."},
            "gitlab_runner_log": {"default": "{{ gitlab_runner_directory }}/log"},
        },
    },
    facts={
        "site_id": {"description": "The site's id."},
        "vault_key": {"description": "A key."},
        "deployment_rest_port": {"description": "A port. Of REST."},
    },
    wiring=Wiring(WIRED),
)
ONE = {**WIRED["supervisord"], **WIRED["jaws"]}
TWO = {**WIRED["supervisord"], **WIRED["jtm"]}


def values(**changed: Any) -> Data:
    found = {
        "ansible_connection": "local",
        "supervisord_root": "/r/supervisord",
        "supervisord_run_dir": "/r/supervisord/run/jaws",
        "supervisord_instance": "jaws",
        "supervisord_listen": "unix",
        "supervisord_port": 9001,
        "jaws_root": "/r/jaws-dev",
        "jaws_instance": "jaws",
        "jaws_deployment": "dev",
        "jaws_site_id": "CORI",
        "jaws_db_host": "db",
        "jaws_auth_port": 3001,
        "jaws_rest_port": 5001,
        "jaws_cromwell_port": 50101,
    }
    return {**found, **changed}


def jtm(**changed: Any) -> Data:
    names = {
        "supervisord_instance": "jtm",
        "jaws_instance": "jtm",
        "supervisord_run_dir": "/r/run/jtm",
    }
    return values(**{**names, **changed})


# ---- Names


@pytest.mark.fault(28)
def test_a_misspelt_name_is_reported_with_the_one_that_was_meant() -> None:
    names = ["jaws_wheel", "site_id", "jaws_wheels", "path", "ansible_host", "site_name"]
    sentence = "jaws_wheel is not a variable of jgi.jaws; did you mean jaws_wheels?"
    assert misspelt_names(names, SPEC) == [Finding("jaws_wheel", sentence)]


def test_a_misspelt_variable_of_ansible_s_is_named() -> None:
    sentence = "ansible_hots is not a variable of Ansible; did you mean ansible_host?"
    assert misspelt_names(["ansible_hots", "ansible_port"], SPEC) == [
        Finding("ansible_hots", sentence)
    ]


def test_a_name_that_only_begins_like_ours_may_belong_to_another_role() -> None:
    names = ["vault_become_password", "site_name", "jaws_wheel", "jaws_wheels", "boot_disk", "path"]
    assert other_names(names, SPEC) == ["site_name", "vault_become_password"]


def test_every_role_of_the_collection_has_its_prefix() -> None:
    spec = read_spec()
    assert {"supervisord_", "jaws_", "gitlab_runner_", "site_", "vault_"} <= set(spec.prefixes)
    folders = (Path(__file__).parents[2] / "roles").glob("*/meta/argument_specs.yml")
    assert {f"{path.parts[-3]}_" for path in folders} <= set(spec.prefixes)
    assert all("description" in option for option in spec.known.values())


# ---- Which roles a host uses, and what they lack


def test_a_host_uses_the_roles_whose_required_options_it_states() -> None:
    assert list(SPEC.options(["gitlab_runner_directory"])) == list(SPEC.roles["gitlab_runner"])
    assert SPEC.options(["jaws_wheels", "site_id"]) == {}


def test_a_required_option_that_is_not_stated_is_missing() -> None:
    roles = {"jaws": {**SPEC.roles["jaws"], "jaws_id": {"required": True, "description": "An id."}}}
    told = missing_options(["jaws_id"], Spec(roles, {}))
    assert told == [Finding("jaws_instance", "jaws_instance is missing: The instance.")]


def test_a_message_has_the_first_sentence_of_a_description_without_markup() -> None:
    assert first_sentence("As in C(-Xmx), with O(x=1). V(2) is more.") == "As in -Xmx, with x=1."
    assert first_sentence(["A path.", "More."]) == "A path."


def test_no_sentence_about_a_variable_has_markup() -> None:
    sentences = [first_sentence(option["description"]) for option in read_spec().known.values()]
    assert sentences
    assert not [sentence for sentence in sentences if re.search(r"\b[A-Z]+\(", sentence)]


# ---- Facts


def test_a_fact_that_only_renames_an_option_means_what_the_option_means() -> None:
    spec = read_spec()
    option, fact = spec.roles["jaws"]["jaws_log_level"], spec.facts["deployment_log_level"]
    assert {**fact, "default": option["default"]} == option
    assert "site_python" in spec.facts


def test_the_catalogues_of_the_role_are_found() -> None:
    found = catalogues_in(read_role_variables())
    assert "jaws-cromwell" in found["services"]
    assert {"site", "jtm"} <= set(found["components"])
    assert found["formats"]["cromwell.conf"] == "hocon"


def test_a_service_has_the_configurations_of_the_catalogue_in_any_instance() -> None:
    variables = read_role_variables()
    assert set(configs_in(variables, {"a": {"origin": "jtm"}}, "2")) == {
        "jaws-jtm.conf",
        "cromwell.conf",
    }
    both = {"a": {"origin": "jtm"}, "b": {"origin": "jaws"}, "mine": {"origin": "condor"}}
    assert set(configs_in(variables, both, "2")) > {"jaws-jtm.conf", "jaws-site.conf"}


# ---- What the services of an instance need

OPTIONS: dict[str, Data] = {"password": {}, "host": {}, "port": {"default": 1}, "user": {}}


def test_only_what_has_neither_a_value_nor_a_default_is_marked() -> None:
    given = {"password": "", "host": "h", "port": ""}
    assert marked(given, OPTIONS) == {"password": "=password="}


def test_a_fact_is_missing_only_if_a_service_of_the_instance_would_get_it() -> None:
    raw = {"jaws_dir": "{{ site_id }}", "jaws_user": "{{ vault_key }}"}
    marks = {"jaws_dir": "=jaws_dir=", "jaws_user": "=jaws_user="}
    release = {"site.conf": {"DB": {"url": "mysql://=jaws_user=:3306"}}}
    told = needed(marks, release, raw, SPEC)
    assert told == [Finding("vault_key", "vault_key is missing: A key.")]
    assert needed(marks, {}, raw, SPEC) == []


# ---- What cannot be evaluated


def test_one_missing_secret_is_one_sentence_whatever_needs_it() -> None:
    error = "'vault_key' is undefined"
    errors = {"jaws_instance": error, "jaws_dir": error}
    told = without_value(errors, ONE, SPEC)
    assert told == [Finding("vault_key", "vault_key is missing: A key.")]


def test_a_fact_without_a_default_of_its_deployment_is_missing() -> None:
    told = without_value({"jaws_rest_port": "'__deployment' is undefined"}, ONE, SPEC)
    assert [finding.sentence for finding in told] == ["deployment_rest_port is missing: A port."]


def test_another_cause_is_reported_with_what_the_inventory_states() -> None:
    error = "Attempting to decrypt but no vault secrets found."
    raw = {**ONE, "site_wheels": "{{ nope }}"}
    told = without_value({"jaws_wheels": error, "jaws_dir": error, "site_wheels": error}, raw, SPEC)
    assert told == [Finding("site_wheels", f"site_wheels: {error}")]
    assert without_value({"jaws_dir": error}, ONE, SPEC) == [
        Finding("jaws_dir", f"jaws_dir: {error}")
    ]
    assert without_value({"jaws_wheels": "'nope' is undefined"}, raw, SPEC) == [
        Finding("site_wheels", "site_wheels: 'nope' is undefined")
    ]


def test_what_follows_from_a_broken_value_is_not_named_beside_it() -> None:
    raw = {**ONE, "site_wheels": "{{ site_idd }}/dist"}
    error = "'site_idd' is undefined"
    told = without_value({"site_wheels": error, "jaws_wheels": error, "jaws_dir": error}, raw, SPEC)
    meant = f"site_wheels: {error}; did you mean site_id?"
    assert told == [Finding("site_wheels", meant)]


def test_what_refers_to_itself_is_said_to() -> None:
    errors = {
        "site_wheels": "maximum recursion depth exceeded",
        "jaws_wheels": "Recursive loop detected in template: maximum recursion depth exceeded",
    }
    raw = {**ONE, "site_wheels": "{{ site_wheels }}/dist"}
    (told,) = without_value(errors, raw, SPEC)
    assert told.sentence == ("site_wheels: it refers to itself, directly or through others.")


def test_a_connection_that_cannot_be_evaluated_is_named() -> None:
    error = "'ansible_host' is undefined"
    raw = {"ansible_connection": "{{ ansible_host }}", "ansible_hots": "twf1"}
    (told,) = without_value({"ansible_connection": error}, raw, SPEC)
    assert told.sentence == f"ansible_connection: {error}; did you mean ansible_hots?"


def test_a_secret_that_cannot_be_evaluated_is_named_and_not_the_list_of_all() -> None:
    roles = {"jaws": {**SPEC.roles["jaws"], "jaws_secrets": {"description": "All secrets."}}}
    error = "Attempting to decrypt but no vault secrets found."
    errors = {"jaws_secrets": error, "vault_key": error}
    assert without_value(errors, ONE, Spec(roles, SPEC.facts, SPEC.wiring)) == [
        Finding("vault_key", f"vault_key: {error}")
    ]


def test_an_error_of_a_variable_that_no_role_uses_is_ignored() -> None:
    assert without_value({"site_id": "'x' is undefined", "jaws_dir": "'x'"}, {}, SPEC) == []


@pytest.mark.parametrize(
    ("option", "sentence"),
    [
        ({"type": "int"}, "x must be a whole number, not many."),
        ({"type": "str", "choices": ["a", 1]}, "x must be one of a, 1, not many."),
        ({"type": "list", "elements": "str"}, "x must be a list of str, not many."),
        ({"type": "dict", "no_log": True}, "x must be a mapping."),
    ],
)
def test_a_value_of_a_wrong_type_is_shown_unless_it_is_secret(option: Data, sentence: str) -> None:
    assert wrong_value("x", "many", option) == Finding("x", sentence)


def test_a_value_is_shown_as_the_inventory_states_it_unless_that_only_refers_to_another() -> None:
    told = wrong_value("x", "a/dev", {"type": "path"}, "an absolute path", "a/{{ name }}")
    assert told.sentence == "x must be an absolute path, not a/{{ name }}."
    told = wrong_value("x", None, {"type": "dict"})
    assert told.sentence == "x has no value. Give it one, or remove it."
    told = wrong_value("x", "many", {"type": "int"}, raw="{{ number }}")
    assert told.sentence == "x must be a whole number, not many."


def test_a_key_that_is_twice_in_a_mapping_is_named_with_both_lines() -> None:
    text = "a: 1\nb: {c: 1, d: 2}\ne:\n  - f: !vault x\n    g: 2\n    f: 3\na: 2\n---\na: 1\n"
    assert repeated_keys([("all.yml", text), ("broken.yml", "a: [")]) == [
        "all.yml, line 6: the key f is there already, in line 4. Remove one of them.",
        "all.yml, line 7: the key a is there already, in line 1. Remove one of them.",
    ]


def test_a_wrong_change_is_reported_by_the_names_of_the_inventory() -> None:
    told = ["jaws_wheels: there is no x.", "jaws_dir: there is no y."]
    assert wrong_changes(told, ONE, SPEC) == [
        Finding("site_wheels", "site_wheels: there is no x."),
        Finding("jaws_dir", "jaws_dir: there is no y."),
    ]


# ---- What has no effect


def in_vain(name: str, value: Any, hosts: str = "one two", **raws: Data) -> list[str]:
    """Return the sentences about a value that a file states for hosts."""
    known: dict[str, Data] = {"one": ONE, "two": TWO, "other": {}, **raws}
    statements = [Statement(name, value, "site.yml", frozenset(hosts.split()))]
    found = overridden(statements, known, SPEC)
    return [without_effect(statement, known, SPEC.wiring) for statement in found]


@pytest.mark.parametrize(
    ("name", "sentence"),
    [
        ("jaws_rest_port", "set deployment_rest_port."),
        ("jaws_wheels", "set site_wheels."),
        ("jaws_user", "set site_jaws_user or site_jtm_user."),
        ("jaws_dir", "it follows from site_root. To override it for one host, use host_vars."),
        ("jaws_instance", "the playbooks set it. To override it for one host, use host_vars."),
    ],
)
def test_a_value_that_the_wiring_overrides_is_reported_with_what_to_set(
    name: str, sentence: str
) -> None:
    assert in_vain(name, "mine") == [f"{name} has no effect in site.yml: {sentence}"]


def test_a_value_that_has_effect_is_not_reported() -> None:
    assert in_vain("site_id", "X") == []
    assert in_vain("jaws_wheels", "mine", hosts="other") == []
    assert in_vain("jaws_wheels", "mine", one={**ONE, "jaws_wheels": "mine"}, hosts="one") == []
    assert in_vain("jaws_wheels", ONE["jaws_wheels"]) == []
    assert in_vain("status_row", "mine", one={"status_row": "ours"}) == []


def test_a_value_without_effect_does_not_hide_what_other_hosts_have() -> None:
    vain = [Statement("jaws_instance", "mine", "site.yml", frozenset(["one", "other"]))]
    raw = {"jaws_instance": "mine", "path": "x"}
    assert effective(raw, vain) == {"path": "x"}
    assert effective(ONE, vain) == ONE


# ---- Where it is stated


def test_a_sentence_names_the_file_that_the_value_comes_from_or_else_the_hosts() -> None:
    raws: dict[str, Data] = {"a": {"x": 1, "y": 2}, "b": {"x": 1, "y": 3}, "c": {"x": 9}}
    statements = [
        Statement("y", 3, "host_vars/b.yml", frozenset("b")),
        Statement("x", 1, "group_vars/all.yml", frozenset("abc")),
        Statement("y", 2, "group_vars/all.yml", frozenset("abc")),
    ]
    found = [(host, Finding(name, f"{name}!")) for name in "xyz" for host in raws]
    assert located(found, statements, raws) == [
        "group_vars/all.yml: x!",
        "c: x!",
        "group_vars/all.yml: y!",
        "host_vars/b.yml: y!",
        "c: y!",
        "a, b, c: z!",
    ]


def test_what_several_hosts_have_in_common_is_one_sentence() -> None:
    found = [(host, Finding("x", "x is missing")) for host in ("a", "b", "a")]
    assert located(found, [], {"a": {}, "b": {}}) == ["a, b: x is missing"]


# ---- What two instances share

SERVICES: dict[str, Data] = {
    "jaws": {"auth": "{{ jaws_auth_port }}", "rest": {"command": ["x", "{{ jaws_rest_port }}"]}},
    "jtm": {"cromwell": {"health": {"http": "http://h:{{ jaws_cromwell_port }}/"}}},
}


def ours(host: str, given: Data) -> list[Claim]:
    """Return the claims of an instance that has the services of its name."""
    return claims(host, given, SERVICES.get(given["jaws_instance"], SERVICES["jaws"]))


def test_two_instances_of_one_deployment_share_nothing() -> None:
    assert conflicts([*ours("one", values()), *ours("two", jtm())]) == []


@pytest.mark.parametrize(
    ("change", "sentence"),
    [
        (
            {"jaws_cromwell_port": 5001},
            "one (jaws_rest_port) and two (jaws_cromwell_port) both have port 5001 on localhost.",
        ),
        (
            {"jaws_cromwell_port": "5001"},
            "one (jaws_rest_port) and two (jaws_cromwell_port) both have port 5001 on localhost.",
        ),
        (
            {"supervisord_listen": "tcp", "supervisord_port": 3001},
            "one (jaws_auth_port) and two (supervisord_port) both have port 3001 on localhost.",
        ),
        (
            {"supervisord_run_dir": "/r/supervisord/run//jaws/"},
            "one (supervisord_run_dir) and two (supervisord_run_dir) both have "
            "/r/supervisord/run/jaws on localhost.",
        ),
        (
            {"supervisord_instance": "jaws"},
            "one (supervisord_instance) and two (supervisord_instance) both have "
            "/r/supervisord/supervisord-jaws.conf on localhost.",
        ),
    ],
)
def test_what_two_instances_of_one_machine_share_is_reported(change: Data, sentence: str) -> None:
    assert conflicts([*ours("one", values()), *ours("two", jtm(**change))]) == [sentence]


def test_two_ports_of_one_instance_may_not_be_the_same() -> None:
    told = conflicts(ours("one", values(jaws_rest_port=3001)))
    assert told == [
        "one (jaws_auth_port) and one (jaws_rest_port) both have port 3001 on localhost."
    ]


def test_a_service_of_one_deployment_in_two_instances_is_named_once_on_any_machines() -> None:
    other = values(ansible_host="elsewhere", ansible_connection="ssh", jaws_instance="x")
    told = conflicts([*ours("one", values()), *ours("two", other)])
    assert told == [
        "one (jaws_service_names) and two (jaws_service_names) both have the service auth on "
        "deployment dev of site CORI."
    ]
    apart = {**values(), "jaws_deployment": "prod"}, {**values(), "jaws_site_id": "LRC"}
    for one in apart:
        assert not [s for s in conflicts([*ours("a", values()), *ours("b", one)]) if "service" in s]


def test_an_instance_has_the_ports_of_the_services_that_it_runs() -> None:
    one = values(jaws_instance="a")
    assert [claim.thing for claim in claims("h", one, {}) if "port" in claim.thing] == []
    found = claims("h", one, {"x": {"command": ["x", "{{ jaws_rest_port }}"]}})
    assert [claim.thing for claim in found if "port" in claim.thing] == ["port 5001"]


def test_two_machines_may_have_the_same_paths_and_ports() -> None:
    one = values(ansible_host="n1", ansible_connection="ssh")
    two = values(ansible_host="n2", ansible_connection="ssh", jaws_deployment="prod")
    assert conflicts([*ours("one", one), *ours("two", two)]) == []


def test_a_host_without_an_address_is_a_machine_of_its_own() -> None:
    one, two = values(ansible_connection="ssh"), values(ansible_connection="ssh", jaws_site_id="X")
    assert conflicts([*ours("one", one), *ours("two", two)]) == []


def test_the_first_owner_is_named_to_each_later_one() -> None:
    told = conflicts([Claim("m", "port 1", "p", host) for host in ("one", "two", "three")])
    assert [sentence.split(" both ")[0] for sentence in told] == [
        "one (p) and two (p)",
        "one (p) and three (p)",
    ]


# ---- Placeholders


@pytest.mark.parametrize(
    "value", ["change-me", "CHANGEME", " change_it ", "<secret>", "xxxx", "TODO", "...", "fill in"]
)
def test_a_placeholder_of_an_example_is_not_accepted_as_a_secret(value: str) -> None:
    (finding,) = placeholders({"vault_key": value, "site_id": value})
    assert finding.sentence.startswith("vault_key is a placeholder, not a secret.")


@pytest.mark.parametrize("value", ["x", "changes", "a<b>c", "meChange", "", "todor", None, 12])
def test_a_secret_that_resembles_a_placeholder_is_accepted(value: Any) -> None:
    assert placeholders({"vault_key": value}) == []


@pytest.mark.parametrize(("series", "most"), [("1", 8), (2, 8), ("3", 16)])
def test_an_id_that_is_too_long_for_the_tables_of_jaws_is_named(series: Any, most: int) -> None:
    raw = {"jaws_site_id": "{{ site_id }}"}
    given = {"jaws_site_id": "x" * most, "jaws_series": series}
    assert too_long(given, raw, SPEC) == []
    assert too_long({**given, "jaws_site_id": "x" * (most + 1)}, raw, SPEC) == [
        Finding(
            "site_id",
            f"site_id may have at most {most} characters at series {series}, not {most + 1}.",
        )
    ]
    assert too_long({"jaws_series": series}, raw, SPEC) == []


# ---- Files and addresses


def test_a_file_of_variables_for_no_host_or_group_is_named_with_the_one_that_was_meant() -> None:
    groups = {"all": ["a_dev_jaws"], "dev": ["a_dev_jaws"], "ungrouped": []}
    found = [
        ("host", "a_dev_jaws", "host_vars/a_dev_jaws.yml"),
        ("host", "a_dev_jwas", "host_vars/a_dev_jwas.yml"),
        ("group", "all", "group_vars/all"),
        ("group", "de", "group_vars/de.yml"),
        ("group", "a_dev_jaws", "group_vars/a_dev_jaws.yml"),
    ]
    assert without_entity(found, groups) == [
        "host_vars/a_dev_jwas.yml has no effect: there is no host a_dev_jwas; did you mean "
        "a_dev_jaws?",
        "group_vars/de.yml has no effect: there is no group de; did you mean dev?",
        "group_vars/a_dev_jaws.yml has no effect: there is no group a_dev_jaws; there are all, "
        "dev, ungrouped.",
    ]


def test_an_address_of_another_site_is_named_once_with_the_inventory_that_has_it() -> None:
    mine = [Address("cori20", "", "", "NEW", "")] * 2
    theirs = Address("cori20", "", "", "NERSC", "inventories/cori")
    assert copied_addresses(mine, [theirs]) == [
        "ansible_host is cori20, as at site NERSC in inventories/cori. Change it to the address of "
        "site NEW, whose services would be deployed there."
    ]
    for other in ("host", "port", "user"):
        assert copied_addresses(mine, [theirs._replace(**{other: "x"})]) == []
    assert copied_addresses(mine, [theirs._replace(site="NEW")]) == []


@pytest.mark.parametrize(
    ("name", "why"),
    [("none", "does not exist."), ("folder", "is not a regular file."), ("empty", "is empty.")],
)
def test_a_file_of_a_service_that_cannot_be_used_is_named(
    tmp_path: Path, name: str, why: str
) -> None:
    (tmp_path / "folder").mkdir()
    (tmp_path / "empty").touch()
    (tmp_path / "jar").write_text("x")
    path = str(tmp_path / name)

    def told(users: Any, own: Any = None, **given: Any) -> list[str]:
        artifacts = {"x.jar": {"path": path} | given}
        values: Data = {
            "jaws_services": own or {},
            "jaws_wheels_command": [],
            "jaws_artifacts": artifacts,
        }
        return wrong_artifacts(values, users)

    user = {"a": {"command": ["java", "-jar", "@x.jar@"]}}
    assert told(user) == told({"a": None}, user) == [f"jaws_artifacts: x.jar: {path} {why}"]
    assert (
        told({"a": None}) == told(user, path=str(tmp_path / "jar")) == told(user, path=None) == []
    )
    made = {
        "jaws_wheels_command": ["make"],
        "jaws_services": {},
        "jaws_artifacts": {"x.jar": {"path": path}},
    }
    assert wrong_artifacts(made, user) == []


# ---- The table of what is checked


def test_the_page_about_sites_lists_what_is_checked_and_every_check_is_made() -> None:
    text = (ROOT / "docs/sites.md").read_text().partition("## What is checked")[2]
    rows = re.findall(r"^\| (.+?) \| .+ \|$", text.partition("\n## ")[0], re.MULTILINE)
    assert rows[1:] == list(CHECKS.values())
    action = (ROOT / "plugins/action/validate_inventory.py").read_text()
    places = {"inventory": inventory, "proxies": proxies}
    used = set(re.findall(r"\b(inventory|proxies)\.(\w+)\(", action))
    told = {
        name: inspect.signature(getattr(places[place], name)).return_annotation
        for place, name in used
    }
    kinds = ("str", "Finding", "list[str]", "list[Finding]")
    checks = {name for name, kind in told.items() if kind in kinds}
    assert checks - {"located", "other_names"} == set(CHECKS)


# ---- What -e gives


@pytest.mark.parametrize("name", ["program", "progams", "porgrams", "programms", "Programs"])
def test_a_variable_close_to_the_playbook_s_own_is_refused(name: str) -> None:
    assert wrong_extra_variables({name: "jtm"}, ["programs"], SPEC) == [
        f"-e {name} is not a variable of this playbook; did you mean programs?"
    ]


@pytest.mark.parametrize("value", ["", " ", ",", " , ", None, [], ["", " "]])
def test_a_variable_of_the_playbook_without_a_value_is_refused(value: Any) -> None:
    assert wrong_extra_variables({"programs": value}, ["programs"], SPEC) == [
        "-e programs has no value. Give one, or leave it out."
    ]


def test_other_variables_may_be_given() -> None:
    given = {"programs": "jtm", "site_id": "", "ansible_user": "me", "color": "red", "jaws_dir": ""}
    assert wrong_extra_variables(given, ["programs"], SPEC) == []


# ---- Groups

GROUPED = Wiring(
    {
        "dev": {"deployment_name": "dev"},
        "prod": {"deployment_name": "prod"},
        "jaws": {"instance_name": "jaws"},
        "jtm": {"instance_name": "jtm"},
    }
)


def test_a_host_of_two_deployments_or_instances_is_named_with_its_groups() -> None:
    groups = {"all": ["a", "b"], "dev": ["a", "b"], "prod": ["b"], "jaws": ["a"], "jtm": ["a"]}
    assert ambiguous_hosts(groups, GROUPED, {"a": {"deployment_name": "dev"}, "b": {}}) == [
        "b is in the groups dev and prod, which disagree about its deployment_name. Remove the "
        "host from all but one of them.",
        "a is in the groups jaws and jtm, which disagree about its instance_name. Remove the host "
        "from all but one of them.",
    ]


def test_a_host_whose_own_deployment_is_not_that_of_its_group_is_named() -> None:
    groups = {"all": ["a", "b"], "prod": ["a", "b"]}
    said = {"a": {"deployment_name": "dev"}, "b": {"deployment_name": "prod"}}
    assert ambiguous_hosts(groups, GROUPED, said) == [
        "a is in the group prod, but its own deployment_name is dev. Remove the host from the "
        "group, or leave out deployment_name."
    ]


def test_a_host_of_one_deployment_and_one_instance_is_not_ambiguous() -> None:
    groups = {"all": ["a", "b"], "dev": ["a"], "prod": ["b"], "jaws": ["a", "b"], "other": ["a"]}
    said = {"a": {"deployment_name": "dev"}, "b": {"deployment_name": "prod"}}
    assert ambiguous_hosts(groups, GROUPED, said) == []


def inventories(*directories: str) -> list[str]:
    hosts = {f"host{number}": place for number, place in enumerate(directories)}
    shared = Statement("site_root", "/b", "b/group_vars/all/site.yml", frozenset(hosts))
    alone = Statement("site_id", "B", "b/host_vars/host0.yml", frozenset(["host0"]))
    return shared_by_inventories(hosts, {"supervisord": list(hosts)}, [shared, alone])


def test_two_inventories_whose_variables_apply_to_each_other_are_refused() -> None:
    assert inventories("/a", "/b") == [
        "the inventories /a and /b both have instances, and b/group_vars/all/site.yml would apply "
        "to all of them. Run the playbook once for each inventory."
    ]
    assert inventories("/a", "/a") == []


def test_a_directory_that_ansible_does_not_read_is_named_if_its_name_is_a_typing_error() -> None:
    names = ("group_vars", "host_vars", "group_var", "groupvars", "hosts_vars", "files", "vars")
    assert misspelt_folders(Path("/i", name) for name in names) == [
        f"/i/{name} has no effect: Ansible does not read it; did you mean {meant}?"
        for name, meant in {
            "group_var": "group_vars",
            "groupvars": "group_vars",
            "hosts_vars": "host_vars",
        }.items()
    ]
