#!/usr/bin/env bash
# Builds the fuzz targets with the stable toolchain and runs each for a while.
#
#   scripts/fuzz.sh [SECONDS [TARGET…]]
#
# What libFuzzer found before is kept in target/fuzz/corpus; an input that breaks something lands in
# target/fuzz/findings, and the message says how to run it again.
set -euo pipefail
cd "$(dirname "$0")/.."

seconds=${1:-30}
shift || true
# Decoders are bounded by limits.rs; a batch at its bound takes some 20 MB.
readonly MEMORY_MIB=512
# A frame at its bound is 256 KiB, but what breaks a decoder is short.
readonly INPUT_BYTES=16384
# A target is one thread.
AT_A_TIME=$(nproc)
readonly AT_A_TIME

host=$(rustc -vV | sed -n 's/^host: //p')
out=target/fuzz
mkdir -p "$out/findings"

# The coverage that cargo-fuzz asks for. `--target` keeps it off build scripts and macros, which do
# not link libFuzzer.
flags=(
  -Cpasses=sancov-module
  -Cllvm-args=-sanitizer-coverage-level=4
  -Cllvm-args=-sanitizer-coverage-inline-8bit-counters
  -Cllvm-args=-sanitizer-coverage-pc-table
  -Cllvm-args=-sanitizer-coverage-trace-compares
  # One unit a crate: the sections of counters and of their places must stay side by side.
  -Ccodegen-units=1
  --cfg=fuzzing
)
echo "fuzz: building (stable toolchain, instrumented for libFuzzer)"
RUSTFLAGS="${flags[*]}" CARGO_TARGET_DIR="$out" \
  cargo build --quiet --locked --release --manifest-path fuzz/Cargo.toml --target "$host" --bins

if [ $# -gt 0 ]; then
  targets=("$@")
else
  mapfile -t targets < <(sed -n 's|^path = "fuzz_targets/\(.*\)\.rs"|\1|p' fuzz/Cargo.toml)
fi

# run TARGET: says what it did; fails on a finding.
run() {
  local target=$1
  local binary=$out/$host/release/$target corpus=$out/corpus/$target seeds=$out/seeds/$target log=$out/$target.log
  mkdir -p "$corpus" "$seeds"
  if FLEETLIGHT_FUZZ_SEEDS=$seeds "$binary" "$corpus" "$seeds" \
    -max_total_time="$seconds" -rss_limit_mb=$MEMORY_MIB -max_len=$INPUT_BYTES -timeout=5 \
    -artifact_prefix="$out/findings/$target-" -print_final_stats=1 >"$log" 2>&1; then
    local coverage runs
    coverage=$(grep -o 'cov: [0-9]* ft: [0-9]* corp: [0-9]*' "$log" | tail -1)
    runs=$(sed -n 's/^stat::number_of_executed_units: *//p' "$log")
    echo "fuzz: $target: $runs inputs in ${seconds} s, $coverage"
  else
    {
      echo "fuzz: $target: FINDING; the end of $log:"
      tail -n 25 "$log"
      echo "fuzz: run it again with: $binary $out/findings/$target-…"
    } >&2
    return 1
  fi
}

findings=0
running=0
for target in "${targets[@]}"; do
  if [ "$running" -ge "$AT_A_TIME" ]; then
    wait -n || findings=$((findings + 1))
    running=$((running - 1))
  fi
  run "$target" &
  running=$((running + 1))
done
while [ "$running" -gt 0 ]; do
  wait -n || findings=$((findings + 1))
  running=$((running - 1))
done
echo "fuzz: $((${#targets[@]} - findings)) targets passed, $findings failed"
[ "$findings" -eq 0 ]
