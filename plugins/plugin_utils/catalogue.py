# Copyright: (c) 2026, The jgi.jaws engineers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A catalogue of services, with a site's changes: what is to run, and what it needs.

Pure functions on the control node.
"""

from __future__ import annotations

import os
import re
import signal
from collections.abc import Callable, Collection, Iterator, Mapping
from typing import Any

from ansible.module_utils.parsing.convert_bool import boolean

from ..module_utils.errors import JawsError, in_urls
from ..module_utils.releases.health import refuse_check
from .formats import render
from .spelling import LONG_WORD, misspelt, there_is_no

Service = dict[str, Any]

TOKEN = re.compile(r"@([A-Za-z0-9_.-]+)@")
# Besides the configurations; see the filter release_plan.
OWN_TOKENS = ("current", "health.py", "log", "logs")
NAME = re.compile(r"[A-Za-z0-9_.-]+")  # of a program in supervisord.conf, and of its files
VARIABLE = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")
WANTED = re.compile(r"<(.+)>")  # describes a value that a configuration needs from the site
MIN_STARTSECS = 3  # with 1, a program that dies at once was seen as RUNNING in 9 of 39 spawns

# The keys of a service and their defaults. The type of a default is the type of its key.
SERVICE_KEYS: Service = {
    "instance": "",
    "series": [],
    "component": "",
    "path": [],
    "command": [],
    "trial": [],
    "one_shot": False,
    "holds": 0,
    "directory": "",
    "environment": {},
    "modules": [],
    "copies": [],
    "health": {},
    "priority": 999,
    "autostart": True,
    "autorestart": "unexpected",
    "startsecs": MIN_STARTSECS,
    "startretries": 10,
    "exitcodes": "0",
    "stopsignal": "TERM",
    "stopwaitsecs": 10,
    "stopasgroup": True,
    "killasgroup": True,
    "log_maxbytes": "50MB",
    "log_backups": 5,
}
# The only values, as text, that a service which ends by itself may have for these keys.
ENDING = {"startsecs": "0", "autorestart": "false", "holds": "0", "health": "{}"}
COMPONENT_KEYS = (
    "wheels",
    "optional_wheels",
    "requirements",
    "constraints",
    "pip_arguments",
    "python",
    "modules",
    "tolerated",
)
# The keys of an artifact, with the options of the tree module.
ARTIFACT_KEYS = {"path": "source", "url": "url", "sha256": "sha256"}
SHA256 = re.compile(r"[0-9a-fA-F]{64}")
WHEEL_KEYS = ("wheels", "optional_wheels")
# The same for a health check. A list shows the type of its elements by an example.
HEALTH_KEYS: dict[str, Any] = {"tcp": "", "http": "", "status": [0], "command": [""]}


def services_of(
    catalogue: Mapping[str, Service],
    overrides: Mapping[str, Service | None],
    instance: str,
    series: str,
    names: Collection[str] = (),
) -> dict[str, Service]:
    """Return one instance's services, complete with defaults: the catalogue with a site's changes.

    :param overrides: by name: keys to change, a whole new service, or null to drop one.
    :param names: the services that the instance has; by default those that name the instance.
    :returns: by name: every key, and C(origin), the instance that has it in the catalogue.
    :raises JawsError: a misspelt name or key, or a value of the wrong type or out of range.
    """
    merged: dict[str, Service] = dict(catalogue)
    for name, change in overrides.items():
        _typed(f"jaws_services: {name}", change or {}, {})
        if change is None:
            _refuse_unknown("jaws_services", "service", [name], catalogue)
            del merged[name]
        else:
            merged[name] = _changed(name, catalogue, change)
    checked = {name: check_service(name, service) for name, service in merged.items()}
    known = {
        name: service
        for name, service in checked.items()
        if str(series) in (str(value) for value in service["series"] or [series])
    }
    _refuse_unknown("jaws_service_names", "service", names, known)
    return {
        name: {**service, "origin": catalogue.get(name, service)["instance"]}
        for name, service in known.items()
        if (name in names if names else service["instance"] == instance)
    }


def _changed(name: str, catalogue: Mapping[str, Service], change: Service) -> Service:
    if name not in catalogue and not change.get("command"):
        # A new service must have a command; without one, a service of the catalogue is meant.
        _refuse_unknown("jaws_services", "service", [name], catalogue)
    merged: Service = merge(catalogue.get(name, {}), change)
    if "health" in change:  # a health check is replaced as a whole
        merged["health"] = change["health"] or {}
    return merged


def check_service(name: str, service: Service) -> Service:
    """Return the service with every key set.

    :raises JawsError: as C(services_of).
    """
    what = f"jaws_services: {name}"
    if not NAME.fullmatch(name):
        raise JawsError(
            f"{what}: a name must consist of letters, digits, dots, dashes and underscores."
        )
    _refuse_unknown(what, "key", service, SERVICE_KEYS)
    complete = {
        key: _typed(f"{what}: {key}", service.get(key, default), default)
        for key, default in SERVICE_KEYS.items()
    }
    missing = [key for key in ("instance", "command") if not complete[key]]
    if missing:
        raise JawsError(f"{what}: {' and '.join(missing)} must be set.")
    if complete["one_shot"] or complete["startsecs"] == 0:
        complete.update(_one_shot(what, service))
    elif complete["startsecs"] < MIN_STARTSECS:
        raise JawsError(
            f"{what}: startsecs must be at least {MIN_STARTSECS}; otherwise crashes go unnoticed. "
            "A service that ends by itself needs one_shot: true."
        )
    _check_signal(what, complete)
    _check_environment(what, complete["environment"])
    complete["modules"] = [
        _typed(f"{what}: modules: {one}", one, "") for one in complete["modules"]
    ]
    complete["health"] = _checked_health(what, complete["health"])
    return complete


def stop_signal(service: Service) -> int:
    """Return the number of the service's stopsignal, which Supervisor takes with or without SIG.

    :raises KeyError: there is no such signal.
    """
    text = str(service["stopsignal"]).upper()
    return int(text) if text.isdecimal() else int(signal.Signals["SIG" + text.removeprefix("SIG")])


def _check_signal(what: str, service: Service) -> None:
    try:
        stop_signal(service)
    except KeyError:
        named = service["stopsignal"]
        raise JawsError(
            f"{what}: stopsignal {named} is not a signal; write it as TERM or 15."
        ) from None


def _one_shot(what: str, service: Service) -> Service:
    """Return what is set for a service that ends by itself, and does not start again.

    :raises JawsError: it has a key that only makes sense for one that goes on running.
    """
    wrong = [key for key, text in ENDING.items() if str(service.get(key, text)).lower() != text]
    if wrong:
        raise JawsError(
            f"{what}: a service that ends by itself (one_shot) cannot have {' or '.join(wrong)}."
        )
    return {"one_shot": True, "startsecs": 0, "autorestart": "false"}


def _typed(what: str, value: Any, default: Any) -> Any:
    """Return the value converted to the type of the default, and so the elements of a list.

    A template may have turned it into text: before ansible-core 2.19, it does so with numbers.

    :raises JawsError: it cannot be converted.
    """
    kind, read = KINDS[type(default)]
    try:
        typed = read(value)
    except (TypeError, ValueError):
        raise JawsError(f"{what} must be {kind}.") from None
    if default and isinstance(default, list):
        return [_typed(f"{what}: {item}", item, default[0]) for item in typed]
    return typed


def _whole_number(value: Any) -> int:
    if not re.fullmatch(r"\d+", str(value)):
        raise ValueError
    return int(value)


def _list(value: Any) -> list[Any]:
    if not isinstance(value, list):
        raise TypeError
    return value


def _mapping(value: Any) -> Mapping[Any, Any]:
    if not isinstance(value, Mapping):
        raise TypeError
    return value


def _text(value: Any) -> str:
    if isinstance(value, list | Mapping):
        raise TypeError
    return str(value).lower() if isinstance(value, bool) else str(value)


KINDS: dict[type, tuple[str, Callable[[Any], Any]]] = {
    bool: ("true or false", boolean),
    int: ("a whole number", _whole_number),
    list: ("a list", _list),
    dict: ("a mapping", _mapping),
    str: ("text", _text),
}


def _check_environment(what: str, environment: Mapping[str, Any]) -> None:
    for key in environment:
        if not VARIABLE.fullmatch(str(key)):
            raise JawsError(f"{what}: {key} cannot be the name of an environment variable.")


def _checked_health(what: str, health: Mapping[str, Any]) -> dict[str, Any]:
    _refuse_unknown(f"{what}: health", "key", health, HEALTH_KEYS)
    if health:
        refuse_check(f"{what}: health", health)
    return {
        key: _typed(f"{what}: health: {key}", value, HEALTH_KEYS[key])
        for key, value in health.items()
    }


def _refuse_unknown(
    what: str,
    kind: str,
    given: Collection[str],
    known: Collection[str],
    form: str = "{}",
    advice: str = "",
) -> None:
    """Refuse a name that is not known.

    :param form: how such a name is written.
    :param advice: what to do if it is not a typing error.
    :raises JawsError: with the name that was probably meant.
    """
    for name in given:
        if name not in known:
            written = {form.format(one) for one in known}
            told = there_is_no(kind, form.format(name), written, advice)
            raise JawsError(f"{what}: {told}")


def environments_of(
    catalogue: Mapping[str, Mapping[str, Any]],
    changes: Mapping[str, Mapping[str, Any]],
    services: Mapping[str, Service],
    wheels: str,
    defaults: Mapping[str, Any],
) -> list[dict[str, Any]]:
    """Return the virtual environments that the services need, as the venv module takes them.

    :param wheels: the directory that holds the wheels, directly or in subdirectories.
    :param defaults: C(python), C(modules) and C(pip_arguments) of every environment.
    :raises JawsError: a component that is not described, a misspelt key, or nothing to install.
    """
    _refuse_unknown_components(catalogue, changes, services)
    found = []
    for name in sorted(_components(services)):
        component = _component(catalogue.get(name, {}), changes.get(name, {}))
        if component.get("wheels") and not wheels:
            raise JawsError(
                f"jaws_components: {name} has wheels to install, but nothing says where they are. "
                "Set site_wheels (jaws_wheels) to the directory that holds them."
            )
        if not component.get("wheels") and not component.get("requirements"):
            raise JawsError(
                f"jaws_components: {name} has nothing to install. Set its wheels or its "
                "requirements."
            )
        found.append({**defaults, "name": name, **_located(component, wheels)})
    return found


def _component(known: Mapping[str, Any], change: Mapping[str, Any]) -> dict[str, Any]:
    """Return a component; a site's requirements take the place of the wheels that are known."""
    if change.get("requirements"):
        known = {key: value for key, value in known.items() if key not in WHEEL_KEYS}
    component: dict[str, Any] = merge(known, change)
    return component


