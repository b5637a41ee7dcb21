# SPDX-License-Identifier: GPL-3.0-or-later
"""Filesystems that lack something, and listeners of other users."""

from __future__ import annotations

import grp
import json
import os
import re
import socket
import subprocess
import sys
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest

from ansible_collections.jgi.jaws.plugins.module_utils.errors import JawsError
from ansible_collections.jgi.jaws.plugins.module_utils.supervisor import conf, endpoint
from tests.integration.conftest import HEAD, KEY, PATIENCE, Daemon, Result, Run, Spawn, has_ended
from tests.integration.seccomp import NO_CHGRP, NO_HARD_LINKS, NO_LOCKS
from tests.integration.test_release import SLEEP, TWO, Site
from tests.integration.test_supervisord import LISTENER, NOBODY, give_to_nobody, tcp
from tests.integration.test_supervisord_config import sections

BIN = Path(sys.executable).parent


@pytest.fixture
def site(daemon: Daemon, run_module: Run) -> Site:
    daemon.write("")
    daemon.start()
    return Site(daemon, run_module)


def told(process: subprocess.Popen[str]) -> Result:
    """Return the result of a module that must fail."""
    result: Result = json.loads(process.communicate(timeout=PATIENCE)[0].splitlines()[-1])
    assert (process.returncode, result["failed"]) == (1, True), result
    return result


# ---- No locks, no hard links, no permission to change a group


@pytest.mark.fault(15)
def test_without_locks_nothing_is_switched_started_configured_or_built(
    site: Site, spawn_module: Spawn, tmp_path: Path
) -> None:
    site.deploy(TWO)
    pids, conf, root = site.pids(), site.conf(), site.daemon.root
    release = site.prepare({"one": f"# new\n{SLEEP}"})["id"]
    config, python = str(site.daemon.conf), sys.executable
    environment = {"name": "e", "python": python, "pip_arguments": ["--no-index"]}
    runs = {
        "release": {**site.common, **site.limits, "state": "active", "id": release},
        "supervisord": {
            "state": "restarted",
            "config": config,
            "supervisord_path": f"{BIN}/supervisord",
        },
        "supervisord_config": {
            "config": config,
            "python": python,
            "sections": sections(root),
            "rotate_key": True,
        },
        "venv": {"directory": str(tmp_path), "environments": [environment]},
    }
    for module, options in runs.items():
        result = told(spawn_module(module, hook=NO_LOCKS, **options))
        assert "No locks available" in result["msg"], result
        assert result["reason"] == "cannot_lock"
        assert "filesystem" in result["msg"], "the remedy"
        assert KEY not in json.dumps(result)
    assert (site.pids(), site.conf(), os.listdir(tmp_path)) == (pids, conf, [])


@pytest.mark.fault(26)
def test_without_hard_links_a_start_is_refused_and_leaves_nothing(
    instance: Daemon, spawn_module: Spawn
) -> None:
    instance.write("")
    options = {"config": str(instance.conf), "supervisord_path": f"{BIN}/supervisord"}
    result = told(spawn_module("supervisord", hook=NO_HARD_LINKS, **options))
    assert result["reason"] == "unusable_directory", result
    assert f"cannot make its socket in {instance.root}: Operation not permitted" in result["msg"]
    assert "node-local filesystem with hard links" in result["msg"]
    assert [path.name for path in instance.root.iterdir()] == ["supervisord.conf"]


def a_group() -> grp.struct_group:
    """Return a group that we may give a file to, other than our primary group."""
    return grp.getgrgid(1 if os.geteuid() == 0 else [os.getegid(), *os.getgroups()][-1])


