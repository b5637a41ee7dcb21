# SPDX-License-Identifier: GPL-3.0-or-later
"""The pipeline in .gitlab-ci.yml: which jobs there are when, what each runs, and a deploy by it."""

from __future__ import annotations

import json
import re
import shutil
import subprocess
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml

from copy_tree import copy_tree
from tests.integration.conftest import CLONE, bearing, end_all
from tests.integration.ports import reserve_port
from tests.integration.test_deploy import CENTRAL, JTM, SITE, answer

GITLAB = CLONE / ".gitlab-ci.yml"
GUIDE = CLONE / "docs/ci.md"
OPERATE = ("restart", "rollback", "status")
# Used instead of make: records how it was called.
RECORDER = """\
#!/bin/sh
printf '%s\\n' "$@" "SITE=$SITE" >"$HOME/made"
"""


class Repository:
    """A git repository with the pipeline, and what gitlab-ci-local prints and does in it."""

    def __init__(self, root: Path, branch: str = "dev") -> None:
        self.root = root
        self.tree = root / "clone"
        self.home = root / "home"
        self.home.mkdir()
        self.tree.mkdir(exist_ok=True)
        self.path = "/usr/local/bin:/usr/bin:/bin"
        self.git("init", "--quiet", "--initial-branch", branch)
        self.git("remote", "add", "origin", "git@gitlab.example:jgi/jaws.git")
        shutil.copy(GITLAB, self.tree)
        self.git("add", "--all")
        identity = ("-c", "user.name=a test", "-c", "user.email=test@gitlab.example")
        self.git(*identity, "commit", "--quiet", "--message", "All of it")

    def git(self, *arguments: str) -> None:
        subprocess.run(["git", *arguments], cwd=self.tree, check=True)

    def run(self, *arguments: str, check: bool = True, **variables: str) -> str:
        """Run gitlab-ci-local with variables of the project, and return what it prints."""
        tool = shutil.which("gitlab-ci-local")
        assert tool, "gitlab-ci-local is not in PATH: run this by `make pipeline`"
        given = [word for name in variables for word in ("--variable", f"{name}={variables[name]}")]
        done = subprocess.run(
            [tool, *arguments, *given],
            cwd=self.tree,
            env={"HOME": str(self.home), "PATH": self.path, "LANG": "C.UTF-8"},
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            check=False,
        )
        assert not check or done.returncode == 0, done.stdout
        return done.stdout

    def jobs(self, *arguments: str, **variables: str) -> dict[str, str]:
        """Return the jobs of a pipeline, and how each starts."""
        listed = self.run("--list-json", *arguments, **variables)
        found = json.loads(listed[listed.index("\n[\n") :])
        return {job["name"]: job["when"] for job in found if job["when"] != "never"}

    def preview(self) -> dict[str, Any]:
        """Return every job with its keys, after extends."""
        shown = self.run("--preview")
        content: dict[str, Any] = yaml.safe_load(shown[shown.index("---\n") :])
        return {name: job for name, job in content.items() if "script" in job}


@pytest.fixture
def repository(tmp_path: Path) -> Repository:
    return Repository(tmp_path)


def by_hand(*deployments: str) -> dict[str, str]:
    return {f"{what}-{where}": "manual" for where in deployments for what in OPERATE}


def test_a_merge_request_is_tested_and_may_be_tried_on_the_runner(repository: Repository) -> None:
    # The pipeline of a merge request has no CI_COMMIT_BRANCH.
    source = {"CI_PIPELINE_SOURCE": "merge_request_event"}
    assert repository.jobs("--unset-variable", "CI_COMMIT_BRANCH", **source) == {
        "lint": "on_success",
        "test": "on_success",
        "deploy-local-dev": "manual",
        "remove-local-dev": "manual",
    }


def test_a_push_to_dev_deploys_to_every_dev(repository: Repository) -> None:
    deploys = {"deploy-cori-dev": "on_success", "deploy-lrc-dev": "on_success"}
    assert repository.jobs() == {**deploys, **by_hand("cori-dev", "lrc-dev")}


def test_a_push_to_master_deploys_to_every_prod_and_publishes_the_documentation(
    tmp_path: Path,
) -> None:
    jobs = Repository(tmp_path, branch="master").jobs()
    deploys = {"deploy-lrc-prod": "on_success", "pages": "on_success"}
    assert jobs == {**deploys, **by_hand("lrc-prod")}


