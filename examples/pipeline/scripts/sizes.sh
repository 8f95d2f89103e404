#!/bin/sh -e
# sizes.sh PART: how many files, lines and bytes a part has.
part=work/part.$(printf %02d "$1")
echo "$(wc -l < "$part")" $(xargs -d '\n' cat < "$part" | wc -lc)
