# SPDX-License-Identifier: GPL-3.0-or-later
"""Becoming an account with collabsu: real Ansible, a real terminal, and a collabsu for tests.

As root, the local connection belongs to root and really changes the user; the ssh connection is
that of the unprivileged user nobody. Otherwise both belong to the user who runs the tests.
"""

from __future__ import annotations

import json
import os
import pty
import pwd
import re
import shlex
import shutil
import signal
import subprocess
import sys
import tempfile
import termios
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml
from ansible.release import __version__
from packaging.version import Version

from ansible_collections.jgi.jaws.plugins.plugin_utils.collabsu_relay import Relay
from tests.integration.conftest import PATIENCE

ROOT = Path(__file__).resolve().parents[2]
FAKE = Path(__file__).parent / "collabsu" / "collabsu"
# The interpreter of the target, which must not be in a directory that only root can read.
PATH = "/usr/local/bin:/usr/bin:/bin"
ACCOUNT = "daemon"
PASSWORD = 's3same öffne "dich" \'$HOME`'
WRONG = "wr0ng-s3cret"

ME = pwd.getpwuid(os.getuid()).pw_name
OTHER = "nobody" if os.getuid() == 0 else ME
CALLERS = {"local": ME, "ssh": OTHER}

# What sshd does with a command: run it as the user, in a terminal if the client asks for one.
SSH = f"""\
#!{shutil.which("python3", path=PATH)}
import os, pty, pwd, sys
user = pwd.getpwnam({OTHER!r})
if os.getuid() == 0:
    os.setgroups([])
    os.setgid(user.pw_gid)
    os.setuid(user.pw_uid)
os.chdir("/")
command = ["/bin/sh", "-c", sys.argv[-1]]
if "-tt" not in sys.argv:
    os.execv(command[0], command)
sys.exit(os.WEXITSTATUS(pty.spawn(command)))
"""

Case = dict[str, Any]


