# SPDX-License-Identifier: GPL-3.0-or-later
import sys

while True:
    print("READY", end="\n", flush=True)
    header = dict(word.split(":") for word in sys.stdin.readline().split())
    sys.stdin.read(int(header["len"]))
    print("RESULT 2\nOK", end="", flush=True)
