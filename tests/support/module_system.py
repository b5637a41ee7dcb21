# SPDX-License-Identifier: GPL-3.0-or-later
"""A system of environment modules for a test, which behaves as Environment Modules 3.2 or 4 does.

3.2 always returns 0. 4 is a program that prints what the shell has to run: with C(autoinit) the
function C(module), and after an error, a command that fails. A modulefile is a directory that goes
in front of PATH; a link to one is an alias of it.
"""

from __future__ import annotations

from pathlib import Path

PROFILE = r"""
export LOADEDMODULES=${LOADEDMODULES-} _LMFILES_=${_LMFILES_-} MODULEPATH=${MODULEPATH-}
modulefile() { # print the path of a module's file, with the last version where none is given
  local folder IFS=:
  for folder in $MODULEPATH; do
    [ -e "$folder/$1" ] || continue
    folder=$(realpath "$folder/$1")
    if [ -d "$folder" ]; then ls -d "$folder"/* | tail -n 1; else echo "$folder"; fi
    return
  done
  echo "ModuleCmd_Load.c(213):ERROR:105: Unable to locate a modulefile for '$1'" >&2
  return 1
}
module_name() { echo "$(basename "$(dirname "$1")")/$(basename "$1")"; }
module_load() {
  local file name
  file=$(modulefile "$1") || return
  name=$(module_name "$file")
  case :$LOADEDMODULES: in
    *:"$name":*) return ;;
    *:"${name%/*}"/*)
      echo "$name(5):ERROR:150: Module '$name' conflicts with the currently loaded module(s)" >&2
      return ;;
  esac
  LOADEDMODULES=${LOADEDMODULES:+$LOADEDMODULES:}$name
  _LMFILES_=${_LMFILES_:+$_LMFILES_:}$file
  . "$file"
}
module_unload() {
  local kept= one IFS=:
  for one in $LOADEDMODULES; do
    case $one in "$1" | "$1"/*) ;; *) kept=${kept:+$kept:}$one ;; esac
  done
  LOADEDMODULES=$kept
}
module() {
  case $1 in
    load) module_load "$2" ;;
    unload) module_unload "$2" ;;
    swap) module_unload "${2%/*}"; module_load "$3" ;;
    purge) LOADEDMODULES= _LMFILES_= ;;
    use) if [ -d "$2" ]; then MODULEPATH=$(realpath "$2")${MODULEPATH:+:$MODULEPATH}; else
      echo "ModuleCmd_Use.c(231):WARN:158: Directory '$2' not found" >&2; fi ;;
    unuse) MODULEPATH=${MODULEPATH//$2/} ;;
    show) if file=$(modulefile "$2"); then echo "$file:" >&2; fi ;;
    *) echo "ModuleCmd.c(50):ERROR:11: Unrecognized module command '$1'" >&2 ;;
  esac
  return 0
}
"""
MODULECMD = (
    "#!/bin/bash\n"
    + PROFILE
    + r"""
shift # the name of the shell
if [ "$1" = autoinit ]; then
  echo "_module_raw() { eval \"\$('$0' bash \"\$@\")\"; }; module() { _module_raw \"\$@\"; }"
  exit
fi
module "$@" 2>"$0.told" >&2
sed -E 's/^.*(ERROR|WARN):[0-9]+:/ERROR:/' "$0.told" >&2
export -p | sed 's/^declare -x /export /'
if grep -qE 'ERROR|WARN' "$0.told"; then echo 'test 0 = 1'; fi
"""
)


def write_profile(home: Path, *commands: str, release: int = 3) -> Path:
    """Make a login profile with C(module), which then runs commands; return MODULEPATH."""
    folder = home / "modulefiles"
    folder.mkdir(parents=True, exist_ok=True)
    program = home / "modulecmd"
    program.write_text(MODULECMD)
    program.chmod(0o755)
    definition = PROFILE if release == 3 else f"eval \"$('{program}' bash autoinit)\""
    lines = ["echo welcome to this site", definition, f"export MODULEPATH={folder}", *commands]
    (home / ".bash_profile").write_text("\n".join(lines) + "\n")
    return folder


def add_module(folder: Path, name: str, shell: str = "") -> Path:
    """Add a module whose directory of programs goes in front of PATH; return that directory."""
    programs = folder.parent / "opt" / name
    programs.mkdir(parents=True, exist_ok=True)
    (folder / name).parent.mkdir(exist_ok=True)
    (folder / name).write_text(f"PATH={programs}:$PATH\n{shell}\n")
    return programs
