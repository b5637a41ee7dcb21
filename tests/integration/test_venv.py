# SPDX-License-Identifier: GPL-3.0-or-later
"""The venv module: real environments, built by the real pip from wheels that the tests write."""

from __future__ import annotations

import base64
import hashlib
import json
import os
import shutil
import signal
import subprocess
import sys
import threading
import zipfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest
from module_system import add_module, write_profile

from ansible_collections.jgi.jaws.plugins.module_utils.environments import build, commands
from ansible_collections.jgi.jaws.plugins.module_utils.environments.specs import wheel_digest
from tests.integration.conftest import PATIENCE, ansible, bearing, wait_until

Result = dict[str, Any]
OFFLINE = ["--no-index", "--no-cache-dir"]


def make_wheel(
    folder: Path,
    version: str = "1.0",
    code: str = "",
    requires: str = "",
    name: str = "demo",
    tag: str = "py3-none-any",
    entry_points: str = "",
) -> Path:
    """Write a wheel of a distribution and return its path."""
    info = f"{name}-{version}.dist-info"
    metadata = f"Metadata-Version: 2.1\nName: {name}\nVersion: {version}\n"
    files = {
        f"{name}.py": code or f"version = '{version}'\n",
        f"{info}/METADATA": metadata + (f"Requires-Dist: {requires}\n" if requires else ""),
        f"{info}/WHEEL": f"Wheel-Version: 1.0\nRoot-Is-Purelib: true\nTag: {tag}\n",
        f"{info}/entry_points.txt": entry_points,
    }
    record = "".join(f"{name},,\n" for name in [*files, f"{info}/RECORD"])
    path = folder / f"{name}-{version}-py3-none-any.whl"
    with zipfile.ZipFile(path, "w") as stream:
        for name, text in {**files, f"{info}/RECORD": record}.items():
            stream.writestr(name, text)
    return path


def file_hash(path: Path) -> str:
    return "--hash=sha256:" + hashlib.sha256(path.read_bytes()).hexdigest()


class Venvs:
    """The module, with a directory of its own; wheels are sent as the action plugin sends them."""

    def __init__(self, folder: Path, run_module: Callable[..., Result], python: str) -> None:
        self.folder = folder
        self.run_module = run_module
        self.python = python

    def options(self, *wheels: Path, **spec: Any) -> Result:
        spec = {"name": "site", "python": self.python, "pip_arguments": OFFLINE, **spec}
        digests = {wheel: wheel_digest(str(wheel)) for wheel in wheels}
        spec["wheels"] = [{"name": path.name, "digest": digest} for path, digest in digests.items()]
        contents = {
            digest: base64.b64encode(path.read_bytes()).decode() for path, digest in digests.items()
        }
        return {"directory": str(self.folder), "environments": [spec], "contents": contents}

    def __call__(self, *wheels: Path, check: bool = False, **spec: Any) -> Result:
        return self.run_module("venv", check=check, diff=True, **self.options(*wheels, **spec))

    def path(self, result: Result) -> Path:
        return Path(result["environments"]["site"]["path"])


@pytest.fixture
def venvs(tmp_path: Path, run_module: Callable[..., Result], quick_python: str) -> Venvs:
    (tmp_path / "venvs").mkdir()
    return Venvs(tmp_path / "venvs", run_module, quick_python)


@pytest.fixture
def ran(monkeypatch: pytest.MonkeyPatch) -> list[list[str]]:
    """The commands that the module runs."""
    found: list[list[str]] = []
    real = subprocess.run

    def recorded(command: list[str], **options: Any) -> Any:
        found.append(command)
        return real(command, **options)

    monkeypatch.setattr(commands.subprocess, "run", recorded)
    commands.identify.cache_clear()
    return found


def demo_version(path: Path) -> str:
    code = "import demo; print(demo.version)"
    return subprocess.check_output([path / "bin/python", "-c", code], text=True).strip()


def names(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir())


# ---- Building


def test_an_environment_is_built_once_and_then_nothing_is_run(
    venvs: Venvs, tmp_path: Path, ran: list[list[str]]
) -> None:
    wheel = make_wheel(tmp_path)
    venvs.python = sys.executable
    predicted = venvs(wheel, check=True)
    assert predicted["changed"]
    assert names(venvs.folder) == []
    first = venvs(wheel)
    path = venvs.path(first)
    assert (first["changed"], path) == (True, venvs.path(predicted)), first
    assert first["diff"]["after"] == f"{path}\n"
    assert "demo==1.0" in first["environments"]["site"]["packages"]
    assert f"demo==1.0 ({wheel_digest(str(wheel))[:8]})" in first["environments"]["site"]["builds"]
    assert demo_version(path) == "1.0"
    assert names(venvs.folder) == [path.name]
    open_to_others = [f for f in [path, *path.rglob("*.py")] if f.stat().st_mode & 0o007]
    assert path not in open_to_others
    assert path / "lib/python3.11/site-packages/demo.py" not in open_to_others
    assert not (path / build.INPUTS).exists()

    ran.clear()
    second = venvs(wheel)
    assert (second["changed"], second["environments"]) == (False, first["environments"])
    assert [word for command in ran for word in command if word in ("pip", "venv")] == []


