# Copyright: (c) 2026, The jgi.jaws engineers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The core of the supervisorctl module: observe, plan, act."""

from __future__ import annotations

import os
from typing import Any, Callable, Collection, Dict, Mapping, Sequence

from .errors import JawsError
from .supervisor import planning
from .supervisor.client import Supervisor
from .supervisor.controller import Controller
from .supervisor.diagnosis import mark
from .supervisor.endpoint import Endpoint, endpoint_for, is_taken
from .supervisor.observation import Observation, observe, settings
from .supervisor.planning import Plan, Work
from .supervisor.programs import (
    Change,
    Program,
    Setting,
    group_of,
    names,
    process_of,
    select,
    select_known,
    select_written,
)

Params = Dict[str, Any]
Settings = Mapping[str, Setting]
Act = Callable[[], None]

# The states that depend on what the configuration on disk says.
REREADING = ("present", "restarted", "updated")
# The states that add what an earlier task of the play may have to write: not so in check mode.
ADDING = ("present", "updated")
# The states that start programs, which may therefore be waited for until they end.
STARTING = ("present", "started", "restarted", "updated")


def manage(params: Params, check_mode: bool) -> dict[str, Any]:
    """Bring the programs to C(params.state); see the supervisorctl module for the options.

    :raises JawsError: as the module's documentation lists under C(reason).
    """
    wanted = _wanted(params)
    # Tasks written for community.general.supervisorctl may read these.
    echo = dict(name=wanted[0].rstrip(":") if len(wanted) == 1 else wanted, state=params["state"])
    try:
        return dict(_result(params, check_mode), **echo)
    except JawsError as error:
        error.details.update(echo)
        raise


def _wanted(params: Params) -> list[str]:
    # An empty list means no program; it must not become all programs.
    return ["all"] if params["name"] is None else params["name"]


def _result(params: Params, check_mode: bool) -> dict[str, Any]:
    if params["serial"] and (params["state"] != "restarted" or not params["wait"]):
        raise JawsError(
            "serial needs state=restarted and wait=true: without waiting, it is unknown when the "
            "next program may restart. Leave it out, or change the other option.",
            reason="bad_option",
        )
    endpoint = None
    try:
        endpoint = endpoint_for(params)
        with Supervisor(endpoint) as client:
            act = _end_leftovers if params["end_leftovers"] else _manage
            return act(client, params, check_mode)
    except JawsError as error:
        is_answer = params["state"] == "absent" or (params["state"] in ADDING and check_mode)
        if is_answer and _is_not_there(params, endpoint, error):
            return _without_supervisord(params, endpoint, error)
        raise


# --- no supervisord -----------------------------------------------------------------------------


def _is_not_there(params: Params, endpoint: Endpoint | None, error: JawsError) -> bool:
    """Whether no supervisord listens, or the configuration with its address is gone."""
    if endpoint is None:
        return error.reason == "unreadable_conf" and _is_missing(params["config"])
    return error.reason == "down" and not is_taken(endpoint)


def _is_missing(path: str | None) -> bool:
    try:
        if path:
            os.stat(path)
    except OSError as error:
        return isinstance(error, (FileNotFoundError, NotADirectoryError))
    return False


def _without_supervisord(
    params: Params, endpoint: Endpoint | None, error: JawsError
) -> dict[str, Any]:
    """Return the result without a supervisord, so that no program is active.

    :raises JawsError: one with this configuration runs nevertheless (unreachable).
    """
    # What looks at processes takes long to import, and hardly any task needs it.
    from .supervisor.running import look_for_rest  # pylint: disable=import-outside-toplevel

    config = params["config"] or (endpoint.source if endpoint else "")
    left = ""
    if not params["server_url"]:  # which need not be the configuration's
        left = look_for_rest(config, endpoint.url if endpoint else "")
    wanted = [] if params["state"] == "absent" else _wanted(params)
    told = "is predicted as if it ran" if wanted else "had nothing to do: no program is active"
    return dict(
        changed=bool(wanted),
        affected=sorted(name for name in wanted if name != "all"),
        programs=[],
        warn=[f"{error} state={params['state']} {told}.{left}"],
        diff=_diff([], {}, "", ()),
    )


# --- observe, plan, act -------------------------------------------------------------------------


def _end_leftovers(client: Supervisor, params: Params, check_mode: bool) -> dict[str, Any]:
    """Manage the programs, and end what they have left before, meanwhile and before now."""
    # What looks at processes takes long to import.
    from .supervisor.leftovers import Leftovers  # pylint: disable=import-outside-toplevel
    from .supervisor.running import Instance  # pylint: disable=import-outside-toplevel

    endpoint = client.endpoint
    config = os.path.abspath(params["config"] or endpoint.source)
    chosen = names(select(observe(client).programs, _wanted(params))[0])
    leftovers = Leftovers(Instance(config, endpoint.url), chosen)
    if check_mode:
        leftovers.predict()
        result = _manage(client, params, check_mode)
    else:
        leftovers.end()
        result = _manage(client, params, check_mode, leftovers.end)
    return leftovers.reported(result)


