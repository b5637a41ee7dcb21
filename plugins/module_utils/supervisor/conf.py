# Copyright: (c) 2026, The jgi.jaws engineers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""supervisord.conf as text: the daemon's own sections, and the programs' sections after them.

One file holds both, because it is the commit point of a release, but they have different writers:
the daemon's sections and the key belong to the instance, the programs' to the release.
"""

from __future__ import annotations

import re
from typing import Any, Collection, Mapping, NamedTuple

from ..errors import SECRET_NAME, JawsError, quoted
from .expansion import EXPANSIONS, unexpanded

# What Supervisor reads in each kind of section; it silently ignores every other option. Without
# the user and the key, which are added.
PROGRAM = (
    "autorestart autostart command directory environment exitcodes killasgroup numprocs "
    "numprocs_start priority process_name redirect_stderr serverurl startretries startsecs "
    "stderr_capture_maxbytes stderr_events_enabled stderr_logfile stderr_logfile_backups "
    "stderr_logfile_maxbytes stderr_syslog stdout_capture_maxbytes stdout_events_enabled "
    "stdout_logfile stdout_logfile_backups stdout_logfile_maxbytes stdout_syslog stopasgroup "
    "stopsignal stopwaitsecs umask user"
)
OPTIONS = {
    "unix_http_server": "file chmod chown",
    "inet_http_server": "port",
    "supervisord": "childlogdir directory environment identifier logfile logfile_backups "
    "logfile_maxbytes loglevel minfds minprocs nocleanup nodaemon pidfile silent strip_ansi umask "
    "user",
    "supervisorctl": "history_file prompt serverurl",
    "include": "files",
    "program:": PROGRAM,
    "eventlistener:": PROGRAM + " buffer_size events result_handler",
    "fcgi-program:": PROGRAM + " socket socket_backlog socket_mode socket_owner",
    "group:": "priority programs",
}
SECURED = re.compile(r"(unix_http_server|inet_http_server|supervisorctl)(:|\Z)")
# Lines that begin a section that Supervisor knows, and among them those of programs.
SECTION = re.compile(
    r"^(?=[ \t]*\[(?:(?:unix|inet)_http_server(?::[^\]]*)?|supervisord|supervisorctl|include"
    r"|(?:program|group|eventlistener|fcgi-program|rpcinterface|ctlplugin):[^\]]*)\])",
    re.MULTILINE,
)
PROGRAMS = re.compile(r"[ \t]*\[(program|group|eventlistener|fcgi-program):")
# The sections that do not concern the daemon, or that it reads without a reload.
NO_RELOAD = re.compile(
    r"(supervisorctl|include)\Z|(ctlplugin|program|group|eventlistener|fcgi-program):"
)
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
# A comment in the programs' part that names a file, in which a release lists its secrets.
SECRETS = re.compile(r"^; secrets: (/.*)$", re.MULTILINE)
# Complaints about a number, a word or a signal, which no option has that may hold a secret.
HARMLESS = re.compile(
    r"(invalid literal for int\(\) with base 10: |not a valid boolean value: "
    r"|bad logging level name |not a valid list of exit codes: |invalid 'autorestart' value "
    r"|value )'[\w.,;:+-]{0,10}'( is not a valid signal (name|number))?"
    r"|\[[^\]]*\] section requires an? \"\w+\" line"
)
VARIABLE = re.compile(r"""\b(\w+)\s*=\s*("[^"]*"|'[^']*'|[^,\s]+)""")  # in an environment
EXPANDED = re.compile(rf"(?<!%)%(%\((?:{EXPANSIONS})\)[-#0 +]*\d*[sdi])")
# What Supervisor expands twice.
TWICE = re.compile(r"^supervisord\.environment$|\.std(out|err)_logfile$")
STOPWAITSECS = 10  # Supervisor's default
OCTAL = ("chmod", "socket_mode", "umask")
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
    def stop_seconds(self) -> int:
        """How many seconds a supervisord with these programs may take to shut down.

        It stops one group after the other, and kills a process that has not ended after its
        stopwaitsecs.
        """
        sections = definitions(self.programs).values()
        found = [re.search(r"^stopwaitsecs=(\d+)", text, re.MULTILINE) for text in sections]
        return sum((int(one.group(1)) if one else STOPWAITSECS) + 1 for one in found)

    @property
    def release(self) -> str | None:
        """The id of the release that wrote the programs, or None."""
        found = RELEASE.search(self.programs)
        return found.group(1) if found else None


