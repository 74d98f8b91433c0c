# shellcheck shell=bash
# A Docker daemon for the tests: the one that runs, else one of our own, stopped at the end.
# Sourced after lib.sh; `docker_start` exports DOCKER_HOST, `docker_stop` ends what we started.

readonly DOCKER_SOCKET=/var/run/docker.sock
readonly DOCKER_FOLDER=/var/tmp/fleetlight-docker
docker_process=''
# Why there is no daemon, if there is none.
docker_missing=''

docker_start() {
  if docker_answers; then return 0; fi
  have dockerd || { docker_missing='docker is not installed (package docker.io)' && return 1; }
  [ "$(id -u)" = 0 ] || { docker_missing='no Docker daemon answers, and only root can start one' && return 1; }
  mkdir -p "$DOCKER_FOLDER"
  # A machine may be a container itself and forbid what Docker does first: ask for less each time.
  docker_try || docker_try --bridge=none --iptables=false --ip6tables=false ||
    docker_try --bridge=none --iptables=false --ip6tables=false --storage-driver=vfs || {
    # shellcheck disable=SC2034 # read by whoever sources this
    docker_missing="dockerd does not start; its log: $DOCKER_FOLDER/dockerd.log"
    return 1
  }
}

docker_answers() { have docker && DOCKER_HOST=unix://$DOCKER_SOCKET timeout 5 docker version >/dev/null 2>&1 && export DOCKER_HOST=unix://$DOCKER_SOCKET; }

docker_try() {
  dockerd --host "unix://$DOCKER_SOCKET" --data-root "$DOCKER_FOLDER/data" --exec-root "$DOCKER_FOLDER/exec" \
    --pidfile "$DOCKER_FOLDER/docker.pid" "$@" </dev/null >>"$DOCKER_FOLDER/dockerd.log" 2>&1 &
  docker_process=$!
  local deadline=$((SECONDS + 30))
  while [ $SECONDS -lt $deadline ] && kill -0 "$docker_process" 2>/dev/null; do
    # It answers before it can run anything; a daemon that cannot make a container is of no use.
    if docker_answers && docker_runs; then return 0; fi
    sleep 0.3
  done
  docker_stop
  return 1
}

# Whether the daemon can run a container: one image of one static program.
docker_runs() {
  local busybox
  busybox=$(command -v busybox || echo /bin/busybox)
  [ -x "$busybox" ] || return 0
  tar -C "$(dirname "$busybox")" -c busybox | docker import - fleetlight-probe:latest >/dev/null 2>&1 || return 1
  local code=0
  docker run --rm fleetlight-probe:latest /busybox true >>"$DOCKER_FOLDER/dockerd.log" 2>&1 || code=$?
  docker image rm fleetlight-probe:latest >/dev/null 2>&1 || true
  if [ $code -ne 0 ]; then docker_stop; fi
  return $code
}

docker_stop() {
  [ -n "$docker_process" ] || return 0
  kill -TERM "$docker_process" 2>/dev/null || true
  wait "$docker_process" 2>/dev/null || true
  docker_process=''
}
