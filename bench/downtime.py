# SPDX-License-Identifier: GPL-3.0-or-later
"""How long services are down while deploys succeed and fail, compared with the old order of work.

A probe polls every service while a deploy runs. One row stands for a set of services and shows the
one that is worst in proportion to its limit: its own stop time plus startsecs plus one second.
"""

from __future__ import annotations

import argparse
import re
import statistics
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple, Protocol

from benchlib.old_order import OldOrder
from benchlib.probe import Probe, read_settings, read_state, stop_seconds
from benchlib.processes import workshop
from benchlib.site import CHANGED, Site, StandIns

OURS, OLD = "jgi.jaws", "old order"
# How long a service that a failed deploy has left down may take to come back by itself.
SETTLING_SECONDS = 15
TIMES_FASTER = 10

Sample = dict[str, Any]
Config = dict[str, dict[str, dict[str, Any]]]


class Case(NamedTuple):
    """A deploy: what is new in it, and whether it must fail."""

    title: str
    components: tuple[str, ...] = ()
    requirements: Mapping[str, str] = {}
    config: Mapping[str, Any] = {}
    fails: bool = False


CASES = [
    Case("new code of central", components=("central",)),
    Case("new code of all", components=("site", "central", "jtm", "cromwell")),
    Case("nothing new"),
    Case("no such package", requirements={"central": "jaws-central==99"}, fails=True),
    Case("a value that breaks the file", config={"JAWS": {"docs_url": "one\r[two"}}, fails=True),
    Case("a value that a service refuses", config={"HTTP": {"rest_port": "none"}}, fails=True),
    Case("a crash loop", config={"STANDIN": {"crash_after": 5}}, fails=True),
]
NO_CHANGE = CASES[2]
CONFIG = "jaws-central.conf"


class Contender(Protocol):
    """What deploys the stand-ins, and where they are."""

    confs: list[Path]

    @property
    def ports(self) -> dict[str, int]: ...

    def deploy_case(self, case: Case) -> bool: ...


class Ours(Site):
    """This collection."""

    def deploy_case(self, case: Case) -> bool:
        """Return whether the deploy succeeded."""
        components = {
            name: {"requirements": [what], "pip_arguments": ["--no-index"]}
            for name, what in case.requirements.items()
        }
        configs = {CONFIG: case.config} if case.config else {}
        done = self.deploy(jaws_components=components, jaws_configs=configs)
        if case is NO_CHANGE and CHANGED.search(done.stdout):
            raise RuntimeError("it changed something:\n" + done.stdout)
        if (done.returncode != 0) is not case.fails:
            raise RuntimeError(f"{case.title}:\n{done.stdout}{done.stderr}")
        return done.returncode == 0


class Theirs(OldOrder):
    """The old order of work."""

    def deploy_case(self, case: Case) -> bool:
        configs = {CONFIG: changed(self.configs[CONFIG], case.config)}
        self.deploy(case.requirements, configs)
        return True


def changed(text: str, config: Mapping[str, Mapping[str, Any]]) -> str:
    """Return an INI file with some values, written unchanged as by a shell script."""
    for section, values in config.items():
        if f"[{section}]" not in text:
            text += f"\n[{section}]\n"
        for key, value in values.items():
            text = re.sub(rf"(?m)^{key} *=.*\n", "", text)
            text = text.replace(f"[{section}]\n", f"[{section}]\n{key} = {value}\n")
    return text


class Measured(NamedTuple):
    """One deploy: its seconds, each service's gaps, and which are changed or down after it."""

    seconds: float
    gaps: dict[str, list[float]]
    restarted: set[str]
    down: list[str]


def observe(contender: Contender, case: Case) -> Measured:
    """Deploy under the probe, and watch until what was running is back or the time is over."""
    before = pids(contender.confs)
    with Probe(contender.confs, contender.ports) as probe:
        wait_for(lambda: len(probe.samples) == len(before), SETTLING_SECONDS)
        started = time.monotonic()
        contender.deploy_case(case)
        seconds = time.monotonic() - started
        wait_for(lambda: not probe.down_at_the_end(), SETTLING_SECONDS)
    after = pids(contender.confs)
    restarted = {name for name in before if after[name] != before[name]}
    return Measured(seconds, probe.gaps(), restarted, probe.down_at_the_end())