@pytest.mark.fault(25)
def test_a_group_that_the_filesystem_refuses_is_named_and_changes_nothing(
    site: Site, spawn_module: Spawn, tmp_path: Path
) -> None:
    site.deploy(TWO)
    pids, conf, group = site.pids(), site.conf(), a_group()
    config, python = str(site.daemon.conf), sys.executable
    inputs = {**site.inputs({"one": f"# new\n{SLEEP}"}), "state": "prepared"}
    runs = {
        "release": inputs,
        "supervisord_config": {
            "config": config,
            "python": python,
            "sections": sections(site.daemon.root),
        },
        "tree": {"paths": [{"path": f"{tmp_path}/d", "mode": "0750", "group": group.gr_name}]},
    }
    for module, options in runs.items():
        if module != "tree":
            options = {**options, "group": group.gr_name}
        result = told(spawn_module(module, hook=NO_CHGRP, **options))
        assert result["reason"] == "cannot_write", result
        assert "Operation not permitted" in result["msg"]
        if module != "tree":
            assert f"gid {group.gr_gid}" in result["msg"]
    assert (site.pids(), site.conf()) == (pids, conf)
    assert site.statuses().keys() == {site.releases()["current"]}


# After the imports, because the user nobody may not read the directory of the tests' Python.
STRANGER = "import_module(name)\nimport os\nos.setgroups([])\nos.setgid(65534)\nos.setuid(65534)\n"


@pytest.mark.fault(24)
def test_a_group_that_the_deployers_process_lacks_is_named_with_the_remedy(
    spawn_module: Spawn, short_tmp: Path
) -> None:
    short_tmp.chmod(0o777)
    lacking = [found.gr_name for found in grp.getgrall() if found.gr_gid not in os.getgroups()]
    group = "daemon" if os.geteuid() == 0 else lacking[0]
    options = {"config": f"{short_tmp}/c", "python": sys.executable, "group": group}
    runs = {
        "supervisord_config": {**options, "sections": sections(short_tmp)},
        "tree": {"paths": [{"path": f"{short_tmp}/d", "group": group}]},
        "release": {
            **{key: options[key] for key in ("config", "python", "group")},
            "directory": f"{short_tmp}",
            "state": "prepared",
            "plan": {"programs": ""},
        },
    }
    for module, given in runs.items():
        hook = STRANGER if os.geteuid() == 0 else ""
        result = told(spawn_module(module, hook=hook, **given))
        assert result["reason"] == "not_a_member", (module, result)
        assert f"not a member of the unix group {group}. Add the user to it" in result["msg"]
        assert "if it was added recently, close its old sessions" in result["msg"]
    assert list(short_tmp.iterdir()) == []


# ---- Keys


KEYS = ["100%", "%(here)s", "a b", 'say "hi"', "it's", "Grüße 世界", "a;b", "a#b", "a:b=c", "[x]"]
UNREADABLE = [" leading", "trailing ", "a ; b", "a # b", "a\nb"]


@pytest.mark.fault(12)
def test_an_awkward_key_opens_the_daemon_that_was_given_it(
    instance: Daemon, run_module: Run
) -> None:
    """The conf of an older deployment may have such a key; ours consist of safe characters."""
    for key in KEYS:
        instance.write("", key=conf.escape("supervisorctl", "password", key))
        instance.start()
        result = run_module("supervisorctl_info", config=str(instance.conf))
        assert result.get("programs") == [], (key, result)
        instance.stop()


@pytest.mark.fault(12)
@pytest.mark.parametrize("key", UNREADABLE)
def test_a_key_that_supervisor_would_read_otherwise_is_refused_by_name(key: str) -> None:
    with pytest.raises(
        JawsError, match=r"^\[supervisorctl\] password: Supervisor cannot"
    ) as caught:
        conf.escape("supervisorctl", "password", key)
    assert key.strip() not in str(caught.value)


@pytest.mark.fault(11)
@pytest.mark.parametrize("lines", ["", "username=jaws\n", "username=jaws\npassword=\n"])
def test_without_its_key_nothing_is_stopped_and_the_old_file_or_a_new_key_repairs_it(
    instance: Daemon, run_module: Run, lines: str
) -> None:
    options = {"config": str(instance.conf), "python": sys.executable}
    options["sections"] = sections(instance.root)
    run_module("supervisord_config", **options)
    pid = instance.start()
    whole = instance.conf.read_text()
    instance.conf.write_text(re.sub(r"(?m)^(username|password)=.*\n", "", whole) + lines)
    asked = {"config": str(instance.conf), "supervisord_path": f"{BIN}/supervisord"}
    for module, given in {
        "supervisord": {**asked, "state": "restarted"},
        "supervisorctl": {"config": str(instance.conf), "name": ["all"], "state": "stopped"},
    }.items():
        result = run_module(module, **given)
        assert (result["failed"], result["reason"]) == (True, "wrong_key"), (module, result)
        told = "rejected the user name and key" if "password" in lines else "wants a user name and"
        assert told in result["msg"]
    assert not has_ended(pid)
    damaged = instance.conf.read_text()
    instance.conf.write_text(whole)
    assert run_module("supervisord_config", **options)["changed"] is False
    instance.conf.write_text(damaged)
    result = run_module("supervisord_config", **options)
    assert (result["new_key"], result["reloaded"]) == (True, True), result
    assert run_module("supervisord", **asked)["pid"] == pid


