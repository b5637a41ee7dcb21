# SPDX-License-Identifier: GPL-3.0-or-later
"""What the collection runs and writes fits the real JAWS: see the tables in tests/unit/jaws."""

from __future__ import annotations

import re
import shlex
from collections.abc import Iterator, Mapping, Sequence
from functools import cache
from pathlib import Path
from typing import Any

import pytest
import yaml
from ansible.parsing.dataloader import DataLoader
from ansible.template import Templar

from ansible_collections.jgi.jaws.plugins.module_utils.errors import JawsError
from ansible_collections.jgi.jaws.plugins.plugin_utils.catalogue import configs_of, services_of
from collection import ROOT

Data = dict[str, Any]

SERIES = ("1", "2", "3")
WITH_JTM = ("1", "2")
INSTANCES = ("jaws", "jtm")
KINDS = {"whole number": r"\d+", "number": r"\d+(\.\d+)?", "text": r".+"}
SECRETS = ("site_db", "central_db", "site_rmq", "central_rmq", "jtm_db", "cromwell_db", "jtm_rmq")
REQUIRED: Data = {
    **{f"jaws_{name}_password": name for name in SECRETS},
    **{f"jaws_{name}_host": "localhost" for name in ("db", "rmq")},
    **{f"jaws_{name}_dir": "/scratch" for name in ("scratch", "jtm_scratch")},
    **{f"jaws_globus_{name}": "x" for name in ("client_id", "client_secret", "endpoint_id")},
    "jaws_root": "/srv/jaws-dev",
    "jaws_deployment": "dev",
    "jaws_site_id": "CORI",
    "jaws_instance": "jtm",
}


@cache
def table(series: str) -> Data:
    """Return what the commands of a series accept, and which keys they read."""
    found: Data = yaml.safe_load((Path(__file__).parent / f"jaws/series_{series}.yml").read_text())
    return found


@cache
def role() -> Data:
    """Return the defaults and the variables of the role, as templates."""
    paths = [ROOT / "roles/jaws/defaults/main.yml", *ROOT.glob("roles/jaws/vars/main/*.yml")]
    return {
        name: value for path in paths for name, value in yaml.safe_load(path.read_text()).items()
    }


def rendered(series: str, name: str, **options: Any) -> Any:
    """Return a variable of the role as Ansible would."""
    variables = {**role(), **REQUIRED, "jaws_series": series, **options}
    templar = Templar(loader=DataLoader(), variables=trusted(variables))
    return templar.template(trusted("{{ " + name + " }}"))


def trusted(value: Any) -> Any:
    """Mark templates as ours; ansible-core demands that from 2.19 on."""
    try:
        from ansible.template import trust_as_template
    except ImportError:
        return value
    if isinstance(value, Mapping):
        return {key: trusted(item) for key, item in value.items()}
    if isinstance(value, list):
        return [trusted(item) for item in value]
    return trust_as_template(value) if isinstance(value, str) else value


@cache
def services(series: str, instance: str) -> Data:
    return services_of(rendered(series, "__jaws_catalogue"), {}, instance, series)


def configs(series: str, changes: Data, **options: Any) -> dict[str, Any]:
    """Return the data of the configurations of both instances, by name."""
    found = {}
    for instance in INSTANCES:
        name = f"__jaws_configs_{instance}_{series}"
        defaults = rendered(series, name, **options) if name in role() else {}
        formats = rendered(series, "__jaws_formats")
        used = configs_of(defaults, changes, formats, services(series, instance))
        found.update({name: config["data"] for name, config in used.items()})
    return found


def examples(page: str, key: str) -> Iterator[Data]:
    """Return the YAML examples of a page in docs that have the key."""
    text = (ROOT / page).read_text()
    for block in re.findall(r"^```yaml\n(.*?)^```", text, re.M | re.S):
        loaded = yaml.safe_load(block)
        if isinstance(loaded, dict) and key in loaded:
            yield loaded[key]


# Command lines


