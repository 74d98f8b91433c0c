#!/usr/bin/env bash
# `make test-faults`: builds what is killed, and kills it (docs/faults.md).
#
#   SEED=7 KILLS=40 scripts/faults.sh      or DURATION=1500, in seconds; FORM=samples or FORM=commands: only that
set -euo pipefail
cd "$(dirname "$0")/.."
. scripts/lib.sh

# What is empty was not given.
for name in SEED KILLS DURATION FORM; do [ -n "${!name:-}" ] || unset "$name"; done
# All of the workspace, as the tests build it: else half of it would be built a second time.
cargo build --workspace --all-targets --locked
exec "$(target_dir)/debug/faults"
