# SPDX-License-Identifier: GPL-3.0-or-later
"""From a catalogue of services to a release: what a site changes, and what changes with it."""

from __future__ import annotations

import configparser
import json
import os
import re
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from module_system import add_module, write_profile

from ansible_collections.jgi.jaws.plugins.module_utils.errors import JawsError
from ansible_collections.jgi.jaws.plugins.module_utils.supervisor import conf
from ansible_collections.jgi.jaws.plugins.plugin_utils.catalogue import (
    artifacts_of,
    check_service,
    configs_of,
    environments_of,
    merge,
    mistakes,
    services_of,
)
from ansible_collections.jgi.jaws.plugins.plugin_utils.release_plan import (
    Context,
    plan_release,
    shim,
)

Data = dict[str, Any]

CATALOGUE: Data = {
    "site-daemon": {
        "instance": "jaws",
        "component": "site",
        "command": ["jaws-site", "--log", "@log@", "--config", "@site.conf@", "daemon"],
    },
    "site-server": {
        "instance": "jaws",
        "series": ["1"],
        "component": "site",
        "command": ["jaws-site", "--config", "@site.conf@", "server"],
    },
    "central-auth": {
        "instance": "jaws",
        "component": "central",
        "command": ["jaws-central", "--config", "@central.conf@", "auth"],
        "health": {"http": "http://127.0.0.1:3001/tokeninfo", "status": [401]},
    },
    "central-rest": {
        "instance": "jaws",
        "component": "central",
        "command": ["jaws-central", "--config", "@central.conf@", "rest"],
    },
    "jtm": {
        "instance": "jtm",
        "component": "jtm",
        "command": ["jtm", "--config=@jtm.conf@", "manager"],
        "environment": {"JTM_CONFIG_FILE": "@jtm.conf@"},
    },
    "cromwell": {
        "instance": "jtm",
        "path": ["jtm"],
        "command": ["java", "-Dconfig.file=@cromwell.conf@", "-jar", "@cromwell.jar@", "server"],
    },
}
COMPONENTS: Data = {
    "site": {"wheels": ["jaws_site"], "optional_wheels": ["jaws_rpc"]},
    "central": {"wheels": ["jaws_central"]},
    "jtm": {"wheels": ["jaws_jtm"]},
}
FORMATS = {
    "site.conf": "ini",
    "central.conf": "ini",
    "jtm.conf": "ini_extended",
    "cromwell.conf": "hocon",
}
CONFIGS: Data = {
    "site.conf": {"DB": {"password": "one"}},
    "central.conf": {"DB": {"password": "two"}, "SITE:*": {"amqp_user": "jaws"}},
    "jtm.conf": {"MYSQL": {"password": "three"}},
    "cromwell.conf": {"database": {"password": "four"}},
}


def release(
    instance: str, changes: Data | None = None, environments: Data | None = None, **services: Any
) -> Data:
    """Return the release of one instance, with a site's changes to configurations and services."""
    found = services_of(CATALOGUE, services, instance, "2")
    configs = configs_of(CONFIGS, changes or {}, FORMATS, found)
    paths = {"site": "/v/site-1-aa", "central": "/v/central-1-aa", "jtm": "/v/jtm-1-aa"}
    jar = {"cromwell.jar": "/a/cromwell-1.jar"}
    return plan_release(
        found, configs, Context("/d/jaws", {**paths, **(environments or {})}, jar, "/s/python")
    )


def sections(planned: Data) -> dict[str, dict[str, str]]:
    """Return the options of each program, as Supervisor reads them."""
    parser = configparser.RawConfigParser(inline_comment_prefixes=(";", "#"))
    parser.read_string(planned["programs"])
    return {name.removeprefix("program:"): dict(parser[name]) for name in parser.sections()}


def changed(before: Data, after: Data) -> list[str]:
    """Return the programs whose sections differ, and check that their command= differs."""
    old, new = sections(before), sections(after)
    differ = [name for name in old if old[name] != new[name]]
    assert [name for name in old if old[name]["command"] != new[name]["command"]] == differ
    return differ


# ---- What changes with what


def test_a_value_of_central_restarts_the_central_programs_only() -> None:
    changes = {"central.conf": {"DB": {"password": "new"}}}
    assert changed(release("jaws"), release("jaws", changes)) == ["central-auth", "central-rest"]


def test_a_new_jtm_does_not_restart_cromwell() -> None:
    after = release("jtm", environments={"jtm": "/v/jtm-2-bb"})
    assert changed(release("jtm"), after) == ["jtm"]


def test_a_value_of_jtm_does_not_restart_cromwell() -> None:
    changes = {"jtm.conf": {"MYSQL": {"password": "new"}}}
    assert changed(release("jtm"), release("jtm", changes)) == ["jtm"]


def test_a_change_of_startsecs_restarts_that_program_only() -> None:
    before, after = (
        sections(release("jaws", **change)) for change in ({}, {"site-daemon": {"startsecs": 5}})
    )
    assert [name for name in before if before[name] != after[name]] == ["site-daemon"]


def test_the_same_inputs_are_the_same_release() -> None:
    assert release("jaws") == release("jaws")


def test_the_links_follow_what_services_look_up_later() -> None:
    links = release("jtm")["links"]
    assert links["/d/jaws/current/jtm"] == "/v/jtm-1-aa"
    assert re.fullmatch(
        r"/d/jaws/configs/jtm-[0-9a-f]{12}\.conf", links["/d/jaws/configs/jtm.conf"]
    )