def refusal(words: Sequence[str], series: str) -> str:
    """Return why the real command would refuse these words, or nothing."""
    program, *rest = words
    known = table(series)["commands"][program]
    rest, why = without_options(rest, known["options"])
    if why or not rest:
        return why or "no command"
    command, *rest = rest
    if command not in known["commands"]:
        return f"no command {command}"
    options = known["commands"][command]
    left, why = without_options(rest, options)
    missing = [
        names
        for names, kind in options.items()
        if kind.endswith(", required") and not set(names.split()) & set(rest)
    ]
    return why or (f"not expected: {left}" if left else "") or "".join(missing)


def without_options(words: Sequence[str], known: Mapping[str, str]) -> tuple[list[str], str]:
    """Return the words after the options, and what is wrong with these."""
    kinds = {name: kind for names, kind in known.items() for name in names.split()}
    rest = list(words)
    while rest and rest[0].startswith("-"):
        name, equals, value = rest.pop(0).partition("=")
        if name not in kinds:
            return rest, f"no option {name}"
        kind = kinds[name].removesuffix(", required")
        if kind != "flag":
            value = value if equals else (rest.pop(0) if rest else "")
            if not re.fullmatch(KINDS[kind], value):
                return rest, f"{name} must be {kind}"
    return rest, ""


@pytest.mark.parametrize("series", SERIES)
def test_every_command_line_of_the_catalogue_is_one_that_the_real_command_accepts(
    series: str,
) -> None:
    every = {name: service for one in INSTANCES for name, service in services(series, one).items()}
    lines = {name: service["command"] for name, service in every.items()}
    ours = {name: line for name, line in lines.items() if line[0] in table(series)["commands"]}
    assert set(lines) - set(ours) == ({"jaws-cromwell"} if series in WITH_JTM else set())
    wrong = {name: refusal([str(word) for word in line], series) for name, line in ours.items()}
    assert not {name: why for name, why in wrong.items() if why}


@pytest.mark.parametrize(
    ("words", "why"),
    [
        ("jaws-site --log l --config c --log-level INFO server", "no option --log-level"),
        ("jaws-site --config c central-rpc", "no command central-rpc"),
        ("jaws-central --config c auth --port x", "--port must be whole number"),
        ("jtm --config=c manager now", "not expected: ['now']"),
        ("jtm --config=c kill", "-tid --task_id"),
    ],
)
def test_what_the_real_command_refuses_is_seen(words: str, why: str) -> None:
    assert refusal(words.split(), "1") == why


@pytest.mark.parametrize("set_by_site", [True, False], ids=["values", "no-values"])
@pytest.mark.parametrize("series", WITH_JTM)
def test_cromwell_calls_jtm_with_options_that_it_has(series: str, set_by_site: bool) -> None:
    names = ("constraint", "qos", "account", "partition")
    values = {f"jaws_slurm_{name}": "debug" for name in names if set_by_site}
    providers = configs(series, {}, **values)["cromwell.conf"]["backend"]["providers"]
    config = providers["JTM"]["config"]
    for name in ("submit", "submit-docker", "kill", "check-alive"):
        line = filled(config[name], config["runtime-attributes"])
        assert not refusal(shlex.split(line), series), line
        assert ("--qos debug" in line) == (set_by_site and name.startswith("submit"))


def filled(template: str, attributes: str) -> str:
    """Return the template with its expressions filled in as Cromwell does for a task."""
    values = dict(re.findall(r'^\w+\?? (\w+) = "?([^"\n]*)"?$', attributes, re.M))
    values.update(job_id="7", job_name="job", script="/script")

    def value(found: re.Match[str]) -> str:
        prefix, name = re.fullmatch(r'(?:"([^"]*)" \+ )?(\w+)', found[1]).groups()  # type: ignore[union-attr]
        assert name in values or f"? {name}" in attributes, name
        return (prefix or "") + values[name] if name in values else ""

    return re.sub(r"\$\{([^}]*)\}", value, template)


