# SPDX-License-Identifier: GPL-3.0-or-later
"""Fixtures: a real supervisord in a temporary directory, and modules run as Ansible runs them."""

from __future__ import annotations

import io
import json
import os
import re
import resource
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import redirect_stdout, suppress
from functools import partial
from importlib import import_module
from pathlib import Path
from shlex import join
from typing import Any

import pip
import pytest
from xdist.scheduler import LoadScopeScheduling

from ansible_collections.jgi.jaws.plugins.module_utils.system.processes import search
from module_arguments import module_arguments

MODULES = "ansible_collections.jgi.jaws.plugins.modules."
KEY = "a-key_0123456789"

HEAD = """\
[unix_http_server]
file={root}/s
chmod=0700
username=jaws
password={key}
[supervisord]
logfile={root}/supervisord.log
pidfile={root}/pid
childlogdir={root}
directory={root}
identifier=test
[rpcinterface:supervisor]
supervisor.rpcinterface_factory=supervisor.rpcinterface:make_main_rpcinterface
[supervisorctl]
serverurl=unix://{root}/s
username=jaws
password={key}
"""

# The longest tests, in the order in which they start, so that no worker has much left at the end.
FIRST = (
    "test_faults_killed",
    "test_faults_deploy",
    "test_deploy",
    "test_gitlab_runner",
    "test_purge_role",
    "test_collabsu",
    "test_faults_index",
    "test_venv",
    "test_release",
    "test_faults_clock",
)


# The tests of these modules share what takes long to make; with @, those of one parameter do.
SHARING = ("test_collabsu.py", "test_faults_deploy.py")


class Scheduling(LoadScopeScheduling):  # type: ignore[misc]
    """Gives a worker one test after the other; tests that share something go to the same worker."""

    def _split_scope(self, nodeid: str) -> str:
        file, _separator, name = nodeid.partition("::")
        group = re.search(r"@\w+", name)
        if group:
            return file + group[0]
        return file if file.endswith(SHARING) else nodeid


def pytest_xdist_make_scheduler(config: pytest.Config, log: Any) -> Scheduling:
    return Scheduling(config, log)


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Put the longest tests first, and measure the coverage of each test's first variant alone.

    Variants differ in what they find, and reach the same code, whose tracing takes a quarter of
    the time. So do the tests of faults, which set up something around what other tests call.
    """
    rank = {name: number for number, name in enumerate(FIRST)}
    items.sort(key=lambda item: rank.get(item.path.stem, len(rank)))
    seen: set[str] = set()
    for item in items:
        name = item.nodeid.partition("[")[0]
        if name in seen or item.path.stem.startswith("test_faults_"):
            item.add_marker("no_cover")
        seen.add(name)


Result = dict[str, Any]
Run = Callable[..., Result]
Spawn = Callable[..., subprocess.Popen[str]]


# Seconds that a test waits for something. A busy machine is slow, and that is not a failure.
PATIENCE = 300


def wait_until(
    condition: Callable[[], Any], what: str, seconds: float = PATIENCE, pause: float = 0.05
) -> Any:
    """Return the condition's first true value; fail the test if it does not become true in time.

    An expensive look is repeated less often, so that looking takes a fifth of a core at most.

    :param pause: seconds between two looks, at least.
    """
    deadline = time.monotonic() + seconds
    while True:
        before = cpu_time()
        if found := condition():
            return found
        assert time.monotonic() < deadline, f"not within {seconds} s: {what}"
        time.sleep(max(pause, min(1, 4 * (cpu_time() - before))))


def cpu_time() -> float:
    """Return the CPU seconds of this process and of its children that have ended."""
    used = map(resource.getrusage, (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN))
    return sum(one.ru_utime + one.ru_stime for one in used)


@pytest.fixture(autouse=True)
def cpu(request: pytest.FixtureRequest) -> Iterator[None]:
    """Note in the report what a test costs; most of its duration is waiting."""
    before = cpu_time()
    yield
    # Not by record_property, which warns if the report has pytest's newer format.
    request.node.user_properties.append(("cpu", round(cpu_time() - before, 2)))


def has_ended(pid: int) -> bool:
    """Whether a process has ended, even if it is still a zombie."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] == "Z"
    except FileNotFoundError:
        return True


