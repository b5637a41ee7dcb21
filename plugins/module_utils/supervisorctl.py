# Copyright: (c) 2026, The jgi.jaws engineers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The supervisorctl module: observe, plan, act."""

from __future__ import annotations

from typing import Any, Dict, Mapping, Sequence

from .errors import JawsError
from .supervisor import planning
from .supervisor.client import Supervisor
from .supervisor.controller import Controller
from .supervisor.endpoint import endpoint_for
from .supervisor.observation import Observation, observe, settings
from .supervisor.planning import Plan
from .supervisor.programs import Program, Setting, group_of, select, select_known

Params = Dict[str, Any]

# The states that depend on what the configuration on disk says.
REREADING = ("present", "restarted", "updated")


def manage(params: Params, check_mode: bool) -> dict[str, Any]:
    """Bring the programs to C(params.state); see the supervisorctl module for the options.

    :raises JawsError: as the module's documentation lists under C(reason).
    """
    wanted = _wanted(params)
    # A task for community.general.supervisorctl may read these back.
    echo = dict(name=wanted[0].rstrip(":") if len(wanted) == 1 else wanted, state=params["state"])
    try:
        with Supervisor(endpoint_for(params)) as client:
            return dict(_manage(client, params, check_mode), **echo)
    except JawsError as error:
        error.details.update(echo)
        raise


def _wanted(params: Params) -> list[str]:
    # An empty list means nothing; it must not become everything.
    return ["all"] if params["name"] is None else params["name"]


def _manage(client: Supervisor, params: Params, check_mode: bool) -> dict[str, Any]:
    before = observe(client, reread=params["state"] in REREADING)
    configured = settings(client) if before.change.added or before.change.changed else {}
    plan = make_plan(params, before, configured)
    after = planning.predict(before.programs, plan, configured)
    programs = before.programs
    if not check_mode:
        programs = _act(client, params, plan, before, configured)
        after = {program.name: program.state for program in programs}
    return dict(
        changed=plan.changes,
        affected=affected(plan, before.programs, after),
        programs=[program.as_dict() for program in programs],
        diff=_diff(before.programs, after),
    )


def make_plan(params: Params, before: Observation, configured: Mapping[str, Setting]) -> Plan:
    """Return what is to be done; pure.

    :param configured: the settings on disk by namespec, where groups are new or changed there.
    :raises JawsError: a name means no program, or a program is in a state that forbids it.
    """
    state, wanted = params["state"], _wanted(params)
    programs, change = before
    if state == "present":
        return Plan(add=change.only(_groups(before, wanted, configured)).added)
    if state == "updated":
        return planning.plan_updated(change.only(_groups(before, wanted, configured)), programs)
    if state == "restarted":
        staying = [program for program in programs if program.group not in change.groups]
        updated = staying + planning.arriving(change.added + change.changed, configured)
        return planning.plan_restarted(select_known(updated, wanted), change, programs)
    if state == "absent":
        return planning.plan_absent(
            select(programs, wanted)[0], programs, params["stop_before_removing"]
        )
    selected = select_known(programs, wanted)
    if state == "signalled":
        return planning.plan_signalled(selected, params["signal"])
    return (
        planning.plan_started(selected) if state == "started" else planning.plan_stopped(selected)
    )


def _groups(
    before: Observation, wanted: Sequence[str], configured: Mapping[str, Setting]
) -> list[str]:
    """Return the groups that the names mean, among what runs and what is new on disk."""
    programs, change = before
    found = select_known(programs + planning.arriving(change.added, configured), wanted)
    return [program.group for program in found]


def _act(
    client: Supervisor,
    params: Params,
    plan: Plan,
    before: Observation,
    configured: dict[str, Setting],
) -> list[Program]:
    pending = params["wait"] and (plan.await_running or plan.await_stopped)
    if not plan.changes and not pending:
        return before.programs
    controller = Controller(client, params["timeout"], params["wait"], configured or None)
    try:
        return controller.execute(plan, params["signal"] or "")
    except JawsError as error:
        if "failed_programs" in error.details:  # supervisord itself still answers
            found = observe(client).programs
            error.details.update(
                changed=plan.changes, programs=[program.as_dict() for program in found]
            )
        raise


def affected(plan: Plan, before: Sequence[Program], after: Mapping[str, str]) -> list[str]:
    """Return the names of the programs that the plan touches."""
    groups = set(plan.add + plan.remove)
    touched = set(plan.stop + plan.start + plan.signal)
    touched.update(program.name for program in before if program.group in groups)
    touched.update(name for name in after if group_of(name) in groups)
    return sorted(touched)


def _diff(before: Sequence[Program], after: Mapping[str, str]) -> dict[str, str]:
    states = {program.name: program.state for program in before}
    return dict(before=planning.state_lines(states), after=planning.state_lines(after))
