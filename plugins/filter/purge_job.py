# Copyright: (c) 2026, The jgi.jaws engineers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The filter that says which job runs the weekly purge, and which one should."""

from __future__ import annotations

from ..plugin_utils.filters import filter_module
from ..plugin_utils.purge_job import purge_job

DOCUMENTATION = r"""
name: purge_job
short_description: Say which job runs the weekly purge, and which one should
version_added: 1.0.0
description:
  - Reads what an earlier deploy has noted about the job in the purge's own directory, as the name
    of an empty file, and returns what must be noted.
positional: _input, schedule, definition
options:
  _input:
    description: What is in the directory, as M(ansible.builtin.find) returns it.
    type: list
    elements: dict
    required: true
  schedule:
    description: What runs the purge. Empty for nothing.
    type: str
    choices: ["", cron, systemd_user]
    required: true
  definition:
    description: Everything that distinguishes the job from an earlier one.
    type: raw
    required: true
seealso:
  - module: ansible.builtin.find
author:
  - The jgi.jaws engineers (@JGI-Bioinformatics)
"""

EXAMPLES = r"""
job: "{{ found.files | jgi.jaws.purge_job('cron', ['/opt/purge', 'sun', '02:00']) }}"
"""

RETURN = r"""
_value:
  description: >-
    C(schedules), what is known to run the purge; C(note), the name to be noted, or empty;
    C(obsolete), the names to be removed; and C(is_noted), whether the notes are up to date.
  type: dict
  sample: {schedules: [], note: cron.0123456789ab, obsolete: [], is_noted: false}
"""

FilterModule = filter_module(purge_job=purge_job)
