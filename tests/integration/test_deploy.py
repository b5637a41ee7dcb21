# SPDX-License-Identifier: GPL-3.0-or-later
"""The main purpose: one command deploys the local site, and the other playbooks operate it."""

from __future__ import annotations

import json
import os
import re
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
import urllib.error
import urllib.request
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

import pytest
import yaml

from ansible_collections.jgi.jaws.plugins.module_utils.environments.specs import wheel_digest
from ansible_collections.jgi.jaws.plugins.module_utils.supervisor.programs import NOTIFIER
from shown import blocks, is_in
from tests.integration.client import supervisorctl
from tests.integration.conftest import (
    CLONE,
    PATIENCE,
    ansible,
    bearing,
    end_all,
    surroundings,
    wait_until,
)
from tests.integration.ports import reserve_port
from tests.integration.test_progress import ESCAPES, Terminal

CENTRAL = ["jaws-central-auth", "jaws-central-rest", "jaws-central-rpc"]
SITE = ["jaws-site-central-rpc", "jaws-site-daemon", "jaws-site-jtm-rpc"]
JTM = ["jaws-cromwell", "jaws-jtm"]
RPC = ["jaws-central-rpc", "jaws-site-central-rpc", "jaws-site-jtm-rpc"]
RECAP = re.compile(r"^(\S+) +: ok=(\d+) +changed=(\d+) .*?failed=(\d+)", re.MULTILINE)


def of(*groups: str) -> pytest.MarkDecorator:
    """Mark a test as part of a group, which shares a deployment, one test after the other."""
    return pytest.mark.parametrize("installation", groups, indirect=True)


DEPLOYED, CUT, OPERATED, BARE = map(of, ("@deployed", "@cut", "@operated", "@bare"))

Run = subprocess.CompletedProcess[str]


def changes(run: Run) -> dict[str, int]:
    """Return the number of changed tasks by host; fail if a task failed."""
    found = RECAP.findall(run.stdout)
    assert run.returncode == 0, run.stdout
    assert {failed for *_rest, failed in found} == {"0"}, run.stdout
    return {host: int(changed) for host, _ok, changed, _failed in found}


def differing(before: dict[str, str], after: dict[str, str]) -> list[str]:
    """Return the names whose values differ."""
    return sorted(name for name in before if before[name] != after[name])


def summary_of(run: Run) -> list[str]:
    """Return the sentences that a deploy, or the plan of one, ends with, all in the past tense."""
    text = run.stdout[run.stdout.index("PLAY RECAP") :].partition("\n\n")[2]
    joined = re.sub(r"\n {4,}", " ", text)
    for plan, done in {"leave": "left", "restart": "restarted", "start": "started"}.items():
        joined = joined.replace(f"would {plan} ", f"{done} ")
    joined = re.sub(r"→ (a new release|\d{8}T\S+)$", "→ the new release", joined, flags=re.M)
    return [line.strip() for line in joined.strip().splitlines()]


class Deployment:
    """The local site in its own directory and with its own ports.

    :param python: the interpreter that makes its environments.
    """

    def __init__(self, root: Path, python: str) -> None:
        self.root = root
        self.site = root / "site"
        self.home = root / "home"
        self.home.mkdir()
        self.auth, self.rest, self.cromwell = (reserve_port() for _ in range(3))
        build = [sys.executable, CLONE / "examples/build.py", "--output", root / "dist"]
        subprocess.run(build, check=True, stdout=subprocess.DEVNULL)
        self.variables: dict[str, Any] = {
            "site_root": str(self.site),
            "site_python": python,
            "deployment_auth_port": self.auth,
            "deployment_rest_port": self.rest,
            "deployment_cromwell_port": self.cromwell,
            "jaws_wheels": str(root / "dist"),
            "jaws_wheels_command": [],
            "jaws_artifacts": {"cromwell.jar": {"path": str(root / "dist/cromwell.jar")}},
            "jaws_window": 4,
            # Of this deployment alone: a test says that nothing answers there.
            "jaws_rmq_port": reserve_port(),
            "jaws_db_port": reserve_port(),
            "jaws_configs": {},
        }
        self.environment: dict[str, str] = {}
        self.outputs: list[str] = []

    def play(self, playbook: str, *arguments: str, **variables: Any) -> Run:
        """Run a playbook; the variables are for this run only."""
        call = self.arguments(playbook, **variables)
        done = ansible("playbook", *call, *arguments, home=self.home, **self.environment)
        self.outputs.append(done.stdout)
        return done

    @contextmanager
    def without(self, port: str) -> Iterator[None]:
        """Let nothing answer at a port, as the stand-ins see it."""
        address = f"\0jaws-stand-in/away/localhost:{self.variables[port]}"
        with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as away:
            away.bind(address)
            yield

    def arguments(self, playbook: str, **variables: Any) -> list[str]:
        extra = json.dumps({**self.variables, **variables})
        return [f"playbooks/{playbook}.yml", "-i", "inventories/local", "-e", extra]

    def deploy(self, *arguments: str, **variables: Any) -> Run:
        return self.play("deploy", *arguments, **variables)

    def supervisorctl(self, instance: str, verb: str = "status", config: Path | None = None) -> Run:
        """Run what an operator runs on the host."""
        folder = self.site / "jaws-supervisord"
        command = [folder / "bin/supervisorctl", "-c", config or self.conf(instance), verb]
        return subprocess.run(command, capture_output=True, text=True, check=False, cwd="/")

    def conf(self, instance: str) -> Path:
        return self.site / f"jaws-supervisord/supervisord-{instance}.conf"

    def confs(self) -> dict[str, str]:
        return {instance: self.conf(instance).read_text() for instance in ("jaws", "jtm")}

    def programs(self) -> dict[str, list[str]]:
        """Return the words in each program's line of supervisorctl's table."""
        tables = [supervisorctl(self.conf(instance), "status") for instance in ("jaws", "jtm")]
        lines = [line.split() for table in tables for line in table.splitlines()]
        return {name: words for name, *words in lines if name != NOTIFIER}

    def notices(self) -> list[dict[str, Any]]:
        """Return what the command that reports failures has read."""
        told = self.root / "told"
        return [*map(json.loads, told.read_text().splitlines())] if told.exists() else []

    def releases(self) -> dict[str, str]:
        """Return what the release has written into each configuration."""
        return {name: text.partition("; Programs.")[2] for name, text in self.confs().items()}

    def pids(self) -> dict[str, str]:
        """Return the pid of each program; all of them run."""
        programs = self.programs()
        assert sorted(programs) == sorted([*CENTRAL, *SITE, *JTM])
        assert {words[0] for words in programs.values()} == {"RUNNING"}, programs
        return self.running()

    def running(self) -> dict[str, str]:
        """Return the pid of each program that runs."""
        programs = self.programs().items()
        return {name: words[2] for name, words in programs if words[0] == "RUNNING"}

    def secrets(self) -> list[str]:
        """Return every secret of the deployment, including the keys of the instances."""
        found = [path.read_text().split()[0] for path in (self.site / "secrets").iterdir()]
        for conf in (self.site / "jaws-supervisord").glob("supervisord-*.conf"):
            found += re.findall(r"^password=(\S+)$", conf.read_text(), re.MULTILINE)
        assert len(set(found)) == 8 + 2
        return found

    def end(self) -> None:
        """End whatever still runs from the directory, and remove it."""
        end_all(self.root)
        shutil.rmtree(self.root)


