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
    import marshal
    import sys

    name = hashlib.sha256(sys.version.encode() + source).hexdigest()
    file = os.path.join(KEPT, name)
    try:
        with open(file, "rb") as stream:
            code = marshal.load(stream)
    except (OSError, EOFError, ValueError, TypeError):
        code = _compile(path, source, *more)
        _keep(file, marshal.dumps(code))
    _imp._fix_co_filename(code, path)
    return code


def _keep(file, content):
    """Write the file in one step, unless it may not be written."""
    part = f"{file}.{os.getpid()}"
    try:
        os.makedirs(KEPT, exist_ok=True)
        with open(part, "wb") as stream:
            stream.write(content)
        os.chmod(part, 0o644)  # in a container, every account reads it
        os.rename(part, file)
    except OSError:
        pass


zipimport._compile_source = _kept
