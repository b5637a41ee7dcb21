# SPDX-License-Identifier: GPL-3.0-or-later
"""What the start of every Ansible run in the tests costs most, apart from imports.

Ansible reads its own large YAML files again and again: what is in them is kept below .cache. And it
copies the text of every playbook and role, string by string, although strings never change.
"""

from __future__ import annotations

import copy
import hashlib
from typing import Any

import kept_bytecode
import yaml

LARGE = 20_000  # bytes: those of Ansible itself
_load = yaml.load


def install() -> None:
    """Let this process and its children do so; call it before Ansible is imported."""
    yaml.load = load_once
    try:
        from ansible.module_utils._internal import _datatag
    except ImportError:  # before ansible-core 2.19
        return
    found = _datatag.AnsibleTaggedObject._tagged_type_map.values()
    unchanging = [one for one in found if not issubclass(one, (dict, list, set, tuple))]
    for one in (*unchanging, _datatag._AnsibleTagsMapping):
        copy._deepcopy_dispatch[one] = copy._deepcopy_atomic  # type: ignore[attr-defined]


def load_once(stream: Any, Loader: Any) -> Any:
    """Return what a document contains; remember that of a large one, if it has only plain types."""
    text = stream.read() if hasattr(stream, "read") else stream
    if len(text) < LARGE or not Loader.__name__.endswith(("BaseLoader", "SafeLoader")):
        return _load(text, Loader)
    given = text if isinstance(text, bytes) else text.encode(errors="surrogatepass")
    name = hashlib.sha256(f"{Loader.__name__} {yaml.__version__} ".encode() + given).hexdigest()
    found = kept_bytecode.load(name)
    if found is None:
        found = _load(text, Loader)
        kept_bytecode.keep(name, found)
    return found
