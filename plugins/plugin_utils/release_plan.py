# Copyright: (c) 2026, The jgi.jaws engineers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""From services to a release: configuration files, shims, and program sections.

Pure functions on the control node. Everything that a program uses is named by its content, so the
command= of its section changes exactly when something that the program uses changes.
"""

from __future__ import annotations

import hashlib
import json
import os
import shlex
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from types import MappingProxyType
from typing import Any, NamedTuple

from ..module_utils.environments.module_commands import script
from ..module_utils.errors import SECRET_NAME, SHORTEST, JawsError, in_urls
from ..module_utils.supervisor.conf import section, with_secrets
from ..module_utils.supervisor.running import MARK
from .catalogue import TOKEN, Service, stop_signal, tokens_in
from .formats import environment_for, render
from .leash import MARKS

PROGRAM_KEYS = (
    "priority",
    "autostart",
    "autorestart",
    "startsecs",
    "startretries",
    "exitcodes",
    "stopsignal",
    "stopwaitsecs",
    "stopasgroup",
    "killasgroup",
)
# What a shim becomes before it becomes the service: Python code, without the notice about copying.
LEASH = '"""' + Path(__file__).with_name("leash.py").read_text(encoding="utf-8").split('"""', 1)[1]
# What runs an image, and the prefix of the variables that its program gets in any case.
RUNTIMES = {"apptainer": "APPTAINERENV_", "singularity": "SINGULARITYENV_"}
LOCALE = {"LC_ALL": "C.UTF-8", "LANG": "C.UTF-8", "PYTHONIOENCODING": "utf-8"}


class Context(NamedTuple):
    """What a release needs to know about its host.

    :param directory: the instance's own directory, absolute.
    :param environments: by component: path of its virtual environment.
    :param artifacts: by name: path of a file that commands use, for example V(cromwell.jar).
    :param python: an interpreter that needs no environment module, such as Supervisor's.
    :param modules: environment modules that the virtual environments' Python needs, where
        C(own_modules) has none by component.
    :param own_modules: the environment modules by component that its environment was built with.
    :param secrets: texts that must not be shown where a log is quoted, if the release has them.
    :param scripts: by name: the content of scripts that health checks run.
    :param variables: environment variables of every service, for example of a proxy.
    """

    directory: str
    environments: Mapping[str, str]
    artifacts: Mapping[str, str]
    python: str
    modules: Sequence[str] = ()
    own_modules: Mapping[str, Sequence[str]] = MappingProxyType({})
    secrets: Iterable[Any] = ()
    scripts: Mapping[str, str] = MappingProxyType({})
    variables: Mapping[str, Any] = MappingProxyType({})

    @property
    def logs(self) -> str:
        """The directory of logs."""
        return os.path.join(self.directory, "logs")

    def current(self, *parts: str) -> str:
        """Return a path below the links to the current release's environments."""
        return os.path.join(self.directory, "current", *parts)


def plan_release(
    services: Mapping[str, Service],
    configs: Mapping[str, Mapping[str, Any]],
    context: Context,
) -> dict[str, Any]:
    """Return the plan of a release, as the release module takes it.

    :param services: as C(services_of) returns them.
    :param configs: by name: C(format) and C(data).
    :raises JawsError: a value that cannot be written, or an unknown token.
    """
    files = [_config_file(name, config, context) for name, config in configs.items()]
    paths = {name: file["path"] for name, file in zip(configs, files, strict=True)}
    scripts = _scripts(services, context)
    files += scripts.values()
    known = {**paths, **{name: file["path"] for name, file in scripts.items()}}
    sections, secrets = [], secrets_of([configs, services, context.variables], context.secrets)
    found: dict[str, dict[str, Any]] = {"health": {}, "holds": {}, "commands": {}}
    for name, given in sorted(services.items()):
        service = _complete(name, _readable(given, configs), known, context)
        file = _executable(name, shim(name, service, context), context)
        checking = _checking(name, service, context)
        files += [file, *checking]
        if checking:
            service["health"] = {"command": [checking[0]["path"]]}
        sections.append(_program(name, service, file["path"], context))
        found["commands"][name] = _command(without_secrets(service, secrets), context)
        for key in ("health", "holds"):
            if service[key]:
                found[key][name] = service[key]
    links = _links(paths, context)
    one_shot = sorted(name for name, service in services.items() if service["one_shot"])
    files += [_secrets_file(secrets, context)] * bool(secrets)
    programs = with_secrets("\n".join(sections), files[-1]["path"] if secrets else "")
    return {"files": files, "programs": programs, "links": links, "one_shot": one_shot, **found}


def _complete(name: str, given: Service, configs: Mapping[str, str], context: Context) -> Service:
    """Return the service with paths in place of tokens, and with the variables of every service."""
    service: Service = _expand(given, _tokens(name, configs, context), f"service {name}")
    # As they are: a password in a proxy's address may look like a token.
    return {**service, "environment": {**context.variables, **service["environment"]}}