@pytest.mark.fault(43)
def test_an_environment_that_was_changed_by_hand_is_built_again_beside_it(
    venvs: Venvs, tmp_path: Path
) -> None:
    wheel = make_wheel(tmp_path)
    before = venvs.path(venvs(wheel))
    module = next(before.rglob("demo.py"))
    module.write_text("version = 'changed by hand'\n")
    second = venvs(wheel)
    after = venvs.path(second)
    assert second["changed"]
    assert after == before.with_name(before.name + ".1")
    assert f"{before} was changed by hand" in str(second["warnings"])
    assert demo_version(after) == "1.0"
    assert demo_version(before) == "changed by hand"
    third = venvs(wheel)
    assert (third["changed"], venvs.path(third)) == (False, after)


def test_another_content_of_the_same_version_is_another_path(venvs: Venvs, tmp_path: Path) -> None:
    paths = set()
    for code in ("version = 1", "version = 2"):
        paths.add(venvs.path(venvs(make_wheel(tmp_path, code=code), check=True)))
    assert len(paths) == 2
    assert {path.name.rsplit("-", 1)[0] for path in paths} == {"site-1.0"}


def test_the_content_is_asked_for_only_where_it_is_lacking(venvs: Venvs, tmp_path: Path) -> None:
    wheel = make_wheel(tmp_path)
    options = dict(venvs.options(wheel), contents={})
    result = venvs.run_module("venv", **options)
    assert result["lacking"] == [wheel_digest(str(wheel))]
    assert names(venvs.folder) == []


@pytest.mark.fault(7)
def test_constraints_and_hashes_hold(venvs: Venvs, tmp_path: Path) -> None:
    wheels = [make_wheel(tmp_path, version) for version in ("1.0", "2.0")]
    arguments = [*OFFLINE, "--find-links", str(tmp_path)]
    loose = venvs(requirements=["demo"], constraints="demo<2", pip_arguments=arguments)
    assert demo_version(venvs.path(loose)) == "1.0", loose
    hashed = [*arguments, "--require-hashes"]
    wrong = venvs(requirements=[f"demo==2.0 {file_hash(wheels[0])}"], pip_arguments=hashed)
    assert wrong["failed"]
    assert wrong["reason"] == "build_failed"
    assert "DO NOT MATCH THE HASHES" in wrong["msg"]
    assert names(venvs.folder) == [venvs.path(loose).name]


def test_local_wheels_are_installed_beside_pinned_requirements_with_hashes(
    venvs: Venvs, tmp_path: Path
) -> None:
    wheels = [make_wheel(tmp_path, name=name, requires="left==3") for name in ("demo", "other")]
    pinned = make_wheel(tmp_path, "2.0", name="pinned")
    make_wheel(tmp_path, "3.0", name="left")
    result = venvs(
        *wheels,
        requirements=["pinned==2.0 \\", f"    {file_hash(pinned)}"],
        pip_arguments=[*OFFLINE, "--find-links", str(tmp_path), "--no-deps"],
        tolerated=["other", "demo 1.0 requires left, which is not installed."],
    )
    installed = [p for p in result["environments"]["site"]["packages"] if not p.startswith("pip")]
    assert installed == ["demo==1.0", "other==1.0", "pinned==2.0"], result
    sentences = [f"{name} 1.0 requires left, which is not installed." for name in ("demo", "other")]
    assert sorted(result["environments"]["site"]["tolerated"]) == sentences
    for sentence in sentences:
        assert f"{venvs.path(result)}: tolerated: {sentence}" in str(result["warnings"])


MEETING = """\
import pathlib, time
here = pathlib.Path({folder!r})
(here / {me!r}).touch()
end = time.monotonic() + {patience}
while not (here / {other!r}).exists():
    assert time.monotonic() < end, "the other one is not built at the same time"
    time.sleep(0.02)
"""


def test_environments_are_built_at_the_same_time_with_their_bytecode(
    venvs: Venvs, tmp_path: Path
) -> None:
    make_wheel(tmp_path, name="idle")
    needs = {"requirements": ["idle"], "pip_arguments": [*OFFLINE, "--find-links", str(tmp_path)]}
    options = []
    for me, other in [("left", "right"), ("right", "left")]:
        code = MEETING.format(me=me, other=other, folder=str(tmp_path), patience=PATIENCE)
        options.append(venvs.options(make_wheel(tmp_path, name=me, code=code), name=me, **needs))
    together = options[0]
    together["environments"] += options[1]["environments"]
    together["contents"].update(options[1]["contents"])
    result = venvs.run_module("venv", **together)
    assert result.get("msg") is None, result
    for built in result["environments"].values():
        # Nothing imports it.
        assert list(Path(built["path"]).glob("lib/python*/site-packages/__pycache__/idle.*.pyc"))


