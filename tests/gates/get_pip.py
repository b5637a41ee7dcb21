# SPDX-License-Identifier: GPL-3.0-or-later
"""Stands in for the script that ansible-test would download to put pip into its environments."""

import ensurepip

ensurepip.bootstrap()
