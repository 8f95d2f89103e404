#!/bin/sh
# Every row of the fault matrix once, with Debian's Python.
exec /usr/bin/python3 -B tests/faults/main.py --rows