def answer(port: int, path: str) -> int:
    """Return the HTTP status of a service on this machine."""
    try:
        with urllib.request.urlopen(f"http://127.0.0.1:{port}{path}", timeout=PATIENCE) as response:
            return int(response.status)
    except urllib.error.HTTPError as error:
        with error:
            return error.code


@pytest.fixture(scope="module")
def installation(request: pytest.FixtureRequest, quick_python: str) -> Iterator[Deployment]:
    """A directory for a group's deployment, with a short path because of the sockets in it."""
    found = Deployment(Path(tempfile.mkdtemp(prefix="jd", dir="/tmp")), quick_python)
    if request.param == "@cut":  # the others are as without it
        hook = f"cat >>{found.root}/told; echo >>{found.root}/told"
        found.variables["site_notify_command"] = ["sh", "-c", hook]
    yield found
    found.end()


@pytest.fixture
def deployment(installation: Deployment) -> Deployment:
    """The site, deployed and running."""
    if not (installation.site / "jaws-supervisord").exists():
        assert changes(installation.deploy("-vvv", "--diff"))
    return installation


@DEPLOYED
def test_every_service_runs_and_answers_on_its_port(deployment: Deployment) -> None:
    assert deployment.pids()
    assert answer(deployment.auth, "/tokeninfo") == 401
    assert answer(deployment.rest, "/api/v2/status") == 200
    assert answer(deployment.cromwell, "/engine/v1/status") == 200
    shown = deployment.play("status")
    assert changes(shown) == {"local_dev_jaws": 0, "local_dev_jtm": 0}
    assert len(re.findall(r"^local_dev_\S+ +jaws-\S+ +RUNNING +ok +\d+ ", shown.stdout, re.M)) == 8


@DEPLOYED
def test_releases_distinguish_two_builds_of_one_version(deployment: Deployment) -> None:
    shown = deployment.play("releases").stdout
    for name in ("central", "site", "jtm"):
        (wheel,) = (deployment.root / "dist").rglob(f"jaws_{name}-*.whl")
        assert f"jaws-{name}=={wheel.name.split('-')[1]} ({wheel_digest(str(wheel))[:8]})" in shown


# A callback that writes everything as JSON in the end, as that of ansible.posix.
AS_JSON = """\
import json
from ansible.plugins.callback import CallbackBase

class CallbackModule(CallbackBase):
    CALLBACK_VERSION, CALLBACK_TYPE, CALLBACK_NAME = 2.0, "stdout", "as_json"

    def v2_playbook_on_start(self, playbook):
        self.results = []

    def v2_runner_on_ok(self, result):
        self.results.append(dict(result._result, task=result._task.get_name()))

    def v2_playbook_on_stats(self, stats):
        self._display.display(json.dumps(self.results, default=str))
"""


@DEPLOYED
@pytest.mark.parametrize(
    ("playbook", "task", "line"),
    [
        ("status", "Show everything in one table", r"INSTANCE +PROGRAM +STATE "),
        ("releases", "releases | Show the table", r"INSTANCE +RELEASE +STATE "),
        ("logs", "logs | Show all lines, ordered by time", r"jaws-\S+ +\| "),
        ("deploy", "activate | Show what has changed", r"local_dev_jaws: \S+, unchanged$"),
    ],
)
def test_with_a_json_callback_the_output_is_json_and_has_the_table_as_a_result(
    deployment: Deployment, tmp_path: Path, playbook: str, task: str, line: str
) -> None:
    (tmp_path / "as_json.py").write_text(AS_JSON)
    environment = surroundings(deployment.home, ANSIBLE_STDOUT_CALLBACK="as_json")
    environment["ANSIBLE_CALLBACK_PLUGINS"] += f":{tmp_path}"
    call = [sys.executable, "-m", "ansible", "playbook", *deployment.arguments(playbook)]
    done = subprocess.run(
        [*call, "--limit=local_dev_jaws"],
        cwd=CLONE,
        env=environment,
        capture_output=True,
        text=True,
        check=True,
    )
    results = json.loads(done.stdout)
    (shown,) = (one for one in results if one["task"].rpartition(" : ")[2] == task)
    assert re.match(line, shown["stdout_lines"][0]), shown["stdout_lines"]


