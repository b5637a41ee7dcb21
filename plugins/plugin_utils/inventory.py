# Copyright: (c) 2026, The jgi.jaws engineers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What can be wrong with an inventory, found before anything connects.

Pure functions on the control node.
"""

from __future__ import annotations

import os
import re
import stat
from collections.abc import Collection, Iterable, Iterator, Mapping
from contextlib import suppress
from pathlib import Path
from textwrap import shorten
from typing import Any, NamedTuple

import yaml
from ansible.module_utils.common.yaml import yaml_load

from .spelling import misspelt, there_is_no
from .values import specified
from .wiring import (
    FACTS,
    Variables,
    Wiring,
    is_same,
    read_wiring,
)

COLLECTION = Path(__file__).parents[2]
LOADER = getattr(yaml, "CSafeLoader", yaml.SafeLoader)  # the former needs libyaml
UNDEFINED = re.compile(r"'(\w+)' is undefined")
MARKUP = re.compile(r"\b[CEOV]\(([^)]*)\)")
# What examples have instead of a secret.
PLACEHOLDER = re.compile(
    r"(change|replace|fill|set)[-_ ]?(me|it|this|in)|to[-_ ]?do|fixme|x{3,}|\.{3}|<.*>",
    re.IGNORECASE,
)
# The option that is all secrets of a vault, so that it is wrong if one of them is.
WHOLE_VAULT = "jaws_secrets"
# What makes a host one instance of one deployment. All groups of a host must agree on these.
IDENTITY = ("deployment_name", "instance_name")
# What an inventory says about the way to a host, besides the facts.
CONNECTION = (
    "ansible_host",
    "ansible_port",
    "ansible_user",
    "ansible_connection",
    "ansible_become",
    "ansible_become_method",
    "ansible_become_user",
)
ANSIBLE = (*CONNECTION, "ansible_python_interpreter")
# How many characters the id of a site may have at most, by the series of JAWS.
LENGTHS = {"1": 8, "2": 8, "3": 16}
FOLDERS = ("group_vars", "host_vars")
PORTS = ("jaws_auth_port", "jaws_rest_port", "jaws_cromwell_port")

# What is found, by the function that finds it; docs/sites.md has the same rows.
CHECKS = {
    "misspelt_names": "a misspelt variable: one character of its name, or one in each of two words",
    "missing_options": "a fact that every instance needs, and that is missing",
    "needed": "a fact or a secret that a service of the instance needs, and that has no value",
    "placeholders": "a placeholder instead of a secret",
    "too_long": "an id of the site that has more characters than JAWS's tables",
    "wrong_value": "a value of a wrong type, not one of the choices, or out of range",
    "without_value": "a value that refers to a variable which does not exist, or is encrypted with "
    "an unknown password",
    "without_effect": "a value without effect, because the playbooks set that variable from a fact",
    "repeated_keys": "a key that is twice in the same mapping, of which YAML takes the last",
    "without_entity": "a file of variables for a host or a group that does not exist",
    "misspelt_folders": "a directory of variables whose name Ansible does not know",
    "wrong_changes": "a service, instance, component, key, file or token that does not exist, or a "
    "value that a service would read differently",
    "wrong_environment": "an environment variable that is invalid, or a proxy that would be asked "
    "for what runs on the machine itself",
    "wrong_artifacts": "a file of `site_artifacts`, such as Cromwell's jar, if this machine is the "
    "host: missing, empty or a directory",
    "copied_addresses": "an address that an inventory next to this one has for another site",
    "ambiguous_hosts": "a host in two deployments, or in two instances",
    "shared_by_inventories": "two inventories at once, whose variables would apply to each other's"
    " instances",
    "wrong_extra_variables": "a variable given by `-e` that is a misspelt variable of the playbook,"
    " or has no value",
    "conflicts": "a path, a port or a service that two instances would share",
}

Options = dict[str, dict[str, Any]]


class Spec(NamedTuple):
    """What variables mean: each role's options, and the facts that the wiring derives them from."""

    roles: dict[str, Options]
    facts: Options
    wiring: Wiring = Wiring({})

    @property
    def known(self) -> Options:
        """Every option and fact."""
        return {
            name: option
            for part in (*self.roles.values(), self.facts)
            for name, option in part.items()
        }

    @property
    def prefixes(self) -> tuple[str, ...]:
        """The prefixes of names that belong to this collection."""
        return (*(f"{role}_" for role in self.roles), *FACTS)

    def options(self, names: Iterable[str]) -> Options:
        """Return the options of a host's roles: those that require a variable that it states."""
        stated = set(names)
        return {
            name: option
            for options in self.roles.values()
            if any(option.get("required") and name in stated for name, option in options.items())
            for name, option in options.items()
        }