def test_health_checks_are_those_of_the_services_that_have_one() -> None:
    planned = release("jaws", **{"site-daemon": {"health": {"command": ["ls", "@site.conf@"]}}})
    path = planned["links"]["/d/jaws/configs/site.conf"]
    (script,) = planned["health"].pop("site-daemon")["command"]
    assert planned["health"] == {
        "central-auth": {"http": "http://127.0.0.1:3001/tokeninfo", "status": [401]},
    }
    # In the environment of its service, but not in its place: without the leash.
    (content,) = [file["content"] for file in planned["files"] if file["path"] == script]
    assert content.endswith(f"\nexec ls {path}\n")
    assert "export VIRTUAL_ENV=/v/site-1-aa\n" in content


def test_a_script_of_a_health_check_is_published_once_if_a_service_names_it() -> None:
    check = {"health": {"command": ["python", "@health.py@", "@site.conf@"]}}
    catalogue = {**CATALOGUE, "site-daemon": {**CATALOGUE["site-daemon"], **check}}
    scripts = {"health.py": "print()\n", "other.py": ""}
    context = Context(
        "/d/jaws", dict.fromkeys(["site", "central"], "/v"), {}, "/p", scripts=scripts
    )
    found = services_of(catalogue, {}, "jaws", "2")
    planned = plan_release(found, configs_of(CONFIGS, {}, FORMATS, found), context)
    (path,) = [file["path"] for file in planned["files"] if file["content"] == "print()\n"]
    texts = [file["content"] for file in planned["files"]]
    assert sum(f"exec python {path} /d/" in text for text in texts) == 1
    assert not any("other" in file["path"] for file in planned["files"])


def test_a_command_is_looked_for_in_the_new_environments_and_not_in_the_current_ones() -> None:
    commands = release("jtm")["commands"]
    assert (commands["jtm"]["word"], commands["jtm"]["environment"]) == ("jtm", "/v/jtm-1-aa")
    assert 'export PATH=/v/jtm-1-aa/bin:"$PATH"' in commands["jtm"]["setup"]
    cromwell = commands["cromwell"]
    assert 'export PATH=/v/jtm-1-aa/bin:"$PATH"' in cromwell["setup"]
    assert (cromwell["word"], cromwell["environment"]) == ("java", "")
    assert cromwell["files"] == ["/a/cromwell-1.jar"]
    linked = release("jtm", jtm={"command": ["@current@/jtm/bin/jtm"], "trial": ["--help"]})
    assert linked["commands"]["jtm"]["word"] == "/v/jtm-1-aa/bin/jtm"
    assert linked["commands"]["jtm"]["trial"] == ["--help"]


@pytest.mark.parametrize("change", [{"one_shot": True}, {"startsecs": 0}, {"one_shot": "yes"}])
def test_a_service_that_ends_by_itself_is_awaited_and_not_started_again(change: Data) -> None:
    planned = release("jtm", jtm=change)
    section = sections(planned)["jtm"]
    assert planned["one_shot"] == ["jtm"]
    assert (section["startsecs"], section["autorestart"]) == ("0", "false")


def test_how_long_a_service_must_hold_is_part_of_the_release() -> None:
    assert release("jtm", jtm={"holds": "40"})["holds"] == {"jtm": 40}
    assert release("jtm")["holds"] == {}
    same = [sections(release("jtm", jtm={"holds": holds})) for holds in (0, 40)]
    assert same[0] == same[1]


def test_configurations_are_closed_to_others_and_shims_are_executable() -> None:
    modes = {os.path.dirname(file["path"]): file["mode"] for file in release("jaws")["files"]}
    assert modes == {"/d/jaws/configs": "0640", "/d/jaws/shims": "0750"}


def test_a_password_that_looks_like_a_token_arrives_untouched() -> None:
    changes = {"site.conf": {"DB": {"password": "@log@ @nothing@"}}}
    contents = [file["content"] for file in release("jaws", changes)["files"]]
    assert "[DB]\npassword = @log@ @nothing@\n" in contents


def test_no_secret_is_in_the_programs_the_links_or_the_health_checks() -> None:
    planned = release("jaws", {"site.conf": {"DB": {"password": "hunter2"}}})
    del planned["files"]
    assert "hunter2" not in json.dumps(planned)


def test_only_configurations_that_a_service_names_are_written() -> None:
    names = {os.path.basename(file["path"]).rsplit("-", 1)[0] for file in release("jaws")["files"]}
    assert {"site", "central"} <= names
    assert not names & {"jtm", "cromwell"}


# ---- What a site changes


def test_a_site_drops_adds_and_changes_services() -> None:
    mine = {"instance": "jaws", "command": ["/bin/true"]}
    overrides = {"central-rest": None, "mine": mine, "central-auth": {"startsecs": 7}}
    found = services_of(CATALOGUE, overrides, "jaws", "2")
    assert sorted(found) == ["central-auth", "mine", "site-daemon"]
    assert found["central-auth"]["startsecs"] == 7
    assert found["central-auth"]["command"] == CATALOGUE["central-auth"]["command"]


def test_a_site_adds_one_variable_to_an_environment() -> None:
    found = services_of(CATALOGUE, {"jtm": {"environment": {"TZ": "UTC"}}}, "jtm", "2")
    assert found["jtm"]["environment"] == {"JTM_CONFIG_FILE": "@jtm.conf@", "TZ": "UTC"}


