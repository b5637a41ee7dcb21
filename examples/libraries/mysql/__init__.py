# SPDX-License-Identifier: GPL-3.0-or-later
"""Stand-in for the library MySQL Connector."""
