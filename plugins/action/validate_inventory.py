# Copyright: (c) 2026, The jgi.jaws engineers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The action plugin of validate_inventory: it checks every host, without connecting to any."""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

import ansible.template
from ansible.errors import AnsibleError
from ansible.module_utils.common.arg_spec import ArgumentSpecValidator
from ansible.parsing.vault import is_encrypted
from ansible.utils.vars import load_extra_vars

from ..module_utils.errors import JawsError
from ..module_utils.system.files import umask
from ..plugin_utils import inventory, proxies
from ..plugin_utils.catalogue import configs_of, mistakes, services_of
from ..plugin_utils.inventory import Finding, Spec, Statement
from ..plugin_utils.other_inventories import addresses_in
from ..plugin_utils.play import wrong_tags
from ..plugin_utils.report import LocalAction
from ..plugin_utils.values import misfit
from ..plugin_utils.wiring import WORD

Result = dict[str, Any]

# Before ansible-core 2.19, every string was trusted as a template.
trust_as_template = getattr(ansible.template, "trust_as_template", str)
# Since then, what a template returns is never a template itself.
RESULTS_ARE_TEXT = hasattr(ansible.template, "trust_as_template")
LOCAL = ("local", "ansible.builtin.local")
OPTIONS = {
    "extra_vars": {"type": "list", "elements": "str", "default": []},
    "hosts": {"type": "list", "elements": "str"},
    "files": {"type": "bool", "default": False},
    "notify": {"type": "str", "default": ""},
    "tags": {"type": "dict"},
}
CHANGES = ("jaws_services", "jaws_configs", "jaws_config_formats")
CHOICE = ("jaws_instance", "jaws_series", "jaws_service_names")
HERE = ("localhost", "127.0.0.1", "::1")
IGNORED = (".bak", ".example", ".md", ".orig", ".rst", ".swp", ".txt")
YAML = (".yml", ".yaml", ".json")
KINDS = ("host", "group")  # of variables
HOSTS_FILES = ("hosts", "hosts.yml", "hosts.yaml", "hosts.ini")
NO_INSTANCE = (
    "the inventory has no host in the group supervisord. Check that it is the right inventory (-i) "
    "and that it has this group."
)