def _refuse_unknown_components(
    catalogue: Mapping[str, Any],
    changes: Mapping[str, Mapping[str, Any]],
    services: Mapping[str, Service],
) -> None:
    # A new component must say what to install; otherwise one of the catalogue is meant.
    new = {name for name, change in changes.items() if {"wheels", "requirements"} & {*change}}
    known = {*catalogue, *_components(services), *new}
    _refuse_unknown("jaws_components", "component", changes, known)
    for name, component in changes.items():
        _typed(f"jaws_components: {name}", component, {})
        _refuse_unknown(f"jaws_components: {name}", "key", component, COMPONENT_KEYS)
    for name, service in services.items():
        needed = _components({name: service})
        _refuse_unknown(f"jaws_services: {name}", "component", needed, {*catalogue, *changes})


def _components(services: Mapping[str, Service]) -> set[str]:
    own = {service["component"] for service in services.values() if service["component"]}
    return own.union(*(service["path"] for service in services.values()))


def _located(component: Mapping[str, Any], wheels: str) -> dict[str, Any]:
    """Return the component with a pattern for each wheel."""
    located = dict(component)
    for key in WHEEL_KEYS:
        names = component.get(key, []) if wheels else []
        located[key] = [os.path.join(wheels, "**", f"{name}-*.whl") for name in names]
    return located


