#!/bin/sh
# SPDX-License-Identifier: GPL-3.0-or-later
exec sleep 1000
