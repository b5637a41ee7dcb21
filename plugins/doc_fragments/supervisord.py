# Copyright: (c) 2026, The jgi.jaws engineers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Documentation shared by the modules that speak to a supervisord."""

from __future__ import annotations


class ModuleDocFragment:
    """The options that say which supervisord is meant."""

    DOCUMENTATION = r"""
options:
  config:
    description:
      - The C(supervisord.conf) of the instance, as in C(supervisorctl -c FILE). The address,
        the user and the key are read from its C([supervisorctl]) section and, as far as that does
        not say them, from its server's, so that no secret is ever an option or an argument.
      - By default, the file that C(supervisorctl) itself would find.
    type: path
"""

    CLIENT = r"""
options:
  server_url:
    description:
      - Where supervisord listens, C(unix:///PATH) or C(http://HOST:PORT). Overrides the address
        in O(config).
    type: str
  username:
    description: The user name. Overrides the one in O(config).
    type: str
  password:
    description: The key. Overrides the one in O(config), which is the better place for it.
    type: str
  supervisorctl_path:
    description:
      - Path of a C(supervisorctl). It is not run; it says where to look for a configuration
        if O(config) is not set.
    type: path
"""

    TRUST = r"""
options:
  trusted_users:
    version_added: 1.0.0
    description:
      - Accounts, by name or by number, that the supervisord may run as although O(config) does not
        say so. They may listen at its address, and own its socket, its log and its pid file, and
        what they have written in O(config) is run.
      - Root, the account that the task runs as, the owner of O(config), and those that O(config)
        names with C(user) or C(chown) are always trusted. Root also trusts an account that may read
        O(config) and runs a supervisord with it, as under C(User=) of systemd.
      - The key is not sent to any other account, and none of its files is used.
    type: list
    elements: str
    default: []
"""

    PROGRAMS = r"""
options: {}
notes:
  - The module speaks XML-RPC, as C(supervisorctl) does, and does not start a process. The number of
    its requests does not grow with the number of programs.
requirements:
  - A supervisord of Supervisor 3.3 or later, on the host that the module runs on or reachable
    from it.
author:
  - The jgi.jaws engineers (@JGI-Bioinformatics)
"""
