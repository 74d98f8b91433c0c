#!/usr/bin/env bash
# Builds Fleetlight and runs it here: a controller on a private Postgres, and an agent with its executor for
# this very machine, enrolled as any other. Ctrl-C stops all of it; the data stays for the next time.
#
#   PORT=7070          port of the page, on loopback
#   SESSION_PORT=7443  port for agents (UDP) and enrolment (TCP), on loopback
#   ADDRESS=           name or address of this machine for other hosts: listens on all interfaces
#   STATE=.fleetlight  where everything is kept
#   PROFILE=dev        cargo's profile; `release` is smaller and lighter, and takes longer to build
set -euo pipefail
cd "$(dirname "$0")/.."
. scripts/lib.sh

readonly port=${PORT:-7070} session_port=${SESSION_PORT:-7443} address=${ADDRESS:-} profile=${PROFILE:-dev}
# As long as the controller gives its Postgres to recover after a crash (limits.rs), and some more.
readonly READY_SECONDS=330
# Agent and executor have nothing to flush; the controller stops Postgres, which writes a checkpoint.
readonly AGENT_STOP_SECONDS=10 EXECUTOR_STOP_SECONDS=10 CONTROLLER_STOP_SECONDS=45
# It has only to make its socket.
readonly EXECUTOR_READY_SECONDS=10
# A certificate may be renewed for 30 days after its seven; an identity that lay longer is of no use.
readonly IDENTITY_DAYS=36

agent=''
executor=''
controller=''
warnings=''

main() {
  scripts/install-needs.sh up
  . scripts/state.sh
  make_state
  check_ports
  build
  write_configuration
  trap 'finish 0' INT TERM HUP
  start_controller
  enrol_this_machine
  start_executor
  start_agent
  tell
  watch
}

# One `make up` at a time in one state folder; the lock's file names the process.
make_state() {
  install -d -m 711 "$state"
  install -d -m 700 "$state/log"
  exec 9>>"$state/up.lock"
  flock --nonblock 9 || die "Fleetlight already runs here (process $(cat "$state/up.lock")); stop it with: make down"
  printf '%s\n' $$ >"$state/up.lock"
  [ "$state" = "$PWD/.fleetlight" ] || say "Data, identities and logs are kept in $state"
}

