# SPDX-License-Identifier: GPL-3.0-or-later
"""What we read from a configuration is what a supervisord that runs with it does."""

from __future__ import annotations

import os
import shutil
import sys
from pathlib import Path
from typing import Any

from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st

from ansible_collections.jgi.jaws.plugins.module_utils.supervisor.daemon import Daemon as Ours
from ansible_collections.jgi.jaws.plugins.module_utils.supervisor.parser import Configuration
from tests.integration.conftest import Daemon, wait_until, working
from tests.integration.test_supervisord import environ, field

SUPERVISORD = str(Path(sys.executable).parent / "supervisord")
ME = os.geteuid()
# Root can run programs as other users.
USERS = ["", "user=%(ENV_USER)s\n", f"user={ME}\n", *(["user=nobody\n"] if ME == 0 else [])]

places = st.sampled_from(["%(here)s/", "%(ENV_HOME)s/", "~/", "", "./"])
commands = st.sampled_from(
    ["sleep 1000", "/bin/sleep 1000", "./nap", "%(here)s/nap", "own-nap 'a b'"]
)
environments = st.sampled_from(
    [
        "",
        'environment=PATH="%(here)s/bin:/usr/bin:/bin",A="1,2 \'3\'"\n',
        "environment=A='%(group_name)s'\n",
    ]
)
kinds = st.sampled_from(["program:", "program:", "fcgi-program:", "eventlistener:"])


@st.composite
def sections(draw: st.DrawFn, name: str) -> str:
    """Return the section of one program, and that of its group if it has one."""
    kind = draw(kinds)
    more = {
        "fcgi-program:": f"socket=unix://%(here)s/{name}.fcgi\n",
        "eventlistener:": "events=TICK_3600\n",
    }
    copies = draw(
        st.sampled_from(["", "numprocs=2\nprocess_name=%(program_name)s_%(process_num)02d\n"])
    )
    options = [draw(environments), draw(st.sampled_from(USERS)), copies, more.get(kind, "")]
    options.append(draw(st.sampled_from(["", "directory=/\n", "umask=077\n", "stopsignal=USR1\n"])))
    options.append(draw(st.sampled_from(["", "priority=5\n", "autostart=true\nstopwaitsecs=3\n"])))
    grouped = kind == "program:" and draw(st.booleans())
    group = f"[group:g{name}]\nprograms={name}\n" if grouped else ""
    # A relative command is looked up by supervisord, and executed in the program's directory.
    command = draw(commands.filter(lambda command: options[4][:3] != "dir" or "./" not in command))
    return f"[{kind}{name}]\ncommand={command}\nstartsecs=0\n{''.join(options)}{group}"


@st.composite
def texts(draw: st.DrawFn) -> dict[str, str]:
    """Return the files of one configuration."""
    daemon = [f"{name}={draw(places)}{name}\n" for name in ("pidfile", "logfile")]
    daemon += draw(
        st.lists(
            st.sampled_from(
                [
                    "nodaemon=true\n",
                    "umask=027\n",
                    "directory=%(here)s/bin\n",
                    "identifier=%(ENV_USER)s's\n",
                ]
            ),
            unique=True,
        )
    )
    daemon += [draw(st.sampled_from(USERS[:3])), "environment=B=\"b, 'b'\"\n"]
    server = f"[unix_http_server]\nfile={draw(places)}s\n"
    if ME == 0:
        server += draw(st.sampled_from(["", "chown=nobody\n"]))
    head = f"{server}[supervisord]\n{''.join(daemon)}[include]\nfiles=more/*.ini ./b.ini\n"
    head += "[rpcinterface:supervisor]\nsupervisor.rpcinterface_factory="
    head += "supervisor.rpcinterface:make_main_rpcinterface\n"
    included = {name: draw(sections(name[-5])) for name in ("more/a.ini", "b.ini")}
    return {"supervisord.conf": head + draw(sections("c")), **included}


