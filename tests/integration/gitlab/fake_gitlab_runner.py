#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-3.0-or-later
"""A stand-in for the gitlab-runner binary, in one file. Standard library only, Python 3.8 or newer.

Understands `--version`, `verify` and `run`, each with `-c FILE` or `--config FILE`. By default, the
configuration is ~/.gitlab-runner/config.toml (/etc/gitlab-runner/config.toml for root), as with the
real one. `run` asks for jobs every check_interval seconds and runs their scripts by bash, in
process groups of their own. SIGHUP makes it read the configuration again (the real one also does so
by itself); SIGQUIT makes it end after its jobs; SIGTERM and SIGINT make it abort them and end.
"""

from __future__ import annotations

import contextlib
import json
import os
import signal
import subprocess
import sys
import threading
import time
import urllib.error
import urllib.request

VERSION = "18.0.0-fake"
COMMANDS = ("run", "verify")


def log(message):
    stamp = time.strftime("%H:%M:%S")
    print(f"{stamp} {message}", flush=True)


def read_config(path):
    """Return the tables of a config.toml; it reads only what such a file needs of TOML."""
    config, table = {"runners": []}, None
    with open(path, encoding="utf-8") as file:
        for line in map(str.strip, file):
            if line == "[[runners]]":
                config["runners"].append({})
                table = config["runners"][-1]
            elif line.startswith("["):
                table = config.setdefault(line.strip("[]"), {})
            elif line and not line.startswith("#"):
                key, _equals, value = line.partition("=")
                (config if table is None else table)[key.strip()] = json.loads(value)
    return config


def call(url, method, path, body, headers=None):
    """Return an HTTP status and the JSON of the body; 0 if there is no answer."""
    kind = "application/json" if isinstance(body, dict) else "text/plain"
    content = json.dumps(body).encode() if isinstance(body, dict) else body
    asked = urllib.request.Request(
        f"{url.rstrip('/')}/api/v4/{path}",
        data=content,
        method=method,
        headers={"Content-Type": kind, **(headers or {})},
    )
    try:
        with urllib.request.urlopen(asked, timeout=10) as answer:
            text = answer.read()
            return answer.status, json.loads(text) if text else None
    except urllib.error.HTTPError as error:
        error.close()
        return error.code, None
    except OSError as error:
        log(f"ERROR: {error}")
        return 0, None


class Job(threading.Thread):
    """One job: its script runs, its output goes to GitLab, and then its status."""

    def __init__(self, runner, job):
        super().__init__(daemon=True)
        self.url, self.number, self.token = runner["url"], job["id"], job["token"]
        variables = {variable["key"]: variable["value"] for variable in job["variables"]}
        variables["CI_SERVER_URL"] = runner["url"]
        variables["CI_RUNNER_DESCRIPTION"] = runner["name"]
        script = "\n".join(line for step in job["steps"] for line in step["script"])
        self.child = subprocess.Popen(
            ["bash", "-c", "set -eo pipefail\n" + script],
            env={**os.environ, **variables},
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            preexec_fn=os.setpgrp,
        )
        self.start()

    def run(self):
        # By lines, not to the end of file: a daemon may keep the other end open forever.
        reader = threading.Thread(target=self.forward, daemon=True)
        reader.start()
        status = self.child.wait()
        reader.join(timeout=0.5)
        state = "success" if status == 0 else "failed"
        log(f"Job {self.number} {state}")
        body = {"token": self.token, "state": state}
        while call(self.url, "PUT", f"jobs/{self.number}", body)[0] == 0:
            time.sleep(0.2)

    def forward(self):
        for line in self.child.stdout:
            call(self.url, "PATCH", f"jobs/{self.number}/trace", line, {"JOB-TOKEN": self.token})

    def abort(self):
        with contextlib.suppress(ProcessLookupError):
            os.killpg(self.child.pid, signal.SIGKILL)


class Runner:
    """What `run` does until a signal ends it."""

    def __init__(self, config_file):
        self.config_file = config_file
        self.jobs = []
        self.reload = True
        self.stop = None
        self.config = {"runners": []}

    def on_signal(self, number, _frame):
        if number == signal.SIGHUP:
            self.reload = True
        elif self.stop != signal.SIGTERM:
            self.stop = signal.SIGQUIT if number == signal.SIGQUIT else signal.SIGTERM
            log(f"{signal.Signals(number).name} received")

    def load(self):
        self.reload = False
        try:
            self.config = read_config(self.config_file)
            log("Configuration loaded")
        except (OSError, ValueError) as error:
            log(f"ERROR: Failed to load config {error}")

    def ask(self):
        for runner in self.config["runners"]:
            if self.stop or len(self.jobs) >= self.config.get("concurrent", 1):
                return
            body = {"token": runner["token"], "info": {"version": VERSION}}
            status, job = call(runner["url"], "POST", "jobs/request", body)
            if status == 201:
                log(f"Checking for jobs... received job={job['id']}")
                self.jobs.append(Job(runner, job))
            elif status != 204:
                log(f"ERROR: Checking for jobs... {status}")

    def wait(self, seconds):
        """Sleep in short pieces, because a signal handler may have set a flag."""
        deadline = time.monotonic() + seconds
        while time.monotonic() < deadline and not self.reload and not self.stop:
            time.sleep(0.02)

    def run(self):
        for number in (signal.SIGHUP, signal.SIGQUIT, signal.SIGTERM, signal.SIGINT):
            signal.signal(number, self.on_signal)
        log(f"Starting multi-runner from {self.config_file} pid={os.getpid()} {VERSION}")
        while not self.stop:
            if self.reload:
                self.load()
            self.jobs = [job for job in self.jobs if job.is_alive()]
            self.ask()
            self.wait(self.config.get("check_interval") or 3)
        while any(job.is_alive() for job in self.jobs) and self.stop == signal.SIGQUIT:
            time.sleep(0.02)
        return self.end()

    def end(self):
        running = [job for job in self.jobs if job.is_alive()]
        for job in running:
            job.abort()
        for job in running:
            job.join()
        log("All workers stopped. Can exit now")
        return 1 if self.stop == signal.SIGTERM else 0


def verify(config_file):
    wrong = 0
    for runner in read_config(config_file)["runners"]:
        status, _body = call(runner["url"], "POST", "runners/verify", {"token": runner["token"]})
        log(f"Verifying runner {runner['name']}... {'is valid' if status == 200 else status}")
        wrong += status != 200
    return 1 if wrong else 0


def main(words):
    """Return the exit status."""
    if words in (["--version"], ["-v"]):
        print(f"Version:      {VERSION}")
        return 0
    if not words or words[0] not in COMMANDS:
        print(f"usage: gitlab-runner {' | '.join(COMMANDS)} [--config FILE]", file=sys.stderr)
        return 2
    home = os.path.expanduser("~/.gitlab-runner") if os.getuid() else "/etc/gitlab-runner"
    config_file, rest = os.path.join(home, "config.toml"), words[1:]
    while rest:
        name = rest.pop(0)
        if name in ("-c", "--config"):
            config_file = rest.pop(0)
        else:
            print(f"flag provided but not defined: {name}", file=sys.stderr)
            return 1
    return Runner(config_file).run() if words[0] == "run" else verify(config_file)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