check_ports() {
  local setting
  for setting in "PORT=$port" "SESSION_PORT=$session_port"; do
    [[ ${setting#*=} =~ ^[1-9][0-9]{0,4}$ && ${setting#*=} -le 65535 ]] || die "$setting is no port; allowed: 1 to 65535"
  done
  [ "$port" != "$session_port" ] || die "PORT and SESSION_PORT are both $port; give each its own"
  ! port_taken tcp "$port" || die "TCP port $port is taken by another program; choose another one: make up PORT=$((port + 1))"
  local kind
  for kind in tcp udp; do
    ! port_taken $kind "$session_port" ||
      die "${kind^^} port $session_port is taken by another program; choose another one: make up SESSION_PORT=$((session_port + 1))"
  done
}

build() {
  local folder=$profile quiet=(--quiet)
  [ "$profile" = dev ] && folder=debug
  binaries=$(target_dir)/$folder
  if [ -x "$binaries/fleetlight-controller" ]; then
    say "Building what has changed (profile $profile)"
  else
    say "Building controller and agent (profile $profile); the first time takes some minutes"
    # On a terminal cargo shows how far it is.
    [ ! -t 2 ] || quiet=()
  fi
  # For the whole workspace, so that the tests find everything built with the same features.
  cargo build ${quiet[@]+"${quiet[@]}"} --locked --profile "$profile" --workspace --bins
  page=$PWD/dashboard-static/dist
  if ! node_suits; then
    plain_page "Node.js $NODE_NEEDED or later, or npm, is missing. Install them (nodejs.org has what this system's packages lack), then start again:" "sudo apt-get install nodejs npm"
  elif say "Building the page" && ! build_page dev >/dev/null; then
    plain_page "npm says why on the terminal; often the network was away. Mend that, then start again:"
  fi
}

# What is served where the page cannot be built: why, and what to run before `make up`.
plain_page() {
  warn "the page cannot be built, and a plain one takes its place. $1 ${2:-}"
  page=$state/page
  mkdir -p "$page"
  cat >"$page/index.html" <<HTML
<!doctype html>
<html lang="en">
<meta charset="utf-8">
<title>Fleetlight: the page is not built</title>
<h1>Fleetlight runs, but its page is not built</h1>
<p>$1</p>
<pre>${2:-}
make up</pre>
<p>Nothing measured meanwhile is lost, and the API under /admin/api answers.</p>
HTML
}

write_configuration() {
  local listen=127.0.0.1 head
  [ -z "$address" ] || listen=0.0.0.0
  head="# Written anew by each \`make up\`; the environment overrides it, for instance"
  cat >"$state/controller.toml" <<TOML
$head FLEETLIGHT_CONTROLLER_DATABASE_URL.
state_dir = $(toml_string "$state/controller")
web_listen = "127.0.0.1:$port"
session_listen = "$listen:$session_port"
enrol_listen = "$listen:$session_port"
public_endpoint = $(toml_string "${address:-127.0.0.1}:$session_port")
dashboard_dir = $(toml_string "$page")
TOML
  socket=$(executor_folder)/socket
  cat >"$state/agent.toml" <<TOML
$head FLEETLIGHT_AGENT_INTERVAL_MS.
state_dir = $(toml_string "$state/agent")
executor_socket = $(toml_string "$socket")
executor_state_dir = $(toml_string "$state/executor")
policy_file = $(toml_string "$state/policy.toml")
runbooks_dir = $(toml_string "$state/runbooks")
TOML
}

# Where the executor listens: a socket's path has 107 bytes at most, and a clone may lie deeper.
executor_folder() {
  local folder=$state/executor LC_ALL=C
  [ ${#state} -le 80 ] || folder=${XDG_RUNTIME_DIR:-/tmp}/fleetlight-$(printf '%s' "$state" | sha256sum | cut -c1-12)
  install -d -m 700 "$state/executor" "$folder"
  printf '%s' "$folder"
}

# Starts a program beside us: in a session of its own, so that Ctrl-C reaches it through us and in
# order; told to stop by the kernel should we be killed, and not begun should we be gone before that
# was agreed; without our lock. Sets `started`.
start() {
  local name=$1
  shift
  : >"$state/log/$name.out"
  # shellcheck disable=SC2016 # the inner shell expands it: are we still its parent?
  NO_COLOR=1 setsid setpriv --pdeathsig TERM sh -c '[ "$PPID" = "$0" ] && exec "$@"' $$ "$@" </dev/null >"$state/log/$name.out" 2>>"$state/log/$name.log" 9>&- &
  started=$!
}

start_controller() {
  start controller "$binaries/fleetlight-controller" run --config "$state/controller.toml"
  controller=$started
  local deadline=$((SECONDS + READY_SECONDS))
  until grep -q '^ready: ' "$state/log/controller.out"; do
    kill -0 "$controller" 2>/dev/null || fail controller "$controller"
    [ $SECONDS -lt $deadline ] || fail_late controller $READY_SECONDS
    sleep 0.1
  done
}

# The real enrolment, as for any other host: a one-time token, a key made here, a certificate.
enrol_this_machine() {
  local token
  local identity=$state/agent/identity.json endpoint
  endpoint=$(sed -n 's/^public_endpoint = "\(.*\)"/\1/p' "$state/controller.toml")
  # One that names another port or address would dial in vain.
  if [ -n "$(find "$identity" -mtime -$IDENTITY_DAYS 2>/dev/null)" ]; then
    ! grep -qF "\"session_endpoint\": \"$endpoint\"" "$identity" || return 0
    say "Agents are to dial $endpoint now: enrolling this machine's anew. Other hosts' need a new join token each."
  fi
  # Bound to the name: should the host be known already, it keeps its history.
  token=$("$binaries/fleetlight-controller" join-token --host "$(uname -n)" --config "$state/controller.toml") ||
    stop_with "no join token could be made for this machine's agent"
  "$binaries/fleetlight-agent" enrol --token "$token" --config "$state/agent.toml" >/dev/null 2>>"$state/log/agent.log" ||
    stop_with "this machine's agent could not be enrolled: $(tail -n 1 "$state/log/agent.log")"
}

# Here it has the agent's account; as a service it has one of its own (systemd/README.md).
start_executor() {
  rm -f "$socket"
  start executor "$binaries/fleetlight-agent" executor --config "$state/agent.toml"
  executor=$started
  local deadline=$((SECONDS + EXECUTOR_READY_SECONDS))
  until [ -S "$socket" ]; do
    kill -0 "$executor" 2>/dev/null || fail executor "$executor"
    [ $SECONDS -lt $deadline ] || fail_late executor $EXECUTOR_READY_SECONDS
    sleep 0.1
  done
}

start_agent() {
  start agent "$binaries/fleetlight-agent" run --config "$state/agent.toml"
  agent=$started
}

tell() {
  local link
  link=$(sed -n 's/^setup link: //p' "$state/log/controller.out" | tail -1)
  say ""
  say "Fleetlight runs: http://127.0.0.1:$port"
  if [ -n "$link" ]; then
    say "Set the admin's password once, here: $link"
  else
    say "Log in as admin, with the password that you set."
  fi
  say ""
  tell_absent
  say "Data: $state   logs: $state/log   stop: Ctrl-C, or make down"
  say "What people may do to this machine: $state/policy.toml (docs/policy.md), runbooks in $state/runbooks"
  [ -n "$address" ] || say "Other hosts can join once they can reach this machine: make up ADDRESS=<its name or address>"
}

# What the page will call absent, and why.
tell_absent() {
  local socket=${FLEETLIGHT_AGENT_DOCKER_SOCKET:-/var/run/docker.sock}
  if [ ! -S "$socket" ]; then
    say "Docker: none here, so there are no containers to show."
  elif [ ! -w "$socket" ]; then
    say "Docker: $socket is closed to $(id -un); add the account to the group docker, or run make up as root."
  fi
  [ -e /dev/nvidiactl ] || say "GPU: no NVIDIA driver here, so there are no GPUs to show."
}

# Shows warnings as they come, until something ends or we are told to stop.
watch() {
  tail --quiet --pid=$$ -n 0 -F "$state/log/controller.log" "$state/log/executor.log" "$state/log/agent.log" 2>/dev/null 9>&- \
    > >(exec grep --line-buffered -E '^[^ ]+ +(WARN|ERROR) ' 9>&-) &
  warnings=$!
  wait -n "$controller" "$executor" "$agent" || true
  kill -0 "$controller" 2>/dev/null || fail controller "$controller"
  kill -0 "$executor" 2>/dev/null || fail executor "$executor"
  fail agent "$agent"
}

# Says which one ended, how, and what it said last; stops the rest.
fail() {
  local name=$1 code=0
  wait "$2" || code=$?
  warn "the $name ended with exit code $code; the end of $state/log/$name.log:"
  tail -n 15 "$state/log/$name.log" | sed 's/^/  /' >&2
  finish 1
}

fail_late() {
  warn "the $1 is not ready after $2 s; the end of $state/log/$1.log:"
  tail -n 15 "$state/log/$1.log" | sed 's/^/  /' >&2
  finish 1
}

stop_with() {
  warn "$1"
  finish 1
}

# Stops the agent, then its executor, then the controller with its Postgres, and ends.
finish() {
  trap '' INT TERM HUP
  say ""
  say "Stopping"
  # What programs say on their way out is in their logs.
  stop "display of warnings" "$warnings" 1
  stop agent "$agent" $AGENT_STOP_SECONDS
  stop executor "$executor" $EXECUTOR_STOP_SECONDS
  stop controller "$controller" $CONTROLLER_STOP_SECONDS
  exit "$1"
}

stop() {
  local name=$1 process=$2 deadline=$((SECONDS + $3))
  [ -n "$process" ] || return 0
  kill -TERM "$process" 2>/dev/null || return 0
  while kill -0 "$process" 2>/dev/null; do
    if [ $SECONDS -ge $deadline ]; then
      warn "the $name did not stop within $3 s and is killed"
      kill -KILL "$process" 2>/dev/null || true
      return 0
    fi
    sleep 0.1
  done
}

main
