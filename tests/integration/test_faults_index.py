# SPDX-License-Identifier: GPL-3.0-or-later
"""Package indexes that fail in every way, and disks that are full: nothing that runs is touched."""

from __future__ import annotations

import os
import shutil
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import suppress
from functools import wraps
from pathlib import Path
from typing import Any

import pytest

from shown import blocks, is_in
from tests.integration.conftest import CLONE, KEY, PATIENCE, Daemon, Result, Run, bearing
from tests.integration.test_deploy import Deployment
from tests.integration.test_release import SLEEP, TWO, Site
from tests.integration.test_supervisord_config import sections
from tests.integration.test_venv import Venvs, from_index, make_wheel, names, serving


@pytest.fixture
def venvs(tmp_path: Path, run_module: Run, quick_python: str) -> Venvs:
    (tmp_path / "venvs").mkdir()
    return Venvs(tmp_path / "venvs", run_module, quick_python)


def refused(venvs: Venvs, result: Result) -> str:
    """Return the message of a failed build; check that it left nothing, not even a process."""
    assert (result["failed"], result["reason"]) == (True, "build_failed"), result
    assert "What runs now is untouched" in result["msg"]
    assert names(venvs.folder) == []
    assert bearing(str(venvs.folder), ["cmdline"]) == []
    return str(result["msg"])


# ---- The package index


@pytest.mark.fault(6)
def test_an_index_that_is_down_is_named(venvs: Venvs, tmp_path: Path) -> None:
    wheel = make_wheel(tmp_path)
    with serving(wheel) as index:
        spec = from_index(index, wheel)
    told = refused(venvs, venvs(**spec))
    assert "cannot pip install for site" in told
    assert "The package index is down, answers with an error, or does not have it" in told


@pytest.mark.fault(6)
@pytest.mark.parametrize(("status", "missing"), [(500, 0), (200, 100), (200, 1)])
def test_an_error_and_a_download_that_stops_half_way_are_refused(
    venvs: Venvs, tmp_path: Path, status: int, missing: int
) -> None:
    """The index announces the whole length, but sends less."""
    wheel = make_wheel(tmp_path)
    with serving(wheel) as index:
        index.open.set()
        index.status, index.missing = status, missing
        told = refused(venvs, venvs(**from_index(index, wheel)))
        index.status, index.missing = 200, 0
        assert venvs(**from_index(index, wheel))["changed"], "the next run, with a whole index"
    assert "The package index" in told or "demo-1.0-py3-none-any.whl" in told


@pytest.mark.fault(6)
def test_an_index_that_never_answers_is_left_by_pips_own_timeout(
    venvs: Venvs, tmp_path: Path
) -> None:
    wheel = make_wheel(tmp_path)
    with serving(wheel) as index:
        spec = from_index(index, wheel)
        spec["pip_arguments"][-1] = "1"
        told = refused(venvs, venvs(**spec))
    assert "The package index is down, answers with an error" in told


class Dripping(threading.Thread):
    """Answers every request with a byte now and then, forever, so that no read times out."""

    def __init__(self) -> None:
        super().__init__()
        self.server = socket.create_server(("127.0.0.1", 0))
        self.stopped = threading.Event()

    def run(self) -> None:
        # Either side may close first.
        with suppress(OSError), self.server.accept()[0] as connection:
            connection.sendall(b"HTTP/1.1 200 OK\r\nContent-Type: text/html\r\n\r\n")
            while not self.stopped.wait(0.2):
                connection.sendall(b" ")

    def end(self) -> None:
        """End it, even if it never got a request."""
        self.stopped.set()
        self.server.shutdown(socket.SHUT_RDWR)
        self.join()
        self.server.close()


@pytest.fixture
def dripping() -> Iterator[int]:
    """The port of such an index."""
    index = Dripping()
    index.start()
    yield index.server.getsockname()[1]
    index.end()


@pytest.mark.fault(6)
def test_an_index_that_sends_a_byte_now_and_then_is_left_after_the_modules_timeout(
    venvs: Venvs, dripping: int
) -> None:
    url = f"http://127.0.0.1:{dripping}/simple"
    options = venvs.options(requirements=["demo==1.0"], pip_arguments=["--index-url", url])
    started = time.monotonic()
    result = venvs.run_module("venv", **dict(options, timeout=20))
    told = refused(venvs, result)
    assert time.monotonic() - started < PATIENCE
    assert "pip install for site" in told
    assert "did not end within 20 s and was killed" in told
    assert "Check the package index" in told