@pytest.mark.parametrize(
    ("branch", "pages"), [("dev", ["page-cori-dev", "page-lrc-dev"]), ("master", ["page-lrc-prod"])]
)
def test_a_schedule_makes_the_pages_of_a_branch_and_deploys_nothing(
    tmp_path: Path, branch: str, pages: list[str]
) -> None:
    jobs = Repository(tmp_path, branch=branch).jobs(CI_PIPELINE_SOURCE="schedule")
    assert jobs == dict.fromkeys(pages, "on_success")


def test_a_push_to_another_branch_makes_no_job(tmp_path: Path) -> None:
    assert Repository(tmp_path, branch="topic").jobs() == {}


def test_a_job_runs_at_its_own_site_and_one_at_a_time(repository: Repository) -> None:
    jobs = {name: job for name, job in repository.preview().items() if "environment" in job}
    assert len(jobs) == 3 * (2 + len(OPERATE)) + 2
    for name, job in jobs.items():
        site, deployment = name.split("-")[1:]
        hosts = yaml.safe_load((CLONE / f"inventories/{site}/hosts.yml").read_text())
        assert deployment in hosts
        assert job["environment"]["name"] == job["resource_group"] == f"{site}/{deployment}"
        assert job.get("tags", []) == ([] if site == "local" else [site])
        assert job["interruptible"] is False


def test_what_an_operator_starts_waits_for_no_other_job(repository: Repository) -> None:
    jobs = {name: job for name, job in repository.preview().items() if job["stage"] == "operate"}
    assert {name: job["needs"] for name, job in jobs.items()} == {name: [] for name in jobs}
    by_hand = {name for name, job in jobs.items() if job.get("allow_failure")}
    assert by_hand == {name for name in jobs if not name.startswith("page-")}


def test_the_page_is_kept_even_if_the_job_fails(repository: Repository) -> None:
    pages = [job for name, job in repository.preview().items() if name.startswith("page-")]
    kept = [(job["artifacts"]["when"], job["artifacts"]["paths"]) for job in pages]
    assert kept == [("always", ["status.html"])] * 3


def test_a_job_calls_only_targets_that_there_are(repository: Repository) -> None:
    scripts = [line for job in repository.preview().values() for line in job["script"]]
    called = {line.split()[1] for line in scripts if line.startswith("make ")}
    assert {"deploy", "rollback", "status", "lint", "test"} < called
    shown = subprocess.run(
        ["make", "help"], cwd=CLONE, check=True, capture_output=True, text=True
    ).stdout
    assert not [target for target in called if f"  {target} " not in shown]


def recorded(repository: Repository) -> Repository:
    """Return the repository, with the recorder instead of make."""
    make = repository.root / "bin/make"
    make.parent.mkdir()
    make.write_text(RECORDER)
    make.chmod(0o755)
    repository.path = f"{make.parent}:{repository.path}"
    return repository


@pytest.fixture
def made(repository: Repository) -> Repository:
    return recorded(repository)


def made_of(repository: Repository) -> list[str]:
    """Return how a job has called make, with PWD instead of its directory."""
    written = (repository.home / "made").read_text().splitlines()
    here = re.compile("(?<==)/[^ /]+/[^ ]*?(?=$|/status.html)")
    return [here.sub("PWD", " ".join(line.split())) for line in written]


@pytest.mark.parametrize(
    ("job", "variables", "asked"),
    [
        ("deploy-cori-dev", {}, ["deploy", "ARGS=--limit dev", "SITE=cori"]),
        (
            "deploy-cori-dev",
            {"JAWS_WHEELS": "/w", "ARGS": "-v", "SITE": "lrc", "DEPLOYMENT": "prod"},
            ["deploy", "ARGS=--limit dev -v -e jaws_wheels=/w", "SITE=cori"],
        ),
        ("rollback-lrc-dev", {}, ["rollback", "ARGS=--limit dev", "SITE=lrc"]),
        (
            "rollback-lrc-dev",
            {"RELEASE": "20261122T130141Z-95a2e45f"},
            ["rollback", "ARGS=--limit dev -e release=20261122T130141Z-95a2e45f", "SITE=lrc"],
        ),
        ("restart-cori-dev", {}, ["restart", "SITE=cori"]),
        ("status-lrc-dev", {}, ["status", "SITE=lrc"]),
        (
            "page-lrc-dev",
            {"CI_PIPELINE_SOURCE": "schedule"},
            ["status", "ARGS=--limit dev -e status_file=PWD/status.html", "SITE=lrc"],
        ),
    ],
)
def test_a_job_calls_make_for_its_own_deployment(
    made: Repository, job: str, variables: dict[str, str], asked: list[str]
) -> None:
    made.run(job, **variables)
    assert made_of(made) == asked


