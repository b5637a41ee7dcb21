# Copyright: (c) 2026, The jgi.jaws engineers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What every filter of the collection does besides calling a pure function."""

from __future__ import annotations

from collections.abc import Callable
from functools import wraps
from typing import Any

from ansible.errors import AnsibleFilterError

from ..module_utils.errors import JawsError


def filter_module(**functions: Callable[..., Any]) -> type[Any]:
    """Return the class that Ansible looks for in a file of filters.

    :param functions: each filter's function, by the name of the filter.
    """
    filters = {name: _as_filter(function) for name, function in functions.items()}
    return type("FilterModule", (), {"filters": lambda _self: filters})


def _as_filter(function: Callable[..., Any]) -> Callable[..., Any]:
    """Return the function with its error turned into the one that Ansible expects of a filter."""

    @wraps(function)
    def call(*arguments: Any, **options: Any) -> Any:
        try:
            return function(*arguments, **options)
        except JawsError as error:
            raise AnsibleFilterError(str(error)) from error

    return call
