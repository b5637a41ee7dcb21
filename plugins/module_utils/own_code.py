# Copyright: (c) 2026, The jgi.jaws engineers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""This collection's own code as a program for a host, which runs there without Ansible."""

from __future__ import annotations

import ast
import importlib
import sys
from importlib.util import resolve_name
from typing import Any, Iterator

PACKAGE = __name__.rpartition(".")[0]  # ends in module_utils


def program(main: str, module: str) -> dict[str, str]:
    """Return the files of a program, by their paths in a directory or a zip file.

    Ansible's own loader of collections returns a source in bytes, other loaders in text.

    :param main: what the program does. It imports from C(module_utils).
    :param module: the one that it needs, as C(supervisor.notifier); what that imports comes along.
    """
    due, texts = [f"{PACKAGE}.{module}"], {"__main__.py": main}
    for name in due:
        found: Any = importlib.import_module(name)
        path = name[PACKAGE.rindex(".") + 1 :].replace(".", "/")
        path += "/__init__.py" if hasattr(found, "__path__") else ".py"
        source = found.__spec__.loader.get_source(name) or ""
        texts[path] = source.decode() if isinstance(source, bytes) else source
        due += [other for other in _needed(name, texts[path]) if other not in due]
    return dict(sorted(texts.items()))


def _needed(name: str, source: str) -> Iterator[str]:
    """Yield the modules of the package that one of them needs: its own package, and its imports."""
    package = name.rpartition(".")[0]
    if name != PACKAGE:
        yield package
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.ImportFrom) and node.level:
            base = resolve_name("." * node.level + (node.module or ""), package)
            names = (base, *(f"{base}.{alias.name}" for alias in node.names))
            yield from (module for module in names if module in sys.modules)