# ---- A listener of another user


@pytest.fixture
def stranger() -> Iterator[subprocess.Popen[str]]:
    """A process of nobody that has taken a port; it prints the port, then what it received."""
    found = subprocess.Popen([sys.executable, "-c", LISTENER], stdout=subprocess.PIPE, text=True)
    yield found
    found.kill()
    found.wait()
    assert found.stdout is not None
    found.stdout.close()


def asking(daemon: Daemon) -> dict[str, Result]:
    config = str(daemon.conf)
    return {
        "supervisorctl": {"config": config, "name": ["all"], "state": "started"},
        "supervisorctl_info": {"config": config},
        "supervisord": {"config": config, "supervisord_path": f"{BIN}/supervisord"},
    }


@pytest.mark.fault(22)
def test_no_module_sends_the_key_to_a_strangers_port(
    daemon: Daemon,
    run_module: Run,
    stranger: subprocess.Popen[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    assert stranger.stdout is not None
    port = int(stranger.stdout.readline())
    if os.geteuid() != 0:
        monkeypatch.setattr(endpoint, "listeners", lambda *_: {NOBODY})
    daemon.write("", head=tcp(port))
    site = Site(daemon, run_module)
    before = daemon.conf.read_text()
    prepared = site.prepare({"one": SLEEP})
    assert "failed" not in prepared, prepared
    results = {name: run_module(name, **given) for name, given in asking(daemon).items()}
    results["release"] = site.activate(prepared["id"])
    rotate = {"sections": sections(daemon.root, port), "rotate_key": True}
    results["supervisord_config"] = run_module(
        "supervisord_config", config=str(daemon.conf), python=sys.executable, **rotate
    )
    for name, result in results.items():
        assert (result["failed"], result["reason"]) == (True, "foreign_owner"), (name, result)
        assert f"127.0.0.1:{port} is taken by a process of nobody" in result["msg"]
        assert "choose another port" in result["msg"]
        assert KEY not in json.dumps(result)
    stranger.kill()
    assert stranger.stdout.read() == "", "somebody connected"
    assert daemon.conf.read_text() == before


@pytest.mark.fault(22)
def test_the_user_that_the_configuration_names_is_trusted(
    daemon: Daemon, run_module: Run, stranger: subprocess.Popen[str]
) -> None:
    assert stranger.stdout is not None
    port = int(stranger.stdout.readline())
    daemon.write("[supervisord]\nuser=nobody\n", head=tcp(port))
    run_module("supervisorctl_info", config=str(daemon.conf))
    assert "Authorization: Basic " in stranger.stdout.readline()


@pytest.mark.fault(22)
def test_no_module_sends_the_key_to_a_strangers_socket(
    daemon: Daemon, run_module: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = daemon.root / "tmp"
    folder.mkdir()
    folder.chmod(0o1777)
    daemon.write("", head=HEAD.replace("{root}/s\n", "{root}/tmp/s\n"))
    with closing(socket.socket(socket.AF_UNIX)) as server:
        server.bind(str(folder / "s"))
        server.listen()
        give_to_nobody(monkeypatch, folder / "s")
        for name, given in asking(daemon).items():
            result = run_module(name, **given)
            assert result["reason"] == "foreign_owner", (name, result)
            assert f"{folder}/s belongs to nobody" in result["msg"]
        server.settimeout(0)
        with pytest.raises(BlockingIOError):
            server.accept()
