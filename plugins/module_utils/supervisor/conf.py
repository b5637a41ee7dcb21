# Copyright: (c) 2026, The jgi.jaws engineers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""supervisord.conf as text: the daemon's own sections, and the programs' sections after them.

One file holds both, because it is the commit point of a release, but they have different writers:
the daemon's sections and the key belong to the instance, the programs' to the release.
"""

from __future__ import annotations

import re
from typing import Any, Mapping, NamedTuple

from ..errors import JawsError

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
DEFINITION = re.compile(
    r"^\[(?:program|group|eventlistener|fcgi-program):([^\]]+)\]$", re.MULTILINE
)
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


Sections = Mapping[str, Mapping[str, Any]]


class ConfText(NamedTuple):
    """A supervisord.conf as text: the text of the daemon's sections, and that of the programs'."""

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


def split(text: str) -> ConfText:
    """Return the parts of a supervisord.conf, also of one in which people mixed them."""
    head, divider, tail = text.partition(DIVIDER)
    comment, *sections = SECTION.split(tail)
    sections = SECTION.split(head) + sections
    programs = [section for section in sections if PROGRAMS.match(section)]
    others = [section for section in sections if not PROGRAMS.match(section)]
    return ConfText("".join(others), divider + comment + "".join(programs))


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

    :raises JawsError: it would not: a newline, a comment sign after a space, a space at either end.
    """
    text = str(value).lower() if isinstance(value, bool) else str(value)
    if re.search(r"[\r\n\0]|(^|\s)[;#]", text) or text != text.strip():
        raise JawsError(
            f"[{name}] {key}: Supervisor cannot read a value that contains a newline, starts or "
            "ends with a space, or has ; or # after a space. Change the value.",
            reason="bad_option",
        )
    return text.replace("%", "%%")


def complaint(text: str) -> str:
    """Return what Supervisor says of a configuration, without the values that it quotes.

    One of them may be a secret.
    """
    named = re.search(r" for '([^']*)' (?:contains|is badly)", text)
    section = re.search(r" in section '([^']*)' \(file: ", text)
    lines = re.findall(r"(?:\[line|, line:)\s+(\d+)", text)
    where = [found.group(1) for found in (named, section) if found] + [
        f"line {line}" for line in lines
    ]
    bare = re.sub(
        r"['\"].*['\"]", "(not shown)", text.split(" Available names:")[0], flags=re.DOTALL
    )
    bare = " ".join(bare.replace("CANT_REREAD: ", "").split())
    return f"{', '.join(where)}: {bare}" if where else bare


def marked(release: str, programs: str) -> str:
    """Return the programs' part of a supervisord.conf for a release."""
    return f"{DIVIDER}; release: {release}\n\n{programs}"


def definitions(programs: str) -> dict[str, str]:
    """Return the section of each program or group in the text, by its name."""
    parts = DEFINITION.split(programs)
    return dict(zip(parts[1::2], parts[2::2]))


def differing(before: str, after: str) -> list[str]:
    """Return the names of the programs and groups that are defined otherwise, new or gone."""
    old, new = definitions(before), definitions(after)
    return sorted(
        name for name in {*old, *new} if old.get(name, "").strip() != new.get(name, "").strip()
    )


def redact(text: str) -> str:
    """Return the text without its secrets, for diffs: keys, environments, those in urls."""
    bare = re.sub(r"(//[^/\s:@]*):[^/\s@]*@", r"\1:(not shown)@", text)
    return SECRET.sub(r"\1 (not shown)", bare)
