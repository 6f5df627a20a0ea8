# shellcheck shell=bash
# Helpers that every script sources:  . "$(dirname "${BASH_SOURCE[0]}")/lib.sh"
# Sets LH_ROOT (absolute path of the tree) and changes into it; expects set -euo pipefail.

LH_SCRIPT="$(realpath "$0")"
LH_ROOT="$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)"
cd "$LH_ROOT" || exit

log() { printf '[%s] %s\n' "$(date +%H:%M:%S)" "$*"; }

die() {
    printf 'error: %s\n' "$*" >&2
    exit 2
}

# Prints the comment block at the top of the calling script: the one place where options are listed.
print_help() { sed -n '2,/^[^#]/{s/^# \{0,1\}//p}' "$LH_SCRIPT"; }

# Runs a command as root: directly, or through sudo where we are somebody else.
as_root() {
    if [ "$(id -u)" -eq 0 ]; then
        "$@"
    elif command -v sudo >/dev/null; then
        sudo "$@"
    else
        die "'$*' needs root, and there is no sudo here. Run it as root once, then try again."
    fi
}

# phase NAME COMMAND...   runs the command and prints how long it took.
phase() {
    local name="$1" begin="$SECONDS" status=0
    shift
    log "$name"
    "$@" || status=$?
    if [ "$status" -ne 0 ]; then
        log "$name: failed with exit code $status after $((SECONDS - begin)) s"
        return "$status"
    fi
    log "$name: done in $((SECONDS - begin)) s"
}

# Cores we may really use: the affinity mask (nproc), cut by the cgroup's CPU quota, rounded up.
usable_cores() {
    local cores quota period
    cores="$(nproc)"
    if [ -r /sys/fs/cgroup/cpu.max ]; then
        read -r quota period </sys/fs/cgroup/cpu.max
    elif [ -r /sys/fs/cgroup/cpu/cpu.cfs_quota_us ]; then
        quota="$(cat /sys/fs/cgroup/cpu/cpu.cfs_quota_us)"
        period="$(cat /sys/fs/cgroup/cpu/cpu.cfs_period_us)"
    fi
    if [[ "${quota:-max}" =~ ^[1-9][0-9]*$ ]]; then
        quota=$(((quota + period - 1) / period))
        [ "$quota" -lt "$cores" ] && cores="$quota"
    fi
    echo "$cores"
}

# Compilers running at once: one per core, but no more than the memory holds at 1.5 GiB each.
build_jobs() {
    local cores mem_kib by_memory
    cores="$(usable_cores)"
    mem_kib="$(awk '/^MemAvailable:/ {print $2}' /proc/meminfo)"
    by_memory=$((${mem_kib:-0} / (1536 * 1024)))
    [ "$by_memory" -lt 1 ] && by_memory=1
    [ "$by_memory" -lt "$cores" ] && cores="$by_memory"
    echo "$cores"
}

# Open MPI: allow root (containers) and more ranks than cores; a plain mpirun refuses both.
mpi_environment() {
    export OMPI_ALLOW_RUN_AS_ROOT=1 OMPI_ALLOW_RUN_AS_ROOT_CONFIRM=1
    export OMPI_MCA_rmaps_base_oversubscribe=1
    # Containers usually forbid the cross-memory attach calls; shared memory alone then avoids a
    # warning for every message.
    if [ -e /.dockerenv ] || [ -e /run/.containerenv ] || [ -n "${container:-}" ]; then
        export OMPI_MCA_btl_vader_single_copy_mechanism=none
    fi
}

# ccache: with the base directory set, a second clone of the tree hits what the first one compiled.
ccache_environment() {
    export CCACHE_BASEDIR="$LH_ROOT" CCACHE_NOHASHDIR=1
    export CCACHE_DIR="${CCACHE_DIR:-${XDG_CACHE_HOME:-${HOME:-/tmp}/.cache}/ccache}"
    export CCACHE_MAXSIZE="${CCACHE_MAXSIZE:-5G}"
}

# build_preset PRESET [TARGET...]   configures when needed and builds (everything without a target).
build_preset() {
    local preset="$1" build_dir="$LH_ROOT/build/$1" source_dir
    shift
    ccache_environment
    # A folder that another clone or generator left behind cannot be configured again.
    if [ -f "$build_dir/CMakeCache.txt" ]; then
        # By real paths: the same tree may be reached through a symbolic link.
        source_dir="$(sed -n 's/^CMAKE_HOME_DIRECTORY:INTERNAL=//p' "$build_dir/CMakeCache.txt")"
        if [ "$(realpath -m "$source_dir")" != "$(realpath "$LH_ROOT")" ]; then
            log "build/$preset belongs to another source tree: starting it anew"
            rm -rf "$build_dir"
        fi
    fi
    # No errexit in here: callers test the outcome, which switches it off.
    cmake --preset "$preset" || return
    cmake --build "$build_dir" --parallel "$(build_jobs)" ${1:+--target "$@"}
}

# Environment of the test runs: Open MPI, sanitizers, and no surprise from the caller's locale.
test_environment() {
    mpi_environment
    export LC_ALL=C.UTF-8 GTEST_COLOR=no
    export ASAN_OPTIONS="${ASAN_OPTIONS:-strict_string_checks=1:detect_stack_use_after_return=1}"
    export UBSAN_OPTIONS="${UBSAN_OPTIONS:-print_stacktrace=1:halt_on_error=1}"
    export LSAN_OPTIONS="${LSAN_OPTIONS:-suppressions=$LH_ROOT/scripts/sanitizers/lsan.supp:print_suppressions=0}"
    export TSAN_OPTIONS="${TSAN_OPTIONS:-suppressions=$LH_ROOT/scripts/sanitizers/tsan.supp:second_deadlock_stack=1}"
}

# run_ctest PRESET [CTEST OPTION...]   ctest's summary is the last thing printed.
run_ctest() {
    local preset="$1" wrapper=()
    shift
    test_environment
    if [ "$preset" = tsan ]; then
        # libgomp's barriers are invisible to the thread sanitizer: one OpenMP thread per rank. Its
        # fixed shadow layout of g++ 12 also clashes with strong address randomisation.
        export OMP_NUM_THREADS=1
        if setarch "$(uname -m)" --addr-no-randomize true 2>/dev/null; then
            wrapper=(setarch "$(uname -m)" --addr-no-randomize)
        fi
    fi
    "${wrapper[@]}" ctest --test-dir "build/$preset" --output-on-failure --no-tests=error \
        --parallel "$(usable_cores)" "$@" </dev/null
}
