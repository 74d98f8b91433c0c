#!/usr/bin/env bash
# Every test, with a summary at the end. In CI (CI=true) nothing may be skipped, except what needs a
# physical GPU, and each decoder is fuzzed for 30 s.
#
# Each step's output is in target/test/<step>.log. A test that cannot run for want of something says
# so by a line that begins with "SKIPPED: ".
set -euo pipefail
cd "$(dirname "$0")/.."
. scripts/lib.sh

logs=$(target_dir)/test
readonly logs
readonly FUZZ_SECONDS=30
# Lines of a failed step that the terminal gets; the log has the rest.
readonly TAIL_LINES=80

passed=0
failed=0
failures=()

main() {
  scripts/install-needs.sh test
  rm -rf "$logs"
  mkdir -p "$logs"

  step format cargo fmt --all --check
  step format-fuzz cargo fmt --manifest-path fuzz/Cargo.toml --check
  step lints cargo clippy --workspace --all-targets --locked -- -D warnings
  page
  step build cargo build --workspace --all-targets --locked
  if [ "${failures[*]:-}" = "" ] || [ -x "$(target_dir)/debug/fleetlight-controller" ]; then rust; fi
  if have node; then step make-up node --test scripts/up.test.mjs; fi
  browser
  policy
  if [ "${CI:-}" = true ]; then step fuzz scripts/fuzz.sh $FUZZ_SECONDS; fi
  summary
}

# step NAME COMMAND…: runs it with its output in a log, and counts it: its tests, or itself.
step() {
  local name=$1 log=$logs/$1.log start=$SECONDS code=0
  shift
  "$@" </dev/null >"$log" 2>&1 || code=$?
  count "$log" "$code"
  if [ $code -eq 0 ]; then
    say "ok      $name ($((SECONDS - start)) s)"
    return
  fi
  failures+=("$name")
  say "FAILED  $name ($((SECONDS - start)) s): $*; the end of $log:"
  tail -n $TAIL_LINES "$log"
}

skip() { printf 'SKIPPED: %s\n' "$1" >>"$logs/skipped.log"; }

# Sums up what nextest, cargo test, node's runner and our own checks say at their ends.
count() {
  local good bad
  read -r good bad < <(awk '
    /Summary \[|^test result: |^[0-9]+ passed, [0-9]+ failed$/ {
      for (i = 2; i <= NF; i++) {
        if ($i ~ /^passed/) good += $(i - 1)
        if ($i ~ /^(failed|timed)/) bad += $(i - 1)
      }
    }
    /^(ℹ|#) pass [0-9]+$/ { good += $3 }
    /^(ℹ|#) fail [0-9]+$/ { bad += $3 }
    END { print good + 0, bad + 0 }' "$1")
  if [ $((good + bad)) -eq 0 ] && [ "$2" -eq 0 ]; then good=1; fi
  if [ "$bad" -eq 0 ] && [ "$2" -ne 0 ]; then bad=1; fi
  passed=$((passed + good))
  failed=$((failed + bad))
}

# The page's own checks; its build comes first, since the whole-system tests look at it.
page() {
  if ! have npm; then
    skip "checks and tests of the page: npm is missing"
    return
  fi
  step page-build build_page
  step page-types npm --prefix dashboard-static run check
  step page-lint npm --prefix dashboard-static run lint
  step page-tests npm --prefix dashboard-static test
}

# Units, then the whole system, one test at a time: those measure delays, and would disturb each other.
rust() {
  # Root's tests start a daemon of their own, which they may stop; others use the one that runs.
  if [ "$(id -u)" != 0 ] && [ -w /var/run/docker.sock ]; then export FLEETLIGHT_TEST_DOCKER=unix:///var/run/docker.sock; fi
  if have cargo-nextest; then
    step units cargo nextest run --workspace --locked --no-fail-fast --success-output final \
      -E 'not package(fleetlight-tests)'
    step system cargo nextest run --workspace --locked --no-fail-fast --success-output final --test-threads 1 \
      -E 'package(fleetlight-tests)'
  else
    step units cargo test --workspace --exclude fleetlight-tests --lib --bins --tests --locked --no-fail-fast -- --show-output
    step system cargo test -p fleetlight-tests --lib --tests --locked --no-fail-fast -- --show-output --test-threads 1
  fi
  step documentation cargo test --workspace --doc --locked
}

# The page in a browser, on a system that runs.
browser() {
  if ! have npm; then
    skip "the page in a browser: npm is missing"
  elif ! { have chromium || have chromium-browser || have google-chrome; }; then
    skip "the page in a browser: Chromium is missing (package chromium)"
  else
    step browser scripts/browser.sh
  fi
}

# Licences, bans and sources always; advisories where their database can be reached.
policy() {
  local deny
  deny=$(command -v cargo-deny || printf '%s' "$(target_dir)/tools/bin/cargo-deny")
  if [ ! -x "$deny" ]; then
    skip "policy for dependencies: cargo-deny is missing (cargo install --locked cargo-deny)"
    return
  fi
  step policy "$deny" check licenses bans sources
  if "$deny" check advisories >"$logs/advisories.log" 2>&1; then
    step advisories true
  elif grep -q 'failed to fetch advisory database' "$logs/advisories.log"; then
    say "note    advisories: their database cannot be reached from here"
  else
    step advisories "$deny" check advisories
  fi
}

summary() {
  local skipped=() excused=0 line
  # A skipped test in Rust returns like a passed one.
  mapfile -t skipped < <(cat "$logs"/*.log | grep -oa 'SKIPPED: .*' | sort -u)
  passed=$((passed - $(cat "$logs"/{units,system}.log 2>/dev/null | grep -oa 'SKIPPED: .*' | sort -u | wc -l)))
  say ""
  for line in "${skipped[@]}"; do
    say "$line"
    case $line in *"NVIDIA GPU"* | *"physical GPU"*) excused=$((excused + 1)) ;; esac
  done
  [ ${#failures[@]} -eq 0 ] || say "failed steps: ${failures[*]}"
  say "$passed passed, $failed failed, ${#skipped[@]} skipped"
  [ ${#failures[@]} -eq 0 ] || exit 1
  if [ "${CI:-}" = true ] && [ ${#skipped[@]} -gt $excused ]; then
    die "in CI nothing may be skipped, except what needs a physical GPU"
  fi
}

main