class Site:
    """A directory that every user can read, with a collabsu for each case."""

    def __init__(self, root: Path) -> None:
        self.root = root
        self.hosts: dict[str, Case] = {}
        self.results: dict[str, Any] = {}
        self.output = ""
        shutil.copy(FAKE, self.root / "fake")
        self.write("ssh", SSH)

    def write(self, name: str, text: str) -> Path:
        """Write an executable."""
        path = self.root / name
        path.write_text(text)
        path.chmod(0o755)
        return path

    def collabsu(self, name: str, **config: Any) -> Path:
        """Make a collabsu with this configuration; the path of its executable."""
        log = self.root / f"{name}.log"
        log.touch()
        log.chmod(0o666)
        whole = {
            "passwords": dict.fromkeys(CALLERS.values(), PASSWORD),
            "accounts": {ACCOUNT: ["*"]},
        }
        whole.update(log=str(log), **config)
        self.root.joinpath(f"{name}.json").write_text(json.dumps(whole))
        fake = f'COLLABSU_CONFIG={self.root}/{name}.json exec {self.root}/fake "$@"'
        return self.write(f"{name}.collabsu", f"#!/bin/sh\n{fake}\n")

    def log(self, name: str) -> list[str]:
        """Return what a collabsu has recorded."""
        return self.root.joinpath(f"{name}.log").read_text().splitlines()

    def add(self, name: str, connection: str, config: Case, variables: Case) -> None:
        """Add a host, which stands for one case."""
        host = {
            "ansible_connection": connection,
            "ansible_become_exe": str(self.collabsu(name, **config)),
            "ansible_become_user": ACCOUNT,
            "ansible_become_password": PASSWORD,
            "command": 'printf %s "$COLLABSU_ACCOUNT of $(id -un)"',
        }
        host.update(variables)
        self.hosts[name] = {key: value for key, value in host.items() if value is not None}

    def inventory(self) -> Path:
        """Write the inventory."""
        everywhere = {
            "ansible_become": True,
            "ansible_become_method": "jgi.jaws.collabsu",
            "ansible_python_interpreter": shutil.which("python3", path=PATH),
            "ansible_pipelining": True,
            # Without pipelining, files are transferred; how that works is not tested here.
            "ansible_shell_allow_world_readable_temp": True,
            "ansible_ssh_executable": str(self.root / "ssh"),
            "ansible_ssh_transfer_method": "piped",
            "ansible_collabsu_timeout": PATIENCE,
            "ansible_local_become_success_timeout": PATIENCE,
            "ansible_ssh_timeout": PATIENCE,
        }
        path = self.root / "inventory.yml"
        path.touch(0o600)
        path.write_text(yaml.safe_dump({"all": {"hosts": self.hosts, "vars": everywhere}}))
        return path

    def environment(self) -> dict[str, str]:
        """Return the environment of Ansible, without the user's own settings."""
        self.root.joinpath("ansible.cfg").touch()
        return {
            "PATH": PATH,
            "HOME": str(self.root),
            "LANG": "C.UTF-8",
            "ANSIBLE_CONFIG": str(self.root / "ansible.cfg"),
            "ANSIBLE_COLLECTIONS_PATH": str(ROOT / ".collections"),
            "ANSIBLE_BECOME_ALLOW_SAME_USER": "1",
            "ANSIBLE_CALLBACK_RESULT_FORMAT": "json",
            "ANSIBLE_CALLBACK_FORMAT_PRETTY": "0",
        }

    def run(self) -> None:
        """Run one task on every host, as verbosely as Ansible can."""
        play = {"hosts": "all", "gather_facts": False, "tasks": [{"shell": "{{ command }}"}]}
        playbook = self.root / "playbook.yml"
        playbook.write_text(yaml.safe_dump([play]))
        ansible = Path(sys.executable).with_name("ansible-playbook")
        command = [ansible, "-vvv", "--forks=4", "-i", self.inventory(), playbook]
        done = subprocess.run(
            command,
            env=self.environment(),
            capture_output=True,
            text=True,
            timeout=PATIENCE,
            check=False,
        )
        self.output = done.stdout + done.stderr
        found = re.findall(
            r"^(?:changed|fatal): \[(.*?)\].*? => ({.*})$", self.output, re.MULTILINE
        )
        self.results = {name: json.loads(result) for name, result in found}
        assert set(self.results) == set(self.hosts), self.output[-4000:]


FORMS = ("-c", "trailing", "stdin")
WAYS = [
    (connection, pipelining, form, reads)
    for connection in ("local", "ssh")
    for pipelining in ("pipelined", "files")
    for form in FORMS
    for reads in ("tty", "stdin")
]
# The settings of the fake, the variables for Ansible, and the message to expect.
FAILURES: dict[str, tuple[Case, Case, str]] = {
    "wrong": ({}, {"ansible_become_password": WRONG}, "rejected the password of {caller}"),
    "wrong-stdin": (
        {"reads": "stdin", "tries": 1},
        {"ansible_become_password": WRONG},
        "rejected the password of {caller}",
    ),
    "no-password": (
        {},
        {"ansible_become_password": None},
        "asks for the password of {caller} and none was given. Run again with -K",
    ),
    "refused": ({"accounts": {ACCOUNT: []}}, {}, "does not let {caller} use the account daemon"),
    "unknown-account": ({"accounts": {}}, {}, "does not let {caller} use the account daemon"),
    "missing": (
        {},
        {"ansible_become_exe": "no-such-collabsu"},
        "There is no executable no-such-collabsu on this host",
    ),
    "no-python": ({}, {"ansible_collabsu_python": ["no-such-python"]}, "none of no-such-python"),
    "other-form": ({"forms": ["stdin"]}, {}, "Does it accept a command in the form -c"),
    "unknown-question": (
        {"prompt": "Password+OTP: "},
        {},
        "asks {caller} an unknown question. If it wants the password, add the beginning of the "
        "question to ansible_collabsu_prompts. It said: Password+OTP:",
    ),
}
PIPELINING = {"pipelined": True, "files": False}


