# SPDX-License-Identifier: GPL-3.0-or-later
"""What was asked for, and whether it is installed."""

from __future__ import annotations

import json
import zipfile
from collections import Counter
from pathlib import Path

import pytest

from ansible_collections.jgi.jaws.plugins.module_utils.environments.installed import (
    Asked,
    builds,
    missing,
    modules,
    of_requirements,
    of_wheel,
    packages,
    passed_over,
    same_version,
)

COMMIT = "0123456789abcdef0123456789abcdef01234567"


@pytest.mark.parametrize(
    ("line", "asked"),
    [
        ("jaws-site==2.6.0", Asked("jaws-site", "2.6.0")),
        ("Jaws_Site[dev, x] == 2.6.0", Asked("jaws-site", "2.6.0")),
        ("jaws-site==2.6.0 ; python_version > '3'", Asked("jaws-site", "2.6.0", True)),
        ("jaws.site (==2.6)", Asked("jaws-site", "2.6")),
        ("a===1.0+local --hash=sha256:00", Asked("a", "1.0+local")),
        ("a==1.*", Asked("a")),
        ("a>=1,<2  # why", Asked("a")),
        ("a --hash=sha256:00", Asked("a")),
        ("a", Asked("a")),
        ("a@https://host/other-2.0.zip", Asked("a")),
        ("a @ git+https://host/a.git@v1#subdirectory=a", Asked("a")),
        ("git+https://host/a.git@v1#egg=My_Name&subdirectory=a", Asked("my-name")),
        ("git+https://host/a.git@v1", Asked("")),
        ("https://host/my_a-1.0-py3-none-any.whl#sha256=00", Asked("my-a", "1.0")),
        ("./my_a-1.0-py3-none-any.whl", Asked("my-a", "1.0")),
        ("my_a-1.0-py3-none-any.whl --hash=sha256:00", Asked("my-a", "1.0")),
        ("/src/a-1.0.tar.gz", Asked("")),
        ("a-1.0.tar.gz", Asked("")),
    ],
)
def test_what_a_requirement_asks_for_is_read_from_its_line(line: str, asked: Asked) -> None:
    assert of_requirements([line]) == [asked]


def test_options_comments_and_continued_lines_of_requirements_are_understood() -> None:
    lines = ["# a==1", "--index-url https://x/", "-e ./here", "", "a==1 \\", "  --hash=sha256:0 \\"]
    assert of_requirements([*lines, "  --hash=sha256:1", "b"]) == [Asked("a", "1"), Asked("b")]


def test_a_wheel_is_named_by_its_file() -> None:
    assert of_wheel("/w/Jaws_Site-2.6.0+x-1-py3-none-any.whl") == Asked("jaws-site", "2.6.0+x")
    assert of_wheel("jaws_site-2.6.0%2Bx-py3-none-any.whl") == Asked("jaws-site", "2.6.0+x")


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("1.0", "1.0.0"),
        ("1", "1.0"),
        ("v1.0", "1.0"),
        ("1.0-rc.1", "1.0rc1"),
        ("1.0c1", "1.0RC1"),
        ("1.0alpha", "1.0a0"),
        ("1.0.post1", "1.0-post1"),
        ("1.0.dev2", "1.0dev2"),
        ("2020.01.02", "2020.1.2"),
        ("1.0", "1.0+local"),
        ("1.0+local.1", "1.0+local_1"),
    ],
)
def test_one_version_may_be_written_in_several_ways(one: str, other: str) -> None:
    assert same_version(one, other)
    assert same_version(other, one)


@pytest.mark.parametrize(
    ("one", "other"),
    [("1.0", "1.1"), ("1.0", "10"), ("1.0", "1.0rc1"), ("1.0a1", "1.0b1"), ("1.0+a", "1.0+b")],
)
def test_other_versions_are_not_the_same(one: str, other: str) -> None:
    assert not same_version(one, other)


NONE: Counter[str] = Counter()


@pytest.mark.parametrize(
    ("asked", "found", "told"),
    [
        (["a==1"], {"a": "1.0"}, []),
        (["a==1"], {}, ["a is not installed in it"]),
        (["a==2"], {"a": "1"}, ["a 1 is installed in it, not 2"]),
        (["a>1", "b"], {"a": "3"}, ["b is not installed in it"]),
        (["git+https://x/y"], {"pip": "1", "setuptools": "1"}, ["nothing is installed in it"]),
        (["git+https://x/y"], {"pip": "1", "y": "1"}, []),
        ([], {}, []),
    ],
)
def test_what_is_missing_is_reported(
    asked: list[str], found: dict[str, str], told: list[str]
) -> None:
    assert list(missing(of_requirements(asked), NONE, found)) == told


def test_what_pip_passed_over_because_of_its_marker_is_not_missing() -> None:
    said = (
        "Collecting b\nIgnoring A_b: markers 'python_version < \"3\"' don't match your environ…\n"
    )
    both = of_requirements(["a-b==1; python_version < '3'", "a-b==2; python_version >= '3'"])
    ignored = passed_over(said)
    assert list(missing(both[:1], ignored, {})) == []
    assert list(missing(both, ignored, {})) == ["a-b is not installed in it"]
    assert list(missing(both, ignored, {"a-b": "2"})) == []


def test_the_modules_at_the_top_of_a_wheel_are_found(tmp_path: Path) -> None:
    path = tmp_path / "x.whl"
    with zipfile.ZipFile(path, "w") as wheel:
        for name in (
            "one.py",
            "two/__init__.py",
            "two/sub/three.py",
            "space/name/four.py",
            "five.cpython-311-x86_64-linux-gnu.so",
            "x-1.0.data/purelib/six.py",
            "x-1.0.data/scripts/seven.py",
            "x-1.0.dist-info/METADATA",
            "data/text.txt",
            "with-dash/a.py",
            "__main__.py",
            "eight-stubs/__init__.pyi",
        ):
            wheel.writestr(name, "")
    assert modules(str(path)) == ["five", "one", "six", "space", "two"]


def distribution(folder: Path, name: str, version: str, **direct_url: object) -> None:
    info = folder / f"{name}-{version}.dist-info"
    info.mkdir(parents=True)
    (info / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {name}\nVersion: {version}\n")
    if direct_url:
        (info / "direct_url.json").write_text(json.dumps({"url": "x", **direct_url}))


def test_builds_of_one_version_differ_by_wheel_commit_or_hash(tmp_path: Path) -> None:
    folder = tmp_path / "lib" / "python3.11" / "site-packages"
    distribution(folder, "jaws_site", "0.0.0", archive_info={"hash": "sha256=00"})
    distribution(folder, "jtm", "0.0.0", vcs_info={"commit_id": COMMIT})
    distribution(folder, "central", "1", archive_info={"hashes": {"sha256": "fedcba9876"}})
    distribution(folder, "older", "1", archive_info={"hash": "sha256=abcdef0123"})
    distribution(folder, "here", "1", dir_info={})
    distribution(folder, "Plain", "1")
    (folder / "broken-1.dist-info").mkdir()
    wheels = [{"name": "jaws_site-0.0.0-py3-none-any.whl", "digest": "76543210ffff"}]
    assert builds(packages([str(folder), str(folder)]), str(tmp_path), wheels) == [
        "central==1 (fedcba98)",
        "here==1",
        "jaws_site==0.0.0 (76543210)",
        "jtm==0.0.0 (01234567)",
        "older==1 (abcdef01)",
        "Plain==1",
    ]
