# Copyright: (c) 2026, The jgi.jaws engineers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The names in a supervisord.conf that Supervisor replaces with a value."""

from __future__ import annotations

import re

EXPANSIONS = "here|host_node_name|program_name|group_name|process_num|numprocs|ENV_[A-Za-z_]\\w*"


def unexpanded(error: str, percent_sign: str = "%%") -> str:
    """Return why a value cannot be expanded, according to the error of the formatting.

    A name that Supervisor does not know is not shown: it may be part of a key.

    :param percent_sign: how one is written there.
    """
    name = re.search(rf"'({EXPANSIONS})'", error)
    if not name:
        return f"cannot be expanded: write a percent sign as {percent_sign}"
    variable = name.group(1)
    if not variable.startswith("ENV_"):
        return f"uses %({variable})s, which Supervisor does not know there"
    return (
        f"uses %({variable})s, but the environment has no {variable[4:]}: set that variable for "
        "the task and in the option environment of the module supervisord, or write its value"
    )