def of_jaws(root: Path, clone: str) -> Repository:
    """Return a repository of JAWS with the jobs that the guide shows."""
    [jobs] = re.findall(r"^```yaml\n(.*?)^```", GUIDE.read_text(), re.MULTILINE | re.DOTALL)
    place = "/global/cfs/projectdirs/jaws/jgi-jaws"
    assert jobs.count(place) == 2
    found = Repository(root)
    stages = "stages: [package, deploy-jaws]\n"
    (found.tree / ".gitlab-ci.yml").write_text(stages + jobs.replace(place, clone))
    return found


def test_the_jobs_of_jaws_in_the_guide_make_its_wheels_deploy_them_and_go_back(
    tmp_path: Path,
) -> None:
    jaws = recorded(of_jaws(tmp_path, "/a clone"))
    assert jaws.jobs() == {
        "package": "on_success", "deploy-cori-dev": "on_success", "rollback-cori-dev": "manual"
    }  # fmt: skip
    asked = {"package": ["pkg"]}
    asked["deploy-cori-dev"] = ["deploy", "SITE=cori", "ARGS=--limit dev -e jaws_wheels=PWD"]
    asked["rollback-cori-dev"] = ["rollback", "SITE=cori", "ARGS=--limit dev -e release=ID"]
    for job, words in asked.items():
        jaws.run(job, RELEASE="ID")
        found = made_of(jaws)
        where = [] if job == "package" else ["-C", "/a clone"]
        assert found == [*where, *words, "SITE="]


class Site(Repository):
    """The whole tree in a repository, which deploys below a home directory of its own."""

    def __init__(self, root: Path) -> None:
        copy_tree(root / "clone", [])
        super().__init__(root)
        names = ("auth", "rest", "cromwell")
        self.ports = {name: reserve_port() for name in names}
        settings = [f"-e deployment_{name}_port={port}" for name, port in self.ports.items()]
        self.arguments = " ".join(settings)

    def supervisorctl(self, instance: str) -> list[str]:
        """Return the lines of the table that an operator sees."""
        folder = self.home / ".local/share/jgi-jaws/jaws-supervisord"
        command = [f"{folder}/bin/supervisorctl", "-c", f"{folder}/supervisord-{instance}.conf"]
        done = subprocess.run([*command, "status"], capture_output=True, text=True, check=True)
        return done.stdout.splitlines()


@pytest.fixture
def site() -> Iterator[Site]:
    """A site with a short path, because of the sockets in it; it is removed afterwards."""
    root = Path(tempfile.mkdtemp(prefix="jp", dir="/tmp"))
    try:
        yield Site(root)
    finally:
        end_all(root)
        shutil.rmtree(root)


def test_the_job_for_this_machine_deploys_and_another_removes(site: Site) -> None:
    source = {"CI_PIPELINE_SOURCE": "merge_request_event", "ARGS": site.arguments}
    printed = site.run("deploy-local-dev", **source)
    assert len(re.findall(r"local_dev_\S+ +jaws-\S+ +RUNNING ", printed)) == 8, printed
    for instance, programs in (("jaws", [*CENTRAL, *SITE]), ("jtm", JTM)):
        words = [line.split()[:2] for line in site.supervisorctl(instance)]
        assert sorted(words) == [[name, "RUNNING"] for name in sorted(programs)]
    assert answer(site.ports["rest"], "/api/v2/status") == 200
    site.run("remove-local-dev", **source)
    assert bearing(str(site.home)) == []
    left = (site.home / ".local/share/jgi-jaws").iterdir()
    assert sorted(path.name for path in left) == ["dist", "scratch", "secrets"]
