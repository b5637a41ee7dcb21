# SPDX-License-Identifier: GPL-3.0-or-later
"""The stand-ins of examples/: how they are built, configured, started and ended."""

from __future__ import annotations

import base64
import configparser
import contextlib
import hashlib
import http.client
import importlib
import json
import os
import re
import runpy
import shutil
import signal
import socket
import subprocess
import sys
import time
import zipfile
from collections.abc import Callable, Iterator, Mapping
from functools import partial
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest
import yaml
from hypothesis import given, settings
from hypothesis import strategies as st

from ansible_collections.jgi.jaws.plugins.plugin_utils.formats import render
from benchlib.processes import free_port

EXAMPLES = Path(__file__).resolve().parents[2] / "examples"
BUILT = ("cromwell.jar", "jaws_central", "jaws_jtm", "jaws_site")
PATIENCE_SECONDS = 60
# Every character that is special in a parser, a shell or a URL.
PASSWORD = "p%w $x ${y} #z ;a 'b' \"c\" \\d = : / & ä"

Config = dict[str, dict[str, str]]

DB = {"user": "jaws", "password": PASSWORD, "db": "jaws_dev"}
BROKER = {"host": "rmq", "vhost": "jaws_dev", "user": "jaws", "password": PASSWORD}
SITE_1: Config = {
    "DB": DB,
    "AMQP": {**BROKER, "queue": "jaws_rpc"},
    "RPC": {"num_threads": "5", "max_retries": "3"},
    "GLOBUS": {"client_id": "c", "endpoint_id": "e", "root_dir": "/"},
    "SITE": {"id": "X", "staging_subdirectory": "s", "results_subdirectory": "r"},
    "CROMWELL": {"workflows_url": "http://x", "engine_status_url": "http://y"},
}
SITE_2: Config = {
    "DB": DB,
    "LOCAL_RPC_SERVER": {"vhost": "jaws_dev"},
    "CENTRAL_RPC_SERVER": {"vhost": "jaws_dev"},
    "CENTRAL_RPC_CLIENT": {**BROKER, "queue": "CENTRAL"},
    "GLOBUS": {"client_id": "c", "client_secret": "s", "endpoint_id": "e", "host_path": "/"},
    "SITE": {"id": "X", "uploads_dir": "u"},
    "CROMWELL": {"url": "http://x"},
}
SITE_3: Config = {
    "DB": DB,
    "RMQ": {"vhost": "jaws_dev"},
    "GLOBUS": {"endpoint_id": "e", "host_path": "/"},
    "SITE": {"id": "x", "deployment": "dev", "inputs_dir": "u"},
    "CROMWELL": {"url": "http://x"},
    "AWS": {},
}
CENTRAL_1: Config = {
    "DB": DB,
    "GLOBUS": {"client_id": "c"},
    "SITE:X": {
        **{f"amqp_{key}": value for key, value in BROKER.items() if key != "vhost"},
        "amqp_queue": "q",
        "globus_endpoint": "e",
        "globus_basepath": "/",
        "staging_subdir": "s",
        "max_ram_gb": "1",
    },
}
CENTRAL_2: Config = {
    "DB": DB,
    "GLOBUS": {"client_id": "c", "client_secret": "s"},
    "RPC_SERVER": {"user": "jaws", "password": PASSWORD, "vhost": "jaws_dev"},
    "SITE:X": {
        **BROKER,
        "queue": "JAWS_X",
        "globus_endpoint": "e",
        "globus_host_path": "/",
        "uploads_dir": "u",
        "max_ram_gb": "1",
    },
}
JTM_2: Config = {
    "SITE": {"jtm_host_name": "x", "user_name": "jtm_dev", "debug": "1"},
    "RMQ": {**BROKER, "port": "5672"},
    "SITE_RPC_CLIENT": {**BROKER, "port": "5672", "queue": "SITE_X"},
    "JTM_RPC_SERVER": {**BROKER, "queue": "JTM_RPC_X"},
    "MYSQL": {**DB, "host": "db", "port": "3306"},
    "SLURM": {
        **dict.fromkeys(("ncpus", "nnodes"), "1"),
        **dict.fromkeys(("mempernode", "constraint", "charge_accnt", "qos", "partition"), "x"),
    },
    "JTM": {
        **dict.fromkeys(("cluster", "run_mode", "log_dir", "env_activation"), "x"),
        **{
            f"jtm_{name}_q": f"{name}.x"
            for name in ("task_request", "task_result", "inner_request", "inner_result")
        },
        **dict.fromkeys(("jtm_task_kill_q", "worker_hb_q_postfix", "jgi_jtm_main_exch"), "x"),
        **dict.fromkeys(("jtm_inner_main_exch", "jtm_worker_hb_exch", "jtm_task_kill_exch"), "x"),
        **dict.fromkeys(("jtm_status_request_q", "jtm_status_result_q"), "x"),
        **dict.fromkeys(("client_hb_recv_interval", "worker_hb_recv_interval"), "5.0"),
        **dict.fromkeys(("result_receive_interval", "worker_info_update_wait"), "0.1"),
        **dict.fromkeys(("runs_info_update_wait", "task_kill_interval"), "0.5"),
        "worker_kill_interval": "300.0",
        **dict.fromkeys(("num_workers_per_node", "worker_hb_check_max_count"), "1"),
        **dict.fromkeys(("jtminterface_max_trial", "heartbeat_message_count"), "300"),
    },
}
# The keys that series 1 of JTM does not have.
JTM_NEW = {"jtm_status_request_q", "jtm_status_result_q", "heartbeat_message_count", "partition"}
JTM_1: Config = {
    section: {key: value for key, value in keys.items() if key not in JTM_NEW}
    for section, keys in JTM_2.items()
    if section not in ("SITE_RPC_CLIENT", "JTM_RPC_SERVER")
}
# Package, command, series' file: what config.load of each stand-in is called with.
LOADS = {
    "site-1-server": ("jaws_site", "server", SITE_1),
    "site-1-daemon": ("jaws_site", "daemon", SITE_1),
    "site-2-daemon": ("jaws_site", "daemon", SITE_2),
    "site-3": ("jaws_site", "run-daemon", SITE_3),
    "central-1-rest": ("jaws_central", "rest", CENTRAL_1),
    "central-2-auth": ("jaws_central", "auth", CENTRAL_2),
    "jtm-1": ("jaws_jtm", "", JTM_1),
    "jtm-2": ("jaws_jtm", "", JTM_2),
}


def ini(config: Mapping[str, Mapping[str, str]], sign: str = "%") -> str:
    """Return the text of an INI file, with the parser's sign doubled, as is necessary."""
    lines: list[str] = []
    for section, keys in config.items():
        lines.append(f"[{section}]")
        lines += [f"{key} = {value.replace(sign, sign * 2)}" for key, value in keys.items()]
    return "\n".join([*lines, ""])


def without(config: Config, section: str, key: str | None = None) -> Config:
    """Return the configuration without one section or one of its keys."""
    left = {name: dict(keys) for name, keys in config.items() if key or name != section}
    if key:
        del left[section][key]
    return left


def until(condition: Callable[[], bool], what: str) -> None:
    """Return as soon as the condition holds; the time limit is not a measure of speed."""
    deadline = time.monotonic() + PATIENCE_SECONDS
    while not condition():
        assert time.monotonic() < deadline, f"never: {what}"
        time.sleep(0.02)