@DEPLOYED
def test_a_second_deploy_changes_nothing_restarts_nothing_and_does_little(
    deployment: Deployment, tmp_path: Path
) -> None:
    pids = deployment.pids()
    call = [*deployment.arguments("deploy"), "-vvv", "--diff"]
    run = ansible("playbook", *call, home=deployment.home, COUNTED=str(tmp_path / "counted"))
    deployment.outputs.append(run.stdout)
    assert changes(run) == {"local_dev_jaws": 0, "local_dev_jtm": 0}
    assert deployment.pids() == pids
    counted = dict(Counter((tmp_path / "counted").read_text().split()), **most_tasks(run))
    limits = yaml.safe_load((CLONE / "tests/limits.yml").read_text())["deploy"]
    assert set(counted) == set(limits)
    assert {what: n for what, n in counted.items() if n > limits[what]} == {}


def most_tasks(run: Run) -> dict[str, int]:
    """Return how many tasks reach an instance, and how many do not; of the one with the most."""
    reaching = Counter(re.findall(r"^<(\S+)> EXEC .*python", run.stdout, re.MULTILINE))
    recap = re.findall(r"^(\S+) +: ok=(\d+) .* skipped=(\d+)", run.stdout, re.MULTILINE)
    others = [int(ok) + int(skipped) - reaching[host] for host, ok, skipped in recap]
    return {"reaching": max(reaching.values()), "others": max(others)}


@DEPLOYED
def test_a_changed_value_restarts_only_what_uses_it(deployment: Deployment) -> None:
    pids = deployment.pids()
    deployment.variables["jaws_configs"] = {
        "jaws-central.conf": {"JAWS": {"docs_url": "elsewhere"}}
    }
    plan = deployment.deploy("--check")
    assert set(changes(plan)) == {"local_dev_jaws", "local_dev_jtm"}
    run = deployment.deploy("--diff", message="Move the documentation")
    assert changes(run)["local_dev_jaws"] == 2
    after = deployment.pids()
    assert sorted(name for name in pids if after[name] != pids[name]) == CENTRAL
    done = summary_of(run)
    assert summary_of(plan) == [line for line in done if not line.startswith("down: ")]
    (restarted,) = (line for line in done if line.startswith("restarted "))
    assert restarted.startswith(f"restarted {', '.join(CENTRAL)} because jaws-central.conf [")
    assert restarted.endswith("docs_url https://jaws-docs.readthedocs.io/en/latest/ → elsewhere")
    assert re.search(r"^down: jaws-central-auth \d+(\.\d)? s, ", "\n".join(done), re.M)
    assert "Move the documentation" in " ".join(deployment.play("releases").stdout.split())


@DEPLOYED
@pytest.mark.fault(30)
def test_a_bad_release_is_taken_back_and_the_play_fails(deployment: Deployment) -> None:
    pids = deployment.pids()
    standin = {"STANDIN": {"crash_after": 1, "exit_status": 7}}
    configs = {**deployment.variables["jaws_configs"], "jaws-site.conf": standin}
    run = deployment.deploy("-vvv", "--diff", jaws_configs=configs)
    assert run.returncode != 0
    for part in (
        "jaws-site-daemon is ",
        "exit status 7",
        "ending with status 7 because [STANDIN] says so",
        "The instance was put back to ",
    ):
        assert part in run.stdout
    after = deployment.pids()
    assert {name: after[name] for name in CENTRAL + JTM} == {
        name: pids[name] for name in CENTRAL + JTM
    }


@DEPLOYED
@pytest.mark.fault(35)
def test_one_instance_that_does_not_hold_takes_the_whole_deployment_back(
    deployment: Deployment,
) -> None:
    pids, before = deployment.pids(), deployment.releases()
    configs = {
        "jaws-central.conf": {"JAWS": {"docs_url": "of a deploy that fails elsewhere"}},
        "jaws-jtm.conf": {"STANDIN": {"crash_after": 1, "exit_status": 7}},
    }
    hook = ["sh", "-c", f"cat >>{deployment.root}/notice; exit 9"]
    notify = {"site_notify_command": hook, "jaws_configs": configs}
    run = deployment.deploy("-vvv", "--diff", **notify)
    assert run.returncode != 0
    (notice,) = map(json.loads, (deployment.root / "notice").read_text().splitlines())
    assert (notice["event"], notice["deployment"]) == ("deploy_failed", "dev")
    assert (notice["programs"], notice["release"] is None) == (["jaws-jtm"], False)
    assert "local_dev_jtm" in notice["instances"]
    assert "exit status 7" in notice["message"]
    assert "(site_notify_command) ended with status 9" in run.stdout
    assert "jaws-jtm is " in run.stdout
    assert "exit status 7" in run.stdout
    assert "The switch failed on local_dev_jtm, for the reason above" in run.stdout
    assert deployment.releases() == before
    after = deployment.pids()
    assert {name: after[name] for name in SITE} == {name: pids[name] for name in SITE}
    shown = deployment.play("releases").stdout
    assert re.search(r"^local_dev_jaws +\S+ +prepared +-$", shown, re.M), shown
    assert re.search(r"^local_dev_jtm +\S+ +bad +-$", shown, re.M), shown


TELLTALE = """
cat "$1"; base64 -w0 "$1"; echo; env | grep ODD
while IFS= read -r line; do printf '%q\\n' "$line"; done < "$1"
exit 7
"""


