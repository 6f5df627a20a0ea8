#!/usr/bin/env bash
# dev.sh PRESET [REGEX]   the developer's loop: build build/PRESET, run the tests whose names match.
#   dev.sh cpu            everything but the system tests
#   dev.sh asan kv_       the tests with kv_ in their names
#   TARGETS="a b" dev.sh cpu a   builds only these targets first
set -euo pipefail
# shellcheck source=scripts/lib.sh
. "$(dirname "${BASH_SOURCE[0]}")/lib.sh"

case "${1:-}" in
"" | -h | --help) print_help && exit 0 ;;
esac
read -r -a targets <<<"${TARGETS:-}"
build_preset "$1" "${targets[@]}"
if [ -n "${2:-}" ]; then
    run_ctest "$1" -R "$2"
else
    run_ctest "$1" -LE system
fi
