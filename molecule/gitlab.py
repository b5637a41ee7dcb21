# SPDX-License-Identifier: GPL-3.0-or-later
"""The small GitLab of a scenario, as its tests ask it: see tests/integration/gitlab."""

from __future__ import annotations

import json
from typing import Any

from testinfra.host import Host

ASK = """
import json, sys, urllib.request
path, body = json.load(sys.stdin)
url = "http://127.0.0.1:8929/fake/" + path
data = json.dumps(body).encode() if body else None
asked = urllib.request.Request(url, data, {"Content-Type": "application/json"})
print(urllib.request.urlopen(asked, timeout=120).read().decode())
"""


class GitLab:
    """The small GitLab in the container."""

    def __init__(self, machine: Host) -> None:
        self.machine = machine

    def ask(self, path: str, **body: Any) -> Any:
        typed = json.dumps([path, body])
        done = self.machine.check_output("python3 -c %s <<'END'\n" + typed + "\nEND", ASK)
        return json.loads(done)

    def job(self, number: int) -> dict[str, Any]:
        found: dict[str, Any] = self.ask("state")["jobs"][str(number)]
        return found

    def contacts(self, number: int) -> int:
        return int(self.ask("state")["runners"][str(number)]["contacts"])