@DEPLOYED
@pytest.mark.fault(37)
def test_a_deploy_that_fails_prints_none_of_twenty_secrets_in_any_form(
    deployment: Deployment,
) -> None:
    pids = deployment.pids()
    odd = [
        "100%",
        'say "hi"',
        "it's",
        "back\\slash",
        "$HOME",
        "Grüße",
        "a&b<c>",
        "x y;z",
        "}}",
        "#",
    ]
    secrets = [f"{number}{part}{number}-secret" for number, part in enumerate(odd * 2, 10)]
    command = ["/bin/bash", "-c", TELLTALE, "bash", "@mine.conf@"]
    service = {"instance": "jaws", "command": command, "environment": {"ODD": "{{ vault_1 }}"}}
    keys = {f"key_{number}": f"{{{{ vault_{number} }}}}" for number in range(20)}
    run = deployment.deploy(
        "-vvv",
        "--diff",
        jaws_services={"jaws-mine": service},
        jaws_config_formats={"mine.conf": "ini"},
        site_notify_command=["tee", str(deployment.root / "told")],
        jaws_configs={**deployment.variables["jaws_configs"], "mine.conf": {"MINE": keys}},
        **{f"vault_{number}": secret for number, secret in enumerate(secrets)},
    )
    assert run.returncode != 0
    assert re.search(r"jaws-mine is .*exit status 7", run.stdout)
    assert "key_19" in run.stdout
    assert run.stdout.count("********") > 20
    told = (deployment.root / "told").read_text()
    assert "********" in told
    for secret in secrets:
        number = secret[:2]
        assert f"{number}-secret" not in run.stdout + told, secret
        assert secret not in run.stdout + told
    assert deployment.pids() == pids


@CUT
@pytest.mark.parametrize("sign", [signal.SIGINT, signal.SIGKILL])
def test_an_interrupted_deploy_leaves_one_whole_release_and_a_rerun_completes_it(
    deployment: Deployment, sign: signal.Signals
) -> None:
    confs = deployment.confs()
    deployment.variables["jaws_configs"] = {"jaws-central.conf": {"JAWS": {"docs_url": sign.name}}}
    command = [sys.executable, "-m", "ansible", "playbook", *deployment.arguments("deploy")]
    environment = surroundings(deployment.home)
    printed = deployment.root / "printed"
    with (
        printed.open("w") as file,
        subprocess.Popen(command, cwd=CLONE, env=environment, stdout=file, stderr=file) as run,
    ):
        wait_until(lambda: deployment.confs() != confs, "the switch")
        run.send_signal(sign)
    deployment.outputs.append(printed.read_text())
    if sign == signal.SIGINT:  # the killed run's module goes on
        deployment.play("status")
    assert changes(deployment.deploy())["local_dev_jtm"] == 0
    assert deployment.pids()
    assert changes(deployment.deploy()) == {"local_dev_jaws": 0, "local_dev_jtm": 0}
    assert list(deployment.site.rglob("*.new")) == []


SKIPPED = "no release was prepared in this run on local_dev_jaws"


@CUT
@pytest.mark.fault(51)
@pytest.mark.parametrize(
    ("playbook", "option", "value", "words"),
    [
        ("deploy", "--tags", "activate", "activate needs build and prepare in the same run."),
        ("deploy", "--skip-tags", "prepare", "activate needs prepare in the same run."),
        ("deploy", "--start-at-task", "switch | Switch to the release and verify it", SKIPPED),
        ("deploy", "--start-at-task", "activate | Go back if another instance failed", SKIPPED),
        ("rollback", "--tags", "activate", "this playbook has no tag activate; it has none."),
        (
            "rollback",
            "--start-at-task",
            "switch | Switch to the release and verify it",
            "did not say in this run which releases there are",
        ),
    ],
)
def test_steps_that_are_left_out_are_named_and_nothing_is_switched(
    deployment: Deployment, playbook: str, option: str, value: str, words: str
) -> None:
    confs = deployment.confs()
    new = {"jaws-central.conf": {"JAWS": {"docs_url": "never switched to"}}}
    run = deployment.play(playbook, option, value, jaws_configs=new)
    assert run.returncode != 0
    assert words in " ".join(run.stdout.split())
    assert deployment.confs() == confs


# ssh to a host that nobody reaches any more once it has switched.
LOSING = """\
#!/bin/sh
for command; do :; done
[ -e {root}/lost ] || sh -c "$command"
status=$?
cmp -s {conf} {root}/before && exit "$status"
touch {root}/lost
echo "Connection reset by peer" >&2
exit 255
"""


def current(deployment: Deployment) -> dict[str, str]:
    """Return the current release of each instance, according to what its supervisord reads."""
    found = {
        name: re.search(r"^; release: (\S+)", text, re.M)
        for name, text in deployment.confs().items()
    }
    return {f"local_dev_{name}": one[1] for name, one in found.items() if one}


@CUT
@pytest.mark.fault(45)
def test_a_rollback_takes_the_last_deploys_back_one_by_one(deployment: Deployment) -> None:
    before, pids = current(deployment), deployment.pids()
    configs = deployment.variables["jaws_configs"]
    deployment.variables["jaws_configs"] = {"jaws-central.conf": {"JAWS": {"docs_url": "new"}}}
    changes(deployment.deploy())
    after = current(deployment)
    assert after["local_dev_jaws"] != before["local_dev_jaws"]
    assert after["local_dev_jtm"] == before["local_dev_jtm"]
    run = deployment.play("rollback", message="the new one is slow")
    assert changes(run) == {"local_dev_jaws": 1, "local_dev_jtm": 0}
    shown = deployment.play("releases").stdout
    assert re.search(r"^  gone back to 0?\w+ ago by \S+: the new one is slow$", shown, re.M), shown
    assert f"From {after['local_dev_jaws']} to {before['local_dev_jaws']}." in run.stdout
    assert f"-e release={after['local_dev_jaws']}" in " ".join(run.stdout.split())
    assert f" {after['local_dev_jaws']}  rolled back  " in shown
    assert dict(re.findall(r"^(local_dev_\S+) +(\S+) +current ", shown, re.M)) == before
    pair = {"release": before["local_dev_jaws"], "against": after["local_dev_jaws"]}
    shown = deployment.play("releases", **pair).stdout
    assert re.search(r"^  jaws-central\.conf \[\S+\] docs_url \S+ → new$", shown, re.M), shown
    assert current(deployment) == before
    assert {name: deployment.pids()[name] for name in JTM} == {name: pids[name] for name in JTM}
    changes(deployment.play("rollback"))
    again = current(deployment)
    assert again["local_dev_jaws"] not in (before["local_dev_jaws"], after["local_dev_jaws"])
    changes(deployment.play("rollback", release=before["local_dev_jaws"]))
    assert current(deployment) == before
    deployment.variables["jaws_configs"] = configs