def test_one_health_check_replaces_another() -> None:
    for change in ({"tcp": "127.0.0.1:3001"}, {}, None):
        found = services_of(CATALOGUE, {"central-auth": {"health": change}}, "jaws", "2")
        assert found["central-auth"]["health"] == (change or {})


@pytest.mark.parametrize("series", ["1", 1])
def test_a_series_has_its_own_services_however_it_is_written(series: Any) -> None:
    assert "site-server" in services_of(CATALOGUE, {}, "jaws", series)
    assert "site-server" not in services_of(CATALOGUE, {}, "jaws", "2")
    numbered = {"site-server": {"series": [1]}}
    assert "site-server" in services_of(CATALOGUE, numbered, "jaws", series)


def test_null_drops_one_key_of_a_configuration() -> None:
    changes: Data = {"site.conf": {"DB": {"password": None, "user": "u"}, "NEW": {"a": None}}}
    found = configs_of(CONFIGS, changes, FORMATS, services_of(CATALOGUE, {}, "jaws", "2"))
    assert found["site.conf"] == {"format": "ini", "data": {"DB": {"user": "u"}, "NEW": {}}}


def test_what_sites_have_in_common_is_merged_into_each_site() -> None:
    changes = {"central.conf": {"SITE:LBNL": {"max_ram": 1}, "SITE:NERSC": {"amqp_user": "other"}}}
    found = configs_of(CONFIGS, changes, FORMATS, services_of(CATALOGUE, {}, "jaws", "2"))
    assert found["central.conf"]["data"] == {
        "DB": {"password": "two"},
        "SITE:LBNL": {"amqp_user": "jaws", "max_ram": 1},
        "SITE:NERSC": {"amqp_user": "other"},
    }


trees = st.recursive(
    st.integers(), lambda inner: st.dictionaries(st.sampled_from("abc"), inner), max_leaves=6
)


@given(st.dictionaries(st.sampled_from("abc"), trees))
def test_no_change_changes_nothing(base: Data) -> None:
    assert merge(base, {}) == base
    assert merge(base, base) == base
    assert merge(base, dict.fromkeys(base)) == {}


def test_environments_come_from_wheels_or_else_from_requirements() -> None:
    found = services_of(CATALOGUE, {}, "jaws", "2")
    changes = {"central": {"requirements": ["jaws-central==2.6"], "python": "python3.12"}}
    environments = environments_of(COMPONENTS, changes, found, "/w", {"python": "python3"})
    central, site = environments
    assert central["name"] == "central"
    assert central["requirements"] == ["jaws-central==2.6"]
    assert (central["wheels"], central["python"]) == ([], "python3.12")
    assert site["wheels"] == ["/w/**/jaws_site-*.whl"]
    assert site["optional_wheels"] == ["/w/**/jaws_rpc-*.whl"]
    assert site["python"] == "python3"


def test_a_component_that_names_both_has_wheels_and_requirements() -> None:
    found = services_of(CATALOGUE, {}, "jaws", "2")
    both = {"wheels": ["jaws_site", "jaws_rpc"], "requirements": ["a==1"], "tolerated": ["a"]}
    site = environments_of(COMPONENTS, {"site": both}, found, "/w", {})[1]
    assert site["wheels"] == ["/w/**/jaws_site-*.whl", "/w/**/jaws_rpc-*.whl"]
    assert site["optional_wheels"] == []
    assert (site["requirements"], site["tolerated"]) == (["a==1"], ["a"])


def test_a_component_in_a_path_is_built_too() -> None:
    found = services_of(CATALOGUE, {"jtm": None}, "jtm", "2")
    assert [e["name"] for e in environments_of(COMPONENTS, {}, found, "/w", {})] == ["jtm"]


# ---- Files that services need

DIGEST = "ab" * 32
POOL = {"instance": "pool", "command": ["apptainer", "run", "@pool.sif@", "--to", "@log@"]}


def test_an_instance_has_the_files_that_its_services_name() -> None:
    given = {
        "cromwell.jar": {"path": "/opt/cromwell.jar"},
        "pool.sif": {"url": "https://h/pool.sif", "sha256": DIGEST},
    }
    found = [
        artifacts_of(given, services_of(CATALOGUE, {"pool": POOL}, instance, "2"), "/a")
        for instance in ("jaws", "jtm", "pool")
    ]
    jar = {"path": "/a/cromwell-@sha256@.jar", "source": "/opt/cromwell.jar"}
    image = {"path": "/a/pool-@sha256@.sif", "url": "https://h/pool.sif", "sha256": DIGEST}
    assert found == [
        [],
        [{"name": "cromwell.jar", "mode": "0640"} | jar],
        [{"name": "pool.sif", "mode": "0640"} | image],
    ]


def test_a_new_image_restarts_exactly_the_programs_that_run_it() -> None:
    found = services_of(
        CATALOGUE, {"a": POOL, "b": POOL, "c": POOL | {"command": ["c"]}}, "pool", "2"
    )
    before, after = (
        plan_release(found, {}, Context("/d", {}, {"pool.sif": f"/a/pool-{n}.sif"}, "/s/python"))
        for n in "12"
    )
    assert changed(before, after) == ["a", "b"]
    assert after["commands"]["a"]["files"] == ["/a/pool-2.sif"]
    assert (after["commands"]["a"]["word"], after["commands"]["c"]["files"]) == ("apptainer", [])


