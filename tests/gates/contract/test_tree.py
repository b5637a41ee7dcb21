# SPDX-License-Identifier: GPL-3.0-or-later
"""Facts about the tree: licences, changelog, make targets, links between documents."""

from __future__ import annotations

import os
import re
import subprocess
from pathlib import Path

import pytest

import collection
from collection import ROOT
from copy_tree import files

SOURCES = {".cfg", ".j2", ".py", ".sh", ".toml", ".yaml", ".yml"}
GENERATED = {Path("changelogs/changelog.yaml")}
LINK = re.compile(r"\]\((?!https?:|mailto:|#)([^)#\s]+)")


def test_a_source_file_names_its_licence() -> None:
    sources = [
        name
        for name in files()
        if name not in GENERATED
        and not (ROOT / name).is_symlink()
        and (name.suffix in SOURCES or name.name in ("Makefile", "run"))
    ]
    assert sources
    unnamed = [str(name) for name in sources if not names_licence(ROOT / name)]
    assert not unnamed, "without SPDX-License-Identifier in the first lines: " + " ".join(unnamed)


def names_licence(path: Path) -> bool:
    head = path.read_text().splitlines()[:10]
    # An empty file has nothing to license.
    return not head or any("SPDX-License-Identifier: GPL-3.0-or-later" in line for line in head)


def test_a_version_has_its_changelog() -> None:
    version = collection.load(ROOT / "galaxy.yml")["version"]
    releases = collection.load(ROOT / "changelogs/changelog.yaml")["releases"]
    assert version in releases, "make changelog"
    assert f"v{version}" in (ROOT / "CHANGELOG.md").read_text().replace("\\", "")


@pytest.mark.parametrize("module", collection.modules())
def test_a_module_is_announced_in_the_changelog(module: str) -> None:
    releases = collection.load(ROOT / "changelogs/changelog.yaml")["releases"]
    announced = {new["name"] for release in releases.values() for new in release.get("modules", [])}
    assert module in announced, "make changelog"


def test_make_help_names_every_target() -> None:
    environment = {key: value for key, value in os.environ.items() if not key.startswith("MAKE")}
    shown = subprocess.run(
        ["make", "help"], cwd=ROOT, env=environment, check=True, capture_output=True, text=True
    ).stdout
    targets = collection.makefile_names(r"^([a-z.][a-z_. -]*):(?!=)")
    assert targets
    assert not {target for target in targets if f"  {target} " not in shown} - {".PHONY"}


def test_every_playbook_has_its_make_target() -> None:
    played = collection.makefile_names(r"^PLAYBOOKS := (.*)$")
    assert sorted(played) == [path.stem for path in collection.paths("playbooks/*.yml")]


@pytest.mark.parametrize("name", [str(name) for name in files() if name.suffix == ".md"])
def test_a_link_between_documents_leads_somewhere(name: str) -> None:
    linked = LINK.findall((ROOT / name).read_text())
    assert not [link for link in linked if not (ROOT / name).parent.joinpath(link).exists()]


def test_no_test_skips_itself_in_silence() -> None:
    tests = [path for path in collection.paths("tests/**/*.py") if path != Path(__file__)]
    assert not [str(path) for path in tests if "importorskip" in path.read_text()]


def test_a_guide_names_only_variables_that_there_are() -> None:
    known = set(re.findall(r"^\| `(\w+)` \|", (ROOT / "docs/variables.md").read_text(), re.M))
    known.add("site_rqm_host")  # the example of a misspelt one
    for guide in collection.paths("docs/*.md"):
        named = set(re.findall(r"`((?:site|deployment|vault)_\w+)", guide.read_text()))
        assert not named - known, guide
