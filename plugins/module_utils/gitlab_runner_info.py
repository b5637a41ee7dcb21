# Copyright: (c) 2026, The jgi.jaws engineers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The core of the gitlab_runner_info module: what GitLab reports about a runner, and its host."""

from __future__ import annotations

import json
import os
import pwd
import re
import time
from datetime import datetime
from email.utils import parsedate_to_datetime
from http.client import HTTPException
from pathlib import Path
from typing import Any, NamedTuple
from urllib.error import HTTPError
from urllib.parse import urlsplit

from ansible.module_utils.urls import ConnectionError as UrlsError
from ansible.module_utils.urls import open_url

from . import toml
from .errors import JawsError, keep_secret, quoted
from .system.files import read_text
from .system.waiting import wait_until

LOOPBACK = ("localhost", "127.0.0.1", "::1")
REQUEST_SECONDS = 10
ACCEPTED, REFUSED = 200, 403
POLL_SECONDS = 0.5
ROTATED = (
    "GitLab accepts the token in %s, but not that of the inventory: the runner has rotated it. It "
    "is kept. Put it into the vault."
)
UNDECIDED = (
    "The token in %s differs from that of the inventory, and GitLab did not say which one it "
    "accepts. That in the file is kept until it does."
)
CLOCK_SECONDS = 2  # GitLab's Date header has whole seconds


class Answer(NamedTuple):
    """An HTTP status (0: none), the JSON body, the server's clock minus ours, and any trouble."""

    status: int
    body: dict[str, Any]
    clock: float = 0.0
    trouble: str = ""


def look(params: dict[str, Any], _check_mode: bool) -> dict[str, Any]:
    """Return what GitLab reports, at once or as soon as the runner is what the task waits for.

    :raises JawsError: it is not in time (timed_out).
    """
    check(params)
    seen: dict[str, Any] = {}

    def settled() -> bool:
        seen.update(ask_gitlab(params))
        seen["saw"] = quoted(seen["saw"])
        return params["wait_for"] == "nothing" or seen[params["wait_for"]] or seen["valid"] is False

    keep_secret(own_token(params)[0])
    wait_until(settled, params["timeout"], POLL_SECONDS)
    if params["wait_for"] != "nothing" and not seen[params["wait_for"]]:
        raise JawsError(
            f"The runner is still not {params['wait_for']} after {params['timeout']} s. "
            f"{seen['saw']} Check its log, and the connection from this host to GitLab.",
            "timed_out",
        )
    return {"changed": False, **seen, **host_facts(params["command"])}


def check(params: dict[str, Any]) -> None:
    """Refuse an option that would send a token to the wrong place; never show a token.

    :raises JawsError: names the option (bad_option).
    """
    parts = urlsplit(params["url"])
    allowed = params["allow_http"] or parts.hostname in LOOPBACK
    secure = parts.scheme == "https" or (parts.scheme == "http" and allowed)
    if not secure or not parts.hostname or parts.username or parts.query or parts.fragment:
        raise JawsError(
            "url must be GitLab's https address, without a user name, ? or #.", "bad_option"
        )
    for name in ("token", "api_token"):
        if not re.fullmatch(r"[\x21-\x7e]*", params[name]):
            raise JawsError(
                f"{name} contains a space or another character that no token has. Copy it again.",
                "bad_option",
            )
    if params["wait_for"] == "online" and not params["api_token"]:
        raise JawsError(
            "wait_for=online needs api_token, to ask GitLab. Give it, or use wait_for=valid.",
            "bad_option",
        )


def ask_gitlab(params: dict[str, Any]) -> dict[str, Any]:
    """Return valid, runner_id, online, contacted_at, and a sentence about all of it."""
    answer, warning = verified(params)
    known: dict[str, Any] = dict.fromkeys(("valid", "runner_id", "online", "contacted_at"))
    known.update(kept_token=bool(warning), warn=[warning] if warning else [])
    if answer.status == REFUSED:
        return {**known, "valid": False, "saw": f"{params['url']} has no runner with this token."}
    if answer.status != ACCEPTED:
        return {**known, "saw": f"{params['url']} did not answer properly: {answer.trouble}."}
    number = answer.body.get("id")  # GitLab returns it from 15.9 on
    known.update(valid=True, runner_id=number)
    if not params["api_token"] or not number:
        return {
            **known,
            "saw": f"{params['url']} accepts the token of runner {number or '(number unknown)'}.",
        }
    details = request(params, f"runners/{number}", None, {"PRIVATE-TOKEN": params["api_token"]})
    return {**known, **runner_state(params, number, details)}


