# Copyright: (c) 2026, The jgi.jaws engineers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The one error type that utilities raise, and the list of reasons that it may give.

Only a module's C(main()) turns the error into C(fail_json).
"""

from __future__ import annotations

# The words that RV(reason) may have in a module's result, and what each means. They are public.
REASONS = {
    "address_taken": "another process uses the address of a supervisord",
    "ambiguous_program": "a name means several programs; write it with its group",
    "bad_option": "an option has a wrong value, which the message names",
    "bad_release": "a release cannot be gone back to: it is marked bad, or it never ran",
    "bad_wheel": "a wheel is not whole, or arrived damaged",
    "broken_conf": "a supervisord.conf cannot be parsed, or Supervisor would not run it",
    "broken_record": "a release's record cannot be read",
    "build_failed": "an environment could not be built; what runs is untouched",
    "cannot_lock": "a path cannot be locked: its filesystem has no locks, or we may not",
    "cannot_start": "a background command or its log could not be opened",
    "cannot_write": "a file, a directory or a link could not be made",
    "did_not_start": "a supervisord ended at its start or reload, or did not answer after it",
    "down": "nothing listens at the supervisord's address, or it is stopping",
    "ended_at_once": "a background command ended within its first seconds",
    "ended_before_reload": "a background command ended before it could be reloaded",
    "failed": "any other cause, which the message names",
    "foreign_owner": "a path, a process or a port belongs to another user; it was left alone",
    "frozen": "a supervisord runs but does not answer; the message names its pid",
    "incomplete_release": "files that a release needs are gone; deploy again",
    "locked": "another run is at work and did not end in time; the message names it",
    "lost_program": "supervisord cannot signal a program, which would outlive its stop",
    "may_not_connect": "the socket's mode keeps this user out",
    "may_not_start": "the supervisord is down, and only another user may start it",
    "missing_command": "a command of a release is not there, or its new code does not start",
    "no_constraints": "a constraints file on the control node cannot be read",
    "no_proc": "the host has no Linux /proc",
    "no_wheels": "no wheel on the control node matches a pattern, or several do",
    "not_a_member": "this process is not a member of a group that files are to belong to",
    "not_installed": "there is no Supervisor where the options say",
    "not_permitted": "another user's process cannot be signalled",
    "partial_group": "only the whole group of a program can be removed or replaced",
    "program_failed": "a program could not be started or stopped, or failed after its start",
    "refused_by_supervisord": "supervisord refused a request for another reason",
    "runs_this_play": "a process cannot be stopped because it runs this play",
    "runs_twice": "a background command or a supervisord runs more than once",
    "still_running": "a process or a program has not ended, or must be stopped first",
    "system_error": "the operating system refused something that a background command needs",
    "timed_out": "something did not happen in time",
    "unhealthy": "a program's health check did not succeed in time",
    "unknown_program": "there is no such program or group",
    "unknown_release": "there is no such release",
    "unreachable": "a supervisord cannot be reached, or something else answers in its place",
    "unreadable_conf": "a supervisord.conf is missing or cannot be read",
    "unreadable_file": "a file of a release cannot be read",
    "unstable": "a program ended or was restarted while it was watched",
    "unusable_directory": "a directory is missing, open to others, or lacks what is needed",
    "wrong_file_type": "a path is not a regular file, or not a directory",
    "wrong_key": "a supervisord runs with a different user name or key",
}


class JawsError(Exception):
    """What an operator must know: what failed, where, why, and what to do next.

    C(reason) is one of C(REASONS), for code and playbooks; the message is for people and never
    contains a secret. C(details) are further results of the module.
    """

    def __init__(self, message: str, reason: str = "failed", **details: object) -> None:
        super().__init__(message)
        self.reason = reason
        self.details = details