def last_rows(shown: str) -> list[str]:
    """Return what a terminal of 80 columns and 24 lines shows in the end, below make's own line."""
    written = [ESCAPES.sub("", line.rpartition("\r")[2]) for line in shown.splitlines()]
    rows = [line[at : at + 80] for line in written for at in range(0, max(1, len(line)), 80)]
    return rows[-23:]


def bare(text: str) -> str:
    """Return a text that a terminal may have wrapped anywhere, for comparisons."""
    return "".join(text.split()).lower()


BEFORE = "Nothing was switched. What ran before this deploy runs on."
CENTRAL_CONF, SITE_CONF = "jaws-central.conf", "jaws-site.conf"
FAILING: dict[str, tuple[dict[str, Any], list[str]]] = {
    "a misspelt key": (
        {"site_servics": {}},
        ["site_servics is not a variable of jgi.jaws; did you mean site_services?", BEFORE],
    ),
    "missing wheels": (
        {"jaws_wheels": "/no/such/directory"},
        ["no wheel on the control node matches /no/such/directory/**/jaws_jtm-*.whl.", BEFORE],
    ),
    "a missing java": (
        {"jaws_java": "/no/such/java"},
        ["jaws-cromwell: /no/such/java: No such file or directory", BEFORE],
    ),
    "a refused value": (
        {"jaws_configs": {SITE_CONF: {"LOCAL_RPC_SERVER": {"num_threads": "many"}}}},
        ["jaws-site-daemon is ", "[LOCAL_RPC_SERVER] num_threads must be a whole number"],
    ),
    "an unhealthy service": (
        {
            "jaws_health_timeout": 4,
            "jaws_configs": {CENTRAL_CONF: {"STANDIN": {"unhealthy": True}}},
        },
        ["jaws-central-auth: ", "answers 500 instead of", "not healthy within 4 s"],
    ),
    "a taken port": (
        {"deployment_rest_port": 0},
        ["could not start jaws-central-rest", "cannot listen on 127.0.0.1:", "already in use"],
    ),
}


@CUT
@pytest.mark.fault(46)
@pytest.mark.parametrize("case", FAILING)
def test_the_last_screen_of_a_deploy_that_fails_says_why_and_what_runs(
    deployment: Deployment, case: str
) -> None:
    variables, words = FAILING[case]
    pids, confs = deployment.pids(), deployment.confs()
    told = len(deployment.notices())
    with socket.create_server(("127.0.0.1", 0)) as server:
        if "deployment_rest_port" in variables:
            variables = {"deployment_rest_port": server.getsockname()[1]}
        terminal = Terminal(deployment.arguments("deploy", **variables), deployment.home)
        assert terminal.end() == 2
    screens = [last_rows(terminal.shown)]
    if BEFORE in words:  # these take a moment
        run = deployment.deploy(**variables)
        assert run.returncode == 2
        screens.append(last_rows(run.stdout))
        assert deployment.pids() == pids
    notices = deployment.notices()[told:]
    assert [notice["event"] for notice in notices] == ["deploy_failed"] * len(screens)
    for notice in notices:
        assert [word for word in words if bare(word) not in bare(notice["message"])] == []
        assert notice["deployment"] == "dev"
    for rows in screens:
        screen, text = "\n".join(rows), bare("".join(rows))
        assert re.search(r"^FAILED on local_dev_j\w+(, local_dev_j\w+)?: ", screen, re.M), screen
        assert [word for word in words if text.count(bare(word)) != 1] == [], screen
        if BEFORE not in words:
            found = [re.search(r"^; release: (\S+)", one, re.M) for one in confs.values()]
            told = [f"{one[1]}, as before." for one in found if one]
            assert len(told) == 2
            assert [line for line in told if bare(line) not in text] == [], screen
        assert "heartbeat" not in text, screen  # the release before has logged that
    assert deployment.confs() == confs


@CUT
@pytest.mark.fault(34)
@pytest.mark.fault(51)
def test_a_host_that_is_lost_in_the_switch_leaves_the_others_whole_whatever_the_strategy(
    deployment: Deployment,
) -> None:
    confs, root, conf = deployment.confs(), deployment.root, deployment.conf("jtm")
    before = {name: deployment.pids()[name] for name in SITE}
    (root / "before").write_bytes(conf.read_bytes())
    (root / "ssh").write_text(LOSING.format(root=root, conf=conf))
    (root / "ssh").chmod(0o755)
    lossy = {
        "ansible_connection": "{{ 'ssh' if inventory_hostname == 'local_dev_jtm' else 'local' }}",
        "ansible_ssh_executable": str(root / "ssh"),
        "ansible_host": "127.0.0.1",
    }
    url = {"docs_url": "of a deploy that is lost"}
    configs = {"jaws-central.conf": {"JAWS": url}, "jaws-jtm.conf": {"STANDIN": {"exit_status": 2}}}
    deployment.environment["ANSIBLE_STRATEGY"] = "ansible.builtin.free"
    run = deployment.deploy(jaws_configs=configs, **lossy)
    assert run.returncode != 0
    assert (root / "lost").exists(), run.stdout
    told = " ".join(run.stdout.split())
    assert "local_dev_jtm could not be reached any more: it may run the old or the new" in told
    assert re.search(r"local_dev_jaws runs \S+, as before\.", told), told
    assert deployment.confs()["jaws"] == confs["jaws"]
    assert {name: deployment.pids()[name] for name in SITE} == before
    changes(deployment.deploy())
    assert deployment.confs() == confs
    del deployment.environment["ANSIBLE_STRATEGY"]