def written(path: Path, text: str) -> bool:
    return path.exists() and text in path.read_text(encoding="utf-8")


def get(port: int, path: str, host: str = "127.0.0.1") -> tuple[int, Any]:
    connection = http.client.HTTPConnection(host, port, timeout=PATIENCE_SECONDS)
    try:
        connection.request("GET", path)
        response = connection.getresponse()
        return response.status, json.loads(response.read())
    finally:
        connection.close()


def answers(port: int, host: str = "127.0.0.1") -> bool:
    with contextlib.suppress(ConnectionRefusedError):
        get(port, "/", host)
        return True
    return False


def parent(pid: int) -> int:
    """Return the parent of a living process; 0 when it ended, waited for or not."""
    try:
        # The name before it may contain spaces and parentheses.
        fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    except OSError:
        return 0
    return 0 if fields[0] == "Z" else int(fields[1])


def children(pid: int) -> list[int]:
    """Return the living processes whose parent is `pid`."""
    every = (int(entry.name) for entry in Path("/proc").iterdir() if entry.name.isdigit())
    return [found for found in every if parent(found) == pid]


class Installed:
    """The built stand-ins, unpacked as an installer would: libraries and commands."""

    def __init__(self, home: Path) -> None:
        self.home = home
        self.dist = home / "dist"
        self.scripts: dict[str, Path] = {}
        build(EXAMPLES, self.dist)
        for wheel in self.dist.glob("*.whl"):
            self._install(wheel)

    def _install(self, wheel: Path) -> None:
        library = self.home / wheel.name.partition("-")[0]
        with zipfile.ZipFile(wheel) as archive:
            archive.extractall(library)
        parser = configparser.ConfigParser()
        parser.read(library.glob("*.dist-info/entry_points.txt"))
        for name, target in parser["console_scripts"].items():
            module, _, function = target.partition(":")
            self.scripts[name] = self.home / name
            self.scripts[name].write_text(
                f"import sys\nsys.path.insert(0, {str(library)!r})\n"
                f"from {module} import {function}\nsys.exit({function}())\n"
            )

    def module(self, name: str) -> ModuleType:
        """Import a module of a stand-in into this process."""
        package = name.partition(".")[0]
        library = str(self.home / package)
        if package == "jaws_cromwell":
            library = str(self.dist / "cromwell.jar")
        if library not in sys.path:
            sys.path.insert(0, library)
        return importlib.import_module(name)

    def command(self, *words: object) -> list[str]:
        """Return the argument vector of a console script."""
        name, *rest = map(str, words)
        return [sys.executable, str(self.scripts[name]), *rest]

    def cromwell(self, config: Path) -> list[str]:
        jar = self.dist / "cromwell.jar"
        properties = (f"-Dconfig.file={config}", "-Djava.io.tmpdir=/tmp", "-DLOG_LEVEL=DEBUG")
        return self.command("java", "-Xmx1g", *properties, "-jar", jar, "server")


namespace = runpy.run_path(str(EXAMPLES / "build.py"))
build: Callable[[Path, Path], list[Path]] = namespace["build"]


@pytest.fixture(scope="module")
def installed(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Installed]:
    path, modules = list(sys.path), set(sys.modules)
    yield Installed(tmp_path_factory.mktemp("installed"))
    sys.path[:] = path
    for name in set(sys.modules) - modules:
        if name.startswith("jaws_"):
            del sys.modules[name]


@pytest.fixture
def sources(tmp_path: Path) -> Path:
    """A copy of the sources that a test may change."""
    skip = shutil.ignore_patterns("dist", "__pycache__")
    return Path(shutil.copytree(EXAMPLES, tmp_path / "examples", ignore=skip))


Start = Callable[..., "subprocess.Popen[bytes]"]


@pytest.fixture
def start(tmp_path: Path) -> Iterator[Start]:
    """Start commands in process groups of their own; end what is left of the groups."""
    started: list[subprocess.Popen[bytes]] = []

    def start(command: list[str], **environment: str) -> subprocess.Popen[bytes]:
        with (tmp_path / "stderr").open("wb") as stderr:
            process = subprocess.Popen(
                command,
                stdin=subprocess.DEVNULL,
                stdout=stderr,
                stderr=stderr,
                start_new_session=True,
                env={**os.environ, **environment},
            )
        started.append(process)
        return process

    yield start
    for process in started:
        with contextlib.suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)
        process.wait()


def run(command: list[str], **environment: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        command,
        capture_output=True,
        text=True,
        encoding="utf-8",
        check=False,
        timeout=PATIENCE_SECONDS,
        env={**os.environ, **environment},
    )


def refused(result: subprocess.CompletedProcess[str], *words: str) -> None:
    """Assert exit status 1 and one line on standard error that contains these words."""
    assert result.returncode == 1, result
    lines = [line for line in result.stderr.splitlines() if not re.search("- (INFO|DEBUG) -", line)]
    assert len(lines) == 1, result.stderr
    assert all(word in lines[0] for word in words), lines[0]
    assert PASSWORD not in result.stderr


def write(path: Path, config: Mapping[str, Mapping[str, str]], sign: str = "%") -> Path:
    path.write_text(ini(config, sign), encoding="utf-8")
    return path


def site(installed: Installed, folder: Path, config: Config, command: str) -> list[str]:
    conf = write(folder / "jaws-site.conf", config)
    level = () if "AMQP" in config else ("--log-level", "DEBUG")
    options = ("--log", folder / "log", "--config", conf, *level)
    return installed.command("jaws-site", *options, command)


def central(installed: Installed, folder: Path, config: Config, *command: str) -> list[str]:
    conf = write(folder / "jaws-central.conf", config)
    level = ("--log-level", "DEBUG") if "RPC_SERVER" in config else ()
    options = ("--log", folder / "log", "--config", conf, *level)
    return installed.command("jaws-central", *options, *command)


def listening(port: int) -> Config:
    return {**CENTRAL_2, "HTTP": {"auth_port": str(port), "rest_port": str(port)}}


def jtm(installed: Installed, folder: Path, config: Config, *command: object) -> list[str]:
    conf = {**config, "JTM": {**config["JTM"], "log_dir": str(folder / "jtm")}}
    path = write(folder / "jaws-jtm.conf", conf, "$")
    return installed.command("jtm", f"--config={path}", "--debug", *command)


def hocon(path: Path, settings: Mapping[str, Any]) -> Path:
    members = json.dumps(settings, indent=2)[1:-1]
    path.write_text(f'include required(classpath("application"))\n{members}', encoding="utf-8")
    return path


# What they refuse, as the real ones do


@pytest.mark.parametrize("series", [1, 2, 3])
def test_the_stand_ins_have_the_commands_and_options_of_the_real_ones_and_no_others(
    installed: Installed, series: int
) -> None:
    path = Path(__file__).parent / f"jaws/series_{series}.yml"
    real = yaml.safe_load(path.read_text())["commands"]
    for program in {"jaws-site", "jaws-central"} & set(real):
        options, commands = installed.module(f"{program.replace('-', '_')}.cli").ARGUMENTS[series]
        assert set(options) == set(real[program]["options"])
        others = {"create-tables", "add-user", "pool-manager-daemon"}
        known = real[program]["commands"]
        assert set(commands) == set(known) - others
        assert all(set(own) == set(known[name]) for name, own in commands.items())
    if "jtm" not in real:
        return
    parser = installed.module("jaws_jtm.jtm").arguments(series)
    (commands,) = (action.choices for action in parser._actions if action.dest == "command")
    for name, command in commands.items():
        names = {option for words in real["jtm"]["commands"][name] for option in words.split()}
        assert set(command._option_string_actions) <= names | {"-h", "--help"}, name


