#!/usr/bin/env bash
# SPDX-License-Identifier: GPL-3.0-or-later
# Make the web site of the documentation, in a copy of the tree (tests/gates/in_copy.sh). A warning is an error.
#   build.sh DIRECTORY
set -euo pipefail
mkdir docs/reference
antsibull-docs collection --use-current --squash-hierarchy --fail-on-error --dest-dir docs/reference jgi.jaws
cp .config/docs/*.md .
sphinx-build --quiet --fail-on-warning --keep-going --fresh-env --jobs auto --conf-dir .config/docs . "$1"