@DEPLOYED
@pytest.mark.fault(45)
def test_an_impossible_rollback_says_why_and_changes_nothing(deployment: Deployment) -> None:
    pids, confs = deployment.pids(), deployment.confs()
    bad = re.search(r"^local_dev_jtm +(\S+) +bad ", deployment.play("releases").stdout, re.M)
    assert bad
    for release, sentence in {
        "20200101T000000Z-00000000": "there is no release 20200101T000000Z-00000000. The releases",
        bad[1]: f"release {bad[1]} is marked bad: ",
    }.items():
        run = deployment.play("rollback", release=release)
        assert run.returncode != 0
        assert sentence in " ".join(run.stdout.split())
        assert "Nothing was changed." in run.stdout
    while (run := deployment.play("rollback")).returncode == 0:
        confs = deployment.confs()
    assert "LOCAL dev has nothing to go back to" in run.stdout
    assert deployment.confs() == confs
    changes(deployment.deploy())
    assert deployment.pids().keys() == pids.keys()


@OPERATED
@pytest.mark.fault(17)
def test_a_killed_supervisord_leaves_nothing_and_nothing_runs_twice(deployment: Deployment) -> None:
    pids = deployment.pids()
    for instance in ("jaws", "jtm"):
        os.kill(int(deployment.supervisorctl(instance, "pid").stdout), signal.SIGKILL)
    wait_until(lambda: not [pid for pid in pids.values() if alive(pid)], "the services' end")
    assert deployment.play("status").returncode == 2
    assert changes(deployment.play("supervisors")) == {"local_dev_jaws": 1, "local_dev_jtm": 1}
    assert changes(deployment.play("supervisors")) == {"local_dev_jaws": 0, "local_dev_jtm": 0}
    wait_until(lambda: states(deployment) == {"RUNNING"}, "RUNNING")
    assert deployment.pids().keys() == pids.keys()


def alive(pid: str) -> bool:
    return Path(f"/proc/{pid}").exists()


def states(deployment: Deployment) -> set[str]:
    return {words[0] for words in deployment.programs().values()}


@OPERATED
def test_a_rotated_key_opens_and_the_old_one_does_not(
    deployment: Deployment, tmp_path: Path
) -> None:
    confs = deployment.confs()
    assert changes(deployment.play("rotate_key", "-vvv", "--diff")) == {
        "local_dev_jaws": 1,
        "local_dev_jtm": 1,
    }
    assert deployment.pids()
    for instance, conf in confs.items():
        (tmp_path / "old.conf").write_text(conf)
        shown = deployment.supervisorctl(instance, config=tmp_path / "old.conf")
        assert "Unauthorized" in shown.stdout
    right = deployment.conf("jtm").read_text()
    deployment.conf("jtm").write_text(confs["jtm"])
    assert deployment.play("status").returncode == 2
    deployment.conf("jtm").write_text(right)
    assert changes(deployment.deploy()) == {"local_dev_jaws": 0, "local_dev_jtm": 0}


@OPERATED
def test_a_newer_supervisor_waits_until_a_restart_is_asked_for(deployment: Deployment) -> None:
    pids = deployment.pids()
    # A changed argument of pip makes another environment.
    deployment.variables["supervisord_pip_arguments"] = ["--no-compile"]
    deployed = deployment.deploy()
    changes(deployed)
    assert "still runs from an older installation" in deployed.stdout
    assert deployment.pids() == pids
    shown = deployment.play("status")
    assert shown.returncode == 0
    assert "local_dev_jtm: supervisord runs from an older installation; the" in shown.stdout
    assert changes(deployment.play("upgrade_supervisor")) == {
        "local_dev_jaws": 1,
        "local_dev_jtm": 1,
    }
    after = deployment.pids()
    assert not set(after.values()) & set(pids.values())
    assert changes(deployment.play("upgrade_supervisor")) == {
        "local_dev_jaws": 0,
        "local_dev_jtm": 0,
    }
    assert deployment.pids() == after


@pytest.mark.fault(61)
@OPERATED
def test_after_an_outage_of_the_broker_a_deploy_names_the_dead_and_recover_restarts_them(
    deployment: Deployment,
) -> None:
    before = deployment.pids()
    with deployment.without("jaws_rmq_port"):
        ended = set(RPC)
        wait_until(lambda: not ended & set(deployment.running()), "the RPC servers ended", pause=1)
        # In turn, each is STARTING, and RUNNING without a broker.
        [guide] = [block.output for block in blocks() if "jaws-central-rpc: exit" in block.output]

        def is_shown() -> bool:
            shown = deployment.play("status")
            assert shown.returncode == 2
            return is_in(guide, shown.stdout, str(deployment.site))

        wait_until(is_shown, "what the guide shows")
    wait_until(lambda: states(deployment) == {"RUNNING"}, "they start again by themselves", pause=1)
    # jaws_configs is empty, so rest has no connection that it could lose.
    dead = ["jaws-jtm", "jaws-site-daemon"]
    since = [Path("/proc", before[name].rstrip(",")).stat().st_mtime for name in dead]
    wait_until(lambda: time.time() - max(since) > 16, "they have run for a while", pause=1)
    broken = deployment.pids()
    assert {name: broken[name] for name in dead} == {name: before[name] for name in dead}
    deployed = deployment.deploy()
    assert set(changes(deployed).values()) == {0}
    named = re.findall(r"(\S+) is RUNNING, but\s+unhealthy", deployed.stdout)
    assert sorted(named) == dead
    assert deployment.pids() == broken
    shown = deployment.play("status")
    assert shown.returncode == 2
    assert "unhealthy: local_dev_jaws jaws-site-daemon, local_dev_jtm jaws-jtm" in shown.stdout
    assert set(changes(deployment.play("recover")).values()) == {1}
    healed = deployment.pids()
    assert differing(broken, healed) == dead
    assert set(changes(deployment.play("recover")).values()) == {0}
    assert deployment.pids() == healed


