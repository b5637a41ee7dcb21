# SPDX-License-Identifier: GPL-3.0-or-later
"""Keeps the code that Jinja makes of templates, below .cache.

Every task of a play compiles its templates again, in a process of its own, and takes more time for
this than for anything else. What the code does, and with which values, stays as it is.
"""

from __future__ import annotations

import hashlib
import sys
from importlib.metadata import version
from typing import Any

import kept_bytecode
from ansible._internal._templating import _jinja_bits
from jinja2 import Environment
from jinja2.environment import TemplateExpression

_compile = Environment.compile
_compile_expression = Environment.compile_expression
_versions = (sys.version, version("ansible-core"), version("jinja2"))
_codes: dict[str, Any] = {}
_expression = ""


def install() -> None:
    """Let every environment of this process and of its children look here first."""
    Environment.compile = compile_once  # type: ignore[method-assign]
    Environment.compile_expression = compile_expression_once  # type: ignore[method-assign]


def compile_once(self: Environment, source: Any, *more: Any, **options: Any) -> Any:
    """Return the code of a template; remember that of an expression, which was parsed already."""
    name = name_of(self, "template", source) if isinstance(source, str) else _expression
    if more or options or not name:
        return _compile(self, source, *more, **options)
    code = find(name)
    if code is None:
        code = _codes[name] = _compile(self, source)
        kept_bytecode.keep(name, code)
    return code


def compile_expression_once(
    self: Environment, source: str, undefined_to_none: bool = True
) -> TemplateExpression:
    """Return an expression such as a task's condition."""
    global _expression
    _expression = name_of(self, "expression", source)
    try:
        code = find(_expression)
        if code is None:
            return _compile_expression(self, source, undefined_to_none)
    finally:
        _expression = ""
    made = self.template_class.from_code(self, code, self.make_globals(None), None)
    return TemplateExpression(made, undefined_to_none)


def name_of(environment: Environment, kind: str, source: str) -> str:
    """Return a digest of everything that the code depends on."""
    context = _jinja_bits._TemplateCompileContext.current(optional=True)
    settings = [getattr(environment, one) for one in _jinja_bits._TEMPLATE_OVERRIDE_FIELD_NAMES]
    known = (_versions, type(environment).__name__, settings, kind, str(source))
    seen = repr((*known, context and context.escape_backslashes))
    return hashlib.sha256(seen.encode(errors="surrogatepass")).hexdigest()


def find(name: str) -> Any:
    """Return the code of this name, or None."""
    if name not in _codes:
        _codes[name] = kept_bytecode.load(name)
    return _codes[name]
