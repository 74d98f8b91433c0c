#!/usr/bin/env bash
# Copies what Fleetlight has stored and the identities of controller and agents into a new folder, while the
# controller runs. docs/backup.md says how to use it; scripts/restore.sh puts it back.
#
#   scripts/backup.sh FOLDER
#
#   STATE_DIR=     the controller's state_dir; that of `make up` in this clone if not set
#   DATABASE_URL=  the controller's database_url; not set for the private Postgres in STATE_DIR
set -euo pipefail
cd "$(dirname "$0")/.."
. scripts/lib.sh
. scripts/backup-lib.sh

main() {
  [ $# -eq 1 ] || die "name the folder to make, and nothing else: make backup TO=FOLDER, or scripts/backup.sh FOLDER"
  # Relative to where it was called from.
  target=$(cd "$OLDPWD" && realpath -m -- "$1")
  [ ! -e "$target" ] || die "$target is there already; name a folder that is not"
  [ -r "$state_dir/ca/ca-key.pem" ] ||
    die "there is no identity of a controller to read in $state_dir/ca; STATE_DIR= names the controller's state_dir, and $(whose_state) may read it"
  # The key of the certificate authority comes along: whoever has it can pose as the controller.
  umask 077
  mkdir -p "$(dirname "$target")"
  # A name of its own: another run cannot write into it, nor can somebody who guesses it.
  partial=$(mktemp -d "$target.XXXXXX")
  trap 'rm -rf "$partial"' EXIT
  mkdir "$partial/ca"
  cp "$state_dir/ca/ca.pem" "$state_dir/ca/ca-key.pem" "$partial/ca/"
  if [ -n "$database_url" ]; then dump_database; else copy_cluster; fi
  sync --file-system "$partial"
  mv -T "$partial" "$target" || die "$target was made meanwhile; name a folder that is not there"
  trap - EXIT
  say "Backed up to $target ($(du -sh "$target" | cut -f1)). It holds the controller's private key: keep it as one."
}

# Everything that the private Postgres has, as it is at the end of the copy.
copy_cluster() {
  local bin socket
  bin=$(private_bin)
  # Postgres writes down the folder of its socket.
  socket=$(sed -n 5p "$state_dir/postgres/data/postmaster.pid" 2>/dev/null) ||
    die "the private Postgres in $state_dir/postgres does not run; start the controller first"
  "$bin/pg_basebackup" --host="$socket" --username=fleetlight --no-password --pgdata="$partial/postgres" \
    --format=tar --gzip --wal-method=stream --checkpoint=fast ||
    die "the private Postgres could not be copied; what it said stands above"
}

dump_database() {
  local bin
  bin=$(client_bin)
  "$bin/pg_dump" --format=custom --no-password --file="$partial/database.dump" --dbname="$database_url" ||
    die "the database could not be dumped; what it said stands above"
}

main "$@"