# ---- Layers


class Layered(Venvs):
    """The module with a directory for layers, and with an index that is a directory."""

    def __init__(self, venvs: Venvs) -> None:
        super().__init__(venvs.folder, venvs.run_module, venvs.python)
        self.layers = venvs.folder.with_name("layers")
        self.index = venvs.folder.with_name("index")
        self.layers.mkdir()
        self.index.mkdir()
        self.arguments = [*OFFLINE, "--find-links", str(self.index)]

    def options(self, *wheels: Path, **spec: Any) -> Result:
        spec = {"pip_arguments": self.arguments, **spec}
        return {**super().options(*wheels, **spec), "layers": str(self.layers)}

    def needed(self) -> Path:
        """Put a distribution with a command into the index."""
        code = "import sys\ndef main():\n    print(sys.prefix, __file__)\n"
        scripts = "[console_scripts]\nneeded = needed:main\n"
        return make_wheel(self.index, code=code, name="needed", entry_points=scripts)


@pytest.fixture
def layered(venvs: Venvs) -> Layered:
    return Layered(venvs)


def installs(ran: list[list[str]]) -> list[str]:
    """Return where pip has installed something, by the names of directories."""
    return [Path(words[0]).parents[1].name for words in ran if "install" in words]


def packages(result: Result) -> list[str]:
    found = result["environments"]["site"]["packages"]
    return [package for package in found if not package.startswith("pip=")]


def test_only_a_new_wheel_is_installed_into_a_copy_of_what_it_needs(
    layered: Layered, venvs: Venvs, tmp_path: Path, ran: list[list[str]]
) -> None:
    layered.needed()
    first = layered(make_wheel(tmp_path, requires="needed"))
    assert first.get("msg") is None, first
    layer = next(layered.layers.glob("*/bin/needed")).parents[1]
    assert installs(ran) == [layer.name, layered.path(first).name]
    ran.clear()
    second = layered(make_wheel(tmp_path, requires="needed", code="version = 'new'\n"))
    path = layered.path(second)
    assert installs(ran) == [path.name]
    assert demo_version(path) == "new"
    assert len(names(layered.layers)) == 2  # the other one has pip only

    told = subprocess.check_output([path / "bin/needed"], text=True)
    module = path / "lib/python3.11/site-packages/needed.py"
    assert told.split() == [str(path), str(module)]
    assert module.samefile(layer / module.relative_to(path))
    told = subprocess.check_output(["grep", "-rlI", layered.layers, path], text=True)
    assert told == f"{path}/jgi-jaws.json\n"
    (venvs.folder / "whole").mkdir()
    whole = Venvs(venvs.folder / "whole", venvs.run_module, venvs.python)
    by_itself = whole(
        make_wheel(tmp_path, requires="needed", code="version = 'new'\n"),
        pip_arguments=layered.arguments,
    )
    assert packages(by_itself) == packages(second) == ["demo==1.0", "needed==1.0"]
    assert whole.path(by_itself).name == path.name


def test_pinned_requirements_with_hashes_are_a_layer_of_all_environments_that_need_them(
    layered: Layered, tmp_path: Path
) -> None:
    lines = ["needed==1.0 \\", f"    {file_hash(layered.needed())}"]
    wheels = [make_wheel(tmp_path, name=name, requires="needed") for name in ("demo", "other")]
    found = [packages(layered(wheel, requirements=lines)) for wheel in wheels]
    assert found == [["demo==1.0", "needed==1.0"], ["needed==1.0", "other==1.0"]]
    wrong = layered(wheels[0], requirements=[lines[0], f"    {file_hash(wheels[0])}"])
    assert "DO NOT MATCH THE HASHES" in wrong["msg"]
    assert len(names(layered.layers)) == 2


def test_what_needs_one_of_the_wheels_is_installed_with_it_without_a_layer(
    layered: Layered, tmp_path: Path
) -> None:
    make_wheel(layered.index, name="needed", requires="demo")
    result = layered(make_wheel(tmp_path, requires="needed"))
    assert packages(result) == ["demo==1.0", "needed==1.0"], result
    assert "was built without a layer" in str(result["warnings"])
    assert "No matching distribution found for demo" in str(result["warnings"])
    assert len(names(layered.layers)) == 1


def test_a_wheel_that_needs_more_than_its_layer_has_is_not_sound(
    layered: Layered, tmp_path: Path
) -> None:
    make_wheel(layered.index, name="pinned")
    wheel = make_wheel(tmp_path, requires="needed")
    arguments = [*layered.arguments, "--no-deps"]
    result = layered(wheel, requirements=["pinned"], pip_arguments=arguments)
    assert result["findings"] == ["demo 1.0 requires needed, which is not installed."]
    assert names(layered.folder) == []