def split(text: str) -> ConfText:
    """Return the parts of a supervisord.conf, even if people have mixed them.

    Programs before the dividing line of a file that was written here belong to the daemon's part.
    """
    head, divider, tail = text.partition(DIVIDER)
    comment, *sections = SECTION.split(tail)
    kept = head if divider and head.startswith(BANNER) else ""
    sections = SECTION.split(head[len(kept) :]) + sections
    programs = [section for section in sections if PROGRAMS.match(section)]
    others = [section for section in sections if not PROGRAMS.match(section)]
    return ConfText(kept + "".join(others), divider + comment + "".join(programs))


def is_program(name: str) -> bool:
    """Whether a section of this name is about programs."""
    return bool(PROGRAMS.match(f"[{name}]"))


def needs_reload(name: str) -> bool:
    """Whether a daemon reads a section of this name only when it is reloaded."""
    return not NO_RELOAD.match(name)


def without(text: str, names: Collection[str]) -> str:
    """Return a part of a supervisord.conf without the sections of these names."""
    first, *sections = SECTION.split(text)
    return first + "".join(part for part in sections if _name_of(part) not in names)


def only(text: str, names: Collection[str]) -> str:
    """Return the sections of these names, as they are in the text."""
    found = [part for part in SECTION.split(text)[1:] if _name_of(part) in names]
    return "".join(part.rstrip("\n") + "\n" for part in found)


def _name_of(section: str) -> str:
    return section.lstrip()[1:].partition("]")[0]


def daemon_sections(sections: Sections, username: str, key: str) -> str:
    """Return the text of the daemon's sections, with the key where Supervisor wants it.

    :raises JawsError: Supervisor would ignore an option or not read its value back (bad_option).
    """
    parts = [BANNER]
    for name, options in sections.items():
        if not isinstance(options, Mapping):
            raise JawsError(f"[{name}] must be a dictionary of options.", "bad_option")
        refuse_unknown(name, options)
        text = section(name, options)
        if SECURED.match(name):
            text += f"username={escape(name, 'username', username)}\npassword={key}\n"
        if name != "include" or text != "[include]\n":
            parts.append(text)
    return "\n".join(parts) + "\n"


def refuse_unknown(name: str, options: Mapping[str, Any]) -> None:
    """Refuse what Supervisor would ignore, and a port that can be reached from the network.

    :raises JawsError: names the section and the option (bad_option).
    """
    if name.startswith(("rpcinterface:", "ctlplugin:")):
        return  # each factory has options of its own
    kind, colon, _rest = name.partition(":")
    kind += "" if kind.endswith("_http_server") else colon
    if kind not in OPTIONS:
        raise JawsError(
            f"[{name}] is not a section that Supervisor knows. The sections are "
            f"{', '.join(known + 'NAME' * known.endswith(':') for known in OPTIONS)}, "
            "rpcinterface:NAME and ctlplugin:NAME. Correct its name.",
            reason="bad_option",
        )
    unknown = sorted(set(options) - set(OPTIONS[kind].split()))
    if unknown:
        raise JawsError(
            f"[{name}]: there is no option {', '.join(unknown)}. Correct or remove it. There are "
            f"{', '.join(OPTIONS[kind].split())}; the user and the key are added automatically.",
            reason="bad_option",
        )
    port = str(options.get("port", ""))
    if kind == "inet_http_server" and not re.match(r"(127\.0\.0\.1|localhost):\d+\Z", port):
        raise JawsError(
            f"[{name}] port={port}: the port must be 127.0.0.1:PORT, because the key "
            "would cross the network in clear text.",
            reason="bad_option",
        )


def section(name: str, options: Mapping[str, Any]) -> str:
    """Return one section's text; an option without a value is left out.

    :raises JawsError: Supervisor would not read it back unchanged (bad_option).
    """
    given = {key: value for key, value in options.items() if value is not None and value != ""}
    wrong = [key for key in given if not re.match(r"[A-Za-z0-9_.-]+\Z", key)]
    if wrong or not re.match(r"[^\s\]\[;#]([^\r\n\]\[]*[^\s\]\[])?\Z", name):
        raise JawsError(
            f"[{name}] {wrong or ''} is not a name that Supervisor can read.", "bad_option"
        )
    lines = [f"{key}={_written(name, key, value)}\n" for key, value in given.items()]
    return f"[{name}]\n{''.join(lines)}"


def _written(name: str, key: str, value: Any) -> str:
    """Return the value with every percent sign doubled, except in what Supervisor expands."""
    text = EXPANDED.sub(r"\1", escape(name, key, value))
    return text.replace("%%", percent_sign(f"{name}.{key}"))


