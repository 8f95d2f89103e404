#!/usr/bin/env bash
# Packs the SDK as it is installed: pack_sdk.sh OUT.tar FILE...
#
# Headers lie side by side in include/reeve there, so what they include is named anew.
set -euo pipefail
out=$1
shift
root=$(mktemp -d)
trap 'rm -rf "$root"' EXIT
mkdir -p "$root"/include/reeve "$root"/lib/pkgconfig
for file; do
  case $file in
    *version.h) version=$(sed -n 's/.*kVersion\[\] = "\(.*\)".*/\1/p' "$file") ;;
    *.flags) libs=$(cat "$file") ;;
    *.a) cp "$file" "$root"/lib/ ;;
    *.pc) pc=$file ;;
    *.h | *.hpp) sed -E 's,#include "(worker/sdk|base)/,#include "reeve/,' "$file" >"$root/include/reeve/$(basename "$file")" ;;
  esac
done
sed -e "s,@VERSION@,$version," -e "s,@LIBS@,$libs," "$pc" >"$root/lib/pkgconfig/$(basename "$pc")"
find "$root" -type f -exec chmod 644 {} +
find "$root" -type d -exec chmod 755 {} +
tar --sort=name --mtime=@0 --owner=0 --group=0 --numeric-owner -C "$root" -cf "$out" include lib
