#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-3.0-or-later
"""A small GitLab API: what a runner and its administrators use. Standard library only.

    fake_gitlab_api.py --port 0 --port-file FILE [--runner ID:TOKEN]... [--api-token TOKEN]
                       [--files DIRECTORY] [--host 127.0.0.1]

As GitLab's: POST runners/verify, POST jobs/request, PATCH jobs/ID/trace, PUT jobs/ID, and
GET runners/ID (with an access token), all under /api/v4. For the tests: /files/NAME serves a file;
GET /fake/state returns runners, jobs and requests; POST /fake/jobs {"script": "...", "runner": 1}
queues a job, only for that runner if it is named, as with tags;
POST /fake/runners {"id": 1, "token": "..."} adds a runner or changes its token.
"""

from __future__ import annotations

import argparse
import json
import os
import re
import threading
from datetime import datetime, timezone
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from urllib.parse import parse_qs

ONLINE_SECONDS = 7200  # GitLab's own


def now():
    return datetime.now(timezone.utc)


class GitLab:
    """Runners and jobs, all in memory. Every method is called with the lock held."""

    def __init__(self, api_token, files):
        self.lock = threading.Lock()
        self.api_token = api_token
        self.files = files
        self.runners = {}
        self.jobs = {}
        self.requests = []
        self.down = False

    def add_runner(self, number, token):
        runner = self.runners.setdefault(number, {"contacted_at": None, "contacts": 0})
        runner["token"] = token

    def runner_by_token(self, token):
        for number, runner in self.runners.items():
            if token and runner["token"] == token:
                return number
        return None

    def add_job(self, script, variables, wanted=None):
        number = len(self.jobs) + 1
        self.jobs[number] = {
            "script": script,
            "variables": variables,
            "status": "pending",
            "trace": "",
            "runner": None,
            "wanted": wanted,
        }
        return number

    def take_job(self, runner):
        self.runners[runner]["contacted_at"] = now()
        self.runners[runner]["contacts"] += 1
        for number, job in self.jobs.items():
            if job["status"] == "pending" and job["wanted"] in (None, runner):
                job.update(status="running", runner=runner)
                return number
        return None

    def status(self, number):
        contact = self.runners[number]["contacted_at"]
        if contact is None:
            return "never_contacted"
        fresh = (now() - contact).total_seconds() < ONLINE_SECONDS
        return "online" if fresh else "offline"

    def state(self):
        runners = {
            number: {"contacts": runner["contacts"], "status": self.status(number)}
            for number, runner in self.runners.items()
        }
        return {"runners": runners, "jobs": self.jobs, "requests": self.requests}


