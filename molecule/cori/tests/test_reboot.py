# SPDX-License-Identifier: GPL-3.0-or-later
"""A boot empties /tmp: what other users made before the operator is refused; recover rebuilds."""

from __future__ import annotations

import subprocess
from collections.abc import Callable, Iterator

import pytest
from conftest import CLONE, Person
from testinfra.host import Host

Login = Callable[[str], Host]

# Each puts at one of our paths what another user would like us to run, read or write through.
TRAP = "printf '#!/bin/sh\\ntouch /tmp/ran\\n' >%s && chmod 0755 %s"
COMMANDS = " && ".join(
    TRAP.replace("%s", f"/tmp/jaws-supervisord/bin/{name}")
    for name in ("supervisord", "supervisorctl")
)
DIRECTORY = (
    f"mkdir -p /tmp/jaws-supervisord/bin && {COMMANDS}"
    " && touch /tmp/jaws-supervisord/supervisord-jaws.conf"
    " /tmp/jaws-supervisord/supervisord-jtm.conf"
)
LINK = "mkdir -p ~/trap && chmod -R a+rwx ~ && ln -s ~/trap /tmp/jaws-supervisord"
FILE = TRAP.replace("%s", "/tmp/jaws-supervisord")
JAWS = "mkdir -m 0777 /tmp/jaws-dev"
# As on LRC: a separate directory of sockets. Another user listens in it, and records what is sent.
LISTEN = """mkdir -p -m 0777 /tmp/sockets/jaws
nohup python3 -c '
import os, socket
listener = socket.socket(socket.AF_UNIX)
listener.bind("/tmp/sockets/jaws/socket")
listener.listen()
print(os.getpid(), flush=True)
while True:
    with listener.accept()[0]:
        open("/tmp/ran", "w").close()
' </dev/null >/tmp/sockets/pid 2>/dev/null &
until [ -s /tmp/sockets/pid ]; do sleep 0.1; done"""

SOCKETS = "--extra-vars=site_supervisord_run_dir=/tmp/sockets"
# What the other user made, where it is, and the playbook that meets it.
TRAPS = {
    "a directory before deploy": (DIRECTORY, "/tmp/jaws-supervisord", ["deploy"]),
    "a directory before supervisors": (DIRECTORY, "/tmp/jaws-supervisord", ["supervisors"]),
    "a symbolic link": (LINK, "/tmp/jaws-supervisord", ["deploy"]),
    "a file": (FILE, "/tmp/jaws-supervisord", ["deploy"]),
    "JAWS's directory": (JAWS, "/tmp/jaws-dev", ["deploy", "--tags=build"]),
    "a socket": (LISTEN, "/tmp/sockets/jaws", ["deploy", SOCKETS]),
}


@pytest.fixture(scope="module", autouse=True)
def rebooted(machine: Host) -> None:
    """The machine has booted."""
    reboot = [CLONE / "molecule/bin/container", "reboot", "cori20.nersc.gov"]
    subprocess.run(reboot, check=True)
    assert machine.check_output("ls /tmp") == ""


@pytest.fixture
def clean_tmp(machine: Host, login: Login) -> Iterator[None]:
    """Remove afterwards what the other user has made and runs."""
    yield
    login("stranger").check_output("[ ! -e /tmp/sockets/pid ] || kill $(cat /tmp/sockets/pid)")
    machine.check_output("rm -rf /tmp/jaws-supervisord /tmp/jaws-dev /tmp/sockets /tmp/ran")


@pytest.mark.fault(21)
@pytest.mark.usefixtures("clean_tmp")
@pytest.mark.parametrize("trap", TRAPS)
def test_what_another_user_made_first_is_refused_with_their_name(
    login: Login, machine: Host, operator: Person, trap: str
) -> None:
    made, path, (playbook, *arguments) = TRAPS[trap]
    login("stranger").check_output(made)
    played = operator.play(playbook, *arguments)
    assert not played.succeeded
    assert f"{path} belongs to stranger" in played.said
    everywhere = f"find {path} ~stranger/ ! -user stranger"
    assert machine.check_output(everywhere) == "", "something was written"
    assert not machine.file("/tmp/ran").exists, "something was run, or connected to"


@pytest.mark.fault(20)
def test_recover_brings_everything_back(login: Login, operator: Person) -> None:
    assert operator.play("recover", "--limit=supervisord").succeeded
    jaws = login("jaws")
    for instance in ("jaws", "jtm"):
        status = jaws.check_output(
            "/tmp/jaws-supervisord/bin/supervisorctl"
            f" -c /tmp/jaws-supervisord/supervisord-{instance}.conf status"
        )
        assert {line.split()[1] for line in status.splitlines()} == {"RUNNING"}
