# Copyright: (c) 2026, The jgi.jaws engineers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The one error type that utilities raise, its reasons, and what its message may quote.

Only a module's C(main()) turns the error into C(fail_json).
"""

from __future__ import annotations

import base64
import itertools
import re
import unicodedata
from functools import lru_cache
from typing import Callable, Iterable, Mapping
from urllib.parse import unquote

# The words that RV(reason) may have in a module's result, and what each means. They are public.
REASONS = {
    "address_taken": "another process uses the address of a supervisord",
    "ambiguous_program": "a name means several programs; write it with its group",
    "bad_option": "an option has a wrong value, which the message names",
    "bad_release": "a release cannot be gone back to: it is marked bad, or it never ran",
    "bad_wheel": "a wheel is not whole, or arrived damaged",
    "broken_conf": "a supervisord.conf cannot be parsed, or Supervisor would not run it",
    "broken_record": "a release's record cannot be read",
    "build_failed": "an environment could not be built; what runs is untouched",
    "cannot_lock": "a path cannot be locked: its filesystem has no locks, or we may not",
    "cannot_start": "a background command or its log could not be opened",
    "cannot_write": "a file, a directory or a link could not be made",
    "did_not_start": "a supervisord ended at its start or reload, or did not answer after it",
    "down": "nothing listens at the supervisord's address, or it is stopping",
    "ended_at_once": "a background command ended within its first seconds",
    "ended_before_reload": "a background command ended before it could be reloaded",
    "failed": "any other cause, which the message names",
    "foreign_owner": "a path, a process or a port belongs to another user; it was left alone",
    "frozen": "a supervisord runs but does not answer; the message names its pid",
    "incomplete_release": "files that a release needs are gone; deploy again",
    "locked": "another run is at work and did not end in time; the message names it",
    "lost_program": "supervisord cannot signal a program, which would outlive its stop",
    "may_not_connect": "the socket's mode keeps this user out",
    "may_not_start": "the supervisord is down, and only another user may start it",
    "missing_command": "a command of a release is not there, or its new code does not start",
    "no_constraints": "a constraints file on the control node cannot be read",
    "no_proc": "the host has no Linux /proc",
    "no_wheels": "no wheel on the control node matches a pattern, or several do",
    "not_a_member": "this process is not a member of a group that files are to belong to",
    "not_installed": "there is no Supervisor where the options say",
    "not_permitted": "another user's process cannot be signalled",
    "partial_group": "only the whole group of a program can be removed or replaced",
    "program_failed": "a program could not be started or stopped, or failed after its start",
    "refused_by_supervisord": "supervisord refused a request for another reason",
    "runs_elsewhere": "an instance that was moved still runs at its old path",
    "runs_this_play": "a process cannot be stopped because it runs this play",
    "runs_twice": "a background command or a supervisord runs more than once",
    "still_running": "a process or a program has not ended, or must be stopped first",
    "stopped_by_others": "somebody stopped or restarted a program while it was watched",
    "system_error": "the operating system refused something that a background command needs",
    "timed_out": "something did not happen in time",
    "unhealthy": "a program's health check did not succeed in time",
    "unknown_program": "there is no such program or group",
    "unknown_release": "there is no such release",
    "unreachable": "a supervisord cannot be reached, or something else answers in its place",
    "unreadable_conf": "a supervisord.conf is missing or cannot be read",
    "unreadable_file": "a file of a release, or to copy, cannot be read or is another one",
    "unstable": "a program ended or was restarted while it was watched",
    "unusable_directory": "a directory is missing, open to others, or lacks what is needed",
    "wrong_file_type": "a path is not a regular file, or not a directory",
    "wrong_key": "a supervisord runs with a different user name or key",
}


class JawsError(Exception):
    """What an operator must know: what failed, where, why, and what to do next.

    C(reason) is one of C(REASONS), for code and playbooks; the message is for people and never
    contains a secret. C(details) are further results of the module.
    """

    def __init__(self, message: str, reason: str = "failed", **details: object) -> None:
        super().__init__(message)
        self.reason = reason
        self.details = details


# --- what a message may quote -------------------------------------------------------------------

HIDDEN = "********"  # as Ansible writes it
SHORTEST = 4  # characters of a secret: without a shorter one, few texts would be left
SHORTEST_LINE = 8  # of a secret that has several, such as a private key
SECRET_NAME = re.compile(r"passw|secret|token|credential|(api|access|private)[_-]?key", re.I)
# These begin only where a word does: a log may have lines of a megabyte without a space.
LOGIN = re.compile(r"\b(\w+)://([^\s/'\"]+)@")  # in a url
BASE64 = re.compile(r"[A-Za-z0-9+/_-]{4,}={0,2}")
BREAK = r"(?:\\+r|\r)?(?:\\+n|\n)[ \t]*"  # also as JSON and Python write it
LINES_OF_BASE64 = re.compile(
    rf"(?<![A-Za-z0-9+/_-])[A-Za-z0-9+/_-]{{4,}}(?:{BREAK}[A-Za-z0-9+/_-]+)+={{0,2}}"
)
UNSEEN = ("Cc", "Cf", "Cs", "Zl", "Zp")  # categories: control, format, surrogate, separators
ESCAPED = {
    "\0": "0", "\a": "a", "\b": "b", "\t": "t", "\n": "n", "\v": "v", "\f": "f", "\r": "r",
    "\x1b": "[eE]",
}  # fmt: skip
OTHERWISE = {
    " ": [r"\+"],
    "\n": [r"\r?\n[ \t]*"],  # as configparser continues a line
    "'": [r"\'\\+\'\'", """'"'"'"""],  # as shells quote it
    '"': ["&quot;"],
    "$": [r"\$\{DOLLAR\}"],  # as JAWS's jaws-site.conf has it
    "&": ["&amp;"],
    "<": ["&lt;"],
    ">": ["&gt;"],
}
DOUBLED = "%$'\""  # in configurations and SQL
_secrets: set[str] = set()
_withheld: set[str] = set()