class Handler(BaseHTTPRequestHandler):
    """Routes requests; the groups of a path's pattern are passed to the method."""

    protocol_version = "HTTP/1.1"
    routes = (
        ("POST", r"/api/v4/runners/verify", "verify"),
        ("POST", r"/api/v4/jobs/request", "request_job"),
        ("PATCH", r"/api/v4/jobs/(\d+)/trace", "trace"),
        ("PUT", r"/api/v4/jobs/(\d+)", "update_job"),
        ("GET", r"/api/v4/runners/(\d+)", "runner"),
        ("GET", r"/files/([\w.-]+)", "file"),
        ("HEAD", r"/files/([\w.-]+)", "file"),
        ("GET", r"/fake/state", "fake_state"),
        ("POST", r"/fake/jobs", "fake_job"),
        ("POST", r"/fake/runners", "fake_runner"),
        ("POST", r"/fake/down", "fake_down"),
    )

    @property
    def gitlab(self):
        return self.server.gitlab

    def route(self):
        self.body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
        with self.gitlab.lock:
            self.gitlab.requests.append(f"{self.command} {self.path}")
            if self.gitlab.down and not self.path.startswith("/fake/"):
                return self.answer(503, {"message": "503 Service Unavailable"})
            for method, pattern, name in self.routes:
                match = re.fullmatch(pattern, self.path)
                if match and method == self.command:
                    return getattr(self, name)(*match.groups())
        return self.answer(404, {"error": "404 Not Found"})

    do_GET = do_HEAD = do_POST = do_PUT = do_PATCH = route

    def given(self):
        """Return the body: JSON, or a form."""
        if "json" in self.headers.get("Content-Type", ""):
            return json.loads(self.body or b"{}")
        return {key: values[0] for key, values in parse_qs(self.body.decode()).items()}

    def answer(self, status, body=None):
        content = b"" if body is None else json.dumps(body, default=str).encode()
        self.send(status, content, "application/json")

    def send(self, status, content, kind):
        self.send_response(status)
        self.send_header("Content-Type", kind)
        self.send_header("Content-Length", str(len(content)))
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(content)

    def log_message(self, *_arguments):
        """Log nothing: GET /fake/state returns the requests."""

    # --- as GitLab ------------------------------------------------------------------------------

    def verify(self):
        token = self.given().get("token")
        number = self.gitlab.runner_by_token(token)
        if number is None:
            return self.answer(403, {"message": "403 Forbidden"})
        return self.answer(200, {"id": number, "token": token, "token_expires_at": None})

    def request_job(self):
        number = self.gitlab.runner_by_token(self.given().get("token"))
        if number is None:
            return self.answer(403, {"message": "403 Forbidden"})
        job = self.gitlab.take_job(number)
        if job is None:
            return self.answer(204)
        found = self.gitlab.jobs[job]
        variables = {"CI": "true", "CI_JOB_ID": job, "CI_RUNNER_ID": number, **found["variables"]}
        steps = [{"name": "script", "script": [found["script"]], "timeout": 3600}]
        listed = [{"key": key, "value": str(value)} for key, value in variables.items()]
        token = f"glcbt-{job}"
        return self.answer(201, {"id": job, "token": token, "variables": listed, "steps": steps})

    def job(self, number, token):
        return self.gitlab.jobs.get(int(number)) if token == f"glcbt-{number}" else None

    def trace(self, number):
        job = self.job(number, self.headers.get("JOB-TOKEN"))
        if job is None:
            return self.answer(403, {"message": "403 Forbidden"})
        job["trace"] += self.body.decode(errors="replace")
        return self.answer(202)

    def update_job(self, number):
        given = self.given()
        job = self.job(number, given.get("token"))
        if job is None:
            return self.answer(403, {"message": "403 Forbidden"})
        job["status"] = given["state"]
        return self.answer(200)

    def runner(self, number):
        if not self.gitlab.api_token or self.headers.get("PRIVATE-TOKEN") != self.gitlab.api_token:
            return self.answer(401, {"message": "401 Unauthorized"})
        runner = self.gitlab.runners.get(int(number))
        if runner is None:
            return self.answer(404, {"message": "404 Not Found"})
        contact, status = runner["contacted_at"], self.gitlab.status(int(number))
        told = contact and contact.isoformat(timespec="milliseconds").replace("+00:00", "Z")
        body = {"id": int(number), "status": status, "online": status == "online"}
        return self.answer(200, {**body, "contacted_at": told})

    # --- for the tests --------------------------------------------------------------------------

    def file(self, name):
        path = os.path.join(self.gitlab.files or "", name)
        if not self.gitlab.files or not os.path.isfile(path):
            return self.answer(404, {"error": "404 Not Found"})
        with open(path, "rb") as file:
            return self.send(200, file.read(), "application/octet-stream")

    def fake_state(self):
        self.answer(200, self.gitlab.state())

    def fake_job(self):
        given = self.given()
        number = self.gitlab.add_job(
            given["script"], given.get("variables", {}), given.get("runner")
        )
        self.answer(201, {"id": number})

    def fake_runner(self):
        given = self.given()
        self.gitlab.add_runner(int(given["id"]), given["token"])
        self.answer(201, {})

    def fake_down(self):
        self.gitlab.down = bool(self.given()["down"])
        self.answer(200, {})


def serve(host, port, runners, api_token="", files=None):
    """Return a server that listens; the caller runs its serve_forever()."""
    server = ThreadingHTTPServer((host, port), Handler)
    server.gitlab = GitLab(api_token, files)
    for number, token in runners:
        server.gitlab.add_runner(number, token)
    return server


def runner_option(text):
    number, token = text.split(":", 1)
    return int(number), token


def main():
    parser = argparse.ArgumentParser(
        description="A small GitLab API for tests",
        fromfile_prefix_chars="@",  # @FILE: one argument per line, so that no token is in `ps`
    )
    parser.add_argument("--host", default="127.0.0.1")
    parser.add_argument("--port", type=int, default=0)
    parser.add_argument("--port-file")
    parser.add_argument("--runner", action="append", default=[], type=runner_option)
    parser.add_argument("--api-token", default="")
    parser.add_argument("--files")
    options = parser.parse_args()
    server = serve(options.host, options.port, options.runner, options.api_token, options.files)
    if options.port_file:
        with open(options.port_file + ".new", "w", encoding="ascii") as file:
            file.write(f"{server.server_address[1]}\n")
        os.replace(options.port_file + ".new", options.port_file)
    server.serve_forever()


if __name__ == "__main__":
    main()
