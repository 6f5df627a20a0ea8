#!/usr/bin/env bash
# setup.sh [--dev]   installs the Debian packages that longhaul needs (Debian 12).
#   --dev   also clang, clang-format, clang-tidy, libFuzzer, gdb and shellcheck
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
dev_packages=(clang clang-format clang-tidy libclang-rt-14-dev libomp-14-dev gdb shellcheck)

for argument in "$@"; do
    case "$argument" in
    --dev) packages+=("${dev_packages[@]}") ;;
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

log "setup: installing ${missing[*]}"
apt_get() { as_root env DEBIAN_FRONTEND=noninteractive apt-get -o DPkg::Lock::Timeout=120 "$@" </dev/null; }
apt_get update -qq
# Unpacking is long and dull; problems come on stderr.
apt_get install -y -qq --no-install-recommends "${missing[@]}" >/dev/null

mapfile -t missing < <(missing_packages)
[ "${#missing[@]}" -eq 0 ] || die "still missing after the installation: ${missing[*]}"
log "setup: done"
