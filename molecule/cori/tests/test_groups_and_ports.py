# SPDX-License-Identifier: GPL-3.0-or-later
"""What the kernel says about the groups of a process and the owner of a port, with real users."""

from __future__ import annotations

import os
import subprocess
from collections.abc import Callable, Iterator

import pytest
from conftest import CLONE, Person
from testinfra.host import Host

Login = Callable[[str], Host]

# Records what it is sent, which could contain a key.
LISTEN = """rm -f /tmp/received
nohup python3 -c '
import os, socket
listener = socket.create_server(("127.0.0.1", 64101))
print(os.getpid(), flush=True)
while True:
    with listener.accept()[0] as peer, open("/tmp/received", "ab") as file:
        file.write(peer.recv(4096))
' </dev/null >~/pid 2>/dev/null &
until [ -s ~/pid ]; do sleep 0.1; done"""
CONF = """umask 077 && cat >~/tcp.conf <<'END'
[inet_http_server]
port=127.0.0.1:64101
[supervisord]
[supervisorctl]
serverurl=http://127.0.0.1:64101
username=jaws
password=0123456789abcdefghij
END"""


def forget_the_connection(account: str) -> None:
    """End the connection that ssh keeps open as the account, with its groups."""
    path = f"{os.environ['MOLECULE_EPHEMERAL_DIRECTORY']}/{account}@cori20.nersc.gov"
    command = ["ssh", "-F", "molecule/ssh_config", "-o", f"ControlPath={path}", "-O", "exit"]
    # There may be none.
    subprocess.run([*command, "cori20.nersc.gov"], cwd=CLONE, capture_output=True, check=False)


@pytest.fixture
def an_old_connection_of_jaws(login: Login, machine: Host) -> Iterator[None]:
    """jaws has become a member of jaws_jtm, but its connection is older than that."""
    machine.check_output("gpasswd --delete jaws jaws_jtm")
    forget_the_connection("jaws")
    assert login("jaws").check_output("id -Gn") == "jaws"
    machine.check_output("gpasswd --add jaws jaws_jtm")
    yield
    forget_the_connection("jaws")
    assert login("jaws").check_output("id -Gn") == "jaws jaws_jtm"


@pytest.mark.fault(24)
@pytest.mark.usefixtures("an_old_connection_of_jaws")
def test_a_group_that_is_too_new_for_a_process_is_named_with_the_remedy(ci: Person) -> None:
    played = ci.play("deploy", "--tags=install")
    assert not played.succeeded
    for part in (
        "this process of jaws is not a member of the unix group jaws_jtm.",
        "if it was added recently, close its old sessions (including ssh ControlMaster",
    ):
        assert part in played.said


@pytest.fixture
def a_strangers_port(login: Login) -> Iterator[None]:
    """Another user listens at the address of supervisord."""
    login("stranger").check_output(LISTEN)
    yield
    login("stranger").check_output("kill $(cat ~/pid) && rm -f ~/pid /tmp/received")


@pytest.mark.fault(22)
@pytest.mark.usefixtures("a_strangers_port")
def test_the_key_is_not_sent_to_a_port_of_a_stranger(
    login: Login, machine: Host, ci: Person
) -> None:
    login("jaws").check_output(CONF)
    told = ci.ansible(
        "adhoc",
        "cori_dev_jaws",
        # The question that every playbook asks before it starts a supervisord.
        "--module-name=jgi.jaws.supervisord",
        "--args=config=/home/jaws/tcp.conf",
        "--check",
    )
    login("jaws").check_output("rm ~/tcp.conf")
    assert not told.succeeded
    assert (
        "http://127.0.0.1:64101 is taken by a process of stranger, and you are jaws." in told.said
    )
    assert not machine.file("/tmp/received").exists
