# Copyright: (c) 2026, The jgi.jaws engineers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The supervisorctl modules: observe, plan, act."""

from __future__ import annotations

from typing import Any, Dict, List, Sequence

from ansible_collections.jgi.jaws.plugins.module_utils import programs as planning
from ansible_collections.jgi.jaws.plugins.module_utils.control import (
    Controller,
    Observation,
    observe,
    settings,
)
from ansible_collections.jgi.jaws.plugins.module_utils.errors import JawsError
from ansible_collections.jgi.jaws.plugins.module_utils.programs import Change, Plan, Program
from ansible_collections.jgi.jaws.plugins.module_utils.supervisor import Supervisor, endpoint_for

# The states that depend on what the configuration on disk says.
REREADING = ("present", "restarted", "updated")


def inform(params: Dict[str, Any], _check_mode: bool) -> Dict[str, Any]:
    """Return the programs of one supervisord, or those that C(params.name) means.

    :raises JawsError: supervisord does not answer, or a name means no program.
    """
    programs = observe(Supervisor(endpoint_for(params))).programs
    if params["name"]:
        programs = _known(programs, params["name"])
    return dict(changed=False, programs=[program.as_dict() for program in programs])


def manage(params: Dict[str, Any], check_mode: bool) -> Dict[str, Any]:
    """Bring the programs to C(params.state); see the supervisorctl module for the options.

    :raises JawsError: as the module's documentation lists under C(reason).
    """
    client = Supervisor(endpoint_for(params))
    before = observe(client, reread=params["state"] in REREADING)
    plan = make_plan(params, before)
    after = predict(client, before, plan)
    programs = before.programs
    if not check_mode:
        programs = _act(client, params, plan, before)
        after = {program.name: program.state for program in programs}
    return dict(
        changed=plan.changes,
        affected=affected(plan, before.programs, after),
        programs=[program.as_dict() for program in programs],
        diff=_diff(before.programs, after),
    )


def make_plan(params: Dict[str, Any], before: Observation) -> Plan:
    """Return what is to be done; pure.

    :raises JawsError: a name means no program, or a program that is to be removed runs.
    """
    state, wanted = params["state"], params["name"] or ["all"]
    programs, change = before
    if state == "updated":
        return planning.plan_updated(change.only(wanted), programs)
    if state == "present":
        return _plan_present(wanted, programs, change)
    if state == "absent":
        selected = planning.select(programs, wanted)[0]
        return planning.plan_absent(selected, params["stop_before_removing"])
    if state == "restarted":
        selected = _known(programs, wanted, change)
        return planning.plan_restarted(selected, change, programs)
    plans = {"started": planning.plan_started, "stopped": planning.plan_stopped}
    return plans.get(state, planning.plan_signalled)(_known(programs, wanted))


def _plan_present(wanted: Sequence[str], programs: List[Program], change: Change) -> Plan:
    unknown = planning.select(programs, wanted)[1]
    _refuse_unknown([name for name in unknown if name.split(":")[0] not in change.added], programs)
    return planning.plan_present(wanted, change)


def _known(programs: List[Program], wanted: Sequence[str], change: Change = Change([], [], [])) -> List[Program]:
    selected, unknown = planning.select(programs, wanted)
    # An update adds these before they are looked for.
    _refuse_unknown([name for name in unknown if name.split(":")[0] not in change.added], programs)
    return selected


def _refuse_unknown(unknown: List[str], programs: List[Program]) -> None:
    if unknown:
        known = ", ".join(planning.names(programs)) or "none"
        raise JawsError(
            "no such program or group: %s. supervisord has: %s." % (", ".join(unknown), known),
            reason="unknown_program",
        )


def _act(client: Supervisor, params: Dict[str, Any], plan: Plan, before: Observation) -> List[Program]:
    pending = params["wait"] and (plan.await_running or plan.await_stopped)
    if not plan.changes and not pending:
        return before.programs
    Controller(client, params["timeout"], params["wait"]).execute(plan, params["signal"] or "")
    return observe(client).programs


def predict(client: Supervisor, before: Observation, plan: Plan) -> Dict[str, str]:
    """Return the state that each program will have after the plan."""
    autostart = {}
    if plan.add:
        autostart = {name: setting.autostart for name, setting in settings(client).items()}
    return planning.predict(before.programs, plan, autostart)


def affected(plan: Plan, before: Sequence[Program], after: Dict[str, str]) -> List[str]:
    """Return the names of the programs that the plan touches."""
    groups = set(plan.add + plan.remove)
    touched = set(plan.stop + plan.start + plan.signal)
    touched.update(program.name for program in before if program.group in groups)
    touched.update(name for name in after if name.split(":")[0] in groups)
    return sorted(touched)


def _diff(before: Sequence[Program], after: Dict[str, str]) -> Dict[str, str]:
    states = {program.name: program.state for program in before}
    return dict(before=planning.state_lines(states), after=planning.state_lines(after))