class Finding(NamedTuple):
    """A sentence about one variable of a host; the sentence names the variable."""

    variable: str
    sentence: str


class Statement(NamedTuple):
    """A variable that one place of the inventory states, and the hosts that it is meant for."""

    name: str
    value: Any
    place: str
    hosts: frozenset[str]


class Address(NamedTuple):
    """Where a host of an inventory is, the site that it belongs to, and where that is stated."""

    host: str
    port: str
    user: str
    site: str
    place: str


class Claim(NamedTuple):
    """Something that only one instance on a machine may have."""

    machine: str
    thing: str
    variable: str
    host: str


def read_spec(collection: Path = COLLECTION) -> Spec:
    """Return what the collection's roles and its wiring say.

    A fact that only gives an option another name means the same as the option; the others are
    described in playbooks/vars.
    """
    roles: dict[str, Options] = {}
    for path in sorted(collection.glob("roles/*/meta/argument_specs.yml")):
        options = roles.setdefault(path.parts[-3], {})
        for entry in _load(path)["argument_specs"].values():
            options.update(entry.get("options", {}))
    wiring = read_wiring(collection)
    described = _load(collection / "playbooks/vars/inventory_spec.yml")["options"]
    known = Spec(roles, {}).known
    renamed = {
        fact: of_a_value(known[name]) for fact, name in wiring.renames().items() if name in known
    }
    return Spec(roles, {**renamed, **described}, wiring)


def _load(path: Path) -> dict[str, Any]:
    with path.open(encoding="utf-8") as stream:
        loaded: dict[str, Any] = yaml_load(stream)
    return loaded


def of_a_value(option: Mapping[str, Any]) -> dict[str, Any]:
    """Return what an option specifies about a value that is given."""
    return {key: value for key, value in option.items() if key not in ("required", "default")}


def read_role_variables(collection: Path = COLLECTION) -> dict[str, Any]:
    """Return the variables of the role jaws, as templates."""
    found: dict[str, Any] = {}
    for path in sorted((collection / "roles/jaws/vars/main").glob("*.yml")):
        found.update(_load(path))
    return found


def catalogues_in(variables: Variables) -> dict[str, Any]:
    """Return what the role's variables say about services, components and formats."""
    names = {"services": "catalogue", "components": "component_catalogue", "formats": "formats"}
    return {kind: variables[f"__jaws_{name}"] for kind, name in names.items()}


def configs_in(
    variables: Variables, services: Mapping[str, Mapping[str, Any]], series: str
) -> dict[str, Any]:
    """Return what the role's variables say about the configurations of the services."""
    origins = sorted({service["origin"] for service in services.values()})
    parts = [variables.get(f"__jaws_configs_{origin}_{series}", {}) for origin in origins]
    return {name: one for part in parts for name, one in part.items()}


def marked(values: Mapping[str, Any], options: Options) -> dict[str, str]:
    """Return by name a mark for each option that has neither a value nor a default."""
    return {
        name: f"={name}="
        for name, option in options.items()
        if "default" not in option and values.get(name) == ""
    }


def needed(marks: Mapping[str, str], data: Any, raw: Variables, spec: Spec) -> list[Finding]:
    """Return a finding for each mark that is in the data: a value that the inventory must state."""
    text, written = str(data), spec.wiring.as_written
    facts = [written(name, raw) for name, mark in marks.items() if mark in text]
    return [_missing(fact, spec.known[fact]) for fact in facts]


# ---- Names


def misspelt_names(names: Iterable[str], spec: Spec) -> list[Finding]:
    """Return a finding for each name that is a typing error of one of ours, or of Ansible's."""
    known = spec.known
    found = []
    for name in sorted(name for name in names if name not in known and name not in ANSIBLE):
        for whose, theirs in (("jgi.jaws", known), ("Ansible", ANSIBLE)):
            if meant := misspelt(name, theirs):
                sentence = f"{name} is not a variable of {whose}; did you mean {meant}?"
                found.append(Finding(name, sentence))
    return found