def cases(site: Site) -> None:
    """Add every case."""
    for connection, pipelining, form, reads in WAYS:
        variables = {"ansible_pipelining": PIPELINING[pipelining], "ansible_collabsu_form": form}
        name = f"{connection}_{pipelining}_{form}_{reads}"
        site.add(name, connection, {"reads": reads}, variables)
    for connection, caller in CALLERS.items():
        for name, (config, variables, _message) in FAILURES.items():
            site.add(f"{connection}_{name}", connection, config, variables)
        site.add(f"{connection}_mute", connection, {}, mute(site))
        site.add(f"{connection}_self", connection, {}, {"ansible_become_user": caller})
        for form in FORMS:
            config = {"passwords": dict.fromkeys(CALLERS.values())}
            variables = {"ansible_collabsu_form": form, "ansible_become_password": None}
            site.add(f"{connection}_asks_none_{form}", connection, config, variables)
        config = {"prompt": "Password+OTP: "}
        site.add(
            f"{connection}_otp", connection, config, {"ansible_collabsu_prompts": ["Password"]}
        )
        big = {"command": "head -c 300000 /dev/zero | tr '\\0' x"}
        site.add(f"{connection}_big", connection, {}, big)
    retries = {"ansible_become_password": WRONG, "ansible_ssh_retries": 1}
    site.add("ssh_retries", "ssh", {}, retries)


def mute(site: Site) -> Case:
    """Return the variables for a collabsu that prints and does nothing."""
    path = site.write("mute", "#!/bin/sh\nexec sleep 600\n")
    return {"ansible_become_exe": str(path), "ansible_collabsu_timeout": 1}


@pytest.fixture(scope="module")
def site() -> Iterator[Site]:
    """Every case, after one run of Ansible."""
    root = Path(tempfile.mkdtemp(prefix="jjc", dir="/tmp"))
    root.chmod(0o755)
    try:
        made = Site(root)
        cases(made)
        made.run()
        yield made
    finally:
        shutil.rmtree(root)


@pytest.mark.parametrize(("connection", "pipelining", "form", "reads"), WAYS)
def test_the_task_runs_in_the_accounts_shell(
    site: Site, connection: str, pipelining: str, form: str, reads: str
) -> None:
    name = f"{connection}_{pipelining}_{form}_{reads}"
    # Only root's collabsu can change the user.
    user = ACCOUNT if CALLERS[connection] == "root" else CALLERS[connection]
    assert site.results[name]["stdout"] == f"{ACCOUNT} of {user}"
    assert set(site.log(name)) == {"called", "right password", "opened"}


@pytest.mark.parametrize("connection", CALLERS)
@pytest.mark.parametrize("failure", FAILURES)
def test_a_failure_has_a_message_of_its_own(site: Site, connection: str, failure: str) -> None:
    message = FAILURES[failure][2].format(caller=CALLERS[connection])
    # The plugin's documentation says where the local connection of an older Ansible shows it.
    older = connection == "local" and Version(__version__) < Version("2.19")
    told = site.results[f"{connection}_{failure}"]["module_stdout" if older else "msg"]
    assert message in told
    assert "opened" not in site.log(f"{connection}_{failure}")


@pytest.mark.parametrize("connection", CALLERS)
def test_a_wrong_password_is_tried_once(site: Site, connection: str) -> None:
    assert site.log(f"{connection}_wrong") == ["called", "wrong password"]


def test_a_wrong_password_is_tried_once_though_ssh_retries(site: Site) -> None:
    assert "rejected the password" in site.results["ssh_retries"]["msg"]
    assert site.log("ssh_retries") == ["called", "wrong password", "called"]