@pytest.mark.parametrize(
    ("command", "prefix"),
    [
        (["apptainer", "run", "x"], "APPTAINERENV_"),
        (["env", "A=1", "/usr/bin/singularity", "exec", "x"], "SINGULARITYENV_"),
        (["my-apptainer", "run", "apptainer.sif"], ""),
    ],
)
def test_what_runs_an_image_passes_the_marks_of_its_service_on(
    command: list[str], prefix: str
) -> None:
    service = check_service("a", {"instance": "x", "command": command})
    text = shim("a", service, Context("/d", {}, {}, "/s/python"))
    marks = ("SUPERVISOR_SERVER_URL", "SUPERVISOR_PROCESS_NAME", "SUPERVISORD_CONFIG")
    lines = [line for line in text.splitlines() if line.startswith("for mark in ")]
    assert len(lines) == bool(prefix)
    assert all(
        mark in line and f"export {prefix}$mark=" in line for mark in marks for line in lines
    )


@pytest.mark.parametrize(
    ("artifact", "why"),
    [
        ("/x", "jaws_artifacts: cromwell.jar must be a mapping."),
        ({"pth": "/x"}, "there is no key pth; did you mean path?"),
        ({}, "it needs either a path, of a file on the host, or a url."),
        ({"path": "/x", "url": "https://h/x", "sha256": DIGEST}, "it needs either a path, of"),
        ({"path": ["/x"]}, "path must be text."),
        ({"path": "x"}, "the path x is not absolute."),
        ({"url": "https://h/x"}, "a url needs sha256, which sha256sum prints for the file."),
        ({"url": "h/x", "sha256": DIGEST}, "the url h/x does not begin with https:// or http://."),
        ({"url": "https://u:pw@h/x", "sha256": DIGEST}, "a url cannot have a password"),
        (
            {"path": "/x", "sha256": DIGEST[1:]},
            f"64 hexadecimal digits in quotation marks, not {DIGEST[1:]}",
        ),
        ({"path": "/x", "sha256": 12}, "64 hexadecimal digits in quotation marks, not 12."),
        ({"path": "/x", "sha256": f"sha256:{DIGEST}"}, "64 hexadecimal digits in quotation"),
    ],
)
def test_what_is_wrong_with_a_file_is_named(artifact: Any, why: str) -> None:
    (sentence,) = told(artifacts={"cromwell.jar": artifact})
    assert sentence.startswith("jaws_artifacts: cromwell.jar")
    assert why in sentence
    assert "pw" not in sentence


@pytest.mark.parametrize("name", ["log", "site.conf", "my file", "a/b"])
def test_a_file_with_a_name_that_no_token_can_have_is_named(name: str) -> None:
    (sentence,) = told(artifacts={name: {"path": "/x"}})
    assert sentence.startswith(f"jaws_artifacts: {name}: a name must consist of")


def test_a_file_that_a_service_needs_and_nobody_describes_is_named() -> None:
    services = {"pool": POOL | {"instance": "jaws"}}
    assert told(services=services, artifacts={"pool.siff": {"path": "/x"}}) == [
        "jaws_services: pool: there is no token @pool.sif@; did you mean @pool.siff@?"
    ]
    (sentence,) = told(services=services, artifacts={})
    assert sentence.endswith("For a file, say in site_artifacts where it comes from.")


# ---- What is wrong is named


WRONG_SERVICES: list[tuple[Data, str]] = [
    (
        {"central-rest": {"startsec": 5}},
        "jaws_services: central-rest: there is no key startsec; did you mean startsecs?",
    ),
    (
        {"central-rst": {"startsecs": 5}},
        "jaws_services: there is no service central-rst; did you mean central-rest?",
    ),
    (
        {"central-rst": None},
        "jaws_services: there is no service central-rst; did you mean central-rest?",
    ),
    ({"mine": {"command": ["x"]}}, "jaws_services: mine: instance must be set."),
    (
        {"my program": {"instance": "jaws", "command": ["x"]}},
        "jaws_services: my program: a name must consist of",
    ),
    (
        {"central-rest": {"startsecs": 2}},
        "jaws_services: central-rest: startsecs must be at least 3",
    ),
    (
        {"central-rest": {"one_shot": True, "startsecs": 5, "holds": 9}},
        "jaws_services: central-rest: a service that ends by itself (one_shot) cannot have "
        "startsecs or holds",
    ),
    (
        {"central-rest": {"startsecs": 0, "autorestart": True}},
        "jaws_services: central-rest: a service that ends by itself (one_shot) cannot have autores",
    ),
    (
        {"central-rest": {"holds": "long"}},
        "jaws_services: central-rest: holds must be a whole number",
    ),
    (
        {"central-rest": {"startsecs": "soon"}},
        "jaws_services: central-rest: startsecs must be a whole number",
    ),
    (
        {"central-rest": {"autostart": "maybe"}},
        "jaws_services: central-rest: autostart must be true or",
    ),
    (
        {"central-rest": {"exitcodes": [0, 143]}},
        "jaws_services: central-rest: exitcodes must be text",
    ),
    ({"central-rest": {"command": "rest"}}, "jaws_services: central-rest: command must be a list"),
    (
        {"central-rest": {"environment": ["A=1"]}},
        "jaws_services: central-rest: environment must be a mapping",
    ),
    (
        {"central-rest": {"environment": {"A-B": 1}}},
        "jaws_services: central-rest: A-B cannot be the name",
    ),
    (
        {"central-rest": {"health": {"htp": "x"}}},
        "jaws_services: central-rest: health: there is no key htp; did you mean http?",
    ),
    (
        {"central-rest": {"health": {"status": [1]}}},
        "jaws_services: central-rest: health must have exactly one of",
    ),
    (
        {"central-rest": {"health": {"tcp": "a:1", "http": "b"}}},
        "jaws_services: central-rest: health must have exactly one of",
    ),
    (
        {"central-rest": {"health": {"http": "https://x"}}},
        "jaws_services: central-rest: health: http must be",
    ),
    ({"central-rest": ["startsecs"]}, "jaws_services: central-rest must be a mapping"),
    (
        {"central-rest": {"health": {"tcp": "1"}}},
        "jaws_services: central-rest: health: tcp must be HOST:PORT",
    ),
    (
        {"central-auth": {"health": {"http": "http://x", "status": 401}}},
        "jaws_services: central-auth: health: status must be a list",
    ),
    (
        {"central-auth": {"health": {"http": "http://x", "status": ["ok"]}}},
        "jaws_services: central-auth: health: status: ok must be a whole number",
    ),
]