def artifacts_of(
    artifacts: Mapping[str, Any], services: Mapping[str, Service], folder: str
) -> list[dict[str, Any]]:
    """Return the files that services name by C(@NAME@), as the tree module takes them.

    :param folder: the directory that holds them, each with its digest in its name.
    :raises JawsError: one that is not described properly.
    """
    named = tokens_in(services)
    found = []
    for name, given in artifacts.items():
        if name in named:
            artifact = _artifact(name, given)
            stem, extension = os.path.splitext(name)
            path = os.path.join(folder, f"{stem}-@sha256@{extension}")
            found.append({"name": name, "path": path, "mode": "0640", **artifact})
    return found


def _artifact(name: str, given: Any, taken: Collection[str] = OWN_TOKENS) -> dict[str, Any]:
    """Return where an artifact comes from, as options of the tree module.

    :param taken: what tokens mean already.
    :raises JawsError: it is not described properly.
    """
    what = f"jaws_artifacts: {name}"
    options = _typed(what, given, {})
    _refuse_unknown(what, "key", options, ARTIFACT_KEYS)
    artifact = {key: _typed(f"{what}: {key}", options.get(key, ""), "") for key in ARTIFACT_KEYS}
    if not NAME.fullmatch(name) or name in taken:
        raise JawsError(
            f"{what}: a name must consist of letters, digits, dots, dashes and underscores, and "
            f"not be one of {', '.join(sorted(taken))}."
        )
    for why in _faults(**artifact):
        raise JawsError(f"{what}: {why}.")
    return {ARTIFACT_KEYS[key]: value for key, value in artifact.items() if value}


