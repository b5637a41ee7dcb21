# Copyright: (c) 2026, The jgi.jaws engineers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""supervisord.conf as text: the daemon's own sections, and the programs' sections after them.

One file holds both, because it is the commit point of a release, but they have different writers:
the daemon's sections and the key belong to the instance, the programs' to the release.
"""

from __future__ import annotations

import json
import os
import re
import subprocess
import tempfile
from typing import Any, Dict, List, Mapping, NamedTuple, Optional

from ansible_collections.jgi.jaws.plugins.module_utils.errors import JawsError

SERVERS = ("unix_http_server", "inet_http_server")
PROGRAMS = re.compile(r"^\[(program|group|eventlistener|fcgi-program):", re.MULTILINE)
RELEASE = re.compile(r"^; release: (\S+)$", re.MULTILINE)
BANNER = "; Written by jgi.jaws. Changes made here are reported and overwritten by the next deploy.\n"
DIVIDER = "; Programs. Written by the release; see `releases`.\n"
VALIDATE_SECONDS = 60
# A daemon started by us has exactly this environment, so the parser sees what the daemon will see.
CLEAN_PATH = "/usr/local/bin:/usr/bin:/bin"

VALIDATOR = """\
import json, os, shlex, sys
from supervisor.options import ServerOptions
options = ServerOptions()
options.realize(["-c", sys.argv[1]])
found = []
for group in options.process_group_configs:
    for config in group.process_configs:
        command = shlex.split(config.command)[0]
        found.append({"name": config.name, "group": group.name, "startsecs": config.startsecs,
                      "stopwaitsecs": config.stopwaitsecs, "command": command,
                      "usable": "/" not in command or os.access(command, os.X_OK)})
json.dump(found, sys.stdout)
"""

Sections = Mapping[str, Mapping[str, Any]]


class Conf(NamedTuple):
    """A supervisord.conf: the text of the daemon's sections, and that of the programs'."""

    daemon: str
    programs: str

    @property
    def text(self) -> str:
        """The whole file."""
        return self.daemon + self.programs

    @property
    def release(self) -> Optional[str]:
        """The id of the release that wrote the programs, or None."""
        found = RELEASE.search(self.programs)
        return found.group(1) if found else None


def split(text: str) -> Conf:
    """Return the parts of a supervisord.conf, also of one that somebody else wrote."""
    marker = text.find(DIVIDER)
    if marker < 0:
        found = PROGRAMS.search(text)
        marker = found.start() if found else len(text)
    return Conf(text[:marker], text[marker:])


def daemon_sections(sections: Sections, username: str, key: str) -> str:
    """Return the text of the daemon's sections, with the key where Supervisor wants it.

    :raises JawsError: an option's value cannot be written so that it is read back (bad_option).
    """
    credentials = {"username": username, "password": key}
    parts = [BANNER]
    for name, options in sections.items():
        secured = name in SERVERS or name == "supervisorctl"
        parts.append(section(name, dict(options, **credentials) if secured else options))
    return "\n".join(parts) + "\n"


def section(name: str, options: Mapping[str, Any]) -> str:
    """Return one section's text."""
    lines = ["%s=%s\n" % (key, escape(name, key, value)) for key, value in options.items()]
    return "[%s]\n%s" % (name, "".join(lines))


def escape(name: str, key: str, value: Any) -> str:
    """Return the value as Supervisor's parser reads it back unchanged.

    :raises JawsError: it would not be: a newline, a comment sign after a blank, an outer blank.
    """
    text = str(value).lower() if isinstance(value, bool) else str(value)
    if re.search(r"[\r\n\0]|(^|\s)[;#]", text) or text != text.strip():
        raise JawsError(
            "[%s] %s: Supervisor cannot read a value with a newline, an outer blank, or a ; or # "
            "after a blank. Change the value." % (name, key),
            reason="bad_option",
        )
    return text.replace("%", "%%")


