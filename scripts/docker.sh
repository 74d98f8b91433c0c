# shellcheck shell=bash
# A Docker daemon to look at: the machine's, or one of our own, stopped at the end. Sourced after lib.sh.
#
# `docker_start FOLDER` exports DOCKER_HOST and tells the agent its socket; `docker_stop` ends what it
# started. If it fails, `docker_missing` says why.

docker_process=''
# shellcheck disable=SC2034 # read by whoever sources this
docker_missing=''

docker_start() {
  local folder=$1
  if docker_answers /var/run/docker.sock; then return 0; fi
  have dockerd || { docker_missing='docker is not installed (package docker.io)' && return 1; }
  [ "$(id -u)" = 0 ] || { docker_missing='no Docker daemon answers, and only root can start one' && return 1; }
  mkdir -p "$folder"
  # A machine may be a container itself and forbid what Docker does first: ask for less each time.
  docker_try "$folder" || docker_try "$folder" --bridge=none --iptables=false --ip6tables=false ||
    docker_try "$folder" --bridge=none --iptables=false --ip6tables=false --storage-driver=vfs || {
    # shellcheck disable=SC2034 # as above
    docker_missing="dockerd does not start; it says last: $(tail -n 1 "$folder/dockerd.log")"
    return 1
  }
}

# Whether a daemon answers on a socket; if so, it is the one to use.
docker_answers() {
  have docker && DOCKER_HOST=unix://$1 timeout 5 docker version >/dev/null 2>&1 || return 1
  export DOCKER_HOST=unix://$1 FLEETLIGHT_AGENT_DOCKER_SOCKET=$1
}

docker_try() {
  local folder=$1 deadline=$((SECONDS + 30))
  shift
  dockerd --host "unix://$folder/docker.sock" --data-root "$folder/data" --exec-root "$folder/exec" \
    --pidfile "$folder/docker.pid" "$@" </dev/null >>"$folder/dockerd.log" 2>&1 &
  docker_process=$!
  while [ $SECONDS -lt $deadline ] && kill -0 "$docker_process" 2>/dev/null; do
    # It answers before it can run anything; a daemon that cannot run a container is of no use.
    if docker_answers "$folder/docker.sock"; then
      docker_runs >>"$folder/dockerd.log" 2>&1 && return 0
      break
    fi
    sleep 0.3
  done
  docker_stop
  return 1
}

# Makes an image of one static program, and runs it.
docker_runs() {
  tar -C "$(dirname "$(command -v busybox)")" -c busybox | docker import - fleetlight-browser:test &&
    docker run --rm fleetlight-browser:test /busybox true
}

docker_stop() {
  [ -n "$docker_process" ] || return 0
  kill -TERM "$docker_process" 2>/dev/null || true
  wait "$docker_process" 2>/dev/null || true
  docker_process=''
}
