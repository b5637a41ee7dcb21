# Copyright: (c) 2026, The jgi.jaws engineers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""supervisord.conf as text: the daemon's own sections, and the programs' sections after them.

One file holds both, because it is the commit point of a release, but they have different writers:
the daemon's sections and the key belong to the instance, the programs' to the release.
"""

from __future__ import annotations

import errno
import fcntl
import json
import os
import pwd
import re
import subprocess
import tempfile
from contextlib import contextmanager, suppress
from typing import Any, Iterator, Mapping, NamedTuple

from ansible_collections.jgi.jaws.plugins.module_utils.control import complaint
from ansible_collections.jgi.jaws.plugins.module_utils.errors import JawsError

SERVERS = ("unix_http_server", "inet_http_server")
# What Supervisor reads in the daemon's sections; it ignores every other option in silence. Without
# nodaemon, with which a start would never end, and without the user and the key, which are added.
OPTIONS = {
    "unix_http_server": "file chmod chown",
    "inet_http_server": "port",
    "supervisord": "childlogdir directory environment identifier logfile logfile_backups "
    "logfile_maxbytes loglevel minfds minprocs nocleanup pidfile strip_ansi umask user",
    "supervisorctl": "history_file prompt serverurl",
}
# Lines that begin a section that Supervisor knows, and among them those of programs.
SECTION = re.compile(
    r"^(?=[ \t]*\[(?:unix_http_server|inet_http_server|supervisord|supervisorctl|include"
    r"|(?:program|group|eventlistener|fcgi-program|rpcinterface|ctlplugin):[^\]]*)\])",
    re.MULTILINE,
)
PROGRAMS = re.compile(r"[ \t]*\[(program|group|eventlistener|fcgi-program):")
RELEASE = re.compile(r"^; release: (\S+)$", re.MULTILINE)
# An option's name, and its value with the lines that continue it.
SECRET = re.compile(
    r"^([;#\s]*[\w.]*(?:password|secret|token|environment)\w*\s*[=:])"
    r".*(?:\n(?:[ \t]*\n)*[ \t]+\S.*)*",
    re.IGNORECASE | re.MULTILINE,
)
BANNER = (
    "; Written by jgi.jaws. Changes made here are reported and overwritten by the next deploy.\n"
)
DIVIDER = "; Programs. Written by the release; see `releases`.\n"
LINK_TRIES = 100
VALIDATE_SECONDS = 60
CLEAN_PATH = "/usr/local/bin:/usr/bin:/bin"
NO_SUPERVISOR = 3  # exit status of the validator where Python has no Supervisor

# Run by the interpreter that has Supervisor, in the daemon's own environment.
VALIDATOR = """\
import json, shlex, shutil, sys
try:
    from supervisor.options import ServerOptions
except ImportError:
    sys.exit(NO_SUPERVISOR)
options = ServerOptions()
options.realize(["-c", sys.argv[1]])
found = []
for group in options.process_group_configs:
    for config in group.process_configs:
        try:
            command = (shlex.split(config.command) or [""])[0]
        except ValueError:
            command = config.command
        found.append({"name": config.name, "group": group.name, "startsecs": config.startsecs,
                      "stopwaitsecs": config.stopwaitsecs, "stopsignal": int(config.stopsignal),
                      "command": command, "usable": shutil.which(command) is not None})
