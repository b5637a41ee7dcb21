# SPDX-License-Identifier: GPL-3.0-or-later
"""What differs between two releases, and what a switch does to each program."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

import pytest

from ansible_collections.jgi.jaws.plugins.module_utils.errors import forget_secrets, keep_secret
from ansible_collections.jgi.jaws.plugins.module_utils.releases.differences import (
    actions,
    changes,
    entries,
    model,
)
from ansible_collections.jgi.jaws.plugins.module_utils.supervisor.programs import Change, Program
from ansible_collections.jgi.jaws.plugins.plugin_utils.formats import render
from ansible_collections.jgi.jaws.plugins.plugin_utils.release_plan import LEASH
from ansible_collections.jgi.jaws.plugins.plugin_utils.summary import described

SECRET = "hunter2-secret"
OLD, NEW = "0" * 12, "a" * 12
NOTHING = Change([], [], [])


@pytest.fixture(autouse=True)
def secrets() -> Iterator[None]:
    keep_secret(SECRET)
    yield
    forget_secrets()


def release(digest: str, **changed: Any) -> tuple[dict[str, Any], dict[str, str]]:
    """Return a record and its files; each program runs a script that reads its configuration."""
    given = {
        "configs": {"site.conf": "[A]\nx = 5\n"},
        "programs": {"site": "site.conf", "other": ""},
        "scripts": {},
        "options": "",
        "packages": ["jaws_site==1.0 (0a)", "pip==24"],
        "environment": OLD,
        "jar": OLD,
        "health": {},
        **changed,
    }
    texts, links, sections = {}, {}, []
    for name, text in given["configs"].items():
        stem, dot, suffix = name.partition(".")
        links[f"/d/configs/{name}"] = f"/d/configs/{stem}-{digest}{dot}{suffix}"
        texts[links[f"/d/configs/{name}"]] = text
    for name, config in given["programs"].items():
        stem, dot, suffix = config.partition(".")
        reads = f"/d/configs/{stem}-{digest}{dot}{suffix}" if config else "/d/cromwell.jar"
        uses = f"/d/venvs/site-1.0-{given['environment']}/bin/x" if name == "site" else "sh"
        script = given["scripts"].get(name, "export A=b\n")
        texts[f"/d/shims/{name}-{digest}"] = f"#!/bin/bash\n{script}exec {uses} {reads}\n"
        options = given["options"] if name == "site" else ""
        sections.append(f"[program:{name}]\ncommand='/d/shims/{name}-{digest}'\n{options}\n")
    environment = f"/d/venvs/site-1.0-{given['environment']}"
    links["/d/current/site"] = environment
    record = {
        "links": links,
        "files": [*texts],
        "uses": [environment, f"/d/artifacts/cromwell-{given['jar']}.jar"],
        "health": given["health"],
        "packages": given["packages"],
        "programs": f"; release: {digest}\n\n" + "\n".join(sections),
    }
    return record, texts


def differences(is_whole: bool = True, **changed: Any) -> dict[str, list[str]]:
    """Return what differs from the usual release in words, and the programs that it is about."""
    (old, texts), (new, others) = release(OLD), release(NEW, **changed)
    found = changes(model(old, texts.get), model(new, others.get), is_whole)
    return {described(one): one["programs"] for one in found}


def test_files_with_other_digests_and_the_same_content_do_not_differ() -> None:
    assert differences() == {}


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("[A]\nx = 6\n", ["site.conf [A] x 5 → 6"]),
        ("[A]\nx = 5\ny = 1\n", ["site.conf [A] y added (1)"]),
        ("[A]\nx =\n", ["site.conf [A] x 5 → (empty)"]),
        ("[B]\nx = 5\n", ["site.conf [A] x removed (5)", "site.conf [B] x added (5)"]),
        ("; told\n[A]\nx = 5\n", []),
        ("[A]\nx = 5\n\tgoes on\n", ["site.conf [A] x 5 → 5 goes on"]),
        (f"[A]\nx = {SECRET}\n", ["site.conf [A] x changed"]),
        (f"[A]\nx = postgres://me:{SECRET}@host\n", ["site.conf [A] x changed"]),
        ("[A]\nx = 5\npassword = abc\n", ["site.conf [A] password added"]),
        (f"[A]\nx = 5\n{SECRET}\n", ["site.conf [A] added"]),
    ],
)
def test_a_value_of_a_configuration_differs_for_the_programs_that_read_it(
    text: str, told: list[str]
) -> None:
    found = differences(configs={"site.conf": text})
    assert [*found] == told
    assert all(programs == ["site"] for programs in found.values())


def test_a_configuration_that_is_new_or_gone_is_named_once() -> None:
    found = differences(configs={"more.conf": "[A]\nx = 1\ny = 2\n"})
    assert [*found] == ["more.conf added", "site.conf removed"]


def test_a_definition_and_a_script_differ_in_what_people_know() -> None:
    found = differences(
        options="stopwaitsecs=60",
        scripts={"other": "export A=c\nexport TOKEN=abc\n"},
        health={"site": {"http": "http://localhost:1"}},
    )
    assert found == {
        "[program:site] stopwaitsecs added (60)": ["site"],
        "other A b → c": ["other"],
        "other TOKEN added": ["other"],
    }


def test_other_code_of_a_script_is_not_shown() -> None:
    found = differences(scripts={"other": f"export A=c\ncurl -u me:{SECRET}\n"})
    assert found == {"other changed": ["other"]}


def test_what_starts_a_script_is_not_what_differs() -> None:
    before = f"#!/bin/bash\nexec python -I -S -c '{LEASH}' 15 java -Xmx5g -jar x\n"
    after = before.replace("5g", "6g").replace("ctypes", "other")
    assert entries(before)["command"] == ["python", "15", "java", "-Xmx5g", "-jar", "x"]
    assert set(entries(before)["command"]) ^ set(entries(after)["command"]) == {"-Xmx5g", "-Xmx6g"}


def test_packages_differ_for_the_programs_of_their_environment() -> None:
    found = differences(environment=NEW, packages=["jaws-site==1.0 (0b)", "pip==24", "six==1"])
    assert found == {"jaws-site 1.0 (0a) → 1.0 (0b)": ["site"], "six added (1)": ["site"]}


def test_before_an_environment_is_built_no_package_of_it_is_missing() -> None:
    found = differences(False, environment=NEW, packages=["jaws-site==2.0 (0b)"])
    assert [*found] == ["jaws-site 1.0 (0a) → 2.0 (0b)"]
    assert [*differences(False, environment=NEW, packages=[])] == ["the environment site changed"]


def test_another_jar_differs_for_the_programs_that_run_it() -> None:
    assert [*differences(jar=NEW)] == ["cromwell.jar changed"]


def test_everything_is_new_after_nothing() -> None:
    record, texts = release(NEW)
    assert changes(model(None, texts.get), model(record, texts.get)) == []


def test_a_file_that_cannot_be_read_differs_as_a_whole() -> None:
    (old, texts), (new, _others) = release(OLD), release(NEW)
    found = changes(model(old, texts.get), model(new, lambda _path: None))
    assert "site.conf changed" in map(described, found)


def test_a_format_with_braces_has_the_path_of_each_value() -> None:
    data = {"a": {"b": [{"c": 1}, 2], "d": "x"}, "webservice": {"port": 3}}
    assert entries(render("c.conf", "hocon", data)) == {
        "": ['include required(classpath("application"))'],
        "a.b.c": ["1"],
        "a.b": ["2"],
        "a.d": ['"x"'],
        "webservice.port": ["3"],
    }
    toml = "top = 1\n[one]\nx = [\n  1,\n  2,\n]\n[[two.three]]\ny = 'z'\n"
    assert entries(toml) == {
        "top": ["1"], "[one] x": ["1", "2"], "[two.three] y": ["'z'"]
    }  # fmt: skip
    assert entries(json.dumps({"a": {"b": 1}}, indent=1)) == {"a.b": ["1"]}
    assert entries("just\nlines\n") == {"": ["just", "lines"]}


def conf(**programs: str) -> str:
    return "".join(f"[program:{name}]\n{text}\n" for name, text in programs.items())


def running(**states: str) -> list[Program]:
    return [Program(name, name, state) for name, state in states.items()]


@pytest.mark.parametrize(
    ("seen", "action", "why"),
    [
        ("RUNNING", "restart", ""),
        ("FATAL", "restart", ""),
        ("STOPPED", "leave", "it was stopped on purpose, but it has the new definition"),
    ],
)
def test_a_program_with_another_definition_is_restarted_unless_it_is_stopped(
    seen: str, action: str, why: str
) -> None:
    found = actions(conf(a="x=1"), conf(a="x=2"), running(a=seen), ["a"], NOTHING)
    assert found == [{"program": "a", "action": action, "why": why}]


@pytest.mark.parametrize(
    ("seen", "dead", "told"),
    [
        ("RUNNING", [], ("leave", "nothing that it uses has changed")),
        ("EXITED", [], ("leave", "nothing that it uses has changed")),
        ("FATAL", ["a"], ("start", "it was FATAL")),
        ("STOPPED", [], ("leave", "it was stopped on purpose")),
    ],
)
def test_a_program_with_the_same_definition_is_started_only_if_it_has_died(
    seen: str, dead: list[str], told: tuple[str, str]
) -> None:
    (found,) = actions(conf(a="x=1"), conf(a="x=1"), running(a=seen), dead, NOTHING)
    assert (found["action"], found["why"]) == told


def test_new_and_removed_programs_have_actions_of_their_own() -> None:
    found = actions(conf(a="x", b="y"), conf(b="y", c="z"), running(a="RUNNING"), [], NOTHING)
    assert [(one["program"], one["action"]) for one in found] == [
        ("a", "remove"), ("b", "leave"), ("c", "start")
    ]  # fmt: skip


def test_what_supervisord_does_not_run_yet_is_restarted() -> None:
    differs = Change([], ["a"], ["gone"])
    found = actions(conf(a="x"), conf(a="x"), running(a="RUNNING", gone="RUNNING"), [], differs)
    assert [one["action"] for one in found] == ["restart", "remove"]