@pytest.mark.parametrize(("overrides", "sentence"), WRONG_SERVICES)
def test_what_is_wrong_with_a_service_is_named(overrides: Data, sentence: str) -> None:
    with pytest.raises(JawsError, match="^" + re.escape(sentence)):
        services_of(CATALOGUE, overrides, "jaws", "2")


# Before ansible-core 2.19 a template makes text of a number, and True of a text that says so.
@pytest.mark.parametrize(
    ("given", "typed"),
    [
        ({"startsecs": "5"}, {"startsecs": 5}),
        ({"priority": "10", "log_backups": "0"}, {"priority": 10, "log_backups": 0}),
        ({"autostart": "false"}, {"autostart": False}),
        ({"stopasgroup": "yes"}, {"stopasgroup": True}),
        ({"autorestart": True}, {"autorestart": "true"}),
        ({"exitcodes": 0}, {"exitcodes": "0"}),
        ({"log_maxbytes": 1024}, {"log_maxbytes": "1024"}),
        (
            {"health": {"http": "http://x", "status": ["401"]}},
            {"health": {"http": "http://x", "status": [401]}},
        ),
        ({"health": {"command": ["nc", 80]}}, {"health": {"command": ["nc", "80"]}}),
    ],
)
def test_a_value_has_the_type_of_its_key_whatever_a_template_made_of_it(
    given: Data, typed: Data
) -> None:
    service = services_of(CATALOGUE, {"central-rest": given}, "jaws", "2")["central-rest"]
    found = {key: service[key] for key in typed}
    assert (found, [type(value) for value in found.values()]) == (
        typed,
        [type(value) for value in typed.values()],
    )


def test_a_service_of_another_instance_is_checked_too() -> None:
    with pytest.raises(
        JawsError, match=r"jaws_services: jtm: there is no key comand; did you mean command"
    ):
        services_of(CATALOGUE, {"jtm": {"comand": []}}, "jaws", "2")


def test_an_unknown_token_is_named() -> None:
    with pytest.raises(JawsError, match=r"service jtm: unknown token @jtm\.cnf@; there are .*jtm"):
        release("jtm", jtm={"directory": "@jtm.cnf@"})


@pytest.mark.parametrize(
    ("call", "sentence"),
    [
        (
            lambda found: configs_of(CONFIGS, {"site.cnf": {}}, FORMATS, found),
            "jaws_configs: there is no file site.cnf; did you mean site.conf?",
        ),
        (
            lambda found: configs_of(CONFIGS, {"nothing": {}}, FORMATS, found),
            "jaws_configs: there is no file nothing; there are central.conf, cromwell.conf, "
            "jtm.conf, site.conf.",
        ),
        (
            lambda found: configs_of(CONFIGS, {"site.conf": ["DB"]}, FORMATS, found),
            "jaws_configs: site.conf must be a mapping.",
        ),
        (
            lambda found: environments_of(COMPONENTS, {"sit": {}}, found, "/w", {}),
            "jaws_components: there is no component sit; did you mean site?",
        ),
        (
            lambda found: environments_of(COMPONENTS, {"site": {"wheel": 1}}, found, "/w", {}),
            "jaws_components: site: there is no key wheel; did you mean wheels?",
        ),
        (
            lambda found: environments_of(COMPONENTS, {}, found, "", {}),
            "jaws_components: central has wheels to install, but nothing says where they are.",
        ),
        (
            lambda found: environments_of(
                COMPONENTS,
                {"central": {"wheels": ["jaws_central"], "requirements": ["a==1"]}},
                found,
                "",
                {},
            ),
            "jaws_components: central has wheels to install, but nothing says where they are.",
        ),
    ],
)
def test_what_is_wrong_with_configurations_and_components_is_named(
    call: Callable[[Data], Any], sentence: str
) -> None:
    with pytest.raises(JawsError, match="^" + re.escape(sentence)):
        call(services_of(CATALOGUE, {}, "jaws", "2"))


# ---- The shim, run by bash


WITNESS = """\
#!/bin/sh
# Writes what it was given, each value ended by a NUL.
printf '%s\\0' "$$" "$PWD" "$HOME" "$LC_ALL" "$LANG" "$PYTHONIOENCODING" "$PATH" "$ODD"
printf '%s\\0' "$(umask)" "$@"
"""


