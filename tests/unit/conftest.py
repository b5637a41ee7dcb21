# SPDX-License-Identifier: GPL-3.0-or-later
"""Hypothesis without clocks: on a busy machine a deadline says nothing of the code."""

from __future__ import annotations

from hypothesis import HealthCheck, settings

settings.register_profile("project", deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.load_profile("project")