def wait_for(condition: Callable[[], bool], seconds: float) -> None:
    """Return when the condition holds, at the latest after that many seconds."""
    deadline = time.monotonic() + seconds
    while not condition() and time.monotonic() < deadline:
        time.sleep(0.1)


def pids(confs: Sequence[Path]) -> dict[str, int]:
    return {name: info["pid"] for conf in confs for name, info in read_state(conf).items()}


def bounds(contender: Contender) -> dict[str, float]:
    """Return each service's limit: its stop time plus startsecs plus one second."""
    found = {}
    for conf in contender.confs:
        settings = read_settings(conf)
        for name, seconds in stop_seconds(conf).items():
            found[name] = seconds + settings[name]["startsecs"] + 1
    return found


def measure(options: argparse.Namespace) -> Iterator[Sample]:
    """Yield downtime and duration of every case for both contenders."""
    with workshop() as root:
        stand_ins = StandIns(root)
        ours = Ours(root, stand_ins)
        ours.set_up()
        limits = bounds(ours)
        results = {OURS: run(ours, stand_ins, options, heal=False)}
        theirs = Theirs(root, ours, stand_ins)
        theirs.set_up()
        results[OLD] = run(theirs, stand_ins, options, heal=True)
    for case in chosen(options):
        yield from downtimes(case, results, limits)
        yield from durations(case, results)


Results = dict[str, list[Measured]]


def chosen(options: argparse.Namespace) -> list[Case]:
    """Return the cases to run: all, or those with one of the words in their titles."""
    words = options.cases or [""]
    return [case for case in CASES if any(word in case.title for word in words)]


def run(
    contender: Contender, stand_ins: StandIns, options: argparse.Namespace, heal: bool
) -> Results:
    """Return what was measured, by case; the fast one is repeated."""
    found: Results = {}
    for case in chosen(options):
        for _turn in range(min(options.repeat, 3) if case is NO_CHANGE else 1):
            stand_ins.change(*case.components)
            measured = observe(contender, case)
            found.setdefault(case.title, []).append(measured)
            print(f"{type(contender).__name__}, {case.title}: {measured.seconds:.1f} s", flush=True)
        if heal and case.fails:
            contender.deploy_case(NO_CHANGE)
    return found


def downtimes(
    case: Case, results: Mapping[str, Results], limits: Mapping[str, float]
) -> Iterator[Sample]:
    changed_here = results[OURS][case.title][0].restarted
    sets = {"changed": changed_here, "unchanged": set(limits) - changed_here}
    for title, names in {"all": set(limits)}.items() if case.fails else sets.items():
        for column, by_case in results.items():
            if names:
                yield downtime(case, title, names, column, by_case[case.title], limits)


def downtime(
    case: Case,
    title: str,
    names: set[str],
    column: str,
    runs: Sequence[Measured],
    limits: Mapping[str, float],
) -> Sample:
    """Return the downtime of the service that is worst in proportion to its limit."""
    times = 2 if case.fails else 0 if title == "unchanged" else 1
    totals = {name: [sum(run.gaps[name]) for run in runs] for name in names}
    worst = max(names, key=lambda name: max(totals[name]) / limits[name])
    down = sorted({name for run in runs for name in run.down} & names)
    return dict(
        table="downtime, the worst service",
        row=f"{case.title}: {len(names)} {title}",
        column=column,
        unit="s",
        values=[round(value, 3) for value in totals[worst]],
        at_most=round(times * limits[worst], 3),
        note=f"{len(down)} stay down" if down else "",
        services={name: [round(value, 3) for value in totals[name]] for name in sorted(names)},
    )


def durations(case: Case, results: Mapping[str, Results]) -> Iterator[Sample]:
    for column, by_case in results.items():
        sample: Sample = dict(
            table="deploy, start to end",
            row=case.title,
            column=column,
            unit="s",
            values=[round(run.seconds, 3) for run in by_case[case.title]],
        )
        if case is NO_CHANGE and column == OURS:
            old = statistics.median(run.seconds for run in results[OLD][case.title])
            sample["at_most"] = round(old / TIMES_FASTER, 3)
        yield sample
