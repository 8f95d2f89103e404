#!/usr/bin/env bash
# Builds the Debian packages reeve-master, reeve-worker (with reeve-collector) and reeve (the command line) for this machine's architecture.
#
#   deploy/build-packages.sh OUT [BIN]      BIN: where client/reeve, master/reeve-master, relay/… and worker/… are;
#                                           default: builds them with Bazel
#
# The same programs give the same packages, byte for byte.
set -euo pipefail
[ $# = 1 ] || [ $# = 2 ] || { sed -n '2,7s/^# \{0,1\}//p' "$0" >&2; exit 2; }
mkdir -p "$1"
out=$(cd "$1" && pwd)
bin=${2:+$(cd "$2" && pwd)}
cd "$(dirname "$0")/.."
if [ -z "$bin" ]; then
  deploy/install-deps.sh
  bazel build //client:reeve //master:reeve-master //relay:reeve-collector //worker:reeve-worker
  bin=$(bazel info bazel-bin 2>/dev/null)
fi

version=$(sed -n 's/.*kVersion\[\] = "\(.*\)".*/\1/p' base/version.h)
architecture=$(dpkg --print-architecture)
# Times of files are not contents.
export SOURCE_DATE_EPOCH=${SOURCE_DATE_EPOCH:-1767225600}
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
umask 022

# program FILE: into the tree of the package, without debug information.
program() { install -D -m 0755 "$1" "$tree/usr/bin/$(basename "$1")"; strip --strip-unneeded "$tree/usr/bin/$(basename "$1")"; }
# script NAME USER STATE: one of the package's maintainer scripts.
script() {
  sed -e "s,@PACKAGE@,$package,g" -e "s,@USER@,$2,g" -e "s,@STATE@,$3,g" "deploy/debian/$1.in" >"$tree/DEBIAN/$1"
  chmod 0755 "$tree/DEBIAN/$1"
}
# Libraries that the program is linked with, as dependencies with versions.
libraries() {
  mkdir -p "$work/shlibs/debian"
  printf 'Source: reeve\n\nPackage: %s\nArchitecture: any\n' "$package" >"$work/shlibs/debian/control"
  (cd "$work/shlibs" && dpkg-shlibdeps --warnings=0 -O "$tree/usr/bin/$package") | sed -n 's/^shlibs:Depends=//p'
}

begin() {
  package=$1
  tree=$work/$package
  mkdir -p "$tree/DEBIAN"
  install -D -m 0644 docs/deploy.md "$tree/usr/share/doc/$package/deploy.md"
  install -D -m 0644 CHANGELOG.md "$tree/usr/share/doc/$package/changelog"
  gzip -9n "$tree/usr/share/doc/$package/changelog"
}

# finish DEPENDS SUGGESTS SUMMARY; the description is the standard input.
finish() {
  (cd "$tree" && find . -path ./DEBIAN -prune -o -type f -printf '%P\0' | LC_ALL=C sort -z | xargs -0 md5sum >DEBIAN/md5sums)
  {
    printf 'Package: %s\nVersion: %s\nArchitecture: %s\n' "$package" "$version" "$architecture"
    printf 'Maintainer: Reeve <reeve@localhost>\nSection: admin\nPriority: optional\n'
    printf 'Installed-Size: %s\n' "$(du -sk --exclude DEBIAN "$tree" | cut -f1)"
    printf 'Depends: %s\nSuggests: %s\nDescription: %s\n' "$1" "$2" "$3"
    sed 's/^/ /'
  } >"$tree/DEBIAN/control"
  dpkg-deb --root-owner-group --build "$tree" "$out/${package}_${version}_$architecture.deb" >/dev/null
  echo "$out/${package}_${version}_$architecture.deb"
}

# daemon PACKAGE USER STATE
daemon() {
  install -D -m 0644 "deploy/systemd/$1.service" "$tree/usr/lib/systemd/system/$1.service"
  install -D -m 0644 "deploy/debian/$1.default" "$tree/etc/default/$1"
  echo "/etc/default/$1" >"$tree/DEBIAN/conffiles"
  for name in postinst prerm postrm; do script "$name" "$2" "$3"; done
}

begin reeve-master
program "$bin/master/reeve-master"
daemon reeve-master reeve reeve
finish "adduser, tzdata, $(libraries)" "reeve" "job system: master" <<'TEXT'
Takes jobs over gRPC, gives them to workers, keeps what comes back. One a cluster;
durable in SQLite, restarted without loss.
TEXT

begin reeve-worker
program "$bin/worker/reeve-worker"
program "$bin/relay/reeve-collector"
daemon reeve-worker reeve-worker reeve-worker
finish "adduser, $(libraries)" "reeve" "job system: worker" <<'TEXT'
Runs tasks for a Reeve master: commands, HTTP requests, queries, handlers of your
own. Who may submit commands owns the account that it runs under.
TEXT

begin reeve
program "$bin/client/reeve"
complete() { mkdir -p "$(dirname "$tree/$2")" && "$bin/client/reeve" completion "$1" >"$tree/$2"; }
complete bash usr/share/bash-completion/completions/reeve
complete zsh usr/share/zsh/vendor-completions/_reeve
complete fish usr/share/fish/vendor_completions.d/reeve.fish
finish "$(libraries)" "reeve-master, reeve-worker" "job system: command line" <<'TEXT'
Submits jobs to a Reeve cluster, shows and follows them, prints results.
TEXT
