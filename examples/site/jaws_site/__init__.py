# SPDX-License-Identifier: GPL-3.0-or-later
"""Stand-in for jaws-site: the same command line and configuration, no JAWS inside."""