def _readable(service: Service, configs: Mapping[str, Mapping[str, Any]]) -> Service:
    """Return the service with the variables that it needs to read its configurations."""
    named = tokens_in({"": service})
    formats = {config["format"] for name, config in configs.items() if name in named}
    needed = {key: value for one in formats for key, value in environment_for(one).items()}
    return {**service, "environment": {**needed, **service["environment"]}}


def _scripts(services: Mapping[str, Service], context: Context) -> dict[str, dict[str, str]]:
    """Return the files of the scripts that the services name."""
    named = tokens_in(services)
    found = {}
    for name, content in context.scripts.items():
        if name in named:
            file = _file("shims", *os.path.splitext(name), content, context)
            found[name] = {**file, "mode": "0640"}
    return found


def _checking(name: str, service: Service, context: Context) -> list[dict[str, str]]:
    """Return the file that runs a command as the health check, in its service's environment."""
    if "command" not in service["health"]:
        return []
    content = check_shim(name, service, context)
    return [_executable(f"{name}.health", content, context)]


def _executable(name: str, content: str, context: Context) -> dict[str, str]:
    return {**_file("shims", name, "", content, context), "mode": "0750"}


def secrets_of(data: Any, known: Iterable[Any]) -> list[str]:
    """Return the texts in a release that must not be shown where a log is quoted.

    They are the values of keys with the name of a secret, passwords in urls, and known secrets.

    :param known: secrets, of which the release may have some.
    """
    leaves = list(_leaves("", data))
    found = {text for name, text in leaves if SECRET_NAME.search(name)}
    found.update(part for _name, text in leaves for part in in_urls(text))
    given = {secret for _name, secret in _leaves("", list(known))}
    found.update(secret for secret in given if any(secret in text for _name, text in leaves))
    return sorted(text for text in found if len(text) >= SHORTEST)


def without_secrets(service: Service, secrets: Iterable[str]) -> Service:
    """Return the service without the environment variables that hold secrets."""
    plain = {
        name: value
        for name, value in service["environment"].items()
        if not SECRET_NAME.search(name) and not any(secret in str(value) for secret in secrets)
    }
    return {**service, "environment": plain}


def _leaves(name: str, value: Any) -> Iterator[tuple[str, str]]:
    """Yield each value as text, with its key; that of an item is the key of its list."""
    if isinstance(value, Mapping):
        for key, item in value.items():
            yield from _leaves(str(key), item)
    elif isinstance(value, list | tuple):
        for item in value:
            yield from _leaves(name, item)
    elif value is not None and not isinstance(value, bool):
        yield name, str(value)


def _secrets_file(secrets: Sequence[str], context: Context) -> dict[str, str]:
    content = json.dumps(secrets, indent=1) + "\n"
    return {**_file("configs", "secrets", ".json", content, context), "mode": "0640"}


def _config_file(name: str, config: Mapping[str, Any], context: Context) -> dict[str, str]:
    # No tokens here: a password may look like one.
    content = render(name, config["format"], config["data"])
    stem, extension = os.path.splitext(name)
    return {**_file("configs", stem, extension, content, context), "mode": "0640"}


def _file(folder: str, stem: str, extension: str, content: str, context: Context) -> dict[str, str]:
    digest = hashlib.sha256(content.encode()).hexdigest()[:12]
    path = os.path.join(context.directory, folder, f"{stem}-{digest}{extension}")
    return {"path": path, "content": content}


def _tokens(name: str, configs: Mapping[str, str], context: Context) -> dict[str, str]:
    logs = context.logs
    own = {"log": f"{logs}/{name}.log", "logs": logs, "current": context.current()}
    return {**context.artifacts, **configs, **own}


def shim(name: str, service: Service, context: Context) -> str:
    """Return the script that a program's command= names: its environment, then exec."""
    lines = [*_preamble(name, service, context), *_marks(service)]
    for source, target in service["copies"]:
        lines += _copy(source, target)
    if service["directory"]:
        # The directory is made by the instance's user, because it is in that user's scratch.
        folder = _quoted(service["directory"])
        lines += [f"mkdir -p -- {folder}", f"cd -- {folder}"]
    leash = [context.python, "-I", "-S", "-c", LEASH, stop_signal(service)]
    return _executing(lines, [*leash, *service["command"]])


def _marks(service: Service) -> list[str]:
    """Return the line of bash with which the program of an image can be recognized as ours.

    Its runtime may hide from it all other variables of a service.
    """
    words = {os.path.basename(str(word)) for word in service["command"]}
    return [
        f'for mark in {" ".join([*MARKS, MARK])}; do export {prefix}$mark="${{!mark-}}"; done'
        for runtime, prefix in RUNTIMES.items()
        if runtime in words
    ]