@pytest.mark.fault(62)
@OPERATED
def test_while_the_database_is_away_recover_and_start_say_so_and_restart_nothing(
    deployment: Deployment,
) -> None:
    before = deployment.pids()
    with deployment.without("jaws_db_port"):
        for playbook in ("recover", "start"):
            refused = deployment.play(playbook, jaws_health_timeout=1)
            assert refused.returncode != 0
            named = re.findall(r"(jaws-[a-z-]+): what it needs is away: database", refused.stdout)
            assert {*named} == {*CENTRAL, *SITE, "jaws-jtm"}
    assert deployment.pids() == before
    assert set(changes(deployment.play("start")).values()) == {0}


@OPERATED
def test_services_are_stopped_started_and_restarted_by_name_and_what_is_stopped_stays_so(
    deployment: Deployment,
) -> None:
    pids = deployment.pids()
    some = {"programs": "jaws-jtm,jaws-central-rest"}
    assert changes(deployment.play("stop", **some)) == {"local_dev_jaws": 1, "local_dev_jtm": 1}
    before = deployment.running()
    assert set(pids) - set(before) == {"jaws-central-rest", "jaws-jtm"}
    assert differing(before, pids) == []
    changes(shown := deployment.play("status"))
    assert "local_dev_jtm jaws-jtm: stopped on purpose" in shown.stdout
    shown = deployment.play("status", strict=True)
    assert shown.returncode != 0
    sentence = "not running: local_dev_jaws jaws-central-rest, local_dev_jtm jaws-jtm"
    assert sentence in shown.stdout
    shown = deployment.play("status", strct=True)
    assert "-e strct is not a variable of this playbook; did you mean strict?" in shown.stdout
    recovered = deployment.play("recover")
    assert recovered.returncode == 0
    assert "local_dev_jtm jaws-jtm: stopped on purpose" in recovered.stdout
    assert deployment.running() == before
    changes(deployment.play("restart"))
    restarted = deployment.running()
    assert differing(before, restarted) == sorted(before)
    assert changes(deployment.play("start", **some)) == {"local_dev_jaws": 1, "local_dev_jtm": 1}
    after = deployment.pids()
    assert differing(restarted, after) == []
    changes(deployment.play("restart", programs="jaws-site-daemon"))
    assert differing(after, deployment.pids()) == ["jaws-site-daemon"]


@OPERATED
def test_what_is_frozen_is_left_as_it_is_with_the_reason(deployment: Deployment) -> None:
    confs, why = deployment.confs(), "the database is being moved"
    assert changes(deployment.play("freeze", "--limit", "jtm", reason=why))
    for playbook in ("deploy", "rollback", "rotate_key", "upgrade_supervisor", "remove"):
        refused = deployment.play(playbook, really="dev")
        assert refused.returncode != 0
        words = " ".join(refused.stdout.split())
        assert re.search(r"frozen by \w+ since 2\d{3}-\S+ \S+ UTC: " + re.escape(why), words)
        assert "run the playbook unfreeze first" in words
        assert {changed for _host, _ok, changed, _failed in RECAP.findall(words)} <= {"0"}
    assert deployment.confs() == confs
    shown = deployment.play("status", status_file=str(deployment.root / "status.html"))
    assert shown.returncode == 0
    assert "local_dev_jtm: frozen by" in shown.stdout
    page = (deployment.root / "status.html").read_text()
    assert page.count(why) == 1
    assert page.count("deployed ") == 2
    assert changes(deployment.play("unfreeze")) == {"local_dev_jaws": 0, "local_dev_jtm": 1}


@OPERATED
def test_the_logs_of_all_services_are_shown_by_time(deployment: Deployment) -> None:
    shown = deployment.play("logs", lines=3)
    assert set(changes(shown).values()) == {0}
    lines = re.findall(r"^(jaws-\S+) +\| (\d{4}-\S+ \S+)", shown.stdout, re.MULTILINE)
    assert {name for name, _time in lines} == {*CENTRAL, *SITE, *JTM}
    times = [time for _name, time in lines]
    assert times == sorted(times)
    shown = deployment.play("logs", programs="jaws-jtm", since="start")
    assert set(re.findall(r"^(jaws-\S+) +\| ", shown.stdout, re.MULTILINE)) == {"jaws-jtm"}
    shown = deployment.play("logs", programs="jaws-jmt")
    assert shown.returncode != 0
    assert "no instance has jaws-jmt" in shown.stdout
    shown = deployment.play("logs", since="noon")
    assert "since=noon is not a time" in shown.stdout
    shown = deployment.play("logs", follow=True)
    assert shown.returncode != 0
    assert "follow=true needs a terminal" in shown.stdout


@OPERATED
def test_a_service_that_ends_by_itself_is_part_of_a_healthy_site(deployment: Deployment) -> None:
    pids, before = deployment.pids(), deployment.variables.get("jaws_services", {})
    migrate = {"instance": "jaws", "command": ["sh", "-c", "exit 0"], "priority": 1}
    deployment.variables["jaws_services"] = {"migrate": {**migrate, "one_shot": True}}
    assert changes(deployment.deploy())["local_dev_jaws"] == 2
    assert deployment.programs()["migrate"][0] == "EXITED"
    shown = deployment.play("status")
    assert shown.returncode == 0, shown.stdout
    assert "EXITED" in shown.stdout
    assert changes(deployment.play("start")) == {"local_dev_jaws": 0, "local_dev_jtm": 0}
    deployment.variables["jaws_services"] = before
    assert changes(deployment.deploy())
    assert deployment.pids() == pids


