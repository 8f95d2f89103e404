#!/bin/sh
# See hosts_test.py; with Debian's Python.
PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin
exec /usr/bin/python3 -B tests/hosts/hosts_test.py
