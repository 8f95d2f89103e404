#!/bin/sh -e
# words.sh PART: how often each keyword stands in the files of a part.
words='break|case|const|double|else|enum|extern|float|for|if|inline|int|long|return|short|signed|sizeof|static|struct|switch|typedef|union|unsigned|void|while'
xargs -d '\n' cat < "work/part.$(printf %02d "$1")" | LC_ALL=C tr -cs 'A-Za-z0-9_' '\n' | LC_ALL=C grep -xE "$words" | LC_ALL=C sort | uniq -c
