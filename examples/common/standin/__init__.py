# SPDX-License-Identifier: GPL-3.0-or-later
"""What every stand-in shares; build.py copies it into each distribution."""


class StandInError(Exception):
    """The one error of the stand-ins: a sentence for the operator, exit status 1."""