CLONE = Path(__file__).parents[2]
STARTUP = CLONE / "tests/startup"
# What saves a third of the CPU time of the tests' Ansible runs: each compiles and packs the
# same modules again, and each deployment fetches the same packages.
KEPT = {
    "ANSIBLE_CALLBACK_PLUGINS": str(STARTUP / "callback"),
    "ANSIBLE_CALLBACKS_ENABLED": "keep_modules, jgi.jaws.notify",
    "PIP_CACHE_DIR": str(CLONE / ".cache/pip"),
    "PYTHONPATH": str(STARTUP),
}


def surroundings(home: Path, **variables: str) -> dict[str, str]:
    """Return the environment of C(ansible) with a home directory of the test's own."""
    return {
        "ANSIBLE_CONFIG": str(CLONE / "ansible.cfg"),
        "HOME": str(home),
        "LANG": "C.UTF-8",
        "PATH": "/usr/local/bin:/usr/bin:/bin",
        **KEPT,
        **variables,
    }


def ansible(
    subcommand: str,
    *arguments: str,
    home: Path,
    python: Path = Path(sys.executable),
    **variables: str,
) -> subprocess.CompletedProcess[str]:
    """Run C(ansible-playbook) (C(playbook)) or C(ansible) (C(adhoc)) in the clone.

    :param home: the home directory, which no other test uses.
    :param python: the Python of an ansible-core other than the one that runs the tests.
    :param variables: more environment variables.
    :returns: its exit status, and all of its output as stdout.
    """
    return subprocess.run(
        [str(python), "-m", "ansible", subcommand, *arguments],
        cwd=CLONE,
        env=surroundings(home, **variables),
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        check=False,
    )


class Daemon:
    """A supervisord of the test's own, with the programs that the test writes."""

    def __init__(self, root: Path) -> None:
        self.root = root
        self.conf = root / "supervisord.conf"
        self.pids: list[int] = []

    def write(self, programs: str, head: str = HEAD, key: str = KEY) -> None:
        """Write the configuration."""
        self.conf.write_text(head.format(root=self.root, key=key) + programs)
        self.conf.chmod(0o600)

    def start(self, code: str = "") -> int:
        """Start it, or C(code) instead, wait until it answers, and return its pid."""
        program = ["-c", code] if code else ["-m", "supervisor.supervisord"]
        command = [sys.executable, *program, "-c", str(self.conf)]
        subprocess.run(command, check=True, cwd=self.root, timeout=PATIENCE)
        pid = int(wait_until(self._pid_file, "a pid file"))
        self.pids.append(pid)
        return pid

    def _pid_file(self) -> str:
        path = self.root / "pid"
        return path.read_text().strip() if path.exists() else ""

    def stop(self) -> None:
        """End it and what it runs, in whatever state the test has left it."""
        for pid in self.pids:
            for sign in (signal.SIGCONT, signal.SIGTERM):
                with suppress(ProcessLookupError):
                    os.kill(pid, sign)
            wait_until(partial(has_ended, pid), f"the end of {pid}")
        self.pids.clear()

    def end(self) -> None:
        """End it and what it runs at once: a shutdown takes a second for each group."""
        for pid in self.pids:
            children = Path(f"/proc/{pid}/task/{pid}/children")
            groups = children.read_text().split() if children.exists() else []
            with suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)
            for group in groups:
                with suppress(ProcessLookupError):
                    os.killpg(int(group), signal.SIGKILL)
            wait_until(partial(has_ended, pid), f"the end of {pid}")
        self.pids.clear()


QUICK = """\
#!/bin/sh
# As the real one, but that an environment gets a copy of the tests' own pip.
[ "$3" = venv ] || exec {python} "$@"
{python} -I -m venv --without-pip "$4" || exit
exec cp -R --preserve=timestamps {pip} "$4"/lib/python3*/site-packages
"""


@pytest.fixture(scope="session")
def quick_python(tmp_path_factory: pytest.TempPathFactory) -> str:
    """An interpreter for tests that are not about making environments, because that takes long."""
    path = tmp_path_factory.getbasetemp() / "python"
    package = Path(pip.__file__).parent
    copied = [package, *package.parent.glob("pip-*.dist-info")]
    words = {"python": [Path(sys.executable).resolve()], "pip": copied}
    path.write_text(QUICK.format(**{word: join(map(str, words[word])) for word in words}))
    path.chmod(0o755)
    return str(path)