def check_shim(name: str, service: Service, context: Context) -> str:
    """Return the script of a program's health check: the same environment, then exec."""
    lines = _preamble(f"the health check of {name}", service, context)
    return _executing(lines, service["health"]["command"])


def _executing(lines: Sequence[str], command: Sequence[Any]) -> str:
    return "\n".join([*lines, "exec " + " ".join(map(_quoted, command))]) + "\n"


def _preamble(name: str, service: Service, context: Context) -> list[str]:
    return [
        "#!/bin/bash -l" if _modules(service, context) else "#!/bin/bash",
        f"# {name}: written by jgi.jaws. The name says the content; it is never changed.",
        "set -e",
        "umask 027",
        *_set_up(service, context, [context.current(name) for name in service["path"]]),
    ]


def _modules(service: Service, context: Context) -> list[str]:
    own = context.own_modules.get(service["component"], context.modules)
    return [*(own if service["component"] else ()), *service["modules"]]


def _set_up(service: Service, context: Context, folders: Sequence[str]) -> list[str]:
    """Return the lines of bash that set up a service's environment.

    :param folders: the environments in its PATH besides its own.
    """
    modules = _modules(service, context)
    lines = script(modules).splitlines()
    if modules and (service["component"] or service["path"]):
        # An environment holds all that it was checked with; a profile's Python is another one.
        lines.append("unset ${!PYTHON*}")
    lines += ['HOME=$(eval echo "~$(id -un)")', "export HOME"]
    variables = _environment(service, context, folders)
    return lines + [f"export {key}={value}" for key, value in variables.items()]


def _command(service: Service, context: Context) -> dict[str, Any]:
    """Return how to find a service's command before the switch, and what it reads.

    The links to the current environments still lead to the old ones then.
    """
    paths = context.environments
    word, text = str(service["command"][0]), " ".join(map(str, service["command"]))
    for component, path in paths.items():
        word = word.replace(context.current(component, ""), f"{path}/")
    return {
        "word": word,
        "setup": "\n".join(
            ["set -e", *_set_up(service, context, [paths[name] for name in service["path"]])]
        ),
        "login": bool(_modules(service, context)),
        "directory": service["directory"],
        "files": sorted(path for path in context.artifacts.values() if path in text),
        "environment": paths[service["component"]] if service["component"] else "",
        "trial": [str(word) for word in service["trial"]],
    }


def _quoted(value: Any) -> str:
    return shlex.quote(str(value))


def _environment(service: Service, context: Context, others: Sequence[str]) -> dict[str, str]:
    """Return the variables to export, their values quoted for the shell."""
    found, folders = dict(LOCALE), list(others)
    if service["component"]:
        own = context.environments[service["component"]]
        found["VIRTUAL_ENV"] = _quoted(own)
        folders.insert(0, own)
    if folders:
        found["PATH"] = ":".join([_quoted(f"{folder}/bin") for folder in folders] + ['"$PATH"'])
    found.update({key: _quoted(value) for key, value in service["environment"].items()})
    return found


def _copy(source: str, target: str) -> list[str]:
    # Copied by the instance's user at the start: on GPFS, a runner's process may not chgrp it.
    aside = _quoted(f"{target}.new")
    return [
        f"install -m 0600 -- {_quoted(source)} {aside}",
        f"mv -f -- {aside} {_quoted(target)}",
    ]


def _program(name: str, service: Service, command: str, context: Context) -> str:
    options = {"command": _quoted(command), "directory": "/", "umask": "027"}
    options.update((key, service[key]) for key in PROGRAM_KEYS)
    options.update(
        redirect_stderr="true",
        stdout_logfile=f"{context.logs}/{name}.out",
        stdout_logfile_maxbytes=service["log_maxbytes"],
        stdout_logfile_backups=service["log_backups"],
    )
    return section(f"program:{name}", options)


def _links(configs: Mapping[str, str], context: Context) -> dict[str, str]:
    """Return the stable names that people and running services use.

    For example, Cromwell calls `jtm submit` for each task.
    """
    folder = os.path.join(context.directory, "configs")
    links = {os.path.join(folder, name): path for name, path in configs.items()}
    links.update((context.current(name), path) for name, path in context.environments.items())
    return links


def _expand(value: Any, tokens: Mapping[str, str], where: str) -> Any:
    if isinstance(value, Mapping):
        return {key: _expand(item, tokens, where) for key, item in value.items()}
    if isinstance(value, list):
        return [_expand(item, tokens, where) for item in value]
    if not isinstance(value, str):
        return value
    unknown = [name for name in TOKEN.findall(value) if name not in tokens]
    if unknown:
        there_are = ", ".join(sorted(tokens))
        raise JawsError(f"{where}: unknown token @{unknown[0]}@; there are {there_are}.")
    return TOKEN.sub(lambda found: tokens[found[1]], value)
