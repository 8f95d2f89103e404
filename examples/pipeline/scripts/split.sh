#!/bin/sh -e
# split.sh FOLDER COUNT: lists of the headers below FOLDER, in work/part.00 and so on.
mkdir -p work
find "$1" -name '*.h' -type f | LC_ALL=C sort | split -d -a 2 -n "r/$2" - work/part.
