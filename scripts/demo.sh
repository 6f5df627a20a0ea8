#!/usr/bin/env bash
# demo.sh [--keep] [--ranks N]   from a fresh Debian 12 to summaries of four documents, written by a
# 135 M model on 8 ranks: 2 pipeline stages x 2 KV-cache parts x 2 tensor slices.
#   --keep      keep out/demo: jobs that are done there are not run again
#   --ranks N   more or fewer ranks; the other way to split them is replicas of the 2 x 2 x 2 grid
#               (a multiple of 8), or 1, 2, 4 ranks for a smaller grid
set -euo pipefail
# shellcheck source=scripts/lib.sh
. "$(dirname "${BASH_SOURCE[0]}")/lib.sh"

keep="" ranks=8
while [ $# -gt 0 ]; do
    case "$1" in
    --keep) keep=1 ;;
    --ranks) ranks="${2:?--ranks needs a number}" && shift ;;
    -h | --help) print_help && exit 0 ;;
    *) die "unknown option '$1' (see --help)" ;;
    esac
    shift
done

case "$ranks" in
1) grid=(--spp 1 --kvp 1 --tp 1) ;;
2) grid=(--spp 2 --kvp 1 --tp 1) ;;
4) grid=(--spp 2 --kvp 2 --tp 1) ;;
*) grid=(--spp 2 --kvp 2 --tp 2) ;;
esac

phase "packages" scripts/setup.sh
phase "build" build_preset cpu longhaul
phase "model" scripts/fetch_model.sh
phase "documents" scripts/make_demo_documents.py

[ -n "$keep" ] || rm -rf out/demo
mpi_environment
begin="$(date +%s.%N)"
status=0
phase "run on $ranks ranks" mpirun -n "$ranks" --oversubscribe build/cpu/longhaul run \
    --model models/smollm2-135m/model.gguf --queue inputs/demo.jsonl --output out/demo \
    "${grid[@]}" </dev/null || status=$?
[ "$status" -le 1 ] || exit "$status"
seconds="$(awk -v a="$begin" -v b="$(date +%s.%N)" 'BEGIN { printf "%.1f", b - a }')"
scripts/show_results.py out/demo --seconds "$seconds"
log "the results are in out/demo/results.jsonl"
