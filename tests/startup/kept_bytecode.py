# SPDX-License-Identifier: GPL-3.0-or-later
"""What every Python process of an Ansible run in the tests does first, on both sides.

Ansible sends each module as a zip file of sources, which Python compiles again for each task. Here
the code is kept below .cache, by source and version of Python, as __pycache__ does for files.
Garbage is collected less often, because no process of a play grows large.
"""

import gc
import os
import zipimport

KEPT = os.path.join(os.path.dirname(__file__), "../../.cache/bytecode")

gc.set_threshold(50_000, 20, 20)
_compile = zipimport._compile_source
_loaded = {}


def _kept(path, source, *more):
    """Return the code of a module in a zip file; zipimport asks twice for each."""
    if path not in _loaded:
        _loaded[path] = _load(path, source, *more)
    return _loaded[path]


def _load(path, source, *more):
    import _imp
    import hashlib
    import sys

    name = hashlib.sha256(sys.version.encode() + source).hexdigest()
    code = load(name)
    if code is None:
        code = _compile(path, source, *more)
        keep(name, code)
    _imp._fix_co_filename(code, path)
    return code


def load(name):
    """Return the code of this name, or None."""
    import marshal

    try:
        with open(os.path.join(KEPT, name), "rb") as stream:
            return marshal.load(stream)
    except (OSError, EOFError, ValueError, TypeError):
        return None


def keep(name, code):
    """Write the code in one step, unless it may not be written."""
    import marshal

    file = os.path.join(KEPT, name)
    part = f"{file}.{os.getpid()}"
    try:
        content = marshal.dumps(code)
        os.makedirs(KEPT, exist_ok=True)
        with open(part, "wb") as stream:
            stream.write(content)
        os.chmod(part, 0o644)  # in a container, every account reads it
        os.rename(part, file)
    except (OSError, ValueError):  # or it has other types than code and plain data
        pass


zipimport._compile_source = _kept
