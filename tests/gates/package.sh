#!/usr/bin/env bash
# SPDX-License-Identifier: GPL-3.0-or-later
# Build the collection, install it from the tarball in a directory without the sources, and use it from
# there, to see what the package lacks.
set -euo pipefail
here=$(pwd -P)
top=$(cd "$(mktemp -d)" && pwd -P)
trap 'rm -rf "$top"' EXIT
touch "$top/ansible.cfg"
export ANSIBLE_CONFIG=$top/ansible.cfg ANSIBLE_COLLECTIONS_PATH=$top

ansible-galaxy collection build --output-path "$top" "$here"
cd "$top"
# In another directory, because sources on a collections path would count as "already installed".
ansible-galaxy collection install --offline --collections-path "$top" jgi-jaws-*.tar.gz
python "$here/tests/gates/package.py" "$here" "$top/ansible_collections/jgi/jaws"

inventory=$(find "$here/inventories" -mindepth 1 -maxdepth 1 -type d | sort | head -n 1)
playbooks=()
for playbook in ansible_collections/jgi/jaws/playbooks/*.yml; do
    playbooks+=("jgi.jaws.$(basename "$playbook" .yml)")
done
ansible-playbook --syntax-check -i "$inventory" "${playbooks[@]}"