@pytest.mark.parametrize("connection", CALLERS)
def test_a_collabsu_that_says_nothing_is_not_waited_for(site: Site, connection: str) -> None:
    message = "neither opened a shell as daemon nor asked"
    assert message in site.results[f"{connection}_mute"]["msg"]


@pytest.mark.parametrize("connection", CALLERS)
def test_becoming_the_own_user_asks_for_nothing(site: Site, connection: str) -> None:
    assert site.results[f"{connection}_self"]["stdout"] == f" of {CALLERS[connection]}"
    assert site.log(f"{connection}_self") == []


@pytest.mark.parametrize("connection", CALLERS)
def test_a_collabsu_that_asks_for_nothing_needs_no_password(site: Site, connection: str) -> None:
    for form in FORMS:
        name = f"{connection}_asks_none_{form}"
        assert site.results[name]["stdout"].startswith(f"{ACCOUNT} of ")
        assert set(site.log(name)) == {"called", "opened"}


@pytest.mark.parametrize("connection", CALLERS)
def test_the_prompt_is_an_option(site: Site, connection: str) -> None:
    assert site.results[f"{connection}_otp"]["stdout"].startswith(f"{ACCOUNT} of ")


@pytest.mark.parametrize("connection", CALLERS)
def test_a_long_output_arrives_whole(site: Site, connection: str) -> None:
    assert site.results[f"{connection}_big"]["stdout"] == "x" * 300000


def test_the_most_verbose_output_never_shows_a_password(site: Site) -> None:
    assert "SSH: EXEC" in site.output
    assert "ESTABLISH LOCAL CONNECTION" in site.output
    assert "s3same" not in site.output
    assert WRONG not in site.output


class Sure(Relay):
    """A relay that draws no conclusions from silence, which it need not on a terminal."""

    QUIET = 60

    def wait(self) -> None:
        raise AssertionError("silence was waited for")


class Session:
    """The part for the target, in this process, with files instead of Ansible's connection."""

    def __init__(self, directory: Path, form: str, **config: Any) -> None:
        self.site = Site(directory)
        self.executable = self.site.collabsu("it", **config)
        self.settings = {
            "form": form,
            "success": "OPENED",
            "failure": "FAILED",
            "prompt": "PROMPT",
            "password": True,
            "prompts": ["[sudo] password for"],
            "wrong_password_texts": ["try again"],
            "refused_account_texts": ["not allowed"],
            "timeout": 60,
        }
        self.relay = Relay if config.get("reads") == "stdin" else Sure
        self.threads: list[threading.Thread] = []
        self.files: list[int] = []

    def file(self, content: bytes = b"") -> int:
        """Return a file with this content; a file descriptor."""
        number = os.memfd_create("relay")
        self.files.append(number)
        os.write(number, content)
        os.lseek(number, 0, os.SEEK_SET)
        return number

    def run(self, script: str, source: int, *sinks: int) -> tuple[int, str, str]:
        """Run a script as the account; its exit status, output and errors."""
        command = shlex.join(["/bin/sh", "-c", f"echo OPENED ; {script}"])
        relay = self.relay(ACCOUNT, command, self.settings, [str(self.executable), ACCOUNT])
        relay.stdin = source
        relay.stdout, relay.stderr = sinks or (self.file(), self.file())
        before = signal.getsignal(signal.SIGCHLD)
        try:
            status = relay.run()
        except SystemExit as ended:
            status = int(str(ended.code))
        finally:
            signal.set_wakeup_fd(-1)
            signal.signal(signal.SIGCHLD, before)
            self.end(relay)
            self.threads += [relay.feeder] if relay.opened else []
        return status, *("" if sinks else read(sink) for sink in (relay.stdout, relay.stderr))

    def end(self, relay: Relay) -> None:
        """Close the files as the end of a process does, so that a waiting collabsu ends too."""
        for number in (relay.wake, relay.awaken, relay.terminal, relay.tty):
            os.close(number)
        with relay.child:
            pass