@pytest.mark.parametrize(
    ("program", "config", "words"),
    [
        (site, SITE_1, ["central-rpc"]),
        (site, SITE_2, ["server"]),
        (site, SITE_2, ["rpc-server"]),
        (site, SITE_3, ["daemon"]),
        (central, CENTRAL_1, ["rpc"]),
        (central, CENTRAL_2, ["auth", "--port", "1"]),
        (jtm, JTM_2, ["submit", "-p", "x", "-cmd", "x", "-m", "5G"]),
        (jtm, JTM_1, ["manager", "--nonsense"]),
    ],
)
def test_a_command_or_an_option_of_another_series_is_refused(
    installed: Installed, tmp_path: Path, program: Any, config: Config, words: list[str]
) -> None:
    line = program(installed, tmp_path, config, *words)
    result = run(line)
    assert (result.returncode, "usage:" in result.stderr) == (2, True)


def test_series_1_has_no_log_level(installed: Installed, tmp_path: Path) -> None:
    conf = write(tmp_path / "jaws-site.conf", SITE_1)
    line = installed.command("jaws-site", "--config", conf, "--log-level", "INFO", "server")
    result = run(line)
    assert (result.returncode, "usage:" in result.stderr) == (2, True)


# How they are built


def test_the_same_sources_give_the_same_bytes(sources: Path, tmp_path: Path) -> None:
    for path in sources.rglob("*"):
        os.utime(path, (1, 1))
    first = build(EXAMPLES, tmp_path / "first")
    second = build(sources, tmp_path / "second")
    assert [path.name.partition("-")[0] for path in sorted(first)] == list(BUILT)
    assert [path.read_bytes() for path in first] == [path.read_bytes() for path in second]


def test_a_second_build_writes_nothing(tmp_path: Path) -> None:
    build(EXAMPLES, tmp_path)
    before = {path: path.stat().st_mtime_ns for path in tmp_path.iterdir()}
    assert build(EXAMPLES, tmp_path) == []
    assert {path: path.stat().st_mtime_ns for path in tmp_path.iterdir()} == before


def test_changed_code_rebuilds_what_holds_it_and_nothing_else(
    sources: Path, tmp_path: Path
) -> None:
    build(sources, tmp_path / "dist")
    with (sources / "jtm" / "jaws_jtm" / "jtm.py").open("a") as stream:
        stream.write("# changed\n")
    assert [path.name for path in build(sources, tmp_path / "dist")] == [
        "jaws_jtm-0.1.0-py3-none-any.whl"
    ]


def test_changed_common_code_rebuilds_all(sources: Path, tmp_path: Path) -> None:
    build(sources, tmp_path / "dist")
    with (sources / "common" / "standin" / "log.py").open("a") as stream:
        stream.write("# changed\n")
    assert len(build(sources, tmp_path / "dist")) == len(BUILT)


@pytest.mark.parametrize("damage", [Path.unlink, lambda path: path.write_bytes(b"half")])
def test_a_missing_or_damaged_file_is_built_again(
    tmp_path: Path, damage: Callable[[Path], object]
) -> None:
    whole = {path: path.read_bytes() for path in build(EXAMPLES, tmp_path)}
    damage(tmp_path / "cromwell.jar")
    assert build(EXAMPLES, tmp_path) == [tmp_path / "cromwell.jar"]
    assert {path: path.read_bytes() for path in whole} == whole


def test_a_new_version_takes_the_old_wheel_away(sources: Path, tmp_path: Path) -> None:
    output = tmp_path / "dist"
    build(sources, output)
    project = sources / "site" / "setup.cfg"
    project.write_text(project.read_text().replace("0.1.0", "0.2.0"))
    foreign = output / "somebody-1.0-py3-none-any.whl"
    foreign.touch()
    assert [path.name for path in build(sources, output)] == ["jaws_site-0.2.0-py3-none-any.whl"]
    assert not list(output.glob("jaws_site-0.1.0*"))
    assert foreign.exists()