def test_what_is_written_into_a_layer_is_noticed_in_every_copy(
    layered: Layered, tmp_path: Path
) -> None:
    layered.needed()
    wheel = make_wheel(tmp_path, requires="needed")
    before = layered.path(layered(wheel))
    next(layered.layers.glob("*/lib/python*/site-packages/needed.py")).write_text("changed = 1\n")
    result = layered(wheel)
    assert layered.path(result) == before.with_name(before.name + ".1")
    told = str(result["warnings"])
    assert f"{before} was changed by hand" in told
    assert "changed by hand" in told.replace(str(before), "")
    assert "changed" not in next(layered.path(result).rglob("needed.py")).read_text()


@pytest.mark.fault(1)
def test_a_layer_whose_build_was_killed_is_built_again(
    layered: Layered, tmp_path: Path, spawn_module: Callable[..., subprocess.Popen[str]]
) -> None:
    needed = layered.needed()
    wheel = make_wheel(tmp_path, requires="needed")
    with serving(needed) as index:
        arguments = ["--index-url", index.url, "--no-cache-dir"]
        options = layered.options(wheel, pip_arguments=arguments)
        killed = spawn_module("venv", **options)
        wait_until(lambda: pip_processes(layered.layers), "pip")
        os.killpg(killed.pid, signal.SIGKILL)
        killed.communicate()
        index.open.set()
        result = layered.run_module("venv", **options)
    assert packages(result) == ["demo==1.0", "needed==1.0"], result
    assert len(names(layered.layers)) == 2
    assert names(layered.folder) == [layered.path(result).name]


def uv_wheel(layered: Layered) -> list[str]:
    """Put the tests' own uv into the index, and return the requirement for it."""
    command = Path(shutil.which("uv") or "")
    path = make_wheel(layered.index, name="uv")
    with zipfile.ZipFile(path, "a", zipfile.ZIP_DEFLATED, compresslevel=1) as stream:
        stream.write(command, "uv-1.0.data/scripts/uv")
    return [f"uv==1.0 {file_hash(path)}"]


def test_uv_and_pip_give_the_same_packages(
    layered: Layered, tmp_path: Path, ran: list[list[str]]
) -> None:
    lines = ["absent==1.0; python_version < '3'", "needed", "other[x]>=1"]
    layered.needed()
    make_wheel(layered.index, name="other", requires="more")
    make_wheel(layered.index, "1.5", name="more")
    make_wheel(layered.index, "2.0", name="more")
    wheel = make_wheel(tmp_path, requires="needed")
    found = []
    options = layered.options(wheel, requirements=lines, constraints="more<2")
    for uv in (uv_wheel(layered), []):
        result = layered.run_module("venv", **options, uv=uv)
        assert (result.get("msg"), result.get("warnings", [])) == (None, []), result
        path = layered.path(result)
        files = [str(file.relative_to(path)) for file in path.glob("lib/**/site-packages/*")]
        told = subprocess.check_output([path / "bin/needed"], text=True).split()[0]
        found.append((packages(result), sorted(files), told))
        assert ("uv" in [Path(words[0]).name for words in ran]) == bool(uv)
        ran.clear()
        shutil.rmtree(layered.folder)
        shutil.rmtree(layered.layers)
    assert found[0] == found[1]
    assert found[0][0] == ["demo==1.0", "more==1.5", "needed==1.0", "other==1.0"]


def test_pip_takes_the_place_of_a_uv_that_fails_or_cannot_be_had(
    layered: Layered, tmp_path: Path
) -> None:
    layered.needed()
    wheel = make_wheel(tmp_path, requires="needed")
    nowhere = layered.run_module("venv", **layered.options(wheel), uv=["uv==2.0"])
    assert packages(nowhere) == ["demo==1.0", "needed==1.0"], nowhere
    assert "warnings" not in nowhere
    scripts = "[console_scripts]\nuv = uv:fail\n"
    code = "import sys\ndef fail():\n    sys.exit('it is broken')\n"
    make_wheel(layered.index, name="uv", code=code, entry_points=scripts)
    for folder in (layered.folder, layered.layers):
        shutil.rmtree(folder)
    broken = layered.run_module("venv", **layered.options(wheel), uv=["uv==1.0"])
    assert packages(broken) == packages(nowhere)
    assert "because uv failed: cannot uv pip install for layer: " in str(broken["warnings"])
    assert "it is broken" in str(broken["warnings"])


# ---- The user's settings


