# Copyright: (c) 2026, The jgi.jaws engineers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The vars plugin that names the file and the line of variables that cannot be parsed."""

from __future__ import annotations

DOCUMENTATION = r"""
name: readable
short_description: Name the file and the line of variables that cannot be parsed
version_added: 1.0.0
description:
  - Sets no variables. It reads the files in C(host_vars) and C(group_vars) before
    P(ansible.builtin.host_group_vars#vars), because not every ansible-core names the file in which
    it cannot parse the YAML.
  - Enable it before that plugin, in C(ansible.cfg) as
    C(vars_plugins_enabled = jgi.jaws.readable, ansible.builtin.host_group_vars).
author:
  - The jgi.jaws engineers (@JGI-Bioinformatics)
"""

import os
from pathlib import Path
from typing import Any

import yaml
from ansible.errors import AnsibleParserError
from ansible.parsing.vault import is_encrypted
from ansible.plugins.vars import BaseVarsPlugin


class VarsModule(BaseVarsPlugin):
    """Reads the files of each host and group once."""

    # Otherwise Ansible would look for this plugin each time that it looks up variables.
    is_stateless = True
    seen: set[tuple[str, str]] = set()

    def get_vars(self, loader: Any, path: str, entities: Any) -> dict[str, Any]:
        """Return no variables; fail if a file of the entities cannot be parsed."""
        for entity in entities if isinstance(entities, list | tuple | set) else [entities]:
            kind = "host" if hasattr(entity, "get_groups") else "group"
            looked = os.path.join(path, f"{kind}_vars"), entity.name
            if looked not in self.seen:
                self.seen.add(looked)
                for name in loader.find_vars_files(*looked):
                    refuse_unreadable(os.fsdecode(name))
        return {}


def refuse_unreadable(file: str) -> None:
    """Refuse a file that is not YAML.

    :raises AnsibleParserError: names the file and the line.
    """
    text = Path(file).read_text(encoding="utf-8", errors="replace")
    if is_encrypted(text):
        return
    try:
        for _event in yaml.parse(text, Loader=yaml.SafeLoader):
            pass
    except yaml.MarkedYAMLError as error:
        mark = error.problem_mark or error.context_mark
        where = f"line {mark.line + 1}, column {mark.column + 1}" if mark else "line 1"
        raise AnsibleParserError(
            f"{file}, {where}: this YAML cannot be parsed: {error.problem}. Nothing was done."
        ) from None