def test_a_build_killed_half_way_leaves_only_whole_files_and_the_next_one_finishes(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    synced: list[int] = []

    def fsync(number: int) -> None:
        synced.append(number)
        if len(synced) == 3:  # The stamp, one wheel, and in the middle of the next.
            raise KeyboardInterrupt

    with monkeypatch.context() as patched:
        patched.setattr(os, "fsync", fsync)
        with pytest.raises(KeyboardInterrupt):
            build(EXAMPLES, tmp_path)
    (wheel,) = tmp_path.glob("*.whl")
    with zipfile.ZipFile(wheel) as archive:
        assert archive.testzip() is None
    assert not list(tmp_path.glob(".*.part"))
    assert len(build(EXAMPLES, tmp_path)) == len(BUILT) - 1
    assert build(EXAMPLES, tmp_path) == []


def test_what_a_killed_build_had_written_is_replaced_by_the_next_version(
    sources: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    output = tmp_path / "dist"
    stamps: list[str] = []

    def write_stamp(folder: Path, digest: str, files: Mapping[str, str]) -> None:
        if stamps:
            raise KeyboardInterrupt  # After the files, before they count as built.
        stamps.append(digest)
        original(folder, digest, files)

    original = build.__globals__["write_stamp"]
    with monkeypatch.context() as patched:
        patched.setitem(build.__globals__, "write_stamp", write_stamp)
        with pytest.raises(KeyboardInterrupt):
            build(sources, output)
    project = sources / "site" / "setup.cfg"
    project.write_text(project.read_text().replace("0.1.0", "0.2.0"))
    build(sources, output)
    assert [path.name for path in output.glob("jaws_site*")] == ["jaws_site-0.2.0-py3-none-any.whl"]


def test_the_build_prints_a_line_for_each_file_and_leaves_no_litter_in_the_sources(
    sources: Path, tmp_path: Path
) -> None:
    before = sorted(sources.rglob("*"))
    command = [sys.executable, str(sources / "build.py"), "--output", str(tmp_path / "dist")]
    first, second = run(command), run(command)
    assert len(first.stdout.splitlines()) == len(BUILT)
    assert (first.returncode, second.returncode, second.stdout) == (0, 0, "")
    assert sorted(sources.rglob("*")) == before


def test_a_build_that_cannot_write_says_where(sources: Path, tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    result = run([sys.executable, str(sources / "build.py"), "--output", str(tmp_path / "file")])
    refused(result, str(tmp_path / "file"))


def test_every_file_of_a_wheel_is_in_its_record_with_its_hash(installed: Installed) -> None:
    for wheel in installed.dist.glob("*.whl"):
        with zipfile.ZipFile(wheel) as archive:
            names = archive.namelist()
            (record,) = (name for name in names if name.endswith("/RECORD"))
            rows = [line.split(",") for line in archive.read(record).decode().splitlines()]
            assert sorted(row[0] for row in rows) == sorted(names) == names
            for name, known, size in rows:
                if name != record:
                    data = archive.read(name)
                    found = base64.urlsafe_b64encode(hashlib.sha256(data).digest()).decode()
                    assert (known, size) == (f"sha256={found.rstrip('=')}", str(len(data)))


# What they require in their configurations


def load(installed: Installed, name: str, text: str, folder: Path) -> Any:
    package, command, _ = LOADS[name]
    path = folder / f"{package}.conf"
    path.write_text(text, encoding="utf-8")
    module = installed.module(f"{package}.config")
    return module.load(str(path), *([command] if package == "jaws_site" else []))


def sign_of(name: str) -> str:
    return "$" if name.startswith("jtm") else "%"


def error_of(installed: Installed, name: str) -> type[Exception]:
    package = LOADS[name][0]
    error: type[Exception] = installed.module(f"{package}.standin").StandInError
    return error


@pytest.mark.parametrize("name", LOADS)
def test_a_whole_configuration_is_accepted(installed: Installed, tmp_path: Path, name: str) -> None:
    loaded = load(installed, name, ini(LOADS[name][2], sign_of(name)), tmp_path)
    section = "MYSQL" if name.startswith("jtm") else "DB"
    assert loaded.value(section, "password", str) == PASSWORD


@pytest.mark.parametrize("name", LOADS)
def test_each_missing_section_or_key_is_named(
    installed: Installed, tmp_path: Path, name: str
) -> None:
    config, error = LOADS[name][2], error_of(installed, name)
    for section, keys in config.items():
        # Without its only mark, a file belongs to the other series, or has one site less.
        if section not in ("AMQP", "RMQ", "SITE:X", "RPC_SERVER"):
            with pytest.raises(error, match=rf"\[{section}\] is missing"):
                load(installed, name, ini(without(config, section), sign_of(name)), tmp_path)
        for key in keys:
            with pytest.raises(error, match=rf"\[{section}\] has no key {key}"):
                load(installed, name, ini(without(config, section, key), sign_of(name)), tmp_path)


def test_central_of_series_2_demands_its_rpc_server(installed: Installed, tmp_path: Path) -> None:
    config = {**without(CENTRAL_2, "RPC_SERVER"), "HTTP": {"auth_port": "1", "rest_port": "2"}}
    with pytest.raises(error_of(installed, "central-2-auth"), match="RPC_SERVER"):
        load(installed, "central-2-auth", ini(config), tmp_path)


@pytest.mark.parametrize(
    ("name", "section", "key", "value"),
    [
        ("site-2-daemon", "DB", "port", "x"),
        ("site-2-daemon", "LOCAL_RPC_SERVER", "num_threads", "five"),
        ("site-1-server", "RPC", "num_threads", "five"),
        ("site-3", "RMQ", "ttl", "long"),
        ("central-2-auth", "HTTP", "auth_port", "65536"),
        ("central-2-auth", "HTTP", "rest_port", ""),
        ("jtm-2", "SITE", "debug", "perhaps"),
        ("jtm-2", "JTM", "worker_kill_interval", "often"),
        ("jtm-2", "RMQ", "port", "x"),
    ],
)
def test_a_value_that_does_not_fit_is_named(
    installed: Installed, tmp_path: Path, name: str, section: str, key: str, value: str
) -> None:
    config = {**LOADS[name][2]}
    config[section] = {**config.get(section, {}), key: value}
    with pytest.raises(error_of(installed, name), match=rf"\[{section}\] {key} must be"):
        load(installed, name, ini(config, sign_of(name)), tmp_path)


def test_a_site_id_too_long_for_the_database_is_refused(
    installed: Installed, tmp_path: Path
) -> None:
    config = {**CENTRAL_2, "SITE:NINECHARS": CENTRAL_2["SITE:X"]}
    with pytest.raises(error_of(installed, "central-2-auth"), match="at most 8"):
        load(installed, "central-2-auth", ini(config), tmp_path)
    longer = {**SITE_3, "SITE": {**SITE_3["SITE"], "id": "x" * 17}}
    with pytest.raises(error_of(installed, "site-3"), match="at most 16"):
        load(installed, "site-3", ini(longer), tmp_path)


@pytest.mark.parametrize(
    ("name", "section"),
    [("site-2-daemon", "DB"), ("central-2-auth", "RPC_SERVER"), ("jtm-2", "RMQ")],
)
def test_a_bare_sign_of_interpolation_is_refused_without_showing_the_password(
    installed: Installed, tmp_path: Path, name: str, section: str
) -> None:
    config, sign = {**LOADS[name][2]}, sign_of(name)
    config[section] = {**config[section], "password": "PLACE"}
    text = ini(config, sign).replace("PLACE", f"se{sign}cret")
    words = re.escape(f"[{section}] password cannot be interpolated: write a literal {sign}")
    with pytest.raises(error_of(installed, name), match=words) as caught:
        load(installed, name, text, tmp_path)
    assert "cret" not in str(caught.value)


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("password = secret\n", "line 1"),
        ("[DB]\nsecret\n", "line 2"),
        ("[DB]\npassword = secret\npassword = secret\n", r"\[DB\] password is given twice"),
        ("[DB]\npassword = secret\n[DB]\n", r"section \[DB\] is given twice"),
    ],
)
def test_a_file_that_is_not_ini_is_refused_without_showing_the_password(
    installed: Installed, tmp_path: Path, text: str, words: str
) -> None:
    with pytest.raises(error_of(installed, "site-2-daemon"), match=words) as caught:
        load(installed, "site-2-daemon", text, tmp_path)
    assert "secret" not in str(caught.value)


def test_a_file_in_another_encoding_is_refused(installed: Installed, tmp_path: Path) -> None:
    path = tmp_path / "jaws-site.conf"
    path.write_bytes("[DB]\npassword = ä\n".encode("latin-1"))
    with pytest.raises(error_of(installed, "site-2-daemon"), match="not UTF-8 at byte 16"):
        installed.module("jaws_site.config").load(str(path), "daemon")


LINE = st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\r\n"))


@settings(deadline=None, max_examples=30)
@given(password=LINE.filter(lambda text: text == text.strip()))
@pytest.mark.parametrize("name", ["site-2-daemon", "site-3", "jtm-2"])
def test_a_password_of_any_characters_is_read_exactly(
    installed: Installed, tmp_path_factory: pytest.TempPathFactory, name: str, password: str
) -> None:
    section = "MYSQL" if name == "jtm-2" else "DB"
    config = {**LOADS[name][2]}
    config[section] = {**config[section], "password": password}
    form = {"site-3": "ini_environment", "jtm-2": "ini_extended"}.get(name, "ini")
    text = render("x.conf", form, config)
    with pytest.MonkeyPatch.context() as environment:
        environment.setenv("DOLLAR", "$")
        loaded = load(installed, name, text, tmp_path_factory.getbasetemp())
        assert loaded.value(section, "password", str) == password


@pytest.mark.parametrize(
    ("command", "section"), [("central-rpc", "CENTRAL_RPC_SERVER"), ("jtm-rpc", "LOCAL_RPC_SERVER")]
)
def test_an_rpc_server_demands_its_own_queue(
    installed: Installed, tmp_path: Path, command: str, section: str
) -> None:
    refused(
        run(site(installed, tmp_path, SITE_2, command)),
        str(tmp_path / "jaws-site.conf"),
        f"[{section}] has no key queue",
    )


def test_each_command_refuses_a_file_without_a_section(
    installed: Installed, tmp_path: Path
) -> None:
    commands = [
        (site(installed, tmp_path, without(SITE_2, "CROMWELL"), "daemon"), "[CROMWELL]"),
        (central(installed, tmp_path, without(CENTRAL_2, "GLOBUS"), "rest"), "[GLOBUS]"),
        (jtm(installed, tmp_path, without(JTM_2, "SLURM"), "manager"), "[SLURM]"),
        (installed.cromwell(hocon(tmp_path / "cromwell.conf", {"a": 1})), "webservice.port"),
    ]
    for command, section in commands:
        refused(run(command), str(tmp_path), section)


def test_a_missing_file_is_refused_by_name(installed: Installed, tmp_path: Path) -> None:
    gone = tmp_path / "gone"
    options = ("--log", tmp_path / "log", "--config", gone)
    refused(run(installed.command("jaws-site", *options, "daemon")), str(gone))
    refused(run(installed.command("jtm", f"--config={gone}", "manager")), str(gone))
    refused(run(installed.cromwell(gone)), str(gone))


def test_a_log_that_cannot_be_written_is_refused_by_name(
    installed: Installed, tmp_path: Path
) -> None:
    command = site(installed, tmp_path, SITE_2, "daemon")
    command[command.index(str(tmp_path / "log"))] = str(tmp_path / "gone" / "log")
    refused(run(command), str(tmp_path / "gone" / "log"))


INCLUDE = 'include required(classpath("application"))\n'


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ('"webservice": {"port": 1}', "line 1 is not: include"),
        (INCLUDE + '{"webservice": {"port": 1}}', "braces"),
        (INCLUDE + '"webservice": {"port": 1}}\n', "line 2 is not JSON"),
        (INCLUDE + '"a": 1,\n"b": "cut', "line 3 is not JSON"),
        (INCLUDE + '"a" = 1', "line 2 is not JSON"),
        (INCLUDE + '"a": NaN', "NaN"),
        (INCLUDE + '"a": {"b": 1, "b": 2}', "b is given twice"),
    ],
)
def test_a_cromwell_conf_outside_the_subset_is_refused(
    installed: Installed, text: str, words: str
) -> None:
    module = installed.module("jaws_cromwell.hocon")
    with pytest.raises(module.StandInError, match=words) as caught:
        module.parse(text, "/x/cromwell.conf")
    assert "/x/cromwell.conf" in str(caught.value)