class Host:
    """The variables of one host, as the inventory states them and as its roles see them."""

    def __init__(self, raw: Result, spec: Spec, templar: Any, hostvars: Any) -> None:
        self.raw = raw
        self.spec = spec
        self.options = spec.options(raw)
        defaults = {
            name: _trusted(option["default"])
            for name, option in self.options.items()
            if "default" in option
        }
        self.templates = {**defaults, **raw}
        available = self.available = {**self.templates, "hostvars": hostvars}
        self.templar = templar.copy_with_new_env(available_variables=available)
        # What the role's catalogues say, and this instance's part of the services.
        self.known: Result = {}
        self.services: Result = {}
        self.values: Result = {}
        self.errors: dict[str, str] = {}
        self.unusable: set[str] = set()
        checked = {*self.options, *spec.facts, *inventory.CONNECTION}
        waiting = [name for name in available if name in checked]
        while waiting:
            self._evaluate(waiting[0], waiting)

    def _evaluate(self, name: str, waiting: list[str]) -> None:
        """Render a variable, after those of the waiting ones that it names.

        Ansible renders a variable again wherever another one names it, and most options lead to
        the same few facts. So here what has been rendered takes the place of its template.
        """
        waiting.remove(name)
        raw = self.available[name]
        for named in WORD.findall(str(raw)):
            if named in waiting:
                self._evaluate(named, waiting)
        try:
            self.values[name] = self.templar.template(raw)
        except AnsibleError as error:
            self.errors[name] = _cause(error)
        else:
            self.available[name] = self.values[name] if RESULTS_ARE_TEXT else raw

    def findings(self) -> list[Finding]:
        """Return what is wrong with single variables."""
        found = inventory.missing_options(self.raw, self.spec)
        found += inventory.without_value(self.errors, self.raw, self.spec)
        return found + self._wrong_values()

    def wrong_texts(self) -> list[Finding]:
        """Return what is wrong with single values that have the right type."""
        return inventory.placeholders(self.values) + inventory.too_long(
            self.values, self.raw, self.spec
        )

    def _wrong_values(self) -> list[Finding]:
        """Return what is wrong with the values of the facts and of the other options."""
        facts = self._validated(self.values, self.spec.facts)
        wrong = {finding.variable for finding in facts}
        # What names a wrong fact is not wrong itself.
        facts = [one for one in facts if not wrong.intersection(self._named(one.variable))]
        follows = self.spec.wiring.facts_behind
        implied = {
            name for name in self.values if wrong.intersection(follows(name, self.templates))
        }
        others = self._validated(
            [name for name in self.values if name not in implied], self.options
        )
        self.unusable = {*self.errors, *wrong, *implied, *(one.variable for one in others)}
        return facts + others

    def _named(self, name: str) -> set[str]:
        return {*WORD.findall(str(self.raw[name]))} - {name}

    def _validated(self, names: Iterable[str], options: inventory.Options) -> list[Finding]:
        found = []
        for name in names:
            if name in options:
                option, value = inventory.of_a_value(options[name]), self.values[name]
                checked = ArgumentSpecValidator({name: option}).validate({name: value})
                kind = "" if checked.error_messages else misfit(name, value, option)
                without = value is None and name in self.raw
                if checked.error_messages or kind or without:
                    found.append(
                        inventory.wrong_value(name, value, option, kind, self.raw.get(name))
                    )
        return found

    @property
    def is_instance(self) -> bool:
        """Whether this host uses the roles supervisord and jaws."""
        return "jaws_instance" in self.values and "supervisord_instance" in self.values

    def claims(self, host: str) -> list[inventory.Claim]:
        """Return what only one instance may have, by the names that the inventory uses."""
        written = self.spec.wiring.as_written
        return [
            claim._replace(variable=written(claim.variable, self.raw))
            for claim in inventory.claims(host, self.values, self.services)
        ]

    def missing(self, variables: Result) -> list[Finding]:
        """Return which facts and secrets the services of this instance lack.

        It looks at what they would get: in place of what has no value, marks.

        :param variables: those of the role, as templates.
        """
        marks = inventory.marked(self.values, self.options)
        available = {**variables, **self.available, **marks}
        templar = self.templar.copy_with_new_env(available_variables=available)
        try:
            services, configs = self._look(variables, templar)
        except (AnsibleError, JawsError):  # what is wrong is reported elsewhere
            return []
        self.services = {name: variables["__jaws_catalogue"].get(name) for name in services}
        found = inventory.needed(marks, [services, configs], self.raw, self.spec)
        return [finding for finding in found if finding.variable not in self.errors]

    def _look(self, variables: Result, templar: Any) -> tuple[Result, Result]:
        """Return the services of this instance and their configurations."""
        if self.unusable & {*CHOICE, *CHANGES}:
            raise JawsError("reported elsewhere")
        choice = [self.values[name] for name in CHOICE]
        self.known = templar.template(inventory.catalogues_in(variables))
        changes, configs, formats = templar.template([self.available[name] for name in CHANGES])
        services = services_of(self.known["services"], changes, *choice)
        known = inventory.configs_in(variables, services, str(self.values["jaws_series"]))
        self.known["configs"] = templar.template(known)
        formats = {**self.known["formats"], **formats}
        try:
            return services, configs_of(self.known["configs"], configs, formats, services)
        except JawsError:  # what is wrong is reported elsewhere
            named = [name for name in known if f"@{name}@" in str(services)]
            return services, {name: self.known["configs"][name] for name in named}

    def wrong_changes(self, instances: list[str]) -> list[Finding]:
        """Return what is wrong with the changes to services, components and configurations."""
        wrong = mistakes(self.known, self.values, instances)
        wrong += proxies.wrong_environment(self.values["jaws_environment"])
        return inventory.wrong_changes(wrong, self.raw, self.spec)

    def wrong_files(self) -> list[Finding]:
        """Return what is wrong with files that must be on the host, if that is this machine."""
        local = self.values.get("ansible_connection") in LOCAL
        wrong = inventory.wrong_artifacts(self.values, self.services) if local else []
        return inventory.wrong_changes(wrong, self.raw, self.spec)

    @property
    def address(self) -> inventory.Address:
        """Where the host is."""
        return inventory.address_of(self.values)


