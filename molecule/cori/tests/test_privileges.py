# SPDX-License-Identifier: GPL-3.0-or-later
"""Who may do what, as real users: the service accounts, the operator, and another user."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import pytest
from testinfra.host import Host

Login = Callable[[str], Host]
Access = Callable[[str], dict[str, list[str]]]

ACCOUNTS = ["jaws", "jaws_jtm", "operator", "stranger"]
ROOT = "/tmp/jaws-supervisord"
DEV = "/tmp/jaws-dev"

CONTROL = f"{ROOT}/bin/supervisorctl -c {ROOT}/supervisord-%s.conf status"
CONNECT = (
    f"python3 -c 'import socket; socket.socket(socket.AF_UNIX).connect(\"{ROOT}/run/%s/socket\")'"
)
LIST = "ls %s"
READ = "cat %s >/dev/null"
WRITE = ": >>%s"
SIGNAL = "kill -CONT %s"

# An action, its object, and who may do it. What is in <> is looked up on the host.
TABLE = {
    "control the instance jaws": (CONTROL, "jaws", ["jaws"]),
    "control the instance jtm": (CONTROL, "jtm", ["jaws", "jaws_jtm"]),
    "connect to the socket of jaws": (CONNECT, "jaws", ["jaws"]),
    "connect to the socket of jtm": (CONNECT, "jtm", ["jaws", "jaws_jtm"]),
    "list the directory of jaws's socket": (LIST, f"{ROOT}/run/jaws", ["jaws"]),
    "list the directory of jtm's socket": (LIST, f"{ROOT}/run/jtm", ["jaws", "jaws_jtm"]),
    "list what Supervisor has": (LIST, ROOT, ["jaws"]),
    "list what JAWS has": (LIST, DEV, ["jaws"]),
    "read jaws's key": (READ, f"{ROOT}/supervisord-jaws.conf", ["jaws"]),
    "read jtm's key": (READ, f"{ROOT}/supervisord-jtm.conf", ["jaws", "jaws_jtm"]),
    "read jaws-site.conf": (READ, f"{DEV}/jaws/configs/jaws-site.conf", ["jaws"]),
    "read jaws-central.conf": (READ, f"{DEV}/jaws/configs/jaws-central.conf", ["jaws"]),
    "read jaws-jtm.conf": (READ, f"{DEV}/jtm/configs/jaws-jtm.conf", ["jaws", "jaws_jtm"]),
    "read cromwell.conf": (READ, f"{DEV}/jtm/configs/cromwell.conf", ["jaws", "jaws_jtm"]),
    "write jaws's supervisord.conf": (WRITE, f"{ROOT}/supervisord-jaws.conf", ["jaws"]),
    "write jtm's supervisord.conf": (WRITE, f"{ROOT}/supervisord-jtm.conf", ["jaws"]),
    "write supervisord": (WRITE, f"{ROOT}/bin/supervisord", ["jaws"]),
    "write Supervisor's environment": (WRITE, f"{ROOT}/venv/pyvenv.cfg", ["jaws"]),
    "write jaws-site.conf": (WRITE, f"{DEV}/jaws/configs/jaws-site.conf", ["jaws"]),
    "write jaws-jtm.conf": (WRITE, f"{DEV}/jtm/configs/jaws-jtm.conf", ["jaws"]),
    "write a shim of jaws": (WRITE, "<jaws shim>", ["jaws"]),
    "write a shim of jtm": (WRITE, "<jtm shim>", ["jaws"]),
    "write an environment of jaws": (WRITE, f"{DEV}/jaws/current/site/pyvenv.cfg", ["jaws"]),
    "write an environment of jtm": (WRITE, f"{DEV}/jtm/current/jtm/pyvenv.cfg", ["jaws"]),
    "signal a process of jaws": (SIGNAL, "<jaws pid>", ["jaws"]),
    "signal a process of jtm": (SIGNAL, "<jtm pid>", ["jaws_jtm"]),
}

# What the users' workloads may write: their socket, and their logs.
JTM_WRITES = (f"{ROOT}/run/jtm", f"{ROOT}/log/jtm", f"{DEV}/jtm/logs")

ACCESS = """python3 -c '
import os
for path in open("/var/tmp/everything").read().splitlines():
    if os.access(path, os.R_OK): print("r", path)
    if os.access(path, os.W_OK): print("w", path)
'"""

