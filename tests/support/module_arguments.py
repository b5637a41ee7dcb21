# SPDX-License-Identifier: GPL-3.0-or-later
"""Pass a module its arguments in this process, as Ansible does on a host, with every ansible-core.

The processes that tests start import this too, so it needs nothing but ansible-core.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any
from unittest import mock

from ansible.module_utils import basic
from ansible.module_utils.common import warnings

try:
    from ansible.module_utils import _internal
    from ansible.module_utils.testing import patch_module_args
except ImportError:  # before ansible-core 2.19
    _internal = None
    patch_module_args = None


@contextmanager
def module_arguments(options: dict[str, Any]) -> Iterator[None]:
    """Run the body as a module that was called with these options.

    :param options: including C(_ansible_check_mode) and the like, as Ansible passes them.
    """
    # A module runs in a process of its own, without the warnings of earlier modules.
    warnings._global_warnings.clear()
    warnings._global_deprecations.clear()
    if patch_module_args is None:
        arguments = json.dumps({"ANSIBLE_MODULE_ARGS": options}).encode()
        with mock.patch.object(basic, "_ANSIBLE_ARGS", arguments):
            yield
        return
    # Another test may have made this process a controller, whose warnings are not in results.
    target = mock.patch.object(_internal, "is_controller", False)
    with target, patch_module_args(options):
        yield