@OPERATED
@pytest.mark.parametrize(
    ("playbook", "variables", "words"),
    [
        (
            "restart",
            {"programs": "jaws-jtm,jaws-jmt"},
            "no instance has jaws-jmt; there are jaws-central-auth,",
        ),
        ("stop", {"program": "jaws-jtm"}, "-e program is not a variable of this playbook; did you"),
        ("restart", {"programs": " "}, "-e programs has no value."),
        ("rollback", {"releas": "1"}, "-e releas is not a variable of this playbook; did you mean"),
        ("remove", {}, "Nothing was removed. To remove dev, give -e really=dev."),
        ("remove", {"really": "prod"}, "Nothing was removed. To remove dev, give"),
    ],
)
def test_a_command_with_a_misspelt_empty_or_missing_variable_is_refused(
    deployment: Deployment, playbook: str, variables: dict[str, str], words: str
) -> None:
    pids = deployment.pids()
    run = deployment.play(playbook, **variables)
    assert run.returncode != 0
    assert words in " ".join(run.stdout.split())
    assert deployment.pids() == pids


@of("@deployed", "@cut", "@operated")
def test_what_the_guides_show_has_been_printed(
    deployment: Deployment, request: pytest.FixtureRequest
) -> None:
    group = request.node.callspec.params["installation"]
    shown = [block for block in blocks() if block.group == group]
    assert shown
    for _group, command, output in shown:
        found = [one for one in deployment.outputs if is_in(output, one, str(deployment.site))]
        assert found, f"$ {command}\n{output}"


@pytest.mark.fault(37)
@of("@deployed", "@cut", "@operated")
def test_no_secret_is_shown_or_readable_for_others(deployment: Deployment) -> None:
    secrets = deployment.secrets()
    for output in deployment.outputs:
        assert not [secret for secret in secrets if secret in output]
    for pid in bearing(str(deployment.site)):
        with suppress(OSError):
            shown = (
                Path(f"/proc/{pid}/cmdline").read_text() + Path(f"/proc/{pid}/environ").read_text()
            )
            assert not [secret for secret in secrets if secret in shown], pid
    exposed = [path for path in readable_for_others(deployment.site) if holds(path, secrets)]
    assert exposed == []
    # Check that the search finds them where they should be.
    holders = [path for path in deployment.site.rglob("*.conf") if holds(path, secrets)]
    assert len({path.stem.rsplit("-", 1)[0] for path in holders}) > 4


def readable_for_others(folder: Path) -> Iterator[Path]:
    for entry in os.scandir(folder):
        mode = entry.stat(follow_symlinks=False).st_mode
        if entry.is_dir(follow_symlinks=False):
            if mode & 0o005:
                yield from readable_for_others(Path(entry.path))
        elif entry.is_file(follow_symlinks=False) and mode & 0o004:
            yield Path(entry.path)


def holds(path: Path, secrets: list[str]) -> bool:
    content = path.read_bytes()
    return any(secret.encode() in content for secret in secrets)


@BARE
@pytest.mark.fault(42)
def test_check_mode_on_a_bare_host_installs_nothing(installation: Deployment) -> None:
    bare = installation.root / "bare"
    predicted = installation.deploy("--check", "--diff", site_root=str(bare))
    assert all(changed > 5 for changed in changes(predicted).values()), predicted.stdout
    assert [path.name for path in bare.glob("*")] in ([], ["secrets"])


@OPERATED
@pytest.mark.fault(54)
def test_a_killed_manager_leaves_no_child_beside_the_children_of_the_next_one(
    deployment: Deployment,
) -> None:
    pids = deployment.pids()
    old = set(manager(deployment))
    assert len(old) == 7
    os.kill(int(pids["jaws-jtm"].rstrip(",")), signal.SIGKILL)
    wait_until(lambda: len(set(manager(deployment)) - old) == 7, "the next manager")
    assert not old & set(manager(deployment))
    wait_until(lambda: states(deployment) == {"RUNNING"}, "RUNNING")
    assert deployment.pids()["jaws-jtm"] != pids["jaws-jtm"]
    assert set(changes(deployment.play("start")).values()) == {0}
    assert len(manager(deployment)) == 7


@OPERATED
@pytest.mark.fault(60)
def test_recover_rebuilds_an_environment_whose_python_an_update_has_removed(
    deployment: Deployment,
) -> None:
    pids = deployment.pids()
    python = deployment.site / "jaws-supervisord/venv/bin/python"
    link = python.parent.resolve() / "python"
    link.unlink()
    link.symlink_to("/usr/bin/python3-of-an-earlier-release")
    assert deployment.supervisorctl("jaws").returncode == 126 + 1
    assert changes(deployment.play("recover"))["local_dev_jaws"] > 0
    assert deployment.pids() == pids
    assert python.resolve().exists()
    assert set(changes(deployment.play("recover")).values()) == {0}


def manager(deployment: Deployment) -> list[int]:
    """Return the processes of JTM's manager: itself and its children."""
    return bearing(f"{deployment.site}/jaws-dev/jtm/configs/jaws-jtm", ["cmdline"])


@OPERATED
@pytest.mark.fault(57)
def test_a_site_that_was_moved_is_not_started_a_second_time(deployment: Deployment) -> None:
    pids = deployment.pids()
    moved = deployment.root / "moved"
    (moved / "secrets").mkdir(parents=True)
    run = deployment.deploy("-v", site_root=str(moved))
    assert run.returncode != 0
    said = " ".join(run.stdout.split())
    for instance in ("jaws", "jtm"):
        new = f"{moved}/jaws-supervisord/supervisord-{instance}.conf"
        sentence = f"does the work of {new}, but was started with {deployment.conf(instance)}:"
        assert sentence in said
    assert bearing(str(moved), ["cmdline"]) == []
    assert deployment.pids() == pids


@OPERATED
def test_remove_leaves_the_secrets_and_what_services_wrote(deployment: Deployment) -> None:
    assert changes(deployment.play("remove", really="dev"))
    assert sorted(path.name for path in deployment.site.iterdir()) == ["scratch", "secrets"]
    assert bearing(str(deployment.site)) == []
    with pytest.raises(urllib.error.URLError, match="refused"):
        answer(deployment.rest, "/api/v2/info")
