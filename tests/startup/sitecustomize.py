# SPDX-License-Identifier: GPL-3.0-or-later
"""What every Python process of an Ansible run in the tests does first, on the control node."""

import os

import kept_bytecode  # noqa: F401

if "COUNTED" in os.environ:
    import counting

    counting.watch(os.environ["COUNTED"])
