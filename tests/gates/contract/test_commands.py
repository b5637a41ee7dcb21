# SPDX-License-Identifier: GPL-3.0-or-later
"""Each command that a document shows can be run: its playbook, target, options, variables and
inventory exist."""

from __future__ import annotations

import re
import shlex
from collections.abc import Iterator
from pathlib import Path

import pytest
from ansible.cli.playbook import PlaybookCLI

import collection
from collection import ROOT
from copy_tree import files
from shown import blocks

DOCUMENTS = [str(name) for name in files() if name.suffix == ".md" and name.name != "CHANGELOG.md"]
FENCE = re.compile(r"^ *```.*?^ *```", re.MULTILINE | re.DOTALL)
# In a block, a line of its own, perhaps of a job; elsewhere, what stands between backticks.
IN_BLOCK = re.compile(
    r"^ *(?:- |\$ |script: \[)?((?:make|ansible-playbook)(?: .*)?)$", re.MULTILINE
)
IN_TEXT = re.compile(r"`((?:[\w.]+/bin/)?(?:make|ansible-playbook) [^`]+)`")
COMMENT = re.compile(r"\s+# .*|\]$")
DEPLOY = ROOT / "playbooks/deploy.yml"
# What a reader replaces by a name of their own, and what belongs to JAWS's own repository.
PLACEHOLDER = re.compile(r".*(NAME|SITE|DIRECTORY|newsite).*")
OF_JAWS = re.compile(r"pkg(-\w+)?")


def commands(name: str) -> list[str]:
    """Return the commands of a document, one line each."""
    text = (ROOT / name).read_text().replace("\\\n", " ")
    text = re.sub(r"\n +(?=[^\n]*`)", " ", text)
    fenced = "\n".join(FENCE.findall(text))
    indented = "\n".join(re.findall(r"^ {4,}\S.*$", FENCE.sub("", text), re.MULTILINE))
    shown = [*IN_BLOCK.findall(fenced + "\n" + indented), *IN_TEXT.findall(FENCE.sub("", text))]
    return [part for line in shown for part in COMMENT.sub("", line).split(" && ")]


def faults(command: str) -> Iterator[str]:
    """Yield what is wrong with a command."""
    program, *words = shlex.split(command)
    yield from (make_faults if program == "make" else playbook_faults)(words)


def make_faults(words: list[str]) -> Iterator[str]:
    given = dict(word.split("=", 1) for word in words if re.match(r"[A-Z_]+=", word))
    targets = [word for word in words if re.fullmatch(r"[a-z][\w-]*", word)]
    played = collection.makefile_names(r"^PLAYBOOKS := (.*)$")
    for target in targets:
        if not known_target(target):
            yield f"make has no target {target}"
        if target in played and "SITE" in given:
            yield from inventory_faults(f"inventories/{given['SITE']}")
        if target in played:
            own = re.sub(r"\$\{[^}]*\}", "", given.get("ARGS", ""))
            yield from playbook_faults([f"playbooks/{target}.yml", *shlex.split(own)])


def known_target(name: str) -> bool:
    scenario = ROOT / "molecule" / name.removeprefix("molecule-") / "molecule.yml"
    targets = collection.makefile_names(r"^([a-z.][a-z_. -]*):(?!=)") + collection.makefile_names(
        r"^GATES := (.*)$"
    )
    return name in targets or scenario.exists() or bool(OF_JAWS.fullmatch(name))


def playbook_faults(words: list[str]) -> Iterator[str]:
    parser = PlaybookCLI(["ansible-playbook"])
    parser.init_parser()
    assert parser.parser
    called = parser.parser.parse_args(words)
    for inventory in called.inventory or []:
        yield from inventory_faults(inventory)
    for playbook in called.args:
        path = Path("playbooks") / f"{playbook.removeprefix('jgi.jaws.')}.yml"
        path = Path(playbook) if "/" in playbook else path
        if not (ROOT / path).exists():
            if not PLACEHOLDER.fullmatch(path.stem):
                yield f"there is no {path}"
            continue
        names = {pair.partition("=")[0] for pair in called.extra_vars}
        yield from (f"{path} does not read {name}" for name in names - known_variables(path))
    tags = {tag for given in [*called.tags, *called.skip_tags] for tag in given.split(",")}
    yield from (f"there is no tag {tag}" for tag in tags - {"all"} - deploy_tags())


def inventory_faults(path: str) -> Iterator[str]:
    if not PLACEHOLDER.fullmatch(path) and not (ROOT / path).is_dir():
        yield f"there is no {path}"


def known_variables(playbook: Path) -> set[str]:
    """Return what `-e` may give: what the playbook itself reads, facts and options."""
    text = (ROOT / playbook).read_text()
    for imported in re.findall(r"import_playbook: (\S+)", text):
        text += (ROOT / "playbooks" / imported).read_text()
    own = re.findall(r"(?<![\w.])([a-z]\w*) (?:\| default\(|is defined)", text)
    listed = re.findall(r"extra_vars: \[(.*)\]", text)
    site = collection.paths("inventories/local/group_vars/all/site.yml")
    options = [name for role in collection.roles() for name in collection.role_options(role)]
    return {*own, *", ".join(listed).split(", "), *options, *collection.load(site[0])}


def deploy_tags() -> set[str]:
    [check] = re.findall(r"^ +tags:\n((?: +\w+: \[.*\]\n)+)", DEPLOY.read_text(), re.MULTILINE)
    return set(re.findall(r"^ +(\w+):", check, re.MULTILINE))


@pytest.mark.parametrize("name", DOCUMENTS)
def test_a_command_in_a_document_can_be_run(name: str) -> None:
    wrong = [f"{command}: {fault}" for command in commands(name) for fault in faults(command)]
    assert not wrong, "\n".join(wrong)


def test_the_commands_of_the_documents_are_found() -> None:
    found = [command for name in DOCUMENTS for command in commands(name)]
    assert len([one for one in found if one.startswith("make ")]) > 40
    assert [one for one in found if "ansible-playbook playbooks/" in one]


@pytest.mark.parametrize("name", DOCUMENTS)
def test_a_file_that_a_document_names_is_there(name: str) -> None:
    tops = "|".join(
        ["tests", "plugins", "playbooks", "roles", "molecule", "inventories", r"\.config"]
    )
    named = re.findall(rf"`((?:{tops})/[\w./-]+)`", (ROOT / name).read_text())
    own = {path for path in named if PLACEHOLDER.fullmatch(path)}
    assert not [path for path in {*named} - own if not (ROOT / path).exists()]


def test_the_hooks_of_pre_commit_are_targets_of_make() -> None:
    [repository] = collection.load(ROOT / ".pre-commit-config.yaml")["repos"]
    assert repository["repo"] == "local"
    assert [fault for hook in repository["hooks"] for fault in faults(hook["entry"])] == []


def test_an_output_that_a_guide_shows_is_one_that_a_test_has_seen() -> None:
    guides = collection.paths("README.md", "docs/*.md")
    assert len(blocks()) == sum(path.read_text().count("```console") for path in guides)
    groups = {"@deployed", "@cut", "@operated", "@table", "@full_disk"}
    assert {block.group for block in blocks()} == groups
