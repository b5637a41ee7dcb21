#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-3.0-or-later
"""Write docs/variables.md, the list of what a site may state, from the code that reads it."""

from __future__ import annotations

import re
import sys
from collections.abc import Iterable
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).parents[2] / ".collections"))

import collection
from ansible_collections.jgi.jaws.plugins.plugin_utils.inventory import Spec, read_spec
from ansible_collections.jgi.jaws.plugins.plugin_utils.wiring import WORD, renamed

PAGE = collection.ROOT / "docs/variables.md"
COMMAND = "python tests/gates/variables.py"
HEAD = f"""\
<!-- SPDX-License-Identifier: GPL-3.0-or-later -->
<!-- Written by `{COMMAND}`. -->
# What an inventory may state

[sites.md](sites.md) says how to add a site. `--tags inventory` names what is misspelt, missing,
of a wrong type, or without effect.
"""
PARTS = (
    ("site_", "Facts of the site", "In `group_vars/all/site.yml`."),
    (
        "deployment_",
        "Facts of a deployment",
        "In `group_vars/<deployment>.yml`, such as `dev.yml`, or in `group_vars/all` for all\n"
        "deployments of the site.",
    ),
    (
        "instance_",
        "Facts of an instance",
        "In `hosts.yml` at its host, in `host_vars/<host>.yml`, or in the file of a group.",
    ),
    ("vault_", "Secrets", "In `group_vars/all/vault.yml`, encrypted."),
)
OPTIONS = """\
The playbooks set options of roles from the facts above, which overrides an
inventory's `group_vars`. They do not set the options below: state these next to the facts. An
exception from what they do set, for a single host, belongs in `host_vars`.
"""
BECOME = """\
Variables of the become plugin `jgi.jaws.collabsu`, besides Ansible's own `ansible_become_*`.
`ansible-doc -t become jgi.jaws.collabsu` describes them in detail.
"""
MARKUP = re.compile(r"\b[CEOV]\(([^)]*)\)")


def page() -> str:
    """Return the whole page."""
    spec = read_spec()
    written = {name: fact for fact, name in spec.wiring.renames().items()}
    lines = [HEAD]
    for prefix, title, where in PARTS:
        facts = sorted(name for name in spec.facts if name.startswith(prefix))
        rows = [(name, absent(name, spec), meaning(spec.facts[name], written)) for name in facts]
        lines += [f"## {title}\n", f"{where}\n", table("Without it", rows)]
    lines += ["## Options of roles\n", OPTIONS]
    for role in spec.roles:
        options = settable(role, spec)
        rows = [(name, code(part.get("default")), meaning(part)) for name, part in options]
        lines += [f"### {role}\n", table("Default", rows)] if rows else []
    rows = [(name, code(part.get("default")), meaning(part)) for name, part in collabsu()]
    return "\n".join([*lines, "## Becoming another user\n", BECOME, table("Default", rows)])


def absent(fact: str, spec: Spec) -> str:
    """Return what the wiring uses if a fact is not stated."""
    unless = ", unless a group sets it" * (fact in spec.wiring.names)
    pattern = re.compile(rf"\b{fact}\b(?: \| default\((?P<default>([^()]|\([^()]*\))+)\))?")
    for variables in reversed(list(spec.wiring.groups.values())):
        for template in filter(renamed, variables.values()):
            match = pattern.search(template)
            if match:
                return of_deployment(match["default"], spec) + unless
    return ""


def of_deployment(default: str | None, spec: Spec) -> str:
    """Return a default, or the three defaults of the three deployments."""
    if not default:
        return "required"
    key = default.removeprefix("__deployment.")
    if key == default:
        return f"`{default.partition(' | ')[0]}`"
    deployments = spec.wiring.groups["supervisord"]["__deployments"].items()
    return ", ".join(f"`{values[key]}` ({name})" for name, values in deployments)


def settable(role: str, spec: Spec) -> list[tuple[str, dict[str, Any]]]:
    """Return the options of a role that neither the wiring nor a playbook sets."""
    taken = spec.wiring.names | set(of_playbooks())
    return [(name, option) for name, option in spec.roles[role].items() if name not in taken]


def of_playbooks() -> Iterable[str]:
    """Yield the variables that playbooks and tasks set for a run."""
    for path in collection.paths("playbooks/**/*.yml", "roles/*/tasks/*.yml"):
        data = collection.load(path)
        for task in collection.tasks(data if isinstance(data, list) else []):
            yield from task.get("vars") or {}


def collabsu() -> list[tuple[str, dict[str, Any]]]:
    """Return the plugin's own variables, and what each is."""
    path = collection.ROOT / "plugins/become/collabsu.py"
    options = collection.plugin_text(path, "DOCUMENTATION")["options"]
    return [
        (variable["name"], option)
        for option in options.values()
        for variable in option["vars"]
        if variable["name"].startswith("ansible_collabsu_")
    ]


def meaning(option: dict[str, Any], written: dict[str, str] | None = None) -> str:
    """Return an option's description and choices as Markdown, naming facts instead of options."""
    text = option["description"]
    first = text if isinstance(text, str) else text[0]
    facts = written or {}
    named = MARKUP.sub(lambda found: f"`{found[1]}`", first)
    named = WORD.sub(lambda found: facts.get(found[0], found[0]), named)
    choices = ", ".join(code(choice) for choice in option.get("choices", []) if choice)
    return f"{named} One of {choices}." if choices else named


def code(value: Any) -> str:
    """Return a value as it is written in YAML."""
    if value is None or value in ("", [], {}):
        return ""
    return f"`{str(value).lower() if isinstance(value, bool) else value}`".replace("|", "\\|")


def table(second: str, rows: list[tuple[str, str, str]]) -> str:
    """Return a table of variables."""
    head = f"| Variable | {second} | Meaning |\n|---|---|---|\n"
    return head + "".join(f"| `{name}` | {value} | {text} |\n" for name, value, text in rows)


if __name__ == "__main__":
    PAGE.write_text(page())
