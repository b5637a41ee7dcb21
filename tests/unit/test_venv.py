# SPDX-License-Identifier: GPL-3.0-or-later
"""How virtual environments are named, chosen and told from those that somebody has changed."""

from __future__ import annotations

import os
import zipfile
from pathlib import Path
from typing import Any

import pytest

from ansible_collections.jgi.jaws.plugins.module_utils.environments import commands
from ansible_collections.jgi.jaws.plugins.module_utils.environments.places import (
    Environment,
    place,
)
from ansible_collections.jgi.jaws.plugins.module_utils.environments.records import MARKER
from ansible_collections.jgi.jaws.plugins.module_utils.environments.specs import (
    digest,
    refuse_credentials,
    version_of,
    wheel_digest,
)
from ansible_collections.jgi.jaws.plugins.module_utils.errors import JawsError

PYTHON = ["/usr/bin/python3.11", "3.11.2"]


def spec(**changed: Any) -> dict[str, Any]:
    found = {
        "name": "site",
        "wheels": [],
        "requirements": [],
        "constraints": "",
        "pip_arguments": [],
    }
    return {**found, **changed}


def wheel(path: Path, content: str, year: int, method: int = zipfile.ZIP_STORED) -> str:
    with zipfile.ZipFile(path, "w", method) as stream:
        for name in ("b.py", "a.py") if year % 2 else ("a.py", "b.py"):
            stream.writestr(zipfile.ZipInfo(name, (year, 1, 1, 0, 0, 0)), content + name)
    return str(path)


# ---- Digests


def test_a_wheel_is_its_content_not_its_time_order_or_compression(tmp_path: Path) -> None:
    one = wheel(tmp_path / "one", "x", 2020)
    two = wheel(tmp_path / "two", "x", 2021, zipfile.ZIP_DEFLATED)
    assert Path(one).read_bytes() != Path(two).read_bytes()
    assert wheel_digest(one) == wheel_digest(two)
    assert wheel_digest(one) != wheel_digest(wheel(tmp_path / "three", "y", 2020))


