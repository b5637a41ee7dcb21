#!/usr/bin/env bash
# SPDX-License-Identifier: GPL-3.0-or-later
# Run a command in a copy of the tree at .../ansible_collections/jgi/jaws, a real path outside of a git
# checkout: ansible-test finds nothing elsewhere, and antsibull reads only from there.
#   in_copy.sh [--without DIRECTORY]... COMMAND...
set -euo pipefail
without=()
while [[ $1 = --without ]]; do
    without+=("$2")
    shift 2
done
top=$(cd "$(mktemp -d)" && pwd -P)
trap 'rm -rf "$top"' EXIT
copy=$top/ansible_collections/jgi/jaws
python "$(dirname "$0")/copy_tree.py" "$copy" "${without[@]}"
cd "$copy"
export ANSIBLE_COLLECTIONS_PATH=$top
"$@"