SETTINGS = """\
[global]
target = {elsewhere}
require-virtualenv = true
quiet = 3
[install]
user = true
prefix = {elsewhere}
root = {elsewhere}
dry-run = true
no-deps = true
requirement = /no/such
"""


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The home directory of a user without settings for pip, on a host without them."""
    for name in [name for name in os.environ if name.startswith(("PIP_", "XDG_"))]:
        monkeypatch.delenv(name)
    monkeypatch.setenv("HOME", str(tmp_path / "home"))
    (tmp_path / "home/.config/pip").mkdir(parents=True)
    return tmp_path / "home"


def test_the_user_s_settings_of_where_to_install_have_no_effect(
    venvs: Venvs, home: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    elsewhere = tmp_path / "elsewhere"
    (home / ".config/pip/pip.conf").write_text(SETTINGS.format(elsewhere=elsewhere))
    for name in ("USER", "DRY_RUN", "REQUIRE_VIRTUALENV", "QUIET"):
        monkeypatch.setenv(f"PIP_{name}", "1")
    for name in ("PIP_TARGET", "PIP_PREFIX", "PIP_ROOT", "PIP_PYTHON", "PYTHONHOME"):
        monkeypatch.setenv(name, str(elsewhere))
    for name in ("PYTHONPATH", "PYTHONUSERBASE", "VIRTUAL_ENV"):
        monkeypatch.setenv(name, str(elsewhere))
    result = venvs(make_wheel(tmp_path))
    assert result["environments"]["site"]["packages"][0] == "demo==1.0", result
    assert not elsewhere.exists()


@pytest.mark.parametrize("where", ["mine.conf", "PIP_INDEX_URL"])
def test_the_user_s_index_counts(
    venvs: Venvs, home: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, where: str
) -> None:
    wheel = make_wheel(tmp_path)
    with serving(wheel) as index:
        index.open.set()
        if where.startswith("PIP_"):
            monkeypatch.setenv(where, index.url)
        else:
            (home / where).write_text(f"[global]\nindex-url = {index.url}\nuser = yes\n")
            monkeypatch.setenv("PIP_CONFIG_FILE", str(home / "mine.conf"))
        result = venvs(requirements=["demo==1.0"], pip_arguments=["--no-cache-dir"])
    assert result["environments"]["site"]["packages"][0] == "demo==1.0", result
    assert index.downloads == 1


# ---- What fails leaves nothing


def test_an_environment_without_what_was_asked_for_is_not_complete(
    venvs: Venvs, tmp_path: Path
) -> None:
    elsewhere = ["--target", str(tmp_path / "elsewhere"), *OFFLINE, "--find-links", str(tmp_path)]
    make_wheel(tmp_path, name="other")
    result = venvs(make_wheel(tmp_path), requirements=["other"], pip_arguments=elsewhere)
    assert (tmp_path / "elsewhere/demo.py").exists()
    assert (
        "the environment for site is incomplete: demo is not installed in it; "
        "other is not installed in it, although pip reported success."
    ) in result["msg"]
    assert result["reason"] == "build_failed"
    assert names(venvs.folder) == []


def test_a_broken_configuration_of_pip_is_named_without_its_credentials(
    venvs: Venvs, home: Path, tmp_path: Path
) -> None:
    path = home / ".config/pip/pip.conf"
    path.write_text("index-url = https://me:hunter2@host/simple\n")
    result = venvs(make_wheel(tmp_path))
    assert str(path) in result["msg"]
    assert "https://********@host/simple" in result["msg"]
    assert names(venvs.folder) == []


def test_what_cannot_be_imported_fails_the_build(venvs: Venvs, tmp_path: Path) -> None:
    wheel = make_wheel(tmp_path, code="print('hello')\nimport no_such_module\n")
    finding = (
        "demo 1.0 cannot be imported: demo: ModuleNotFoundError: No module named 'no_such_module'"
    )
    result = venvs(wheel)
    assert f"the environment for site is not sound: {finding}. What runs now" in result["msg"]
    assert (result["reason"], result["findings"]) == ("build_failed", [finding])
    assert names(venvs.folder) == []


def test_what_pip_check_finds_fails_the_build_with_how_to_tolerate_it(
    venvs: Venvs, tmp_path: Path
) -> None:
    wheel = make_wheel(tmp_path, requires="no-such-thing==1", tag="cp27-cp27m-odd")
    sentence = "demo 1.0 requires no-such-thing, which is not installed."
    odd = "demo 1.0 is not supported on this platform"
    result = venvs(wheel, pip_arguments=[*OFFLINE, "--no-deps"], tolerated=["other", sentence])
    assert f"the environment for site is not sound: {odd}. What runs now" in result["msg"]
    assert "name what is harmless in `tolerated`" in result["msg"]
    assert names(venvs.folder) == []


@pytest.mark.fault(7)
def test_content_that_was_tampered_with_is_refused(venvs: Venvs, tmp_path: Path) -> None:
    wheel = make_wheel(tmp_path)
    options = venvs.options(wheel)
    other = make_wheel(tmp_path, code="evil = True\n")
    for digest in options["contents"]:
        options["contents"][digest] = base64.b64encode(other.read_bytes()).decode()
    result = venvs.run_module("venv", **options)
    assert result["msg"] == f"{wheel.name} arrived damaged: run this again."
    assert result["reason"] == "bad_wheel"
    assert names(venvs.folder) == []


def test_a_dependency_that_cannot_be_had_fails_with_pip_s_last_words(
    venvs: Venvs, tmp_path: Path
) -> None:
    result = venvs(make_wheel(tmp_path, requires="no-such-thing==1"))
    assert result["failed"]
    assert result["msg"].startswith("cannot pip install for site: ")
    assert "No matching distribution found for no-such-thing==1" in result["msg"]
    assert names(venvs.folder) == []


def script(path: Path, text: str) -> str:
    path.write_text(text)
    path.chmod(0o755)
    return str(path)


def test_a_python_that_is_not_there_is_named(venvs: Venvs) -> None:
    result = venvs(python="/no/such/python")
    assert result["msg"].startswith(
        "cannot find the Python interpreter: /no/such/python: No such file or directory"
    )


WITHOUT_ENSUREPIP = """\
#!/bin/sh
# As Debian's python3 where python3-venv is not installed.
case "$*" in
"-I -m venv "*" --without-pip") exec {python} "$@" ;;
"-I -m venv "*)
    echo The virtual environment was not created successfully because ensurepip is not
    echo available.
    exit 1
    ;;