def write_shim(folder: Path, **service: Any) -> Path:
    """Write the shim of a service that has a program witness."""
    bin_dir = folder / "it's a $venv" / "bin"
    bin_dir.mkdir(parents=True, exist_ok=True)
    (bin_dir / "witness").write_text(WITNESS)
    (bin_dir / "witness").chmod(0o755)
    services = {"a": check_service("a", {"instance": "jaws", "component": "site", **service})}
    context = Context(str(folder), {"site": str(bin_dir.parent)}, {}, sys.executable)
    file = plan_release(services, {}, context)["files"][0]
    path: Path = folder / os.path.basename(file["path"])
    path.write_text(file["content"])
    path.chmod(0o750)
    return path


def run_shim(folder: Path, **service: Any) -> tuple[int, list[str]]:
    """Run the shim of a service whose command is a witness; return the shim's pid and the words."""
    path = write_shim(folder, **service)
    environment = {"PATH": "/usr/bin:/bin"}
    with subprocess.Popen([path], env=environment, stdout=subprocess.PIPE, cwd="/") as process:
        output = process.communicate(timeout=60)[0].decode()
    return process.pid, output.split("\0")[:-1]


def test_a_shim_replaces_itself_by_the_command(tmp_path: Path) -> None:
    pid, words = run_shim(tmp_path, command=["witness"])
    assert words[0] == str(pid)


@pytest.mark.parametrize("given", ["TERM", "SIGQUIT", "quit", 15])
def test_a_service_is_told_to_stop_when_its_supervisord_is_killed(
    tmp_path: Path, given: str | int
) -> None:
    # If it is not told to stop, it ends by itself, and the test fails.
    wait = "for _ in $(seq 400); do sleep 0.05; done"
    script = f"trap 'echo asked; exit' TERM QUIT; echo ready; {wait}"
    shim = write_shim(tmp_path, command=["/bin/sh", "-c", script], stopsignal=given)
    parent = f"import subprocess; subprocess.run(['{shim}'])"
    with subprocess.Popen(
        [sys.executable, "-c", parent], stdout=subprocess.PIPE, text=True
    ) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == "ready\n"
        process.kill()
        assert process.stdout.read() == "asked\n"


def test_an_invalid_stopsignal_is_named(tmp_path: Path) -> None:
    with pytest.raises(JawsError, match="stopsignal STOPP is not a signal"):
        write_shim(tmp_path, command=["true"], stopsignal="STOPP")


def test_a_shim_sets_what_services_need(tmp_path: Path) -> None:
    _pid, words = run_shim(tmp_path, command=["witness"])
    home = os.path.expanduser("~" + subprocess.getoutput("id -un"))
    assert words[1:6] == ["/", home, "C.UTF-8", "C.UTF-8", "utf-8"]
    assert words[6] == f"{tmp_path}/it's a $venv/bin:/usr/bin:/bin"
    assert words[8] == "0027"


ODD = 'it\'s "a" `test` $HOME \\ *; & \n# Grüße'


def test_odd_words_variables_and_directories_arrive_as_given(tmp_path: Path) -> None:
    work = f"{tmp_path}/-w o'r\"k"
    _pid, words = run_shim(
        tmp_path, command=["witness", ODD, "", 7], environment={"ODD": ODD}, directory=work
    )
    assert words[1] == work
    assert words[7] == ODD
    assert words[9:] == [ODD, "", "7"]


def test_a_directory_that_cannot_be_made_ends_the_shim(tmp_path: Path) -> None:
    assert run_shim(tmp_path, command=["witness"], directory="/proc/no/such")[1] == []


def test_a_copy_is_closed_to_others_and_follows_no_link(tmp_path: Path) -> None:
    (tmp_path / "source").write_text("secret")
    (tmp_path / "precious").write_text("precious")
    (tmp_path / "target.new").symlink_to(tmp_path / "precious")
    copies = [[f"{tmp_path}/source", f"{tmp_path}/target"]]
    assert run_shim(tmp_path, command=["witness"], copies=copies)[1]
    target = tmp_path / "target"
    assert (target.read_text(), target.stat().st_mode & 0o777) == ("secret", 0o600)
    assert (tmp_path / "precious").read_text() == "precious"


SITE: Data = {"component": "site"}


def site_with_modules(home: Path) -> Path:
    """Make a site with Environment Modules 3.2, where a login has loaded another Python."""
    folder = write_profile(home, "module load python/2.7", "export PYTHONHOME=/opt/python2.7")
    for name in ("python/2.7", "python/3.8", "python/3.9", "java/11"):
        add_module(folder, name)
    return folder


def run_with_modules(
    folder: Path, own: list[str], component: Data = SITE, **context: Any
) -> tuple[int, str]:
    """Run the shim of a service that has an environment; return its status and what it printed."""
    site_with_modules(folder)
    command = ["/bin/sh", "-c", 'echo "loaded $LOADEDMODULES $PYTHONHOME"']
    service = {"instance": "jaws", "command": command, "modules": own, **component}
    where = Context(str(folder), {"site": "/v"}, {}, sys.executable, **context)
    planned = plan_release({"a": check_service("a", service)}, {}, where)
    (folder / "shim").write_text(planned["files"][0]["content"])
    (folder / "shim").chmod(0o700)
    done = subprocess.run(
        [folder / "shim"],
        env={"HOME": str(folder), "PATH": "/usr/bin:/bin"},
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        check=False,
    )
    return done.returncode, done.stdout