# What jaws_jtm could try on a file: each line succeeds for a user who may change it.
ATTEMPTS = """
evil=$(mktemp) && path=%s && folder=${path%%/*}
( echo changed >>"$path" ) && echo "wrote to $path"
mv -f "$evil" "$path" && echo "replaced $path"
ln -sfn "$evil" "$path" && echo "linked $path"
rm -f "$path" && echo "removed $path"
chmod u+w,g+w "$path" && echo "opened $path"
mkdir "$folder/mine" && echo "added to $folder"
mv "$folder" "$folder.old" && echo "moved $folder"
rm -f "$evil"
"""


@pytest.fixture(scope="module")
def found(machine: Host) -> dict[str, str]:
    """What has a different name on each host: a shim and a process of each instance."""
    return {
        "<jaws shim>": machine.check_output(f"ls {DEV}/jaws/shims/* | head -1"),
        "<jtm shim>": machine.check_output(f"ls {DEV}/jtm/shims/* | head -1"),
        "<jaws pid>": machine.check_output("pgrep -o -f jaws-site"),
        "<jtm pid>": machine.check_output("pgrep -o -u jaws_jtm -f jaws-jtm"),
    }


@pytest.fixture(scope="module")
def access(machine: Host, login: Login) -> Iterator[Access]:
    """Return what an account may read (C(r)) and write (C(w)) of all that a deploy has made."""
    machine.check_output(f"find {ROOT} {DEV} ! -type l >/var/tmp/everything")

    def ask(account: str) -> dict[str, list[str]]:
        lines = [line.split(" ", 1) for line in login(account).check_output(ACCESS).splitlines()]
        return {kind: [path for this, path in lines if this == kind] for kind in "rw"}

    yield ask
    machine.check_output("rm /var/tmp/everything")


@pytest.mark.parametrize("account", ACCOUNTS)
@pytest.mark.parametrize("what", TABLE)
def test_who_may(login: Login, found: dict[str, str], what: str, account: str) -> None:
    command, thing, allowed = TABLE[what]
    done = login(account).run(command % found.get(thing, thing))
    assert done.succeeded == (account in allowed), done


@pytest.mark.parametrize("account", ["operator", "stranger"])
def test_a_stranger_reads_and_writes_nothing(access: Access, account: str) -> None:
    may = access(account)
    assert (may["r"], may["w"]) == ([], [])


def test_jaws_jtm_writes_its_socket_and_its_logs_and_nothing_else(access: Access) -> None:
    may = access("jaws_jtm")
    assert [path for path in may["w"] if not path.startswith(JTM_WRITES)] == []
    assert len(may["w"]) >= len(JTM_WRITES)
    assert [path for path in may["r"] if path.startswith((f"{DEV}/jaws", f"{ROOT}/run/jaws"))] == []


@pytest.mark.fault(23)
@pytest.mark.parametrize(
    "path",
    [
        f"{ROOT}/supervisord-jaws.conf",
        f"{ROOT}/supervisord-jtm.conf",
        f"{ROOT}/bin/supervisord",
        f"{ROOT}/venv",
        "<jaws shim>",
        "<jtm shim>",
        f"{DEV}/jaws/configs/jaws-site.conf",
        f"{DEV}/jtm/configs/jaws-jtm.conf",
        f"{DEV}/jaws/current/site",
        f"{DEV}/jtm/current/jtm",
        f"{DEV}/jtm/current/jtm/bin/jtm",
    ],
)
def test_jaws_jtm_replaces_nothing_that_anybody_runs(
    login: Login, machine: Host, found: dict[str, str], path: str
) -> None:
    path = found.get(path, path)
    look = f"stat -c '%F %A %U %G %i' {path} {path.rsplit('/', 1)[0]} && readlink -f {path}"
    before = machine.check_output(look)
    assert login("jaws_jtm").run(ATTEMPTS % path).stdout == ""
    assert machine.check_output(look) == before


@pytest.mark.parametrize(("key", "socket"), [("jaws", "jtm"), ("jtm", "jaws")])
def test_the_key_of_one_instance_does_not_open_the_other(
    login: Login, key: str, socket: str
) -> None:
    other = f"sed 's#/run/{key}/socket#/run/{socket}/socket#' {ROOT}/supervisord-{key}.conf"
    command = f"conf=$(mktemp) && {other} >$conf && {ROOT}/bin/supervisorctl -c $conf %s; rm $conf"
    jaws = login("jaws")
    for action in ("status", "shutdown"):
        assert "Server requires authentication" in jaws.run(command % action).stdout
    assert jaws.run(CONTROL % socket).succeeded