json.dump(found, sys.stdout)
""".replace("NO_SUPERVISOR", str(NO_SUPERVISOR))

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
    def release(self) -> str | None:
        """The id of the release that wrote the programs, or None."""
        found = RELEASE.search(self.programs)
        return found.group(1) if found else None


def split(text: str) -> Conf:
    """Return the parts of a supervisord.conf, also of one in which people mixed them."""
    head, divider, tail = text.partition(DIVIDER)
    comment, *sections = SECTION.split(tail)
    sections = SECTION.split(head) + sections
    programs = [section for section in sections if PROGRAMS.match(section)]
    others = [section for section in sections if not PROGRAMS.match(section)]
    return Conf("".join(others), divider + comment + "".join(programs))


def daemon_sections(sections: Sections, username: str, key: str) -> str:
    """Return the text of the daemon's sections, with the key where Supervisor wants it.

    :raises JawsError: Supervisor would ignore an option or not read its value back (bad_option).
    """
    credentials = {"username": username, "password": key}
    parts = [BANNER]
    for name, options in sections.items():
        if not isinstance(options, Mapping):
            raise JawsError(f"[{name}]: give its options as a dictionary.", "bad_option")
        refuse_unknown(name, options)
        secured = name in SERVERS or name == "supervisorctl"
        parts.append(section(name, dict(options, **credentials) if secured else options))
    return "\n".join(parts) + "\n"


def refuse_unknown(name: str, options: Mapping[str, Any]) -> None:
    """Refuse what Supervisor would ignore, and a port that the network reaches.

    :raises JawsError: names the section and the option (bad_option).
    """
    if name.startswith(("rpcinterface:", "ctlplugin:")):
        return  # each factory has options of its own
    if name not in OPTIONS:
        raise JawsError(
            f"[{name}] is none of the daemon's sections, which are {', '.join(OPTIONS)} and "
            "rpcinterface:NAME. Correct its name; programs come with a release.",
            reason="bad_option",
        )
    unknown = sorted(set(options) - set(OPTIONS[name].split()))
    if unknown:
        raise JawsError(
            f"[{name}] takes no option {', '.join(unknown)}. It takes "
            f"{', '.join(OPTIONS[name].split())}; the user and the key come by themselves.",
            reason="bad_option",
        )
    port = str(options.get("port", ""))
    if name == "inet_http_server" and not re.match(r"(127\.0\.0\.1|localhost):\d+\Z", port):
        raise JawsError(
            f"[inet_http_server] port={port}: only 127.0.0.1:PORT is taken, since the key "
            "would cross the network in clear text.",
            reason="bad_option",
        )


def section(name: str, options: Mapping[str, Any]) -> str:
    """Return one section's text; an option without a value is left out.

    :raises JawsError: Supervisor would not read it back so (bad_option).
    """
    given = {key: value for key, value in options.items() if value is not None and value != ""}
    wrong = [key for key in given if not re.match(r"[A-Za-z0-9_.-]+\Z", key)]
    if wrong or not re.match(r"[^\s\]\[;#]([^\r\n\]\[]*[^\s\]\[])?\Z", name):
        raise JawsError(f"[{name}] {wrong or ''} is no name for Supervisor.", "bad_option")
    lines = [f"{key}={escape(name, key, value)}\n" for key, value in given.items()]
    return f"[{name}]\n{''.join(lines)}"


def escape(name: str, key: str, value: Any) -> str:
    """Return the value as Supervisor's parser reads it back unchanged.

    :raises JawsError: it would not be: a newline, a comment sign after a blank, an outer blank.
    """
    text = str(value).lower() if isinstance(value, bool) else str(value)
    if re.search(r"[\r\n\0]|(^|\s)[;#]", text) or text != text.strip():
        raise JawsError(
            f"[{name}] {key}: Supervisor cannot read a value with a newline, an outer blank, "
            "or a ; or # after a blank. Change the value.",
            reason="bad_option",
        )
    return text.replace("%", "%%")


def clean_environment() -> dict[str, str]:
    """Return the environment of a supervisord: nothing of its starter's reaches a service.

    The parser is given the same, so that it sees what the daemon will see.
    """
    try:
        home = pwd.getpwuid(os.geteuid()).pw_dir
    except KeyError:  # a container may run as a user without a name
        home = "/"
    return {"PATH": CLEAN_PATH, "HOME": home, "LANG": "C.UTF-8", "LC_ALL": "C.UTF-8"}


def validate(path: str, python: str) -> list[dict[str, Any]]:
    """Return the programs in the file at C(path), as C(parse) does.

    :raises JawsError: as C(parse), or a program's command does not exist.
    """
    programs = parse(path, python)
    refuse_missing(programs, path)
    return programs


def refuse_missing(programs: list[dict[str, Any]], path: str) -> None:
    """Refuse programs whose command does not exist.

    :param programs: as C(parse) returned them of the file at C(path).
    :raises JawsError: names them (broken_conf).
    """
    missing = [
        f"{program['name']}: {program['command']}" for program in programs if not program["usable"]
    ]
    if missing:
        raise JawsError(
            f"these programs' commands in {path} do not exist or are not executable: "
            f"{'; '.join(missing)}. Nothing was changed; deploy a release that has them.",
            reason="broken_conf",
        )


def parse(path: str, python: str) -> list[dict[str, Any]]:
    """Return the programs in the file at C(path), as Supervisor's own parser reads them.

    :param python: the interpreter that has Supervisor installed.
    :returns: of each: name, group, startsecs, stopwaitsecs, stopsignal, command, and whether the
      command is usable.
    :raises JawsError: the parser refuses it (broken_conf), or is not there (not_installed).
    """
    try:
        done = subprocess.run(
            [python, "-I", "-c", VALIDATOR, path],
            env=clean_environment(),
            cwd="/",
            stdin=subprocess.DEVNULL,
            capture_output=True,
            timeout=VALIDATE_SECONDS,
            check=False,
        )
    except OSError as error:
        raise _not_installed(python, f"cannot be run: {error.strerror}") from error
    except subprocess.TimeoutExpired:
        raise JawsError(
            f"Supervisor's parser ({python}) took more than {VALIDATE_SECONDS} s over {path}. "
            "Nothing was changed; look at the load of the machine and its filesystems.",
            reason="timed_out",
        ) from None
    if done.returncode == NO_SUPERVISOR:
        raise _not_installed(python, "has no Supervisor")
    if done.returncode:
        raise JawsError(
            f"Supervisor refuses {path}: {_told(done.stderr)}. Nothing was changed; correct "
            "it, then run this again.",
            reason="broken_conf",
        )
    programs: list[dict[str, Any]] = json.loads(done.stdout)
    return programs


def _not_installed(python: str, why: str) -> JawsError:
    return JawsError(
        f"{python} {why}: install Supervisor first (the role supervisord does), or correct the "
        "option python.",
        reason="not_installed",
    )


def _told(output: bytes) -> str:
    """Return what the parser said, without the values that it quotes: one may be the key."""
    text = output.decode("utf-8", "replace").strip()
    found = re.search(r"^Error: (.*?)(?:^For help|\Z)", text, re.DOTALL | re.MULTILINE)
    lines = text.splitlines() or ["no reason given"]
    return complaint(found.group(1) if found else lines[-1]).rstrip(".")


def read_text(path: str) -> str | None:
    """Return a file's text as it is, or None where there is none.

    :raises JawsError: it is there but cannot be read.
    """
    try:
        with open(path, encoding="utf-8", newline="") as stream:
            return stream.read()
    except FileNotFoundError:
        return None
    except (OSError, UnicodeDecodeError) as error:
        why = getattr(error, "strerror", None) or "it is not UTF-8"
        raise JawsError(
            f"cannot read {path}: {why}. Correct that, or move it away.", "unreadable_conf"
        ) from error


class Candidate:
    """A file written aside, closed to others from its first byte, that C(commit) puts in place.

    As a context manager it leaves nothing behind when it is not committed. What a killed run left
    is removed by the next one: a lock tells the candidate of a writer that lives.

    :raises JawsError: it cannot be written so (cannot_write).
    """

    def __init__(self, path: str, text: str, mode: int = 0o600, gid: int | None = None) -> None:
        self.target = path
        self.path = ""
        self._handle = -1
        folder, name = os.path.split(path)
        try:
            sweep(path)
            self._handle, self.path = _create(folder, name)
            self._write(text, mode, gid)
        except (OSError, UnicodeEncodeError) as error:
            self.discard()
            how = f"with mode {mode:04o}" + ("" if gid is None else f" and the group gid {gid}")
            raise self._failure(how, error) from error

    def _write(self, text: str, mode: int, gid: int | None) -> None:
        with open(self._handle, "w", encoding="utf-8", newline="", closefd=False) as stream:
            stream.write(text)
        if gid is not None and os.fstat(self._handle).st_gid != gid:
            os.fchown(self._handle, -1, gid)
        os.fchmod(self._handle, mode)
        os.fsync(self._handle)

    def _failure(self, how: str, error: Exception) -> JawsError:
        why = getattr(error, "strerror", None) or "the text is not UTF-8"
        return JawsError(
            f"cannot write {self.target} {how}: {why}. What was there is untouched.",
            reason="cannot_write",
        )

    def __enter__(self) -> Candidate:
        return self

    def __exit__(self, *_details: Any) -> None:
        self.discard()

    def commit(self) -> None:
        """Replace the target in one step that survives a crash of the machine.

        :raises JawsError: it cannot be replaced, or not be made durable (cannot_write).
        """
        try:
            os.replace(self.path, self.target)
        except OSError as error:
            raise self._failure("in the place of the old one", error) from error
        self.path = ""
        sync_folder(os.path.dirname(self.target))

    def discard(self) -> None:
        """Remove the file, unless it was committed."""
        with suppress(FileNotFoundError):
            os.unlink(self.path)
        if self._handle >= 0:
            os.close(self._handle)
            self._handle = -1


def _create(folder: str, name: str) -> tuple[int, str]:
    """Return a new file, open and locked, and its path."""
    while True:
        handle, path = tempfile.mkstemp(".new", f".{name}.", folder)
        with suppress(OSError):  # where there are no locks, nothing is swept
            fcntl.flock(handle, fcntl.LOCK_EX)
        if os.fstat(handle).st_nlink:
            return handle, path
        os.close(handle)  # another run swept it before it was locked


def sweep(path: str) -> None:
    """Remove the candidates for C(path) that nobody writes any more."""
    folder, target = os.path.split(path)
    _sweep(folder, re.escape(target))


def sweep_folder(path: str) -> None:
    """Remove all candidates in a directory of our own that nobody writes any more."""
    _sweep(path, ".+")


def _sweep(folder: str, target: str) -> None:
    ours = re.compile(rf"\.{target}\.\w{{8}}\.new\Z")  # as tempfile names them
    names: list[str] = []
    with suppress(OSError):  # whoever writes there says so
        names = os.listdir(folder)
    for name in names:
        if ours.match(name):
            path = os.path.join(folder, name)
            # Somebody still writes it, or it is another user's, or there are no locks here.
            with suppress(OSError), open(path, "r+b") as stream:
                fcntl.flock(stream, fcntl.LOCK_EX | fcntl.LOCK_NB)
                os.unlink(path)


def place_link(path: str, target: str) -> None:
    """Make a path a symbolic link in one step, in the place of what was there.

    Its name aside is always the same, so that what a killed run has left is taken away. Of two
    runs at once the last one wins.

    :raises OSError: it cannot be made.
    """
    aside = path + ".new"
    for left in reversed(range(LINK_TRIES)):
        sweep_link(path)
        try:
            os.symlink(target, aside)
            os.replace(aside, path)
            return
        except (FileExistsError, FileNotFoundError):  # another run is at it, too
            if not left:
                raise
        except OSError:
            sweep_link(path)
            raise


def sweep_link(path: str) -> None:
    """Remove what a killed run has left of C(place_link)."""
    with suppress(FileNotFoundError):
        os.unlink(path + ".new")


@contextmanager
def umask(mask: int) -> Iterator[None]:
    """Create files with this umask for a while."""
    old = os.umask(mask)
    try:
        yield
    finally:
        os.umask(old)


def sync_folder(path: str) -> None:
    """Make renames in a directory durable, where its filesystem can.

    :raises JawsError: the storage fails (cannot_write).
    """
    try:
        handle = os.open(path, os.O_RDONLY)
        try:
            os.fsync(handle)
        finally:
            os.close(handle)
    except OSError as error:
        if error.errno not in (errno.EINVAL, errno.ENOTSUP, errno.EACCES):
            raise JawsError(
                f"what was written in {path} may not survive a crash of the machine: "
                f"{error.strerror}. Look at its storage.",
                reason="cannot_write",
            ) from error


def redact(text: str) -> str:
    """Return the text without its secrets, for diffs: keys, environments, those in urls."""
    bare = re.sub(r"(//[^/\s:@]*):[^/\s@]*@", r"\1:(not shown)@", text)
    return SECRET.sub(r"\1 (not shown)", bare)