@settings(deadline=None, max_examples=30)
@given(password=st.text())
def test_a_cromwell_password_of_any_characters_is_read_exactly(
    installed: Installed, password: str
) -> None:
    settings = {"webservice": {"port": 1}, "database": {"db": {"password": password}}}
    members = json.dumps(settings, ensure_ascii=False)[1:-1]
    parsed = installed.module("jaws_cromwell.hocon").parse(INCLUDE + members, "x")
    assert installed.module("jaws_cromwell.cli").password(parsed) == password


@pytest.mark.parametrize("web", [1, {}, {"port": "80"}, {"port": True}, {"port": 65536}])
def test_a_cromwell_conf_without_a_port_is_refused(installed: Installed, web: object) -> None:
    module = installed.module("jaws_cromwell.cli")
    with pytest.raises(module.StandInError, match=r"webservice\.port"):
        module.address({"webservice": web}, "x")


@pytest.mark.parametrize(
    ("key", "value"),
    [
        ("crash_afetr", "1"),
        ("crash_after", "-1"),
        ("crash_after", "nan"),
        ("crash_after", "soon"),
        ("exit_status", "256"),
        ("unhealthy", "perhaps"),
    ],
)
def test_an_unknown_misbehaviour_is_refused(
    installed: Installed, tmp_path: Path, key: str, value: str
) -> None:
    loaded = load(installed, "site-2-daemon", ini({**SITE_2, "STANDIN": {key: value}}), tmp_path)
    module = installed.module("jaws_site.standin.behaviour")
    with pytest.raises(error_of(installed, "site-2-daemon"), match=rf"\[STANDIN\].* {key}"):
        module.Behaviour.from_ini(loaded)
    as_json = {key: value}
    with pytest.raises(error_of(installed, "site-2-daemon"), match=key):
        module.Behaviour.from_json("x", as_json)


# Where they listen and what they answer


@pytest.mark.parametrize(
    ("command", "expected"),
    [
        ("auth", {"/tokeninfo": 401, "/": 404}),
        ("rest", {"/api/v2/info": 200, "/api/v2/status?x": 200, "/api/v2/run": 401, "/": 404}),
    ],
)
def test_central_answers_on_its_port(
    installed: Installed, tmp_path: Path, start: Start, command: str, expected: dict[str, int]
) -> None:
    port = free_port()
    config = {**CENTRAL_2, "HTTP": {f"{command}_port": str(port)}, "JAWS": {"name": "dev"}}
    process = start(central(installed, tmp_path, config, command))
    until(lambda: answers(port), f"{command} answers")
    assert {path: get(port, path)[0] for path in expected} == expected
    if command == "rest":
        assert get(port, "/api/v2/info")[1]["name"] == "dev"
        assert get(port, "/api/v2/status")[1] == {
            "JAWS-Central": "UP",
            "X-Site": "Unknown",
            "X-RMQ": "UP",
        }
    process.terminate()
    assert process.wait(PATIENCE_SECONDS) == -signal.SIGTERM


def test_central_listens_on_loopback_only_by_default(
    installed: Installed, tmp_path: Path, start: Start
) -> None:
    port = free_port()
    start(central(installed, tmp_path, CENTRAL_1, "auth", "--port", str(port)))
    until(lambda: answers(port), "auth answers")
    assert not answers(port, "127.0.0.2")


