# shellcheck shell=bash
# What backup.sh and restore.sh share. Sets `state_dir` and `database_url`.

database_url=${DATABASE_URL:-}
state_dir=${STATE_DIR:-}
if [ -z "$state_dir" ]; then
  . scripts/state.sh
  # shellcheck disable=SC2154 # state.sh sets it
  state_dir=$state/controller
fi

# Who runs the controller, as far as its folder tells.
whose_state() { stat -c %U "$state_dir" 2>/dev/null || printf root; }

# Programs of the version that made the private cluster's data, given as a folder with PG_VERSION; the newest ones
# where there is none.
private_bin() {
  local made_by bin
  made_by=$(cat "${1:-$state_dir/postgres/data}/PG_VERSION" 2>/dev/null || true)
  bin=/usr/lib/postgresql/$made_by/bin
  [ -x "$bin/pg_basebackup" ] || bin=$(client_bin)
  printf '%s' "$bin"
}

client_bin() {
  local bin
  bin=$(postgres_bin)
  [ -n "$bin" ] || die "PostgreSQL's programs are missing; Debian, Ubuntu: apt-get install postgresql"
  printf '%s' "$bin"
}
