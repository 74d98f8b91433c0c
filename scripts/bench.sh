#!/usr/bin/env bash
# `make bench`: release builds, then the benchmark beside Debian's node_exporter.
set -euo pipefail
cd "$(dirname "$0")/.."

for program in dockerd docker prometheus-node-exporter; do
    command -v "$program" >/dev/null || {
        echo "bench: $program is missing: apt-get install --no-install-recommends docker.io busybox-static prometheus-node-exporter" >&2
        exit 1
    }
done
readonly built=${CARGO_TARGET_DIR:-target}/release
# The agent as it ships: with its own features only.
cargo build --release --locked -p fleetlight-agent
cp "$built/fleetlight-agent" "$built/fleetlight-agent.shipped"
cargo build --release --locked -p fleetlight-controller -p fleetlight-tests --bins
mv "$built/fleetlight-agent.shipped" "$built/fleetlight-agent"
"$built/bench"
exec "$built/storage"
