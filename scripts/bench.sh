#!/usr/bin/env bash
# `make bench`: release builds, then an agent beside Debian's node_exporter, and history beside Debian's
# Prometheus and VictoriaMetrics. SEED is that of all that is generated, HOURS those
# of the generated history.
set -euo pipefail
cd "$(dirname "$0")/.."

for program in dockerd docker prometheus-node-exporter promtool prometheus victoria-metrics; do
    command -v "$program" >/dev/null || {
        echo "bench: $program is missing: apt-get install --no-install-recommends docker.io busybox-static prometheus-node-exporter prometheus victoria-metrics" >&2
        exit 1
    }
done
readonly built=${CARGO_TARGET_DIR:-target}/release
# The agent as it ships: with its own features only.
cargo build --release --locked -p fleetlight-agent
cp "$built/fleetlight-agent" "$built/fleetlight-agent.shipped"
cargo build --release --locked -p fleetlight-controller -p fleetlight-tests --bins
mv "$built/fleetlight-agent.shipped" "$built/fleetlight-agent"
# The fault suite's kill points are for debug builds only.
if grep -q FLEETLIGHT_KILL_POINT "$built/fleetlight-agent" "$built/fleetlight-controller"; then
    echo "bench: a release build has kill points" >&2
    exit 1
fi
"$built/bench"
"$built/drain"
# Whatever ends the run, its gigabytes go. Postgres's account passes through the folder.
scratch=$(mktemp -d)
trap 'rm -rf "$scratch"' EXIT
chmod 711 "$scratch"
TMPDIR=$scratch "$built/storage"