"-I -m pip "*) [ {pip} = yes ] || {{ echo No module named pip >&2; exit 1; }} ;;
esac
exec {python} "$@"
"""


def test_a_python_without_ensurepip_is_named_with_the_remedy(venvs: Venvs, tmp_path: Path) -> None:
    text = WITHOUT_ENSUREPIP.format(python=sys.executable, pip="no")
    result = venvs(python=script(tmp_path / "python", text))
    assert "This Python lacks ensurepip: install python3-venv" in result["msg"]
    assert names(venvs.folder) == []


def test_a_python_without_ensurepip_installs_by_its_own_pip(venvs: Venvs, tmp_path: Path) -> None:
    text = WITHOUT_ENSUREPIP.format(python=sys.executable, pip="yes")
    result = venvs(make_wheel(tmp_path), python=script(tmp_path / "python", text))
    assert result["changed"], result
    assert result["environments"]["site"]["packages"] == ["demo==1.0"]
    assert demo_version(venvs.path(result)) == "1.0"


def test_a_full_disk_is_named_and_leaves_nothing(
    venvs: Venvs, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(_path: str, _content: bytes) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(build, "_write", full)
    result = venvs(make_wheel(tmp_path))
    assert "No space left on device" in result["msg"]
    assert result["reason"] == "build_failed"
    assert names(venvs.folder) == []


def test_a_directory_that_is_not_there_is_made(venvs: Venvs, tmp_path: Path) -> None:
    options = dict(venvs.options(make_wheel(tmp_path)), directory=str(tmp_path / "absent/venvs"))
    result = venvs.run_module("venv", **options)
    assert venvs.path(result).parent == tmp_path / "absent/venvs"
    assert demo_version(venvs.path(result)) == "1.0"


# ---- Environment modules


@pytest.fixture
def site(home: Path) -> Path:
    """A site with Environment Modules 3.2, whose profile prints text; the modules' directory."""
    folder = write_profile(home)
    for version in ("8", "9"):
        text = f'#!/bin/sh\nexec {sys.executable} "$@"\n'
        script(add_module(folder, f"python/{version}") / f"python-of-the-module-{version}", text)
    return folder


def test_an_environment_module_is_loaded_before_python_is_looked_for(
    venvs: Venvs, site: Path
) -> None:
    spec = {"python": "python-of-the-module-9", "modules": ["python/9"]}
    assert venvs(check=True, **spec)["changed"]
    assert venvs(check=True, **dict(spec, modules=["load python/8", "swap python/8 python"]))
    assert venvs(check=True, **dict(spec, modules=[]))["failed"]
    (site / "python/9").unlink()
    assert venvs(check=True, **spec)["failed"]


@pytest.mark.usefixtures("site")
def test_an_environment_module_that_is_not_loaded_fails_the_build_with_what_was_printed(
    venvs: Venvs,
) -> None:
    result = venvs(check=True, modules=["python/10"])
    assert result["msg"].startswith("cannot load the environment modules (python/10): ")
    assert "Unable to locate a modulefile for 'python/10'" in result["msg"]
    assert "python/10 is not loaded; loaded are: none." in result["msg"]


def test_a_python_that_the_profile_has_loaded_can_be_unloaded(venvs: Venvs, site: Path) -> None:
    write_profile(site.parent, "module load python/8")
    spec = {"python": "python-of-the-module-9", "check": True}
    assert "conflicts with" in venvs(modules=["python/9"], **spec)["msg"]
    for modules in (["unload python", "python/9"], ["purge", "python/9"]):
        assert venvs(modules=modules, **spec)["changed"]


