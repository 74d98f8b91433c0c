#!/usr/bin/env bash
# Makes a small Debian (or Ubuntu) with systemd for tests with real units, as a tar for `docker import`.
#
#   scripts/systemd-tree.sh FILE.tar
#
# It is of the same release as this machine, so that programs that were built here run there, and comes from where this
# machine's own packages come from. An existing file is taken as it is. Needs root and debootstrap.
set -euo pipefail
cd "$(dirname "$0")/.."
. scripts/lib.sh

readonly tar=${1:?which file?}
[ ! -e "$tar" ] || exit 0
[ "$(id -u)" = 0 ] || die "making a tree of Debian needs root"
PATH=$PATH:/usr/sbin
have debootstrap || die "there is no debootstrap (on Debian: apt-get install debootstrap)"

mkdir -p "$(dirname "$tar")"
# Two tests at once: the second one waits, and finds the file.
exec 9>"$tar.lock"
flock 9
[ ! -e "$tar" ] || exit 0

suite=$(. /etc/os-release && printf '%s' "${VERSION_CODENAME:-}")
mirror=$(apt-get indextargets --format '$(CODENAME) $(COMPONENT) $(REPO_URI)' 'Identifier: Packages' |
  awk -v suite="$suite" '$1 == suite && $2 == "main" { print $3; exit }')
[ -n "$mirror" ] || die "apt names no place that has the main packages of ${suite:-this release}"

tree=$(mktemp -d "$tar.XXXXXX")
trap 'rm -rf --one-file-system "$tree" "$tar.part"' EXIT
say "Making a tree of $suite with systemd (once; it is kept as $tar)"
debootstrap --variant=minbase --include=systemd,systemd-sysv,dbus,procps "$suite" "$tree" "$mirror" >"$tar.log" 2>&1 ||
  die "debootstrap failed: $(tail -3 "$tar.log")"
# Nothing that a container does not need, and no device files: Docker makes those.
rm -rf "$tree"/{dev,proc,sys,run}/* "$tree"/usr/share/{doc,locale,man,info} "$tree"/var/lib/apt/lists/* \
  "$tree"/var/cache/apt/*.bin "$tree"/var/cache/apt/archives/*.deb
: >"$tree/etc/machine-id"
# mktemp's mode would keep every account but root out of the tree.
chmod 755 "$tree"
tar -C "$tree" -cf "$tar.part" .
mv "$tar.part" "$tar"
