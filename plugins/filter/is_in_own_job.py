# Copyright: (c) 2026, The jgi.jaws engineers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The filter that says whether a play runs in a job of the runner that it deploys."""

from __future__ import annotations

from ..plugin_utils.filters import filter_module
from ..plugin_utils.runner import is_in_own_job

DOCUMENTATION = r"""
name: is_in_own_job
short_description: Say whether a play runs in a job of the runner that it deploys
version_added: 1.0.0
description:
  - Compares what GitLab reports about a runner with what a CI job has in its environment, so that a
    play that returns to the runner's host by ssh is recognised too.
positional: _input, url, job_runner, job_url
options:
  _input:
    description: The runner's number, as M(jgi.jaws.gitlab_runner_info) returns it.
    type: int
    required: true
  url:
    description: The address of GitLab.
    type: str
    required: true
  job_runner:
    description: C(CI_RUNNER_ID) in the environment of the play, or empty.
    type: str
    required: true
  job_url:
    description: C(CI_SERVER_URL) in the environment of the play, or empty.
    type: str
    required: true
seealso:
  - module: jgi.jaws.gitlab_runner_info
author:
  - The jgi.jaws engineers (@JGI-Bioinformatics)
"""

EXAMPLES = r"""
inside: >-
  {{ 7 | jgi.jaws.is_in_own_job('https://gitlab.example.org/', '7', 'https://gitlab.example.org') }}
"""

RETURN = r"""
_value:
  description: Whether the play runs in a job of that runner.
  type: bool
  sample: true
"""

FilterModule = filter_module(is_in_own_job=is_in_own_job)