def keep_secret(*values: object) -> None:
    """Note values that C(quoted) shows in none of the forms in which a program may write them."""
    for text in (str(value) for value in values if value is not None):
        lines = [line for line in text.splitlines() if len(line) >= SHORTEST_LINE]
        _secrets.update(part for part in (text, *lines) if len(part.strip()) >= SHORTEST)


def keep_named_secrets(variables: Mapping[str, object]) -> None:
    """Note the values of variables that have the name of a secret, and passwords in urls."""
    keep_secret(*(value for name, value in variables.items() if SECRET_NAME.search(name)))
    keep_secret(*(part for value in variables.values() for part in in_urls(str(value))))


def in_urls(text: str) -> list[str]:
    """Return the password of each url in the text, or the token that it has instead of a user."""
    found = [
        login.partition(":")[2] or login
        for scheme, login in LOGIN.findall(text)
        if ":" in login or scheme in ("http", "https")
    ]
    return found + [unquote(part) for part in found if "%" in part]


def withhold(why: str) -> None:
    """Quote nothing any more, because the secrets are not known."""
    _withheld.add(why)


def forget_secrets() -> None:
    """Forget all secrets, which are those of one run."""
    _secrets.clear()
    _withheld.clear()


def quoted(text: str) -> str:
    """Return what another program has written, as it may be shown.

    Without secrets, and with control characters visible, which a terminal would obey.
    """
    if _withheld:
        return f"(not shown, because {'; '.join(sorted(_withheld))})"
    pattern, holds_any = _search(frozenset(_secrets))
    for words in (BASE64, LINES_OF_BASE64):
        text = words.sub(lambda word: HIDDEN if holds_any(word[0]) else word[0], text)
    text = LOGIN.sub(rf"\1://{HIDDEN}@", pattern.sub(HIDDEN, text) if pattern else text)
    return "".join(map(_visible, text.replace("\r\n", "\n")))


def _visible(character: str) -> str:
    if character in "\n\t" or unicodedata.category(character) not in UNSEEN:
        return character
    return character.encode("unicode_escape").decode()


@lru_cache(maxsize=1)
def _search(
    secrets: frozenset[str],
) -> tuple[re.Pattern[str] | None, Callable[[str], bool]]:
    """Return what finds the secrets, and what finds them in base64, of one line or of several."""
    longest_first = sorted(secrets, key=len, reverse=True)
    pattern = re.compile("|".join(map(_spellings, longest_first))) if secrets else None
    inside = [part for secret in secrets for part in _in_base64(secret.encode("utf-8", "replace"))]

    def holds_any(word: str) -> bool:
        usual = re.sub(BREAK, "", word).replace("-", "+").replace("_", "/")
        return any(part in usual for part in inside)

    return pattern, holds_any


def _in_base64(secret: bytes) -> Iterable[str]:
    """Yield what every base64 of a text with the secret contains, for each place that it may have.

    Three bytes make four characters. Those that also depend on what surrounds it are left out.
    """
    for before in range(3):
        bits = 8 * (before + len(secret))
        encoded = base64.b64encode(bytes(before) + secret).decode()
        yield encoded[-(-8 * before // 6) : bits // 6]


def _spellings(secret: str) -> str:
    """Return a pattern for a secret in plain text, quoted for a shell, or escaped for a parser."""
    return "".join(_run(character, len([*same])) for character, same in itertools.groupby(secret))


def _run(character: str, times: int) -> str:
    """Return a pattern for a character that is repeated: many equal ones must not be ambiguous."""
    if character.isalnum() and character.isascii():
        return character * times
    forms = [*_escapes(character), *OTHERWISE.get(character, [])]
    if character == "\\":
        whole = [rf"\\{{{times},{4 * times}}}"]
    else:
        forms.insert(0, rf"\\{{0,4}}{re.escape(character)}")
        whole = [rf"{re.escape(character)}{{{times},{2 * times}}}"] * (character in DOUBLED)
    each = "|".join(forms)
    return f"(?:{'|'.join([*whole, f'(?:{each}){{{times}}}'])})"


def _escapes(character: str) -> list[str]:
    """Return patterns for a character in urls, JSON, HTML, and Python's and shells' escapes."""
    code, data = ord(character), character.encode("utf-8", "surrogatepass")
    wide = character.encode("utf-16-be", "surrogatepass").hex()
    units = [wide[at : at + 4] for at in range(0, len(wide), 4)]
    back = r"\\{1,4}"
    hexadecimal = [
        "".join(f"%(?:25)?{byte:02x}" for byte in data),
        "".join(f"{back}x{byte:02x}" for byte in data),
        "".join(f"{back}u{unit}" for unit in units),
        f"{back}u{code:08x}",
        f"&#x0*{code:x};",
    ] + [f"{back}x{code:02x}"] * (code < 256)
    octal = "".join(f"{back}0?{byte:03o}" for byte in data)
    letter = [back + ESCAPED[character]] if character in ESCAPED else []
    return [f"(?i:{'|'.join(hexadecimal)})", octal, f"&#0*{code};", *letter]
