#!/usr/bin/env bash
# Every test, with a summary at the end. In CI (CI=true) each decoder is fuzzed for 30 s, too, and
# nothing may be skipped, except what needs a physical GPU, and advisories where their database
# cannot be reached.
#
# Each step's output is in target/test/<step>.log. A test that cannot run for want of something says
# so by a line that begins with "SKIPPED: ".
set -euo pipefail
cd "$(dirname "$0")/.."
. scripts/lib.sh

logs=$(target_dir)/test
readonly logs
readonly FUZZ_SECONDS=30
# Four times what the longest step takes on two cores; one that hangs is ended, and named.
readonly STEP_SECONDS=1500
# For a step to clean up in: daemons and mounts of its own.
readonly CLEAN_SECONDS=60
# Lines of a failed step that the terminal gets; the log has the rest.
readonly TAIL_LINES=80

passed=0
failed=0
failures=()
doing='the installation of what is missing'

main() {
  trap ended_early EXIT
  scripts/install-needs.sh test
  rm -rf "$logs"
  mkdir -p "$logs"

  step format cargo fmt --all --check
  step format-fuzz cargo fmt --manifest-path fuzz/Cargo.toml --check
  step lints cargo clippy --workspace --all-targets --locked -- -D warnings
  page
  step build cargo build --workspace --all-targets --locked
  if has_failed build; then
    skip "tests of Rust, of make up and in the browser: the build failed"
  else
    rust
    step faults scripts/faults.sh
    make_up
    browser
  fi
  policy
  if [ "${CI:-}" = true ]; then step fuzz scripts/fuzz.sh $FUZZ_SECONDS; fi
  summary
}

# step NAME COMMAND…: runs it with its output in a log, and counts it: its tests, or itself.
step() {
  local name=$1 log=$logs/$1.log start=$SECONDS code=0 why=''
  shift
  doing="the step $name"
  # Said first, so that a run that is cut off shows where.
  say "        $name: $*"
  timeout --kill-after=$CLEAN_SECONDS $STEP_SECONDS "$@" </dev/null >"$log" 2>&1 || code=$?
  count "$log" "$code"
  if [ $code -eq 0 ]; then
    say "ok      $name ($((SECONDS - start)) s)"
    return
  fi
  failures+=("$name")
  case $code in 124 | 137) why=", ended after $STEP_SECONDS s" ;; esac
  say "FAILED  $name ($((SECONDS - start)) s, exit code $code$why): $*; the end of $log:"
  tail -n $TAIL_LINES "$log"
}

has_failed() { case " ${failures[*]:-} " in *" $1 "*) ;; *) return 1 ;; esac }

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
  if ! node_suits; then
    skip "checks and tests of the page: Node.js $NODE_NEEDED or later, or npm, is missing"
    return
  fi
  step page-build bash -c 'set -euo pipefail; . scripts/lib.sh; build_page'
  step page-types npm --prefix dashboard-static run check
  step page-lint npm --prefix dashboard-static run lint
  step page-tests npm --prefix dashboard-static test
}

# Units, then the whole system, one test at a time: those measure delays, and would disturb each other.
#
# Both choose from the whole workspace: without one of its members, crates have fewer features, and
# cargo would build half of them a second time.
rust() {
  local units system
  # Root's tests start a daemon of their own, which they may stop; others use the one that runs.
  if [ "$(id -u)" != 0 ] && [ -w /var/run/docker.sock ]; then export FLEETLIGHT_TEST_DOCKER=unix:///var/run/docker.sock; fi
  if have cargo-nextest; then
    step units cargo nextest run --workspace --locked --no-fail-fast --success-output final \
      -E 'not package(fleetlight-tests)'
    step system cargo nextest run --workspace --locked --no-fail-fast --success-output final --test-threads 1 \
      -E 'package(fleetlight-tests)'
  else
    mapfile -t units < <(test_options protocol agent controller)
    mapfile -t system < <(test_options tests)
    step units cargo test --workspace --lib --bins "${units[@]}" --locked --no-fail-fast -- --show-output
    step system cargo test --workspace "${system[@]}" --locked --no-fail-fast -- --show-output --test-threads 1
  fi
  step documentation cargo test --workspace --doc --locked
}

# Options that choose all tests in the folders `tests` of some members.
test_options() {
  local member place
  for member in "$@"; do
    for place in "$member"/tests/*.rs "$member"/tests/*/main.rs; do
      [ -e "$place" ] || continue
      place=${place%/main.rs}
      printf '%s\n' --test "$(basename "$place" .rs)"
    done
  done
}

# `make up` as a newcomer meets it.
make_up() {
  if node_suits; then
    step make-up node --test scripts/up.test.mjs
  else
    skip "make up: its test needs Node.js $NODE_NEEDED or later"
  fi
}

# The page in a browser, on a system that runs.
browser() {
  if ! node_suits; then
    skip "the page in a browser: Node.js $NODE_NEEDED or later, or npm, is missing"
  elif ! find_chromium >/dev/null; then
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
  if GIT_TERMINAL_PROMPT=0 timeout $STEP_SECONDS "$deny" check advisories >"$logs/advisories.log" 2>&1 </dev/null; then
    step advisories cat "$logs/advisories.log"
  elif grep -q 'failed to fetch advisory database' "$logs/advisories.log"; then
    skip "advisories: their database cannot be reached from here"
  else
    step advisories "$deny" check advisories
  fi
}

# What was skipped, each once. Finding none is no failure.
skipped_in() {
  { cat "$@" 2>/dev/null || true; } | { grep -aE '^ *SKIPPED: ' || true; } | sed 's/^ *//' | sort -u
}

summary() {
  local skipped=() excused=0 line
  doing='the summary'
  mapfile -t skipped < <(skipped_in "$logs"/*.log)
  # A skipped test in Rust returns like a passed one.
  passed=$((passed - $(skipped_in "$logs"/{units,system}.log | wc -l)))
  say ""
  for line in ${skipped[@]+"${skipped[@]}"}; do
    say "$line"
    case $line in
      *"NVIDIA GPU"* | *"physical GPU"* | "SKIPPED: advisories: "*) excused=$((excused + 1)) ;;
    esac
  done
  [ ${#failures[@]} -eq 0 ] || say "failed steps: ${failures[*]}"
  say "$passed passed, $failed failed, ${#skipped[@]} skipped, in $((SECONDS / 60)) min"
  trap - EXIT
  [ ${#failures[@]} -eq 0 ] || exit 1
  if [ "${CI:-}" = true ] && [ ${#skipped[@]} -gt $excused ]; then
    die "in CI nothing may be skipped, except what needs a physical GPU, and advisories that cannot be reached"
  fi
}

# However it ends, it says so.
ended_early() {
  local code=$?
  say "FAILED  the tests ended early, at $doing, with exit code $code"
}

main