@pytest.mark.parametrize("modules", [[], ["python/9"]])
def test_modules_that_the_play_has_inherited_do_not_reach_a_build(
    venvs: Venvs, site: Path, monkeypatch: pytest.MonkeyPatch, modules: list[str]
) -> None:
    monkeypatch.setenv("LOADEDMODULES", "python/8")
    monkeypatch.setenv("PATH", f"{site.parent}/opt/python/8:{os.environ['PATH']}")
    result = venvs(check=True, modules=modules, python="python-of-the-module-8")
    assert "python-of-the-module-8: No such file or directory" in result["msg"]
    assert "modules that the play has loaded (python/8) affect neither builds nor" in result["msg"]
    result = venvs(check=True, modules=["python/9"], python="python-of-the-module-9")
    assert result["changed"], result


# ---- An index of packages that misbehaves


class Index(ThreadingHTTPServer):
    """An index that serves one wheel, when it is let, as it is told to."""

    daemon_threads = True

    def __init__(self, wheel: Path) -> None:
        super().__init__(("127.0.0.1", 0), Handler)
        self.wheel = wheel
        self.asked = threading.Event()
        self.open = threading.Event()
        self.status = 200
        self.missing = 0  # bytes, at the end of the wheel
        self.downloads = 0

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.server_port}/simple"


class Handler(BaseHTTPRequestHandler):
    server: Index

    def do_GET(self) -> None:
        wheel = self.server.wheel
        page = f'<html><body><a href="/{wheel.name}">{wheel.name}</a></body></html>'.encode()
        if self.path == f"/{wheel.name}":
            self.server.downloads += 1
            page = wheel.read_bytes()
        self.server.asked.set()
        self.server.open.wait(PATIENCE)
        self.send_response(self.server.status)
        self.send_header("Content-Type", "text/html" if page[:1] == b"<" else "application/zip")
        self.send_header("Content-Length", str(len(page)))
        self.end_headers()
        kept = len(page) if page[:1] == b"<" else len(page) - self.server.missing
        self.wfile.write(page[:kept])

    def log_message(self, format: str, *args: Any) -> None:
        """Say nothing."""


@contextmanager
def serving(wheel: Path) -> Iterator[Index]:
    with Index(wheel) as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        try:
            yield server
        finally:
            server.open.set()
            server.shutdown()
            thread.join()


def from_index(index: Index, wheel: Path) -> Result:
    """Return the spec of an environment that comes from the index."""
    arguments = ["--index-url", index.url, "--no-cache-dir", "--retries", "0"]
    arguments += ["--resume-retries", "0", "--timeout", str(PATIENCE)]
    return {"requirements": [f"demo==1.0 {file_hash(wheel)}"], "pip_arguments": arguments}


def test_an_index_that_fails_leaves_nothing(venvs: Venvs, tmp_path: Path) -> None:
    wheel = make_wheel(tmp_path)
    with serving(wheel) as index:
        index.open.set()
        index.status = 500
        down = venvs(**from_index(index, wheel))
        index.status, index.missing = 200, 100
        truncated = venvs(**from_index(index, wheel))
    assert "No matching distribution found for demo==1.0" in down["msg"]
    assert truncated["failed"]
    assert index.downloads == 1
    assert names(venvs.folder) == []


@pytest.mark.fault(13)
def test_two_at_once_build_once(
    venvs: Venvs, tmp_path: Path, spawn_module: Callable[..., subprocess.Popen[str]]
) -> None:
    wheel = make_wheel(tmp_path)
    with serving(wheel) as index:
        options = venvs.options(**from_index(index, wheel))
        runs = [spawn_module("venv", **options) for _ in range(2)]
        wait_until(lambda: index.downloads or list(venvs.folder.glob("*.lock")), "a build")
        index.open.set()
        results = [json.loads(run.communicate(timeout=PATIENCE)[0]) for run in runs]
    assert [result.get("msg") for result in results] == [None, None]
    assert results[0]["environments"] == results[1]["environments"]
    assert index.downloads == 1
    assert demo_version(venvs.path(results[0])) == "1.0"
    assert names(venvs.folder) == [venvs.path(results[0]).name]


@pytest.mark.fault(13)
def test_a_build_of_another_run_is_waited_for_no_longer_than_the_timeout(
    venvs: Venvs, tmp_path: Path, spawn_module: Callable[..., subprocess.Popen[str]]
) -> None:
    wheel = make_wheel(tmp_path)
    with serving(wheel) as index:
        options = venvs.options(**from_index(index, wheel))
        first = spawn_module("venv", **options)
        lock = wait_until(lambda: list(venvs.folder.glob("*.lock")), "a build")[0]
        wait_until(lock.read_text, "the holder's name")
        result = venvs.run_module("venv", **options, timeout=0)
        index.open.set()
        first.communicate(timeout=PATIENCE)
    assert result["reason"] == "locked"
    assert (
        f"another run holds the lock on {lock} and did not end within 0 s: pid {first.pid} of "
        in result["msg"]
    )