def test_a_service_loads_the_modules_of_its_site_and_its_own(tmp_path: Path) -> None:
    site = ["unload python", "python/3.8"]
    code, said = run_with_modules(tmp_path, ["java"], modules=site)
    assert (code, said.splitlines()[-1]) == (0, "loaded python/3.8:java/11 ")


def test_a_service_loads_the_modules_that_its_environment_was_built_with(tmp_path: Path) -> None:
    own = {"site": ["purge", "python/3.9"]}
    code, said = run_with_modules(tmp_path, [], modules=["python/3.8"], own_modules=own)
    assert (code, said.splitlines()[-1]) == (0, "loaded python/3.9 ")


def test_the_python_of_a_profile_does_not_reach_what_a_service_finds_in_its_path(
    tmp_path: Path,
) -> None:
    said = run_with_modules(tmp_path, ["java"], {"path": ["site"]}, modules=["python/3.8"])[1]
    assert said.splitlines()[-1] == "loaded python/2.7:java/11 "
    said = run_with_modules(tmp_path, ["java"], {}, modules=["python/3.8"])[1]
    assert said.splitlines()[-1] == "loaded python/2.7:java/11 /opt/python2.7"


def test_a_service_does_not_start_without_its_module_and_says_which(tmp_path: Path) -> None:
    code, said = run_with_modules(tmp_path, ["java/21"])
    assert code == 1
    assert "Unable to locate a modulefile for 'java/21'" in said
    assert "java/21 is not loaded; loaded are: python/2.7" in said
    assert "loaded python" not in said


def test_a_module_is_text_or_a_number() -> None:
    whole = {"instance": "jaws", "command": ["x"]}
    assert check_service("a", {**whole, "modules": ["python", 3]})["modules"] == ["python", "3"]
    with pytest.raises(JawsError, match="must be text"):
        check_service("a", {**whole, "modules": [{"use": "/x"}]})


def test_a_program_without_an_environment_of_its_own_loads_no_python_module() -> None:
    service = {"instance": "jaws", "command": ["/bin/true"]}
    context = Context("/d", {}, {}, "/s/python", modules=["python"])
    planned = plan_release({"a": check_service("a", service)}, {}, context)
    assert planned["files"][0]["content"].startswith("#!/bin/bash\n")


def told(**changes: Data) -> list[str]:
    """Return what is wrong with a site's changes to its instance jaws."""
    configs = {"site.conf": {"GLOBUS": {"client_id": "x", "host_path": "/"}, "SITE:*": {}}}
    catalogues = {"services": CATALOGUE, "components": COMPONENTS, "formats": FORMATS}
    catalogues["configs"] = configs
    options = {
        "services": {},
        "service_names": [],
        "components": {},
        "configs": {},
        "config_formats": {},
        "artifacts": {"cromwell.jar": {"path": "/opt/cromwell.jar"}},
        **changes,
    }
    values = {f"jaws_{name}": value for name, value in options.items()}
    return mistakes(catalogues, {"jaws_instance": "jaws", "jaws_series": "2", **values}, ["condor"])


def test_nothing_is_wrong_with_changes_that_a_deploy_accepts() -> None:
    mine = {"instance": "condor", "component": "pool", "command": ["pool"]}
    assert told() == []
    assert (
        told(
            services={"mine": mine, "jtm": None, "site-daemon": {"path": ["pool"]}},
            components={"pool": {"requirements": ["pool==1"]}, "site": {"python": "python3.12"}},
            configs={"site.conf": {"DB": {"user": "me"}}, "pool.conf": {}},
            config_formats={"pool.conf": "ini"},
        )
        == []
    )


def test_each_wrong_service_is_named() -> None:
    wrong: Data = {"jtm": {"comand": []}, "site-demon": None}
    mine = {"instance": "condr", "command": ["x"]}
    assert told(services={**wrong, "mine": mine}, configs={"site.cnf": {}}) == [
        "jaws_services: jtm: there is no key comand; did you mean command?",
        "jaws_services: there is no service site-demon; did you mean site-daemon?",
        "jaws_services: mine: there is no instance condr; did you mean condor?",
    ]


def test_each_wrong_configuration_and_a_wrong_component_are_named() -> None:
    changes = {"site-daemon": {"component": "sitee"}}
    assert told(services=changes, configs={"site.cnf": {}, "central.cnf": {}, "jtm.conf": {}}) == [
        "jaws_services: site-daemon: there is no component sitee; did you mean site?",
        "jaws_configs: there is no file site.cnf; did you mean site.conf?",
        "jaws_configs: there is no file central.cnf; did you mean central.conf?",
    ]


def test_a_token_that_means_no_file_is_named_as_it_is_written() -> None:
    changes = {"site-daemon": {"command": ["x", "--config=@site.cnf@", "@log@"]}}
    assert told(services=changes) == [
        "jaws_services: site-daemon: there is no token @site.cnf@; did you mean @site.conf@?"
    ]