def other_names(names: Iterable[str], spec: Spec) -> list[str]:
    """Return the unknown names that begin like ours; they may belong to other roles."""
    known = spec.known
    return sorted(
        name
        for name in names
        if name.startswith(spec.prefixes) and name not in known and not misspelt(name, known)
    )


def wrong_extra_variables(given: Mapping[str, Any], own: Collection[str], spec: Spec) -> list[str]:
    """Return a sentence for each variable given by C(-e) that is misspelt or has no value.

    :param own: the variables that the playbook reads.
    """
    sentences = []
    for name, value in sorted(given.items()):
        meant = "" if name in spec.known else misspelt(name, own)
        if name in own and is_blank(value):
            sentences.append(f"-e {name} has no value. Give one, or leave it out.")
        elif name not in own and meant:
            sentences.append(f"-e {name} is not a variable of this playbook; did you mean {meant}?")
    return sentences


def is_blank(value: Any) -> bool:
    """Whether a value, or each of its items, is empty or consists of spaces and commas only."""
    items = value if isinstance(value, list) else [value]
    return all(item is None or not str(item).strip(" ,\t\n") for item in items)


# ---- Groups


def ambiguous_hosts(
    groups: Mapping[str, Collection[str]], wiring: Wiring, raws: Mapping[str, Variables]
) -> list[str]:
    """Return a sentence for each host whose groups make it two instances or put it in two
    deployments, or whose own variables put it in another deployment than its group.

    :param groups: the hosts of each group of the inventory.
    :param raws: every host's variables before templates are rendered.
    """
    sentences = []
    for name in IDENTITY:
        for host in sorted({host for members in groups.values() for host in members}):
            said = {
                group: wiring.groups[group][name]
                for group, members in groups.items()
                if host in members and name in wiring.groups.get(group, {})
            }
            if len(set(said.values())) > 1:
                sentences.append(
                    f"{host} is in the groups {' and '.join(sorted(said))}, which disagree about "
                    f"its {name}. Remove the host from all but one of them."
                )
            # By --limit, a group is chosen for what it says.
            elif name == "deployment_name" and said and raws[host][name] not in said.values():
                sentences.append(
                    f"{host} is in the group {' and '.join(said)}, but its own {name} is "
                    f"{raws[host][name]}. Remove the host from the group, or leave out {name}."
                )
    return sentences


def repeated_keys(files: Iterable[tuple[str, str]]) -> list[str]:
    """Return a sentence for each key that a mapping has more than once; YAML takes the last one.

    :param files: path and content of each file of the inventory.
    """
    sentences = []
    for path, text in files:
        with suppress(yaml.YAMLError):  # Ansible reports it, if it reads this file
            for document in yaml.compose_all(text, Loader=LOADER):
                sentences += [
                    f"{path}, line {line}: the key {key} is there already, in line {first}. Remove "
                    "one of them."
                    for key, first, line in _repeated(document)
                ]
    return sentences


def _repeated(node: Any) -> Iterator[tuple[str, int, int]]:
    """Yield each repeated key in a node, and the lines."""
    seen: dict[str, int] = {}
    is_mapping = isinstance(node, yaml.MappingNode)
    for part in node.value if isinstance(node, yaml.CollectionNode) else []:
        key, value = part if is_mapping else (None, part)
        if key and isinstance(key, yaml.ScalarNode):
            line = key.start_mark.line + 1
            if key.value in seen:
                yield key.value, seen[key.value], line
            seen.setdefault(key.value, line)
        yield from _repeated(value)


def shared_by_inventories(
    directories: Mapping[str, str],
    groups: Mapping[str, Collection[str]],
    statements: Iterable[Statement],
) -> list[str]:
    """Return a sentence if instances of several inventories get each other's variables.

    :param directories: by host: the directory of the inventory that it comes from.
    """
    instances = groups.get("supervisord", ())
    sources = sorted({directories[host] for host in instances if host in directories})
    if len(sources) < 2:
        return []
    places = sorted(
        {
            statement.place
            for statement in statements
            if len({directories.get(host) for host in statement.hosts & set(instances)}) > 1
        }
    )
    if not places:
        return []
    return [
        f"the inventories {' and '.join(sources)} both have instances, and {', '.join(places)} "
        f"would apply to all of them. Run the playbook once for each inventory."
    ]