@pytest.mark.fault(1)
def test_a_build_that_was_killed_is_done_again_when_its_pip_has_ended(
    venvs: Venvs, tmp_path: Path, spawn_module: Callable[..., subprocess.Popen[str]]
) -> None:
    wheel = make_wheel(tmp_path)
    with serving(wheel) as index:
        options = venvs.options(**from_index(index, wheel))
        killed = spawn_module("venv", **options)
        # Before pip asks, it writes; without a reader, that would end it.
        assert index.asked.wait(PATIENCE)
        pips = pip_processes(venvs.folder)
        killed.kill()  # the module alone: its pip goes on
        killed.communicate()
        assert pip_processes(venvs.folder) == pips
        locked = venvs.run_module("venv", **options, timeout=0)
        assert locked["reason"] == "locked"
        rerun = spawn_module("venv", **options)
        index.open.set()
        result = json.loads(rerun.communicate(timeout=PATIENCE)[0])
    assert result["changed"], result
    assert demo_version(venvs.path(result)) == "1.0"
    assert names(venvs.folder) == [venvs.path(result).name]


def pip_processes(folder: Path) -> list[int]:
    found = []
    for pid in bearing(str(folder), ["cmdline"]):
        if b"\0install\0" in Path(f"/proc/{pid}/cmdline").read_bytes():
            found.append(pid)
    return found


@pytest.mark.fault(1)
def test_a_build_that_was_killed_with_all_its_processes_is_done_again(
    venvs: Venvs, tmp_path: Path, spawn_module: Callable[..., subprocess.Popen[str]]
) -> None:
    wheel = make_wheel(tmp_path)
    with serving(wheel) as index:
        options = venvs.options(**from_index(index, wheel))
        killed = spawn_module("venv", **options)
        wait_until(lambda: pip_processes(venvs.folder), "pip")
        os.killpg(killed.pid, signal.SIGKILL)
        killed.communicate()
        assert len(names(venvs.folder)) == 2  # half an environment, and the lock's file
        index.open.set()
        result = venvs.run_module("venv", **options)
    assert result["changed"], result
    assert names(venvs.folder) == [venvs.path(result).name]


# ---- Through Ansible, with the action plugin on the control node


def adhoc(tmp_path: Path, *arguments: str, **options: Any) -> tuple[int, str]:
    """Run the module as Ansible runs it, and return the exit status and the output."""
    local = ("localhost", "-i", "localhost,", "-c", "local")
    python = ("-e", f"ansible_python_interpreter={sys.executable}")
    call = ("-m", "jgi.jaws.venv", "-a", json.dumps(options))
    done = ansible("adhoc", *local, *python, *call, *arguments, home=tmp_path)
    return done.returncode, done.stdout


def test_a_wheel_of_the_control_node_is_found_and_sent_once(venvs: Venvs, tmp_path: Path) -> None:
    wheel = make_wheel(tmp_path)
    (tmp_path / "constraints.txt").write_text("demo==1.0\n")
    spec = {
        "name": "site",
        "wheels": [f"{tmp_path}/**/demo-*.whl"],
        "optional_wheels": [f"{tmp_path}/none-*.whl", f"{tmp_path}/demo-*.whl"],
        "constraints": str(tmp_path / "constraints.txt"),
        "python": venvs.python,
        "pip_arguments": OFFLINE,
    }
    options = {"directory": str(venvs.folder), "environments": [spec]}
    code, output = adhoc(tmp_path, "-vvv", **options)
    assert (code, "changed: true" in output) == (0, True), output
    assert base64.b64encode(wheel.read_bytes()).decode()[:100] not in output
    path = next(path for path in venvs.folder.iterdir())
    assert demo_version(path) == "1.0"
    code, output = adhoc(tmp_path, **options)
    assert (code, "changed: false" in output) == (0, True), output


@pytest.mark.parametrize(
    ("spec", "sentence"),
    [
        ({"wheels": ["{tmp}/none-*.whl"]}, "no wheel on the control node matches {tmp}/none-*.whl"),
        (
            {"wheels": ["{tmp}/*.whl"]},
            "several wheels on the control node match {tmp}/*.whl: {tmp}/demo-1",
        ),
        ({"wheels": ["{tmp}/*.txt"]}, "{tmp}/a.txt is not a whole wheel"),
        ({"constraints": "{tmp}/none.txt"}, "cannot read the constraints on the control node: "),
        (
            {"requirements": ["a @ https://u:hunter2@h/a.whl"]},
            "a url in requirements holds credentials",
        ),
    ],
)
def test_what_is_wrong_on_the_control_node_is_named_before_anything_is_sent(
    tmp_path: Path, spec: Result, sentence: str
) -> None:
    for version in ("1.0", "2.0"):
        make_wheel(tmp_path, version)
    (tmp_path / "a.txt").write_text("no wheel")
    filled = json.loads(json.dumps({"name": "site", **spec}).replace("{tmp}", str(tmp_path)))
    code, output = adhoc(tmp_path, directory=str(tmp_path), environments=[filled])
    assert code != 0
    assert sentence.replace("{tmp}", str(tmp_path)) in output.replace("\\n", "\n")
    assert "hunter2" not in output
