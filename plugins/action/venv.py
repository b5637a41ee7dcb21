# Copyright: (c) 2026, The jgi.jaws engineers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The controller's half of the venv module: it finds wheels, and sends those that the host lacks."""

from __future__ import annotations

import base64
import glob
import os
from typing import Any

from ansible.errors import AnsibleActionFail
from ansible.plugins.action import ActionBase

from ansible_collections.jgi.jaws.plugins.module_utils.errors import JawsError
from ansible_collections.jgi.jaws.plugins.module_utils.venv import wheel_digest

Result = dict[str, Any]


class ActionModule(ActionBase):
    """Replaces each environment's directory of wheels by the wheels' names and digests."""

    TRANSFERS_FILES = False  # wheels travel in the module's own arguments: no file for another user to read
    _supports_check_mode = True

    def run(self, tmp: str | None = None, task_vars: Result | None = None) -> Result:
        """Ask first; a second call sends what is lacking."""
        super().run(tmp, task_vars)
        try:
            specs = [_resolve(spec) for spec in self._task.args.get("environments", [])]
        except JawsError as error:
            raise AnsibleActionFail(str(error), result={"reason": error.reason}) from error
        result = self._call(specs, [], task_vars)
        if result.get("lacking") and not self._task.check_mode:
            result = self._call(specs, result["lacking"], task_vars)
        result.pop("lacking", None)
        return result

    def _call(self, specs: list[Result], lacking: list[str], task_vars: Result | None) -> Result:
        environments = [_with_content(spec) if spec["name"] in lacking else spec for spec in specs]
        arguments = dict(self._task.args, environments=environments)
        result: Result = self._execute_module(module_args=arguments, task_vars=task_vars)
        result.pop("invocation", None)  # the wheels' content
        return result


def _resolve(spec: Result) -> Result:
    """Return the spec with wheels in the place of patterns, and a constraints file's text."""
    spec = dict(spec)
    required, optional = spec.pop("wheels", []), spec.pop("optional_wheels", [])
    paths = [path for pattern in required for path in _one_wheel(pattern, True)]
    paths += [path for pattern in optional for path in _one_wheel(pattern, False)]
    spec["wheels"] = [
        {"name": os.path.basename(path), "digest": wheel_digest(path), "source": path} for path in paths
    ]
    if spec.get("constraints"):
        with open(os.path.expanduser(spec["constraints"]), encoding="utf-8") as stream:
            spec["constraints"] = stream.read()
    return spec


def _one_wheel(pattern: str, required: bool) -> list[str]:
    found = sorted(glob.glob(os.path.expanduser(pattern), recursive=True))
    if len(found) > 1:
        raise JawsError(
            f"several wheels on this machine are {pattern}: {', '.join(found)}. Remove all but the one to deploy.",
            "no_wheels",
        )
    if required and not found:
        raise JawsError(
            f"no wheel on this machine is {pattern}. Build it first (`make pkg` in the JAWS repository), "
            "or say where it is (jaws_wheels).",
            "no_wheels",
        )
    return found


def _with_content(spec: Result) -> Result:
    wheels = []
    for wheel in spec["wheels"]:
        with open(wheel["source"], "rb") as stream:
            wheels.append(dict(wheel, content=base64.b64encode(stream.read()).decode()))
    return dict(spec, wheels=wheels)
