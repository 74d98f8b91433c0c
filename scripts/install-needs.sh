#!/usr/bin/env bash
# Installs through apt what this machine lacks, and says what and why first.
#
#   scripts/install-needs.sh up      what `make up` needs
#   scripts/install-needs.sh test    and what the tests need
#   scripts/install-needs.sh bench   and what the measurements compare with
#
# Where it may not install, it prints the command to run. It fails only if something is missing
# without which nothing works: a linker, PostgreSQL. INSTALL=no installs nothing.
set -euo pipefail
cd "$(dirname "$0")/.."
. scripts/lib.sh

readonly purpose=${1:-up}
# Rust's oldest version that builds us, as Cargo.toml states it.
rust_needed=$(sed -n 's/^rust-version = "\(.*\)"/\1/p' Cargo.toml)
readonly rust_needed

packages=()
reasons=()

# need PACKAGES WHY
need() {
  packages+=("$1")
  reasons+=("$2")
}

check_rust() {
  have cargo || die "Rust is missing. Install it as https://rustup.rs says, open a new shell, and run this again."
  local version
  version=$(rustc --version | cut -d' ' -f2)
  if [ "$(printf '%s\n' "$rust_needed" "$version" | sort -V | head -1)" != "$rust_needed" ]; then
    die "Rust $version is too old; $rust_needed or later is needed. Run: rustup update stable"
  fi
}

look_for_needs() {
  have cc || need "gcc libc6-dev" "compiler and linker for the parts of Rust crates that are C"
  postgres_suits || need "postgresql" "the database; Fleetlight runs a private cluster of its own"
  node_suits || need "nodejs npm" "builds the web page"
  [ "$purpose" = up ] && return
  have make || need "make" "the README's commands"
  have c++ || need "g++" "libFuzzer, for make fuzz"
  find_chromium >/dev/null ||
    need "chromium fonts-dejavu-core" "tests of the page in a real browser"
  { have docker && have dockerd; } || need "docker.io" "tests with real containers"
  have docker-compose || need "docker-compose" "tests that let compose make containers anew"
  have docker-registry || need "docker-registry" "tests that pull images"
  { have debootstrap || [ -x /usr/sbin/debootstrap ]; } || need "debootstrap" "tests with a real systemd"
  have fusermount3 || need "fuse3" "tests with a file system that hangs"
  have ip || need "iproute2" "tests with two hosts in network namespaces"
  [ -x /bin/busybox ] || have busybox || need "busybox-static" "the image of test containers"
  [ "$purpose" = test ] && return
  have prometheus-node-exporter || need "prometheus-node-exporter" "what make bench compares an agent with"
  { have prometheus && have victoria-metrics; } ||
    need "prometheus victoria-metrics" "what make bench compares history with"
}

# Debian's package makes a cluster of the system's own and starts it; nobody asked for that. The
# setting holds for this installation only.
readonly NO_CLUSTER=/etc/postgresql-common/createcluster.d/fleetlight-setup.conf
without_system_cluster() {
  as_root mkdir -p "$(dirname "$NO_CLUSTER")"
  printf 'create_main_cluster = false\n' | as_root tee "$NO_CLUSTER" >/dev/null
  trap 'as_root rm -f "$NO_CLUSTER"' EXIT
}

# A mirror that does not answer must not hold us for ever.
readonly APT_SECONDS=900
apt() {
  as_root env DEBIAN_FRONTEND=noninteractive timeout --kill-after=10 $APT_SECONDS \
    apt-get -q -o DPkg::Lock::Timeout=120 -o Acquire::Retries=3 "$@" </dev/null
}
apt_install() { apt install -y --no-install-recommends "$@" >/dev/null; }

# What cannot be installed with the rest must not keep the rest away: whoever needs it says so later.
install() {
  local list=("$@") one
  case " ${list[*]} " in *" postgresql "*) without_system_cluster ;; esac
  apt update >/dev/null || warn "apt-get update failed; going on with the package lists that are there"
  apt_install "${list[@]}" || for one in "${list[@]}"; do
    apt_install "$one" || warn "apt-get could not install $one; its message is above"
  done
  # They come with services that start at once; tests and the benchmark run servers of their own.
  case " ${list[*]} " in *" victoria-metrics "*)
    as_root systemctl disable --now prometheus victoria-metrics >/dev/null 2>&1 || true ;;
  esac
  case " ${list[*]} " in *" docker-registry "*)
    as_root systemctl disable --now docker-registry >/dev/null 2>&1 || true ;;
  esac
  # From Debian 13 on, the client is a package of its own.
  case " ${list[*]} " in *" docker.io "*) have docker || apt_install docker-cli || true ;; esac
}

# Ends with an error if something is missing that nothing works without.
judge() {
  have cc || die "no C compiler: run the command above, then this again"
  if ! postgres_suits; then
    [ -z "$(postgres_bin)" ] || die "PostgreSQL in $(postgres_bin) is too old: 14 or later is needed (Debian 12, Ubuntu 22.04)"
    die "no PostgreSQL: run the command above, then this again"
  fi
}

check_rust
look_for_needs
[ ${#packages[@]} -gt 0 ] || exit 0

say "This machine lacks:"
for index in "${!packages[@]}"; do
  printf '  %-28s %s\n' "${packages[$index]}" "${reasons[$index]}"
done
# shellcheck disable=SC2206 # several packages may serve one need
list=(${packages[*]})
command="apt-get install --no-install-recommends ${list[*]}"
if [ "${INSTALL:-yes}" = no ]; then
  say "INSTALL=no: nothing is installed. The command is: $command"
elif ! have apt-get; then
  say "This is neither Debian nor Ubuntu: install what these packages hold by hand."
elif may_be_root; then
  say "Installing it: $command"
  install "${list[@]}"
else
  say "It cannot be installed from here (not root, and sudo wants a password). Run: sudo $command"
fi
judge