class ActionModule(LocalAction):
    """Reports all findings at once."""

    def run(self, tmp: str | None = None, task_vars: Result | None = None) -> Result:
        """Return the number of instances, or fail with a sentence for each finding."""
        result: Result = super().run(tmp, task_vars)
        options = self._validated(OPTIONS)
        with umask(0o022):  # a lookup may make directories
            return {**result, **self._checked(task_vars or {}, options)}

    def _checked(self, variables: Result, options: Result) -> Result:
        """Return the outcome and the warnings; the options say what to look at."""
        spec, own = inventory.read_spec(), options["extra_vars"]
        sentences = _wrong_tags(variables, options["tags"])
        sentences += inventory.wrong_extra_variables(load_extra_vars(self._loader), own, spec)
        # First, because Ansible caches a file as it is first read; here its templates are trusted.
        raws = {host: variables["hostvars"].raw_get(host) for host in variables["groups"]["all"]}
        statements = list(self._statements(variables))
        vain = inventory.overridden(statements, raws, spec)
        sentences += [inventory.without_effect(statement, raws, spec.wiring) for statement in vain]
        places = {host: raw.get("inventory_dir", "") for host, raw in raws.items()}
        sentences += inventory.shared_by_inventories(places, variables["groups"], statements)
        sentences += inventory.ambiguous_hosts(variables["groups"], spec.wiring, raws)
        sentences += inventory.repeated_keys(_texts(variables["ansible_inventory_sources"]))
        sentences += inventory.without_entity(self._named_files(variables), variables["groups"])
        sentences += inventory.misspelt_folders(_folders(variables["ansible_inventory_sources"]))
        chosen = raws if options["hosts"] is None else options["hosts"]
        raws = {host: inventory.effective(raws[host], vain) for host in chosen}
        known = variables["hostvars"]
        hosts = {name: Host(raw, spec, self._templar, known) for name, raw in raws.items()}
        found, claims = _look(hosts, spec, options["files"])
        sentences += inventory.located(found, statements, raws) + inventory.conflicts(claims)
        sentences += inventory.copied_addresses(_addresses(hosts), _other_sites(variables))
        instances = [name for name in variables["groups"].get("supervisord", []) if name in hosts]
        if not instances and options["hosts"] is None:
            sentences.append(NO_INSTANCE)
        result = {**_outcome(sentences, instances), **_warnings(hosts, spec)}
        tags = variables.get("ansible_run_tags") or []
        if options["notify"] and not self._task.check_mode and "inventory" not in tags:
            result["notify"] = _notify(options["notify"], hosts)
        return result

    def _named_files(self, variables: Result) -> Iterator[tuple[str, str, str]]:
        """Yield what each file of variables is for, and its path."""
        for directory in _directories(variables["ansible_inventory_sources"]):
            for kind in KINDS:
                folder = Path(directory, f"{kind}_vars")
                for path in sorted(folder.iterdir()) if folder.is_dir() else []:
                    name = path.name if path.is_dir() else _entity(path.name)
                    if name and not name.startswith("."):
                        yield kind, name, _short(str(path))

    def _statements(self, variables: Result) -> Iterator[Statement]:
        """Yield what the inventory states: hosts before groups, small groups before large ones."""
        members = variables["groups"]
        hosts = {host: frozenset([host]) for host in members["all"]}
        groups = {name: frozenset(members[name]) for name in sorted(members, key=_size(members))}
        # There is no other way to the variables within a file of hosts.
        known = variables["hostvars"]._inventory
        sources = list(filter(os.path.exists, variables["ansible_inventory_sources"]))
        where = ", ".join(map(_short, sources))
        for kind, entities, inline in (
            ("host", hosts, known.hosts),
            ("group", groups, known.groups),
        ):
            for entity, meant in entities.items():
                stated = [*self._files(kind, entity, sources)]
                stated.append((f"{where} ({kind} {entity})", inline[entity].vars))
                for place, content in stated:
                    for name, value in content.items():
                        yield Statement(name, value, place, meant)

    def _files(self, kind: str, entity: str, sources: list[str]) -> Iterator[tuple[str, Result]]:
        """Yield the variable files of a host or group, highest precedence first."""
        for directory in reversed(_directories(sources)):
            folder = os.path.join(directory, f"{kind}_vars")
            for path in reversed(self._loader.find_vars_files(folder, entity)):
                # Not a copy: the values must be the very objects that Ansible has loaded.
                yield _short(path), self._loader.load_from_file(path, unsafe=True) or {}


def _wrong_tags(variables: Result, steps: dict[str, list[str]] | None) -> list[str]:
    """Return why the playbook cannot do what C(--tags) and C(--skip-tags) ask for."""
    run, skip = (variables.get(f"ansible_{name}_tags") for name in ("run", "skip"))
    return [] if steps is None else wrong_tags(run or ["all"], skip or [], steps)


def _directories(sources: list[str]) -> list[str]:
    """Return the directories of the inventories."""
    found = filter(os.path.exists, sources)
    return [source if os.path.isdir(source) else os.path.dirname(source) for source in found]


def _folders(sources: list[str]) -> Iterator[Path]:
    """Yield what is beside the files of hosts and is a directory."""
    for directory in _directories(sources):
        yield from sorted(path for path in Path(directory).iterdir() if path.is_dir())