def without_entity(
    files: Iterable[tuple[str, str, str]], groups: Mapping[str, Collection[str]]
) -> list[str]:
    """Return a sentence for each file of variables that no host or group of the inventory has.

    :param files: C(host) or C(group), the name that the file is for, and its path.
    """
    known = {"host": set(groups["all"]), "group": set(groups)}
    return [
        f"{path} has no effect: {there_is_no(kind, name, known[kind])}"
        for kind, name, path in files
        if name not in known[kind]
    ]


def misspelt_folders(paths: Iterable[Path]) -> list[str]:
    """Return a sentence for each directory that should probably be one that Ansible reads.

    :param paths: the directories beside the files of hosts.
    """
    return [
        f"{path} has no effect: Ansible does not read it; did you mean {meant}?"
        for path in paths
        if path.name not in FOLDERS and (meant := misspelt(path.name, FOLDERS))
    ]


def address_of(values: Mapping[str, Any], place: str = "") -> Address:
    """Return where a host is, according to its variables."""
    names = ("ansible_host", "ansible_port", "ansible_user", "site_id")
    host, port, user, site = (str(values.get(name, "")) for name in names)
    return Address(host, port, user, site, place)


def copied_addresses(own: Iterable[Address], others: Iterable[Address]) -> list[str]:
    """Return a sentence for each address that a host has in common with one of another site."""
    known = {(one.host, one.port, one.user): one for one in others}
    pairs = [(mine, known.get((mine.host, mine.port, mine.user))) for mine in own]
    return list(
        dict.fromkeys(
            f"ansible_host is {mine.host}, as at site {theirs.site} in {theirs.place}. Change it "
            f"to the address of site {mine.site}, whose services would be deployed there."
            for mine, theirs in pairs
            if theirs and theirs.site != mine.site
        )
    )


# ---- Values


def missing_options(names: Iterable[str], spec: Spec) -> list[Finding]:
    """Return a finding for each option that a role requires and a host that uses it lacks."""
    stated = set(names)
    return [
        _missing(name, option)
        for name, option in spec.options(stated).items()
        if option.get("required") and name not in stated
    ]


def without_value(errors: Mapping[str, str], raw: Variables, spec: Spec) -> list[Finding]:
    """Return a finding for each cause why options of a host's roles cannot be evaluated.

    :param errors: what Ansible says, by the name of an option or of a fact.
    :param raw: the host's variables before templates are rendered.
    """
    used = {*spec.options(raw), *CONNECTION}
    known = spec.known
    causes: dict[str, list[str]] = {}
    # If a fact is wrong, its option has the default, and is not wrong itself.
    facts = {fact for name in used for fact in spec.wiring.facts_behind(name, raw)}
    for name in (used | facts) & errors.keys():
        cause = _undefined(name, errors[name], raw, spec) or _common(errors[name])
        secrets = [fact for fact in errors if fact.startswith("vault_") and name == WHOLE_VAULT]
        causes.setdefault(cause, []).extend(secrets or [name])
    return [
        _missing(cause, known[cause]) if cause in known else _broken(names, cause, raw, spec)
        for cause, names in sorted(causes.items())
    ]


def _undefined(name: str, error: str, raw: Variables, spec: Spec) -> str:
    """Return the fact or option whose absence leaves an option without a value, if there is one."""
    undefined = UNDEFINED.search(error)
    if not undefined:
        return ""
    fact = spec.wiring.as_written(name, raw)
    absent = fact != name and fact not in raw
    return fact if absent else undefined[1] if undefined[1] in spec.known else ""


def _common(error: str) -> str:
    """Return the part of an error that every version of Ansible reports in the same words."""
    undefined = UNDEFINED.search(error)
    if "recursi" in error:
        return "it refers to itself, directly or through others."
    return undefined[0] if undefined else error


def _broken(names: list[str], error: str, raw: Variables, spec: Spec) -> Finding:
    """Return the finding about an error, named after what the inventory itself states, if it does.

    What follows from that has the same error.
    """
    written = sorted({spec.wiring.as_written(name, raw) for name in names})
    stated = [name for name in written if name in raw and not spec.wiring.is_in_force(name, raw)]
    undefined = UNDEFINED.search(error)
    meant = misspelt(undefined[1], {*spec.known, *raw}) if undefined else ""
    hint = f"; did you mean {meant}?" if meant else ""
    told = stated or written
    return Finding(told[0], f"{', '.join(told)}: {error}{hint}")


