# shellcheck shell=bash
# Sets `state`: where `make up` keeps data, identities and logs of this clone.
#
# It is .fleetlight in the clone, or STATE=. Run by root, Postgres steps down to the account
# `postgres`, which must be able to reach it: a clone below /root will not do.

reachable_for_postgres() {
  [ "$(id -u)" != 0 ] || ! id postgres >/dev/null 2>&1 || runuser -u postgres -- test -x "$1"
}

if [ -n "${STATE:-}" ]; then
  mkdir -p "$STATE"
  state=$(realpath "$STATE")
elif reachable_for_postgres "$PWD"; then
  state=$PWD/.fleetlight
else
  # shellcheck disable=SC2034 # read by whoever sources this
  state=/var/lib/fleetlight-dev/$(printf '%s' "$PWD" | sha256sum | cut -c1-12)
fi
