# Copyright: (c) 2026, The jgi.jaws engineers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The part of the venv module that runs on the control node: it finds wheels and sends them."""

from __future__ import annotations

import base64
import glob
import os
from typing import Any

from ansible.errors import AnsibleActionFail
from ansible.plugins.action import ActionBase

from ..module_utils.environments.specs import refuse_credentials, wheel_digest
from ..module_utils.errors import JawsError

Result = dict[str, Any]


class ActionModule(ActionBase):
    """Replaces patterns with the names and digests of wheels, and constraints with their text."""

    # Wheels are sent as module arguments, so there is no file that another user could read.
    TRANSFERS_FILES = False
    _supports_check_mode = True

    def run(self, tmp: str | None = None, task_vars: Result | None = None) -> Result:
        """Ask the host what it lacks; a second call sends it."""
        super().run(tmp, task_vars)
        paths: dict[str, str] = {}
        try:
            specs = [_resolve(spec, paths) for spec in self._task.args.get("environments", [])]
        except JawsError as error:
            raise AnsibleActionFail(str(error), result={"reason": error.reason}) from error
        result = self._call(specs, {}, task_vars)
        if result.get("lacking") and not self._task.check_mode:
            contents = {digest: _encoded(paths[digest]) for digest in result["lacking"]}
            result = self._call(specs, contents, task_vars)
        result.pop("lacking", None)
        return result

    def _call(self, specs: list[Result], contents: Result, task_vars: Result | None) -> Result:
        arguments = dict(self._task.args, environments=specs, contents=contents)
        result: Result = self._execute_module(module_args=arguments, task_vars=task_vars)
        return result


def _resolve(spec: Result, paths: dict[str, str]) -> Result:
    """Return the spec as the module takes it, and add the wheels' paths to C(paths) by digest."""
    spec = dict(spec)
    refuse_credentials(spec)
    required, optional = spec.pop("wheels", []), spec.pop("optional_wheels", [])
    paired = [(pattern, True) for pattern in required] + [(pattern, False) for pattern in optional]
    # One that is named twice, such as an optional one that a site requires, is installed once.
    found = list(dict.fromkeys(path for pair in paired for path in _one_wheel(*pair)))
    spec["wheels"] = [
        {"name": os.path.basename(path), "digest": wheel_digest(path)} for path in found
    ]
    paths.update((wheel["digest"], path) for wheel, path in zip(spec["wheels"], found, strict=True))
    if spec.get("constraints"):
        spec["constraints"] = _text(os.path.expanduser(spec["constraints"]))
    return spec


def _one_wheel(pattern: str, required: bool) -> list[str]:
    found = sorted(glob.glob(os.path.expanduser(pattern), recursive=True))
    if len(found) > 1:
        raise JawsError(
            f"several wheels on the control node match {pattern}: {', '.join(found)}. Keep only "
            "the one to deploy.",
            reason="no_wheels",
        )
    if required and not found:
        raise JawsError(
            f"no wheel on the control node matches {pattern}. Build it first (`make pkg` in the "
            "JAWS repository), or set jaws_wheels to the directory that has it.",
            reason="no_wheels",
        )
    return found


def _text(path: str) -> str:
    try:
        with open(path, encoding="utf-8") as stream:
            return stream.read()
    except (OSError, UnicodeDecodeError) as error:
        raise JawsError(
            f"cannot read the constraints on the control node: {error}. Correct the path.",
            reason="no_constraints",
        ) from error


def _encoded(path: str) -> str:
    with open(path, "rb") as stream:
        return base64.b64encode(stream.read()).decode()