def test_a_port_that_is_taken_is_named(installed: Installed, tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port = listener.getsockname()[1]
        config = {**CENTRAL_2, "HTTP": {"rest_port": str(port)}}
        result = run(central(installed, tmp_path, config, "rest"))
        refused(result, f"127.0.0.1:{port}", "[HTTP] rest_port", str(tmp_path))
        conf = hocon(tmp_path / "cromwell.conf", {"webservice": {"port": port}})
        refused(run(installed.cromwell(conf)), f"127.0.0.1:{port}", "webservice.port", str(conf))


def test_cromwell_answers_under_java_and_ends_as_java_does(
    installed: Installed, tmp_path: Path, start: Start
) -> None:
    port = free_port()
    settings = {"webservice": {"port": port}, "database": {"db": {"password": PASSWORD}}}
    process = start(installed.cromwell(hocon(tmp_path / "cromwell.conf", settings)))
    until(lambda: answers(port), "cromwell answers")
    assert get(port, "/engine/v1/status")[0] == 200
    # The stand-in for java has become it, without a process in between, so signals arrive.
    assert b"cromwell.jar" in Path(f"/proc/{process.pid}/cmdline").read_bytes()
    assert children(process.pid) == []
    process.terminate()
    assert process.wait(PATIENCE_SECONDS) == 143
    logged = (tmp_path / "stderr").read_text()
    assert hashlib.sha256(PASSWORD.encode()).hexdigest() in logged
    assert PASSWORD not in logged


def test_java_runs_the_stand_in_jar_only(installed: Installed, tmp_path: Path) -> None:
    with zipfile.ZipFile(tmp_path / "real.jar", "w") as archive:
        archive.writestr("META-INF/MANIFEST.MF", "")
    refused(run(installed.command("java", "-jar", tmp_path / "real.jar")), "real java")
    refused(run(installed.command("java", "-jar", tmp_path / "gone.jar")), "gone.jar")
    refused(run(installed.command("java", "--verbose", "-jar", "x")), "--verbose")


# How they run and end


@pytest.mark.parametrize(
    ("config", "command", "threads"),
    [(SITE_2, "daemon", 5), (SITE_1, "daemon", 4), (SITE_1, "server", 7)],
)
def test_a_site_service_keeps_its_threads_and_logs_heartbeats(
    installed: Installed, tmp_path: Path, start: Start, config: Config, command: str, threads: int
) -> None:
    process = start(site(installed, tmp_path, config, command))
    log = tmp_path / "log"
    until(partial(written, log, "heartbeat"), "a heartbeat")
    assert len(list(Path(f"/proc/{process.pid}/task").iterdir())) == threads
    assert f"{command}, {threads} threads" in log.read_text()
    process.terminate()
    assert process.wait(PATIENCE_SECONDS) == -signal.SIGTERM


def test_heartbeats_go_on(installed: Installed, monkeypatch: pytest.MonkeyPatch) -> None:
    service = installed.module("jaws_site.standin.service")
    behaviour = installed.module("jaws_site.standin.behaviour").Behaviour()
    beats: list[float] = []

    def sleep(seconds: float) -> None:
        beats.append(seconds)
        if len(beats) == 3:
            raise KeyboardInterrupt

    class Logger:
        def info(self, text: str, state: str) -> None:
            logged.append(text % state)

    logged: list[str] = []
    monkeypatch.setattr(service.time, "sleep", sleep)
    with pytest.raises(KeyboardInterrupt):
        service.stay_alive(Logger(), behaviour, lambda: "well")
    assert logged == ["heartbeat: well"] * 3


@pytest.mark.parametrize(("level", "shown"), [("DEBUG", True), ("INFO", False)])
def test_the_password_is_logged_as_its_hash_and_at_debug_only(
    installed: Installed, tmp_path: Path, start: Start, level: str, shown: bool
) -> None:
    config = {**SITE_2, "STANDIN": {"crash_after": "0"}}
    command = site(installed, tmp_path, config, "daemon")
    command[command.index("DEBUG")] = level
    assert start(command).wait(PATIENCE_SECONDS) == 1
    for name in ("log", "stderr"):
        logged = (tmp_path / name).read_text()
        assert (hashlib.sha256(PASSWORD.encode()).hexdigest() in logged) is shown
        assert "Config using" in logged
        assert PASSWORD not in logged


def test_the_manager_has_seven_processes_and_ends_them_all_on_term(
    installed: Installed, tmp_path: Path, start: Start
) -> None:
    process = start(jtm(installed, tmp_path, JTM_2, "manager", "-ld", tmp_path / "logs"))
    until(lambda: len(children(process.pid)) == 6, "six children")
    found = children(process.pid)
    lines = {Path(f"/proc/{pid}/cmdline").read_bytes() for pid in [process.pid, *found]}
    assert len(lines) == 1  # What JTM's own health check counts.
    log = tmp_path / "logs" / "manager" / "jtm.log"
    until(lambda: "manager, 7 processes" in log.read_text(), "a heartbeat")
    process.terminate()
    assert process.wait(PATIENCE_SECONDS) == 1
    assert [pid for pid in found if parent(pid)] == []


def test_check_manager_distinguishes_a_complete_manager_from_an_incomplete_one(
    installed: Installed, tmp_path: Path, start: Start
) -> None:
    check = jtm(installed, tmp_path, JTM_2, "check-manager")
    refused(run(check), "0 instead of 7", str(tmp_path))
    process = start(jtm(installed, tmp_path, JTM_2, "manager", "-ld", tmp_path / "logs"))
    until(lambda: len(children(process.pid)) == 6, "six children")
    assert run(check).returncode == 0
    process.kill()
    process.wait()
    # As with the real one: they continue to run, but are not enough.
    refused(run(check), "6 instead of 7")


def test_the_manager_finds_its_configuration_in_the_environment(
    installed: Installed, tmp_path: Path, start: Start
) -> None:
    conf = write(tmp_path / "jaws-jtm.conf", {**JTM_1, "STANDIN": {"crash_after": "0"}}, "$")
    command = installed.command("jtm", "manager", "-ld", tmp_path / "logs")
    assert start(command, JTM_CONFIG_FILE=str(conf)).wait(PATIENCE_SECONDS) == 1
    assert str(conf) in (tmp_path / "logs" / "manager" / "jtm.log").read_text()


def test_without_any_configuration_jtm_says_how_to_give_one(installed: Installed) -> None:
    refused(run(installed.command("jtm", "manager"), JTM_CONFIG_FILE=""), "JTM_CONFIG_FILE")


def test_tasks_are_submitted_alive_and_killed(installed: Installed, tmp_path: Path) -> None:
    submit = ("submit", "-cmd", "/bin/bash script", "-cl", "x", "-t", "00:30:00", "-c", "1")
    options = ("-m", 5, "-p", "small", "-N", 1, "-nwpn", 1, "-jid", "j", "-A", "a", "--shared", 0)
    more = ("-C", "haswell", "--qos", "q", "-P", "p")
    first = run(jtm(installed, tmp_path, JTM_2, *submit, *options))
    second = run(jtm(installed, tmp_path, JTM_2, *submit, *options, *more))
    assert [first.stdout, second.stdout] == ["JTM task ID 1\n", "JTM task ID 2\n"]
    alive = jtm(installed, tmp_path, JTM_2, "isalive", "-tid", 2)
    kill = jtm(installed, tmp_path, JTM_2, "kill", "-tid", 2)
    assert (run(alive).stdout, run(kill).returncode, run(alive).stdout) == ("yes\n", 0, "no\n")
    assert (run(alive).returncode, run(kill).returncode) == (1, 1)
    refused(run(jtm(installed, tmp_path, JTM_2, "isalive", "-tid", 3)), "task 3")


# Without RabbitMQ or the database


class Outside:
    """What a health check of a service sees, and what is away."""

    def __init__(self, installed: Installed) -> None:
        self.module = installed.module("jaws_site.standin.outside")
        self.installed = installed

    @contextlib.contextmanager
    def away(self, port: int) -> Iterator[None]:
        with self.module.bind(self.module.away("127.0.0.1", port)):
            yield

    @contextlib.contextmanager
    def only(self, port: int, password: str) -> Iterator[None]:
        """Let one password in."""
        with self.module.bind(self.module.right("127.0.0.1", port, password)):
            yield

    def consumers(self, section: dict[str, str], queue: str) -> int:
        """Return how many consumers a queue has, even while its broker is away."""
        words = [section[key] for key in ("host", "port", "vhost", "user", "password")]
        broker = self.module.Broker(words[0], int(words[1]), *words[2:])
        return int(broker.consumers(queue))

    def health(self, package: str, config: Path, *checks: str, pid: int = 0) -> str:
        """Return what the check of the collection prints; nothing if the service is healthy."""
        script = EXAMPLES.parent / "roles/jaws/files/health.py"
        library = {"PYTHONPATH": str(self.installed.home / package), "PROGRAM_PID": str(pid)}
        result = run([sys.executable, str(script), str(config), *checks], **library)
        assert result.returncode in ((1, 75) if result.stderr else (0,)), result
        return ("away: " if result.returncode == 75 else "") + result.stderr


@pytest.fixture
def outside(installed: Installed) -> Outside:
    return Outside(installed)


def reached_by(config: Config, section: str, port: int, key: str = "port") -> Config:
    return {**config, section: {**config[section], "host": "127.0.0.1", key: str(port)}}


def test_an_rpc_server_ends_with_its_broker_and_does_not_start_without(
    installed: Installed, tmp_path: Path, start: Start, outside: Outside
) -> None:
    port, check = free_port(), "consumers=LOCAL_RPC_SERVER"
    config = reached_by(SITE_2, "LOCAL_RPC_SERVER", port)
    config["LOCAL_RPC_SERVER"].update(queue="SITE_X", num_threads="3")
    line = site(installed, tmp_path, config, "jtm-rpc")
    process, conf = start(line), tmp_path / "jaws-site.conf"
    until(lambda: not outside.health("jaws_site", conf, check), "it is healthy")
    with outside.away(port):
        assert process.wait(PATIENCE_SECONDS) == 1
        assert f"away: RabbitMQ at 127.0.0.1:{port}" in outside.health("jaws_site", conf, check)
        refused(run(line), "RabbitMQ", str(port))
    assert "queue SITE_X has 0 consumers instead of 3" in outside.health("jaws_site", conf, check)


def test_a_daemon_stays_dead_inside_when_its_broker_was_away(
    installed: Installed, tmp_path: Path, start: Start, outside: Outside
) -> None:
    port = free_port()
    process = start(
        site(installed, tmp_path, reached_by(SITE_2, "CENTRAL_RPC_CLIENT", port), "daemon")
    )
    conf = tmp_path / "jaws-site.conf"
    health = partial(outside.health, "jaws_site", conf, "threads=4", pid=process.pid)
    until(lambda: written(tmp_path / "log", "heartbeat") and not health(), "it is healthy")
    with outside.away(port):
        until(lambda: "instead of 4 or more" in health(), "it is dead inside")
    assert (process.poll(), "instead of 4 or more" in health()) == (None, True)


def newest(second: float, **ports: int) -> Config:
    """Return a configuration of series 3 whose services wait only so long."""
    config = {**SITE_3, "STANDIN": {"second": str(second)}}
    for section, port in ports.items():
        config = reached_by(config, section, port)
    return config


def test_an_rpc_server_of_series_3_consumes_the_queue_of_its_site_and_ends_with_its_broker(
    installed: Installed, tmp_path: Path, start: Start, outside: Outside
) -> None:
    port = free_port()
    process = start(site(installed, tmp_path, newest(1, RMQ=port), "rpc-server"))
    conf = tmp_path / "jaws-site.conf"
    health = partial(outside.health, "jaws_site", conf, "database=DB", "consumers=RMQ:{SITE[id]}")
    until(lambda: not health(), "it is healthy")
    with outside.only(port, "another"):
        assert process.wait(PATIENCE_SECONDS) == 1
        assert health().startswith(f"away: RabbitMQ at 127.0.0.1:{port}")
    assert "queue x has 0 consumers instead of 5" in health()


def test_the_daemon_of_runs_stays_dead_inside_when_its_broker_was_away(
    installed: Installed, tmp_path: Path, start: Start, outside: Outside
) -> None:
    port = free_port()
    process = start(site(installed, tmp_path, newest(1, RMQ=port), "run-daemon"))
    checks = ("database=DB", "broker=RMQ", "threads=5")
    conf = tmp_path / "jaws-site.conf"
    health = partial(outside.health, "jaws_site", conf, *checks, pid=process.pid)
    until(lambda: written(tmp_path / "log", "heartbeat") and not health(), "it is healthy")
    with outside.away(port):
        until(lambda: "instead of 5" in outside.health(
            "jaws_site", conf, "threads=5", pid=process.pid), "it is dead inside")  # fmt: skip
        assert health().startswith("away: RabbitMQ")
    assert (process.poll(), "instead of 5 or more" in health()) == (None, True)


@pytest.mark.parametrize("command", ["run-daemon", "transfer-daemon"])
def test_a_daemon_of_series_3_ends_some_time_after_its_start_if_its_database_refuses_it(
    installed: Installed, tmp_path: Path, start: Start, outside: Outside, command: str
) -> None:
    port = free_port()
    line = site(installed, tmp_path, newest(0.1, DB=port), command)
    conf = tmp_path / "jaws-site.conf"
    with outside.only(port, "another"):
        begun = time.monotonic()
        assert start(line).wait(PATIENCE_SECONDS) == 1
        assert time.monotonic() - begun > 1  # ten of its seconds
        said = outside.health("jaws_site", conf, "database=DB")
        assert said.startswith(f"away: database jaws_dev at 127.0.0.1:{port}")
    with outside.only(port, PASSWORD):
        assert outside.health("jaws_site", conf, "database=DB") == ""


def test_the_consumer_of_messages_waits_for_its_broker_and_comes_back_by_itself(
    installed: Installed, tmp_path: Path, start: Start, outside: Outside
) -> None:
    port = free_port()
    line = site(installed, tmp_path, newest(0.001, RMQ=port), "message-consumer")
    check = "consumer=RMQ:jaws_{SITE[id]}_{SITE[deployment]}"
    health = partial(outside.health, "jaws_site", tmp_path / "jaws-site.conf", check)
    with outside.away(port):
        process = start(line)
        until(lambda: written(tmp_path / "log", "no connection"), "it has tried")
        assert health().startswith("away: RabbitMQ")
    until(lambda: not health(), "it consumes")
    assert process.poll() is None


def test_a_check_reads_a_password_of_series_3_as_the_service_does(
    outside: Outside, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    port, conf = free_port(), tmp_path / "x.conf"
    monkeypatch.setenv("DOLLAR", "$")
    monkeypatch.setenv("x", "another value")
    database = {**DB, "db": "jaws_dev?charset=utf8mb4", "host": "127.0.0.1", "port": port}
    conf.write_text(render("x.conf", "ini_environment", {"DB": database, "RMQ": {}}))
    with outside.only(port, PASSWORD):
        assert outside.health("jaws_site", conf, "database=DB") == ""


def test_a_manager_stays_dead_inside_when_its_broker_was_away_and_two_are_seen(
    installed: Installed, tmp_path: Path, start: Start, outside: Outside
) -> None:
    port = free_port()
    config = reached_by(reached_by(JTM_2, "RMQ", port), "JTM_RPC_SERVER", port)
    line = jtm(installed, tmp_path, config, "manager", "-ld", tmp_path / "logs")
    process, conf = start(line), tmp_path / "jaws-jtm.conf"
    checks = ("consumer=RMQ:{JTM[jtm_task_request_q]}", "consumers=JTM_RPC_SERVER")
    health = partial(outside.health, "jaws_jtm", conf, *checks)
    until(lambda: not health(), "it is healthy")
    # Killed, it leaves children behind that go on consuming beside those of the next.
    process.kill()
    second = start(line)
    until(lambda: "has 2 consumers instead of 1" in health(), "both consume")
    with outside.away(port):
        until(lambda: "RabbitMQ at" in health(), "the broker is away")
        queue = config["JTM"]["jtm_task_request_q"]
        until(lambda: not outside.consumers(config["RMQ"], queue), "both have noticed")
    assert "has 0 consumers instead of 1" in health()
    assert second.poll() is None


def test_rest_fails_until_it_is_restarted_when_its_broker_was_away(
    installed: Installed, tmp_path: Path, start: Start, outside: Outside
) -> None:
    port, broker = free_port(), free_port()
    config = reached_by({**CENTRAL_2, **listening(port)}, "SITE:X", broker)
    process, conf = (
        start(central(installed, tmp_path, config, "rest")),
        tmp_path / "jaws-central.conf",
    )
    check = f"status=X:http://127.0.0.1:{port}/api/v2/status"
    until(lambda: not outside.health("jaws_central", conf, check), "it is healthy")
    with outside.away(broker):
        until(lambda: get(port, "/api/v2/status")[0] == 500, "it fails")
    assert "answers 500 instead of 200" in outside.health("jaws_central", conf, check)
    assert (get(port, "/api/v2/info")[0], process.poll()) == (200, None)


def test_auth_answers_again_when_its_database_is_back_and_does_not_start_without(
    installed: Installed, tmp_path: Path, start: Start, outside: Outside
) -> None:
    port, database = free_port(), free_port()
    config = reached_by(listening(port), "DB", database)
    line, conf = central(installed, tmp_path, config, "auth"), tmp_path / "jaws-central.conf"
    with outside.away(database):
        refused(run(line), "database", str(database))
    start(line)
    check = (f"login=http://127.0.0.1:{port}/tokeninfo", "database=DB")
    until(lambda: not outside.health("jaws_central", conf, *check), "it is healthy")
    with outside.away(database):
        assert "answers 500" in outside.health("jaws_central", conf, check[0])
        assert "away: database jaws_dev" in outside.health("jaws_central", conf, check[1])
    assert not outside.health("jaws_central", conf, *check)


@pytest.mark.parametrize(
    ("text", "check", "said"),
    [
        ("[DB]\ndb = x\n", "database=DB", "has no 'user'"),
        ("", "database=DB", "has no 'DB'"),
        ("[DB]\ndb = x\nuser = u\npassword = hunter2%\n", "database=DB", "InterpolationSyntax"),
        ("", "login=http://127.0.0.1:1/", "http://127.0.0.1:1/: [Errno 111] Connection refused"),
    ],
)
def test_a_check_says_what_is_wrong_in_one_line_without_a_password(
    outside: Outside, tmp_path: Path, text: str, check: str, said: str
) -> None:
    conf = tmp_path / "x.conf"
    conf.write_text(text)
    told = outside.health("jaws_site", conf, check)
    assert said in told
    assert ("hunter2" in told, told.count("\n")) == (False, 1)


# How they misbehave on request


def test_each_service_crashes_with_the_status_asked_for(
    installed: Installed, tmp_path: Path, start: Start
) -> None:
    crash = {"STANDIN": {"crash_after": "0.1", "exit_status": "7"}}
    settings = {
        "webservice": {"port": free_port()},
        "standin": {"crash_after": 0.1, "exit_status": 7},
    }
    commands = [
        site(installed, tmp_path, {**SITE_2, **crash}, "daemon"),
        central(installed, tmp_path, {**listening(free_port()), **crash}, "auth"),
        jtm(installed, tmp_path, {**JTM_2, **crash}, "manager", "-ld", tmp_path / "logs"),
        installed.cromwell(hocon(tmp_path / "cromwell.conf", settings)),
    ]
    processes = [start(command) for command in commands]
    assert [process.wait(PATIENCE_SECONDS) for process in processes] == [7, 7, 7, 7]


def test_a_crashing_manager_takes_its_children_with_it(
    installed: Installed, tmp_path: Path, start: Start
) -> None:
    config = {**JTM_2, "STANDIN": {"crash_after": "0.2"}}
    process = start(jtm(installed, tmp_path, config, "manager", "-ld", tmp_path / "logs"))
    process.wait(PATIENCE_SECONDS)
    logged = (tmp_path / "logs" / "manager" / "jtm.log").read_text()
    pids = [int(line.rpartition(" ")[2]) for line in logged.splitlines() if " pid = " in line]
    assert len(pids) == 6
    until(lambda: not any(map(parent, pids)), "the children end")


def test_an_unhealthy_service_lives_and_says_500(
    installed: Installed, tmp_path: Path, start: Start
) -> None:
    port, other = free_port(), free_port()
    unhealthy = {**listening(port), "STANDIN": {"unhealthy": "yes"}}
    start(central(installed, tmp_path, unhealthy, "rest"))
    settings = {"webservice": {"port": other}, "standin": {"unhealthy": True}}
    start(installed.cromwell(hocon(tmp_path / "cromwell.conf", settings)))
    until(lambda: answers(port) and answers(other), "both answer")
    assert get(port, "/api/v2/info")[0] == get(other, "/engine/v1/status")[0] == 500


def test_an_unhealthy_manager_or_daemon_runs_but_does_nothing(
    installed: Installed, tmp_path: Path, start: Start
) -> None:
    unhealthy = {"STANDIN": {"unhealthy": "yes"}}
    config = {**JTM_2, **unhealthy}
    manager = start(jtm(installed, tmp_path, config, "manager", "-ld", tmp_path / "logs"))
    daemon = start(site(installed, tmp_path, {**SITE_2, **unhealthy}, "daemon"))
    for log in (tmp_path / "logs" / "manager" / "jtm.log", tmp_path / "log"):
        until(partial(written, log, "sha256"), f"{log} begins")
        assert "heartbeat" not in log.read_text()
    assert children(manager.pid) == []
    # The main thread, and the one that holds the connection.
    assert len(list(Path(f"/proc/{daemon.pid}/task").iterdir())) == 2


def test_a_service_told_to_ignores_sigterm(
    installed: Installed, tmp_path: Path, start: Start
) -> None:
    port, other = free_port(), free_port()
    config = {**listening(port), "STANDIN": {"ignore_sigterm": "true"}}
    settings = {"webservice": {"port": other}, "standin": {"ignore_sigterm": True}}
    processes = [
        start(central(installed, tmp_path, config, "auth")),
        start(installed.cromwell(hocon(tmp_path / "cromwell.conf", settings))),
    ]
    until(lambda: answers(port) and answers(other), "both answer")
    for process in processes:
        process.terminate()
    assert get(port, "/tokeninfo")[0] == 401
    assert get(other, "/engine/v1/status")[0] == 200
    assert [process.poll() for process in processes] == [None, None]


def test_a_manager_told_to_ignores_sigterm_and_so_do_its_children(
    installed: Installed, tmp_path: Path, start: Start
) -> None:
    config = {**JTM_2, "STANDIN": {"ignore_sigterm": "true"}}
    process = start(jtm(installed, tmp_path, config, "manager", "-ld", tmp_path / "logs"))
    log = tmp_path / "logs" / "manager" / "jtm.log"
    until(partial(written, log, "heartbeat"), "a heartbeat")

    def ignored(pid: int) -> bool:
        fields = dict(
            line.split(":\t") for line in Path(f"/proc/{pid}/status").read_text().splitlines()
        )
        return bool(int(fields["SigIgn"], 16) >> (signal.SIGTERM - 1) & 1)

    until(lambda: all(map(ignored, [process.pid, *children(process.pid)])), "all ignore it")
    assert len(children(process.pid)) == 6