@pytest.mark.parametrize(
    ("change", "sentences"),
    [
        ({"GLOBSU": {}}, ["jaws_configs: site.conf: there is no key GLOBSU; did you mean GLOBUS?"]),
        ({"globus": {}}, ["jaws_configs: site.conf: there is no key globus; did you mean GLOBUS?"]),
        (
            {"GLOBUS": {"client_di": "x"}},
            ["jaws_configs: site.conf: GLOBUS: there is no key client_di; did you mean client_id?"],
        ),
        ({"GLOBUS": {"client_id": "y", "client_name": "z"}, "MINE": {}}, []),
        ({"SITE:A": {"x": 1}, "GLOBUS": None}, []),
    ],
)
def test_a_key_that_resembles_one_of_a_configuration_is_named(
    change: Data, sentences: list[str]
) -> None:
    assert told(configs={"site.conf": change}) == sentences


def test_a_value_that_a_site_must_give_is_described_until_it_does() -> None:
    values = {"ram": "<the memory of a node>", "cpu": "<its cores>", "time": 5}
    defaults = {"site.conf": {"SITE": values, "DB": None}}
    found = services_of(CATALOGUE, {}, "jaws", "2")
    with pytest.raises(JawsError) as lacking:
        configs_of(defaults, {}, FORMATS, found)
    assert str(lacking.value) == (
        "jaws_configs: site.conf: SITE lacks ram (the memory of a node), cpu (its cores)."
    )
    given = {"site.conf": {"SITE": {"ram": 256, "cpu": None}}}
    data = configs_of(defaults, given, FORMATS, found)["site.conf"]["data"]
    assert data["SITE"] == {"ram": 256, "time": 5}


def test_a_value_that_a_site_has_not_given_is_found_by_the_check_of_the_inventory() -> None:
    assert told(configs={"site.conf": {"SITE": {"ram": "<its memory>"}}}) == [
        "jaws_configs: site.conf: SITE lacks ram (its memory)."
    ]


def test_a_service_has_the_variables_that_its_configuration_needs_and_so_has_its_check() -> None:
    health = {"command": ["check", "@site.conf@"]}
    changes = {"site-daemon": {"health": health, "environment": {"LEVEL": "1"}}}
    found = services_of(CATALOGUE, changes, "jaws", "2")
    formats = {**FORMATS, "site.conf": "ini_environment"}
    context = Context("/d", {"site": "/e/s", "central": "/e/c"}, {}, "/s/python")
    planned = plan_release(found, configs_of(CONFIGS, {}, formats, found), context)
    having = [one["path"] for one in planned["files"] if "\nexport DOLLAR='$'\n" in one["content"]]
    assert [re.sub("-[0-9a-f]{12}$", "", path) for path in having] == [
        "/d/shims/site-daemon",
        "/d/shims/site-daemon.health",
    ]


def test_a_value_that_a_service_would_read_differently_is_named_without_it() -> None:
    (sentence,) = told(configs={"site.conf": {"GLOBUS": {"client_id": " hush"}}})
    assert sentence.startswith(
        "jaws_configs: site.conf: [GLOBUS] client_id would not arrive as given"
    )
    assert "hush" not in sentence


def test_a_service_of_a_site_may_name_the_script_of_the_health_checks() -> None:
    check = {"command": ["python", "@health.py@", "@site.conf@", "database=DB"]}
    assert told(services={"site-daemon": {"health": check}}) == []


def test_how_to_find_a_command_has_no_secret_of_its_service() -> None:
    service = check_service(
        "a",
        {
            "instance": "jaws",
            "command": ["a", "--config=@a.conf@"],
            "environment": {
                "DB_PASSWORD": "x",
                "LEVEL": "debug",
                "OTHER": "of-the-vault",
                "U": "hush1",
            },
        },
    )
    context = Context("/d", {}, {}, "/s/python", secrets=["of-the-vault"])
    configs = {"a.conf": {"format": "ini", "data": {"DB": {"password": "hush1"}}}}
    planned = plan_release({"a": service}, configs, context)
    setup = planned["commands"]["a"]["setup"]
    assert "export LEVEL=debug" in setup
    assert not [text for text in ("PASSWORD", "of-the-vault", "hush1") if text in setup]
    shim, listed = planned["files"][1:]
    assert "export OTHER=of-the-vault" in shim["content"]
    assert json.loads(listed["content"]) == ["hush1", "of-the-vault"]
    assert conf.secret_files(planned["programs"]) == [listed["path"]]


def test_every_service_has_the_variables_of_the_site_unless_it_states_its_own() -> None:
    # An address whose password looks like a token.
    proxy = "http://me:x@log@y@proxy:3128"
    services = {
        name: check_service(name, {"instance": "jaws", "command": ["x"], "environment": own})
        for name, own in {"a": {}, "b": {"no_proxy": "*", "LOG": "@log@"}}.items()
    }
    variables = {"http_proxy": proxy, "no_proxy": "localhost", "OMP_NUM_THREADS": 2}
    planned = plan_release(services, {}, Context("/d", {}, {}, "/s/python", variables=variables))
    one, two, listed = planned["files"]
    for file in (one, two):
        assert f"export http_proxy={proxy}\n" in file["content"]
        assert file["mode"] == "0750"
        assert "export OMP_NUM_THREADS=2\n" in file["content"]
    assert "export no_proxy=localhost\n" in one["content"]
    assert "export no_proxy='*'\n" in two["content"]
    assert "export LOG=/d/logs/b.log\n" in two["content"]
    # The password is as secret as any other.
    assert "x@log@y" in json.loads(listed["content"])
    assert "x@log@y" not in planned["programs"] + str(planned["commands"])