def write(root: Path, files: dict[str, str]) -> None:
    for folder in ("more", "bin"):
        (root / folder).mkdir(parents=True)
    for path in (root / "nap", root / "more/nap", root / "bin/nap", root / "bin/own-nap"):
        path.write_text("#!/bin/sh\nexec sleep 1000\n")
        path.chmod(0o755)
    for name, text in files.items():
        (root / name).write_text(text)


def listening() -> set[str]:
    """Return the paths of all sockets, as the kernel shows them: Supervisor renames its own."""
    rows = Path("/proc/net/unix").read_text().splitlines()
    return {row.split()[7].rsplit(".", 1)[0] for row in rows if len(row.split()) > 7}


def see_programs(found: Configuration, client: Any) -> None:
    """Check that supervisord says about its programs what was read."""
    theirs = {
        (row["group"], row["name"]): row for row in client.call("supervisor.getAllConfigInfo")
    }
    states = {
        (row["group"], row["name"]): row for row in client.call("supervisor.getAllProcessInfo")
    }
    assert set(theirs) == {(program.group, program.name) for program in found.programs}
    for program in found.programs:
        row = theirs[program.group, program.name]
        assert row["command"] == program.command
        for name, ours in (("uid", program.user), ("directory", program.directory)):
            assert row[name] == ("none" if ours is None else ours)
        for ours, name in (
            ("priority", "process_prio"),
            ("startsecs", "startsecs"),
            ("stopwaitsecs", "stopwaitsecs"),
            ("stopsignal", "stopsignal"),
            ("autostart", "autostart"),
        ):
            assert row[name] == getattr(program, ours), name
        see_process(found, program, states[program.group, program.name])


def see_process(found: Configuration, program: Any, state: dict[str, Any]) -> None:
    if not program.usable:
        assert program.problem in state["spawnerr"]
        return
    pid = state["pid"]
    assert pid, state
    # A child that has just been forked still looks like supervisord.
    wait_until(lambda: "SUPERVISOR_PROCESS_NAME" in environ(pid), "its environment")
    given = environ(pid)
    assert {name: given.get(name) for name in program.environment} == program.environment
    assert given["SUPERVISOR_SERVER_URL"] == found.server_url
    uid = found.user or ME if program.user is None else program.user
    assert field(pid, "Uid").split()[0] == str(uid)
    if program.umask is not None:
        assert field(pid, "Umask") == f"{program.umask:04o}"
    if program.directory:
        assert working(pid) == program.directory


@settings(
    deadline=None,
    max_examples=4,
    derandomize=True,
    phases=[Phase.explicit, Phase.generate],
    suppress_health_check=list(HealthCheck),
)
@given(files=texts())
def test_what_we_read_from_a_configuration_is_what_supervisord_does(
    instance: Daemon, files: dict[str, str]
) -> None:
    root = instance.root / "etc"
    instance.root.chmod(0o755)
    write(root, files)
    home = {"HOME": str(root)}
    daemon = Ours(str(root / "supervisord.conf"), SUPERVISORD, environment=home)
    try:
        daemon.start()
        found, status = daemon.resolved, daemon.status()
        assert status is not None
        with daemon.client as client:
            assert client.call("supervisor.getIdentification") == found.identifier
            assert client.call("supervisor.getPID") == status.pid
            see_programs(found, client)
        assert (status.version, Path(found.pidfile).read_text()) == (
            found.version,
            f"{status.pid}\n",
        )
        assert Path(found.logfile).read_text()
        (server,) = found.servers
        assert server.path in listening()
        assert os.stat(str(server.path)).st_uid == (ME if server.uid == -1 else server.uid)
        assert field(status.pid, "Umask") == f"{found.umask:04o}"
        folder = str(root) if found.nodaemon or not found.directory else found.directory
        assert working(status.pid) == folder
        assert daemon.conf.server_url == found.server_url
        assert daemon.endpoint.socket_path == server.path
    finally:
        running = daemon.status()
        if running:
            daemon.stop(running.pid)
        shutil.rmtree(root)