def verified(params: dict[str, Any]) -> tuple[Answer, str]:
    """Return GitLab's answer about the better token, and a warning if that is the file's."""
    answer = request(params, "runners/verify", {"token": params["token"]}, {})
    other, number = own_token(params)
    if not other or answer.status == ACCEPTED:
        return answer, ""
    path = config_file(params)
    if answer.status != REFUSED:
        return answer, UNDECIDED % path
    second = request(params, "runners/verify", {"token": other}, {})
    is_same = number in ("", str(second.body.get("id", number)))
    if second.status == ACCEPTED and is_same:
        return second, ROTATED % path
    return answer, UNDECIDED % path if second.status != REFUSED and is_same else ""


def own_token(params: dict[str, Any]) -> tuple[str, str]:
    """Return the token in the configuration of the runner, if it is another one, and its number."""
    path = config_file(params)
    found = toml.parse(read_text(path) or "", path) if params["name"] else {}
    for runner in found.get("runners", []):
        told = {name: toml.text_of(runner, name) for name in ("url", "name", "token", "id")}
        same = (told["url"].rstrip("/"), told["name"]) == (
            params["url"].rstrip("/"),
            params["name"],
        )
        if same and told["token"] != params["token"]:
            return told["token"], told["id"]
    return "", ""


def runner_state(params: dict[str, Any], number: Any, answer: Answer) -> dict[str, Any]:
    """Return online, contacted_at and the sentence for GitLab's answer about the runner."""
    who = f"{params['url']} reports runner {number} as"
    if answer.status != 200:
        return {"saw": f"{params['url']} does not show runner {number}: {answer.trouble}."}
    contact = answer.body.get("contacted_at")
    status = answer.body.get("status") or ("online" if answer.body.get("online") else "offline")
    fresh = not params["since"] or (
        contact and seconds(contact) + CLOCK_SECONDS >= seconds(params["since"]) + answer.clock
    )
    found = {"online": status == "online" and bool(fresh), "contacted_at": contact}
    if found["online"]:
        return {**found, "saw": f"{who} online."}
    when = f"its last contact was {contact}" if contact else "it has never made contact"
    expected = f", expected after {params['since']}" if params["since"] else ""
    return {**found, "saw": f"{who} {status}; {when}{expected}."}


def request(
    params: dict[str, Any], path: str, data: dict[str, str] | None, headers: dict[str, str]
) -> Answer:
    """Ask GitLab's API once. A refusal, or no answer, is returned too."""
    try:
        response = open_url(
            f"{params['url'].rstrip('/')}/api/v4/{path}",
            data=json.dumps(data) if data else None,
            headers={"Content-Type": "application/json", **headers},
            method="POST" if data else "GET",
            timeout=REQUEST_SECONDS,
            ca_path=params["ca_file"],
            follow_redirects="none",  # a token must not be sent anywhere else
        )
        clock = response.headers.get("Date")
        ahead = parsedate_to_datetime(clock).timestamp() - time.time() if clock else 0.0
        body = json.load(response)
        return Answer(response.status, body if isinstance(body, dict) else {}, ahead)
    except HTTPError as error:
        return Answer(error.code, {}, trouble=f"HTTP {error.code} {error.reason}")
    except (OSError, HTTPException, UrlsError, ValueError) as error:
        return Answer(0, {}, trouble=str(error))


def seconds(text: str) -> float:
    """Return an ISO 8601 time in seconds since the epoch."""
    return datetime.fromisoformat(text.replace("Z", "+00:00")).timestamp()


def config_file(params: dict[str, Any]) -> str:
    """Return the path of the configuration: the given one, or the default of gitlab-runner."""
    user = pwd.getpwuid(os.geteuid())
    own = f"{user.pw_dir}/.gitlab-runner" if user.pw_uid else "/etc/gitlab-runner"
    return params.get("config_file") or f"{own}/config.toml"


def host_facts(command: str | None) -> dict[str, Any]:
    """Return what gitlab-runner and the user's systemd use on this host."""
    user = pwd.getpwuid(os.geteuid())
    units = Path(user.pw_dir, ".config/systemd/user")
    found = sorted(units.glob("*.service")) if command else []
    return {
        "user": user.pw_name,
        "home": user.pw_dir,
        "config_file": config_file({}),
        "unit_directory": str(units),
        "units": [str(unit) for unit in found if f'"{command}" ' in unit.read_text()],
        "lingering": os.path.exists(f"/var/lib/systemd/linger/{user.pw_name}"),
        # Without its domain, which a host may start or cease to report.
        "node": os.uname().nodename.split(".")[0],
        "runtime_directory": f"/run/user/{user.pw_uid}",
    }
