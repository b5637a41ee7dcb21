# Copyright: (c) 2026, The jgi.jaws engineers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Other inventories in a repository: only read, without a vault's password or any template."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

from ansible.errors import AnsibleError
from ansible.inventory.manager import InventoryManager
from ansible.parsing.dataloader import DataLoader
from ansible.vars.manager import VariableManager

from .inventory import Address, address_of


class Lenient(DataLoader):
    """Takes a file that cannot be read or decrypted for an empty one."""

    def load_from_file(self, *arguments: Any, **options: Any) -> Any:
        """Return what is in the file."""
        try:
            return super().load_from_file(*arguments, **options)
        except AnsibleError:
            return {}


def addresses_in(directory: Path, place: str) -> Iterator[Address]:
    """Yield where the hosts of an inventory are, if it says so without a template.

    One that cannot be parsed is left out: it is not the one that is checked.

    :param place: the directory, for messages.
    """
    loader: DataLoader = Lenient()  # type: ignore[no-untyped-call]
    try:
        known = InventoryManager(loader=loader, sources=[str(directory)])
        manager = VariableManager(loader=loader, inventory=known)
        # A plugin of variables reads the files by itself, and refuses one that is not YAML.
        said = [manager.get_vars(host=host, include_hostvars=False) for host in known.get_hosts()]
    except AnsibleError:
        return
    for address in (address_of(variables, place) for variables in said):
        if address.host and "{{" not in address.host:
            yield address
