#!/usr/bin/env bash
# The page in a real Chromium, against a system that `make up` has started afresh; with containers that
# run, die and crash-loop where there is Docker. Screenshots: target/screenshots.
set -euo pipefail
cd "$(dirname "$0")/.."
. scripts/lib.sh
. scripts/docker.sh

# The build is done before; initdb and the first samples are not.
readonly START_SECONDS=300

folder=$(mktemp -d /var/tmp/fleetlight-browser-XXXXXX)
chmod 711 "$folder"
containers=()
up=''

clean() {
  if [ -n "$up" ] && kill -TERM "$up" 2>/dev/null; then wait "$up" || true; fi
  [ ${#containers[@]} -eq 0 ] || docker rm -f "${containers[@]}" >/dev/null || true
  if [ ${#containers[@]} -gt 0 ]; then docker image rm fleetlight-browser:test >/dev/null || true; fi
  docker_stop
  rm -rf "$folder"
}
trap clean EXIT

free_port() {
  node -e 'const s = require("node:net").createServer().listen(0, "127.0.0.1", () => { console.log(s.address().port); s.close(); })'
}

# run_container NAME RESTART COMMAND…
run_container() {
  containers+=("$(docker run -d --name "$1-$$" --restart "$2" --network none fleetlight-browser:test "${@:3}")")
}

if docker_start "$folder/docker"; then
  docker image inspect fleetlight-browser:test >/dev/null 2>&1 || docker_runs >/dev/null
  run_container steady no /busybox sleep 3600
  run_container looping always /busybox sh -c '/busybox echo out of luck; exit 3'
  expected=(--expect "steady-$$" --expect "looping-$$" --docker fleetlight-browser:test)
else
  say "SKIPPED: containers in the browser: $docker_missing"
  expected=()
fi

# With the browser's driver, which `make up` alone does not install.
build_page >/dev/null

export STATE=$folder/state PORT SESSION_PORT
PORT=$(free_port)
SESSION_PORT=$(free_port)
scripts/up.sh >"$folder/up.log" 2>&1 &
up=$!
deadline=$((SECONDS + START_SECONDS))
until grep -q 'stop: Ctrl-C' "$folder/up.log"; do
  if ! kill -0 "$up" 2>/dev/null || [ $SECONDS -ge $deadline ]; then
    cat "$folder/up.log"
    die "make up did not start a system to look at"
  fi
  sleep 0.3
done
link=$(grep -o 'http://[^ ]*/#/setup/[^ ]*' "$folder/up.log")
npm --prefix dashboard-static run --silent e2e -- --url "http://127.0.0.1:$PORT" --setup-link "$link" \
  --out "$PWD/$(target_dir)/screenshots" --chromium "$(find_chromium)" \
  "${expected[@]}"