def _manage(
    client: Supervisor, params: Params, check_mode: bool, after_stop: Act | None = None
) -> dict[str, Any]:
    before = observe(client, reread=params["state"] in REREADING)
    mark(before.programs)
    asked = before.change.added or before.change.changed or params["serial"]
    configured = settings(client) if asked else {}
    missing = _missing(params, before, configured) if check_mode else []
    work = make_work(_without(params, missing), before, configured)
    after = planning.predict(before.programs, work.whole, configured)
    programs, warn = before.programs, _warnings(params, before, missing)
    if not check_mode:
        programs, failed = _act(client, params, work, before, configured, after_stop)
        after = {program.name: program.state for program in programs}
        warn += failed
    touched = sorted({*affected(work.whole, before.programs, after), *missing})
    return dict(
        changed=work.whole.changes or bool(missing),
        affected=touched,
        programs=[program.as_dict() for program in programs],
        warn=warn,
        diff=_diff(before.programs, after, params["state"], touched),
    )


def _missing(params: Params, before: Observation, configured: Settings) -> list[str]:
    """Return the names to be added that are not on disk in check mode."""
    if params["state"] not in ADDING:
        return []
    return select(_known(params, before, configured), _wanted(params))[1]


def _without(params: Params, missing: Sequence[str]) -> Params:
    given = dict(name=_wanted(params), one_shot=params["one_shot"] or [])
    left = {
        option: [name for name in found if name not in missing] for option, found in given.items()
    }
    return {**params, **left}


def make_work(params: Params, before: Observation, configured: Settings) -> Work:
    """Return what must be done; pure.

    :param configured: the settings on disk by namespec, if groups are new or changed there, or
        if programs restart a few at a time.
    :raises JawsError: a name matches no program, or a program is in a state that forbids it.
    """
    ending: frozenset[str] = frozenset()
    if params["one_shot"] and params["state"] in STARTING:
        ending = frozenset(names(select_known(_updated(before, configured), params["one_shot"])))
    if params["state"] == "restarted":
        work = _restart(params, before, configured)
    else:
        work = Work([_make_plan(params, before, configured, ending)])
    plans = [planning.until_ended(plan, ending, configured) for plan in work.plans]
    return work._replace(plans=plans)


def _make_plan(
    params: Params, before: Observation, configured: Settings, ending: frozenset[str]
) -> Plan:
    state, wanted, programs = params["state"], _wanted(params), before.programs
    if state in ("present", "updated"):
        change = _named(before, _known(params, before, configured), wanted)
        if state == "present":
            return Plan(add=change.added)
        return planning.plan_updated(change, programs)
    if state == "absent":
        chosen = select_written(programs, wanted)[0]
        return planning.plan_absent(chosen, programs, params["stop_before_removing"], wanted)
    chosen = select_known(programs, wanted)
    if state == "signalled":
        return planning.plan_signalled(chosen, params["signal"])
    if state == "started":
        return planning.plan_started(chosen, ending)
    return planning.plan_stopped(chosen)


def _named(before: Observation, known: Sequence[Program], wanted: Sequence[str]) -> Change:
    """Return what differs on disk of the groups that names match, also of groups that are empty.

    :param known: the programs that a name may mean.
    :raises JawsError: a name matches no program (unknown_program), or several (ambiguous_program).
    """
    change = before.change
    if "all" in wanted:
        return change
    groups = [group for group in change.groups if _whole(group).intersection(wanted)]
    left = [name for name in wanted if not any(name in _whole(group) for group in groups)]
    chosen = select_known(known, left)
    return change.only([*groups, *(program.group for program in chosen)])


def _whole(group: str) -> frozenset[str]:
    """Return the names of a whole group."""
    return frozenset((group, f"{group}:", f"{group}:*"))


def _restart(params: Params, before: Observation, configured: Settings) -> Work:
    """Apply what differs on disk, of any group, and restart the programs that were named."""
    programs, change = before
    selected = select_known(_updated(before, configured), _wanted(params))
    everything = "all" in _wanted(params) and not params["serial"]
    own = change if everything else change.only(program.group for program in selected)
    lost = [program.group for program in programs if program.state == "UNKNOWN"]
    others = planning.plan_updated(change.without(own.groups + lost), programs)
    if not params["serial"]:
        return Work([planning.plan_restarted(selected, own, programs)], others)
    size = planning.batch_size(params["serial"], len(selected))
    plans = [
        planning.plan_restarted(batch, own.only(one.group for one in batch), programs)
        for batch in planning.batches(selected, own, configured, size)
    ]
    return Work(plans, others)


