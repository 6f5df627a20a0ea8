#!/usr/bin/env bash
# test.sh [--preset NAME] [--jobs N] [--no-setup] [--slurm] [CTEST OPTION...]
# Installs what is missing, builds, fetches the small model and runs the whole suite.
#   --preset NAME   cpu (default), cuda, asan or tsan; the build lies in build/NAME
#   --jobs N        tests at once (default: the usable cores)
#   --slurm         also the job scripts on a real Slurm with two virtual nodes on this host, whose daemons are started and
#                   ended (tests/system/slurm/README.md)
#   --no-setup      do not look for packages or the model
# Everything else goes to ctest:
#   -L unit|kernels|ranks|system|gpu   only tests with that label         -R REGEX   by name
# Tests that need a GPU are listed as skipped where there is none.
set -euo pipefail
# shellcheck source=scripts/lib.sh
. "$(dirname "${BASH_SOURCE[0]}")/lib.sh"

preset=cpu setup=1 setup_options=() options=()
while [ $# -gt 0 ]; do
    case "$1" in
    --preset) preset="${2:?--preset needs a name}" && shift ;;
    --jobs) options+=(--parallel "${2:?--jobs needs a number}") && shift ;;
    --no-setup) setup="" ;;
    --slurm) export LONGHAUL_SLURM_TESTS=1 && setup_options+=(--slurm) ;;
    -h | --help) print_help && exit 0 ;;
    *) options+=("$1") ;;
    esac
    shift
done

if [ -n "$setup" ]; then
    phase "packages" scripts/setup.sh "${setup_options[@]}"
fi
phase "build ($preset)" build_preset "$preset"
if [ -n "$setup" ]; then
    phase "model" scripts/fetch_model.sh
    phase "documents" scripts/make_demo_documents.py
fi
log "tests ($preset)"
run_ctest "$preset" "${options[@]}"
