#!/usr/bin/env bash
# format.sh [--check] [FILE...]   applies .clang-format to our C++ and CUDA sources (default: all).
#   --check   change nothing, print what differs, exit 1 if anything does
set -euo pipefail
# shellcheck source=scripts/lib.sh
. "$(dirname "${BASH_SOURCE[0]}")/lib.sh"

check="" files=()
for argument in "$@"; do
    case "$argument" in
    --check) check=1 ;;
    -h | --help) print_help && exit 0 ;;
    -*) die "unknown option '$argument' (see --help)" ;;
    *) files+=("$argument") ;;
    esac
done
if [ "${#files[@]}" -eq 0 ]; then
    mapfile -t files < <(find app lib kernels tests -name '*.cpp' -o -name '*.hpp' -o -name '*.cu' -o -name '*.cuh')
fi
[ "${#files[@]}" -gt 0 ] || die "no source files found"
command -v clang-format >/dev/null || die "clang-format is missing: scripts/setup.sh --dev installs it"

if [ -z "$check" ]; then
    clang-format -i "${files[@]}"
    exit 0
fi
wrong=0
for file in "${files[@]}"; do
    if ! difference="$(clang-format "$file" | diff -u --label "$file" --label formatted "$file" -)"; then
        head -n 20 <<<"$difference"
        wrong=$((wrong + 1))
    fi
done
if [ "$wrong" -gt 0 ]; then
    log "format: $wrong of ${#files[@]} files differ from .clang-format; scripts/format.sh puts that right"
    exit 1
fi
log "format: ${#files[@]} files are right"