def clean_environment(home: str) -> Dict[str, str]:
    """Return the whole environment of a supervisord: nothing of its starter's reaches a service."""
    return {"PATH": CLEAN_PATH, "HOME": home, "LANG": "C.UTF-8", "LC_ALL": "C.UTF-8"}


def validate(path: str, python: str) -> List[Dict[str, Any]]:
    """Return the programs in the file at C(path), as Supervisor's own parser reads them.

    :param python: the interpreter that has Supervisor installed.
    :raises JawsError: the parser refuses the file, or a program's command does not exist.
    """
    home = os.path.expanduser("~")
    try:
        done = subprocess.run(
            [python, "-I", "-c", VALIDATOR, path],
            env=clean_environment(home),
            cwd="/",
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            timeout=VALIDATE_SECONDS,
            check=False,
        )
    except (OSError, subprocess.TimeoutExpired) as error:
        raise JawsError("cannot validate %s with %s: %s." % (path, python, error), "broken_conf") from error
    if done.returncode:
        raise JawsError(
            "Supervisor refuses %s: %s Nothing was changed." % (path, _last_error(done.stderr)), "broken_conf"
        )
    programs: List[Dict[str, Any]] = json.loads(done.stdout)
    missing = ["%(name)s: %(command)s" % program for program in programs if not program["usable"]]
    if missing:
        raise JawsError(
            "these programs' commands do not exist or are not executable: %s." % "; ".join(missing),
            reason="broken_conf",
        )
    return programs


def _last_error(output: bytes) -> str:
    lines = output.decode("utf-8", "replace").strip().splitlines() or ["no reason given"]
    told = [line for line in lines if line.startswith("Error:")]
    return (told or lines[-1:])[0]


def read_text(path: str) -> Optional[str]:
    """Return a file's text, or None where there is none.

    :raises JawsError: it is there but cannot be read.
    """
    try:
        with open(path, encoding="utf-8") as stream:
            return stream.read()
    except FileNotFoundError:
        return None
    except (OSError, UnicodeDecodeError) as error:
        raise JawsError("cannot read %s: %s." % (path, error), reason="unreadable_conf") from error


class Candidate:
    """A file written aside, closed to others from its first byte, that C(commit) puts in place.

    As a context manager it leaves nothing behind when it is not committed.
    """

    def __init__(self, path: str, text: str, mode: int = 0o600, gid: Optional[int] = None) -> None:
        self.target = path
        folder, name = os.path.split(path)
        try:
            handle, self.path = tempfile.mkstemp(dir=folder, prefix="." + name + ".")
        except OSError as error:
            raise JawsError("cannot write in %s: %s." % (folder, error.strerror), "cannot_write") from error
        try:
            with os.fdopen(handle, "w", encoding="utf-8") as stream:
                stream.write(text)
                stream.flush()
                if gid is not None and os.fstat(stream.fileno()).st_gid != gid:
                    os.fchown(stream.fileno(), -1, gid)
                os.fchmod(stream.fileno(), mode)
                os.fsync(stream.fileno())
        except OSError as error:
            self.discard()
            raise JawsError("cannot write %s: %s. The old file is untouched." % (path, error.strerror)) from error

    def __enter__(self) -> "Candidate":
        return self

    def __exit__(self, *_details: Any) -> None:
        self.discard()

    def commit(self) -> None:
        """Replace the target in one step that survives a crash of the machine."""
        os.replace(self.path, self.target)
        sync_folder(os.path.dirname(self.target))

    def discard(self) -> None:
        """Remove the file, unless it was committed."""
        try:
            os.unlink(self.path)
        except FileNotFoundError:
            pass


def sync_folder(path: str) -> None:
    """Make renames in a directory durable."""
    handle = os.open(path, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


def redact(text: str) -> str:
    """Return the text with every key replaced, for diffs."""
    return re.sub(r"(?im)^(\s*password\s*[=:]).*$", r"\1 (the key)", text)
