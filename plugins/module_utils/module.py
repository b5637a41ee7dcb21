# Copyright: (c) 2026, The jgi.jaws engineers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What the main() of every module does: run one function, and report its result or error."""

from __future__ import annotations

import json
import os
from typing import Any, Callable, Dict, Iterator

from ansible.module_utils.basic import AnsibleModule

from .errors import JawsError, forget_secrets, keep_named_secrets, keep_secret

Result = Dict[str, Any]

# As one text, which is a secret: the password of a proxy may be in it.
ENVIRONMENT_VARIABLES: Result = dict(type="json", no_log=True)
CONFIG_OPTION: Result = dict(config=dict(type="path"))
TRUST_OPTION: Result = dict(trusted_users=dict(type="list", elements="str", default=[]))
CLIENT_OPTIONS: Result = dict(
    CONFIG_OPTION,
    **TRUST_OPTION,
    server_url=dict(type="str"),
    username=dict(type="str"),
    password=dict(type="str", no_log=True),
    supervisorctl_path=dict(type="path"),
)


def run(module: AnsibleModule, action: Callable[[Result, bool], Result]) -> None:
    """Exit with what C(action(params, check_mode)) returns, or fail with its JawsError."""
    forget_secrets()
    if module.argument_spec.get("environment") == ENVIRONMENT_VARIABLES:
        given = json.loads(module.params["environment"] or "{}")
        os.environ.update((name, str(value)) for name, value in given.items())
    keep_named_secrets(os.environ)
    keep_secret(*_secrets_in(module.params, module.argument_spec))
    try:
        result = action(module.params, module.check_mode)
    except JawsError as error:
        details: Result = dict(error.details)
        module.fail_json(msg=str(error), reason=error.reason, **details)
    diff = result.pop("diff", None)
    if diff is not None and module._diff:  # pylint: disable=protected-access
        result["diff"] = diff
    for warning in result.pop("warn", []):
        module.warn(warning)
    module.exit_json(**result)


def _secrets_in(params: Result, spec: Result) -> Iterator[str]:
    """Yield the texts that options of the module keep secret."""
    for name, option in spec.items():
        if option.get("no_log") and isinstance(params[name], (str, list)):
            yield from [params[name]] if isinstance(params[name], str) else params[name]
