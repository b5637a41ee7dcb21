# SPDX-License-Identifier: GPL-3.0-or-later
"""The order of work that JAWS's deployment scripts had, as a contender, on the same stand-ins.

Stop everything, delete the virtual environments, build them again, write configurations, shims and
supervisord.conf, reread, start; and continue if a step fails. bench/README.md says what is faithful
and what is not.
"""

from __future__ import annotations

import re
import shutil
import subprocess
import sys
import time
from collections.abc import Mapping
from pathlib import Path

from benchlib.processes import free_port
from benchlib.site import INSTANCES, Site, StandIns

Command = list[str | Path]

BIN = Path(sys.executable).parent
KEY = "the-same-for-both"
STARTING_SECONDS = 30

COMMANDS = {
    "jaws": {
        "jaws-site-daemon": ("site", "jaws-site {options} daemon"),
        "jaws-site-central-rpc": ("site", "jaws-site {options} central-rpc"),
        "jaws-site-jtm-rpc": ("site", "jaws-site {options} jtm-rpc"),
        "jaws-central-auth": ("central", "jaws-central {options} auth"),
        "jaws-central-rest": ("central", "jaws-central {options} rest"),
        "jaws-central-rpc": ("central", "jaws-central {options} rpc"),
    },
    "jtm": {
        "jaws-jtm": (
            "jtm",
            "jtm --config={root}/configs/jaws-jtm.conf --debug manager -ld {root}/logs",
        ),
        "jaws-cromwell": (
            "jtm",
            "java -Dconfig.file={root}/configs/cromwell.conf -jar {root}/cromwell.jar server",
        ),
    },
}
OPTIONS = "--log {root}/logs/{name}.log --config {root}/configs/jaws-{component}.conf"
COMPONENTS = ("site", "central", "jtm")

SHIM = """\
#!/usr/bin/env bash
source {root}/{component}/bin/activate
export JTM_CONFIG_FILE={root}/configs/jaws-jtm.conf
exec {command}
"""
DAEMON = """\
[inet_http_server]
port=127.0.0.1:{port}
username=jaws
password={key}
[supervisord]
logfile={root}/supervisord-{instance}.log
pidfile={root}/{instance}.pid
childlogdir={root}/logs
identifier=old-{instance}
directory={root}
[rpcinterface:supervisor]
supervisor.rpcinterface_factory=supervisor.rpcinterface:make_main_rpcinterface
[supervisorctl]
serverurl=http://127.0.0.1:{port}
username=jaws
password={key}
"""
PROGRAM = """\
[program:{name}]
command={root}/shims/{name}
startsecs={startsecs}
startretries=3
autorestart=unexpected
priority={priority}
"""
# As in the scripts, except what the services need: Cromwell starts after jtm.
CROMWELL = {"startsecs": 10, "priority": 9}
OTHERS = {"startsecs": 3, "priority": 1}


class OldOrder:
    """A deployment by the old order of work, with the configurations of a deployed site."""

    def __init__(self, root: Path, site: Site, stand_ins: StandIns) -> None:
        self.root, self.stand_ins = root / "old", stand_ins
        self.daemon_ports = {instance: free_port() for instance in INSTANCES}
        self.confs = [self.root / f"supervisord-{instance}.conf" for instance in INSTANCES]
        self.ports = {name: free_port() for name in site.ports}
        self.configs = self._taken_from(site)

    def _taken_from(self, site: Site) -> dict[str, str]:
        """Return the configurations of the site, with this contender's own paths and ports."""
        found = {}
        # Those without a digest in their names are links to the current ones.
        links = [path for path in site.root.glob("jaws-dev/*/configs/*.conf") if path.is_symlink()]
        for path in links:
            text = path.read_text().replace(str(site.root), str(self.root))
            for name, port in site.ports.items():
                text = re.sub(rf"\b{port}\b", str(self.ports[name]), text)
            found[path.name] = text
        return found

    def set_up(self) -> None:
        """Deploy for the first time, and start both supervisords: by hand, with the scripts."""
        for name in ("configs", "shims", "logs", "scratch"):
            (self.root / name).mkdir(parents=True)
        self._install(dict.fromkeys(COMPONENTS, ""))
        self._write(self.configs)
        for conf in self.confs:
            subprocess.run([BIN / "supervisord", "-c", str(conf)], check=True, cwd="/")
        self._wait_for_daemons()
        self._control("start")

    def deploy(self, requirements: Mapping[str, str], configs: Mapping[str, str]) -> None:
        """Deploy again.

        :param requirements: what to install instead of a component's wheel.
        :param configs: texts that replace some configurations.
        """
        self._control("stop")
        for name in COMPONENTS:
            shutil.rmtree(self.root / name)
        self._install({name: requirements.get(name, "") for name in COMPONENTS})
        self._write({**self.configs, **configs})
        self._control("reread")
        self._control("start")

    def _install(self, wanted: Mapping[str, str]) -> None:
        for name, requirement in wanted.items():
            subprocess.run([sys.executable, "-m", "venv", self.root / name], check=True)
            wheels = self.stand_ins.dist.glob(f"jaws_{name}-*.whl")
            what = [requirement] if requirement else [str(wheel) for wheel in wheels]
            # The scripts continue, whatever pip has done.
            pip: Command = [self.root / name / "bin/pip", "install", "--quiet", "--no-index", *what]
            subprocess.run(pip, check=False, capture_output=True)

    def _write(self, configs: Mapping[str, str]) -> None:
        for name, text in configs.items():
            (self.root / "configs" / name).write_text(text)
        shutil.copy(self.stand_ins.dist / "cromwell.jar", self.root)
        for instance, commands in COMMANDS.items():
            conf = DAEMON.format(
                root=self.root, instance=instance, port=self.daemon_ports[instance], key=KEY
            )
            for name, (component, command) in commands.items():
                self._write_shim(name, component, command)
                about = CROMWELL if name == "jaws-cromwell" else OTHERS
                conf += PROGRAM.format(name=name, root=self.root, **about)
            conf += f"[group:jaws-dev]\nprograms={','.join(commands)}\n"
            (self.root / f"supervisord-{instance}.conf").write_text(conf)

    def _write_shim(self, name: str, component: str, command: str) -> None:
        options = OPTIONS.format(root=self.root, name=name, component=component)
        full = command.format(root=self.root, options=options)
        shim = self.root / "shims" / name
        shim.write_text(SHIM.format(root=self.root, component=component, command=full))
        shim.chmod(0o755)

    def _control(self, action: str) -> None:
        group = [] if action == "reread" else ["jaws-dev:*"]
        for conf in self.confs:
            command: Command = [BIN / "supervisorctl", "-c", conf, action, *group]
            subprocess.run(command, check=False, capture_output=True, cwd="/")

    def _wait_for_daemons(self) -> None:
        deadline = time.monotonic() + STARTING_SECONDS
        for conf in self.confs:
            command: Command = [BIN / "supervisorctl", "-c", conf, "pid"]
            while subprocess.run(command, capture_output=True, check=False, cwd="/").returncode:
                if time.monotonic() > deadline:
                    raise RuntimeError(f"the supervisord of {conf} does not start")
                time.sleep(0.1)
