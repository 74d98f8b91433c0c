#!/usr/bin/env bash
# Stops what `make up` started from another terminal, and waits until it is gone.
set -euo pipefail
cd "$(dirname "$0")/.."
. scripts/lib.sh
. scripts/state.sh

# Agent, executor, controller and Postgres each have a limit of their own; this is their sum and some more.
readonly WAIT_SECONDS=70

if [ ! -e "$state/up.lock" ] || flock --nonblock "$state/up.lock" true; then
  say "Fleetlight does not run here (state: $state)."
  exit 0
fi
kill -TERM "$(cat "$state/up.lock")"
flock --wait $WAIT_SECONDS "$state/up.lock" true || die "it did not stop within $WAIT_SECONDS s; its logs are in $state/log"
say "Stopped."