def placeholders(values: Mapping[str, Any]) -> list[Finding]:
    """Return a finding for each secret that is still the placeholder of an example."""
    return [
        Finding(name, f"{name} is a placeholder, not a secret. Replace it, and encrypt the file.")
        for name, value in values.items()
        if name.startswith("vault_") and PLACEHOLDER.fullmatch(str(value).strip())
    ]


def too_long(values: Mapping[str, Any], raw: Variables, spec: Spec) -> list[Finding]:
    """Return a finding if the id of the site has too many characters for JAWS."""
    site, series = str(values.get("jaws_site_id", "")), str(values.get("jaws_series"))
    if len(site) <= LENGTHS.get(series, 0) or series not in LENGTHS:
        return []
    name = spec.wiring.as_written("jaws_site_id", raw)
    why = f"may have at most {LENGTHS[series]} characters at series {series}, not {len(site)}."
    return [Finding(name, f"{name} {why}")]


def wrong_artifacts(values: Mapping[str, Any], services: Mapping[str, Any]) -> list[str]:
    """Return a sentence for each file of the instance's services that cannot be used.

    Only one that must be on this machine already is looked at.
    """
    users = str([services, values["jaws_services"]])
    files = {name: one.get("path") for name, one in values["jaws_artifacts"].items()}
    if values["jaws_wheels_command"]:  # it may make them
        return []
    pairs = [
        (name, _why_unusable(path)) for name, path in files.items() if path and f"@{name}@" in users
    ]
    return [f"jaws_artifacts: {name}: {files[name]} {why}." for name, why in pairs if why]


def _why_unusable(path: str) -> str:
    try:
        found = os.stat(path)
    except FileNotFoundError:
        return "does not exist"
    except OSError:  # the account that deploys may see it
        return ""
    if not stat.S_ISREG(found.st_mode):
        return "is not a regular file"
    return "" if found.st_size else "is empty"


def wrong_value(
    name: str, value: Any, option: Mapping[str, Any], kind: str = "", raw: Any = None
) -> Finding:
    """Return the finding about a value that an option cannot have.

    :param kind: what it must be; by default, what its specification says.
    :param raw: the value before templates are rendered, which is shown if it says more.
    """
    if value is None:
        return Finding(name, f"{name} has no value. Give it one, or remove it.")
    if isinstance(raw, str) and not re.fullmatch(r"\s*\{\{.*\}\}\s*", raw, re.DOTALL):
        value = raw
    given = "" if option.get("no_log") else f", not {shorten(str(value), 60)}"
    return Finding(name, f"{name} must be {kind or specified(option)}{given}.")


def wrong_changes(sentences: Iterable[str], raw: Variables, spec: Spec) -> list[Finding]:
    """Return a finding for each sentence, beginning with the name that the inventory uses."""
    pairs = [(sentence.partition(":")[0], sentence) for sentence in sentences]
    written = [(spec.wiring.as_written(name, raw), name, sentence) for name, sentence in pairs]
    return [Finding(fact, fact + sentence[len(name) :]) for fact, name, sentence in written]


def _missing(name: str, option: Mapping[str, Any]) -> Finding:
    return Finding(name, f"{name} is missing: {first_sentence(option['description'])}")


def first_sentence(description: str | list[str]) -> str:
    """Return the first sentence of an option's description, without markup."""
    text = description if isinstance(description, str) else description[0]
    sentence, period, _rest = MARKUP.sub(r"\1", text).partition(". ")
    return sentence + period.rstrip()


def overridden(
    statements: Iterable[Statement], raws: Mapping[str, Variables], spec: Spec
) -> list[Statement]:
    """Return the statements of an inventory that the wiring overrides on some host.

    :param raws: every host's variables before templates are rendered.
    """
    known = spec.known
    found = []
    for statement in statements:
        name, value = statement.name, statement.value
        winners = _overriding(statement, raws, spec.wiring) if name in known else []
        if winners and not is_same(value, winners[0][name]):
            found.append(statement)
    return found


def _overriding(
    statement: Statement, raws: Mapping[str, Variables], wiring: Wiring
) -> list[Variables]:
    """Return the variables of each host that a statement is meant for but the wiring overrides."""
    meant = [raws[host] for host in sorted(statement.hosts)]
    return [raw for raw in meant if wiring.is_in_force(statement.name, raw)]


