# Copyright: (c) 2026, The jgi.jaws engineers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Environment modules: the bash that loads them, the same for builds and for services.

Environment Modules 3.2 reports success even for a module that does not exist, so what counts is
what is loaded afterwards. It works with Environment Modules 3.2, 4 and 5, and with Lmod.
"""

from __future__ import annotations

import itertools
import re
import shlex
from typing import Iterable, Iterator

# What a command must have reached, by its name.
CHECKS = {
    "load": "loaded",
    "add": "loaded",
    "swap": "loaded",
    "switch": "loaded",
    "unload": "unloaded",
    "rm": "unloaded",
    "use": "used",
    "unuse": "unused",
    "purge": "done",
}
WHOLE = ("swap", "switch", "use", "unuse")  # the commands whose last word counts
FUNCTIONS = r"""
jaws_module() { # what it has to have reached, of which name, the command
  local jaws_check=$1 jaws_name=$2 jaws_told= jaws_exported
  jaws_exported=$(export -p)
  shift 2
  module "$@" || jaws_told="it failed"
  "jaws_is_$jaws_check" "$jaws_name" || case $jaws_check in
    loaded) jaws_told="$jaws_name is not loaded" ;;
    unloaded) jaws_told="$jaws_name is still loaded" ;;
    used) jaws_told="$jaws_name is not in MODULEPATH" ;;
    unused) jaws_told="$jaws_name is still in MODULEPATH" ;;
  esac
  [ -n "$jaws_told" ] || return 0
  echo "after \`module $*\`: $jaws_told; loaded are: ${LOADEDMODULES:-none}." >&2
  exit 1
}
jaws_is_done() { :; }
jaws_is_listed() { case ":${LOADEDMODULES-}:" in *":$1:"* | *":$1/"*) ;; *) return 1 ;; esac; }
jaws_is_unloaded() { ! jaws_is_listed "$1"; }
jaws_is_loaded() {
  if jaws_is_listed "$1"; then return; fi
  # A system that keeps no list can only be believed when it has changed something.
  if [ -z "${LOADEDMODULES+set}" ]; then [ "$(export -p)" != "$jaws_exported" ]; return; fi
  # The name may stand for another one: the file that it means is loaded.
  local IFS=: jaws_one jaws_shown
  jaws_shown=$(IFS=$' \t\n'; module show "$1" 2>&1)
  for jaws_one in ${_LMFILES_-}; do case $jaws_shown in *"$jaws_one:"*) return ;; esac; done
  return 1
}
jaws_is_unused() { ! jaws_is_used "$1"; }
jaws_is_used() {
  local IFS=: jaws_one
  for jaws_one in ${MODULEPATH-}; do if [ "$jaws_one" -ef "$1" ]; then return; fi; done
  return 1
}
"""


def script(items: Iterable[str]) -> str:
    """Return bash that carries out the items in order, and exits if one of them fails.

    :param items: names of modules to load, or commands of C(module), such as V(swap gcc intel).
    """
    lines = [
        f"jaws_module {check} {_quoted([name, *command])}"
        for item in items
        for check, name, command in _steps(str(item).split())
    ]
    return "\n".join([FUNCTIONS.strip(), *lines, ""]) if lines else ""


def _quoted(words: Iterable[str]) -> str:
    return " ".join(shlex.quote(word) for word in words)


def _steps(words: list[str]) -> Iterator[tuple[str, str, list[str]]]:
    """Yield what to check, of which name, and the command's words."""
    if not words:
        return
    command, arguments = words[0], words[1:]
    if command not in CHECKS or not (arguments or command == "purge"):
        command, arguments = "load", words
    check = CHECKS[command]
    names = list(itertools.dropwhile(lambda word: word.startswith("-"), arguments))
    if not names:
        yield "done", "", [command, *arguments]
    elif command in WHOLE or any(re.match("[-+]|.*=", word) for word in names):
        name = names[-1] if command in WHOLE else names[0]  # variants follow the module's name
        yield check, name, [command, *arguments]
    else:
        options = arguments[: -len(names)]
        yield from ((check, name, [command, *options, name]) for name in names)