def test_cromwell_has_the_providers_that_workflows_of_series_1_name() -> None:
    backends = {series: configs(series, {})["cromwell.conf"]["backend"] for series in WITH_JTM}
    assert set(backends["1"]["providers"]) == {"JTM", "Local", "slurm"}
    assert set(backends["2"]["providers"]) == {"JTM"}


@pytest.mark.parametrize("series", WITH_JTM)
def test_cromwell_asks_for_lost_tasks_and_starts_one_job_per_second(series: str) -> None:
    found = configs(series, {})["cromwell.conf"]
    assert found["backend"]["providers"]["JTM"]["config"]["exit-code-timeout-seconds"] == 60
    assert found["system"]["job-rate-control"] == {"jobs": 1, "per": "1 second"}


# Configurations

SITE_1 = {"globus_endpoint": "e", "globus_basepath": "/", "staging_subdir": "s", "max_ram_gb": 1}
SITE_3 = {"max_ram_gb": 1480, "max_cpu": 36, "max_time": 2865}
CHANGES: dict[str, Data] = {
    "1": {"jaws-central.conf": {"SITE:CORI": SITE_1}},
    "3": {"jaws-site.conf": {"SITE": SITE_3}},
}


@pytest.mark.parametrize(
    ("series", "page"), [("1", ""), ("2", "docs/services.md"), ("2", "docs/jaws.md"), ("3", "")]
)
def test_every_key_that_the_real_services_read_is_in_their_configurations(
    series: str, page: str
) -> None:
    changes = next(examples(page, "site_configs")) if page else CHANGES[series]
    found = configs(series, changes)
    for name, sections in table(series)["keys"].items():
        for section, keys in sections.items():
            own = found[name][section.replace("*", "CORI")]
            assert not set(keys) - set(own), f"{name} [{section}]"


def test_a_site_has_the_queue_that_its_rpc_server_reads() -> None:
    found = configs("2", {"jaws-central.conf": {"SITE:CORI": {}}})
    queue = found["jaws-central.conf"]["SITE:CORI"]["queue"]
    assert queue == found["jaws-site.conf"]["CENTRAL_RPC_SERVER"]["queue"] == "JAWS_CORI"


def test_series_1_has_one_database_and_series_2_has_one_for_each_component() -> None:
    parts = ("jaws-site.conf", "jaws-central.conf")
    found = {series: configs(series, {}) for series in WITH_JTM}
    used = {series: [one[name]["DB"]["db"] for name in parts] for series, one in found.items()}
    assert used == {"1": ["jaws_dev"] * 2, "2": ["jaws_cori_dev", "jaws_central_dev"]}


def test_series_3_has_the_paths_and_names_of_upstream_s_scripts() -> None:
    options = {"jaws_globus_host_path": "/tahoma/mscjgi", "jaws_site_id": "TAHOMA"}
    found = configs("3", CHANGES["3"], **options)["jaws-site.conf"]
    assert (found["DB"]["db"], found["RMQ"]["vhost"]) == ("jaws_tahoma_dev", "jaws_dev")
    # The queues are named after these two.
    assert (found["SITE"]["id"], found["SITE"]["deployment"]) == ("tahoma", "dev")
    assert found["SITE"]["inputs_dir"] == "/scratch/tahoma-dev/inputs"
    assert found["CROMWELL"]["executions_dir"] == "/scratch/tahoma-dev/cromwell-executions"
    assert found["GLOBUS"]["host_path"] == "/tahoma/mscjgi/"
    assert configs("3", CHANGES["3"])["jaws-site.conf"]["GLOBUS"]["host_path"] == "/"


def test_a_site_of_series_3_must_say_what_its_nodes_have() -> None:
    with pytest.raises(JawsError, match=r"SITE lacks max_ram_gb \(.*\), max_cpu .*, max_time "):
        configs("3", {})


def test_a_daemon_of_series_3_is_watched_for_longer_than_a_wrong_database_takes_to_end_it() -> None:
    # 25 s after its start, and 6 s later on a slow disk.
    daemons = ("jaws-site-run-daemon", "jaws-site-transfer-daemon")
    assert all(services("3", "jaws")[name]["holds"] > 31 for name in daemons)