def test_a_wheel_that_is_not_whole_is_refused(tmp_path: Path) -> None:
    whole = Path(wheel(tmp_path / "whole", "x" * 5000, 2020, zipfile.ZIP_DEFLATED)).read_bytes()
    damaged = bytearray(whole)
    damaged[len(whole) // 3] ^= 255
    for content in (whole[: len(whole) // 2], b"", bytes(damaged)):
        (tmp_path / "damaged").write_bytes(content)
        with pytest.raises(JawsError, match="is not a whole wheel") as told:
            wheel_digest(str(tmp_path / "damaged"))
        assert told.value.reason == "bad_wheel"
    with pytest.raises(JawsError, match="No such file"):
        wheel_digest(str(tmp_path / "absent"))


WHEELS = [
    {"name": "jaws_site-2.6.0-py3-none-any.whl", "digest": "1"},
    {"name": "a-1-x.whl", "digest": "2"},
]


@pytest.mark.parametrize(
    "changed",
    [
        {"wheels": [dict(WHEELS[0], digest="3"), WHEELS[1]]},
        {"wheels": WHEELS[:1]},
        {"wheels": WHEELS, "requirements": ["a==2"]},
        {"wheels": WHEELS, "constraints": "a==2"},
        {"wheels": WHEELS, "pip_arguments": ["--no-index"]},
    ],
)
def test_whatever_determines_an_environment_changes_its_name(changed: dict[str, Any]) -> None:
    assert digest(spec(**changed), PYTHON) != digest(spec(wheels=WHEELS), PYTHON)


def test_what_does_not_determine_an_environment_leaves_its_name_as_it_was_in_0_2_0() -> None:
    found = spec(wheels=WHEELS, tolerated=["a"], modules=["purge"], umask="022")
    assert digest(found, PYTHON) == "6a094e218ec0"


def test_another_interpreter_changes_the_name() -> None:
    assert digest(spec(), PYTHON) != digest(spec(), [PYTHON[0], "3.11.3"])
    assert digest(spec(), PYTHON) != digest(spec(), ["/opt/python", PYTHON[1]])


def test_the_order_of_wheels_and_the_file_s_name_do_not_count() -> None:
    renamed = dict(WHEELS[0], name="jaws_site-2.6.0-1-py3-none-any.whl")
    assert digest(spec(wheels=WHEELS), PYTHON) == digest(spec(wheels=[WHEELS[1], renamed]), PYTHON)


@pytest.mark.parametrize(
    ("given", "version"),
    [
        ({"wheels": WHEELS}, "2.6.0"),
        ({"requirements": ["jaws-site[x]==2.6.0rc1 --hash=sha256:00", "b==1"]}, "2.6.0rc1"),
        (
            {"requirements": ["jaws-site @ git+https://host/jaws.git@v2.6#subdirectory=site"]},
            "v2.6",
        ),
        ({"requirements": ["git+ssh://git@host/jaws.git"]}, "0"),
        ({"requirements": ["jaws-site"]}, "0"),
        ({}, "0"),
    ],
)
def test_the_version_is_shown(given: dict[str, Any], version: str) -> None:
    assert version_of(spec(**given)) == version


# ---- Credentials


@pytest.mark.parametrize(
    "text",
    [
        "--index-url=https://token:hunter2@pypi.example/simple",
        "jaws @ git+https://hunter2@host/jaws.git@main",
        "git+http://u:hunter2@host/x",
    ],
)
@pytest.mark.parametrize("option", ["requirements", "pip_arguments"])
def test_credentials_in_a_url_are_refused_since_ps_would_show_them(option: str, text: str) -> None:
    with pytest.raises(JawsError, match=f"site: a url in {option} holds credentials") as told:
        refuse_credentials(spec(**{option: [text]}))
    assert "hunter2" not in str(told.value)


def test_a_user_of_ssh_and_a_tag_are_not_credentials() -> None:
    urls = ["git+ssh://git@host/jaws.git@v1", "a @ https://host/a@2/a.whl", "a==1"]
    refuse_credentials(spec(requirements=urls, pip_arguments=["-i", "https://host/simple"]))
    refuse_credentials({"name": "site"})


# ---- What is there


def build(path: Path, text: str = "x = 1\n") -> Environment:
    (path / "lib").mkdir(parents=True)
    (path / "lib" / "a.py").write_text(text)
    (path / "python").symlink_to("/usr/bin/python3")
    found = Environment(str(path))
    found.complete(packages=["a==1"])
    return found


def test_an_environment_is_intact_as_long_as_nobody_changes_it(tmp_path: Path) -> None:
    found = build(tmp_path / "site-1-ab")
    assert found.intact
    assert (found.record or {})["packages"] == ["a==1"]


def test_caches_of_python_do_not_count_as_a_change(tmp_path: Path) -> None:
    found = build(tmp_path / "site-1-ab")
    (tmp_path / "site-1-ab" / "lib" / "__pycache__").mkdir()
    (tmp_path / "site-1-ab" / "lib" / "__pycache__" / "a.pyc").write_text("")
    assert found.intact


def edit(path: Path) -> None:
    (path / "lib" / "a.py").write_text("x = 22\n")


def add(path: Path) -> None:
    (path / "lib" / "b.py").write_text("")


def remove(path: Path) -> None:
    (path / "lib" / "a.py").unlink()


def open_up(path: Path) -> None:
    (path / "lib" / "a.py").chmod(0o777)


def redirect(path: Path) -> None:
    (path / "python").unlink()
    (path / "python").symlink_to("/usr/bin/python3.9")


@pytest.mark.parametrize("change", [edit, add, remove, open_up, redirect])
def test_any_change_is_seen_and_left_to_what_runs_from_it(tmp_path: Path, change: Any) -> None:
    build(tmp_path / "site-1-ab")
    change(tmp_path / "site-1-ab")
    found, changed = place(str(tmp_path), "site-1-ab")
    assert found.path == str(tmp_path / "site-1-ab.1")
    assert changed == [str(tmp_path / "site-1-ab")]


def test_the_one_beside_is_used_from_then_on(tmp_path: Path) -> None:
    build(tmp_path / "site-1-ab")
    edit(tmp_path / "site-1-ab")
    build(tmp_path / "site-1-ab.1")
    assert place(str(tmp_path), "site-1-ab")[0].path == str(tmp_path / "site-1-ab.1")
    edit(tmp_path / "site-1-ab.1")
    assert place(str(tmp_path), "site-1-ab")[0].path == str(tmp_path / "site-1-ab.2")


def test_it_is_still_used_when_the_changed_one_has_been_pruned(tmp_path: Path) -> None:
    build(tmp_path / "site-1-ab.3")
    found, changed = place(str(tmp_path), "site-1-ab")
    assert (found.path, changed) == (str(tmp_path / "site-1-ab.3"), [])


@pytest.mark.parametrize("marker", [None, "", "{"])
def test_what_was_never_complete_is_built_in_its_place(tmp_path: Path, marker: str | None) -> None:
    (tmp_path / "site-1-ab").mkdir()
    (tmp_path / "site-1-ab.lock").touch()
    if marker is not None:
        (tmp_path / "site-1-ab" / MARKER).write_text(marker)
    found, changed = place(str(tmp_path), "site-1-ab")
    assert not found.intact
    assert (os.path.basename(found.path), changed) == ("site-1-ab", [])


def test_what_an_earlier_version_built_is_used_as_it_is(tmp_path: Path) -> None:
    build(tmp_path / "site-1-ab")  # its record has packages, and nothing newer
    found, unusable = place(str(tmp_path), "site-1-ab", ["a"])
    assert (found.path, unusable) == (str(tmp_path / "site-1-ab"), [])


def test_what_was_marked_complete_without_its_wheel_is_built_again_beside_it(
    tmp_path: Path,
) -> None:
    build(tmp_path / "site-1-ab")
    found, unusable = place(str(tmp_path), "site-1-ab", ["a", "jaws-site"])
    assert (found.path, unusable) == (
        str(tmp_path / "site-1-ab.1"),
        [str(tmp_path / "site-1-ab")],
    )
    assert Environment(unusable[0]).lacks(["a", "jaws-site"]) == ["jaws-site"]


def test_an_environment_whose_python_was_removed_is_built_again_beside_it(tmp_path: Path) -> None:
    path = tmp_path / "site-1-ab"
    (path / "bin").mkdir(parents=True)
    (tmp_path / "python3.9").touch()
    (path / "bin/python").symlink_to(tmp_path / "python3.9")
    found = build(path)
    assert found.intact
    (tmp_path / "python3.9").unlink()
    assert not found.intact
    assert place(str(tmp_path), "site-1-ab")[0].path == f"{path}.1"


def test_the_lock_of_a_build_beside_it_is_not_taken_for_an_environment(tmp_path: Path) -> None:
    build(tmp_path / "site-1-ab")
    edit(tmp_path / "site-1-ab")
    (tmp_path / "site-1-ab.1.lock").touch()
    assert place(str(tmp_path), "site-1-ab")[0].path == str(tmp_path / "site-1-ab.1")


def test_another_environment_s_directory_is_not_taken_for_it(tmp_path: Path) -> None:
    build(tmp_path / "site-1-abc")
    assert place(str(tmp_path), "site-1-ab")[0].path == str(tmp_path / "site-1-ab")


# ---- What pip says


def test_an_error_shows_the_last_lines_without_credentials() -> None:
    code = "for n in $(seq 100); do echo line $n; done; echo https://u:hunter2@host/ >&2; exit 3"
    with pytest.raises(JawsError) as told:
        commands.run(["sh", "-c", code], "pip install for site")
    text = str(told.value)
    assert text.startswith(
        "cannot pip install for site: sh ended with 3. What runs now is untouched"
    )
    assert "line 100\nhttps://********@host/" in text
    assert "line 80\n" not in text
    assert "hunter2" not in text


@pytest.mark.parametrize("noise", ["", "; seq 100"])
def test_an_error_that_pip_states_is_the_last_line_and_not_the_traceback_below(noise: str) -> None:
    below = "echo 'Traceback (most recent call last):'; echo '  File x'"
    code = f"echo Processing; echo ERROR: No space left{noise}; {below}; exit 1"
    with pytest.raises(JawsError) as told:
        commands.run(["sh", "-c", code], "create")
    lines = str(told.value).splitlines()
    assert "ERROR: No space left" in lines
    assert lines[-1] == ("100" if noise else "ERROR: No space left")


def test_a_python_without_ensurepip_is_named_with_the_remedy() -> None:
    with pytest.raises(JawsError, match="lacks ensurepip: install python3-venv"):
        commands.run(["sh", "-c", "echo ensurepip is not; echo available.; exit 1"], "create")


def test_a_command_that_is_not_there_is_named() -> None:
    with pytest.raises(JawsError, match="cannot create: /no/python: No such file") as told:
        commands.run(["/no/python"], "create")
    assert told.value.reason == "build_failed"