def _updated(before: Observation, configured: Settings) -> list[Program]:
    """Return the programs as they will be once everything that differs on disk is applied."""
    programs, change = before
    staying = [program for program in programs if program.group not in change.groups]
    return staying + planning.arriving(change.added + change.changed, configured)


def _known(params: Params, before: Observation, configured: Settings) -> list[Program]:
    """Return the programs that are active, and those that the state adds to them."""
    active = {program.name for program in before.programs}
    changed = before.change.changed if params["state"] == "updated" else []
    arriving = planning.arriving(before.change.added + changed, configured)
    return before.programs + [program for program in arriving if program.name not in active]


def _act(
    client: Supervisor,
    params: Params,
    work: Work,
    before: Observation,
    configured: dict[str, Setting],
    after_stop: Act | None,
) -> tuple[list[Program], list[str]]:
    """Do the work; return the programs after it, and what else went wrong."""
    if not work.whole.changes and not (params["wait"] and work.whole.waits):
        return before.programs, []
    arguments = (client, params["timeout"], params["wait"], configured or None)
    programs = before.programs
    told: list[str] = []
    if work.others.changes:
        programs, told = _update_others(Controller(*arguments, exits=1, goes_on=True), work.others)
    for done, plan in enumerate(work.plans):
        try:
            strict = params["strict_order"]
            controller = Controller(*arguments, after_stop=after_stop, strict=strict)
            programs = controller.execute(plan, params["signal"] or "")
        except JawsError as error:
            raise _completed(client, params, work, done, error) from error
    return programs, told


def _update_others(controller: Controller, plan: Plan) -> tuple[list[Program], list[str]]:
    try:
        return controller.execute(plan), []
    except JawsError as error:
        if "failed_programs" not in error.details:
            raise
        told = f"What the task does not name differed on disk and was applied too, but {error}"
        return observe(controller.client).programs, [told]


def _completed(
    client: Supervisor, params: Params, work: Work, done: int, error: JawsError
) -> JawsError:
    """Return the error, with the present states of the programs and what was not restarted."""
    if "failed_programs" not in error.details:  # supervisord no longer answers
        return error
    left = [name for plan in work.plans[done + 1 :] for name in {*plan.stop, *plan.start}]
    details = dict(error.details, changed=work.whole.changes)
    details["programs"] = [program.as_dict() for program in observe(client).programs]
    if params["serial"]:
        details["not_restarted"] = sorted(left)
    told = f"\nNot restarted: {', '.join(sorted(left))}." if left else ""
    return JawsError(f"{error}{told}", error.reason, **details)


# --- results ------------------------------------------------------------------------------------


def _warnings(params: Params, before: Observation, missing: Sequence[str]) -> list[str]:
    told = [
        f"{name} is not in the configuration that supervisord reads. It is predicted as if an "
        "earlier task of the play, which changes nothing in check mode, had written it."
        for name in missing
    ]
    if params["state"] == "absent":
        told += _not_removed(before.programs, _wanted(params))
    if params["state"] == "restarted":
        told += _not_applied(before)
    return told


def _not_applied(before: Observation) -> list[str]:
    """Say which groups differ on disk, but have a program that supervisord has lost."""
    groups = before.change.groups
    lost = [one for one in before.programs if one.state == "UNKNOWN" and one.group in groups]
    try:
        planning.plan_stopped(lost)
    except JawsError as error:
        left = ", ".join(sorted({one.group for one in lost}))
        return [f"What differs on disk of {left} was not applied: {error}"]
    return []


def _not_removed(programs: Sequence[Program], wanted: Sequence[str]) -> list[str]:
    """Say what the names that match nothing as written may have been meant for."""
    unknown = select_written(programs, wanted)[1]
    close = {
        name: [one for one in programs if name in (one.group, process_of(one.name))]
        for name in unknown
    }
    return [
        f"{name} by itself is not a program, so nothing was removed for it. There are "
        f"{', '.join(names(found))}. To remove a group, write it with its colon."
        for name, found in close.items()
        if found
    ]


def affected(plan: Plan, before: Sequence[Program], after: Mapping[str, str]) -> list[str]:
    """Return the names of the programs that the plan touches."""
    groups = set(plan.add + plan.remove)
    touched = set(plan.stop + plan.start + plan.signal)
    touched.update(program.name for program in before if program.group in groups)
    touched.update(name for name in after if group_of(name) in groups)
    return sorted(touched)


def _diff(
    before: Sequence[Program], after: Mapping[str, str], wish: str, touched: Collection[str]
) -> dict[str, str]:
    """Return the states before and after; a state alone would not show a restart or a signal."""
    states = {program.name: program.state for program in before}
    done = "signalled" if wish == "signalled" else "restarted"
    again = [name for name in touched if states.get(name) == after.get(name) == "RUNNING"]
    shown = {**after, **dict.fromkeys(again, f"RUNNING, {done}")}
    return dict(before=planning.state_lines(states), after=planning.state_lines(shown))
