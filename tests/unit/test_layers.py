# SPDX-License-Identifier: GPL-3.0-or-later
"""What is in a layer, and how an environment becomes a copy of it."""

from __future__ import annotations

import os
import zipfile
from pathlib import Path
from typing import Any

import pytest

from ansible_collections.jgi.jaws.plugins.module_utils.environments.layers import (
    copy,
    mentions,
    rehomed,
    requirements,
)


def wheel(folder: Path, name: str, *needs: str) -> str:
    path = folder / f"{name}-1.0-py3-none-any.whl"
    lines = "".join(f"Requires-Dist: {need}\n" for need in needs)
    with zipfile.ZipFile(path, "w") as stream:
        stream.writestr(f"{name}-1.0.dist-info/METADATA", f"Name: {name}\n{lines}\nText\n")
        stream.writestr(f"{name}/other.dist-info/METADATA", "Requires-Dist: nothing\n")
    return str(path)


def spec(*lines: str, arguments: tuple[str, ...] = ()) -> dict[str, Any]:
    return {"requirements": list(lines), "pip_arguments": list(arguments)}


# ---- What is in it


def test_a_layer_has_what_is_required_and_what_the_wheels_need_but_not_themselves(
    tmp_path: Path,
) -> None:
    wheels = [
        wheel(tmp_path, "jaws_site", "jaws-rpc==1.0", "pandas<3", 'x; extra == "dev"'),
        wheel(tmp_path, "jaws_rpc", "amqpstorm", "pandas<3"),
    ]
    found = requirements(spec("boto3==1"), wheels)
    assert found == ["boto3==1", "amqpstorm", "pandas<3", 'x; extra == "dev"']


def test_a_layer_does_not_change_with_the_order_of_wheels(tmp_path: Path) -> None:
    wheels = [wheel(tmp_path, "one", "a", "b"), wheel(tmp_path, "two", "c")]
    assert requirements(spec(), wheels) == requirements(spec(), wheels[::-1]) == ["a", "b", "c"]


@pytest.mark.parametrize(
    "given",
    [
        spec("boto3==1", arguments=("--no-deps",)),
        spec("boto3==1", arguments=("--no-dependencies",)),
        spec("boto3==1", arguments=("--require-hashes",)),
        spec("boto3==1 \\", "    --hash=sha256:00"),
    ],
)
def test_what_the_wheels_need_does_not_count_if_pip_may_not_look_for_it(
    tmp_path: Path, given: dict[str, Any]
) -> None:
    assert requirements(given, [wheel(tmp_path, "one", "a")]) == given["requirements"]


@pytest.mark.parametrize("lines", [["One==1.0"], ["one[x]"], ["two @ https://h/two.zip", "one"]])
def test_there_is_no_layer_if_a_requirement_names_one_of_the_wheels(
    tmp_path: Path, lines: list[str]
) -> None:
    assert requirements(spec(*lines), [wheel(tmp_path, "one", "a")]) == []


def test_there_is_no_layer_if_one_of_the_wheels_needs_another_with_an_extra(tmp_path: Path) -> None:
    wheels = [wheel(tmp_path, "one", "a", "Two[sql]>=1"), wheel(tmp_path, "two", "b")]
    assert requirements(spec(), wheels) == []
    assert requirements(spec(), wheels[:1]) == ["Two[sql]>=1", "a"]


# ---- The copy

OLD, NEW = b"/srv/layers/layer-0123", b"/srv/venvs/site-2.6.0-4567"


@pytest.mark.parametrize(
    "content",
    [
        b"#!%s/bin/python\nimport x\n",
        b"#!/bin/sh\n'''exec' %s/bin/python \"$0\"",
        b"VIRTUAL_ENV=%s",
    ],
)
def test_a_text_leads_to_the_copy(content: bytes) -> None:
    assert rehomed(content % OLD, OLD, NEW) == content % NEW


def test_a_first_line_that_is_too_long_for_the_kernel_becomes_one_of_the_shell() -> None:
    far = b"/" + b"x" * 120
    found = rehomed(b"#!%s/bin/python\nimport x\n" % OLD, OLD, far)
    assert found == b"#!/bin/sh\n'''exec' %s/bin/python \"$0\" \"$@\"\n' '''\nimport x\n" % far


@pytest.fixture
def layer(tmp_path: Path) -> Path:
    path = tmp_path / "layer"
    (path / "lib/__pycache__").mkdir(parents=True)
    (path / "bin").mkdir()
    (path / "lib64").symlink_to("lib")
    (path / "bin/python").symlink_to("/usr/bin/python3")
    (path / "bin/here").symlink_to(path / "lib/module.py")
    (path / "bin/tool").write_text(f"#!{path}/bin/python\n")
    (path / "bin/tool").chmod(0o750)
    (path / "lib/module.py").write_text("x = 1\n")
    (path / "lib/binary.so").write_bytes(b"\0" + os.fsencode(path))
    (path / "lib/__pycache__/module.pyc").write_text(str(path))
    (path / "jgi-jaws.json").write_text("{}")
    return path


def test_texts_that_mention_the_layer_are_found(layer: Path) -> None:
    assert mentions(str(layer)) == ["bin/tool"]


def test_a_copy_is_linked_except_what_mentions_the_layer(layer: Path, tmp_path: Path) -> None:
    target = tmp_path / "target"
    (target / "lib").mkdir(parents=True)  # half of it may be there
    copy(str(layer), str(target), mentions(str(layer)))
    assert (target / "bin/tool").read_text() == f"#!{target}/bin/python\n"
    assert (target / "bin/tool").stat().st_mode & 0o7777 == 0o750
    for name in ("lib/module.py", "lib/binary.so", "lib/__pycache__/module.pyc"):
        assert (target / name).samefile(layer / name)
    links = [os.readlink(target / name) for name in ("lib64", "bin/python", "bin/here")]
    assert links == ["lib", "/usr/bin/python3", f"{target}/lib/module.py"]
    assert not (target / "jgi-jaws.json").exists()


def test_files_are_copied_if_a_filesystem_has_no_hard_links(
    layer: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(*_paths: str) -> None:
        raise PermissionError(1, "Operation not permitted")

    monkeypatch.setattr(os, "link", refuse)
    os.utime(layer / "lib/module.py", (1, 1))
    target = tmp_path / "target"
    copy(str(layer), str(target), [])
    assert (target / "lib/module.py").read_text() == "x = 1\n"
    assert not (target / "lib/module.py").samefile(layer / "lib/module.py")
    # Otherwise its bytecode would not be valid.
    assert (target / "lib/module.py").stat().st_mtime == 1
