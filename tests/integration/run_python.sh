#!/bin/sh
# Runs a Python test with Debian's interpreter, whatever else PATH holds.
exec /usr/bin/python3 -B "$@"