def _texts(sources: list[str]) -> Iterator[tuple[str, str]]:
    """Yield path and content of each file of the inventories that is YAML and not encrypted."""
    directories = [Path(directory) for directory in _directories(sources)]
    files = [path for source in sources if (path := Path(source)).is_file()]
    files += [path for source in sources for path in Path(source).glob("*")]
    for folder in (directory / f"{kind}_vars" for directory in directories for kind in KINDS):
        files += folder.rglob("*")
    for path in sorted(set(files)):
        if path.suffix in YAML and path.is_file():
            text = path.read_text(encoding="utf-8", errors="replace")
            if not is_encrypted(text):
                yield _short(str(path)), text


def _entity(name: str) -> str:
    """Return the host or group that a file of this name is for, empty if Ansible ignores it."""
    stem, extension = os.path.splitext(name)
    if extension in YAML:
        return stem
    return "" if name.endswith("~") or extension in IGNORED else name


def _addresses(hosts: dict[str, Host]) -> Iterator[inventory.Address]:
    """Yield where the hosts are that are reached from elsewhere."""
    for host in hosts.values():
        if host.address.host and host.address.host not in HERE:
            yield host.address


def _other_sites(variables: Result) -> Iterator[inventory.Address]:
    """Yield the addresses in the inventories that lie next to those that are used."""
    own = {
        Path(directory).resolve()
        for directory in _directories(variables["ansible_inventory_sources"])
    }
    near = {path for directory in own for path in directory.parent.iterdir()} - own
    for path in sorted(near):
        if any((path / name).is_file() for name in HOSTS_FILES):
            yield from addresses_in(path, _short(str(path)))


def _look(
    hosts: dict[str, Host], spec: Spec, with_files: bool
) -> tuple[list[tuple[str, Finding]], list[inventory.Claim]]:
    """Return the findings by host, and what only one instance may have."""
    spelt = inventory.misspelt_names({name for host in hosts.values() for name in host.raw}, spec)
    found = {name: host.findings() for name, host in hosts.items()}
    variables = _trusted(inventory.read_role_variables())
    sound = {name: host for name, host in hosts.items() if host.is_instance and not found[name]}
    instances = [host.values["jaws_instance"] for host in sound.values()]
    for name, host in hosts.items():
        found[name] += host.wrong_texts()
        found[name] += host.missing(variables) if host.is_instance else []
        found[name][:0] = [finding for finding in spelt if finding.variable in host.raw]
    for name, host in sound.items():
        found[name] += host.wrong_changes(instances)
        found[name] += host.wrong_files() if with_files else []
    claims = [claim for name, host in sound.items() for claim in host.claims(name)]
    return [(name, finding) for name in hosts for finding in found[name]], claims


def _outcome(findings: list[str], instances: list[str]) -> Result:
    message = f"{len(instances)} instances are valid."
    if findings:
        number = f"{len(findings)} finding{'s' * (len(findings) > 1)}"
        # Ansible shows a message more than once, and the findings once.
        message = f"The inventory is wrong; nothing was done: {number}."
    return dict(changed=False, failed=bool(findings), msg=message, findings=findings)


def _warnings(hosts: dict[str, Host], spec: Spec) -> Result:
    """Return at most one warning, about unknown names on the hosts that use our roles."""
    ours = {name for host in hosts.values() if host.options for name in host.raw}
    others = inventory.other_names(ours, spec)
    return {"warnings": [f"jgi.jaws has no variable {', '.join(others)}."]} if others else {}


def _notify(event: str, hosts: dict[str, Host]) -> Result:
    """Return what the callback jgi.jaws.notify needs if the playbook fails."""
    known = {name: host.values for name, host in hosts.items()}
    commands = [values.get("supervisord_notify_command") for values in known.values()]
    deployments = {name: values.get("jaws_deployment") for name, values in known.items()}
    found = [command for command in commands if command]
    return {"event": event, "command": found[0] if found else [], "deployments": deployments}


def _size(groups: dict[str, list[str]]) -> Any:
    return lambda name: len(groups[name])


def _short(path: str) -> str:
    """Return the path as it would be typed in the current directory."""
    here = Path.cwd()
    return str(Path(path).relative_to(here)) if Path(path).is_relative_to(here) else path


def _trusted(value: Any) -> Any:
    """Return a role's default or variable as a template; it is our own text."""
    if isinstance(value, dict):
        return {key: _trusted(item) for key, item in value.items()}
    if isinstance(value, list):
        return [_trusted(item) for item in value]
    return trust_as_template(value) if isinstance(value, str) else value


def _cause(error: BaseException) -> str:
    while error.__cause__ is not None:
        error = error.__cause__
    return str(error).splitlines()[0]
