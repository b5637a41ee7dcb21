# SPDX-License-Identifier: GPL-3.0-or-later
"""Stand-in for Cromwell in server mode: no workflows are run."""