def _faults(path: str, url: str, sha256: str) -> Iterator[str]:
    """Yield why a file can be found or checked only by somebody who knows more."""
    if bool(path) == bool(url):
        yield "it needs either a path, of a file on the host, or a url"
    if path and not os.path.isabs(path):
        yield f"the path {path} is not absolute"
    if url and not re.match(r"https?://.", url):
        yield f"the url {url} does not begin with https:// or http://"
    if in_urls(url):
        yield "a url cannot have a password, which would be shown: copy the file, and give its path"
    if url and not sha256:
        yield "a url needs sha256, which sha256sum prints for the file"
    if sha256 and not SHA256.fullmatch(sha256):
        yield f"sha256 must be 64 hexadecimal digits in quotation marks, not {sha256}"


def tokens_in(services: Mapping[str, Service]) -> set[str]:
    """Return the names that services mention as C(@NAME@)."""
    return {name for service in services.values() for name in TOKEN.findall(str(service))}


def configs_of(
    defaults: Mapping[str, Any],
    changes: Mapping[str, Any],
    formats: Mapping[str, str],
    services: Mapping[str, Service],
) -> dict[str, dict[str, Any]]:
    """Return the configurations that the services use, each with its C(format) and C(data).

    A section C(X:*) of a default is merged into every section C(X:…) that a site gives. In it, the
    value of a key C(KEY:*) is the beginning of KEY's value, and the member's name is its end.

    A default <TEXT> describes a value that each site must give.

    :raises JawsError: a configuration whose format is not known, or that lacks a value.
    """
    _refuse_unknown("jaws_configs", "file", changes, formats)
    for name, change in changes.items():
        _typed(f"jaws_configs: {name}", change, {})
    found = {}
    for name in sorted(tokens_in(services).intersection(formats)):
        data = merge(defaults.get(name, {}), changes.get(name, {}))
        _refuse_lacking(name, data)
        found[name] = {"format": formats[name], "data": _fill_families(data)}
    return found


def _refuse_lacking(name: str, data: Mapping[str, Any]) -> None:
    for section, options in data.items():
        values = options.items() if isinstance(options, Mapping) else ()
        pairs = [(key, WANTED.fullmatch(str(value))) for key, value in values]
        lacking = [f"{key} ({wanted[1]})" for key, wanted in pairs if wanted]
        if lacking:
            raise JawsError(f"jaws_configs: {name}: {section} lacks {', '.join(lacking)}.")


