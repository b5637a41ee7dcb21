# SPDX-License-Identifier: GPL-3.0-or-later
"""What can be wrong with an inventory, as pure functions say it."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from ansible_collections.jgi.jaws.plugins.plugin_utils.inventory import (
    Claim,
    Spec,
    by_cause,
    claims,
    conflicts,
    missing_options,
    read_spec,
    unknown_names,
    without_value,
)

Data = dict[str, Any]

SPEC = Spec(
    roles={
        "jaws": {
            "jaws_instance": {"required": True, "description": "The instance."},
            "jaws_rest_port": {"type": "int", "default": 1, "description": "A port."},
            "jaws_wheels": {"type": "path", "default": "", "description": "A directory."},
        },
        "gitlab_runner": {
            "gitlab_runner_directory": {"required": True, "description": "A directory."},
            "gitlab_runner_log": {"default": "{{ gitlab_runner_directory }}/log"},
        },
    },
    facts={"site_id": {"description": "The site's id."}, "vault_key": {"description": "A key."}},
)


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
def test_a_misspelt_name_is_told_with_the_one_that_was_meant() -> None:
    told = unknown_names(["jaws_wheel", "site_id", "jaws_wheels", "path", "ansible_host"], SPEC)
    assert told == ["jaws_wheel is not a variable of jgi.jaws; did you mean jaws_wheels?"]


def test_a_name_that_resembles_nothing_is_told_too() -> None:
    assert unknown_names(["vault_qqqqqqqqqqqqq"], SPEC) == [
        "vault_qqqqqqqqqqqqq is not a variable of jgi.jaws."
    ]


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
    assert told == ["jaws_instance is missing: The instance."]


# ---- What cannot be evaluated


def test_one_missing_secret_is_one_sentence_whatever_needs_it() -> None:
    error = "'vault_key' is undefined"
    told = without_value({"jaws_instance": error, "jaws_rest_port": error}, SPEC)
    assert told == ["vault_key is missing: A key."]


def test_another_cause_is_told_with_what_it_concerns() -> None:
    error = "Attempting to decrypt but no vault secrets found."
    told = without_value({"jaws_instance": error, "jaws_wheels": error}, SPEC)
    assert told == [f"jaws_instance, jaws_wheels: no value: {error}"]
    assert without_value({"jaws_wheels": "'nope' is undefined"}, SPEC) == [
        "jaws_wheels: no value: 'nope' is undefined"
    ]


def test_what_several_hosts_have_in_common_is_one_sentence() -> None:
    told = by_cause(
        [("a", "x is missing"), ("b", "x is missing"), ("b", "y"), ("a", "x is missing")]
    )
    assert told == ["a, b: x is missing", "b: y"]


# ---- What two instances share


def test_two_instances_of_one_deployment_share_nothing() -> None:
    assert conflicts([*claims("one", values()), *claims("two", jtm())]) == []


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
def test_what_two_instances_of_one_machine_share_is_told(change: Data, sentence: str) -> None:
    assert conflicts([*claims("one", values()), *claims("two", jtm(**change))]) == [sentence]


def test_two_ports_of_one_instance_may_not_be_the_same() -> None:
    told = conflicts(claims("one", values(jaws_rest_port=3001)))
    assert told == [
        "one (jaws_auth_port) and one (jaws_rest_port) both have port 3001 on localhost."
    ]


def test_two_deployments_on_one_database_are_told_wherever_they_run() -> None:
    other = values(ansible_host="elsewhere", ansible_connection="ssh")
    told = conflicts([*claims("one", values()), *claims("two", other)])
    assert told == [
        "one (jaws_deployment) and two (jaws_deployment) both have the databases of jaws, dev at "
        "CORI, on db."
    ]


def test_two_machines_may_have_the_same_paths_and_ports() -> None:
    one = values(ansible_host="n1", ansible_connection="ssh")
    two = values(ansible_host="n2", ansible_connection="ssh", jaws_deployment="prod")
    assert conflicts([*claims("one", one), *claims("two", two)]) == []


def test_a_host_without_an_address_is_a_machine_of_its_own() -> None:
    one, two = values(ansible_connection="ssh"), values(ansible_connection="ssh", jaws_site_id="X")
    assert conflicts([*claims("one", one), *claims("two", two)]) == []


def test_the_first_owner_is_named_to_each_later_one() -> None:
    told = conflicts([Claim("m", "port 1", "p", host) for host in ("one", "two", "three")])
    assert [sentence.split(" both ")[0] for sentence in told] == [
        "one (p) and two (p)",
        "one (p) and three (p)",
    ]