def read(number: int) -> str:
    """Return the content of a file."""
    os.lseek(number, 0, os.SEEK_SET)
    return os.read(number, 10**7).decode()


@pytest.fixture
def session(tmp_path: Path) -> Iterator[Any]:
    """Make sessions, and close their files at the end."""
    made: list[Session] = []

    def make(form: str = "-c", **config: Any) -> Session:
        made.append(Session(tmp_path, form, **config))
        return made[-1]

    yield make
    for one in made:
        for thread in one.threads:
            thread.join()
        for number in one.files:
            os.close(number)


LINE = PASSWORD.encode() + b"\n"


@pytest.mark.parametrize("form", FORMS)
@pytest.mark.parametrize("reads", ["tty", "stdin"])
def test_what_follows_the_password_is_the_commands_input(
    session: Any, form: str, reads: str
) -> None:
    one = session(form, reads=reads)
    big = b"x" * 3_000_000
    status, output, _errors = one.run("cat", one.file(LINE + big))
    assert status == 0
    assert output == "PROMPTOPENED\n" + big.decode()


def test_output_and_errors_stay_apart(session: Any) -> None:
    one = session()
    _status, output, errors = one.run("echo out; echo err >&2", one.file(LINE))
    assert (output, errors) == ("PROMPTOPENED\nout\n", "err\n")


@pytest.mark.parametrize(("script", "expected"), [("exit 3", 3), ("kill -TERM $$", 128 + 15)])
def test_the_commands_exit_status_is_passed_on(session: Any, script: str, expected: int) -> None:
    one = session("trailing")
    assert one.run(script, one.file(LINE))[0] == expected


@pytest.mark.parametrize("form", FORMS)
def test_a_password_that_nobody_asks_for_is_not_the_commands_input(session: Any, form: str) -> None:
    one = session(form, passwords=dict.fromkeys(CALLERS.values()))
    one.settings["timeout"] = 4
    one.relay = Relay
    assert one.run("cat", one.file(b"payload")) == (0, "OPENED\npayload", "")


class Late(Relay):
    """A relay that does not read until the command has ended."""

    def escalate(self) -> None:
        super().escalate()
        if self.opened:
            self.child.wait()


def test_a_commands_last_words_are_not_lost(session: Any) -> None:
    one = session()
    one.relay = Late
    assert one.run("sleep 0.2; echo late", one.file(LINE)) == (0, "PROMPTOPENED\nlate\n", "")


def test_the_command_has_a_terminal_that_nothing_comes_from(session: Any) -> None:
    one = session()
    _status, output, errors = one.run("echo lost > /dev/tty && echo written", one.file(LINE))
    assert (output, errors) == ("PROMPTOPENED\nwritten\n", "")


def test_a_connection_that_sends_no_password_is_named(session: Any) -> None:
    one = session()
    status, output, _errors = one.run("id", one.file())
    assert status == 1
    assert "Ansible's connection did not send it" in output


def test_a_second_question_means_that_the_password_was_wrong(session: Any) -> None:
    one = session(tries=2)
    one.settings["wrong_password_texts"] = []
    status, output, _errors = one.run("id", one.file(WRONG.encode() + b"\n" + LINE))
    assert status == 1
    assert "wrong password" in output
    assert one.site.log("it")[:2] == ["called", "wrong password"]


def test_a_terminal_of_the_connections_does_not_echo_the_password(session: Any) -> None:
    controller, terminal = pty.openpty()
    os.write(controller, LINE)
    assert session().run("true", terminal)[0] == 0
    assert not termios.tcgetattr(terminal)[3] & termios.ECHO
    os.close(controller)
    os.close(terminal)


def test_the_command_goes_on_when_nobody_reads_its_output(session: Any) -> None:
    one = session()
    reader, writer = os.pipe()
    os.close(reader)
    script = "echo unread; echo unread >&2; exit 5"
    assert one.run(script, one.file(LINE), writer, writer)[0] == 5
    os.close(writer)
