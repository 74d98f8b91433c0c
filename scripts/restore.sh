#!/usr/bin/env bash
# Puts a backup of scripts/backup.sh back, where there is no data: the controller does not run meanwhile. Agents then
# send again what the backup lacks. docs/backup.md says how to use it.
#
#   scripts/restore.sh FOLDER
#
#   STATE_DIR=     the controller's state_dir; that of `make up` in this clone if not set
#   DATABASE_URL=  an empty database; not set for the private Postgres in STATE_DIR
set -euo pipefail
cd "$(dirname "$0")/.."
. scripts/lib.sh
. scripts/backup-lib.sh

readonly UNCHANGED="; nothing was changed"

main() {
  [ $# -eq 1 ] || die "name the backup's folder, and nothing else: make restore FROM=FOLDER, or scripts/restore.sh FOLDER"
  backup=$(cd "$OLDPWD" && realpath -m -- "$1")
  check_backup
  check_state
  hold_state
  if [ -n "$database_url" ]; then restore_database; else restore_cluster; fi
  # Of `make up`: its key may be younger than the backup, and the next start enrols it anew. The spool stays.
  [ -n "${STATE_DIR:-}" ] || rm -f "${state_dir%/controller}/agent/identity.json"
  say "Restored. Start the controller; agents send it what came after the backup."
}

check_backup() {
  local part
  for part in ca/ca.pem ca/ca-key.pem; do
    [ -r "$backup/$part" ] || die "$backup is no backup that $(id -un) can read: it lacks $part$UNCHANGED"
  done
  if [ -n "$database_url" ]; then
    [ -r "$backup/database.dump" ] ||
      die "$backup has no database.dump: it was made of a private Postgres, and is restored without DATABASE_URL$UNCHANGED"
  else
    [ -r "$backup/postgres/base.tar.gz" ] ||
      die "$backup has no postgres/base.tar.gz: it was made of a database with a URL, and is restored with DATABASE_URL=$UNCHANGED"
  fi
}

# The folder is ours, and it has no other identity.
check_state() {
  [ ! -e "$state_dir" ] || [ -O "$state_dir" ] ||
    die "$state_dir belongs to $(whose_state), and so must what is restored: run this as $(whose_state)$UNCHANGED"
  [ ! -e "$state_dir/ca/ca.pem" ] || cmp -s "$state_dir/ca/ca-key.pem" "$backup/ca/ca-key.pem" ||
    die "$state_dir/ca holds another controller's identity: move it away first$UNCHANGED"
}

# No controller uses the folder, and from here on none can start. What is made for that goes again with a refusal.
hold_state() {
  local lock=$state_dir/postgres/lock
  made='' new=''
  trap 'rm -rf ${new:+"$new"} ${made:+"$made"}' EXIT
  if [ ! -e "$lock" ]; then
    made=$lock
    while [ ! -e "$(dirname "$made")" ]; do made=$(dirname "$made"); done
    [ -e "$state_dir" ] || install -d -m 700 "$state_dir"
    mkdir -p "$state_dir/postgres"
  fi
  exec 8>>"$lock"
  flock --nonblock 8 || {
    # It is the other's now.
    made=''
    die "a controller (process $(cat "$lock")) uses $state_dir: stop it first$UNCHANGED"
  }
}

# Unpacked beside, verified file by file, then named: a half restored cluster is never used.
restore_cluster() {
  local data=$state_dir/postgres/data
  [ ! -e "$data" ] || die "$data holds data already: move it away first (mv $data $data.before)$UNCHANGED"
  new=$data.restored
  rm -rf "$new"
  mkdir -m 700 "$new"
  unpack base "$new"
  unpack pg_wal "$new/pg_wal"
  "$(private_bin "$new")/pg_verifybackup" --quiet --manifest-path="$backup/postgres/backup_manifest" "$new" ||
    die "$backup is damaged, as stands above$UNCHANGED"
  # Postgres refuses to run as root: the controller steps down to this account.
  [ "$(id -u)" != 0 ] || chown -R postgres:postgres "$new"
  sync --file-system "$new"
  restore_identity
  mv "$new" "$data"
}

unpack() {
  tar --extract --gzip --file="$backup/postgres/$1.tar.gz" --directory="$2" --no-same-owner ||
    die "$backup/postgres/$1.tar.gz is damaged or cut short$UNCHANGED"
}

# In one transaction: all of it, or nothing.
restore_database() {
  local bin sql used tables
  bin=$(client_bin)
  sql=("$bin/psql" --no-psqlrc --no-password --quiet --tuples-only --no-align "$database_url" --command)
  used=$("${sql[@]}" "select count(*) from pg_stat_activity where datname = current_database() and application_name = 'fleetlight-controller'") ||
    die "the database of DATABASE_URL does not answer; what it said stands above"
  [ "$used" = 0 ] || die "a controller uses the database of DATABASE_URL: stop it first$UNCHANGED"
  tables=$("${sql[@]}" "select count(*) from pg_class where relnamespace = 'public'::regnamespace")
  [ "$tables" = 0 ] || die "the database of DATABASE_URL is not empty: restore into a new one (createdb)$UNCHANGED"
  "$bin/pg_restore" --single-transaction --exit-on-error --no-owner --no-privileges --no-password \
    --dbname="$database_url" "$backup/database.dump" ||
    die "$backup/database.dump could not be restored, as stands above, and is perhaps damaged or cut short$UNCHANGED"
  restore_identity
}

restore_identity() {
  local ca=$state_dir/ca
  # From here on something is changed.
  made=''
  [ ! -e "$ca/ca.pem" ] || return 0
  rm -rf "$ca.restored"
  install -d -m 700 "$ca.restored"
  install -m 600 "$backup/ca/ca-key.pem" "$ca.restored/"
  install -m 600 "$backup/ca/ca.pem" "$ca.restored/"
  # Only an empty one can be in the way.
  [ ! -e "$ca" ] || rmdir "$ca"
  mv "$ca.restored" "$ca"
}

main "$@"
