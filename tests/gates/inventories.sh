#!/usr/bin/env bash
# SPDX-License-Identifier: GPL-3.0-or-later
# Validate every inventory as an operator would, in a copy (in_copy.sh), which has no vault. If a
# site has only an example of its vault, other values replace the placeholders in it.
set -euo pipefail
export ANSIBLE_CONFIG=$PWD/ansible.cfg
failed=0
for site in inventories/*/; do
    arguments=(-i "$site" --tags inventory)
    vault=${site}group_vars/all/vault.yml
    if [[ ! -e $vault && -e $vault.example ]]; then
        sed 's/: change-me$/: a-secret/' "$vault.example" >"$vault"
    fi
    echo "-- ${site}"
    ansible-inventory -i "$site" --list >/dev/null || failed=1
    ansible-playbook playbooks/deploy.yml "${arguments[@]}" || failed=1
done
# The tasks are the same for every site, so one site is enough.
if ! ansible-playbook playbooks/deploy.yml -i "$site" --tags inventory --list-tasks \
    | grep 'TAGS: \[.*inventory' >/dev/null; then
    echo "playbooks/deploy.yml has no task tagged inventory: nothing was validated" >&2
    failed=1
fi
exit "$failed"
