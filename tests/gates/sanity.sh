#!/usr/bin/env bash
# SPDX-License-Identifier: GPL-3.0-or-later
# Run ansible-test sanity on what is shipped, in a copy (in_copy.sh), and keep the environments it makes
# for the next run. The code of the tests is checked by ruff and mypy.
#   sanity.sh HOME [ANSIBLE-TEST OPTION]...
set -euo pipefail
export HOME=$1
shift
# If ansible-test does not find a script of this name, it downloads one.
version=$(python -c 'from ansible_test import _internal; print(_internal.__path__[0])')
version=$(sed -n "s/^ *pip='\([0-9.]*\)',$/\1/p" "$version/python_requirements.py")
cache=$HOME/.ansible/test/cache
mkdir -p "$cache/pip"
cp "$(dirname "$0")/get_pip.py" "$cache/get_pip_${version//./_}.py"
ln -sfn "$(python -c 'import pip; print(pip.__path__[0])')" "$cache/pip/pip"
python=$(python -c 'import sys; print("%d.%d" % sys.version_info[:2])')
ansible-test sanity --local --python "$python" --color no "$@" 2>&1 | tee ../sanity.log
if grep -q 'All targets skipped' ../sanity.log; then
    echo "ansible-test found no file to check" >&2
    exit 1
fi
