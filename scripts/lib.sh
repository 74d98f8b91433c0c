# shellcheck shell=bash
# What the scripts share. Sourced from the root of the clone, after `set -euo pipefail`.

say() { printf '%s\n' "$*"; }
warn() { printf 'warning: %s\n' "$*" >&2; }
die() {
  printf 'error: %s\n' "$*" >&2
  exit 1
}
have() { command -v "$1" >/dev/null 2>&1; }

# A shell that has not read rustup's lines, such as CI's, finds cargo all the same.
have cargo || PATH=${CARGO_HOME:-${HOME:-/root}/.cargo}/bin:$PATH

# Where cargo puts what it builds.
target_dir() { printf '%s' "${CARGO_TARGET_DIR:-target}"; }

# Runs a command as root, if this person may: as root, or by sudo that asks nothing.
may_be_root() { [ "$(id -u)" = 0 ] || { have sudo && sudo -n true 2>/dev/null; }; }
as_root() { if [ "$(id -u)" = 0 ]; then "$@"; else sudo -n "$@"; fi; }

# The folder of PostgreSQL's server programs, newest version first; nothing if there is none.
postgres_bin() {
  local folder
  for folder in $(printf '%s\n' /usr/lib/postgresql/*/bin | sort -t/ -k5 -rV) /usr/pgsql-*/bin; do
    if [ -x "$folder/postgres" ]; then
      printf '%s' "$folder"
      return
    fi
  done
  if have postgres && have initdb; then dirname "$(command -v postgres)"; fi
}

# Whether PostgreSQL is of a version that we can use. Multiranges, the ledger's type, came with 14.
postgres_suits() {
  local bin major
  bin=$(postgres_bin)
  [ -n "$bin" ] || return 1
  major=$("$bin/postgres" --version | sed 's/.*(PostgreSQL) \([0-9]*\).*/\1/')
  [ "$major" -ge 14 ]
}

# Whether Node.js can build the page and run its tests. Debian 12 has 18; Ubuntu 22.04 only 12.
readonly NODE_NEEDED=18
node_suits() {
  have node && have npm && [ "$(node --version | sed 's/v\([0-9]*\).*/\1/')" -ge "$NODE_NEEDED" ]
}

# The browser for tests of the page; nothing if there is none.
find_chromium() { command -v chromium || command -v chromium-browser || command -v google-chrome; }

# Whether something on this machine listens on a port: tcp|udp PORT. Reads the kernel's own table,
# since a fresh machine has neither ss nor lsof.
port_taken() {
  local state='..'
  [ "$1" = tcp ] && state='0A'
  grep -qsE "^ *[0-9]+: [0-9A-F]+:$(printf '%04X' "$2") [0-9A-F]+:[0-9A-F]+ $state " "/proc/net/$1" "/proc/net/${1}6"
}

# A string as TOML writes it.
toml_string() {
  local text=${1//\\/\\\\}
  printf '"%s"' "${text//\"/\\\"}"
}

# Installs the page's libraries (by lock file, no install scripts) and lays out dist/. The argument
# is what npm leaves out: `dev` for running only, nothing for tests.
build_page() {
  local omit=${1:-} stamp wanted
  wanted="$(sha256sum <dashboard-static/package-lock.json) omit=$omit"
  stamp=dashboard-static/node_modules/.fleetlight
  # A full install serves for running, too.
  if [ "$(cat "$stamp" 2>/dev/null)" != "$wanted" ] && [ "$(cat "$stamp" 2>/dev/null)" != "${wanted%dev}" ]; then
    (cd dashboard-static && npm ci --ignore-scripts --no-audit --no-fund --loglevel=error ${omit:+--omit="$omit"}) || return
    printf '%s\n' "$wanted" >"$stamp"
  fi
  (cd dashboard-static && node build.mjs)
}