def without_effect(statement: Statement, raws: Mapping[str, Variables], wiring: Wiring) -> str:
    """Return the sentence about a statement that the wiring overrides."""
    name = statement.name
    overriding = _overriding(statement, raws, wiring)
    facts = sorted({fact for raw in overriding for fact in wiring.facts_behind(name, raw)})
    written = sorted({wiring.as_written(name, raw) for raw in overriding})
    exception = "To override it for one host, use host_vars."
    instead = f"it follows from {', '.join(facts)}. {exception}"
    if not facts:
        instead = f"the playbooks set it. {exception}"
    elif name not in written:
        instead = f"set {' or '.join(written)}."
    return f"{name} has no effect in {statement.place}: {instead}"


def effective(raw: Variables, overridden: Collection[Statement]) -> dict[str, Any]:
    """Return a host's variables without those that have no effect, which are reported already."""
    return {
        name: value
        for name, value in raw.items()
        if not any(name == vain.name and is_same(value, vain.value) for vain in overridden)
    }


# ---- What two instances share


def claims(host: str, values: Mapping[str, Any], services: Mapping[str, Any]) -> list[Claim]:
    """Return the paths, ports and services that an instance must not share.

    :param values: the values of the options of roles supervisord and jaws, and C(ansible_host) and
        C(ansible_connection).
    :param services: the instance's services by name, as templates.
    """
    instance = values["jaws_instance"]
    root, run_dir = values["supervisord_root"], values["supervisord_run_dir"]
    paths = {
        "supervisord_instance": f"{root}/supervisord-{values['supervisord_instance']}.conf",
        "supervisord_run_dir": run_dir,
        "jaws_root": f"{values['jaws_root']}/{instance}",
    }
    ports = [name for name in PORTS if name in str(services)]
    ports += ["supervisord_port"] * (values["supervisord_listen"] == "tcp")
    things = {name: os.path.normpath(path) for name, path in paths.items()}
    things.update((name, f"port {values[name]}") for name in ports)
    machine = _machine(host, values)
    found = [Claim(machine, thing, name, host) for name, thing in things.items()]
    deployment = f"deployment {values['jaws_deployment']} of site {values['jaws_site_id']}"
    names = [f"the service {name}" for name in services]
    return found + [Claim(deployment, name, "jaws_service_names", host) for name in names]


def _machine(host: str, values: Mapping[str, Any]) -> str:
    local = str(values.get("ansible_connection")) in ("local", "ansible.builtin.local")
    return str(values.get("ansible_host") or ("localhost" if local else host))


def conflicts(all_claims: Iterable[Claim]) -> list[str]:
    """Return a sentence for each thing that two instances have; the first one of a kind."""
    owners: dict[tuple[str, str], Claim] = {}
    sentences: dict[tuple[str, ...], str] = {}
    for claim in all_claims:
        first = owners.setdefault((claim.machine, claim.thing), claim)
        if first is not claim:
            sentences.setdefault(
                (first.host, first.variable, claim.host, claim.variable),
                f"{first.host} ({first.variable}) and {claim.host} ({claim.variable}) both have "
                f"{claim.thing} on {claim.machine}.",
            )
    return list(sentences.values())


# ---- Where it is stated


def located(
    findings: Iterable[tuple[str, Finding]],
    statements: Iterable[Statement],
    raws: Mapping[str, Variables],
) -> list[str]:
    """Return each sentence once, preceded by the place of the value, or else by its hosts.

    :param findings: pairs of host and finding.
    """
    by_name: dict[str, list[Statement]] = {}
    for statement in statements:
        by_name.setdefault(statement.name, []).append(statement)
    hosts: dict[tuple[str, str], dict[str, None]] = {}
    for host, (variable, sentence) in findings:
        place = _place(host, raws[host].get(variable), by_name.get(variable, []))
        hosts.setdefault((place, sentence), {})[host] = None
    return [
        f"{place or ', '.join(names)}: {sentence}" for (place, sentence), names in hosts.items()
    ]


def _place(host: str, value: Any, statements: list[Statement]) -> str:
    """Return where in the inventory a host's value is stated; empty for -e and the playbooks."""
    return next(
        (
            statement.place
            for statement in statements
            if host in statement.hosts and is_same(statement.value, value)
        ),
        "",
    )
