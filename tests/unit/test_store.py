# SPDX-License-Identifier: GPL-3.0-or-later
"""Releases as files: records, published files, links, and the file that names the current one."""

from __future__ import annotations

import errno
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ansible_collections.jgi.jaws.plugins.module_utils.errors import JawsError
from ansible_collections.jgi.jaws.plugins.module_utils.releases.store import (
    Store,
    new_id,
)
from ansible_collections.jgi.jaws.plugins.module_utils.supervisor import conf
from ansible_collections.jgi.jaws.plugins.module_utils.supervisor.conf import (
    definitions,
    differing,
    marked,
)

DAEMON = "[supervisord]\nlogfile=/l\n\n[supervisorctl]\npassword=the-key\n\n"
ONE = "[program:one]\ncommand=/bin/one\n\n[program:two]\ncommand=/bin/two\n"


@pytest.fixture
def store(tmp_path: Path) -> Store:
    (tmp_path / "releases").mkdir()
    (tmp_path / "s.conf").write_text(DAEMON)
    (tmp_path / "s.conf").chmod(0o640)
    return Store(str(tmp_path), str(tmp_path / "s.conf"))


def record(release: str, status: str = "good", **more: Any) -> dict[str, Any]:
    return {"id": release, "status": status, **more}


def files(folder: Path) -> list[str]:
    return sorted(str(path.relative_to(folder)) for path in folder.rglob("*"))


# ---- The switch


def test_a_switch_replaces_the_programs_and_keeps_the_daemon_and_its_key(store: Store) -> None:
    for release in ("r1", "r2"):
        store.switch(marked(release, ONE))
        assert store.conf().release == release
        assert store.conf().daemon == DAEMON
        assert definitions(store.conf().programs) == definitions(ONE)


def test_a_switch_keeps_the_mode_and_leaves_nothing_beside(store: Store, tmp_path: Path) -> None:
    store.switch(marked("r1", ONE))
    assert os.stat(store.config).st_mode & 0o7777 == 0o640
    assert files(tmp_path) == ["releases", "s.conf"]


