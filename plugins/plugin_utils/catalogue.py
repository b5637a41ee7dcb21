# Copyright: (c) 2026, The jgi.jaws engineers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""From a catalogue of services to a release: configuration files, shims, and program sections.

Pure functions on the control node. Everything that a program uses is named by its content, so the
command= of its section changes exactly when something that the program uses changes.
"""

from __future__ import annotations

import difflib
import hashlib
import os
import re
import shlex
from collections.abc import Iterable, Mapping
from typing import Any, NamedTuple

from ansible_collections.jgi.jaws.plugins.module_utils.conf import section
from ansible_collections.jgi.jaws.plugins.module_utils.errors import JawsError
from ansible_collections.jgi.jaws.plugins.plugin_utils.formats import render

Service = dict[str, Any]

TOKEN = re.compile(r"@([A-Za-z0-9_.-]+)@")
MIN_STARTSECS = 3  # with 1, a program that dies at once was seen as RUNNING in 9 of 39 spawns

# The keys of a service and their defaults; None: no default.
SERVICE_KEYS: Service = {
    "instance": None,
    "series": None,
    "component": "",
    "path": [],
    "command": None,
    "directory": "",
    "environment": {},
    "modules": [],
    "copies": [],
    "health": {},
    "priority": 999,
    "autostart": True,
    "autorestart": "unexpected",
    "startsecs": MIN_STARTSECS,
    "startretries": 3,
    "exitcodes": "0",
    "stopsignal": "TERM",
    "stopwaitsecs": 10,
    "stopasgroup": True,
    "killasgroup": True,
    "log_maxbytes": "50MB",
    "log_backups": 5,
}
PROGRAM_KEYS = (
    "priority autostart autorestart startsecs startretries exitcodes stopsignal stopwaitsecs stopasgroup killasgroup"
).split()
COMPONENT_KEYS = ("wheels", "optional_wheels", "requirements", "constraints", "pip_arguments", "python", "modules")
HEALTH_KEYS = ("tcp", "http", "status", "command")


class Context(NamedTuple):
    """What a release needs to know of its host.

    :param directory: the instance's own directory, absolute.
    :param environments: by component: path of its virtual environment.
    :param artifacts: by name: path of a file that commands use, for example V(cromwell.jar).
    """

    directory: str
    environments: Mapping[str, str]
    artifacts: Mapping[str, str]


def services_of(
    catalogue: Mapping[str, Service], overrides: Mapping[str, Service | None], instance: str, series: str
) -> dict[str, Service]:
    """Return one instance's services, complete with defaults: the catalogue with a site's changes.

    :param overrides: by name: keys to change, a whole new service, or null to drop one.
    :raises JawsError: a misspelt key, or a value out of its range.
    """
    merged = {name: dict(catalogue.get(name, {}), **(change or {})) for name, change in overrides.items()}
    dropped = {name for name, change in overrides.items() if change is None}
    found = {}
    for name, service in {**catalogue, **merged}.items():
        if name in dropped:
            continue
        checked = check_service(name, service)
        if checked["instance"] == instance and series in (checked["series"] or [series]):
            found[name] = checked
    return found


def check_service(name: str, service: Service) -> Service:
    """Return the service with every key set.

    :raises JawsError: an unknown or a missing key, or startsecs under 3.
    """
    _refuse_unknown(f"service {name}", service, SERVICE_KEYS)
    complete = dict(SERVICE_KEYS, **service)
    missing = [key for key in ("instance", "command") if not complete[key]]
    if missing:
        raise JawsError(f"service {name}: {' and '.join(missing)} must be set.")
    if int(complete["startsecs"]) < MIN_STARTSECS:
        raise JawsError(f"service {name}: startsecs must be at least {MIN_STARTSECS}, or a crash is not seen.")
    _refuse_unknown(f"service {name}: health", complete["health"], HEALTH_KEYS)
    return complete


def _refuse_unknown(what: str, given: Iterable[str], known: Iterable[str]) -> None:
    for key in given:
        if key not in known:
            close = difflib.get_close_matches(key, list(known), 1)
            hint = f"Did you mean {close[0]}?" if close else f"There are: {', '.join(known)}."
            raise JawsError(f"{what} has no key {key}. {hint}")


def environments_of(
    catalogue: Mapping[str, Mapping[str, Any]],
    changes: Mapping[str, Mapping[str, Any]],
    services: Mapping[str, Service],
    wheels: str,
    defaults: Mapping[str, Any],
) -> list[dict[str, Any]]:
    """Return the virtual environments that the services need, as the venv module takes them.

    :param wheels: the directory that holds the wheels, in it or below it.
    :param defaults: C(python), C(modules) and C(pip_arguments) of every environment.
    :raises JawsError: a component that is not described, a misspelt key, or nothing to install.
    """
    _refuse_unknown("jaws_components", changes, set(catalogue) | _components(services))
    found = []
    for name in sorted(_components(services)):
        component = {**catalogue.get(name, {}), **changes.get(name, {})}
        _refuse_unknown(f"component {name}", component, COMPONENT_KEYS)
        if not component.get("requirements") and not (wheels and component.get("wheels")):
            raise JawsError(f"component {name} has nothing to install: set jaws_wheels, or its requirements.")
        found.append({**defaults, "name": name, **_located(component, wheels)})
    return found


def _components(services: Mapping[str, Service]) -> set[str]:
    own = {service["component"] for service in services.values() if service["component"]}
    return own.union(*(service["path"] for service in services.values()))


def _located(component: Mapping[str, Any], wheels: str) -> dict[str, Any]:
    """Return the component with a pattern for each distribution; requirements take the place of wheels."""
    located = dict(component)
    for key in ("wheels", "optional_wheels"):
        names = [] if component.get("requirements") or not wheels else component.get(key, [])
        located[key] = [os.path.join(wheels, "**", f"{name}-*.whl") for name in names]
    return located


def configs_of(
    defaults: Mapping[str, Any],
    changes: Mapping[str, Any],
    formats: Mapping[str, str],
    services: Mapping[str, Service],
) -> dict[str, dict[str, Any]]:
    """Return the configurations that the services use, each with its C(format) and C(data).

    A section C(X:*) of a default is merged into every section C(X:…) that a site gives.

    :raises JawsError: a configuration that no format is known of.
    """
    _refuse_unknown("jaws_configs", changes, formats)
    used = {name for service in services.values() for name in TOKEN.findall(str(service)) if name in formats}
    found = {}
    for name in sorted(used):
        data = _merge(defaults.get(name, {}), changes.get(name, {}))
        found[name] = {"format": formats[name], "data": _fill_families(data)}
    return found


def _merge(base: Any, change: Any) -> Any:
    if not isinstance(base, Mapping) or not isinstance(change, Mapping):
        return change
    merged = {**base, **{key: _merge(base.get(key), value) for key, value in change.items()}}
    return {key: value for key, value in merged.items() if value is not None}


def _fill_families(data: Mapping[str, Any]) -> dict[str, Any]:
    families = {name[:-1]: options for name, options in data.items() if name.endswith(":*")}
    found = {}
    for name, options in data.items():
        if not name.endswith(":*"):
            family = families.get(name.split(":")[0] + ":", {}) if ":" in name else {}
            found[name] = _merge(family, options)
    return found


def plan_release(
    services: Mapping[str, Service],
    configs: Mapping[str, Mapping[str, Any]],
    context: Context,
) -> dict[str, Any]:
    """Return the release: C(files), C(programs), C(links) and C(health), as the release module takes them.

    :param configs: by name: C(format) and C(data).
    :raises JawsError: a value that cannot be written, or a token that means nothing.
    """
    files = [_config_file(name, config, context) for name, config in configs.items()]
    paths = {name: file["path"] for name, file in zip(configs, files, strict=True)}
    sections, health = [], {}
    for name, service in sorted(services.items()):
        service = _expand(service, _tokens(name, paths, context), f"service {name}")
        path, content = _shim_file(name, service, context)
        files.append({"path": path, "content": content, "mode": "0750"})
        sections.append(_program(name, service, path, context))
        if service["health"]:
            health[name] = service["health"]
    links = _links(paths, context)
    return {"files": files, "programs": "\n".join(sections), "links": links, "health": health}


def _config_file(name: str, config: Mapping[str, Any], context: Context) -> dict[str, str]:
    # No tokens here: a password may look like one.
    content = render(name, config["format"], config["data"])
    stem, extension = os.path.splitext(name)
    path = os.path.join(context.directory, "configs", f"{stem}-{_digest(content)}{extension}")
    return {"path": path, "content": content, "mode": "0640"}


def _tokens(name: str, configs: Mapping[str, str], context: Context) -> dict[str, str]:
    logs = _logs(context)
    own = {"log": f"{logs}/{name}.log", "logs": logs, "current": os.path.join(context.directory, "current")}
    return {**context.artifacts, **configs, **own}


def _shim_file(name: str, service: Service, context: Context) -> tuple[str, str]:
    content = shim(name, service, context)
    return os.path.join(context.directory, "shims", f"{name}-{_digest(content)}"), content


def shim(name: str, service: Service, context: Context) -> str:
    """Return the script that a program's command= names: its environment, then exec."""
    login = " -l" if service["modules"] else ""
    lines = [f"#!/bin/bash{login}", f"# {name}: written by jgi.jaws. The name says the content; it is never changed."]
    lines += ["set -e", "umask 027"]
    lines += [f"module load {shlex.quote(module)}" for module in service["modules"]]
    lines += ['HOME=$(eval echo "~$(id -un)")', "export HOME"]
    for key, value in _environment(service, context).items():
        lines.append(f"export {key}={value}")
    for source, target in service["copies"]:
        lines += _copy(source, target)
    if service["directory"]:
        # By the instance's user, whose scratch it is.
        lines.append("mkdir -p {0} && cd {0}".format(shlex.quote(service["directory"])))
    lines.append(f"exec {shlex.join(str(word) for word in service['command'])}")
    return "\n".join(lines) + "\n"


