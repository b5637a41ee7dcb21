# Copyright: (c) 2026, The jgi.jaws engineers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The one error type that utilities raise; only a module's C(main()) turns it into C(fail_json)."""

from __future__ import annotations


class JawsError(Exception):
    """Something an operator has to know: what failed, where, why, and what to do next.

    C(reason) is one stable word for code and playbooks (for example V(down), V(wrong_key));
    the message is the sentence for people and never contains a secret.
    C(details) holds what a module returns beside the message.
    """

    def __init__(self, message: str, reason: str = "failed", **details: object) -> None:
        super().__init__(message)
        self.reason = reason
        self.details = details