@pytest.mark.fault(7)
def test_a_wheel_of_the_index_that_was_tampered_with_is_refused(
    venvs: Venvs, tmp_path: Path
) -> None:
    wheel = make_wheel(tmp_path)
    with serving(wheel) as index:
        index.open.set()
        spec = from_index(index, wheel)
        make_wheel(tmp_path, code="evil = True\n")
        told = refused(venvs, venvs(**spec))
    assert index.downloads == 1
    assert "DO NOT MATCH THE HASHES" in told


# ---- A full disk


def mounting(test: Callable[..., None]) -> Callable[..., None]:
    """Run a test as root, who may mount; an ordinary user is root in a separate namespace."""

    @wraps(test)
    def run(**fixtures: Any) -> None:
        if os.geteuid() == 0:
            test(**fixtures)
        else:
            run_in_namespace(os.environ["PYTEST_CURRENT_TEST"].partition(" ")[0])

    return run


def run_in_namespace(name: str) -> None:
    command = ["unshare", "--user", "--map-root-user", "--mount", sys.executable, "-m", "pytest"]
    done = subprocess.run(
        [*command, "-p", "no:cacheprovider", name],
        cwd=CLONE,
        env={key: os.environ[key] for key in os.environ if not key.startswith("PYTEST_")},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr


@pytest.fixture
def small_disk() -> Iterator[Path]:
    """A filesystem of 3 MB, with the supervisord of the test if it needs one."""
    path = Path(f"/tmp/jd{os.getpid()}")
    path.mkdir()
    mount = ["mount", "-t", "tmpfs", "-o", "size=3m,mode=0755", "jgi-jaws-test", str(path)]
    if os.geteuid() == 0:
        subprocess.run(mount, check=True)
    yield path
    if os.geteuid() == 0:
        subprocess.run(["umount", "--lazy", str(path)], check=True)
        path.rmdir()
    else:
        shutil.rmtree(path)


def fill(disk: Path) -> Path:
    """Fill a disk to the last byte; return the file that does."""
    ballast = disk / "ballast"
    with ballast.open("wb", buffering=0) as stream:
        for size in (65536, 1):
            try:
                while stream.write(b"x" * size):
                    pass
            except OSError as error:
                assert error.strerror == "No space left on device"
    return ballast


@mounting
@pytest.mark.fault(9)
def test_a_disk_that_fills_up_in_a_build_is_named_and_the_partial_build_removed(
    small_disk: Path, tmp_path: Path, run_module: Run
) -> None:
    venvs = Venvs(small_disk, run_module, sys.executable)
    result = venvs(make_wheel(tmp_path))
    told = refused(venvs, result)
    assert "No space left on device" in told
    assert shutil.disk_usage(small_disk).used < 100_000


@mounting
@pytest.mark.fault(9)
def test_a_deploy_that_fills_the_disk_ends_as_the_guide_shows(
    small_disk: Path, tmp_path: Path, quick_python: str
) -> None:
    deployment = Deployment(tmp_path, quick_python)
    run = deployment.deploy(site_root=str(small_disk))
    assert run.returncode == 2
    [shown] = [block.output for block in blocks() if block.group == "@full_disk"]
    assert is_in(shown, run.stdout, str(small_disk)), run.stdout
    assert [path.name for path in small_disk.rglob("venvs/*")] == []


@pytest.fixture
def on_small_disk(small_disk: Path, run_module: Run) -> Iterator[Site]:
    """An instance with two running programs on a disk that can be filled."""
    daemon = Daemon(small_disk)
    daemon.write("")
    daemon.start()
    site = Site(daemon, run_module)
    assert site.deploy(TWO)["changed"]
    yield site
    daemon.end()


@mounting
@pytest.mark.fault(10)
def test_a_full_disk_leaves_the_conf_the_services_and_the_key_and_the_next_run_goes_on(
    on_small_disk: Site,
) -> None:
    site = on_small_disk
    pids, conf = site.pids(), site.conf()
    new = {"one": SLEEP, "two": f"# new\n{SLEEP}"}
    prepared = site.prepare(new)["id"]
    ballast = fill(site.daemon.root)
    config = {"config": str(site.daemon.conf), "python": sys.executable, "rotate_key": True}
    config["sections"] = sections(site.daemon.root)
    results = [
        site.prepare({"one": f"# newer\n{SLEEP}"}),
        site.activate(prepared),
        site.run_module("supervisord_config", **config),
    ]
    for result in results:
        assert (result["failed"], result["reason"]) == (True, "cannot_write"), result
        assert "No space left on device. The old content is unchanged" in result["msg"]
        assert KEY not in str(result)
    assert (site.pids(), site.conf()) == (pids, conf)
    assert list(site.daemon.root.rglob("*.new")) == []
    ballast.unlink()
    assert site.activate(prepared)["affected"] == ["two"]