def _environment(service: Service, context: Context) -> dict[str, str]:
    own = [context.environments[service["component"]]] if service["component"] else []
    links = [os.path.join(context.directory, "current", component) for component in service["path"]]
    folders = ":".join(shlex.quote(os.path.join(folder, "bin")) for folder in own + links)
    found = {"LC_ALL": "C.UTF-8", "LANG": "C.UTF-8", "PYTHONIOENCODING": "utf-8"}
    if folders:
        found["PATH"] = f'{folders}:"$PATH"'
    if own:
        found["VIRTUAL_ENV"] = shlex.quote(own[0])
    found.update((key, shlex.quote(str(value))) for key, value in service["environment"].items())
    return found


def _copy(source: str, target: str) -> list[str]:
    # By the instance's user, where it starts: on GPFS a runner's process cannot chgrp for it.
    aside = shlex.quote(f"{target}.new")
    return [f"(umask 077; cp {shlex.quote(source)} {aside})", f"mv -f {aside} {shlex.quote(target)}"]


def _program(name: str, service: Service, command: str, context: Context) -> str:
    options = {"command": shlex.quote(command), "directory": "/", "umask": "027"}
    options.update((key, service[key]) for key in PROGRAM_KEYS)
    options.update(
        redirect_stderr=True,
        stdout_logfile=f"{_logs(context)}/{name}.out",
        stdout_logfile_maxbytes=service["log_maxbytes"],
        stdout_logfile_backups=service["log_backups"],
    )
    return section(f"program:{name}", options)


def _links(configs: Mapping[str, str], context: Context) -> dict[str, str]:
    """Stable names, for people and for what a running service looks up later, such as Cromwell's `jtm submit`."""
    links = {os.path.join(context.directory, "configs", name): path for name, path in configs.items()}
    for component, path in context.environments.items():
        links[os.path.join(context.directory, "current", component)] = path
    return links


def _logs(context: Context) -> str:
    return os.path.join(context.directory, "logs")


def _expand(value: Any, tokens: Mapping[str, str], where: str) -> Any:
    if isinstance(value, Mapping):
        return {key: _expand(item, tokens, where) for key, item in value.items()}
    if isinstance(value, list):
        return [_expand(item, tokens, where) for item in value]
    if not isinstance(value, str):
        return value
    unknown = [name for name in TOKEN.findall(value) if name not in tokens]
    if unknown:
        raise JawsError(f"{where}: @{unknown[0]}@ means nothing; there are {', '.join(sorted(tokens))}.")
    return TOKEN.sub(lambda found: tokens[found[1]], value)


def _digest(content: str) -> str:
    return hashlib.sha256(content.encode()).hexdigest()[:12]
