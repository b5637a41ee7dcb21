# SPDX-License-Identifier: GPL-3.0-or-later
"""What every Python process of an Ansible run in the tests does first, on the control node."""

import os
import sys

import kept_bytecode  # noqa: F401

if "COUNTED" in os.environ:
    import counting

    counting.watch(os.environ["COUNTED"])

# What a module runs in, on the target, is another Python and has another command line.
if getattr(sys, "orig_argv", [])[1:3] == ["-m", "ansible"]:
    import kept_yaml

    kept_yaml.install()
