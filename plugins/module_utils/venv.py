# Copyright: (c) 2026, The jgi.jaws engineers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Virtual environments that never change: each is named by what goes into it, and built once.

The path contains the version and a digest of everything that determines the content. So the command
of a program names its code, and an environment that exists needs no work and no network.
"""

from __future__ import annotations

import os
from concurrent.futures import ThreadPoolExecutor
from typing import Any, Mapping, Sequence

from .environments import installed
from .environments.build import WORKERS, Builder
from .environments.commands import begin
from .errors import JawsError
from .system.files import make_directory, refuse_foreign_place, umask

DIRECTORY_MODE = 0o755


def manage(params: dict[str, Any], check_mode: bool) -> dict[str, Any]:
    """Build what is missing; see the venv module for the options.

    :raises JawsError: as the module's documentation lists under C(reason).
    """
    directories = [path for path in (params["directory"], params["layers"]) if path]
    for path in directories:
        refuse_foreign_place(os.path.abspath(path))
    builders = _builders(params)
    due = [builder for builder in builders if builder.due]
    needed = {wheel["digest"] for builder in due for wheel in builder.spec["wheels"]}
    lacking = sorted(needed.difference(params["contents"]))
    built = [] if check_mode or lacking else due
    for path in directories if built else []:
        _make(path)
    _build(built, params["contents"])
    paths = [builder.environment.path for builder in due]
    return dict(
        changed=bool(due),
        lacking=lacking,
        environments={builder.spec["name"]: _describe(builder) for builder in builders},
        diff=dict(before="", after="".join(path + "\n" for path in paths)),
        warn=[text for builder in due for text in builder.warnings]
        + [text for builder in built for text in _tolerated(builder)],
    )


def _make(directory: str) -> None:
    if os.path.isdir(directory):
        return
    try:
        make_directory(directory, DIRECTORY_MODE)
    except OSError as error:
        raise JawsError(
            f"cannot make {directory}: {error.strerror} ({error.filename or directory}). Correct "
            "that, then run this again.",
            "cannot_write",
        ) from error


def _build(builders: Sequence[Builder], contents: Mapping[str, str]) -> None:
    """Build them, those with the same umask at the same time, and raise the first error."""
    for mask in sorted({builder.spec["umask"] for builder in builders}):
        chosen = [builder for builder in builders if builder.spec["umask"] == mask]
        with umask(int(mask, 8)), ThreadPoolExecutor(WORKERS) as pool:
            list(pool.map(lambda builder: builder.build(contents), chosen))


def _builders(params: Mapping[str, Any]) -> list[Builder]:
    """Return a builder for each; modules that several of them need are loaded only once."""
    specs, timeout = params["environments"], params["timeout"]
    lists = {tuple(spec["modules"]) for spec in specs}
    environs = {modules: begin(modules, timeout) for modules in sorted(lists)}
    directory, others = params["directory"], (timeout, params["layers"], params["uv"])
    return [Builder(directory, spec, environs[tuple(spec["modules"])], *others) for spec in specs]


def _tolerated(builder: Builder) -> list[str]:
    findings = (builder.environment.record or {}).get("tolerated", [])
    return [f"{builder.environment.path}: tolerated: {finding}" for finding in findings]


def _describe(builder: Builder) -> dict[str, Any]:
    path, spec = builder.environment.path, builder.spec
    record = builder.environment.record or {}
    packages = record.get("packages", [])
    known = packages or [f"{wheel.name}=={wheel.version}" for wheel in builder.wheels]
    return dict(
        path=path,
        packages=packages,
        builds=installed.builds(known, path, spec["wheels"]),
        tolerated=record.get("tolerated", []),
        modules=spec["modules"],
    )
