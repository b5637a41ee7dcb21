# Copyright: (c) 2026, The jgi.jaws engineers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The files of a user's systemd units. Pure, on the control node."""

from __future__ import annotations

from collections.abc import Mapping


def user_units(
    units: Mapping[str, str],
    target: str,
    enabled: str = "",
    directory: str = "~/.config/systemd/user",
    mode: str = "0644",
) -> list[dict[str, str]]:
    """Return the files that make up the units, as the tree module takes them.

    The link is the one that C(systemctl --user enable) would make; that command needs a running
    systemd of that user.

    :param units: the text of each unit, by its name.
    :param target: the target that wants the unit in C(enabled).
    """
    if not units:
        return []
    wants = f"{directory}/{target}.wants"
    files = [
        {"path": f"{directory}/{name}", "mode": mode, "content": text}
        for name, text in units.items()
    ]
    link = [{"path": f"{wants}/{enabled}", "target": f"../{enabled}"}] if enabled else []
    return [{"path": wants, "mode": "0755"}, *files, *link]