def test_a_full_disk_leaves_the_old_conf(
    store: Store, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(_handle: int) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(JawsError, match="No space left on device"):
        store.switch(marked("r1", ONE))
    assert Path(store.config).read_text() == DAEMON
    assert files(tmp_path) == ["releases", "s.conf"]


def test_an_instance_that_is_not_configured_says_what_to_do(store: Store) -> None:
    os.unlink(store.config)
    assert not store.exists
    with pytest.raises(JawsError, match="configure the instance first") as told:
        store.conf()
    assert told.value.reason == "unreadable_conf"


# ---- Published files


def test_a_published_file_is_closed_from_its_first_byte(
    store: Store, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = str(tmp_path / "a.conf")
    modes = []

    def look(handle: int) -> None:
        modes.append(os.fstat(handle).st_mode & 0o077)
        real(handle)

    real = os.fsync
    seen: Callable[[int, int], None] = os.fchmod

    def before(handle: int, mode: int) -> None:
        modes.append(os.fstat(handle).st_mode & 0o077)
        seen(handle, mode)

    monkeypatch.setattr(os, "fsync", look)
    monkeypatch.setattr(os, "fchmod", before)
    store.publish(path, "secret", 0o600)
    assert modes
    assert set(modes) == {0}
    assert os.stat(path).st_mode & 0o7777 == 0o600


def test_a_file_that_was_changed_by_hand_is_not_published(store: Store, tmp_path: Path) -> None:
    path = tmp_path / "a.conf"
    store.publish(str(path), "text\r\n", 0o640)
    assert store.is_published(str(path), "text\r\n", 0o640)
    assert not store.is_published(str(path), "text\n", 0o640)
    assert not store.is_published(str(path), "text\r\n", 0o600)
    path.write_bytes(b"\xff")
    assert not store.is_published(str(path), "text\r\n", 0o640)


def test_a_file_of_another_group_is_not_published(store: Store, tmp_path: Path) -> None:
    path = tmp_path / "a.conf"
    store.publish(str(path), "text", 0o640)
    store.gid = os.stat(path).st_gid + 1
    assert not store.is_published(str(path), "text", 0o640)


def test_a_directory_instead_of_a_file_is_named(store: Store, tmp_path: Path) -> None:
    (tmp_path / "a").mkdir()
    with pytest.raises(JawsError, match=f"cannot read {tmp_path}/a: Is a directory"):
        store.is_published(str(tmp_path / "a"), "", 0o640)


# ---- Records


def test_records_are_returned_newest_first(store: Store) -> None:
    assert store.all() == []
    for release in ("20260101T000000Z-b", "20260102T000000Z-a"):
        store.save(record(release))
    assert [found["id"] for found in store.all()] == ["20260102T000000Z-a", "20260101T000000Z-b"]
    assert store.find("20260101T000000Z-b") == record("20260101T000000Z-b")
    assert store.find(None) is None


def test_an_unknown_release_is_reported_with_the_existing_ones(store: Store) -> None:
    with pytest.raises(JawsError, match="there is no release r9 here; there are: none"):
        store.get("r9")
    store.save(record("r1"))
    with pytest.raises(JawsError, match="there is no release r9 here; there are: r1") as told:
        store.get("r9")
    assert told.value.reason == "unknown_release"


@pytest.mark.parametrize("text", ["", "{", "no json"])
def test_a_broken_record_is_named(store: Store, tmp_path: Path, text: str) -> None:
    path = tmp_path / "releases" / "r1.json"
    path.write_text(text)
    with pytest.raises(JawsError, match=f"{path} is not the record of a release"):
        store.all()


def test_a_record_is_for_its_group_only(store: Store, tmp_path: Path) -> None:
    store.save(record("r1"))
    assert (tmp_path / "releases" / "r1.json").stat().st_mode & 0o7777 == 0o640


def test_ids_sort_by_time_and_differ_by_inputs() -> None:
    first, second = new_id("a", 0), new_id("a", 1)
    assert first == "19700101T000000Z-" + first[-8:]
    assert first < second
    assert new_id("b", 0) != first
    assert new_id({"a": 1, "b": 2}, 0) == new_id({"b": 2, "a": 1}, 0)


# ---- Links


def test_links_point_where_they_should_and_are_then_left_alone(
    store: Store, tmp_path: Path
) -> None:
    links = {str(tmp_path / "current"): "/v/1"}
    assert not store.linked(links)
    assert store.link(links)
    assert store.linked(links)
    assert not store.link(links)


def test_what_a_killed_run_left_does_not_matter(store: Store, tmp_path: Path) -> None:
    (tmp_path / "current.new").symlink_to("/gone")
    store.link({str(tmp_path / "current"): "/v/1"})
    assert files(tmp_path) == ["current", "releases", "s.conf"]


def test_a_directory_instead_of_a_link_is_named(store: Store, tmp_path: Path) -> None:
    (tmp_path / "current" / "full").mkdir(parents=True)
    with pytest.raises(JawsError, match=f"cannot make the link {tmp_path}/current: Is a directory"):
        store.link({str(tmp_path / "current"): "/v/1"})


# ---- Definitions


def test_only_what_is_defined_otherwise_differs() -> None:
    other = ONE.replace("/bin/two", "/bin/2") + "\n[program:three]\ncommand=/bin/three\n"
    assert differing(marked("r1", ONE), marked("r2", ONE)) == []
    assert differing(marked("r1", ONE), marked("r2", other)) == ["three", "two"]
    assert differing("", ONE) == ["one", "two"]
    assert differing(ONE, "") == ["one", "two"]


names = st.text("abcxyz-_", min_size=1)


@given(st.dictionaries(names, names), st.dictionaries(names, names))
def test_differing_agrees_with_comparing_the_data(one: dict[str, str], two: dict[str, str]) -> None:
    texts = [
        "\n".join(
            conf.section(f"program:{name}", {"command": value}) for name, value in data.items()
        )
        for data in (one, two)
    ]
    wanted = {name for name in {*one, *two} if one.get(name) != two.get(name)}
    assert set(differing(*texts)) == wanted
