# SPDX-License-Identifier: GPL-3.0-or-later
"""Do on a host what a site's administrators have done before the first deploy.

What is wanted comes as JSON on standard input; each key is optional:

    groups        names
    accounts      {"name": ..., "groups": [...], "linger": true}, each with a group of its own
    passwords     by account
    directories   owners by path
    files         {"path": ..., "content" or "base64": ..., "mode": ..., "owner": ...}
    links         targets by path
    services      units that run now and after each boot

One process does everything, because an Ansible task for each of them would take far longer.
"""

import base64 as base64_module
import json
import os
import pwd
import shutil
import subprocess
import sys
import time
from pathlib import Path

NOTHING = {
    "groups": [],
    "accounts": [],
    "passwords": {},
    "directories": {},
    "files": [],
    "links": {},
    "services": [],
}
SECONDS = 60


def run(*command, given=None):
    """Run a command, which succeeds."""
    subprocess.run(command, input=given, text=True, check=True)


def is_there(database, name):
    """Whether an account (passwd) or a group exists."""
    looked = subprocess.run(["getent", database, name], stdout=subprocess.DEVNULL, check=False)
    return looked.returncode == 0


def make_group(name):
    if not is_there("group", name):
        run("groupadd", name)


def make_account(name, groups=(), linger=False):
    """Make an account; if it lingers, its user manager runs without a login."""
    make_group(name)
    if not is_there("passwd", name):
        run("useradd", "--create-home", "--shell=/bin/bash", "--gid", name, name)
    if groups:
        run("usermod", "--append", "--groups", ",".join(groups), name)
    if linger:
        run("loginctl", "enable-linger", name)


def wait_for_user_manager(name):
    private = Path("/run/user", str(pwd.getpwnam(name).pw_uid), "systemd/private")
    deadline = time.monotonic() + SECONDS
    while not private.exists():
        if time.monotonic() > deadline:
            sys.exit(f"the user manager of {name} did not make {private} within {SECONDS} s")
        time.sleep(0.05)


def make_directory(path, owner):
    os.makedirs(path, exist_ok=True)
    shutil.chown(path, owner, owner)


def write_file(path, content="", base64="", mode="0644", owner="root"):
    """Write a file that other users cannot read before it has its mode."""
    os.makedirs(os.path.dirname(path), exist_ok=True)
    with open(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), "wb") as stream:
        stream.write(base64_module.b64decode(base64) or content.encode())
    shutil.chown(path, owner)
    os.chmod(path, int(mode, 8))


def make_link(path, target):
    os.makedirs(os.path.dirname(path), exist_ok=True)
    if not os.path.lexists(path):
        os.symlink(target, path)


def start(services):
    run("systemctl", "daemon-reload")
    run("systemctl", "enable", "--quiet", "--now", *services)


def make_people(wanted):
    for name in wanted["groups"]:
        make_group(name)
    for account in wanted["accounts"]:
        make_account(**account)
    for name, password in wanted["passwords"].items():
        run("chpasswd", given=f"{name}:{password}")
    for account in wanted["accounts"]:
        if account.get("linger"):
            wait_for_user_manager(account["name"])


def make_things(wanted):
    for path, owner in wanted["directories"].items():
        make_directory(path, owner)
    for file in wanted["files"]:
        write_file(**file)
    for path, target in wanted["links"].items():
        make_link(path, target)
    if wanted["services"]:
        start(wanted["services"])


def main():
    os.umask(0o022)
    wanted = {**NOTHING, **json.load(sys.stdin)}
    make_people(wanted)
    make_things(wanted)


if __name__ == "__main__":
    main()
