#!/usr/bin/env bash
# setup.sh [--dev] [--slurm]   installs the Debian packages that longhaul needs (Debian 12).
#   --slurm   also Slurm, for tests; its daemons stay off
#   --dev     also clang, clang-format, clang-tidy, libFuzzer, gdb, shellcheck, h5py and Slurm
# Quick when everything is there: apt is asked only for what is missing.
set -euo pipefail
# shellcheck source=scripts/lib.sh
. "$(dirname "${BASH_SOURCE[0]}")/lib.sh"

packages=(
    g++ cmake ninja-build ccache git pkg-config
    libopenmpi-dev openmpi-bin libdnnl-dev
    libpcre2-dev libutf8proc-dev nlohmann-json3-dev libsimdjson-dev libfmt-dev
    libboost-program-options-dev libgtest-dev libgmock-dev libhdf5-dev zlib1g-dev libxxhash-dev
    bible-kjv bible-kjv-text
    python3 python3-pip python3-venv unzip curl ca-certificates
)
dev_packages=(clang clang-format clang-tidy libclang-rt-14-dev libomp-14-dev gdb shellcheck python3-h5py)
slurm_packages=(munge slurmctld slurmd slurm-client)

for argument in "$@"; do
    case "$argument" in
    --dev) packages+=("${dev_packages[@]}" "${slurm_packages[@]}") ;;
    --slurm) packages+=("${slurm_packages[@]}") ;;
    -h | --help) print_help && exit 0 ;;
    *) die "unknown option '$argument' (see --help)" ;;
    esac
done

command -v dpkg-query >/dev/null || die "this script installs Debian packages, and there is no dpkg here.
Install the equivalents of: ${packages[*]}"

# Prints those packages of the list that are not installed.
missing_packages() {
    local installed
    installed="$(dpkg-query -W -f '${db:Status-Status} ${Package}\n' "${packages[@]}" 2>/dev/null |
        sed -n 's/^installed //p' || true)"
    for package in "${packages[@]}"; do
        grep -qxF -- "$package" <<<"$installed" || echo "$package"
    done
}

mapfile -t missing < <(missing_packages)
if [ "${#missing[@]}" -eq 0 ]; then
    log "setup: all ${#packages[@]} packages are installed"
    exit 0
fi

# Debian starts a daemon as soon as its package is installed, and at every boot from then on. The tests start their own: during
# the installation policy-rc.d forbids it, and the units of newly installed packages are switched off.
daemons=(munge slurmctld slurmd)
policy=/usr/sbin/policy-rc.d
forbid_daemons() {
    [ -e "$policy" ] ||
        as_root sh -c "printf '#!/bin/sh\nexit 101\n' >$policy && chmod 755 $policy && touch $policy.longhaul"
}
allow_daemons() {
    [ ! -e "$policy.longhaul" ] || as_root rm -f "$policy" "$policy.longhaul"
    local daemon
    command -v systemctl >/dev/null || return 0
    for daemon in "$@"; do
        as_root systemctl disable --quiet "$daemon" || log "setup: could not switch $daemon off"
    done
}

log "setup: installing ${missing[*]}"
apt_get() { as_root env DEBIAN_FRONTEND=noninteractive apt-get -o DPkg::Lock::Timeout=120 "$@" </dev/null; }
apt_get update -qq
# Unpacking is long and dull; problems come on stderr.
mapfile -t new_daemons < <(printf '%s\n' "${missing[@]}" | grep -xF "$(printf '%s\n' "${daemons[@]}")" || true)
if [ "${#new_daemons[@]}" -gt 0 ]; then
    trap 'allow_daemons "${new_daemons[@]}"' EXIT
    forbid_daemons
fi
apt_get install -y -qq --no-install-recommends "${missing[@]}" >/dev/null

mapfile -t missing < <(missing_packages)
[ "${#missing[@]}" -eq 0 ] || die "still missing after the installation: ${missing[*]}"
log "setup: done"