def mistakes(
    catalogues: Mapping[str, Mapping[str, Any]],
    values: Mapping[str, Any],
    instances: Collection[str],
) -> list[str]:
    """Return what is wrong with a site's changes, one sentence per service and file.

    :param catalogues: C(services), C(components), C(formats) and C(configs), as the role jaws has
        them for this instance.
    :param values: the values of the role's options for one instance.
    :param instances: the names of all instances that the inventory has.
    """
    known, changes = catalogues["services"], values["jaws_services"]
    chosen = (values["jaws_instance"], values["jaws_series"], values["jaws_service_names"])
    found = [_refusal(_check_change, known, name, changes[name], instances) for name in changes]
    found = list(filter(None, found)) or [_refusal(services_of, known, changes, *chosen)]
    if any(found):
        return found
    services = services_of(known, changes, *chosen)
    formats = {**catalogues["formats"], **values["jaws_config_formats"]}
    components = (catalogues["components"], values["jaws_components"])
    # The directory of the wheels may be given to the deploy alone.
    found = [_refusal(environments_of, *components, services, "-", {})]
    artifacts, own = values["jaws_artifacts"], {*formats, *OWN_TOKENS}
    found += [_refusal(_artifact, name, one, own) for name, one in artifacts.items()]
    tokens = {*artifacts, *own}
    found += [_refusal(_refuse_tokens, name, one, tokens) for name, one in services.items()]
    known = catalogues.get("configs", {})
    for name, change in values["jaws_configs"].items():
        refusal = _refusal(configs_of, {}, {name: change}, formats, services)
        near = _near_keys(f"jaws_configs: {name}", change, known.get(name, {}))
        found += [refusal] if refusal else near
    return list(filter(None, found)) or _unwritable(values, known, formats, services)


def _refuse_tokens(name: str, service: Service, known: Collection[str]) -> None:
    advice = "For a file, say in site_artifacts where it comes from."
    tokens = tokens_in({name: service})
    _refuse_unknown(f"jaws_services: {name}", "token", tokens, known, "@{}@", advice)


def _near_keys(where: str, change: Any, known: Any) -> Iterator[str]:
    """Yield a sentence for each key that is a typing error of one that a configuration has.

    Any other key may be one that only this site needs.
    """
    if not isinstance(change, Mapping) or not isinstance(known, Mapping):
        return
    names = {str(key).lower(): key for key in known if not str(key).endswith(":*")}
    long = [name for name in names if len(name) >= LONG_WORD]
    for key, value in change.items():
        if key in known:
            yield from _near_keys(f"{where}: {key}", value, known[key])
        elif len(str(key)) >= LONG_WORD and (meant := misspelt(str(key), long)):
            yield f"{where}: there is no key {key}; did you mean {names[meant]}?"


def _unwritable(
    values: Mapping[str, Any],
    defaults: Mapping[str, Any],
    formats: Mapping[str, str],
    services: Mapping[str, Service],
) -> list[str]:
    """Return a sentence for each configuration that lacks a value or would be read differently."""
    given = (defaults, values["jaws_configs"], formats, services)
    lacking = _refusal(configs_of, *given)
    configs = {} if lacking else configs_of(*given)
    found = {
        name: _refusal(render, name, one["format"], one["data"]) for name, one in configs.items()
    }
    named = [
        f"jaws_configs: {told}" if name in values["jaws_configs"] else told
        for name, told in found.items()
        if told
    ]
    return [lacking, *named] if lacking else named


def _check_change(
    catalogue: Mapping[str, Service], name: str, change: Service | None, instances: Collection[str]
) -> None:
    services_of(catalogue, {name: change}, "", "")
    of_catalogue = {service["instance"] for service in catalogue.values()}
    if change and "instance" in change:
        known = {*instances, *of_catalogue}
        _refuse_unknown(f"jaws_services: {name}", "instance", [change["instance"]], known)


def _refusal(check: Callable[..., Any], *arguments: Any) -> str:
    try:
        check(*arguments)
    except JawsError as error:
        return str(error)
    return ""


def merge(base: Any, change: Any) -> Any:
    """Return C(base) with C(change) merged into it, mapping by mapping; null drops a key."""
    if not isinstance(change, Mapping):
        return change
    known: Mapping[str, Any] = base if isinstance(base, Mapping) else {}
    merged = {**known, **{key: merge(known.get(key), value) for key, value in change.items()}}
    return {key: value for key, value in merged.items() if value is not None}


def _fill_families(data: Mapping[str, Any]) -> dict[str, Any]:
    families = {name[:-1]: options for name, options in data.items() if name.endswith(":*")}
    found = {}
    for name, options in data.items():
        if not name.endswith(":*"):
            family, colon, member = name.partition(":")
            found[name] = merge(_of_member(families.get(family + colon, {}), member), options)
    return found


def _of_member(family: Mapping[str, Any], member: str) -> dict[str, Any]:
    return {
        key.removesuffix(":*"): f"{value}{member}" if key.endswith(":*") else value
        for key, value in family.items()
    }