@pytest.fixture
def short_tmp() -> Iterator[Path]:
    """A directory with a short path: that of a unix socket may have at most 99 bytes."""
    path = Path(tempfile.mkdtemp(prefix="jj", dir="/tmp"))
    yield path
    shutil.rmtree(path)


@pytest.fixture
def daemon(short_tmp: Path) -> Iterator[Daemon]:
    """A supervisord that the test configures and starts."""
    found = Daemon(short_tmp)
    yield found
    found.end()
    if bearing(str(found.conf), ["cmdline"]):  # one that a module has started in its place
        end_all(found.root)


@pytest.fixture
def instance(daemon: Daemon) -> Iterator[Daemon]:
    """A supervisord that modules start: processes with its directory's name end after the test."""
    yield daemon
    end_all(daemon.root)


def end_all(root: Path) -> None:
    """End every process that has a directory's name in its command line or environment."""
    # Repeatedly, because a supervisord that ends after its programs has started new ones.
    while found := bearing(str(root), ["cmdline", "environ", "cwd"]):
        for pid in found:
            for sign in (signal.SIGCONT, signal.SIGKILL):
                with suppress(ProcessLookupError):
                    os.kill(pid, sign)
        for pid in found:
            wait_until(partial(has_ended, pid), f"the end of {pid}")


def bearing(text: str, where: Sequence[str] = ("cmdline", "environ")) -> list[int]:
    """Return the processes, except ourselves, that have a text in these files of /proc."""
    files = [name for name in where if name != "cwd"]
    found = {
        pid
        for pid, contents in search(files)
        if os.fsencode(text) in b"\0".join(contents) or ("cwd" in where and text in working(pid))
    }
    return sorted(pid for pid in found - {os.getpid()} if not has_ended(pid))


def working(pid: int) -> str:
    """Return the working directory of a process, or nothing if that is hidden."""
    with suppress(OSError):
        return os.readlink(f"/proc/{pid}/cwd")
    return ""


def read(path: Path) -> str:
    return os.fsdecode(path.read_bytes())


def parents_among(pids: Sequence[int]) -> list[int]:
    """Return the processes whose parent is not among them: a child just forked looks like it."""
    found = []
    for pid in pids:
        with suppress(OSError):
            stat = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
            if int(stat[1]) not in pids:
                found.append(pid)
    return found


def as_user(uid: int, action: Callable[[], Result]) -> Result:
    """Return the answer to the action when an account runs it; only root can become another."""
    reader, writer = os.pipe()
    child = os.fork()
    if child == 0:
        try:
            if os.geteuid() == 0 != uid:
                os.setgroups([])
                os.setgid(uid)
                os.setuid(uid)
            os.environ["HOME"] = "/"
            os.write(writer, json.dumps(action()).encode())
        finally:
            os._exit(0)
    os.close(writer)
    with open(reader) as stream:
        answer = stream.read()
    os.waitpid(child, 0)
    result: Result = json.loads(answer)
    return result


RUNNER = """\
import json, sys
from importlib import import_module
from module_arguments import module_arguments
name, options, hook = json.load(sys.stdin)
exec(hook)
with module_arguments(options):
    import_module(name).main()
"""


@pytest.fixture
def spawn_module() -> Spawn:
    """Start a module in a process of its own, after the code in C(hook); return it."""

    def spawn(module_name: str, /, hook: str = "", **options: Any) -> subprocess.Popen[str]:
        process = subprocess.Popen(
            [sys.executable, "-u", "-c", RUNNER],
            env=dict(os.environ, PYTHONPATH=os.pathsep.join(sys.path)),
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            start_new_session=True,
            text=True,
        )
        assert process.stdin is not None
        with process.stdin as stream:
            json.dump([MODULES + module_name, options, hook], stream)
        process.stdin = None  # communicate() would flush it
        return process

    return spawn


@pytest.fixture
def run_module() -> Run:
    """Run a module in this process, C(check) and C(diff) mode as keywords; return its result."""

    def run(module_name: str, /, check: bool = False, diff: bool = False, **options: Any) -> Result:
        arguments = dict(options, _ansible_check_mode=check, _ansible_diff=diff)
        module = import_module(MODULES + module_name)
        output = io.StringIO()
        exits = pytest.raises(SystemExit)
        with module_arguments(arguments), redirect_stdout(output), exits:
            module.main()
        result: Result = json.loads(output.getvalue().splitlines()[-1])
        return result

    return run
