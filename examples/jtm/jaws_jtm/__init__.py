# SPDX-License-Identifier: GPL-3.0-or-later
"""Stand-in for jtm, the JGI Task Manager, and for java: no tasks are run."""