def percent_sign(option: str) -> str:
    """Return how a percent sign is written in an option, given as SECTION.OPTION."""
    return "%%%%" if TWICE.search(option) else "%%"


def escape(name: str, key: str, value: Any) -> str:
    """Return the value as Supervisor's parser reads it back unchanged.

    :raises JawsError: it has a newline, a comment sign after a space, or a space at either end; or
        it is not the text that Supervisor reads (bad_option).
    """
    if isinstance(value, (list, tuple, dict)):
        raise JawsError(
            f"[{name}] {key}: write it as one text, as Supervisor reads it, not as a list or a "
            "dictionary.",
            reason="bad_option",
        )
    if key in OCTAL and not isinstance(value, str):
        raise JawsError(
            f"[{name}] {key}: write an octal number in quotes, as '0770'; without them, YAML has "
            f"made {value} of it.",
            reason="bad_option",
        )
    text = str(value).lower() if isinstance(value, bool) else str(value)
    if re.search(r"[\r\n\0]|(^|\s)[;#]", text) or text != text.strip():
        raise JawsError(
            f"[{name}] {key}: Supervisor cannot read a value that contains a newline, starts or "
            "ends with a space, or has ; or # after a space. Change the value.",
            reason="bad_option",
        )
    return text.replace("%", "%%")


def complaint(text: str) -> str:
    """Return Supervisor's complaint about a configuration, without the values that it quotes.

    One of them may be a secret; the name of a program is none.
    """
    text = quoted(text).replace("CANT_REREAD: ", "")
    name = re.match(r"Invalid name: (.*) because of character: ('.')", text)
    if name:
        return f"it does not allow {name.group(2)} in the name {name.group(1)}"
    named = re.search(r" for '([^']*)' (contains names \(.*?\)|is badly)", text)
    section = re.search(r" in section '([^']*)' \(file: ", text)
    lines = re.findall(r"(?:\[line|, line:)\s+(\d+)", text)
    if named:
        option = named.group(1)
        if "." not in option:
            option = f"{section.group(1) if section else 'supervisord'}.{option}"
        return f"{option} {unexpanded(named.group(2), percent_sign(option))}"
    where = [found.group(1) for found in [section] if found] + [f"line {line}" for line in lines]
    bare = re.sub(r" in section '[^']*' \(file: '[^']*'\)\Z", "", text.rstrip())
    bare = bare.split(" Available names:")[0]
    if not HARMLESS.fullmatch(bare):
        bare = " ".join(re.sub(r"['\"].*['\"]", "(not shown)", bare, flags=re.DOTALL).split())
    return f"{', '.join(where)}: {bare}" if where else bare


def marked(release: str, programs: str) -> str:
    """Return the programs' part of a supervisord.conf for a release."""
    return f"{DIVIDER}; release: {release}\n\n{programs}"


def definitions(programs: str) -> dict[str, str]:
    """Return the section of each program or group in the text, by its name."""
    parts = DEFINITION.split(programs)
    return dict(zip(parts[1::2], parts[2::2]))


def differing(before: str, after: str) -> list[str]:
    """Return the names of the programs and groups that are defined differently, new or gone."""
    old, new = definitions(before), definitions(after)
    return sorted(
        name for name in {*old, *new} if old.get(name, "").strip() != new.get(name, "").strip()
    )


def with_secrets(programs: str, path: str) -> str:
    """Return the text of programs with the name of the file that lists their secrets, if any."""
    return f"; secrets: {path}\n\n{programs}" if path else programs


def secret_files(text: str) -> list[str]:
    """Return the files that list the secrets of the releases in a supervisord.conf."""
    return SECRETS.findall(text)


def variables(text: str) -> list[tuple[str, str]]:
    """Return the variables in the value of an option C(environment)."""
    return [(name, value.strip("\"'")) for name, value in VARIABLE.findall(text)]


def secrets_in(name: str, value: str) -> list[str]:
    """Return the secrets in the value of an option of a supervisord.conf, as programs get them."""
    plain = value.replace("%%", "%")
    if name == "environment":
        return [text for name, text in variables(plain) if SECRET_NAME.search(name)]
    return [plain] if SECRET_NAME.search(name) else []


def redact(text: str) -> str:
    """Return the text without its secrets, for diffs: keys, environments, passwords in urls."""
    bare = re.sub(r"(//[^/\s:@]*):[^/\s@]*@", r"\1:(not shown)@", text)
    return SECRET.sub(r"\1 (not shown)", bare)
