#!/usr/bin/env bash
# fuzz.sh [--seconds N] [TARGET...]   builds the fuzz targets of tests/fuzz with clang (libFuzzer,
# address and undefined-behaviour sanitizers) and runs each on its seed corpus and what grows from it.
#   --seconds N   seconds for each target that reads weight files (default 60); the others, whose inputs
#                 are small, get a sixth of it
#   TARGET        only these targets (names as in tests/fuzz, such as fuzz_gguf)
# An input that breaks a target is kept in build/fuzz/findings.
set -euo pipefail
# shellcheck source=scripts/lib.sh
. "$(dirname "${BASH_SOURCE[0]}")/lib.sh"

seconds=60 targets=()
while [ $# -gt 0 ]; do
    case "$1" in
    --seconds) seconds="${2:?--seconds needs a number}" && shift ;;
    -h | --help) print_help && exit 0 ;;
    -*) die "unknown option '$1' (see --help)" ;;
    *) targets+=("$1") ;;
    esac
    shift
done

command -v clang++ >/dev/null || die "clang++ is missing: scripts/setup.sh --dev installs it"
if [ "${#targets[@]}" -eq 0 ]; then
    # One target per source file tests/fuzz/FOLDER/fuzz_NAME.cpp.
    mapfile -t targets < <(find tests/fuzz -name 'fuzz_*.cpp' -printf '%f\n' | sed 's/\.cpp$//' | sort)
fi
[ "${#targets[@]}" -gt 0 ] || die "tests/fuzz has no targets"
phase "build (fuzz)" build_preset fuzz "${targets[@]}"

test_environment
mkdir -p build/fuzz/findings
for target in "${targets[@]}"; do
    share="$seconds"
    [ -e "tests/fuzz/weights/$target.cpp" ] || share=$(((seconds + 5) / 6))
    # What libFuzzer adds goes into the first folder; the seeds in git stay as they are.
    grown="build/fuzz/corpus/$target" seeds="tests/fuzz/corpus/$target"
    mkdir -p "$grown"
    folders=("$grown")
    [ -d "$seeds" ] && folders+=("$seeds")
    # A limit on memory and on one input's time turns a runaway size or loop into a finding.
    phase "$target ($share s)" "build/fuzz/tests/fuzz/$target" "${folders[@]}" \
        -max_total_time="$share" -timeout=10 -rss_limit_mb=2048 -malloc_limit_mb=1024 \
        -print_final_stats=1 -verbosity=0 -artifact_prefix="build/fuzz/findings/$target-"
done
log "fuzz: ${#targets[@]} targets, nothing found"
